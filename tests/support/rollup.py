"""A rollup to test, with real proofs: the ledger executes, the test circuits' prover proves, the contract accepts.

    rollup = Rollup.deploy(project, deployer, registry, operator)
    rollup.deposit(alice, 0, 10**18)                              # queued on L1
    rollup.process()                                              # one batch: the queue, then signed operations
    rollup.process(rollup.transfer(alice_account, to, amount))
    prepared = rollup.prepare(...)                                # or prove now, spoil it, submit it later

The circuits are the small ones of `layer2.zk.params` (4 levels, 2 operations a segment, fees in 2 tokens), built on
first use. A proof takes about a second, so sessions share what they prove.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Self

from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from eth_abi import encode
from eth_utils import keccak

from layer2.crypto.eddsa import Point, PrivateKey
from layer2.ledger.operations import Operation, SignedOperation, sign_operation
from layer2.ledger.state import State
from layer2.ledger.transition import Context, Item, Step, apply
from layer2.zk.batch import CIRCUIT_NUMBERS, encode_batch, plan_segments
from layer2.zk.build import TEST_CIRCUITS, build_circuits, verifying_keys
from layer2.zk.prover import ProofTuple, ZKProver, prove_batch
from layer2.zk.segments import Segment
from tests.support.reverts import call
from tests.support.toy_keys import Trapdoor

FOREVER = 2**40 - 1
"""An expiry that no batch is later than."""

INCLUSION_DEADLINE = 24 * 3600
QUEUE_QUOTA = 3
PRIORITY_TIMEOUT = 2 * 3600
MAX_BATCH_AGE = 3600
FREEZE_DEADLINE = 14 * 24 * 3600


@cache
def provers() -> tuple[ZKProver, ...]:
    """The provers of the test circuits, which are built if they are not there."""
    circuits = (TEST_CIRCUITS.transfers, TEST_CIRCUITS.operations)
    build_circuits(circuits)
    return tuple(ZKProver.load(params) for params in circuits)


def key_of(account: AccountAPI) -> PrivateKey:
    """An L2 key for an L1 account: always the same, but not derived from a wallet's signature."""
    return PrivateKey.from_seed(keccak(text=f"test key of {account.address}"))


def escape_arguments(state: State, index: int) -> tuple[int, tuple[Any, ...], list[tuple[int, int, int]]]:
    """What `escape` takes for an account of a state."""
    account = state.account(index)
    assert account is not None, f"there is no account {index} to escape"
    leaf = (f"0x{account.owner:040x}", account.token, account.nonce, account.balance, tuple(account.key))
    return index, leaf, state.path(index)


Prove = Callable[[Sequence[Segment]], list[ProofTuple]]
"""Makes the proofs of consecutive segments, as `submitBatch` takes them."""


def prove_really(segments: Sequence[Segment]) -> list[ProofTuple]:
    """Proofs of the test circuits."""
    return [proof.as_tuple() for proof in prove_batch(segments, provers())]


def prove_with(trapdoor: Trapdoor) -> Prove:
    """Proofs by a trapdoor: fast, and of anything. For long sequences of batches that the ledger made."""

    def prove(segments: Sequence[Segment]) -> list[ProofTuple]:
        result = []
        for segment in segments:
            z, digest, y = segment.public_inputs
            proof = trapdoor.prove(CIRCUIT_NUMBERS[segment.params.kind], z, digest, y).proof
            result.append(ProofTuple(proof.a, proof.b, proof.c, (digest,)))
        return result

    return prove


@dataclass(frozen=True)
class Submission:
    """The arguments of `submitBatch`, and what the ledger says of them."""

    root: bytes
    parent: bytes
    data: bytes
    proofs: tuple[ProofTuple, ...]
    segments: tuple[Segment, ...]
    state_after: State
    steps: tuple[Step, ...]

    def arguments(self) -> tuple[bytes, bytes, bytes, list[ProofTuple]]:
        return self.root, self.parent, self.data, list(self.proofs)

    def calldata(self) -> bytes:
        """The canonical encoding of the call, selector included."""
        proof = "(uint256[2],uint256[2][2],uint256[2],uint256[1])[]"
        selector = keccak(text=f"submitBatch(bytes32,bytes32,bytes,{proof})")[:4]
        return selector + encode(["bytes32", "bytes32", "bytes", proof], self.arguments())

    def with_(self, **changes: Any) -> "Submission":
        return replace(self, **changes)

    def with_proof(self, index: int, **points: Any) -> "Submission":
        """The submission with parts (a, b, c, publicInputs) of one proof replaced."""
        proofs = list(self.proofs)
        proofs[index] = proofs[index]._replace(**points)
        return replace(self, proofs=tuple(proofs))


@dataclass
class Rollup:
    """A deployed rollup and the ledger that follows it. `state` is the state at the contract's tip."""

    contract: ContractInstance
    operator: AccountAPI
    state: State
    domain: int
    queue: list[Operation] = field(default_factory=list)
    """What is queued on L1 and not yet in a batch."""
    prove: Prove = prove_really

    @classmethod
    def deploy(
        cls,
        project: Any,
        deployer: AccountAPI,
        registry: ContractInstance,
        operator: AccountAPI,
        trapdoor: Trapdoor | None = None,
    ) -> Self:
        """Deploys verifier and rollup with the test circuits' development keys, or with toy keys."""
        if trapdoor is None:
            provers()
            arguments, prove = verifying_keys(TEST_CIRCUITS).constructor_arguments, prove_really
        else:
            c = TEST_CIRCUITS
            sizes = (c.levels, c.transfers.size, c.operations.size, c.transfers.tokens)
            arguments, prove = (trapdoor.key(), sizes), prove_with(trapdoor)
        verifier = deployer.deploy(project.BatchVerifier, *arguments)
        config = (INCLUSION_DEADLINE, QUEUE_QUOTA, PRIORITY_TIMEOUT, MAX_BATCH_AGE, FREEZE_DEADLINE)
        hasher = deployer.deploy(project.Poseidon4)
        contract = deployer.deploy(project.ZKRollup, registry, verifier, hasher, operator, config)
        return cls(contract, operator, State.genesis(TEST_CIRCUITS.levels), int(contract.domain()), prove=prove)

    def twin(self, project: Any, deployer: AccountAPI) -> "Rollup":
        """Another rollup with the same verifier and settings, at genesis."""
        c = self.contract
        config = (INCLUSION_DEADLINE, QUEUE_QUOTA, PRIORITY_TIMEOUT, MAX_BATCH_AGE, FREEZE_DEADLINE)
        contract = deployer.deploy(project.ZKRollup, c.registry(), c.verifier(), c.hasher(), self.operator, config)
        return Rollup(contract, self.operator, State.genesis(TEST_CIRCUITS.levels), int(contract.domain()))

    def copy(self) -> "Rollup":
        """For a test: what the test does to the ledger is gone afterwards, as what it does to the chain is."""
        return replace(self, queue=list(self.queue))

    # L1 operations

    def deposit(
        self,
        sender: AccountAPI,
        token: int,
        amount: int,
        *,
        account: int = 0,
        owner: AccountAPI | None = None,
        key: Point | None = None,
    ) -> ReceiptAPI:
        """Deposits and remembers the queue entry; the owner is the sender and the key the owner's unless given."""
        owner = owner or sender
        key = key or key_of(owner).public_key
        value = amount if token == 0 else 0
        receipt = self.contract.deposit(token, amount, owner, account, tuple(key), value=value, sender=sender)
        arrived = int(receipt.events[-1].amount)
        self.queue.append(Operation.deposit(token, arrived, int(owner.address, 16), key, account))
        return receipt

    def force_withdraw(self, sender: AccountAPI, account: int) -> ReceiptAPI:
        """Queues a forced withdrawal and remembers it."""
        receipt = self.contract.forceWithdraw(account, sender=sender)
        self.queue.append(Operation.forced_withdrawal(account, int(sender.address, 16)))
        return receipt

    # Signed operations, by the key of the account's owner and with the account's nonce plus `ahead`

    def sign(
        self, owner: AccountAPI, operation: Operation, *, ahead: int = 0, expiry: int = FOREVER
    ) -> SignedOperation:
        """Signs any operation of an account of the owner's."""
        account = self.state.account(operation.account)
        nonce = (account.nonce if account else 0) + ahead
        recipient = self.state.account(operation.to) if operation.kind == 3 else None
        payee = (recipient.owner, recipient.key) if recipient else ()
        return sign_operation(key_of(owner), self.domain, operation, nonce, expiry, *payee)

    def transfer(
        self, owner: AccountAPI, account: int, to: int, amount: int, fee: int = 0, *, ahead: int = 0
    ) -> SignedOperation:
        """A signed transfer; `fee` is the fee byte."""
        return self.sign(owner, Operation.transfer(account, to, self._token(account), amount, fee), ahead=ahead)

    def withdrawal(
        self, owner: AccountAPI, account: int, amount: int, fee: int = 0, *, ahead: int = 0
    ) -> SignedOperation:
        """A signed withdrawal to the owner."""
        operation = Operation.withdrawal(account, self._token(account), amount, int(owner.address, 16), fee)
        return self.sign(owner, operation, ahead=ahead)

    def _token(self, account: int) -> int:
        held = self.state.account(account)
        assert held is not None, f"there is no account {account} to sign for"
        return held.token

    # Batches

    def execute(self, items: Sequence[Item], timestamp: int) -> list[Step]:
        """The steps of items on the present state.

        Raises AssertionError for an operation that is not valid.
        """
        steps: list[Step] = []
        state = self.state
        for item in items:
            step = apply(state, item, Context(self.domain, timestamp))
            assert step.valid, step.reason
            steps.append(step)
            state = step.state_after
        return steps

    def prepare(self, *signed: SignedOperation, queued: int | None = None, timestamp: int | None = None) -> Submission:
        """Executes and proves a batch on the tip: queue entries (all unless a number is given), then signed operations.

        Its timestamp is the tip's unless given.
        """
        timestamp = int(self.contract.batchTimestamp() if timestamp is None else timestamp)
        entries = self.queue[: len(self.queue) if queued is None else queued]
        steps = self.execute([*entries, *signed], timestamp)
        segments = plan_segments(steps, TEST_CIRCUITS, self.domain, timestamp)
        return Submission(
            root=segments[-1].root_after.to_bytes(32),
            parent=bytes(self.contract.tipHash()),
            data=encode_batch(segments),
            proofs=tuple(self.prove(segments)),
            segments=tuple(segments),
            state_after=steps[-1].state_after,
            steps=tuple(steps),
        )

    def send(self, submission: Submission, sender: AccountAPI | None = None) -> ReceiptAPI:
        """Sends a transaction; the ledger follows if it is accepted."""
        receipt = self.contract.submitBatch(*submission.arguments(), sender=sender or self.operator)
        self.state = submission.state_after
        consumed = sum(step.operation.is_queued for step in submission.steps)
        del self.queue[:consumed]
        return receipt

    def call(self, submission: Submission, sender: AccountAPI | None = None) -> None:
        """Tries a submission without a transaction: raises what a transaction would revert with."""
        call(self.contract, submission.calldata(), sender or self.operator)

    def process(self, *signed: SignedOperation, queued: int | None = None, timestamp: int | None = None) -> ReceiptAPI:
        """Prepares and sends a batch."""
        return self.send(self.prepare(*signed, queued=queued, timestamp=timestamp))

    # Invariants

    def check(self, owners: Sequence[AccountAPI], tokens: Sequence[tuple[int, ContractInstance | None]]) -> None:
        """Conservation and agreement, to be called after every step.

        For each token (id and contract, None for ETH): assets ≥ `held` = L2 balances + queued deposits + payouts
        of `owners`. And the contract's state is the ledger's.
        """
        c = self.contract
        assert int.from_bytes(c.stateRoot()) == self.state.root
        assert c.nextIndex() == self.state.next_index
        assert c.queueTail() - c.queueCursor() == len(self.queue)
        for token, erc20 in tokens:
            assets = c.balance if erc20 is None else erc20.balanceOf(c)
            accounts = [self.state.account(index) for index in range(1, self.state.next_index)]
            balances = sum(a.balance for a in accounts if a is not None and a.token == token)
            waiting = sum(entry.amount for entry in self.queue if entry.token == token)
            payouts = sum(c.payouts(owner, token) for owner in owners)
            assert c.held(token) == balances + waiting + payouts, f"token {token}"
            assert assets >= c.held(token), f"token {token}"
