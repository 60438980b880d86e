"""Gets an owner's money out of a rollup that nobody runs any more: freeze, escapes, refunds, payouts.

Everything comes from L1 data; no operator is asked. A `FinalState` says what a frozen rollup owes and which calls get
it, one for each kind of rollup; the rest is the same for all (docs/protocol.md §6.5, docs/optimistic.md §6).
May import what the rebuild may.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from layer2.actors.errors import ActorError
from layer2.actors.rebuild import Rebuilt, rebuild
from layer2.chain.custody import CustodyContract
from layer2.chain.errors import RevertedError
from layer2.chain.rollup import Rollup
from layer2.chain.sending import send
from layer2.chain.signer import Signer
from layer2.crypto.addresses import int_to_address
from layer2.ledger.constants import Kind
from layer2.ledger.operations import Operation

NEVER: Final = 2**256 - 1
"""Until when a rollup with an empty queue cannot be frozen."""

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
    credits: tuple[tuple[int, int], ...]
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

    def freeze_call(self) -> bytes:
        """Input of the call that freezes the rollup in this state."""
        ...

    def leaves(self, owner: int) -> list[Claim]:
        """What an owner holds in the final state, and other claims that batches gave, in the order of their numbers."""
        ...

    def refunds(self, owner: int) -> list[Claim]:
        """An owner's deposits that the final state has not consumed, in the order of the queue."""
        ...


class ZKFinalState:
    """The final state of a ZK rollup: that of the last batch."""

    def __init__(self, rollup: Rollup, rebuilt: Rebuilt) -> None:
        self.contract = rollup
        self._rebuilt = rebuilt

    @classmethod
    def read(cls, rollup: Rollup, progress: Callable[[int, int], None] = lambda block, batch: None) -> "ZKFinalState":
        """From L1 data alone. progress: see `rebuild`. Raises as `rebuild`."""
        return cls(rollup, rebuild(rollup, progress=progress))

    @property
    def place(self) -> tuple[bytes, int]:
        """See `FinalState`."""
        return self._rebuilt.state.root.to_bytes(32), self._rebuilt.queue_cursor

    def freeze_call(self) -> bytes:
        """See `FinalState`."""
        return self.contract.freeze_call()

    def leaves(self, owner: int) -> list[Claim]:
        """See `FinalState`. Accounts that hold nothing are left out."""
        state, rollup = self._rebuilt.state, self.contract
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
        return refunds_of(self.contract, self._rebuilt.queue, self._rebuilt.queue_cursor, owner)


def refunds_of(contract: CustodyContract, queue: Iterable[Operation], cursor: int, owner: int) -> list[Claim]:
    """An owner's deposits from position `cursor` of the whole queue on."""
    return [
        Claim(
            f"deposit {index} of the queue",
            ((entry.token, entry.amount),),
            contract.refund_call(index, entry),
            bool(contract.view("isRefunded", index)),
        )
        for index, entry in enumerate(queue)
        if index >= cursor and entry.kind is Kind.DEPOSIT and entry.owner == owner
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
        if _final_place(contract) != final.place:
            final = read()  # the last batch was not there yet
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
    try:
        receipt = send(contract.chain, signer, contract.address, final.freeze_call())
    except RevertedError as error:
        if error.name == "RollupFrozen":
            return  # somebody was quicker
        if error.name == "FreezeTooEarly":
            raise EscapeError(_too_early(contract, int(error.arguments["until"]))) from error
        raise
    say(f"frozen for ever: transaction 0x{receipt.hash.hex()}, {receipt.gas_used:,} gas")


def _too_early(contract: CustodyContract, until: int) -> str:
    deadline = contract.view("freezeDeadline")
    if until == NEVER:
        return (
            f"the rollup at {contract.address} cannot be frozen: nothing waits in its queue. Force a withdrawal "
            f"(`ape run wallet force-withdraw`); if no batch comes within {deadline} s, freeze it then"
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
