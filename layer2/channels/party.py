"""A party of channels that two sign: proposes and accepts updates, conditional payments over a middle party, closings.

Three rules carry everything (docs/channels.md): a party signs one state per version and stores it before it shows it;
it signs version v + 1 only when it holds version v with both signatures; and once it has signed a final state, or wants
to close, it signs nothing more. Who is asked signs first, so a proposal that is refused binds nobody.
May import actors and `layer2.channels`.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from layer2.actors.errors import RefusedError
from layer2.chain.signer import Signer
from layer2.channels.actor import CHALLENGE, REVEAL, ChannelActor, StepReport
from layer2.channels.contracts import Channels
from layer2.channels.errors import ChannelError
from layer2.channels.messages import Message, Proposal, Refusal, Signature
from layer2.channels.signing import ETH, MAX_UINT128, is_signed_by, sign
from layer2.channels.states import MAX_LOCKS, FinalState, Lock, SignedState, State, StateChannelConfig, secret_hash
from layer2.channels.store import ChannelStore, Closing, StateEntry
from layer2.foreign import printable

START: Final = "start close"
FINISH: Final = "finish close"
COOPERATE: Final = "close together"

_SCHEMA: Final = """
CREATE TABLE states (
    channel BLOB NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL, mine BLOB NOT NULL, theirs BLOB,
    PRIMARY KEY (channel, version)
) STRICT;
CREATE TABLE proposals (channel BLOB PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE finals (
    channel BLOB PRIMARY KEY, body TEXT NOT NULL, mine BLOB, theirs BLOB, is_own INTEGER NOT NULL
) STRICT;
CREATE TABLE closing (channel BLOB PRIMARY KEY) STRICT;
CREATE TABLE secrets (hash BLOB PRIMARY KEY, secret BLOB NOT NULL) STRICT;
CREATE TABLE prices (hash BLOB PRIMARY KEY, token TEXT NOT NULL, amount BLOB NOT NULL) STRICT;
"""


@dataclass(frozen=True)
class Pending:
    """A state that this party has signed and the other one has not, as far as is known."""

    state: State
    signature: bytes


@dataclass(frozen=True)
class Ending:
    """A final state: whether this party proposed it, and the signatures that are there (None: not yet)."""

    outcome: FinalState
    mine: bytes | None
    theirs: bytes | None
    is_own: bool


class PartyStore(ChannelStore):
    """The database of a party.

    Never put an old copy of it in place: a party that closes with an old state loses everything.
    """

    DAMAGED = "put no old copy in its place; ask the other parties of its channels to close"
    SCHEMA = _SCHEMA
    VERSION = 2
    APPLICATION = 0x4C325041

    # ---------------------------------------------------------------- states

    def put_signed(self, state: State, mine: bytes) -> None:
        """Record a state that this party has signed. Raises ChannelError when it has signed another of this version."""
        body = _pack(state)
        with self.transaction():
            self._run(
                "INSERT OR IGNORE INTO states VALUES (?, ?, ?, ?, NULL)", state.channel_id, state.version, body, mine
            )
            (known,) = self._run(
                "SELECT body FROM states WHERE channel = ? AND version = ?", state.channel_id, state.version
            )[0]
            if known != body:
                raise ChannelError(f"version {state.version} was signed with another content: sign nothing else")

    def complete(self, state: State, theirs: bytes) -> None:
        """Record the other signature of a state; proposals, and older states that count the same deposits, are not
        needed any more. Others are: a reorg may take back what the new one counts."""
        key, version = state.channel_id, state.version
        with self.transaction():
            self._run("UPDATE states SET theirs = ? WHERE channel = ? AND version = ?", theirs, key, version)
            for older, _, _ in self._agreed(key):
                if older.version < version and older.counted == state.counted:
                    self._run("DELETE FROM states WHERE channel = ? AND version = ?", key, older.version)
            self._run("DELETE FROM proposals WHERE channel = ? AND version <= ?", key, version)

    def agreed(self, channel_id: bytes, deposits: tuple[int, int] | None = None) -> tuple[State, bytes, bytes]:
        """The last state with both signatures, this party's first; version 0 without any.

        deposits: of A and B; only states that count no more are looked at.
        """
        for found in self._agreed(channel_id):
            if deposits is None or found[0].is_covered_by(deposits):
                return found
        return State.initial(channel_id), b"", b""

    def _agreed(self, channel_id: bytes) -> Iterator[tuple[State, bytes, bytes]]:
        """States with both signatures, the last one first; of those that count the same deposits the last one only."""
        rows = self._run(
            "SELECT body, mine, theirs FROM states WHERE channel = ? AND theirs IS NOT NULL ORDER BY version DESC",
            channel_id,
        )
        return ((State.from_json(json.loads(body)), mine, theirs) for body, mine, theirs in rows)

    def pending(self, channel_id: bytes) -> Pending | None:
        """What waits for the other signature."""
        rows = self._run(
            "SELECT body, mine FROM states WHERE channel = ? AND theirs IS NULL ORDER BY version DESC LIMIT 1",
            channel_id,
        )
        return Pending(State.from_json(json.loads(rows[0][0])), rows[0][1]) if rows else None

    # ---------------------------------------------------------------- proposals

    def add_proposal(self, state: State) -> None:
        """Record what this party proposes."""
        self._run("INSERT OR REPLACE INTO proposals VALUES (?, ?, ?)", state.channel_id, state.version, _pack(state))

    def proposal(self, channel_id: bytes) -> State | None:
        """What this party has proposed, and what was neither signed nor refused."""
        rows = self._run("SELECT body FROM proposals WHERE channel = ?", channel_id)
        return State.from_json(json.loads(rows[0][0])) if rows else None

    def drop_proposal(self, channel_id: bytes) -> None:
        """The proposal was refused, gives way, or was withdrawn."""
        self._run("DELETE FROM proposals WHERE channel = ?", channel_id)

    # ---------------------------------------------------------------- closings

    def put_ending(self, ending: Ending) -> None:
        """Record a final state. Raises ChannelError when this party has signed another one."""
        key, body = ending.outcome.channel_id, json.dumps(ending.outcome.to_json())
        with self.transaction():
            known = self.ending(key)
            if known is not None and known.mine is not None and known.outcome != ending.outcome:
                raise ChannelError("another final state was signed already: sign nothing else")
            self._run(
                "INSERT OR REPLACE INTO finals VALUES (?, ?, ?, ?, ?)",
                key,
                body,
                ending.mine,
                ending.theirs,
                int(ending.is_own),
            )

    def ending(self, channel_id: bytes) -> Ending | None:
        """The final state of a channel, signed or proposed."""
        rows = self._run("SELECT body, mine, theirs, is_own FROM finals WHERE channel = ?", channel_id)
        if not rows:
            return None
        body, mine, theirs, is_own = rows[0]
        return Ending(FinalState.from_json(json.loads(body)), mine, theirs, bool(is_own))

    def drop_ending(self, channel_id: bytes) -> None:
        """The proposed final state was refused, or withdrawn; one that this party has signed stays."""
        self._run("DELETE FROM finals WHERE channel = ? AND mine IS NULL", channel_id)

    def set_closing(self, channel_id: bytes) -> None:
        """Record that this party closes, and signs nothing more."""
        self._run("INSERT OR IGNORE INTO closing VALUES (?)", channel_id)

    def is_closing(self, channel_id: bytes) -> bool:
        """Whether this party closes."""
        return bool(self._run("SELECT 1 FROM closing WHERE channel = ?", channel_id))

    # ---------------------------------------------------------------- secrets

    def add_secret(self, secret: bytes) -> None:
        """Record a secret."""
        self._run("INSERT OR IGNORE INTO secrets VALUES (?, ?)", secret_hash(secret), secret)

    def sell_secret(self, secret: bytes, token: str, amount: int) -> None:
        """Record a secret of one's own, and the least that is to be paid for it."""
        with self.transaction():
            self.add_secret(secret)
            self._run("INSERT INTO prices VALUES (?, ?, ?)", secret_hash(secret), token, amount.to_bytes(16))

    def price(self, hash_: bytes) -> tuple[str, int] | None:
        """Token and amount that the secret with a hash is sold for; None for one that is not this party's own."""
        rows = self._run("SELECT token, amount FROM prices WHERE hash = ?", hash_)
        return (rows[0][0], int.from_bytes(rows[0][1])) if rows else None

    def secret(self, hash_: bytes) -> bytes | None:
        """The secret with a hash, told by somebody or public on L1."""
        rows = self._run(
            "SELECT secret FROM secrets WHERE hash = ?1 UNION SELECT secret FROM revealed WHERE hash = ?1", hash_
        )
        return rows[0][0] if rows else None


def _pack(state: State) -> str:
    return json.dumps(state.to_json())


@dataclass(frozen=True)
class PartyRules:
    """Seconds. longest_lock: how far ahead a lock's deadline may be; a channel cannot be closed alone before. reveal:
    how long before its deadline the secret of a lock that is still open goes to L1. hop: by how much the deadline of a
    lock that is paid on lies before that of the lock that pays for it.

    dust: in smallest units of any token, what is left where it is, as the gas would cost more: strangers can open
    channels with this party and close them as often as they like.
    """

    longest_lock: int = 7 * 24 * 3600
    reveal: int = 3600
    hop: int = 2 * 3600
    dust: int = 0


class Party(ChannelActor):
    """One account in all its channels. Messages can be handled in any thread; `step` belongs to one."""

    ROLE = "party"

    def __init__(
        self,
        channels: Channels,
        store: PartyStore,
        signer: Signer,
        rules: PartyRules | None = None,
        *,
        confirmations: int | None = None,
        resend_after: float = 60,
        clock: Callable[[], float] = time.time,
        checkpoint: Callable[[str], None] = lambda point: None,
    ) -> None:
        """See `ChannelActor`."""
        super().__init__(
            channels,
            store,
            signer,
            wants_state=lambda config: signer.address in (config.party_a, config.party_b),
            confirmations=confirmations,
            resend_after=resend_after,
            clock=clock,
            checkpoint=checkpoint,
        )
        self.rules = rules or PartyRules()
        self._store = store
        self._lock = threading.RLock()

    # ---------------------------------------------------------------- deposits

    def open(
        self, other: str, amount: int, *, token: str = ETH, challenge_period: int, salt: bytes | None = None
    ) -> StateChannelConfig:
        """Open a channel with another party, as its A, with a deposit; `step` sends it.

        amount in smallest units, challenge_period in seconds. salt: 32 bytes, random unless given. Raises ChannelError
        for too little money, MalformedError for settings that no channel can have, ChainError when a token's approval
        fails.
        """
        chosen = secrets.token_bytes(32) if salt is None else salt
        config = StateChannelConfig(self.address, other, token, challenge_period, chosen)
        self._deposit(config, amount)
        return config

    def deposit(self, channel_id: bytes, amount: int) -> None:
        """Deposit (more) into a channel; `step` sends it. Errors as `open`, and for an unknown channel."""
        self._deposit(self.entry(channel_id).config, amount)

    def _deposit(self, config: StateChannelConfig, amount: int) -> None:
        channels, to_a = self.channels, config.is_a(self.address)
        call = partial(channels.state_deposit_call, config, to_a, amount)
        self._write_deposit(config, channels.state_channel, amount, call)

    # ---------------------------------------------------------------- what there is

    def entry(self, channel_id: bytes) -> StateEntry:
        """An own channel. Raises ChannelError when there is none."""
        entry = self.follower.states.get(channel_id)
        if entry is None:
            raise ChannelError(
                f"{self.address} is no party of a channel 0x{channel_id.hex()}: check the id, or wait until its "
                "deposit has enough blocks above it"
            )
        return entry

    def best(self, channel_id: bytes) -> SignedState:
        """The last state with both signatures: what closes the channel, and what a watchtower should have."""
        return self._in_order(*self._store.agreed(channel_id))

    def _bringable(self, entry: StateEntry) -> SignedState:
        """The last state with both signatures that the contract takes, as it counts no deposits that a reorg has taken
        back."""
        return self._in_order(*self._store.agreed(entry.id, entry.facts.deposits))

    def _in_order(self, state: State, mine: bytes, theirs: bytes) -> SignedState:
        is_a = self.entry(state.channel_id).config.is_a(self.address)
        return SignedState(state, *((mine, theirs) if is_a else (theirs, mine)))

    def state(self, channel_id: bytes) -> State:
        """What comes next if nothing is paid: the last agreed state, with everything that has been deposited by now."""
        facts = self.entry(channel_id).facts
        agreed, _, _ = self._store.agreed(channel_id)
        return agreed.following(max(facts.deposits_a, agreed.deposits_a), max(facts.deposits_b, agreed.deposits_b))

    def balance(self, channel_id: bytes) -> int:
        """What is this party's without any condition."""
        return self.state(channel_id).balance(self.entry(channel_id).config.is_a(self.address))

    # ---------------------------------------------------------------- proposing

    def pay(self, channel_id: bytes, amount: int) -> Proposal:
        """Propose to pay the other party. Raises ChannelError for too little, or when nothing can be proposed."""
        with self._lock:
            state = self.state(channel_id)
            self._check_payable(state, amount)
            change = -amount if self._is_a(channel_id) else amount
            return self._propose(replace(state, balance_a=state.balance_a + change, balance_b=state.balance_b - change))

    def new_secret(self, amount: int, token: str = ETH) -> bytes:
        """The hash of a new secret, for whoever is to pay this party over others. The secret is stored.

        amount: least that is to be paid for it, in smallest units of the token (address, 0 is ETH). A lock of less, or
        one that leaves no time to reveal, is refused: who hears the secret has the whole of what others have locked.
        Raises ChannelError for an amount that cannot be.
        """
        if not 0 < amount <= MAX_UINT128:
            raise ChannelError(f"a secret cannot be sold for {amount}: give an amount")
        secret = secrets.token_bytes(32)
        self._store.sell_secret(secret, token, amount)
        return secret_hash(secret)

    def lock(self, channel_id: bytes, amount: int, hash_: bytes, deadline: int) -> Proposal:
        """Propose to pay the other party if it shows the secret by a deadline, seconds since 1970.

        Raises ChannelError as `pay`, for a deadline that is past or too far ahead, or a hash that is locked already.
        """
        with self._lock:
            state = self.state(channel_id)
            to_a = not self._is_a(channel_id)
            now = self._now()
            if not now < deadline <= now + self.rules.longest_lock:
                raise ChannelError(
                    f"the deadline {deadline} is past or too far ahead: it is {now}, give at most "
                    f"{now + self.rules.longest_lock}"
                )
            if amount <= 0 or state.lock(hash_) is not None:
                raise ChannelError(f"a lock needs an amount (it is {amount}) and a hash of its own: take a new secret")
            if len(state.locks) == MAX_LOCKS:
                raise ChannelError(f"there are {MAX_LOCKS} locks already: wait until one is decided")
            self._check_payable(state, amount)
            locks = (*state.locks, Lock(amount, deadline, to_a, hash_))
            return self._propose(_changed(state, not to_a, -amount, locks))

    def forward(self, incoming: bytes, hash_: bytes, outgoing: bytes, fee: int = 0) -> Proposal:
        """Propose to pay a lock on, over another channel: less the fee, and with an earlier deadline.

        The lock that pays for it has to be in a state that both have signed. Raises ChannelError when it is not, is for
        the other party, of another token, paid on already, or leaves too little time.
        """
        with self._lock:
            agreed, _, _ = self._store.agreed(incoming)
            found = agreed.lock(hash_)
            if found is None or found.to_a != self._is_a(incoming):
                raise ChannelError(f"no lock 0x{hash_.hex()} pays {self.address} on channel 0x{incoming.hex()}")
            if incoming == outgoing or self.entry(incoming).facts.status != "open":
                raise ChannelError("a lock is paid on over another channel than it comes from, and while that is open")
            if self._store.proposal(incoming) is not None or self._store.pending(incoming) is not None:
                raise ChannelError("an update of the channel that the lock comes from is under way: finish it first")
            token, other_token = (self.entry(key).config.token for key in (incoming, outgoing))
            if token != other_token:
                raise ChannelError(f"the lock is of token {token}, and channel 0x{outgoing.hex()} of {other_token}")
            if self._store.secret(hash_) is not None or self._pays_on(found, incoming, outgoing):
                raise ChannelError(f"lock 0x{hash_.hex()} is paid on or due already: one lock pays for one other")
            if not 0 <= fee < found.amount:
                raise ChannelError(f"a fee of {fee} leaves nothing of {found.amount}: ask for less")
            return self.lock(outgoing, found.amount - fee, hash_, found.deadline - self.rules.hop)

    def unlock(self, channel_id: bytes, hash_: bytes) -> Proposal:
        """Propose that a lock is paid to this party, with its secret. Raises ChannelError when the secret is not known,
        no such lock pays this party, or so little time is left that the secret has to go to L1 instead."""
        with self._lock:
            secret = self._store.secret(hash_)
            if secret is None:
                raise ChannelError(f"the secret of lock 0x{hash_.hex()} is not known: wait until somebody shows it")
            found = self.state(channel_id).lock(hash_)
            if found is not None and not self._may_show(found, self._now()):
                raise ChannelError(
                    f"lock 0x{hash_.hex()} ends at {found.deadline}: too late to show its secret to the other party "
                    "alone, which could wait until then and pay nothing"
                )
            return self._propose(self._resolved(channel_id, hash_, to_me=True, is_paid=True), (secret,))

    def settle_lock(self, channel_id: bytes, hash_: bytes) -> Proposal:
        """Propose to pay a lock of this party's own whose secret it knows. Errors as `unlock`."""
        with self._lock:
            if self._store.secret(hash_) is None:
                raise ChannelError(f"the secret of lock 0x{hash_.hex()} is not known: the lock is not due")
            return self._propose(self._resolved(channel_id, hash_, to_me=False, is_paid=True))

    def cancel(self, channel_id: bytes, hash_: bytes) -> Proposal:
        """Propose that a lock is returned to who made it: its payee at any time, its maker after the deadline.

        Raises ChannelError when there is no such lock, or it still pays for one that this party has paid on.
        """
        with self._lock:
            state = self.state(channel_id)
            found = state.lock(hash_)
            is_mine = found is not None and found.to_a != self._is_a(channel_id)
            if found is not None and not is_mine and self._pays_on(found, channel_id):
                raise ChannelError(f"lock 0x{hash_.hex()} is paid on over another channel: cancel it there first")
            return self._propose(self._resolved(channel_id, hash_, to_me=not is_mine, is_paid=False))

    def propose_final(self, channel_id: bytes) -> Proposal:
        """Propose to close at once with what both have. Raises ChannelError while there are locks."""
        with self._lock:
            self._check_can_sign(channel_id)
            state = self.state(channel_id)
            if state.locks:
                raise ChannelError(f"{len(state.locks)} locks are open: settle them, or close alone")
            if self._store.proposal(channel_id) is not None or self._store.pending(channel_id) is not None:
                raise ChannelError("an update is under way: finish it first")
            outcome = FinalState(
                channel_id, state.version, state.deposits_a, state.deposits_b, state.balance_a, state.balance_b
            )
            self._store.put_ending(Ending(outcome, None, None, True))
            self._checkpoint("proposal stored")
            return Proposal(outcome)

    def waiting(self, channel_id: bytes) -> Message | None:
        """What the other party may not have got: to be sent again after a break. None if nothing was ever signed."""
        with self._lock:
            ending = self._store.ending(channel_id)
            if ending is not None:
                return Proposal(ending.outcome) if ending.mine is None else Signature(ending.outcome, ending.mine)
            proposal = self._store.proposal(channel_id)
            if proposal is not None:
                return Proposal(proposal, self._secrets_for(proposal))
            pending = self._store.pending(channel_id)
            if pending is not None:
                return Signature(pending.state, pending.signature)
            state, mine, _ = self._store.agreed(channel_id)
            return Signature(state, mine) if state.version else None

    def _propose(self, state: State, shown: tuple[bytes, ...] = ()) -> Proposal:
        """Store and hand out a proposal of the next version."""
        key = state.channel_id
        self._check_can_sign(key)
        if self._store.ending(key) is not None:
            raise ChannelError("a final state is proposed: wait for the answer")
        known = self._store.proposal(key)
        if known is not None and known != state:
            raise ChannelError("another proposal waits for an answer: send it again (`waiting`)")
        pending = self._store.pending(key)
        if pending is not None and pending.state != state:
            raise ChannelError(f"version {state.version} has another content: wait for the other signature")
        self._store.add_proposal(state)
        self._checkpoint("proposal stored")
        return Proposal(state, shown)

    def withdraw_proposal(self, channel_id: bytes) -> None:
        """Give up what this party has proposed and the other one has not answered, so that something else can be
        proposed.

        Nothing binds this party, which signs last: a signature of what was withdrawn is judged like anything that the
        other one proposes, and refused if it takes something from this party. But nothing is taken back either. Secrets
        that were shown stay known. And if the other one has signed already, it has used up this version, and answers
        every proposal with that signature: propose exactly the same again, or close. Raises ChannelError when nothing
        is proposed, or this party has signed it.
        """
        with self._lock:
            self.entry(channel_id)
            proposal, pending = self._store.proposal(channel_id), self._store.pending(channel_id)
            ending = self._store.ending(channel_id)
            is_state = proposal is not None and pending is None
            if not is_state and (ending is None or ending.mine is not None):
                raise ChannelError(
                    f"nothing that {self.address} has proposed and not signed waits in channel 0x{channel_id.hex()}: "
                    "there is nothing to withdraw"
                )
            self._store.drop_proposal(channel_id)
            self._store.drop_ending(channel_id)
            self._checkpoint("proposal withdrawn")

    def due(self) -> list[tuple[bytes, bytes]]:
        """(channel, hash) of locks that pay this party and whose secret it knows: `unlock` them."""
        found, now = [], self._now()
        for key, entry in list(self.follower.states.items()):
            if entry.facts.status == "open":
                agreed, _, _ = self._store.agreed(key)
                to_me = [lock for lock in agreed.locks if lock.to_a == self._is_a(key) and self._may_show(lock, now)]
                found += [(key, lock.hash) for lock in to_me if self._store.secret(lock.hash) is not None]
        return found

    def _may_show(self, lock: Lock, now: int) -> bool:
        """Whether there is time to reveal a secret if the other party does not answer, or no need to."""
        return now < lock.deadline - self.rules.reveal or self._is_paid(lock)

    def _secrets_for(self, proposal: State) -> tuple[bytes, ...]:
        """Secrets of locks to this party that a proposal takes away."""
        agreed, _, _ = self._store.agreed(proposal.channel_id)
        is_a = self._is_a(proposal.channel_id)
        gone = [lock for lock in agreed.locks if lock not in proposal.locks and lock.to_a == is_a]
        found = [self._store.secret(lock.hash) for lock in gone]
        return tuple(secret for secret in found if secret is not None)

    def _check_payable(self, state: State, amount: int) -> None:
        held = state.balance(self._is_a(state.channel_id))
        if not 0 < amount <= held:
            raise ChannelError(f"{amount} cannot be paid out of a balance of {held}: deposit more, or pay less")

    def _resolved(self, channel_id: bytes, hash_: bytes, *, to_me: bool, is_paid: bool) -> State:
        """The state in which a lock was paid, or returned."""
        state = self.state(channel_id)
        found = state.lock(hash_)
        if found is None or (found.to_a == self._is_a(channel_id)) != to_me:
            whose = "pays" if to_me else "is made by"
            raise ChannelError(f"no lock 0x{hash_.hex()} {whose} {self.address} on channel 0x{channel_id.hex()}")
        locks = tuple(lock for lock in state.locks if lock != found)
        return _changed(state, found.to_a == is_paid, found.amount, locks)

    # ---------------------------------------------------------------- answering

    def receive(self, message: Message) -> Message | None:
        """Handle what the other party of a channel said; the answer, if there is one, is to be given to it.

        Whatever is signed is stored when this returns. Raises RefusedError with the other's reason when it refuses what
        this party proposed.
        """
        key = message.channel_id if isinstance(message, Refusal) else message.outcome.channel_id
        with self._lock:
            if isinstance(message, Refusal):
                self._on_refusal(message)
                return None
            try:
                if self.follower.states.get(key) is None:
                    raise RefusedError("unknown_channel", f"{self.address} knows no own channel 0x{key.hex()} yet")
                if isinstance(message, Proposal):
                    return self._on_proposal(message)
                return self._on_signature(message)
            except RefusedError as refusal:
                return Refusal(key, message.outcome.message.struct_hash(), refusal.code, str(refusal))

    def _on_refusal(self, message: Refusal) -> None:
        key = message.channel_id
        ending, proposal = self._store.ending(key), self._store.proposal(key)
        if ending is not None and ending.is_own and ending.outcome.message.struct_hash() == message.digest:
            self._store.drop_ending(key)
        elif proposal is not None and proposal.struct_hash == message.digest:
            self._store.drop_proposal(key)
        reason = printable(message.reason)
        raise RefusedError(message.code, f"the other party of channel 0x{key.hex()} refuses: {reason}")

    def _on_proposal(self, message: Proposal) -> Message:
        outcome = message.outcome
        key = outcome.channel_id
        agreed, mine, _ = self._store.agreed(key)
        # First of all: what a secret is worth does not depend on what comes with it. Only of locks that pay the other
        # one: what pays this party would have to be revealed, at its own cost, however little it is.
        for secret in message.secrets:
            lock = agreed.lock(secret_hash(secret))
            if lock is not None and lock.to_a != self._is_a(key):
                self._store.add_secret(secret)
                self._checkpoint("secret stored")
        if isinstance(outcome, FinalState):
            return self._sign_final(outcome)
        if outcome.version <= agreed.version:
            if outcome.version == 0:
                raise RefusedError("old_version", "version 0 is the state that nobody signs")
            return Signature(agreed, mine)
        pending = self._store.pending(key)
        if pending is not None:
            return Signature(pending.state, pending.signature)
        self._give_way(outcome)
        self._judge(outcome)
        return self._sign(outcome)

    def _on_signature(self, message: Signature) -> Message | None:
        outcome = message.outcome
        key = outcome.channel_id
        other = self.entry(key).config.other(self.address)
        if not is_signed_by(outcome.message, self.channels.state_domain, other, message.signature):
            raise RefusedError("wrong_signature", f"{other} did not sign this by its own key")
        if isinstance(outcome, FinalState):
            return self._on_final_signature(outcome, message.signature)
        agreed, mine, _ = self._store.agreed(key)
        if outcome.version <= agreed.version:
            return None if outcome == agreed else Signature(agreed, mine)
        if outcome.version > agreed.version + 1:
            raise RefusedError("missing_version", f"version {agreed.version + 1} has to be signed by both before")
        pending = self._store.pending(key)
        if pending is not None:
            if pending.state != outcome:
                raise RefusedError("already_signed", f"version {outcome.version} is signed with another content")
            self._store.complete(outcome, message.signature)
            self._checkpoint("state complete")
            return None
        if self._store.proposal(key) == outcome:
            self._check_deposits(self.entry(key), agreed, outcome)  # a reorg may have undone one since it was proposed
        else:
            self._judge(outcome)  # the other one has bound itself to this: what was proposed here gives way
            self._store.drop_proposal(key)
            self._store.drop_ending(key)
        signature = self._sign(outcome)
        self._store.complete(outcome, message.signature)
        self._checkpoint("state complete")
        return signature

    def _give_way(self, outcome: State | FinalState) -> None:
        """When both propose at once, A's goes first. What was proposed binds nobody, so B's is dropped."""
        key = outcome.channel_id
        ending, proposal = self._store.ending(key), self._store.proposal(key)
        if outcome in (proposal, None if ending is None else ending.outcome):
            return
        if proposal is None and (ending is None or ending.mine is not None):
            return
        if self._is_a(key):
            raise RefusedError("busy", "this party has proposed something itself: answer that first")
        self._store.drop_proposal(key)
        self._store.drop_ending(key)

    def _sign(self, state: State) -> Signature:
        """Sign the next version; stored when this returns."""
        self._check_can_sign(state.channel_id)
        signature = sign(self.signer, state.message, self.channels.state_domain)
        self._checkpoint("state signed")
        self._store.put_signed(state, signature)
        self._checkpoint("state stored")
        return Signature(state, signature)

    def _sign_final(self, outcome: FinalState) -> Signature:
        key = outcome.channel_id
        ending = self._store.ending(key)
        if ending is not None and ending.mine is not None and ending.outcome == outcome:
            return Signature(outcome, ending.mine)
        self._give_way(outcome)
        self._judge_final(outcome)
        signature = sign(self.signer, outcome.message, self.channels.state_domain)
        self._checkpoint("state signed")
        self._store.put_ending(Ending(outcome, signature, None, False))
        self._checkpoint("state stored")
        return Signature(outcome, signature)

    def _on_final_signature(self, outcome: FinalState, theirs: bytes) -> Signature | None:
        ending = self._store.ending(outcome.channel_id)
        if ending is None or ending.outcome != outcome:
            raise RefusedError("not_proposed", "this party has not proposed to close like that: propose it first")
        if ending.mine is not None:
            self._store.put_ending(replace(ending, theirs=theirs))
            return None
        self._check_can_sign(outcome.channel_id)
        signature = sign(self.signer, outcome.message, self.channels.state_domain)
        self._checkpoint("state signed")
        self._store.put_ending(replace(ending, mine=signature, theirs=theirs))
        self._checkpoint("state complete")
        return Signature(outcome, signature)

    def _check_can_sign(self, channel_id: bytes) -> None:
        """Raises RefusedError once nothing may be signed any more, and as long as L1 was not read."""
        self._check_synced()
        status = self.entry(channel_id).facts.status
        ending = self._store.ending(channel_id)
        if status != "open":
            raise RefusedError("not_open", f"channel 0x{channel_id.hex()} is {status} on L1: nothing more is signed")
        if self._store.is_closing(channel_id) or (ending is not None and ending.mine is not None):
            raise RefusedError("closing", f"{self.address} closes channel 0x{channel_id.hex()}, and signs nothing more")

    # ---------------------------------------------------------------- what is acceptable

    def _judge(self, new: State) -> None:
        """Raises RefusedError unless the state follows the agreed one and takes nothing from this party."""
        key = new.channel_id
        entry = self.entry(key)
        is_a, now = self._is_a(key), self._now()
        self._check_can_sign(key)
        old, _, _ = self._store.agreed(key)
        if new.version != old.version + 1:
            raise RefusedError("missing_version", f"version {old.version + 1} has to be signed by both before")
        self._check_deposits(entry, old, new)
        if len({lock.hash for lock in new.locks}) < len(new.locks):
            raise RefusedError("same_hash", "two locks have the same hash: take a secret for each")
        for lock in new.locks:
            if lock in old.locks:
                continue
            if lock.to_a != is_a:
                raise RefusedError("loss", f"{self.address} did not propose to lock {lock.amount}")
            if not now < lock.deadline <= now + self.rules.longest_lock:
                raise RefusedError(
                    "deadline",
                    f"the lock's deadline {lock.deadline} is past or too far ahead: it is {now}, at most "
                    f"{self.rules.longest_lock} s more are taken",
                )
        # New locks count nothing, even if their secret is known: it could be too late to show it.
        before = old.balance(is_a) + sum(self._worth(key, lock, now) for lock in old.locks)
        kept = sum(self._worth(key, lock, now) for lock in new.locks if lock in old.locks)
        after = new.balance(is_a) - (new.deposits(is_a) - old.deposits(is_a)) + kept
        if after < before:
            raise RefusedError("loss", f"the state would leave {self.address} with {after} of {before}")
        for lock in new.locks:
            if lock not in old.locks:
                self._check_price(entry.config.token, lock, now)

    def _check_price(self, token: str, lock: Lock, now: int) -> None:
        """Refuse a lock to this party that pays too little for its own secret, or leaves no time to reveal it: it would
        be revealed all the same, and others be paid with it."""
        price = self._store.price(lock.hash)
        if price is None:
            return
        if token != price[0] or lock.amount < price[1]:
            raise RefusedError(
                "underpaid",
                f"the lock pays {lock.amount} of token {token}, and its secret costs {price[1]} of {price[0]}",
            )
        if not self._may_show(lock, now):
            raise RefusedError(
                "deadline",
                f"the lock's deadline {lock.deadline} leaves no time to reveal its secret: it is {now}, give more than "
                f"{self.rules.reveal} s",
            )

    def _judge_final(self, outcome: FinalState) -> None:
        key = outcome.channel_id
        self._check_can_sign(key)
        agreed, _, _ = self._store.agreed(key)
        if agreed.locks:
            raise RefusedError("locks", f"{len(agreed.locks)} locks are open: settle them first")
        if self._store.pending(key) is not None:
            raise RefusedError("pending", f"version {agreed.version + 1} is not signed by both yet: finish that first")
        self._check_deposits(self.entry(key), agreed, outcome)
        expected = agreed.following(outcome.deposits_a, outcome.deposits_b)
        if (outcome.balance_a, outcome.balance_b) != (expected.balance_a, expected.balance_b):
            raise RefusedError("loss", "the final state is not what both have by the last one")

    def _check_deposits(self, entry: StateEntry, old: State, new: State | FinalState) -> None:
        for what, least, said, most in (
            ("A", old.deposits_a, new.deposits_a, entry.facts.deposits_a),
            ("B", old.deposits_b, new.deposits_b, entry.facts.deposits_b),
        ):
            if not least <= said <= most:
                raise RefusedError(
                    "deposits",
                    f"the state counts {said} deposited by {what}: it has to be {least} at least, and {most} have "
                    "arrived with enough blocks above",
                )

    def _worth(self, channel_id: bytes, lock: Lock, now: int) -> int:
        """What a lock of the agreed state is to this party: nothing it could lose may be counted as the other's."""
        secret = self._store.secret(lock.hash)
        is_paid = self._is_paid(lock)
        if lock.to_a == self._is_a(channel_id):
            if is_paid:
                return lock.amount
            if self._seen() > lock.deadline:
                return 0
            return lock.amount if secret is not None or self._pays_on(lock, channel_id) else 0
        if is_paid or (secret is not None and now <= lock.deadline):
            return 0
        return lock.amount

    def _is_paid(self, lock: Lock) -> bool:
        """Whether the secret of a lock was revealed on L1 in time."""
        public = self._store.revealed(lock.hash)
        return public is not None and public.time <= lock.deadline

    def _pays_on(self, lock: Lock, *besides: bytes) -> bool:
        """Whether this party has promised a payment for the same secret over a channel that is none of these."""
        for key, entry in list(self.follower.states.items()):
            if key in besides or entry.facts.status == "closed":
                continue
            agreed, _, _ = self._store.agreed(key)
            pending = self._store.pending(key)
            closing = entry.facts.closing
            states = [agreed, self._store.proposal(key)]
            states += [one.state for one in (pending, closing) if one is not None]
            for state in states:
                found = None if state is None else state.lock(lock.hash)
                if found is not None and found.to_a != self._is_a(key):
                    return True
        return False

    # ---------------------------------------------------------------- closing

    def close(self, channel_id: bytes) -> None:
        """Close a channel: with the final state if both have signed one, else alone with the last agreed state.

        From now on nothing more is signed; `step` sends it, waits, and has the money paid out, in whatever token: who
        closes a channel trusts its token. Raises ChannelError for an unknown channel, or one that is closed and in
        whose token nothing is owed.
        """
        with self._lock:
            if self.entry(channel_id).facts.status == "closed" and not self.owed(channel_id):
                raise ChannelError(f"channel 0x{channel_id.hex()} is closed already, and nothing is owed")
            self._store.set_closing(channel_id)
            self._store.drop_proposal(channel_id)
            self._settle_anew()
            self._checkpoint("closing stored")

    def owed(self, channel_id: bytes) -> int:
        """What the contract owes this account in a channel's token, for all channels."""
        return self.channels.owed(self.channels.state_channel, self.address, self.entry(channel_id).config.token)

    def has_paid_out(self, channel_id: bytes) -> bool:
        """Whether `step` has paid out what is owed in a channel's token: not in one that strangers have chosen, until
        this party deposits or closes a channel of it."""
        token = self.entry(channel_id).config.token
        mine = [key for key, entry in self.follower.states.items() if entry.config.token == token]
        return self._is_known(token) or any(self._has_stake(key) for key in mine)

    def _act(self, now: int, report: StepReport) -> None:
        with self._lock:
            for entry in list(self.follower.states.values()):
                if entry.facts.status != "closed":
                    self._write_closing(entry, now, report)
                    self._write_secrets(entry, now, report)
        self._settle_own(
            report,
            self.channels.state_channel,
            self.follower.states.values(),
            self.rules.dust,
            takes_part=lambda key: (
                self._has_stake(key) or self._has_signed(key) or bool(self._store.letters(FINISH, key.hex()))
            ),
            trusts=self._has_stake,
        )

    def _has_stake(self, channel_id: bytes) -> bool:
        """Whether this party has put money into a channel, or closes it."""
        return self._store.is_closing(channel_id) or self._has_deposited(channel_id)

    def _has_signed(self, channel_id: bytes) -> bool:
        """Whether this party has signed anything in a channel."""
        ending = self._store.ending(channel_id)
        return self._signed_version(channel_id) > 0 or (ending is not None and ending.mine is not None)

    def _signed_version(self, channel_id: bytes) -> int:
        """The last version that this party has signed."""
        pending = self._store.pending(channel_id)
        return pending.state.version if pending is not None else self._store.agreed(channel_id)[0].version

    def _write_closing(self, entry: StateEntry, now: int, report: StepReport) -> None:
        key, config = entry.id, entry.config
        ending, closing = self._store.ending(key), entry.facts.closing
        if ending is not None and ending.mine and ending.theirs and (ending.is_own or self._store.is_closing(key)):
            is_a = config.is_a(self.address)
            signatures = (ending.mine, ending.theirs) if is_a else (ending.theirs, ending.mine)
            call = self.channels.close_cooperatively_call(config, ending.outcome, *signatures)
            self._write_once(report, COOPERATE, entry, call)
            return
        best = self._bringable(entry)
        if closing is None:
            if not self._store.is_closing(key):
                return
            if best.state.version + 1 >= self._signed_version(key):
                self._write_once(report, START, entry, self.channels.start_close_call(config, best))
            else:
                # The other party could deposit again, answer with the later state, and take everything.
                last, _, _ = self._store.agreed(key)
                report.warnings.append(
                    f"channel 0x{key.hex()} cannot be closed: its version {last.version} counts deposits of "
                    f"{last.deposits_a} and {last.deposits_b}, and a reorg has left {entry.facts.deposits_a} and "
                    f"{entry.facts.deposits_b}: deposit what is missing, for whichever party"
                )
        elif best.state.version > closing.state.version and now <= closing.deadline:
            self._write_once(report, CHALLENGE, entry, self.channels.challenge_call(config, best))
        elif now > closing.deadline:
            if best.state.version > closing.state.version:
                report.warnings.append(
                    f"channel 0x{key.hex()} is closed with version {closing.state.version}, and this party was away "
                    f"when its version {best.state.version} was needed, until {closing.deadline}"
                )
            is_decided = _is_penalty(closing) or all(self._is_decided(lock, now) for lock in closing.state.locks)
            if is_decided and self._is_worth_finishing(entry, closing):
                self._write_once(report, FINISH, entry, self.channels.finish_close_call(config, closing.state))

    def _is_worth_finishing(self, entry: StateEntry, closing: Closing) -> bool:
        """Whether a closing is this party's affair: strangers can open channels with it in which all is theirs, or in a
        token that is worth nothing. That it has signed proves only the token, as it signs whatever takes nothing from
        it."""
        if self._has_stake(entry.id):
            return True
        if not (self._is_known(entry.config.token) or self._has_signed(entry.id)):
            return False
        return self._share(entry, closing) > self.rules.dust

    def _share(self, entry: StateEntry, closing: Closing) -> int:
        """What a closing gives this party once all locks are decided, as the contract counts."""
        is_a, facts, state = entry.config.is_a(self.address), entry.facts, closing.state
        if _is_penalty(closing):
            return 0 if closing.closer == self.address else facts.deposits_a + facts.deposits_b
        later = (facts.deposits_a if is_a else facts.deposits_b) - state.deposits(is_a)
        mine = [lock.amount for lock in state.locks if self._is_paid(lock) == (lock.to_a == is_a)]
        return state.balance(is_a) + later + sum(mine)

    def _write_secrets(self, entry: StateEntry, now: int, report: StepReport) -> None:
        """Secrets of locks that pay this party: at once when the channel closes, else before their time runs out."""
        agreed, _, _ = self._store.agreed(entry.id)
        closing = entry.facts.closing
        locks = set(agreed.locks) | set(closing.state.locks if closing else ())
        is_a = entry.config.is_a(self.address)
        for lock in sorted(locks, key=lambda one: one.deadline):
            secret = self._store.secret(lock.hash)
            if lock.to_a != is_a or secret is None or self._store.revealed(lock.hash) is not None:
                continue
            if now > lock.deadline:
                report.warnings.append(
                    f"the secret of lock 0x{lock.hash.hex()} over {lock.amount} was not public by {lock.deadline}"
                )
            elif closing is not None or now >= lock.deadline - self.rules.reveal:
                reference = lock.hash.hex()
                if not self._is_open(REVEAL, reference):
                    call = self.channels.reveal_call(secret)
                    self._write(report, REVEAL, reference, self.channels.state_channel, call)

    def _is_decided(self, lock: Lock, now: int) -> bool:
        return self._store.revealed(lock.hash) is not None or now > lock.deadline

    def _write_once(self, report: StepReport, purpose: str, entry: StateEntry, call: bytes) -> None:
        if not self._is_open(purpose, entry.id.hex()):
            self._write(report, purpose, entry.id.hex(), self.channels.state_channel, call)

    # ---------------------------------------------------------------- time and sides

    def _is_a(self, channel_id: bytes) -> bool:
        return self.entry(channel_id).config.is_a(self.address)

    def _now(self) -> int:
        """The time of L1's head, seconds since 1970."""
        return self.channels.chain.head().timestamp

    def _seen(self) -> int:
        """The time of the last block that was read: a lock is over when that is past its deadline."""
        block = self.channels.chain.block(self.follower.cursor.number)
        return 0 if block is None else block.timestamp


def _is_penalty(closing: Closing) -> bool:
    """Whether who started a closing loses everything."""
    return closing.state.version >= closing.closer_version + 2


def _changed(state: State, of_a: bool, change: int, locks: tuple[Lock, ...]) -> State:
    """The state with other locks, the difference taken from or given to A's or B's balance."""
    if of_a:
        return replace(state, balance_a=state.balance_a + change, locks=locks)
    return replace(state, balance_b=state.balance_b + change, locks=locks)
