"""Random chunks through Python and the contract, which must agree in every field (docs/optimistic.md §1 to §3).

A fuzzer runs *worlds*: small rollups with a few owners, each with a dozen chunks one after the other. A world
depends on the seed and its number alone, so a difference can be had again. May import `layer2.optimistic` and what that
may; the contract is a function that the caller brings.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Protocol, TypeVar

from layer2.crypto.eip712 import GROUP_ORDER, Message, address_of, sign
from layer2.ledger.amounts import MAX_FLOAT40, decode_fee8, nearest_float40
from layer2.ledger.constants import SLOT_BYTES, Kind
from layer2.optimistic.batches import StateWords
from layer2.optimistic.constants import (
    AMOUNT_LIMIT,
    CHUNK_BYTES,
    CHUNK_OPERATIONS,
    FEE_TOKEN_SHIFT,
    FEE_WORDS,
    LOCKED_SHARES,
    MAX_NONCE,
    WITHDRAWAL_LEVELS,
    OperationKind,
)
from layer2.optimistic.errors import OptimisticError, SigningError
from layer2.optimistic.operations import (
    OPERATIONS,
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
    read_chunk,
)
from layer2.optimistic.records import NFT, Account, Pool, Position, Record, Withdrawal
from layer2.optimistic.signing import message_of, sale_of
from layer2.optimistic.state import Fees, RollupState
from layer2.optimistic.transition import Context, Failure, Outcome, execute_chunk
from layer2.optimistic.witness import Arguments, make_witness

CHUNKS_A_WORLD: Final = 12
CALLS_A_REQUEST: Final = 64
REFUSAL: Final = "InvalidWitness"
"""What the contract reverts with when a witness does not fit."""

_EXECUTED_AT: Final = 1_700_000_000
_DOMAIN: Final = bytes(range(32))
_MAX_INDEX: Final = 2**32 - 1

_FLOATS: Final[dict[OperationKind, tuple[int, ...]]] = {
    OperationKind.TRANSFER: (9,),
    OperationKind.TRANSFER_TO_NEW: (25,),
    OperationKind.SWAP: (13, 18),
    OperationKind.CREATE_POOL: (9, 14),
    OperationKind.ADD_LIQUIDITY: (17, 22, 27),
    OperationKind.REMOVE_LIQUIDITY: (29, 34),
    OperationKind.PURCHASE_NFT: (13,),
}
"""Where an operation's float40s are."""


class Refusal(Protocol):
    """What the contract reverted with."""

    @property
    def name(self) -> str: ...
    @property
    def text(self) -> str: ...


Execute = Callable[[Sequence[Arguments]], Sequence[StateWords | Refusal]]
"""Executes chunks in the contract: `layer2.chain.state_transition.StateTransition.execute`."""


@dataclass(frozen=True)
class Case:
    """A chunk to execute. queue: entries from the state's cursor on, 112 bytes each, enough for any chunk."""

    state: RollupState
    context: Context
    operations: bytes
    queue: tuple[bytes, ...]

    def describe(self) -> str:
        """All that is needed to execute it again."""
        lines = [
            f"levels       {self.state.levels}",
            f"executedAt   {self.context.executed_at}, queueEnd {self.context.queue_end}",
            f"domain       0x{self.context.domain_separator.hex()}",
            f"next index   {self.state.next_index}, queue cursor {self.state.queue_cursor}, "
            f"withdrawals {self.state.withdrawal_count}",
            f"fees         {' '.join(f'{word:#x}' for word in self.state.fees)}",
            *(f"leaf {index:<7} {record}" for index, record in self.state.records()),
            *(f"entry {self.state.queue_cursor + place:<6} 0x{entry.hex()}" for place, entry in enumerate(self.queue)),
            *(f"operation    {operation}" for operation in read_chunk(self.operations)),
            f"chunk        0x{self.operations.hex()}",
        ]
        return "\n".join(lines)


class DifferenceError(OptimisticError):
    """Python and the contract do not agree on `case`, the smallest that was found."""

    def __init__(self, world: str, case: Case, problem: str) -> None:
        super().__init__(f"world {world}: {problem}\n{case.describe()}")
        self.case = case
        self.problem = problem


@dataclass
class Report:
    """What was done. outcomes: how many operations of a kind ended so; None is a valid one."""

    worlds: int = 0
    chunks: int = 0
    outcomes: Counter[tuple[OperationKind, Failure | None]] = field(default_factory=Counter)
    entries: int = 0
    broken_witnesses: int = 0
    refused_witnesses: int = 0

    @property
    def operations(self) -> int:
        """How many operations were executed."""
        return self.outcomes.total()

    @property
    def valid(self) -> int:
        """How many of them were valid."""
        return sum(count for (_, failure), count in self.outcomes.items() if failure is None)


@dataclass(frozen=True)
class _Check:
    """A call of the contract with what may come of it. `is_strict`: it must be `expected`; else it may be refused."""

    world: str
    case: Case
    call: Arguments
    expected: RollupState
    is_strict: bool


class Fuzzer:
    """Runs worlds from number `first` on."""

    def __init__(self, execute: Execute, seed: int, first: int = 0) -> None:
        self.report = Report()
        self._execute = execute
        self._seed = seed
        self._next = first

    def run(self, operations: int, progress: Callable[[Report], None] = lambda report: None) -> Report:
        """Runs worlds until so many operations were executed; `progress` is told from time to time.

        Raises DifferenceError.
        """
        goal = self.report.operations + operations
        # While the node executes one request, the next one is made.
        with ThreadPoolExecutor(1) as node:
            waiting: Future[None] | None = None
            while self.report.operations < goal:
                checks: list[_Check] = []
                while len(checks) < CALLS_A_REQUEST and self.report.operations < goal:
                    checks += self._world(f"{self._seed}/{self._next}")
                    self._next += 1
                if waiting is not None:
                    waiting.result()
                    progress(self.report)
                waiting = node.submit(self._check, checks)
            if waiting is not None:
                waiting.result()
        progress(self.report)
        return self.report

    def _world(self, name: str) -> Iterator[_Check]:
        world = World(random.Random(name))
        self.report.worlds += 1
        for _ in range(CHUNKS_A_WORLD):
            case = world.next_case()
            after, outcomes = execute_chunk(case.state, case.context, case.operations, case.queue)
            recorded = make_witness(case.state, case.context, case.operations, case.queue)
            if recorded.after != after:
                raise DifferenceError(name, case, "Python's two ways of executing do not agree")
            self._count(outcomes)
            call = Arguments(case.state, case.context, case.operations, recorded.queue_entries, recorded.witness)
            yield _Check(name, case, world.with_more_bytes(call), after, True)
            if world.source.random() < 0.3:
                self.report.broken_witnesses += 1
                yield _Check(name, case, world.with_broken_bytes(call), after, False)
            world.go_on(after)

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        self.report.chunks += 1
        for outcome in outcomes:
            self.report.outcomes[outcome.operation.KIND, outcome.failure] += 1
            self.report.entries += outcome.entry is not None

    def _check(self, checks: Sequence[_Check]) -> None:
        answers = self._execute([check.call for check in checks])
        for check, answer in zip(checks, answers, strict=True):
            problem = difference(check.expected, answer)
            if problem and not check.is_strict and getattr(answer, "name", "") == REFUSAL:
                self.report.refused_witnesses += 1
            elif problem and check.is_strict:
                case, problem = self._smallest(check.case, problem)
                raise DifferenceError(check.world, case, problem)
            elif problem:
                raise DifferenceError(
                    check.world, check.case, f"{problem} with the witness 0x{check.call.witness.hex()}"
                )

    def _smallest(self, case: Case, problem: str) -> tuple[Case, str]:
        """The case without the operations that the difference does not need, one by one."""
        operations = [operation.encode() for operation in read_chunk(case.operations)]
        place = 0
        while place < len(operations):
            fewer = operations[:place] + operations[place + 1 :]
            smaller = replace(case, operations=b"".join(fewer))
            found = self._problem(smaller)
            if found:
                # Now an earlier one may do without as well.
                case, operations, problem, place = smaller, fewer, found, 0
            else:
                place += 1
        return case, problem

    def _problem(self, case: Case) -> str:
        recorded = make_witness(case.state, case.context, case.operations, case.queue)
        call = Arguments(case.state, case.context, case.operations, recorded.queue_entries, recorded.witness)
        return difference(recorded.after, self._execute([call])[0])


def difference(expected: RollupState, answer: StateWords | Refusal) -> str:
    """In which fields the contract's answer is another one; empty when it is the same."""
    if not isinstance(answer, StateWords):
        return f"the contract reverts: {answer.text}"
    words = StateWords.of(expected)
    different = [
        f"{name}: Python {_show(getattr(words, name))}, contract {_show(getattr(answer, name))}"
        for name in (part.name for part in fields(StateWords))
        if getattr(words, name) != getattr(answer, name)
    ]
    return "; ".join(different)


def _show(value: Any) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)


_R = TypeVar("_R", bound=Record)


class World:
    """A rollup with few owners, in which most things are at an edge. Everything comes from `source`."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.keys = {address_of(key): key for key in (source.randbytes(32) for _ in range(3))}
        self.owners = list(self.keys)
        self.tokens = source.sample(range(1 << 16), source.choice((2, 2, 3, FEE_WORDS + 2)))
        if source.random() < 0.5:
            self.tokens[0] = 0
        self.levels = source.choice((2, 3, 4, 4, 5, 5, 5, 6, 6, 7, 24, 32))
        self.state = self._first_state()
        self.chunks: list[bytes] = []

    # ---------------------------------------------------------------- cases

    def next_case(self) -> Case:
        """A chunk on the present state."""
        cursor = self.state.queue_cursor
        context = Context(_DOMAIN, _EXECUTED_AT, cursor + self.source.choice((0, 1, 2, 5, 20)))
        queue = tuple(self._entry() for _ in range(CHUNK_OPERATIONS + 1))
        case = Case(self.state, context, b"", queue)
        return replace(case, operations=self._chunk(case))

    def go_on(self, after: RollupState) -> None:
        """Takes the state after the chunk; now and then a new batch begins."""
        self.state = after.without_fees() if self.source.random() < 0.2 else after

    def with_more_bytes(self, call: Arguments) -> Arguments:
        """Mostly the same call, otherwise with bytes left over, which mean nothing."""
        if self.source.random() < 0.9:
            return call
        more = self.source.randbytes(self.source.randint(1, 200))
        return call._replace(queue_entries=call.queue_entries + more, witness=call.witness + more)

    def with_broken_bytes(self, call: Arguments) -> Arguments:
        """The call with witness or queue entries that do not fit; by chance they may."""
        if call.queue_entries and self.source.random() < 0.1:
            return call._replace(queue_entries=call.queue_entries[: -self.source.randint(1, SLOT_BYTES)])
        return call._replace(witness=self._mutated(call.witness))

    # ---------------------------------------------------------------- states

    def _first_state(self) -> RollupState:
        """A state that could have been reached: positions are part of their pools, reserves are not 0."""
        capacity = 1 << self.levels
        records: list[Record] = []
        wanted = min(capacity - 1, self.source.choice((0, 1, capacity // 2, capacity - 2, capacity - 1)), 40)
        while len(records) < wanted:
            records += self._new_records(len(records) + 1)
        del records[wanted:]
        made = self.source.choice((0, 1, 2, 7))
        state = RollupState.of(
            self.levels,
            records,
            [Withdrawal(self._owner(), self._token(), self._value() or 1) for _ in range(made)],
            self.source.choice((0, 3, 2**40)),
            self._fees(),
        )
        if self.source.random() < 0.1:
            # Nearly all withdrawals are made. Earlier leaves are empty here, which nothing looks at.
            state = replace(state, withdrawal_count=(1 << WITHDRAWAL_LEVELS) - self.source.randint(0, 3))
        return state

    def _new_records(self, index: int) -> list[Record]:
        """One record, or a pool and positions of it, for the indices from `index` on."""
        draw = self.source.random()
        if draw < 0.6:
            return [self._account()]
        if draw < 0.75:
            return [NFT(self._owner(), self._owner(), self._nonce(), self.source.randbytes(32))]
        token_a, token_b = self.source.sample(self.tokens, 2)
        shares = [self._value(AMOUNT_LIMIT // 8) for _ in range(self.source.randint(1, 2))]
        reserves = [self._value() or 1 for _ in range(2)]
        if self.source.random() < 0.7:
            reserves = [self.source.randrange(1, 10 ** self.source.randint(6, 24)) for _ in range(2)]
        if self.source.random() < 0.1:
            # Nearly more than a reserve can be.
            reserves[self.source.randrange(2)] = AMOUNT_LIMIT - self.source.randrange(1, 10**12)
        issued = min(AMOUNT_LIMIT - 1, sum(shares) + LOCKED_SHARES)
        pool = Pool(token_a, token_b, reserves[0], reserves[1], issued)
        return [pool, *(Position(self._owner(), index, part) for part in shares)]

    def _account(self) -> Account:
        return Account(self._owner(), self._token(), self._nonce(), self._value())

    def _nonce(self) -> int:
        return (
            self.source.choice((MAX_NONCE - 1, MAX_NONCE))
            if self.source.random() < 0.04
            else self.source.getrandbits(31)
        )

    def _fees(self) -> Fees:
        tokens = self.source.sample(self.tokens, self.source.randint(0, min(FEE_WORDS, len(self.tokens))))
        words = [token << FEE_TOKEN_SHIFT | self.source.randint(1, 1 << 100) for token in tokens]
        first, second, third, fourth = words + [0] * (FEE_WORDS - len(words))
        return first, second, third, fourth

    def _value(self, limit: int = AMOUNT_LIMIT) -> int:
        """An amount below the limit, of any magnitude; often an edge."""
        draw = self.source.random()
        if draw < 0.08:
            return self.source.choice((0, 1, limit - 1, limit - 2))
        if draw < 0.5:
            return int(10 ** self.source.randint(6, 30)) % limit
        return self.source.getrandbits(self.source.randint(1, 128)) % limit

    def _owner(self) -> int:
        known: int = self.source.choice(self.owners)
        return known if self.source.random() < 0.95 else self.source.getrandbits(160)

    def _token(self) -> int:
        return self.source.choice(self.tokens)

    # ---------------------------------------------------------------- the queue

    def _entry(self) -> bytes:
        """An entry of the L1 queue: about what is there, or not."""
        kind = self.source.choice((Kind.DEPOSIT, Kind.FORCED_WITHDRAWAL))
        owner, token, amount, index = self._owner(), 0, 0, 0
        if kind == Kind.DEPOSIT:
            token, amount = self._token(), self._value() or 1
        if kind == Kind.FORCED_WITHDRAWAL or self.source.random() < 0.6:
            wanted = Account if kind == Kind.DEPOSIT or self.source.random() < 0.5 else Position
            index, record = self._find(self.state, wanted)
            if record is not None and self.source.random() < 0.85:
                owner = _owner_of(record)
                token = record.token if kind == Kind.DEPOSIT and isinstance(record, Account) else token
        parts = (kind.to_bytes(1), index.to_bytes(4), bytes(4), token.to_bytes(2), bytes(1), amount.to_bytes(16))
        return b"".join(parts) + owner.to_bytes(20) + bytes(64)

    # ---------------------------------------------------------------- chunks

    def _chunk(self, case: Case) -> bytes:
        draw = self.source.random()
        if draw < 0.06:
            return self.source.randbytes(self.source.randint(0, CHUNK_BYTES))
        if draw < 0.12:
            return self._shaped()
        if draw < 0.18 and self.chunks:
            return self.source.choice(self.chunks)
        chunk = self._structured(case)
        self.chunks.append(chunk)
        return self._mutated(chunk) if draw < 0.3 else chunk

    def _shaped(self) -> bytes:
        """Operations with random fields."""
        kinds = [self.source.choice(OPERATIONS) for _ in range(self.source.randint(1, CHUNK_OPERATIONS + 2))]
        return b"".join(kind.KIND.to_bytes(1) + self.source.randbytes(kind.size() - 1) for kind in kinds)

    def _structured(self, case: Case) -> bytes:
        """Operations that mean something in the state that those before have made."""
        state, chunk = case.state, b""
        for _ in range(self.source.choice((1, 4, CHUNK_OPERATIONS, CHUNK_OPERATIONS, CHUNK_OPERATIONS + 2))):
            data = self._operation(state)
            if len(chunk) + len(data) > CHUNK_BYTES:
                break
            chunk += data
            state, _ = execute_chunk(
                state, case.context, data, case.queue[state.queue_cursor - case.state.queue_cursor :]
            )
            if state.queue_cursor - case.state.queue_cursor >= CHUNK_OPERATIONS:
                break
        return chunk

    def _mutated(self, data: bytes) -> bytes:
        """The bytes with a few changes."""
        changed = bytearray(data)
        for _ in range(self.source.choice((1, 1, 1, 2, 5))):
            if not changed:
                break
            place = self.source.randrange(len(changed))
            size = self.source.choice((1, 5, 32, 64, 83))
            match self.source.randrange(7):
                case 0:
                    changed[place] = self.source.getrandbits(8)
                case 1 | 2:
                    changed[place] ^= 1 << self.source.randrange(8)
                case 3:
                    del changed[place : place + size]
                case 4:
                    changed[place:place] = self.source.randbytes(size)
                case 5:
                    del changed[place:]
                case _:
                    changed[place : place + size] = bytes(len(changed[place : place + size]))
        return bytes(changed)

    # ---------------------------------------------------------------- operations

    def _operation(self, state: RollupState) -> bytes:
        """An operation, signed mostly; its bytes changed now and then."""
        kind = self.source.choice((*OPERATIONS, Transfer, QueueEntry, QueueEntry))
        operation = _MAKERS[kind](self, state)
        data = self._signed(operation, state).encode()
        if self.source.random() < 0.1:
            data = self._with_other_floats(operation.KIND, data)
        if self.source.random() < 0.03:
            data = self._mutated(data)
        return data

    def _signed(self, operation: Operation, state: RollupState) -> Operation:
        """The operation signed by whoever has to, or as it is if nobody could."""
        if not hasattr(operation, "signature"):
            return operation
        try:
            signature = self._signature(message_of(operation, state.record), self._signer(operation, state))
            if isinstance(operation, PurchaseNFT):
                sale = self._signature(sale_of(operation, state.record), _owner_of(state.record(operation.nft)))
                operation = replace(operation, seller_signature=sale)
        except SigningError:
            return operation
        signed: Operation = replace(operation, signature=signature)  # type: ignore[call-arg]  # it has one
        return signed

    def _signer(self, operation: Operation, state: RollupState) -> int:
        match operation:
            case TransferNFT():
                index = operation.nft
            case RemoveLiquidity():
                index = operation.position
            case CreatePool() | AddLiquidity():
                index = operation.account_a
            case _:
                index = getattr(operation, "account", 0)
        return _owner_of(state.record(index))

    def _signature(self, message: Message, owner: int) -> bytes:
        """A signature, that of the owner mostly."""
        key = self.keys.get(owner)
        if key is None or self.source.random() < 0.03:
            key = self.source.choice(list(self.keys.values()))
        domain = _DOMAIN if self.source.random() < 0.98 else bytes(32)
        signature = sign(message, domain, key)
        if self.source.random() < 0.92:
            return signature
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        parity, s = s >> 255, s & (1 << 255) - 1
        match self.source.randrange(8):
            case 0:
                parity ^= 1
            case 1:
                s, parity = (GROUP_ORDER - s) & (1 << 255) - 1, parity ^ 1
            case 2:
                r = self.source.choice((0, GROUP_ORDER, GROUP_ORDER - 1, 1, 2, 5, (1 << 256) - 1))
            case 3:
                s = self.source.choice((0, 1, GROUP_ORDER // 2, GROUP_ORDER // 2 + 1, (1 << 255) - 1))
            case 4:
                r = s = parity = 0
            case 5:
                r = int.from_bytes(self.source.randbytes(32))
            case 6:
                s ^= 1 << self.source.randrange(255)
            case _:
                r, s = s, r & (1 << 255) - 1
        return r.to_bytes(32) + (s | parity << 255).to_bytes(32)

    def _with_other_floats(self, kind: OperationKind, data: bytes) -> bytes:
        """The operation with amounts written another way, or at an edge."""
        changed = bytearray(data)
        for place in _FLOATS.get(kind, ()):
            encoded = int.from_bytes(changed[place : place + 5])
            exponent, mantissa = encoded >> 35, encoded & (1 << 35) - 1
            if mantissa * 10 < 1 << 35 and exponent and self.source.random() < 0.7:
                encoded = exponent - 1 << 35 | mantissa * 10
            elif self.source.random() < 0.3:
                encoded = self.source.choice((0, 1, (1 << 40) - 1, 31 << 35, self.source.getrandbits(40)))
            changed[place : place + 5] = encoded.to_bytes(5)
        return bytes(changed)

    # ---------------------------------------------------------------- the parts of operations

    def _find(
        self,
        state: RollupState,
        kind: type[_R],
        owner: int | None = None,
        token: int | None = None,
        pool: int | None = None,
        but: int | None = None,
    ) -> tuple[int, _R | None]:
        """The index of a record of a kind, as far as there is one with these properties; now and then any index."""
        if self.source.random() < 0.03:
            capacity = 1 << state.levels
            index = self.source.choice(
                (0, 1, state.next_index, state.next_index - 1, capacity - 1, capacity, self.source.getrandbits(32))
            )
            return min(index, _MAX_INDEX), None
        found = [(index, record) for index, record in state.records() if isinstance(record, kind) and index != but]
        for name, value in (("owner", owner), ("token", token), ("pool", pool)):
            if value is not None:
                found = [(i, record) for i, record in found if getattr(record, name) == value] or found
        if not found:
            return self.source.randint(0, state.next_index), None
        # Of two, the one that has more, so that less fails for want of money.
        return max(self.source.choices(found, k=2), key=lambda entry: getattr(entry[1], "balance", 0))

    def _amount(self, available: int) -> int:
        """A float40's value, mostly one that is available."""
        draw = self.source.random()
        if draw < 0.04:
            return self.source.choice((0, 1, MAX_FLOAT40))
        if draw < 0.1:
            return nearest_float40(min(available + 1, MAX_FLOAT40))[1]
        if draw < 0.2:
            return nearest_float40(min(available, MAX_FLOAT40))[0]
        return nearest_float40(min(available, MAX_FLOAT40) >> self.source.randint(0, 14))[0]

    def _fee(self) -> int:
        draw = self.source.random()
        if draw < 0.4:
            return 0
        return decode_fee8(self.source.getrandbits(8) if draw < 0.5 else self.source.choice((1, 2, 0x31, 0x65)))

    def _expiry(self) -> int:
        return self.source.choice(
            (_EXECUTED_AT, _EXECUTED_AT + 1, _EXECUTED_AT + 3600, _MAX_INDEX, _MAX_INDEX, self._late())
        )

    def _late(self) -> int:
        return self.source.choice((_EXECUTED_AT - 1, 0)) if self.source.random() < 0.2 else _EXECUTED_AT

    def _sender(self, state: RollupState, **properties: int | None) -> tuple[int, Account]:
        index, account = self._find(state, Account, **properties)
        return index, account or Account(self.owners[0], self.tokens[0], 0, 10**6)

    # ---------------------------------------------------------------- one of each kind

    def _nothing(self, state: RollupState) -> Operation:
        return Nothing()

    def _queue_entry(self, state: RollupState) -> Operation:
        return QueueEntry()

    def _transfer(self, state: RollupState) -> Operation:
        account, sender = self._sender(state)
        to, _ = self._sender(state, token=sender.token)
        return Transfer(account, to, self._amount(sender.balance), self._fee(), self._expiry())

    def _transfer_to_new(self, state: RollupState) -> Operation:
        account, sender = self._sender(state)
        owner = 0 if self.source.random() < 0.05 else self._owner()
        return TransferToNew(account, owner, self._amount(sender.balance), self._fee(), self._expiry())

    def _withdraw(self, state: RollupState) -> Operation:
        account, sender = self._sender(state)
        fee = self._fee()
        exact = max(0, min(AMOUNT_LIMIT - 1, sender.balance - fee + self.source.choice((0, 0, 1, -1))))
        amount = exact if self.source.random() < 0.4 else min(self._amount(sender.balance), AMOUNT_LIMIT - 1)
        return Withdraw(account, amount, fee, self._expiry())

    def _swap(self, state: RollupState) -> Operation:
        place, pool = self._find(state, Pool)
        forward = self.source.random() < 0.5
        token_in, token_out = (pool.token_a, pool.token_b) if pool else (0, 0)
        if not forward:
            token_in, token_out = token_out, token_in
        account, sender = self._sender(state, token=token_in)
        to, _ = self._sender(state, owner=sender.owner, token=token_out, but=account)
        amount = self._amount(min(sender.balance, pool.reserve_a * 2 if pool else 0))
        minimum = 0
        if pool and amount and self.source.random() < 0.5:
            x, y = (pool.reserve_a, pool.reserve_b) if forward else (pool.reserve_b, pool.reserve_a)
            out = amount * 997 * y // (x * 1000 + amount * 997)
            minimum = nearest_float40(out)[self.source.random() < 0.2]
        return Swap(account, to, place, amount, minimum, self._fee(), self._expiry())

    def _create_pool(self, state: RollupState) -> Operation:
        account_a, a = self._sender(state)
        account_b, b = self._sender(state, owner=a.owner, but=account_a)
        amount_a, amount_b = self._amount(a.balance), self._amount(b.balance)
        if self.source.random() < 0.2:
            # About the least number of shares.
            amount_a, amount_b = self.source.choice(
                ((1000, 1000), (1000, 1001), (1001, 1001), (1, 10**6), (3, 334_001))
            )
        return CreatePool(account_a, account_b, amount_a, amount_b, self._fee(), self._expiry())

    def _add_liquidity(self, state: RollupState) -> Operation:
        place, pool = self._find(state, Pool)
        pool = pool or Pool(0, 0, 1, 1, 1)
        account_a, a = self._sender(state, token=pool.token_a)
        account_b, _ = self._sender(state, owner=a.owner, token=pool.token_b, but=account_a)
        position = 0
        if self.source.random() < 0.6:
            position, _ = self._find(state, Position, owner=a.owner, pool=place)
        amount = self._amount(a.balance)
        due = -(-amount * pool.reserve_b // pool.reserve_a)
        maximum = MAX_FLOAT40
        if self.source.random() < 0.4 and due < MAX_FLOAT40:
            maximum = nearest_float40(due)[self.source.random() < 0.7]
        minimum = 0
        if self.source.random() < 0.4 and due < MAX_FLOAT40:
            minimum = nearest_float40(due)[self.source.random() < 0.3]
        return AddLiquidity(
            account_a, account_b, place, position, amount, minimum, maximum, self._fee(), self._expiry()
        )

    def _remove_liquidity(self, state: RollupState) -> Operation:
        place, position = self._find(state, Position)
        position = position or Position(self.owners[0], 0, 1)
        found = state.record(position.pool)
        pool = found if isinstance(found, Pool) else Pool(0, 0, 1, 1, 1)
        account_a, _ = self._sender(state, owner=position.owner, token=pool.token_a)
        account_b, _ = self._sender(state, owner=position.owner, token=pool.token_b, but=account_a)
        shares = position.shares >> self.source.choice((0, 0, 1, 20))
        if self.source.random() < 0.1:
            shares = min(AMOUNT_LIMIT - 1, self.source.choice((0, 1, position.shares + 1)))
        minimum_a = minimum_b = 0
        if self.source.random() < 0.4 and shares <= pool.shares:
            minimum_a, minimum_b = (
                nearest_float40(shares * reserve // pool.shares)[self.source.random() < 0.2]
                for reserve in (pool.reserve_a, pool.reserve_b)
            )
        return RemoveLiquidity(place, account_a, account_b, shares, minimum_a, minimum_b, self._fee(), self._expiry())

    def _mint_nft(self, state: RollupState) -> Operation:
        account, _ = self._sender(state)
        return MintNFT(account, self.source.randbytes(32), self._fee(), self._expiry())

    def _transfer_nft(self, state: RollupState) -> Operation:
        nft, record = self._find(state, NFT)
        to = 0 if self.source.random() < 0.05 else self._owner()
        account, _ = self._sender(state, owner=_owner_of(record))
        return TransferNFT(nft, to, account, self._fee(), self._expiry())

    def _purchase_nft(self, state: RollupState) -> Operation:
        nft, record = self._find(state, NFT)
        account, buyer = self._sender(state)
        seller, _ = self._sender(state, owner=_owner_of(record), token=buyer.token, but=account)
        return PurchaseNFT(nft, account, seller, self._amount(buyer.balance), self._fee(), self._expiry())


def _owner_of(record: Record | None) -> int:
    """The owner, 0 where there is none."""
    return getattr(record, "owner", 0)


_MAKERS: Final[dict[type[Operation], Callable[[World, RollupState], Operation]]] = {
    Nothing: World._nothing,
    QueueEntry: World._queue_entry,
    Transfer: World._transfer,
    TransferToNew: World._transfer_to_new,
    Withdraw: World._withdraw,
    Swap: World._swap,
    CreatePool: World._create_pool,
    AddLiquidity: World._add_liquidity,
    RemoveLiquidity: World._remove_liquidity,
    MintNFT: World._mint_nft,
    TransferNFT: World._transfer_nft,
    PurchaseNFT: World._purchase_nft,
}
