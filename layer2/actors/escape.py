"""Gets an owner's money out of a rollup that nobody runs any more: freeze, escapes, refunds, payouts.

Everything comes from L1 data; no operator is asked. A `FinalState` says what a frozen rollup owes and which calls get
it, one for each kind of rollup; the rest is the same for all (docs/protocol.md §6.5, docs/optimistic.md §6).
May import what the followers may.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from layer2.actors.errors import ActorError
from layer2.actors.follower import Follower, Position
from layer2.actors.optimistic_follower import OptimisticFollower
from layer2.actors.optimistic_follower import Position as OptimisticPosition
from layer2.actors.optimistic_store import BatchRow, OptimisticStore, Verdict
from layer2.actors.store import Store
from layer2.chain.blobs import BlobSource, blob_source
from layer2.chain.custody import CustodyContract, QueuedOperation
from layer2.chain.errors import RevertedError
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.chain.rollup import Rollup
from layer2.chain.sending import send
from layer2.chain.signer import Signer
from layer2.crypto.addresses import int_to_address
from layer2.ledger.constants import Kind
from layer2.optimistic.batches import BatchHeader
from layer2.optimistic.records import Account, Pool
from layer2.optimistic.records import Position as PoolPosition

NEVER: Final = 2**256 - 1
"""Until when a rollup with an empty queue cannot be frozen."""

ALL: Final = 2**62
"""More queue entries than there can be."""

FROZEN: Final = "frozen for ever"

Credits = tuple[tuple[int, int], ...]
"""(token, smallest units)"""

# The contract's words for: somebody else was quicker.
_DONE: Final = frozenset({"AlreadyEscaped", "DepositAlreadyRefunded", "WithdrawalAlreadyClaimed", "NothingToWithdraw"})


class EscapeError(ActorError):
    """The rollup is not in a state in which the money can be got this way; the message says how it can."""


@dataclass(frozen=True)
class Claim:
    """Money of one owner that a call makes claimable.

    what: its name for people. credits: (token, smallest units). call: input of the call to the rollup. is_done: it was
    made before.
    """

    what: str
    credits: Credits
    call: bytes
    is_done: bool


class FinalState(Protocol):
    """What L1 says that a rollup owes if it is frozen as it is, or what it owes since it was frozen."""

    @property
    def contract(self) -> CustodyContract:
        """The rollup's contract."""
        ...

    @property
    def place(self) -> tuple[bytes, int]:
        """State root and queue cursor: what the contract has as `finalRoot` and `finalCursor` after a freeze."""
        ...

    def freeze_calls(self) -> list[tuple[str, bytes]]:
        """Inputs of the calls that freeze the rollup, in order, each with words for what it did."""
        ...

    def leaves(self, owner: int) -> list[Claim]:
        """What an owner holds in the final state, and other claims that batches gave, in the order of their numbers."""
        ...

    def refunds(self, owner: int) -> list[Claim]:
        """An owner's deposits that the final state has not consumed, in the order of the queue."""
        ...


class ZKFinalState:
    """The final state of a ZK rollup: that of the last batch."""

    def __init__(self, rollup: Rollup, position: Position, queue: Sequence[QueuedOperation]) -> None:
        """queue: the entries that the position has not consumed."""
        self.contract = rollup
        self.position = position
        self._queue = queue

    @property
    def place(self) -> tuple[bytes, int]:
        """See `FinalState`."""
        return self.position.state.root.to_bytes(32), self.position.queue_cursor

    def freeze_calls(self) -> list[tuple[str, bytes]]:
        """See `FinalState`."""
        return [(FROZEN, self.contract.freeze_call())]

    def leaves(self, owner: int) -> list[Claim]:
        """See `FinalState`. Accounts that hold nothing are left out."""
        state, rollup = self.position.state, self.contract
        return [
            Claim(
                f"account {index}",
                ((account.token, account.balance),),
                rollup.escape_call(index, account, state.path(index)),
                bool(rollup.view("isEscaped", index)),
            )
            for index, account in state.accounts()
            if account.owner == owner and account.balance
        ]

    def refunds(self, owner: int) -> list[Claim]:
        """See `FinalState`."""
        return refunds_of(self.contract, self._queue, owner)


def zk_reader(
    rollup: Rollup, store: Store, progress: Callable[[int, int], None] = lambda block, batch: None
) -> Callable[[], ZKFinalState]:
    """Reads a ZK rollup's final state from L1 data alone, each time what is new. progress: see `Follower`."""
    follower = Follower(rollup, store, page_done=progress)

    def read() -> ZKFinalState:
        follower.sync()
        position = follower.position
        queue = [row.entry for row in store.queued(position.queue_cursor, ALL)]
        return ZKFinalState(rollup, position, queue)

    return read


class OptimisticFinalState:
    """The final state of an optimistic rollup: that of the last confirmed batch, and the withdrawals up to it."""

    def __init__(
        self,
        rollup: OptimisticRollup,
        position: OptimisticPosition,
        confirmed: tuple[int, BatchHeader],
        pending: Sequence[BatchRow],
        queue: Sequence[QueuedOperation],
    ) -> None:
        """position: the last right batch, which is the last confirmed one after a freeze. confirmed: number and header
        of the last confirmed one. pending: those after it, in order. queue: what the position has not consumed."""
        self.contract = rollup
        self.position = position
        self._confirmed = confirmed
        self._pending = pending
        self._queue = queue

    @property
    def place(self) -> tuple[bytes, int]:
        """See `FinalState`."""
        return self.position.state.state_root, self.position.state.queue_cursor

    def freeze_calls(self) -> list[tuple[str, bytes]]:
        """See `FinalState`. What nobody can dispute any more is confirmed first: the contract asks for that.

        Raises EscapeError when that would confirm a wrong batch, or one that could not be judged.
        """
        rollup = self.contract
        calls = []
        last, pending = self._confirmed[1], list(self._pending)
        now = rollup.chain.head().timestamp
        while pending and now > pending[0].header.timestamp + rollup.deployment.challenge_period:
            row = pending.pop(0)
            if row.verdict is not Verdict.RIGHT:
                why = "is wrong" if row.verdict else "could not be judged, since its data are not to be had"
                raise EscapeError(
                    f"batch {row.batch_id} {why}, and nobody can dispute it any more: freezing would make it final"
                )
            calls.append((f"batch {row.batch_id} confirmed", rollup.confirm_call(row.batch_id, row.header)))
            last = row.header
        first = pending[0].header if pending else last
        return [*calls, (FROZEN, rollup.freeze_call(last, first))]

    def leaves(self, owner: int) -> list[Claim]:
        """See `FinalState`: accounts, positions in pools, withdrawals."""
        state, rollup = self.position.state, self.contract
        claims = []
        for index, record in state.records():
            if isinstance(record, Account) and record.owner == owner and record.balance:
                worth: Credits = ((record.token, record.balance),)
                call = rollup.escape_call(index, state)
                claims.append(Claim(f"account {index}", worth, call, bool(rollup.view("isEscaped", index))))
            elif isinstance(record, PoolPosition) and record.owner == owner and record.shares:
                pool = state.record(record.pool)
                assert isinstance(pool, Pool)
                amounts = [record.shares * reserve // pool.shares for reserve in (pool.reserve_a, pool.reserve_b)]
                worth = tuple((t, a) for t, a in zip((pool.token_a, pool.token_b), amounts, strict=True) if a)
                call = rollup.escape_position_call(index, state)
                if worth:
                    what = f"position {index} in pool {record.pool}"
                    claims.append(Claim(what, worth, call, bool(rollup.view("isEscaped", index))))
        number, header = self._confirmed
        for index in range(state.withdrawal_count):
            paid = state.withdrawal(index)
            if paid.owner == owner:
                call = rollup.claim_withdrawal_call(number, header, state, index)
                is_done = bool(rollup.view("isWithdrawalClaimed", index))
                claims.append(Claim(f"withdrawal {index}", ((paid.token, paid.amount),), call, is_done))
        return claims

    def refunds(self, owner: int) -> list[Claim]:
        """See `FinalState`."""
        return refunds_of(self.contract, self._queue, owner)


def optimistic_reader(
    rollup: OptimisticRollup,
    store: OptimisticStore,
    blobs: BlobSource,
    progress: Callable[[int, int], None] = lambda block, batch: None,
) -> Callable[[], OptimisticFinalState]:
    """Reads an optimistic rollup's final state from L1 data alone, each time what is new. progress: see
    `OptimisticFollower`. The reader raises EscapeError when the last confirmed batch cannot be known."""
    follower = OptimisticFollower(rollup, store, blobs, page_done=progress)

    def read() -> OptimisticFinalState:
        sync = follower.sync()
        if follower.lost is not None:
            raise EscapeError(follower.lost)
        number = store.confirmed_id()
        row = store.live(number)
        header = follower.genesis.header if row is None else row.header
        if follower.position.batch_id < number:
            reason = "its data are missing" if sync.missing is None else sync.missing[1]
            raise EscapeError(
                f"the state after batch {number}, the last final one, is not known: {reason}. Give the database of a "
                "node that has followed the rollup"
            )
        live = [row for row in store.all_batches() if row.is_pending]
        queue = [row.entry for row in store.queued(follower.position.state.queue_cursor, ALL)]
        return OptimisticFinalState(rollup, follower.position, (number, header), live, queue)

    return read


@contextmanager
def open_final_state(
    rollup: Rollup | OptimisticRollup,
    database: Path | None = None,
    beacon: str | None = None,
    progress: Callable[[int, int], None] = lambda block, batch: None,
) -> Iterator[Callable[[], FinalState]]:
    """The reader for a rollup of either kind. database: of a node, to go on from what it has read; without one all is
    read from L1. beacon: see `blob_source`; only the optimistic rollup has blobs."""
    path = ":memory:" if database is None else database
    if isinstance(rollup, Rollup):
        with Store(path) as store:
            yield zk_reader(rollup, store, progress)
    else:
        with OptimisticStore(path) as optimistic:
            yield optimistic_reader(rollup, optimistic, blob_source(rollup.chain, beacon), progress)


def refunds_of(contract: CustodyContract, queue: Iterable[QueuedOperation], owner: int) -> list[Claim]:
    """An owner's deposits among queue entries."""
    return [
        Claim(
            f"deposit {entry.index} of the queue",
            ((entry.operation.token, entry.operation.amount),),
            contract.refund_call(entry.index, entry.operation),
            bool(contract.view("isRefunded", entry.index)),
        )
        for entry in queue
        if entry.operation.kind is Kind.DEPOSIT and entry.operation.owner == owner
    ]


@dataclass(frozen=True)
class Escaped:
    """What `escape` did for an owner. claims: all there are. sent: how many of them it sent. payouts: what is claimable
    now, by token in smallest units; empty once paid out."""

    claims: tuple[Claim, ...]
    sent: int
    payouts: dict[int, int]


def escape(
    read: Callable[[], FinalState],
    contract: CustodyContract,
    signer: Signer,
    owner: int,
    *,
    freeze: bool = False,
    refund: bool = True,
    claim: bool = False,
    show: Callable[[int, int], str] = lambda token, amount: f"{amount} of token {token}",
    say: Callable[[str], None] = lambda line: None,
) -> Escaped:
    """Credit everything that an owner has in a frozen rollup to the owner's payouts. May be called again and goes on.

    read: rebuilds the final state. signer: pays for the transactions, and need not be the owner. freeze: freeze the
    rollup if it is due. refund: refund deposits as well. claim: pay out to the owner as well. show: words for (token,
    amount). Raises EscapeError when the rollup is not frozen (and is not to be, or cannot be), ChainError for trouble
    with node or gas; what was sent before stays.
    """
    is_frozen = bool(contract.view("isFrozen"))
    if not is_frozen and not freeze:
        raise EscapeError(
            f"the rollup at {contract.address} is not frozen: withdraw, or force a withdrawal in the queue; if no "
            "batch takes that either, freeze the rollup (--freeze) when it is due"
        )
    final = read()
    if not is_frozen:
        _freeze(final, signer, say)
        final = read()  # what was pending is final or void now
    if _final_place(contract) != final.place:
        root, cursor = _final_place(contract)
        raise EscapeError(
            f"the rollup was frozen with root 0x{root.hex()} and {cursor} queue entries, L1 data give "
            f"0x{final.place[0].hex()} and {final.place[1]}: this program and the rollup differ"
        )
    claims = [*final.leaves(owner), *(final.refunds(owner) if refund else [])]
    sent = sum(_send_claim(contract, signer, one, show, say) for one in claims)
    tokens = sorted({token for one in claims for token, _ in one.credits})
    if claim:
        for token in tokens:
            _pay_out(contract, signer, owner, token, show, say)
    payouts = {token: contract.payout(int_to_address(owner), token) for token in tokens}
    return Escaped(tuple(claims), sent, {token: amount for token, amount in payouts.items() if amount})


def _final_place(contract: CustodyContract) -> tuple[bytes, int]:
    return contract.view("finalRoot"), contract.view("finalCursor")


def _freeze(final: FinalState, signer: Signer, say: Callable[[str], None]) -> None:
    contract = final.contract
    for what, call in final.freeze_calls():
        try:
            receipt = send(contract.chain, signer, contract.address, call)
        except RevertedError as error:
            if error.name == "RollupFrozen":
                return  # somebody was quicker
            if error.name == "FreezeTooEarly":
                raise EscapeError(_too_early(contract, int(error.arguments["until"]))) from error
            raise
        say(f"{what}: transaction 0x{receipt.hash.hex()}, {receipt.gas_used:,} gas")


def _too_early(contract: CustodyContract, until: int) -> str:
    deadline = contract.view("freezeDeadline")
    if until == NEVER:
        return (
            f"the rollup at {contract.address} cannot be frozen: nothing waits in its queue. Force a withdrawal of an "
            f"account (`ape run wallet force-withdraw`); if no batch comes within {deadline} s, freeze it then"
        )
    now = contract.chain.head().timestamp
    return (
        f"the rollup at {contract.address} cannot be frozen before {_time(until + 1)} ({until + 1}; it is {now}): its "
        f"last batch, or what waits in its queue, is not older than {deadline} s. Come back if no batch comes"
    )


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _send_claim(
    contract: CustodyContract,
    signer: Signer,
    claim: Claim,
    show: Callable[[int, int], str],
    say: Callable[[str], None],
) -> bool:
    """Whether it was sent: not if it was before, by whomever."""
    worth = " and ".join(show(token, amount) for token, amount in claim.credits)
    if claim.is_done:
        say(f"{claim.what}: {worth}, credited before")
        return False
    try:
        receipt = send(contract.chain, signer, contract.address, claim.call)
    except RevertedError as error:
        if error.name not in _DONE:
            raise
        say(f"{claim.what}: {worth}, credited by somebody else meanwhile")
        return False
    say(f"{claim.what}: {worth} credited, transaction 0x{receipt.hash.hex()}, {receipt.gas_used:,} gas")
    return True


def _pay_out(
    contract: CustodyContract,
    signer: Signer,
    owner: int,
    token: int,
    show: Callable[[int, int], str],
    say: Callable[[str], None],
) -> None:
    address = int_to_address(owner)
    amount = contract.payout(address, token)
    if amount == 0:
        return
    try:
        receipt = send(contract.chain, signer, contract.address, contract.withdraw_for_call(address, token))
    except RevertedError as error:
        # One token that does not pay must not keep the others.
        say(f"{show(token, amount)} cannot be paid to {address} ({error.detail}): the owner can have it paid elsewhere")
        return
    say(f"{show(token, amount)} paid to {address}: transaction 0x{receipt.hash.hex()}")
