"""What payer, payee, watchtower and party have in common: they follow L1, decide, and send letters.

Everything that an actor decides, it decides again from what is stored, so it can be killed anywhere; letters are never
lost nor sent twice (`layer2.actors.outbox`). May import actors and `layer2.channels`.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from layer2.actors.database import Letter
from layer2.actors.errors import RefusedError
from layer2.actors.outbox import Fate, Outbox
from layer2.actors.stepping import run_until_idle
from layer2.chain.connection import LOCAL_CHAIN_IDS, BlockRef
from layer2.chain.errors import InsufficientFundsError
from layer2.chain.permit import Permit
from layer2.chain.sending import build
from layer2.chain.signer import Signer
from layer2.channels.contracts import Channels
from layer2.channels.errors import ChannelError
from layer2.channels.follower import ChannelFollower, ChannelSync
from layer2.channels.signing import ETH
from layer2.channels.states import StateChannelConfig
from layer2.channels.store import ChannelStore, HubEntry, StateEntry
from layer2.channels.vouchers import ChannelConfig, SignedVoucher

DEPOSIT: Final = "deposit"
CLAIM: Final = "claim"
SETTLE: Final = "settle"
CHALLENGE: Final = "challenge"
REVEAL: Final = "reveal secret"

URGENT: Final = frozenset({CHALLENGE, REVEAL, CLAIM})
"""Letters that save money: they are sent before all others, which may leave too little for their gas."""

STALE_AFTER: Final = 600
"""Seconds after which what was read of L1, by the time of its head, is too old to take a payment by: less than every
delay and period, so that a withdrawal or a closing that has begun since is still answered in time."""

CLAIMS_PER_CALL: Final = 50
"""Vouchers in one `claimMany`, about a million gas."""


@dataclass(frozen=True)
class Move:
    """A call that was sent to L1: what for, and about what (a channel's id or a token's address in hex, mostly).

    reason: why it came to nothing, None if it was mined. transaction: its hash if it was mined.
    """

    purpose: str
    reference: str
    reason: str | None = None
    transaction: bytes | None = None


@dataclass
class StepReport:
    """What a `step` did. started: calls that are on their way now; settled: their outcomes; unpaid: calls that wait for
    ETH to be sent with; warnings: what a person should look at."""

    sync: ChannelSync
    started: list[Move] = field(default_factory=list)
    settled: list[Move] = field(default_factory=list)
    unpaid: list[Move] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    is_settling: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing happened."""
        return self.sync.is_empty and not (self.started or self.settled)

    @property
    def waiting_for(self) -> str | None:
        """What keeps the actor from going on."""
        return "a transaction to be mined" if self.is_settling else None

    @property
    def problem(self) -> str | None:
        """What makes a service unhealthy: money can be lost if an urgent call is not paid for in time."""
        urgent = [f"{move.purpose} ({move.reference})" for move in self.unpaid if move.purpose in URGENT]
        if not urgent:
            return None
        more = f" and {len(urgent) - 1} more" if len(urgent) > 1 else ""
        return f"there is too little ETH to pay for {urgent[0]}{more}"


class ChannelActor:
    """The base of the four. `step` belongs to one thread."""

    ROLE = "actor"
    """Whose database it is."""

    def __init__(
        self,
        channels: Channels,
        store: ChannelStore,
        signer: Signer,
        *,
        wants_hub: Callable[[ChannelConfig], bool] = lambda config: False,
        wants_state: Callable[[StateChannelConfig], bool] = lambda config: False,
        confirmations: int | None = None,
        resend_after: float = 60,
        gas_limits: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.time,
        checkpoint: Callable[[str], None] = lambda point: None,
    ) -> None:
        """wants_hub, wants_state, confirmations: see `ChannelFollower`. resend_after, gas_limits: see `Outbox`. clock:
        seconds since 1970. checkpoint: called with the name of each point where being killed matters.

        Raises StoreError for the database of another deployment, role or account, ChainError when the node does not
        answer.
        """
        self.channels = channels
        self.signer = signer
        self._actor_store = store
        self._checkpoint = checkpoint
        store.bind(f"{self.ROLE} {signer.address} of {channels.name}")
        self.follower = ChannelFollower(
            channels, store, wants_hub=wants_hub, wants_state=wants_state, confirmations=confirmations, clock=clock
        )
        self._clock = clock
        self._outbox = Outbox(
            channels.chain,
            store,
            signer,
            resend_after=resend_after,
            urgent=URGENT,
            gas_limits=gas_limits,
            clock=clock,
            checkpoint=checkpoint,
        )
        self._refused: dict[tuple[str, str], BlockRef] = {}
        self._settled_at = -1
        self._settled_own: dict[bytes, object] | None = None

    @property
    def address(self) -> str:
        """The account's address."""
        return self.signer.address

    def step(self) -> StepReport:
        """Do everything that can be done now.

        Raises ChainError for trouble with the node (try again), ActorError for what a person must see.
        """
        report = StepReport(self.follower.sync())
        self._checkpoint("synced")
        # What was never sent waits until it is known whether something urgent has to be paid for first.
        is_complete = self._settle_letters(report, lambda letter: bool(letter.attempts) or letter.purpose in URGENT)
        self._act(self.channels.chain.head().timestamp, report)
        if report.started or not is_complete:
            self._settle_letters(report)
            self._checkpoint("settled")
        return report

    def run_until_idle(self, timeout: float = 900) -> list[StepReport]:
        """Step until there is nothing to do and nothing waits to be mined. Raises ChannelError after `timeout` s."""
        is_local = self.channels.deployment.chain_id in LOCAL_CHAIN_IDS
        return run_until_idle(self.step, timeout, ChannelError, 0.02 if is_local else 2)

    def _check_synced(self) -> None:
        """Raises RefusedError unless L1 is known up to lately: the other side could have taken its money back since."""
        synced = self.follower.synced
        if synced is None or self._clock() - synced > STALE_AFTER:
            raise RefusedError(
                "not_synced",
                f"{self.address} has not read L1 for too long to take this, or its node stands still: try again later",
            )

    def _act(self, now: int, report: StepReport) -> None:
        """Write what can be written now. now: the time of L1's head, seconds since 1970."""
        raise NotImplementedError

    # ---------------------------------------------------------------- letters

    def _settle_letters(self, report: StepReport, wants: Callable[[Letter], bool] = lambda letter: True) -> bool:
        """Send what waits, and record what became of it. What the account cannot pay for goes on waiting, and keeps
        nothing else from being sent. wants: which letters are looked at. Returns whether these were all."""
        report.is_settling = False
        report.unpaid.clear()
        letters = self._actor_store.open_letters()
        wanted = [letter for letter in letters if wants(letter)]
        for letter in sorted(wanted, key=lambda one: one.purpose not in URGENT):
            cursor = self.follower.cursor
            try:
                outcome = self._outbox.advance(letter, cursor.number)
            except InsufficientFundsError:
                report.unpaid.append(Move(letter.purpose, letter.reference))
                warning = (
                    f"{self.address} cannot pay for {letter.purpose} ({letter.reference}), which sends {letter.value} "
                    "wei and takes gas: send it some ETH"
                )
                if warning not in report.warnings:
                    report.warnings.append(warning)
                continue
            if outcome.fate is Fate.WAITING:
                report.is_settling = True
                continue
            if outcome.fate is Fate.MINED:
                assert outcome.receipt is not None
                self._actor_store.set_letter_state(letter.id, "mined", outcome.receipt.block.number)
                report.settled.append(Move(letter.purpose, letter.reference, None, outcome.receipt.hash))
                continue
            is_refused = outcome.fate is Fate.REFUSED
            self._actor_store.set_letter_state(letter.id, "void" if is_refused else "failed", cursor.number)
            self._refused[letter.purpose, letter.reference] = cursor
            detail = outcome.error.detail if outcome.error else "it reverted, but would not any more"
            report.settled.append(Move(letter.purpose, letter.reference, detail))
        return len(wanted) == len(letters)

    def _write(
        self, report: StepReport, purpose: str, reference: str, target: str, call: bytes, *, value: int = 0
    ) -> None:
        """Write a letter, unless the same one was refused on this very block: it would be again."""
        if self._refused.get((purpose, reference)) == self.follower.cursor:
            return
        self._actor_store.add_letter(purpose, reference, target, call, value=value)
        report.started.append(Move(purpose, reference))
        self._checkpoint(f"{purpose} written")

    def _is_open(self, purpose: str, reference: str) -> bool:
        """Whether a letter is on its way."""
        return any(letter.state == "open" for letter in self._actor_store.letters(purpose, reference))

    # ---------------------------------------------------------------- what several of them send

    def _write_deposit(
        self,
        config: ChannelConfig | StateChannelConfig,
        contract: str,
        amount: int,
        call: Callable[[Permit | None], bytes],
    ) -> None:
        """Write a letter that deposits into a channel of a contract. call: its input, with the token's permit if any.

        Raises ChannelError for too little money, ChainError when a token's approval fails or the contract refuses it.
        """
        if amount <= 0:
            raise ChannelError(f"a deposit of {amount} adds nothing: give an amount")
        held = self.channels.held(self.address, config.token)
        if held < amount:
            raise ChannelError(f"{self.address} holds {held} of token {config.token}, not {amount}: get more first")
        is_ether = config.token == ETH
        permit = None if is_ether else self.channels.allow(self.signer, contract, config.token, amount)
        self._write_wanted(DEPOSIT, config.id.hex(), contract, call(permit), amount if is_ether else 0)

    def _write_wanted(self, purpose: str, reference: str, target: str, call: bytes, value: int = 0) -> None:
        """Write a letter that the user asks for, if the account can pay for it now: it would wait for ever, and be sent
        when nobody expects it.

        Errors as `_check_affordable`.
        """
        self._check_affordable(purpose, target, call, value)
        self._write_letter(purpose, reference, target, call, value)

    def _check_affordable(self, purpose: str, target: str, call: bytes, value: int = 0) -> None:
        """Raises ChannelError when the account cannot pay for a call now, ChainError when the contract refuses it."""
        try:
            build(self.channels.chain, self.address, target, call, value=value)
        except InsufficientFundsError as error:
            raise ChannelError(f"{self.address} cannot pay for this {purpose} and its gas: {error}") from error

    def _write_letter(self, purpose: str, reference: str, target: str, call: bytes, value: int = 0) -> None:
        self._actor_store.add_letter(purpose, reference, target, call, value=value)
        self._checkpoint(f"{purpose} written")

    def _claims_under_way(self) -> dict[bytes, int]:
        """For each channel of the hub whose claim is on its way, the amount of the voucher."""
        found: dict[bytes, int] = {}
        for letter in self._actor_store.open_letters():
            if letter.purpose == CLAIM:
                for key, amount in self.channels.claims_of(letter.input):
                    found[key] = max(amount, found.get(key, 0))
        return found

    def _write_claims(self, report: StepReport, claims: list[tuple[HubEntry, SignedVoucher]]) -> None:
        """Write letters that claim vouchers, those of channels that are about to be withdrawn from first."""
        claims.sort(key=lambda claim: claim[0].facts.withdrawable_after or 1 << 40)
        for start in range(0, len(claims), CLAIMS_PER_CALL):
            part = [(entry.config, signed) for entry, signed in claims[start : start + CLAIMS_PER_CALL]]
            first = part[0][1]
            more = f" and {len(part) - 1} more" if len(part) > 1 else ""
            reference = f"0x{first.channel_id.hex()} up to {first.amount}{more}"
            self._write(report, CLAIM, reference, self.channels.hub, self.channels.claim_call(part))

    def _is_known(self, token: str) -> bool:
        """Whether a token is ETH or one of the deployment's. Anybody can open channels for anybody, in a token that
        takes all the gas it can get."""
        return token == ETH or any(one.address == token for one in self.channels.deployment.tokens)

    def _has_deposited(self, channel_id: bytes) -> bool:
        """Whether this account has deposited into a channel, as far as this database knows."""
        return bool(self._actor_store.letters(DEPOSIT, channel_id.hex()))

    def _settle_own(
        self,
        report: StepReport,
        contract: str,
        entries: Iterable[HubEntry | StateEntry],
        dust: int,
        *,
        takes_part: Callable[[bytes], bool],
        trusts: Callable[[bytes], bool],
    ) -> None:
        """Have paid out what a contract owes this account, once after each start, and when something has happened in a
        channel in which it takes part: strangers can make the contract owe it something as often as they like.

        takes_part: whether this account has had to do with a channel. trusts: whether it has put a channel's token to
        use itself, so that a call to it is nobody's trap.
        """
        if self._settled_at == self.follower.changes:
            return
        entries = list(entries)
        own: dict[bytes, object] = {entry.id: entry.facts for entry in entries if takes_part(entry.id)}
        if own != self._settled_own:
            tokens = {entry.config.token for entry in entries}
            tokens = {token for token in tokens if self._is_known(token)} | {
                entry.config.token for entry in entries if entry.id in own and trusts(entry.id)
            }
            self._write_settlements(report, contract, tokens, dust)
            self._settled_own = own
        self._settled_at = self.follower.changes

    def _settle_anew(self) -> None:
        """Look at what is owed at the next step, even if nothing happens until then."""
        self._settled_at, self._settled_own = -1, None

    def _write_settlements(self, report: StepReport, contract: str, tokens: Iterable[str], dust: int = 0) -> None:
        """Write letters that have paid out what a contract owes this account, if it is more than dust."""
        for token in sorted(tokens):
            reference = f"{token} of {contract}"
            if self.channels.owed(contract, self.address, token) > dust and not self._is_open(SETTLE, reference):
                self._write(report, SETTLE, reference, contract, self.channels.settle_call(self.address, token))


def due(entry: HubEntry, amount: int) -> int:
    """What the hub would pay now for a voucher over `amount`."""
    return min(max(amount - entry.facts.released, 0), entry.facts.balance)
