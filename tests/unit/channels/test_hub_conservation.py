"""Conservation over random sequences in the hub, with people who cheat.

After every step, for each token: what the hub has = Σ balances of channels + Σ what accounts are owed + what was forced
upon it. For each channel: balance + released = all that arrived, released = all that was credited to payee and payer,
and the payee was never credited with more than the largest voucher says. Each walk ends with everybody leaving.
"""

from collections import Counter
from types import SimpleNamespace
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.support.payment_channels import DAY, FORMS, Channel, spoilt
from tests.support.reverts import call, call_many, reverts
from tests.support.state_channels import ETHER, NOBODY
from tests.support.walks import machine, walk_at_random

AS_OWNER = 1
"""An answer of a SigningPuppet."""
SEEN = {
    "opened",
    "topped up",
    "forced upon",
    "claimed",
    "claimed more than there is",
    "claimed many",
    "left out",
    "refused a claim",
    "refused a forgery",
    "reentered",
    "closed by the payee",
    "closed by a stranger",
    "withdrawal started",
    "withdrawal cancelled",
    "withdrawn",
    "too early",
    "settled",
    "refused its money",
    "refilled",
}
"""What happens in the life that is told below; the walks are free to miss it."""


@pytest.fixture(scope="module")
def scene(project, deployer, accounts):
    """A hub, three tokens, and seven channels: with keys, contracts, a payee that refuses ether, a reentrant token."""
    hub = deployer.deploy(project.PaymentChannelHub)
    tokens = [deployer.deploy(kind) for kind in (project.TestUSDC, project.FeeOnTransferToken, project.ReentrantToken)]
    alice, bob, carol, mallory = accounts[2:6]
    for token in tokens:
        for person in (alice, mallory):
            token.mint(person, 10**24, sender=person)
            token.approve(hub, 2**256 - 1, sender=person)
    tokens[2].arm(hub, 10**6, sender=alice)
    wallet = carol.deploy(project.SigningPuppet, carol, AS_OWNER)
    refuser = mallory.deploy(project.RevertingPayee)
    channels = [
        Channel.of(hub, alice, bob),
        Channel.of(hub, alice, bob, token=tokens[0].address),
        Channel.of(hub, alice, bob, signer=carol, token=tokens[1].address),
        Channel.of(hub, alice, wallet, token=tokens[2].address, withdraw_delay=15 * 60),
        Channel.of(hub, alice, refuser),
        Channel.of(hub, mallory, bob, salt=b"m" * 32),
        Channel.of(hub, mallory, mallory, token=tokens[2].address),
    ]
    # Carol's key signs for her contract.
    channels[3].payee_key = carol
    return SimpleNamespace(
        hub=hub,
        tokens=tokens,
        channels=channels,
        people=[alice, bob, carol, mallory],
        accounts=[alice, bob, mallory, wallet, refuser],
        refuser=refuser,
    )


def test_conservation(scene):
    """Four walks of 20 steps."""
    walk_at_random(machine(Machine, scene), walks=4, steps=20)


def test_conservation_in_a_life_with_everything(scene):
    """Every kind of step once, in an order in which it moves money."""
    walk = machine(Machine, scene)()
    walk.live()
    walk.teardown()
    assert set(walk.seen) == SEEN


class Book:
    """What a channel should have seen. largest: the amount of the largest voucher that was claimed, fully or not."""

    def __init__(self) -> None:
        self.arrived = self.paid = self.refunded = self.largest = 0

    @property
    def balance(self) -> int:
        return self.arrived - self.released

    @property
    def released(self) -> int:
        return self.paid + self.refunded


class Machine(RuleBasedStateMachine):
    """Every step is what somebody may do, or what somebody tries and is refused."""

    world: SimpleNamespace
    seen: ClassVar[Counter[str]]

    numbers = st.integers(0, 6)
    people = st.integers(0, 3)
    amounts = st.sampled_from((-50, -1, 0, 1, 7, 100, 10**9))
    """Relative to what has left the channel."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = self.world.hub
        self.provider = self.hub.provider
        self.snapshot = self.provider.make_request("evm_snapshot", [])
        self.channels: list[Channel] = self.world.channels
        self.books = [Book() for _ in self.channels]
        self.owed: Counter[tuple[str, str]] = Counter()
        self.forced: Counter[str] = Counter()
        self.vouchers: list[tuple[int, int, bytes]] = []

    def teardown(self) -> None:
        self.leave()
        assert self.provider.make_request("evm_revert", [self.snapshot]) is True

    # ---------------------------------------------------------------- money in

    @rule(number=numbers, who=st.sampled_from((0, 3)), amount=st.sampled_from((1, 99, 1000, 10**6)))
    def deposit(self, number, who, amount) -> None:
        channel, book = self.channels[number], self.books[number]
        receipt = channel.deposit(self.world.people[who], amount)
        names = [event.event_name for event in receipt.events if event.contract_address == self.hub.address]
        assert names == ["ChannelOpened", "Deposited"][book.arrived > 0 :]
        arrived = amount - amount // 100 if channel.config.token == self.world.tokens[1].address else amount
        self.seen["topped up" if book.arrived else "opened"] += 1
        self.seen["refilled"] += book.arrived > 0 and book.balance == 0
        book.arrived += arrived

    @rule(token=st.integers(0, 3))
    def force(self, token) -> None:
        """Money that nobody deposits."""
        mallory = self.world.people[3]
        if token == 0:
            before = int(self.hub.balance)
            self.provider.make_request("anvil_setBalance", [self.hub.address, hex(before + 12345)])
            self.forced[ETHER] += 12345
        else:
            contract = self.world.tokens[token - 1]
            before = contract.balanceOf(self.hub)
            contract.transfer(self.hub, 12345, sender=mallory)
            self.forced[contract.address] += contract.balanceOf(self.hub) - before
        self.seen["forced upon"] += 1

    # ---------------------------------------------------------------- claims

    def due(self, number: int, amount: int) -> int:
        book = self.books[number]
        return max(0, min(amount - book.released, book.balance))

    def credit(self, number: int, due: int, amount: int) -> None:
        """What a claim should do."""
        channel, book = self.channels[number], self.books[number]
        self.seen["claimed more than there is"] += book.released + book.balance < amount
        book.paid += due
        book.largest = max(book.largest, amount)
        self.owed[channel.config.payee, channel.config.token] += due

    @rule(number=numbers, who=people, relative=amounts)
    def claim(self, number, who, relative) -> None:
        channel = self.channels[number]
        amount = max(0, self.books[number].released + relative)
        voucher = channel.voucher(amount)
        self.vouchers.append((number, amount, voucher))
        due = self.due(number, amount)
        if due:
            channel.claim(self.world.people[who], amount, voucher)
            self.credit(number, due, amount)
            self.seen["claimed"] += 1
        else:
            with reverts(self.hub.NothingToClaim, channelId=channel.id, amount=amount):
                channel.attempt("claim", amount, voucher)
            self.seen["refused a claim"] += 1

    @rule(number=numbers, relative=st.integers(1, 60), form=st.sampled_from(FORMS))
    def forge(self, number, relative, form) -> None:
        """With a spoilt signature, with the payee's, and with one of another channel."""
        channel, other = self.channels[number], self.channels[number - 1]
        amount = self.books[number].released + relative
        for voucher in (spoilt(channel.voucher(amount))[form], other.voucher(amount, by=channel.signer)):
            if not self.books[number].balance:
                return
            with reverts(self.hub.InvalidSignature):
                channel.attempt("claim", amount, voucher)
            with reverts(self.hub.NothingClaimable):
                call(self.hub, self.hub.claimMany.encode_input([channel.item(amount, voucher)]))
            self.seen["refused a forgery"] += 1

    @rule(source=st.randoms(use_true_random=False), who=people)
    def claim_many(self, source, who) -> None:
        """Old vouchers, new ones and forged ones, in any order."""
        items, effects = [], []
        for number, amount, voucher in source.sample(self.vouchers, min(3, len(self.vouchers))):
            items.append((number, amount, voucher))
        for number in source.sample(range(len(self.channels)), 4):
            amount = self.books[number].released + source.choice((0, 1, 40, 10**9))
            items.append((number, amount, self.channels[number].voucher(amount + source.choice((0, 0, 0, 1)))))
        source.shuffle(items)
        expected = [(self.books[n].released, self.books[n].balance) for n in range(len(self.channels))]
        for number, amount, voucher in items:
            released, balance = expected[number]
            due = max(0, min(amount - released, balance))
            if due and voucher == self.channels[number].voucher(amount):
                effects.append((number, due, amount))
                expected[number] = released + due, balance - due
        arguments = [self.channels[number].item(amount, voucher) for number, amount, voucher in items]
        if not effects:
            with reverts(self.hub.NothingClaimable):
                call(self.hub, self.hub.claimMany.encode_input(arguments))
            return
        receipt = self.hub.claimMany(arguments, sender=self.world.people[who])
        assert [(bytes(e.channelId), e.amount) for e in receipt.events] == [
            (self.channels[number].id, due) for number, due, _ in effects
        ]
        for effect in effects:
            self.credit(*effect)
        self.seen["claimed many"] += 1
        self.seen["left out"] += len(effects) < len(items)

    @rule(outer=st.sampled_from((3, 6)), inner=numbers, relative=st.integers(1, 60), is_claim=st.booleans())
    def reenter(self, outer, inner, relative, is_claim) -> None:
        """A token that claims, or tries to deposit, while it is deposited."""
        channel, token = self.channels[outer], self.world.tokens[2]
        amount = self.books[inner].released + relative
        other = self.channels[inner]
        if is_claim:
            payload = other.encode("claim", amount, other.voucher(amount))
        else:
            payload = self.channels[6].encode("deposit", 5)
        token.setHook(self.hub, payload, sender=self.world.people[3])
        channel.deposit(self.world.people[3], 70)
        due = self.due(inner, amount)
        assert token.succeeded() == (is_claim and due > 0)
        if token.succeeded():
            self.credit(inner, due, amount)
        self.books[outer].arrived += 70
        self.seen["reentered"] += 1

    # ---------------------------------------------------------------- endings

    @rule(number=numbers, relative=amounts, is_payee=st.booleans())
    def close(self, number, relative, is_payee) -> None:
        """By the payee, if that is an account of a key, or by Mallory with both signatures."""
        channel, book = self.channels[number], self.books[number]
        amount = max(0, book.released + relative)
        if channel.config.payee == self.world.refuser.address:
            return
        signature = channel.closing(amount, by=getattr(channel, "payee_key", channel.payee))
        arguments = amount, channel.voucher(amount), signature
        mallory = self.world.people[3]
        if not book.balance:
            with reverts(self.hub.EmptyChannel, channelId=channel.id):
                channel.attempt("close", *arguments, sender=mallory)
            return
        if amount < book.released:
            with reverts(self.hub.AlreadyReleased, channelId=channel.id, amount=amount, released=book.released):
                channel.attempt("close", *arguments, sender=mallory)
            return
        due = self.due(number, amount)
        refund = book.balance - due
        if is_payee and channel.payee in self.world.people:
            channel.close(channel.payee, amount, arguments[1])
            self.seen["closed by the payee"] += 1
        else:
            if channel.payee != mallory:
                with reverts(self.hub.InvalidSignature, signer=channel.payee):
                    forged = channel.closing(amount, by=mallory)
                    channel.attempt("close", amount, arguments[1], forged, sender=mallory)
            channel.close(mallory, *arguments)
            self.seen["closed by a stranger"] += 1
        self.credit(number, due, amount)
        book.refunded += refund
        self.owed[channel.config.payer, channel.config.token] += refund
        assert channel.withdrawable_after == 0

    @rule(number=numbers)
    def start_or_cancel(self, number) -> None:
        channel = self.channels[number]
        if channel.withdrawable_after:
            channel.cancel_withdrawal()
            self.seen["withdrawal cancelled"] += 1
        elif self.books[number].balance:
            channel.start_withdrawal()
            self.seen["withdrawal started"] += 1

    @rule(number=numbers)
    def withdraw(self, number) -> None:
        """At the first second, after it was refused at the last one before."""
        channel, book = self.channels[number], self.books[number]
        after = channel.withdrawable_after
        if not after:
            with reverts(self.hub.NoWithdrawal, channelId=channel.id):
                channel.attempt("finishWithdrawal", sender=channel.payer)
            return
        if self.now <= after:
            self.mine(max(after, self.now + 1))
        if self.now == after:
            with reverts(self.hub.WithdrawalTooEarly, withdrawableAfter=after):
                channel.attempt("finishWithdrawal", sender=channel.payer)
            self.seen["too early"] += 1
        if not book.balance:
            self.mine(self.now + 1)
            with reverts(self.hub.EmptyChannel, channelId=channel.id):
                channel.attempt("finishWithdrawal", sender=channel.payer)
            return
        channel.finish_withdrawal()
        self.owed[channel.config.payer, channel.config.token] += book.balance
        book.refunded += book.balance
        self.seen["withdrawn"] += 1

    @rule(hours=st.sampled_from((1, 23, 25)))
    def time_passes(self, hours) -> None:
        self.mine(self.now + hours * 3600)

    @property
    def now(self) -> int:
        return int(self.provider.get_block("latest").timestamp)

    def mine(self, timestamp: int) -> None:
        self.provider.make_request("evm_setNextBlockTimestamp", [timestamp])
        self.provider.make_request("evm_mine", [])

    # ---------------------------------------------------------------- money out

    @rule(who=st.integers(0, 4), token=st.integers(0, 3))
    def settle(self, who, token) -> None:
        account = self.world.accounts[who]
        address = ETHER if token == 0 else self.world.tokens[token - 1].address
        owed = self.owed[account.address, address]
        settler = self.world.people[3]
        data = self.hub.settle.encode_input(account, address)
        if not owed:
            with reverts(self.hub.NothingToSettle, account=account, token=address):
                call(self.hub, data, settler)
        elif account == self.world.refuser and token == 0:
            with reverts(self.hub.ETHTransferFailed):
                call(self.hub, data, settler)
            self.seen["refused its money"] += 1
        else:
            before = self.held(address)
            self.hub.settle(account, address, sender=settler)
            assert before - self.held(address) == owed
            del self.owed[account.address, address]
            self.seen["settled"] += 1

    # ---------------------------------------------------------------- a life, and its end

    def live(self) -> None:
        """Everything that can happen, in an order in which it moves money."""
        alice, mallory = 0, 3
        for number in range(len(self.channels)):
            self.deposit(number, alice, 1000)
            self.books_balance()

        class Chosen:
            """Not random: the first three vouchers, and of the channels the first four."""

            def sample(self, items, count):
                return list(items)[:count]

            def choice(self, items):
                return items[2]

            def shuffle(self, items):
                items.reverse()

        steps = [
            lambda: self.deposit(0, mallory, 99),
            *(lambda token=token: self.force(token) for token in range(4)),
            lambda: self.claim(0, mallory, 100),
            lambda: self.claim(0, alice, -1),
            lambda: self.claim(0, alice, 0),
            lambda: self.claim(1, alice, 10**9),
            lambda: self.claim(4, alice, 7),
            lambda: self.forge(2, 7, "high s"),
            lambda: self.claim_many(Chosen(), mallory),
            lambda: self.reenter(6, 3, 5, True),
            lambda: self.reenter(3, 3, 5, False),
            lambda: self.close(0, 7, True),
            lambda: self.claim(0, mallory, -1),
            lambda: self.deposit(0, alice, 1000),
            lambda: self.claim(0, mallory, 1),
            lambda: self.close(3, 7, False),
            lambda: self.start_or_cancel(2),
            lambda: self.start_or_cancel(2),
            lambda: self.start_or_cancel(2),
            lambda: self.claim(2, mallory, 7),
            lambda: self.withdraw(2),
            lambda: self.settle(1, 0),
            lambda: self.settle(4, 0),
        ]
        for step in steps:
            step()
            self.books_balance()

    def leave(self) -> None:
        """Payers withdraw, and everybody is paid."""
        for number, channel in enumerate(self.channels):
            if self.books[number].balance and not channel.withdrawable_after:
                self.start_or_cancel(number)
        self.mine(self.now + DAY + 1)
        for number in range(len(self.channels)):
            if self.books[number].balance:
                self.withdraw(number)
        for who in range(len(self.world.accounts)):
            for token in range(4):
                self.settle(who, token)
        self.books_balance()
        stuck = self.owed[self.world.refuser.address, ETHER]
        assert self.held(ETHER) == self.forced[ETHER] + stuck
        for token in self.world.tokens:
            assert self.held(token.address) == self.forced[token.address]

    # ---------------------------------------------------------------- the books

    def held(self, token: str) -> int:
        return (
            int(self.hub.balance)
            if token == ETHER
            else int(next(contract for contract in self.world.tokens if contract.address == token).balanceOf(self.hub))
        )

    @invariant()
    def books_balance(self) -> None:
        tokens = [ETHER, *(token.address for token in self.world.tokens)]
        accounts = [*(account.address for account in self.world.accounts), self.hub.address, NOBODY]
        calls = [self.hub.channels.encode_input(channel.id) for channel in self.channels]
        calls += [self.hub.owed.encode_input(account, token) for token in tokens for account in accounts]
        questions = [(self.hub.address, bytes(data)) for data in calls]
        questions += [(token.address, bytes(token.balanceOf.encode_input(self.hub))) for token in self.world.tokens]
        answers = iter(call_many(self.provider, questions))

        balances: Counter[str] = Counter()
        for channel, book in zip(self.channels, self.books, strict=True):
            answer = next(answers)
            assert (int.from_bytes(answer[:32]), int.from_bytes(answer[32:])) == (book.balance, book.released)
            assert book.paid <= book.largest
            balances[channel.config.token] += book.balance
        owed: Counter[str] = Counter()
        for token in tokens:
            for account in accounts:
                amount = int.from_bytes(next(answers))
                assert amount == self.owed[account, token]
                owed[token] += amount
        held = [int(self.hub.balance), *(int.from_bytes(answer) for answer in answers)]
        for token, amount in zip(tokens, held, strict=True):
            assert amount == balances[token] + owed[token] + self.forced[token]
