"""Conservation over random sequences in a payment channel: what it has = deposit + what was forced upon it − what the
recipient got − what the sender got back; and the recipient never gets more than the largest voucher says."""

from collections import Counter
from types import SimpleNamespace
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.support.payment_channels import DAY, FORMS, payment_digest, spoilt
from tests.support.reverts import call, reverts
from tests.support.typed import sign
from tests.support.walks import machine, walk_at_random

DEPOSIT = 1000
SEEN = {
    "claimed",
    "all claimed",
    "refused a claim",
    "refused a forgery",
    "forced upon",
    "expired",
    "refused a claim after expiry",
    "refused to close",
    "closed by the recipient",
    "closed by the sender",
    "sender refused",
    "sender came back",
}
"""What happens in the two lives that are told below; the walks are free to miss it."""


@pytest.fixture(scope="module")
def scene(project, accounts):
    alice, bob, mallory = accounts[2], accounts[3], accounts[4]
    refuser = mallory.deploy(project.RevertingPayee)
    return SimpleNamespace(project=project, alice=alice, bob=bob, mallory=mallory, refuser=refuser)


def test_conservation(scene):
    """Four walks of 15 steps."""
    walk_at_random(machine(Machine, scene), walks=4, steps=15)


def test_conservation_in_two_lives_with_everything(scene):
    """One that the recipient ends, and one that the sender ends."""
    kind = machine(Machine, scene)
    for live in (kind.live_and_be_closed_by_the_recipient, kind.live_and_expire):
        walk = kind()
        live(walk)
        walk.teardown()
    assert set(kind.seen) == SEEN


class Machine(RuleBasedStateMachine):
    """Every step is what somebody may do, or what somebody tries and is refused."""

    world: SimpleNamespace
    seen: ClassVar[Counter[str]]

    amounts = st.sampled_from((-7, 0, 1, 10, 400, DEPOSIT))
    """Relative to what was claimed."""

    def __init__(self) -> None:
        super().__init__()
        self.alice, self.bob, self.mallory = self.world.alice, self.world.bob, self.world.mallory
        self.provider = self.alice.provider
        self.snapshot = self.provider.make_request("evm_snapshot", [])
        self.expiration = self.now + DAY
        self.contract = self.alice.deploy(self.world.project.PaymentChannel, self.bob, self.expiration, value=DEPOSIT)
        self.claimed = self.forced = self.refunded = self.largest = 0
        self.is_closed = self.is_refusing = False

    def teardown(self) -> None:
        self.set_refusing(False)
        if self.contract.balance:
            self.mine(max(self.now, self.expiration) + 1)
            self.close(0)
        assert self.contract.balance == 0
        assert self.claimed + self.refunded == DEPOSIT + self.forced
        assert self.provider.make_request("evm_revert", [self.snapshot]) is True

    @property
    def now(self) -> int:
        return int(self.provider.get_block("latest").timestamp)

    def mine(self, timestamp: int) -> None:
        self.provider.make_request("evm_setNextBlockTimestamp", [timestamp])
        self.provider.make_request("evm_mine", [])

    def voucher(self, amount: int, by=None) -> bytes:
        digest = payment_digest(self.contract.address, amount, self.provider.chain_id)
        return sign(by or self.alice, digest)

    @rule(relative=amounts)
    def claim(self, relative) -> None:
        contract = self.contract
        amount = max(0, self.claimed + relative)
        voucher = self.voucher(amount)
        data = contract.claimPayment.encode_input(amount, voucher)
        refusal = None
        if self.is_closed:
            refusal = contract.AlreadyClosed, {}
        elif self.now > self.expiration:
            refusal = contract.ChannelExpired, {"expiration": self.expiration}
            self.seen["refused a claim after expiry"] += 1
        elif amount > DEPOSIT:
            refusal = contract.AmountTooLarge, {"amount": amount, "deposit": DEPOSIT}
        elif amount <= self.claimed:
            refusal = contract.AlreadyClaimed, {"amount": amount, "claimed": self.claimed}
        if refusal:
            with reverts(refusal[0], **refusal[1]):
                call(contract, data, self.bob)
            self.seen["refused a claim"] += 1
            return
        before = self.bob.balance
        self.next_block_in_time()
        receipt = contract.claimPayment(amount, voucher, sender=self.bob)
        assert self.bob.balance - before + receipt.total_fees_paid == amount - self.claimed
        self.claimed = amount
        self.largest = max(self.largest, amount)
        self.seen["claimed"] += 1
        self.seen["all claimed"] += amount == DEPOSIT

    def next_block_in_time(self) -> None:
        """At the last second, if the block would be later."""
        if self.now + 12 > self.expiration:
            self.provider.make_request("evm_setNextBlockTimestamp", [max(self.now + 1, self.expiration)])

    @rule(form=st.sampled_from(FORMS), relative=st.integers(1, 10))
    def forge(self, form, relative) -> None:
        amount = self.claimed + relative
        if self.is_closed or self.now > self.expiration or amount > DEPOSIT:
            return
        for voucher in (spoilt(self.voucher(amount))[form], self.voucher(amount, self.bob), self.voucher(amount + 1)):
            with reverts(self.contract.InvalidSignature):
                call(self.contract, self.contract.claimPayment.encode_input(amount, voucher), self.bob)
        self.seen["refused a forgery"] += 1

    @rule()
    def force(self) -> None:
        self.mallory.deploy(self.world.project.EtherForcer, self.contract, value=77)
        self.forced += 77
        self.seen["forced upon"] += 1

    @rule(is_past=st.booleans())
    def time_passes(self, is_past) -> None:
        """To the last second but one, or past the last one."""
        target = self.expiration + 1 if is_past else self.expiration - 1
        if target > self.now:
            self.mine(target)
            self.seen["expired"] += is_past

    @rule()
    def refuse_or_accept(self) -> None:
        self.set_refusing(not self.is_refusing)

    def set_refusing(self, is_refusing: bool) -> None:
        """Alice's account runs code that refuses ether, or none again."""
        code = "0xef0100" + self.world.refuser.address[2:] if is_refusing else "0x"
        self.provider.make_request("anvil_setCode", [self.alice.address, code])
        self.is_refusing = is_refusing

    @rule(who=st.integers(0, 2))
    def close(self, who) -> None:
        """By the sender, the recipient, or a stranger."""
        contract = self.contract
        caller = (self.alice, self.bob, self.mallory)[who]
        left = DEPOSIT + self.forced - self.claimed - self.refunded
        refusal = None
        if caller == self.mallory:
            refusal = contract.NotParty, {"caller": caller}
        elif self.is_closed and (caller == self.bob or not left):
            refusal = contract.AlreadyClosed, {}
        elif not self.is_closed and caller == self.alice and self.now <= self.expiration:
            refusal = contract.NotExpired, {"expiration": self.expiration}
        elif caller == self.alice and self.is_refusing and left:
            refusal = contract.ETHTransferFailed, {}
        if refusal:
            with reverts(refusal[0], **refusal[1]):
                call(contract, contract.closeChannel.encode_input(), caller)
            self.seen["refused to close"] += 1
            return
        is_taken = caller == self.alice or not self.is_refusing
        before = self.alice.balance
        receipt = contract.closeChannel(sender=caller)
        refund = left if is_taken else 0
        assert receipt.events == [contract.ChannelClosed(sender=self.alice, refund=refund)]
        fee = receipt.total_fees_paid if caller == self.alice else 0
        assert self.alice.balance - before + fee == refund
        self.seen["sender refused"] += not is_taken
        self.seen["sender came back"] += self.is_closed
        self.seen["closed by the sender" if caller == self.alice else "closed by the recipient"] += not self.is_closed
        self.is_closed = True
        self.refunded += refund

    def live_and_be_closed_by_the_recipient(self) -> None:
        for step in (
            lambda: self.claim(10),
            lambda: self.claim(0),
            lambda: self.claim(-7),
            lambda: self.forge("high s", 5),
            lambda: self.force(),
            lambda: self.close(0),
            lambda: self.close(2),
            lambda: self.refuse_or_accept(),
            lambda: self.close(1),
            lambda: self.close(0),
            lambda: self.refuse_or_accept(),
            lambda: self.claim(10),
            lambda: self.close(0),
        ):
            step()
            self.books_balance()

    def live_and_expire(self) -> None:
        for step in (
            lambda: self.claim(400),
            lambda: self.time_passes(False),
            lambda: self.claim(DEPOSIT - 400),
            lambda: self.force(),
            lambda: self.time_passes(True),
            lambda: self.claim(1),
            lambda: self.close(0),
            lambda: self.close(1),
        ):
            step()
            self.books_balance()

    @invariant()
    def books_balance(self) -> None:
        contract = self.contract
        assert contract.balance == DEPOSIT + self.forced - self.claimed - self.refunded
        assert (contract.claimed(), contract.isClosed()) == (self.claimed, self.is_closed)
        assert self.claimed <= self.largest <= DEPOSIT
