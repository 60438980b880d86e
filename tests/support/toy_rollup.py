"""A rollup whose verifier has toy keys: the test can prove anything, so it can try what a real circuit would never do.

For what the contract itself checks and does. What real proofs can show is shown with `tests.support.rollup`.
"""

from dataclasses import dataclass, replace
from typing import Any

from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from eth_abi import encode
from eth_utils import keccak

from tests.support.batches import Batch, Sizes
from tests.support.reverts import call
from tests.support.toy_keys import Trapdoor
from tests.support.toy_keys import encode as encode_words

ZKProof = tuple[tuple[int, int], tuple[tuple[int, int], tuple[int, int]], tuple[int, int], list[int]]


@dataclass(frozen=True)
class Submission:
    """The arguments of `submitBatch`."""

    root: bytes
    parent: bytes
    data: bytes
    proofs: list[ZKProof]

    def arguments(self) -> tuple[bytes, bytes, bytes, list[ZKProof]]:
        return self.root, self.parent, self.data, self.proofs

    def calldata(self) -> bytes:
        """The canonical encoding of the call, selector included."""
        proof = "(uint256[2],uint256[2][2],uint256[2],uint256[1])[]"
        selector = keccak(text=f"submitBatch(bytes32,bytes32,bytes,{proof})")[:4]
        return selector + encode(["bytes32", "bytes32", "bytes", proof], self.arguments())

    def with_(self, **changes: Any) -> "Submission":
        return replace(self, **changes)


@dataclass(frozen=True)
class ToyRollup:
    """A deployed rollup with the secret of its keys."""

    contract: ContractInstance
    trapdoor: Trapdoor
    sizes: Sizes
    operator: AccountAPI

    def prepare(self, batch: Batch) -> Submission:
        """A submission of the batch on the current tip, with proofs that hold."""
        inputs = batch.public_inputs(
            self.sizes, self.contract.domain(), int.from_bytes(self.contract.stateRoot()), self.contract.nextIndex()
        )
        return Submission(
            batch.root.to_bytes(32), bytes(self.contract.tipHash()), batch.encode(), self._prove(batch, inputs)
        )

    def _prove(self, batch: Batch, inputs: list[tuple[int, int]]) -> list[ZKProof]:
        statements = [
            self.trapdoor.prove(segment.circuit, z, segment.digest, y, salt=str(i))
            for i, (segment, (z, y)) in enumerate(zip(batch.segments, inputs, strict=True))
        ]
        return [(s.proof.a, s.proof.b, s.proof.c, [s.digest]) for s in statements]

    def seed(self, batch: Batch, submission: Submission, root: int, next_index: int) -> bytes:
        """The `proof` field of the batch: hash over all statements (§6.3)."""
        inputs = batch.public_inputs(self.sizes, self.contract.domain(), root, next_index)
        words = b""
        for segment, (z, y), (a, b, c, _) in zip(batch.segments, inputs, submission.proofs, strict=True):
            words += encode_words([segment.circuit, z, segment.digest, y, *a, *b[0], *b[1], *c])
        return keccak(words)

    def submit(self, batch: Batch, sender: AccountAPI | None = None) -> ReceiptAPI:
        """Submits the batch with proofs that hold, as the operator if nobody else is named."""
        return self.send(self.prepare(batch), sender)

    def send(self, submission: Submission, sender: AccountAPI | None = None) -> ReceiptAPI:
        """Sends a transaction with a submission."""
        return self.contract.submitBatch(*submission.arguments(), sender=sender or self.operator)

    def call(self, submission: Submission, sender: AccountAPI | None = None) -> None:
        """Tries a submission without a transaction: what a transaction would revert with, this raises."""
        call(self.contract, submission.calldata(), sender or self.operator)

    def send_raw(self, calldata: bytes, sender: AccountAPI | None = None) -> ReceiptAPI:
        """Sends a transaction with any input."""
        return (sender or self.operator).transfer(self.contract, 0, data=calldata)

    def stored(self) -> tuple[str, int]:
        """All that the contract has: the root of its storage, payouts and totals included, and its ether."""
        proof = self.contract.provider.make_request("eth_getProof", [self.contract.address, [], "latest"])
        return str(proof["storageHash"]), int(proof["balance"], 16)

    def observe(self) -> tuple[Any, ...]:
        """Everything that a batch may change, but payouts."""
        c = self.contract
        return (
            c.stateRoot(),
            c.tipHash(),
            c.currentBatchId(),
            c.nextIndex(),
            c.queueCursor(),
            c.batchTimestamp(),
            c.operatorLastSeen(),
            c.batchHashes(c.currentBatchId() + 1),
        )
