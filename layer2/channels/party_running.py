"""What a party of channels that two sign does on the command line: its messages come and go as files.

May import everything but scripts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from layer2.chain.errors import ChainError
from layer2.chain.signer import Signer
from layer2.channels.contracts import Channels
from layer2.channels.errors import ChannelError, MalformedError
from layer2.channels.messages import MAX_MESSAGE, Message, Proposal, Refusal, message_from_json
from layer2.channels.party import Party, PartyRules, PartyStore
from layer2.channels.running import Say, database_path, run_once, tell, token_of
from layer2.channels.signing import ETH
from layer2.channels.states import FinalState, Lock, SignedState, State
from layer2.channels.store import StateEntry

Deliver = Callable[[Message], None]
"""Hands a message to the other party: writes a file, say."""

STDIN: Final = "-"


class Correspondent:
    """A party, and what its user hears of it. Amounts are in smallest units."""

    def __init__(self, party: Party, store: PartyStore, say: Say) -> None:
        """store: the party's."""
        self.party = party
        self._store = store
        self._say = say
        self._said: set[str] = set()

    def look(self) -> None:
        """Read L1, and do what is due there. Failures are only told: what is wanted beside need not wait for them."""
        try:
            self._run()
        except (ChainError, ChannelError) as error:
            self._say(f"warning: not everything is done that is due: {error}")

    def _run(self) -> bool:
        """Step until there is nothing to do. Returns whether everything worked, and nothing came too late."""
        is_good = True
        for report in self.party.run_until_idle():
            is_good &= not report.warnings
            report.warnings[:] = [one for one in dict.fromkeys(report.warnings) if one not in self._said]
            self._said.update(report.warnings)
            is_good &= tell(report, self._say)
        return is_good

    # ---------------------------------------------------------------- deposits

    def open(self, other: str, amount: int, token: str, challenge_period: int) -> bytes:
        """Open a channel with a deposit. Returns its id. Errors as `Party.open`."""
        config = self.party.open(other, amount, token=token, challenge_period=challenge_period)
        run_once(self.party, self._say)
        return config.id

    def deposit(self, channel_id: bytes, amount: int) -> None:
        """Deposit (more) into a channel. Raises ChannelError."""
        self.party.deposit(channel_id, amount)
        run_once(self.party, self._say)

    # ---------------------------------------------------------------- updates

    def deadline(self, seconds: int) -> int:
        """The time in so many seconds, by L1's clock."""
        return self._now() + seconds

    def unlock(self, channel_id: bytes, hash_: bytes) -> Proposal:
        """Propose that a lock is paid, whoever has made it. Raises ChannelError."""
        lock = self.party.state(channel_id).lock(hash_)
        is_mine = lock is not None and lock.to_a != self._is_a(self.party.entry(channel_id))
        return (self.party.settle_lock if is_mine else self.party.unlock)(channel_id, hash_)

    def resend(self, channel_id: bytes) -> Message:
        """What the other party may not have got. Raises ChannelError when there is nothing."""
        self.party.entry(channel_id)
        message = self.party.waiting(channel_id)
        if message is None:
            raise ChannelError(f"nothing was ever proposed or signed on channel 0x{channel_id.hex()}: pay, or close")
        return message

    def receive(self, text: str, deliver: Deliver) -> bool:
        """Take what the other party wrote, deliver the answer as soon as it is stored, and do what has become due.

        Returns whether it was agreed to. Raises MalformedError for what is no message, RefusedError with the other's
        reason when that is what it wrote.
        """
        message = message_from_json(text)
        answer = self.party.receive(message)
        if answer is not None:
            deliver(answer)
        if isinstance(answer, Refusal):
            self._say(f"refused ({answer.code}): {answer.reason}")
            self._say("give the answer to the other party, so that it hears of that")
            return False
        assert not isinstance(message, Refusal)  # it would have been raised
        key = message.outcome.channel_id
        entry = self.party.entry(key)
        self._say("\n".join(self._agreement(entry) + self._end(entry)))
        self._say(f"give the answer to {self._other(key)}" if answer is not None else "there is nothing to answer")
        self.look()
        return True

    def export(self, channel_id: bytes) -> SignedState:
        """The last state with both signatures. Raises ChannelError when there is none."""
        best = self.party.best(channel_id)
        if best.state.version == 0:
            raise ChannelError(f"no state of channel 0x{channel_id.hex()} is signed by both yet: pay first")
        return best

    # ---------------------------------------------------------------- closing

    def close(self, channel_id: bytes, deliver: Deliver) -> None:
        """Close together: send what both have signed, else deliver what the other party has to have for that.

        Raises ChannelError.
        """
        ending = self._store.ending(channel_id)
        if self.party.entry(channel_id).facts.status == "closed" or (ending and ending.mine and ending.theirs):
            if not self._close(channel_id):
                raise ChannelError(f"channel 0x{channel_id.hex()} is not closed yet: see above")
            return
        is_signed = ending is not None and ending.mine is not None
        deliver(self.resend(channel_id) if is_signed else self.party.propose_final(channel_id))
        self._say(f"give this to {self._other(channel_id)}, and its answer to `receive`; it sends nothing to L1 yet")

    def close_alone(self, channel_id: bytes, nothing_signed: bool) -> bool:
        """Close with the last state with both signatures. Returns whether it is closed: not before the period is over.

        nothing_signed: the user knows that nothing was ever signed, should there be nothing. Raises ChannelError.
        """
        is_open = self.party.entry(channel_id).facts.status == "open"
        if is_open and self.party.best(channel_id).state.version == 0 and not nothing_signed:
            raise ChannelError(
                f"database {self._store.path} has no state of channel 0x{channel_id.hex()}: who closes without loses "
                "everything if two were ever signed; name the right --database, or say --nothing-signed"
            )
        return self._close(channel_id)

    def _close(self, channel_id: bytes) -> bool:
        """Send what closes a channel, and have paid out what is owed, unless that is done. Returns whether it is
        closed. Raises ChannelError when it is, and more than dust is still owed."""
        if self.party.entry(channel_id).facts.status != "closed" or self.party.owed(channel_id):
            self.party.close(channel_id)
            self._run()
        entry = self.party.entry(channel_id)
        for line in self._end(entry):
            self._say(line)
        owed = self.party.owed(channel_id)
        if entry.facts.status == "closed" and owed > self.party.rules.dust:
            raise ChannelError(
                f"channel 0x{channel_id.hex()} is closed, and {self._show(entry, owed)} is still owed: see above"
            )
        return entry.facts.status == "closed"

    def step(self) -> bool:
        """Do what is due, and say what comes next. Returns whether it worked, and nothing came too late."""
        is_good = self._run()
        for entry in self.party.follower.states.values():
            if entry.facts.status == "closing":
                self._say("\n".join([f"channel   0x{entry.id.hex()}", *self._end(entry)]))
        return is_good

    # ---------------------------------------------------------------- what there is

    def status(self, entry: StateEntry) -> list[str]:
        """A channel in lines."""
        party, facts, is_a = self.party, entry.facts, self._is_a(entry)
        mine, theirs = facts.deposits_a, facts.deposits_b
        if not is_a:
            mine, theirs = theirs, mine
        lines = [
            f"channel   0x{entry.id.hex()}",
            f"other     {entry.config.other(party.address)}, who is {'B' if is_a else 'A'}",
            f"status    {facts.status}",
            f"token     {'ETH' if entry.config.token == ETH else entry.config.token}",
            f"deposited {self._show(entry, mine)} by you, {self._show(entry, theirs)} by the other",
            *self._agreement(entry),
            *self._end(entry),
        ]
        owed = party.owed(entry.id)
        if owed:
            lines.append(f"owed      {self._show(entry, owed)} to you, for all channels: {self._payout(entry, owed)}")
        return lines

    def _payout(self, entry: StateEntry, owed: int) -> str:
        """How what is owed is paid out."""
        if not self.party.has_paid_out(entry.id):
            return "nobody here has vouched for the token; `close` has it paid out, if you trust it"
        if owed <= self.party.rules.dust:
            return "no more than --dust"
        return "`step` has it paid out"

    def _agreement(self, entry: StateEntry) -> list[str]:
        """What is signed by both, and what is not yet."""
        key, is_a = entry.id, self._is_a(entry)
        agreed = self.party.best(key).state
        state = self.party.state(key) if entry.facts.status == "open" else agreed
        lines = [
            f"version   {agreed.version} is signed by both",
            f"balance   {self._show(entry, state.balance(is_a))} yours, "
            f"{self._show(entry, state.balance(not is_a))} the other's",
        ]
        lines += [self._lock(entry, lock) for lock in agreed.locks]
        proposal, pending, ending = self._store.proposal(key), self._store.pending(key), self._store.ending(key)
        if pending is not None:
            lines.append(f"waiting   version {pending.state.version} is signed by you, not by the other")
        elif proposal is not None:
            lines.append(f"waiting   version {proposal.version} is proposed by you")
        if ending is not None and entry.facts.status != "closed":
            signed = [who for who, one in (("you", ending.mine), ("the other", ending.theirs)) if one]
            lines.append(f"final     proposed, signed by {' and '.join(signed) or 'nobody yet'}")
        return lines

    def _lock(self, entry: StateEntry, lock: Lock) -> str:
        whose = "you" if lock.to_a == self._is_a(entry) else "the other"
        public, now = self._store.revealed(lock.hash), self._now()
        if public is not None and public.time <= lock.deadline:
            fate = "paid: its secret is public"
        elif now > lock.deadline:
            fate = "over: it goes back"
        else:
            known = "known" if self._store.secret(lock.hash) is not None else "not known"
            fate = f"until {lock.deadline} ({lock.deadline - now} s from now), its secret is {known} here"
        return f"lock      {self._show(entry, lock.amount)} to {whose} for 0x{lock.hash.hex()}, {fate}"

    def _end(self, entry: StateEntry) -> list[str]:
        """How far the closing is."""
        closing, outcome, now = entry.facts.closing, entry.facts.outcome, self._now()
        if outcome is not None:
            mine, theirs = outcome.amount_a, outcome.amount_b
            if not self._is_a(entry):
                mine, theirs = theirs, mine
            penalty = f"; {outcome.penalised} had published an old state" if outcome.penalised else ""
            return [
                f"closed    with version {outcome.version}: {self._show(entry, mine)} to you, "
                f"{self._show(entry, theirs)} to the other{penalty}"
            ]
        if closing is None:
            return []
        if now <= closing.deadline:
            until = f"to be answered until {closing.deadline} ({closing.deadline - now} s from now)"
        else:
            last = max((lock.deadline for lock in closing.state.locks), default=0)
            until = f"its locks are decided by {last}" if now <= last else "it can be finished"
        who = "you" if closing.closer == self.party.address else "the other"
        return [f"closing   by {who}, version {closing.state.version} is on the table: {until}"]

    def describe(self, message: Message) -> str:
        """What a message of this party's own proposes."""
        assert isinstance(message, Proposal)
        outcome = message.outcome
        entry = self.party.entry(outcome.channel_id)
        mine, theirs = outcome.balance_a, outcome.balance_b
        if not self._is_a(entry):
            mine, theirs = theirs, mine
        locks = len(outcome.locks) if isinstance(outcome, State) else 0
        locked = f", {locks} locks" if locks else ""
        kind = "final state" if isinstance(outcome, FinalState) else "version"
        return (
            f"proposes {kind} {outcome.version}: {self._show(entry, mine)} yours, {self._show(entry, theirs)} the "
            f"other's{locked}; give it to {entry.config.other(self.party.address)}"
        )

    def _show(self, entry: StateEntry, amount: int) -> str:
        return token_of(self.party.channels, entry.config.token).show(amount)

    def _is_a(self, entry: StateEntry) -> bool:
        return entry.config.is_a(self.party.address)

    def _other(self, channel_id: bytes) -> str:
        return self.party.entry(channel_id).config.other(self.party.address)

    def _now(self) -> int:
        return self.party.channels.chain.head().timestamp


@contextmanager
def opened_party(
    channels: Channels, signer: Signer, database: Path | None, dust: int, say: Say
) -> Iterator[Correspondent]:
    """An account's party while its database is open; dust: see `PartyRules`. Raises as `Party`."""
    with PartyStore(database or database_path("party", channels, signer)) as store:
        yield Correspondent(Party(channels, store, signer, PartyRules(dust=dust)), store, say)


def read_message(path: Path, stdin: Callable[[int], str]) -> str:
    """The text of a message's file, "-" for standard input. Raises MalformedError when it cannot be one."""
    try:
        if str(path) == STDIN:
            return stdin(MAX_MESSAGE + 1)
        with path.open() as file:
            return file.read(MAX_MESSAGE + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise MalformedError(f"{path} holds no message: {error}") from error
