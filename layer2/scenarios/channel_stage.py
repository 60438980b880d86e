"""The stage of a story about channels: hub and state channels on a development chain, people with money, and the books.

May import everything of this package but the stories and the scripts.
"""

from collections.abc import Iterable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Final

from layer2.actors.errors import RefusedError
from layer2.chain.coder import coder
from layer2.chain.connection import Chain, Receipt
from layer2.chain.sending import send
from layer2.channels.actor import ChannelActor, Move
from layer2.channels.contracts import Channels
from layer2.channels.deployment import deploy_channels
from layer2.channels.messages import Message
from layer2.channels.party import Party, PartyRules, PartyStore
from layer2.channels.payee import Offer, Payee, PayeeRules, PayeeStore
from layer2.channels.payer import Payer, PayerStore
from layer2.channels.signing import ETH
from layer2.channels.states import StateChannelConfig
from layer2.channels.vouchers import ChannelConfig, SignedVoucher, Voucher
from layer2.channels.watchtower import Watchtower, WatchtowerStore
from layer2.crypto.eip712 import sign_digest
from layer2.demo.narrator import Narrator
from layer2.scenarios.channel_books import ChannelBooks
from layer2.scenarios.people import Person
from layer2.scenarios.stage import DAY, PURSE, Ending, Scene

TOGETHER: Final = 64
"""Vouchers that a payee stores in one write to the disk."""


class ChannelStage(Scene):
    """The stage of channels."""

    def __init__(self, chain: Chain, folder: Path, tell: Narrator) -> None:
        """Deploys the hub, the state channels and a test token. See `Scene`."""
        super().__init__(chain, folder, tell, ("Alice", "Bob", "Carol", "Mallory", "Wanda"))
        self.alice, self.bob, self.carol, self.mallory, self.wanda = self.people
        self.channels = Channels(chain, deploy_channels(chain, self.wanda.signer, with_test_token=True).deployment)
        self.dev.set_balance(self.wanda.address, PURSE)
        self.books = ChannelBooks(self.dev, self.channels, self.people)

    @property
    def hub(self) -> str:
        """The hub's address."""
        return self.channels.hub

    @property
    def contract(self) -> str:
        """The address of the contract of state channels."""
        return self.channels.state_channel

    @property
    def usdc(self) -> str:
        """The test token's address."""
        return self.channels.deployment.tokens[0].address

    # ---------------------------------------------------------------- who does it

    def payer(self, person: Person) -> Payer:
        """Somebody who pays, with a database of their own."""
        store = self._exits.enter_context(PayerStore(self._folder / f"payer-{person.name}.sqlite"))
        return Payer(self.channels, store, person.signer, clock=self._clock)

    def payee(self, person: Person, rules: PayeeRules | None = None) -> Payee:
        """Somebody who is paid."""
        store = self._exits.enter_context(PayeeStore(self._folder / f"payee-{person.name}.sqlite"))
        return Payee(self.channels, store, person.signer, rules, clock=self._clock)

    def party(self, person: Person, rules: PartyRules | None = None) -> Party:
        """A party of state channels."""
        store = self._exits.enter_context(PartyStore(self._folder / f"party-{person.name}.sqlite"))
        return Party(self.channels, store, person.signer, rules, clock=self._clock)

    def watchtower(self, person: Person) -> Watchtower:
        """Somebody who watches for others."""
        store = self._exits.enter_context(WatchtowerStore(self._folder / f"watchtower-{person.name}.sqlite"))
        return Watchtower(self.channels, store, person.signer, clock=self._clock)

    # ---------------------------------------------------------------- what people do on L1

    def mint(self, person: Person, amount: int) -> None:
        """Give somebody USDC."""
        self.send(person, self.usdc, coder("TestUSDC").encode("mint", person.address, amount))

    def send(self, person: Person, contract: str, call: bytes, value: int = 0) -> Receipt:
        """A transaction of somebody's to a contract. Raises RevertedError when it is refused."""
        return send(self.chain, person.signer, contract, call, value=value)

    def settle(self, contract: str, person: Person, token: str = ETH) -> None:
        """Have paid out what a contract owes somebody."""
        self.send(person, contract, self.channels.settle_call(person.address, token))

    def owed(self, contract: str, person: Person, token: str = ETH) -> int:
        """What a contract would pay somebody."""
        return self.channels.owed(contract, person.address, token)

    def work(self, actor: ChannelActor) -> list[Move]:
        """An actor works until it is idle; what it sent and what was mined, in order."""
        return [move for report in actor.run_until_idle() for move in report.settled if move.reason is None]

    def gas(self, moves: Iterable[Move]) -> int:
        """What these took."""
        return sum(self.receipt(move).gas_used for move in moves)

    def receipt(self, move: Move) -> Receipt:
        """The receipt of a mined call."""
        assert move.transaction is not None
        receipt = self.chain.receipt(move.transaction)
        assert receipt is not None
        return receipt

    # ---------------------------------------------------------------- what people sign

    def voucher(self, config: ChannelConfig, amount: int, person: Person) -> SignedVoucher:
        """A voucher over all that is paid so far, signed by somebody."""
        voucher = Voucher(config.id, amount)
        return SignedVoucher(voucher, sign_digest(voucher.digest(self.channels.hub_domain.separator), person.key))

    def stream(self, config: ChannelConfig, person: Person, payee: Payee, count: int, price: int) -> SignedVoucher:
        """So many payments of `price`, each a voucher that somebody signs and the payee checks and stores; the last.

        Raises RefusedError when one is not taken.
        """
        offers: list[Offer] = []
        for number in range(1, count + 1):
            offers.append(Offer(self.voucher(config, number * price, person), price))
            if len(offers) == TOGETHER or number == count:
                for answer in payee.accept_many(offers):
                    if isinstance(answer, RefusedError):
                        raise answer
                last = offers[-1].signed
                offers.clear()
        return last

    def open_together(
        self, first: Party, second: Party, amounts: tuple[int, int], *, token: str = ETH, challenge_period: int = DAY
    ) -> StateChannelConfig:
        """A channel of two parties with the deposits of both (0: none); both know of it."""
        config = first.open(second.address, amounts[0], token=token, challenge_period=challenge_period)
        self.work(first)
        self.work(second)
        if amounts[1]:
            second.deposit(config.id, amounts[1])
            self.work(second)
            self.work(first)
        return config

    def talk(self, proposer: Party, other: Party, message: Message | None) -> None:
        """Carry messages between two parties until nobody has an answer. Raises RefusedError when one refuses."""
        listeners = cycle((other, proposer))
        while message is not None:
            message = next(listeners).receive(message)

    # ---------------------------------------------------------------- beginning and end

    def mark(self) -> None:
        """From here on wealth is compared."""
        self._before = self.books.count().wealth

    def close(self, changes: Mapping[Person, tuple[int, int]]) -> Ending:
        """Check where the money is. changes: wei and USDC units that people have more or less than at `mark`."""
        return self._compare("in their hands, in channels and owed to them", self.books.count(), changes, None)
