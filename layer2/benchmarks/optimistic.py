"""Gas of the optimistic rollup: batches in both data modes, a fraud proof of each kind, confirmation, escapes.

The state that is disputed is claimed, not reached: the contract takes any state on its sequencer's word. So the tree
can be as full as trees get, which is the dearest case: no sibling on any path is empty.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from layer2.benchmarks.gas import CallGas
from layer2.chain.connection import Chain, Receipt
from layer2.chain.optimistic_deploying import OptimisticConfig, deploy_optimistic
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.chain.sending import send
from layer2.chain.sidecar import BLOB_GAS
from layer2.ledger.operations import Operation as QueueOperation
from layer2.optimistic.batches import NOBODY, BatchHeader, StateWords
from layer2.optimistic.chunks import pack
from layer2.optimistic.constants import CHUNK_BYTES, CHUNK_OPERATIONS, MAX_CHUNKS, OperationKind
from layer2.optimistic.evidence import PostedBatch, make_evidence
from layer2.optimistic.operations import (
    AddLiquidity,
    CreatePool,
    MintNFT,
    Nothing,
    Operation,
    PurchaseNFT,
    QueueEntry,
    RemoveLiquidity,
    Swap,
    Transfer,
    TransferNFT,
    TransferToNew,
    Withdraw,
)
from layer2.optimistic.records import NFT, Account, Pool, Position, Record, Withdrawal, encode, leaf
from layer2.optimistic.signing import sign_operation, sign_sale
from layer2.optimistic.state import NO_FEES, RollupState
from layer2.optimistic.transition import Context, execute_chunk
from layer2.optimistic.tree import Tree
from layer2.scenarios.cheat import Cheat, Submitted, mint
from layer2.scenarios.devchain import DevChain
from layer2.scenarios.people import Person

TRANSFERS: Final = (100, 1000)
_ETHER: Final = 10**18
_FOREVER: Final = 2**32 - 1
_FEE: Final = 10
_LEVELS: Final = 24
_USED: Final = (1 << 23) + 0x2AAAAA
"""The lowest unused index of the crowded tree, and about how many records there are."""
_WITHDRAWALS: Final = (1 << 31) - 64
"""How many withdrawals there have been in it."""


@dataclass(frozen=True)
class BatchGas:
    """A batch of transfers. data_bytes: of calldata, or of the blob. blob_gas: 0 in calldata mode."""

    mode: str
    transfers: int
    chunks: int
    data_bytes: int
    gas: int
    blob_gas: int


@dataclass(frozen=True)
class ProofGas:
    """A fraud proof against the last chunk of a batch of 64, full of operations of one kind; gas in both data modes."""

    kind: str
    operations: int
    witness_bytes: int
    calldata: int
    blob: int


@dataclass(frozen=True)
class OptimisticReport:
    """All that was measured."""

    batches: tuple[BatchGas, ...]
    proofs: tuple[ProofGas, ...]
    calls: tuple[CallGas, ...]


class OptimisticBench:
    """Measures on a rollup of its own."""

    def __init__(self, chain: Chain, say: Callable[[str], None] = lambda line: None) -> None:
        """chain: Anvil, whose time this turns. say: gets progress lines. Deploys a rollup."""
        self._dev = DevChain(chain)
        self._say = say
        self._person = Person.named("bench")
        self._other = Person.named("another of bench's")
        for person in (self._person, self._other):
            self._dev.set_balance(person.address, 1000 * _ETHER)
        config = OptimisticConfig(levels=_LEVELS)
        self._rollup = OptimisticRollup(
            chain, deploy_optimistic(chain, self._person.signer, config, operator=NOBODY).deployment
        )
        self._domain = self._rollup.deployment.domain_separator
        self._cheat = Cheat(self._rollup, self._person)
        self._cheat.bond(_ETHER)

    def run(self) -> OptimisticReport:
        """Measure. Raises ChainError when a transaction is refused."""
        crowd = _Crowd(self._person.owner)
        # The dearest entry of the queue: it reads two leaves and makes two withdrawals.
        queue = [self._force(crowd.position(number)) for number in range(CHUNK_OPERATIONS)]
        base = self._submit_claim(crowd.state)
        batches = [self._transfers(crowd, count, is_blob) for is_blob in (True, False) for count in TRANSFERS]
        proofs = [self._proof(base, crowd, kind, queue) for kind in list(OperationKind)[1:]]
        return OptimisticReport(tuple(batches), tuple(proofs), tuple(self._calls(base, crowd)))

    # ---------------------------------------------------------------- batches

    def _submit_claim(self, state: RollupState) -> Submitted:
        """A batch that claims a state from nowhere: the tip from here on."""
        draft = self._cheat.draft(RollupState.genesis(_LEVELS), [Nothing().encode()])
        words = replace(StateWords.of(state), queue_cursor=0)
        return self._cheat.submit(replace(draft, words=words, after=state))

    def _transfers(self, crowd: "_Crowd", count: int, is_blob: bool) -> BatchGas:
        mode = "blob" if is_blob else "calldata"
        self._say(f"optimistic: {count} transfers, {mode}")
        bodies = pack(self._sign(crowd, crowd.transfer(number)) for number in range(count))
        with self._dev.undone():
            draft = self._cheat.draft(crowd.state, bodies, is_blob=is_blob)
            receipt = self._cheat.submit(draft).receipt
        return BatchGas(mode, count, len(bodies), len(draft.data), receipt.gas_used, BLOB_GAS if is_blob else 0)

    # ---------------------------------------------------------------- fraud proofs

    def _proof(self, base: Submitted, crowd: "_Crowd", kind: OperationKind, queue: Sequence[bytes]) -> ProofGas:
        name = kind.name.lower().replace("_", " ").replace("nft", "NFT")
        self._say(f"optimistic: proof against a chunk of {name}")
        bodies: list[bytes] = []
        for number in range(CHUNK_OPERATIONS):
            encoded = self._sign(crowd, crowd.operation(kind, number))
            if sum(map(len, bodies)) + len(encoded) <= CHUNK_BYTES:
                bodies.append(encoded)
        body = b"".join(bodies)
        entries = queue if kind is OperationKind.QUEUE_ENTRY else []
        self._check(crowd, body, entries)
        witness = 0
        gas = []
        for is_blob in (False, True):
            chunks = [b""] * (MAX_CHUNKS - 1) + [body]
            with self._dev.undone():
                lies = {MAX_CHUNKS - 1: mint(crowd.account(0), 1)}
                draft = self._cheat.draft(crowd.state, chunks, entries, lies=lies, is_blob=is_blob)
                batch = self._cheat.submit(draft)
                posted = PostedBatch(batch.batch_id, batch.header, base.header, draft.data, entries, self._domain)
                evidence = make_evidence(posted, MAX_CHUNKS - 1, crowd.state)
                witness = len(evidence.witness)
                gas.append(self._send(self._rollup.prove_call(evidence)).gas_used)
        return ProofGas(name, len(bodies), witness, *gas)

    def _check(self, crowd: "_Crowd", body: bytes, queue: Sequence[bytes]) -> None:
        """The operations must be valid, or their proof would cost less."""
        context = Context(self._domain, self._dev.now, len(queue))
        _, outcomes = execute_chunk(crowd.state, context, body, queue)
        for outcome in outcomes:
            assert outcome.is_valid, outcome.reason

    # ---------------------------------------------------------------- the rest

    def _calls(self, base: Submitted, crowd: "_Crowd") -> Iterable[CallGas]:
        rollup, dev = self._rollup, self._dev
        deployment = rollup.deployment
        with dev.undone():
            dev.pass_time(deployment.challenge_period + 1)
            yield CallGas("confirmBatch", self._send(rollup.confirm_call(base.batch_id, base.header)).gas_used)
            claim = rollup.claim_withdrawal_call(base.batch_id, base.header, crowd.state, 5)
            yield CallGas("claimWithdrawal", self._send(claim).gas_used)
            dev.pass_time(deployment.freeze_deadline + 1)
            freeze = rollup.coder.encode("freeze", *([_tuple(base.header)] * 2))
            yield CallGas("freeze", self._send(freeze).gas_used)
            state = crowd.state
            account = crowd.account(0)
            yield CallGas(
                "escape of an account",
                self._send(rollup.coder.encode("escape", account, *_proof(state, account))).gas_used,
            )
            position = crowd.position(0)
            record = state.record(position)
            assert isinstance(record, Position)
            yield CallGas(
                "escape of a position",
                self._send(
                    rollup.coder.encode(
                        "escapePosition", position, *_proof(state, position), *_proof(state, record.pool)
                    )
                ).gas_used,
            )

    def _force(self, index: int) -> bytes:
        """Queue a forced withdrawal; its entry."""
        self._send(self._rollup.force_withdraw_call(index))
        return QueueOperation.forced_withdrawal(index, self._person.owner).to_slot()

    def _send(self, call: bytes) -> Receipt:
        return send(self._rollup.chain, self._person.signer, self._rollup.address, call)

    def _sign(self, crowd: "_Crowd", operation: Operation) -> bytes:
        if isinstance(operation, QueueEntry):
            return operation.encode()
        signed: Any = sign_operation(operation, crowd.state.record, self._domain, self._person.key)
        if isinstance(signed, PurchaseNFT):
            signed = sign_sale(signed, crowd.state.record, self._domain, self._person.key)
        encoded: bytes = signed.encode()
        return encoded


class _Crowd:
    """A state of millions of records, as far as proofs can tell: those that operations touch, and beside the path to
    each of them something at every level."""

    def __init__(self, owner: int) -> None:
        self._owner = owner
        records: dict[int, Record] = {}
        for number in range(CHUNK_OPERATIONS):
            for place, token in ((0, 0), (1, 1), (2, 0)):
                records[self._index(number, place)] = Account(owner, token, 0, 10**24)
            records[self.pool(number)] = Pool(0, 1, 10**22, 10**13, 10**17)
            records[self.position(number)] = Position(owner, self.pool(number), 10**16)
            records[self.nft(number)] = NFT(owner, owner, 0, number.to_bytes(32))
        filler = Account(1, 1, 1, 1)
        tree = Tree(_LEVELS)
        leaves: dict[int, tuple[bytes, object]] = {}
        for index in (*records, *range(_USED, _USED + 2 * CHUNK_OPERATIONS)):
            for level in range(_LEVELS):
                beside = index ^ (1 << level)
                if beside < _USED:
                    leaves[beside] = (leaf(filler), filler)
        leaves |= {index: (leaf(record), record) for index, record in records.items()}
        paid = Withdrawal(owner, 0, _ETHER)
        withdrawals = {5: (leaf(paid), paid)}
        for index in range(_WITHDRAWALS, _WITHDRAWALS + 2 * CHUNK_OPERATIONS):
            for level in range(32):
                if index ^ (1 << level) < _WITHDRAWALS:
                    withdrawals[index ^ (1 << level)] = (leaf(paid), paid)
        self.state = RollupState(tree.set(leaves), Tree(32).set(withdrawals), _USED, 0, _WITHDRAWALS, NO_FEES)

    def _index(self, number: int, place: int) -> int:
        """Spread over the tree: no two of them share more than a few nodes."""
        return (7919 * (8 * number + place) * 65537 + 12345) % (1 << 23) | 1 << 22

    def account(self, number: int) -> int:
        return self._index(number, 0)

    def pool(self, number: int) -> int:
        return self._index(number, 4)

    def position(self, number: int) -> int:
        return self._index(number, 5)

    def nft(self, number: int) -> int:
        return self._index(number, 6)

    def transfer(self, number: int) -> Transfer:
        place = number % CHUNK_OPERATIONS
        return Transfer(self.account(place), self._index(place, 2), (10**9 + number) * 10**6, _FEE, _FOREVER)

    def operation(self, kind: OperationKind, number: int) -> Operation:
        """A valid one, on records that no other number has."""
        ether, token, ether_too = (self._index(number, place) for place in range(3))
        match kind:
            case OperationKind.QUEUE_ENTRY:
                return QueueEntry()
            case OperationKind.TRANSFER:
                return self.transfer(number)
            case OperationKind.TRANSFER_TO_NEW:
                return TransferToNew(ether, self._owner, 10**15, _FEE, _FOREVER)
            case OperationKind.WITHDRAWAL:
                return Withdraw(ether, 10**15 + 1, _FEE, _FOREVER)
            case OperationKind.SWAP:
                return Swap(ether, token, self.pool(number), 10**18, 1, _FEE, _FOREVER)
            case OperationKind.CREATE_POOL:
                return CreatePool(ether, token, 10**18, 10**9, _FEE, _FOREVER)
            case OperationKind.ADD_LIQUIDITY:
                # Into an existing position: that reads one leaf more than a new one.
                pool, position = self.pool(number), self.position(number)
                return AddLiquidity(ether, token, pool, position, 10**18, 1, 10**10, _FEE, _FOREVER)
            case OperationKind.REMOVE_LIQUIDITY:
                return RemoveLiquidity(self.position(number), ether, token, 10**15, 1, 1, _FEE, _FOREVER)
            case OperationKind.MINT_NFT:
                return MintNFT(ether, number.to_bytes(32), _FEE, _FOREVER)
            case OperationKind.TRANSFER_NFT:
                return TransferNFT(self.nft(number), self._owner, ether, _FEE, _FOREVER)
            case OperationKind.PURCHASE_NFT:
                return PurchaseNFT(self.nft(number), ether, ether_too, 10**15, _FEE, _FOREVER)
            case _:
                return Nothing()


def _proof(state: RollupState, index: int) -> tuple[bytes, list[bytes]]:
    """A leaf's record and its siblings."""
    record = state.record(index)
    assert record is not None
    return encode(record), state.path(index)


def _tuple(header: BatchHeader) -> tuple[Any, ...]:
    from dataclasses import astuple

    return astuple(header)
