"""Random lives of state channels: the contract has what it owes after every step, and honest parties get their due.

    balance = deposits of channels that are not closed + what is owed + what was forced upon it, for each token

A channel's two parties pay each other, lock payments, keep signatures back, and close: together, alone with their last
state, or, as a cheat, with an old one. A stranger watches for whoever is honest, and answers in time. When a channel is
closed, an honest party has got at least what the last state with both signatures gives it, or the next one, if it has
signed that for the other party to keep; and a cheat that was caught two versions later has got nothing. In between
forgers try what they can, and are refused with the error that fits.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from tests.support.reverts import call_many, reverts
from tests.support.state_channels import DAY, ETHER, HOUR, NOBODY, Channel, Lock, Signed, digest, hash_of_secret
from tests.support.typed import sign
from tests.support.walks import machine, walk_at_random

SEEN = {
    "deposit after a state",
    "payment",
    "signature kept",
    "signature given back",
    "lock paid off chain",
    "lock returned off chain",
    "lock paid on chain",
    "lock returned on chain",
    "closed together",
    "closed together while closing",
    "kept state brought",
    "old state answered",
    "cheat one version late",
    "cheat penalised",
    "cheat's own answer",
    "settled",
    "ether forced upon it",
}
"""What happens in the life that is told below; the walks are free to miss some."""

FORGERIES = (
    "one signature for both",
    "a stranger's signature",
    "other amounts than signed",
    "another channel's",
    "more than there is",
    "money that never came",
    "by a stranger, or no later than the one on the table",
    "finished too early, or with another state",
)
"""What forgers try; the first six are states."""

SECRETS = [bytes([number]) * 32 for number in range(4)]
A, B = 0, 1


@dataclass
class Life:
    """What the parties know of a channel.

    states: those with both signatures, by version; the first is the one that nobody signs. kept: the next one, which
    one party has signed, and the other, the keeper, can use. received: the deposits. table: the state on the table.
    cheat: the party that started closing with an old state, if one did.
    """

    channel: Channel
    states: list[Signed] = field(default_factory=list)
    kept: Signed | None = None
    keeper: int = A
    received: tuple[int, int] = (0, 0)
    table: Signed | None = None
    closer: int = A
    first: int = 0
    cheat: int | None = None

    def best(self, party: int) -> Signed:
        """The last state that a party can bring."""
        return self.kept if self.kept is not None and self.keeper == party else self.states[-1]

    def has_signed(self, party: int, signed: Signed) -> bool:
        """Whether the party gave its signature of this state away without getting the other's."""
        return self.kept is signed and self.keeper != party


@pytest.fixture(scope="module")
def street(project, accounts, usdc):
    """A contract without channels, and everybody."""
    contract = accounts[0].deploy(project.StateChannel)
    parties = accounts[2:4]
    for party in parties:
        usdc.mint(party, 10**12, sender=party)
        usdc.approve(contract, 2**256 - 1, sender=party)
    return SimpleNamespace(
        contract=contract, parties=parties, stranger=accounts[4], usdc=usdc, forcer=project.EtherForcer
    )


def test_conservation(street):
    """Eight walks of 30 steps."""
    walk = machine(Machine, street)
    walk_at_random(walk, walks=8, steps=30)
    assert walk.seen["channel"] > 10


def test_conservation_in_a_life_with_everything(street):
    """Every kind of step once."""
    walk = machine(Machine, street)()
    walk.begin()
    walk.live()
    walk.teardown()
    assert set(walk.seen) >= SEEN


class Machine(RuleBasedStateMachine):
    """Every step but a forgery is what somebody may do."""

    world: SimpleNamespace
    seen: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.contract, self.provider = self.world.contract, self.world.contract.provider
        self.snapshot = self.provider.make_request("evm_snapshot", [])
        self.revealed: dict[bytes, int] = {}
        self.lives: list[Life] = []
        self.owed: Counter[tuple[str, str]] = Counter()
        self.forced = 0
        self.is_over = False

    def teardown(self) -> None:
        if self.lives:
            self.end()
        assert self.provider.make_request("evm_revert", [self.snapshot]) is True

    # ---------------------------------------------------------------- what is there

    @property
    def now(self) -> int:
        return self.provider.get_block("latest").timestamp

    def outcome(self, life: Life, signed: Signed) -> tuple[int, int]:
        """What a state gives to each party, when all locks that are not paid go back."""
        state = signed.state
        shares = [
            state.balance_a + life.received[A] - state.deposits_a,
            state.balance_b + life.received[B] - state.deposits_b,
        ]
        for lock in signed.locks:
            shares[A if lock.to_a == self.is_paid(lock) else B] += lock.amount
        return shares[A], shares[B]

    def is_paid(self, lock: Lock) -> bool:
        return self.revealed.get(lock.hash, lock.deadline + 1) <= lock.deadline

    def is_decided(self, lock: Lock) -> bool:
        return self.is_paid(lock) or self.now > lock.deadline

    def next(self, life: Life, change: tuple[int, int], locks: tuple[Lock, ...]) -> Signed | None:
        """The next version: all that was deposited, with these changes of balances; None if there is too little."""
        last = life.states[-1].state
        a = last.balance_a + life.received[A] - last.deposits_a + change[A]
        b = last.balance_b + life.received[B] - last.deposits_b + change[B]
        if a < 0 or b < 0 or len(locks) > 16:
            return None
        return life.channel.sign(life.channel.state(len(life.states), a, b, locks, deposits=life.received))

    def pick(self, place: int) -> Life:
        return self.lives[place % len(self.lives)]

    def quiet(self, place: int) -> Life | None:
        """A channel in which new states are signed: nobody closes it, and no signature is missing."""
        life = self.pick(place)
        return life if life.table is None and life.kept is None else None

    # ---------------------------------------------------------------- money in

    @initialize()
    def begin(self) -> None:
        for number in range(2):
            self.open(number)

    def open(self, number: int) -> Life:
        """A new channel in place of this one, of ether or of USDC."""
        self.seen["channel"] += 1
        a, b = self.world.parties if number == 0 else self.world.parties[::-1]
        salt = self.seen["channel"].to_bytes(32)
        token = ETHER if number == 0 else self.world.usdc.address
        life = Life(Channel.of(self.contract, a, b, token=token, challenge_period=HOUR, salt=salt))
        self.pay_in(life, a, True, 1000)
        self.pay_in(life, b, False, 500)
        life.states.append(life.channel.initial())
        self.lives[number:] = [life, *self.lives[number + 1 :]]
        return life

    @rule(place=st.integers(0, 1), who=st.integers(0, 1), to_a=st.booleans(), amount=st.integers(1, 300))
    def deposit(self, place, who, to_a, amount) -> None:
        life = self.pick(place)
        if life.table is None:
            self.pay_in(life, self.world.parties[who], to_a, amount)
            self.seen["deposit after a state"] += len(life.states) > 1

    def pay_in(self, life: Life, sender, to_a: bool, amount: int) -> None:
        a, b = life.received
        life.received = (a + amount, b) if to_a else (a, b + amount)
        life.channel.deposit(sender, to_a, amount)
        assert tuple(self.contract.depositsOf(life.channel.id)) == life.received

    # ---------------------------------------------------------------- off chain

    @rule(place=st.integers(0, 1), payer=st.integers(0, 1), amount=st.integers(0, 400), keeps=st.booleans())
    def pay(self, place, payer, amount, keeps) -> None:
        """keeps: the payee takes the signature of the payer, and does not give its own."""
        life = self.quiet(place)
        if life is None:
            return
        change = (-amount, amount) if payer == A else (amount, -amount)
        signed = self.next(life, change, life.states[-1].locks)
        if signed is None:
            return
        if keeps:
            life.kept, life.keeper = signed, 1 - payer
            self.seen["signature kept"] += 1
        else:
            life.states.append(signed)
            self.seen["payment"] += 1

    @rule(place=st.integers(0, 1))
    def give_back(self, place) -> None:
        life = self.pick(place)
        if life.kept is not None and life.table is None:
            life.states.append(life.kept)
            life.kept = None
            self.seen["signature given back"] += 1

    @rule(
        place=st.integers(0, 1),
        payer=st.integers(0, 1),
        amount=st.integers(1, 200),
        seconds=st.sampled_from((60, HOUR, DAY)),
        secret=st.sampled_from(SECRETS),
    )
    def lock(self, place, payer, amount, seconds, secret) -> None:
        life = self.quiet(place)
        if life is None:
            return
        change = (-amount, 0) if payer == A else (0, -amount)
        lock = Lock(amount, self.now + seconds, payer == B, hash_of_secret(secret))
        signed = self.next(life, change, (*life.states[-1].locks, lock))
        if signed is not None:
            life.states.append(signed)

    @rule(place=st.integers(0, 1), which=st.integers(0, 15), is_told=st.booleans())
    def unlock(self, place, which, is_told) -> None:
        """Off chain: paid if the secret was revealed or is told in time, returned if it is too late."""
        life = self.quiet(place)
        if life is None or not life.states[-1].locks:
            return
        locks = life.states[-1].locks
        lock = locks[which % len(locks)]
        if not self.is_decided(lock) and not is_told:
            return
        is_paid = self.is_paid(lock) or self.now <= lock.deadline
        change = (lock.amount, 0) if lock.to_a == is_paid else (0, lock.amount)
        rest = list(locks)
        rest.remove(lock)
        signed = self.next(life, change, tuple(rest))
        life.states.append(signed)
        self.seen["lock paid off chain" if is_paid else "lock returned off chain"] += 1

    # ---------------------------------------------------------------- on chain

    @rule(secret=st.sampled_from(SECRETS))
    def reveal(self, secret) -> None:
        if hash_of_secret(secret) not in self.revealed:
            self.contract.revealSecret(secret, sender=self.world.stranger)
            self.revealed[hash_of_secret(secret)] = self.now

    @rule(place=st.integers(0, 1), party=st.integers(0, 1), back=st.sampled_from((0, 0, 1, 2, 3, 100)))
    def start(self, place, party, back) -> None:
        """back: how many versions before its best state; more than none is a cheat's."""
        life = self.pick(place)
        if life.table is not None:
            return
        best = life.best(party)
        version = max(best.state.version - back, 0)
        signed = best if version == best.state.version else life.states[version]
        life.channel.start(life.channel.party_b if party else life.channel.party_a, signed)
        life.table, life.closer, life.first = signed, party, version
        if version != best.state.version:
            life.cheat = party
        self.seen["kept state brought"] += signed is life.kept

    @rule(place=st.integers(0, 1))
    def watch(self, place) -> None:
        """A stranger answers for whoever is honest."""
        self.answer(self.pick(place))

    def answer(self, life: Life) -> None:
        if life.table is None or self.now >= life.channel.deadline:
            return
        honest = [party for party in (A, B) if party != life.cheat]
        best = max((life.best(party) for party in honest), key=lambda signed: signed.state.version)
        if best.state.version > life.table.state.version:
            life.channel.challenge(self.world.stranger, best)
            life.table = best
            self.seen["old state answered"] += life.cheat is not None
            self.seen["kept state brought"] += best is life.kept

    @rule(place=st.integers(0, 1))
    def cheat_answers(self, place) -> None:
        """The cheat brings a state in between, so that a watcher's answer might fail."""
        life = self.pick(place)
        if life.cheat is None or life.table is None or self.now >= life.channel.deadline:
            return
        version = life.table.state.version + 1
        if version < len(life.states):
            life.channel.challenge(self.world.stranger, life.states[version])
            life.table = life.states[version]
            self.seen["cheat's own answer"] += 1

    @rule(place=st.integers(0, 1), shift=st.integers(-50, 50))
    def close_together(self, place, shift) -> None:
        """Both sign what the last state gives, or about that, if there is nothing left to wait for."""
        life = self.pick(place)
        last = life.states[-1]
        if life.kept is not None or last.locks or life.cheat is not None:
            return
        a, b = self.outcome(life, last)
        shift = max(-a, min(shift, b))
        final = life.channel.sign(life.channel.final(a + shift, b - shift, deposits=life.received))
        life.channel.close(self.world.stranger, final)
        self.close(life, (a + shift, b - shift))
        self.seen["closed together" if life.table is None else "closed together while closing"] += 1

    @rule(place=st.integers(0, 1))
    def finish(self, place) -> None:
        """When it can be."""
        life = self.pick(place)
        if life.table is None or self.now <= life.channel.deadline:
            return
        version = life.table.state.version
        is_penalised = version >= life.first + 2
        if not is_penalised and not all(self.is_decided(lock) for lock in life.table.locks):
            return
        (event,) = life.channel.finish(self.world.stranger, life.table).events
        got = event.amountA, event.amountB
        if is_penalised:
            assert life.cheat == life.closer
            assert event.penalised == (life.channel.config.party_b if life.closer else life.channel.config.party_a)
            assert (got[life.closer], got[1 - life.closer]) == (0, sum(life.received))
            self.seen["cheat penalised"] += 1
        else:
            assert event.penalised == NOBODY
            assert got == self.outcome(life, life.table)
            self.seen["cheat one version late"] += life.cheat is not None
            for lock in life.table.locks:
                self.seen["lock paid on chain" if self.is_paid(lock) else "lock returned on chain"] += 1
        for party in (A, B):
            if party != life.cheat and not life.has_signed(party, life.table):
                assert got[party] >= self.outcome(life, life.best(party))[party]
        self.close(life, got)

    def close(self, life: Life, got: tuple[int, int]) -> None:
        """Notes what the parties got of a channel that was closed, and opens another."""
        for party, amount in zip((life.channel.config.party_a, life.channel.config.party_b), got, strict=True):
            self.owed[party, life.channel.config.token] += amount
            assert self.contract.owed(party, life.channel.config.token) == self.owed[party, life.channel.config.token]
        life.received = (0, 0)
        if not self.is_over:
            self.open(self.lives.index(life))

    @rule(who=st.integers(0, 1), ether=st.booleans())
    def settle(self, who, ether) -> None:
        party, token = self.world.parties[who], ETHER if ether else self.world.usdc.address
        if self.owed[party.address, token]:
            self.contract.settle(party, token, sender=self.world.stranger)
            self.owed[party.address, token] = 0
            self.seen["settled"] += 1

    @rule(seconds=st.sampled_from((30, HOUR // 2, HOUR + 60, DAY)))
    def time_passes(self, seconds) -> None:
        """Nobody sleeps for longer than the challenge period."""
        for life in self.lives:
            self.answer(life)
        self.provider.make_request("evm_setNextBlockTimestamp", [self.now + seconds])
        self.provider.make_request("evm_mine", [])

    # ---------------------------------------------------------------- forgers

    @rule(place=st.integers(0, 1), kind=st.sampled_from(FORGERIES))
    def forge(self, place, kind) -> None:
        """Whoever tries gets nothing; tried without a transaction, as it costs nobody anything."""
        life = self.pick(place)
        channel, contract, stranger = life.channel, self.contract, self.world.stranger
        is_late = life.table is not None and self.now > channel.deadline
        if kind == FORGERIES[7]:
            self.forge_the_end(life, is_late)
        elif kind == FORGERIES[6]:
            later = self.forged(life, "")
            if life.table is None:
                with reverts(contract.NotAParty, caller=stranger.address):
                    channel.try_start(stranger, later)
            elif not is_late:
                with reverts(contract.VersionNotLater, version=life.table.state.version):
                    channel.try_challenge(stranger, life.table)
        else:
            a, b = channel.config.party_a, channel.config.party_b
            forged = self.forged(life, kind)
            error, values = {
                FORGERIES[0]: (contract.InvalidSignature, {"signer": b}),
                FORGERIES[1]: (contract.InvalidSignature, {"signer": a}),
                FORGERIES[2]: (contract.InvalidSignature, {"signer": a}),
                FORGERIES[3]: (contract.WrongChannel, {"channelId": forged.state.channel_id}),
                FORGERIES[4]: (contract.UnbalancedState, {"deposits": sum(life.received)}),
                FORGERIES[5]: (contract.DepositsMissing, {"party": a, "received": life.received[A]}),
            }[kind]
            if is_late:
                error, values = contract.ChallengePeriodOver, {"deadline": channel.deadline}
            with reverts(error, **values):
                (channel.try_start if life.table is None else channel.try_challenge)(channel.party_b, forged)
        self.seen["forgery"] += 1

    def forged(self, life: Life, kind: str) -> Signed:
        """A state of a version that nobody has seen, which gives A everything, with this defect; "" for none."""
        channel, total, (a, b) = life.channel, sum(life.received), life.received
        version = 1000
        given = channel.state(version, total, 0, deposits=life.received)
        if kind == FORGERIES[3]:
            given = given.with_(channel_id=self.lives[1 - self.lives.index(life)].channel.id)
        elif kind == FORGERIES[4]:
            given = channel.state(version, total + 1, 0, deposits=life.received)
        elif kind == FORGERIES[5]:
            given = channel.state(version, total + 1, 0, deposits=(a + 1, b))
        signed = channel.sign(given)
        if kind == FORGERIES[0]:
            return replace(signed, b=signed.a)
        if kind == FORGERIES[1]:
            return replace(signed, a=sign(self.world.stranger, digest(self.contract, signed.state)))
        if kind == FORGERIES[2]:
            return signed.with_(balance_a=total - 1, balance_b=1)
        return signed

    def forge_the_end(self, life: Life, is_late: bool) -> None:
        channel, contract = life.channel, self.contract
        other = self.forged(life, "")
        if life.table is None:
            error, values = contract.ChannelNotClosing, {"channelId": channel.id}
        elif not is_late:
            error, values = contract.ChallengePeriodRunning, {"deadline": channel.deadline}
        else:
            error, values = contract.StateMismatch, {}
        with reverts(error, **values):
            channel.try_finish(self.world.stranger, other)

    @rule(amount=st.integers(1, 9))
    def force_ether(self, amount) -> None:
        """Upon the contract, by a contract that destroys itself: nobody gets it, nobody is owed less or more."""
        self.world.stranger.deploy(self.world.forcer, self.contract, value=amount)
        self.forced += amount
        self.seen["ether forced upon it"] += 1

    # ---------------------------------------------------------------- a life

    def live(self) -> None:
        """Each kind of step in an order in which it moves money; the first channel is of ether."""
        first = 0

        def do(step, *arguments) -> None:
            step(*arguments)
            self.books_balance()

        # An honest closing in which the other party has kept a signature.
        do(self.pay, first, A, 100, False)
        do(self.deposit, first, A, True, 40)
        do(self.pay, first, B, 30, True)
        do(self.start, first, B, 0)
        do(self.watch, first)
        do(self.time_passes, HOUR + 60)
        do(self.finish, first)
        # A cheat whose answer to itself does not help.
        for amount in (10, 20, 30):
            do(self.pay, first, A, amount, False)
        do(self.pay, first, A, 5, True)
        do(self.give_back, first)
        do(self.start, first, A, 3)
        do(self.cheat_answers, first)
        do(self.time_passes, HOUR + 60)
        do(self.finish, first)
        # A cheat that is caught, but only one version late.
        do(self.pay, first, A, 10, False)
        do(self.start, first, A, 1)
        do(self.time_passes, HOUR + 60)
        do(self.finish, first)
        # Locks: one paid and one returned, off chain and on chain.
        do(self.lock, first, A, 50, DAY, SECRETS[0])
        do(self.lock, first, B, 60, 60, SECRETS[1])
        do(self.unlock, first, 0, True)
        do(self.time_passes, HOUR // 2)
        do(self.unlock, first, 0, False)
        do(self.lock, first, A, 70, DAY, SECRETS[2])
        do(self.lock, first, B, 80, 60, SECRETS[3])
        do(self.reveal, SECRETS[2])
        do(self.start, first, B, 0)
        do(self.time_passes, HOUR + 60)
        do(self.finish, first)
        # Together, before closing and while closing.
        do(self.pay, first, A, 10, False)
        do(self.close_together, first, 7)
        do(self.start, first, A, 0)
        do(self.close_together, first, -7)
        for who in (A, B):
            do(self.settle, who, True)
        # Everything that a forger tries, before a closing, during one, and after its deadline.
        do(self.force_ether, 5)
        for kind in FORGERIES:
            do(self.forge, first, kind)
        do(self.start, first, B, 0)
        for kind in FORGERIES:
            do(self.forge, first, kind)
        do(self.time_passes, HOUR + 60)
        for kind in FORGERIES:
            do(self.forge, first, kind)
        do(self.finish, first)

    # ---------------------------------------------------------------- the end

    def end(self) -> None:
        """Every channel is closed, and everybody paid: nothing is left."""
        self.is_over = True
        for number in range(2):
            self.start(number, A, 0)
        for seconds in (HOUR + 60, DAY):
            self.time_passes(seconds)
        for number in range(2):
            self.finish(number)
        for who in (A, B):
            for ether in (True, False):
                self.settle(who, ether)
        assert (self.contract.balance, self.world.usdc.balanceOf(self.contract)) == (self.forced, 0)

    # ---------------------------------------------------------------- the books

    @invariant()
    def books_balance(self) -> None:
        """What the contract says it owes and has received is what it has."""
        contract, usdc, parties = self.contract, self.world.usdc, self.world.parties
        tokens = (ETHER, usdc.address)
        owed = [(party.address, token) for token in tokens for party in parties]
        questions = [
            *((contract.address, bytes(contract.owed.encode_input(*pair))) for pair in owed),
            *((contract.address, bytes(contract.depositsOf.encode_input(life.channel.id))) for life in self.lives),
            (usdc.address, bytes(usdc.balanceOf.encode_input(contract.address))),
        ]
        answers = call_many(self.provider, questions)
        amounts = [int.from_bytes(answer[:32]) + int.from_bytes(answer[32:]) for answer in answers]
        assert amounts[:4] == [self.owed[pair] for pair in owed]
        assert amounts[4:-1] == [sum(life.received) for life in self.lives]
        for token, balance in ((ETHER, contract.balance - self.forced), (usdc.address, amounts[-1])):
            held = sum(sum(life.received) for life in self.lives if life.channel.config.token == token)
            assert balance == held + sum(self.owed[party.address, token] for party in parties)
