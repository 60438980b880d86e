"""Hub and state channels on a chain of their own, people with money, and actors that can be killed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layer2.chain.coder import coder
from layer2.chain.connection import Chain
from layer2.chain.sending import send
from layer2.chain.signer import LocalSigner
from layer2.channels.contracts import Channels, HubChannel
from layer2.channels.deployment import ChannelsDeployment, deploy_channels
from layer2.channels.messages import Message, message_from_json, message_to_json
from layer2.channels.party import Party, PartyRules, PartyStore
from layer2.channels.payee import Payee, PayeeRules, PayeeStore
from layer2.channels.payer import Payer, PayerStore
from layer2.channels.signing import ETH
from layer2.channels.states import SignedState, State, StateChannelConfig
from layer2.channels.vouchers import ChannelConfig, SignedVoucher, Voucher
from layer2.channels.watchtower import Watchtower, WatchtowerStore
from layer2.crypto.eip712 import sign_digest
from tests.support.anvil import Anvil, signer

UNIT = 10**6
ETHER = 10**18
HOUR = 3600
SALT = bytes(32)


@dataclass
class ChannelWorld:
    """The contracts and their users, on a chain that a test may turn upside down."""

    anvil: Anvil
    deployment: ChannelsDeployment
    folder: Path
    operator: LocalSigner
    alice: LocalSigner
    bob: LocalSigner
    carol: LocalSigner
    dave: LocalSigner
    now: Callable[[], float] = time.time

    @classmethod
    def create(cls, anvil: Anvil, folder: Path) -> "ChannelWorld":
        """Deploy; Alice, Bob and Carol get 1000 USDC."""
        people = [signer(number) for number in range(5)]
        deployment = deploy_channels(anvil.chain, people[0]).deployment
        world = cls(anvil, deployment, folder, *people)
        for one in (world.alice, world.bob, world.carol):
            mint = coder("TestUSDC").encode("mint", one.address, 1000 * UNIT)
            send(anvil.chain, world.operator, world.usdc, mint)
        return world

    @property
    def chain(self) -> Chain:
        return self.anvil.chain

    @property
    def channels(self) -> Channels:
        return Channels(self.chain, self.deployment)

    @property
    def usdc(self) -> str:
        return self.deployment.tokens[0].address

    @property
    def time(self) -> int:
        return self.chain.head().timestamp

    # ---------------------------------------------------------------- channels by hand

    def config(self, **changes: Any) -> ChannelConfig:
        """Settings of a channel in which Alice pays Bob ETH, with these changes."""
        values = {
            "payer": self.alice.address,
            "payee": self.bob.address,
            "token": ETH,
            "signer": ETH,
            "withdraw_delay": 24 * HOUR,
            "salt": SALT,
        }
        return ChannelConfig(**(values | changes))

    def open(self, amount: int = ETHER, sender: LocalSigner | None = None, **changes: Any) -> ChannelConfig:
        """Open a channel (or top it up) by hand."""
        config = self.config(**changes)
        call = self.channels.deposit_call(config, amount)
        send(self.chain, sender or self.alice, self.deployment.hub, call, value=0 if config.token != ETH else amount)
        return config

    def send(self, who: LocalSigner, call: bytes, contract: str | None = None, value: int = 0) -> None:
        send(self.chain, who, contract or self.deployment.hub, call, value=value)

    def voucher(self, config: ChannelConfig, amount: int, who: LocalSigner | None = None) -> SignedVoucher:
        """A voucher signed by Alice, or by somebody else."""
        voucher = Voucher(config.id, amount)
        key = bytes((who or self.alice)._account.key)
        return SignedVoucher(voucher, sign_digest(voucher.digest(self.deployment.hub_domain.separator), key))

    def facts(self, config: ChannelConfig) -> HubChannel:
        """What the hub has of a channel now."""
        return self.channels.hub_channel(config.id)

    def nonce(self, who: LocalSigner) -> int:
        return self.chain.nonce(who.address)

    # ---------------------------------------------------------------- channels of two parties by hand

    def open_state(
        self,
        a: LocalSigner | None = None,
        b: LocalSigner | None = None,
        amounts: tuple[int, int] = (100, 100),
        **changes: Any,
    ) -> StateChannelConfig:
        """Open a channel of Alice and Bob, or others, in ETH unless changed, and deposit for both."""
        a, b = a or self.alice, b or self.bob
        values = {"token": ETH, "challenge_period": 24 * HOUR, "salt": SALT} | changes
        config = StateChannelConfig(a.address, b.address, **values)
        for who, to_a, amount in ((a, True, amounts[0]), (b, False, amounts[1])):
            if amount:
                call = self.channels.state_deposit_call(config, to_a, amount)
                self.send(who, call, self.deployment.state_channel, amount if config.token == ETH else 0)
        return config

    def signed(self, state: State, a: LocalSigner | None = None, b: LocalSigner | None = None) -> SignedState:
        """A state with the signatures of Alice and Bob, or others."""
        digest = state.message.digest(self.deployment.state_channel_domain.separator)
        keys = (bytes((one or other)._account.key) for one, other in ((a, self.alice), (b, self.bob)))
        return SignedState(state, *(sign_digest(digest, key) for key in keys))

    def owed(self, who: LocalSigner, token: str = ETH) -> int:
        """What the state channels owe somebody."""
        return self.channels.owed(self.deployment.state_channel, who.address, token)

    # ---------------------------------------------------------------- actors

    @contextmanager
    def party(
        self,
        who: LocalSigner,
        checkpoint: Callable[[str], None] = lambda point: None,
        rules: PartyRules | None = None,
        confirmations: int | None = None,
    ) -> Iterator[Party]:
        """Somebody's party as if just started."""
        with PartyStore(self.folder / f"party-{who.address}.sqlite") as store:
            yield Party(
                self.channels,
                store,
                who,
                rules,
                confirmations=confirmations,
                clock=self.now,
                checkpoint=checkpoint,
            )

    @contextmanager
    def payee(
        self,
        checkpoint: Callable[[str], None] = lambda point: None,
        who: LocalSigner | None = None,
        database: str = "payee.sqlite",
        confirmations: int | None = None,
        **rules: Any,
    ) -> Iterator[Payee]:
        """Bob's payee as if just started; its database stays for the next one."""
        with PayeeStore(self.folder / database) as store:
            yield Payee(
                self.channels,
                store,
                who or self.bob,
                PayeeRules(**rules),
                confirmations=confirmations,
                clock=self.now,
                checkpoint=checkpoint,
            )

    @contextmanager
    def payer(
        self,
        checkpoint: Callable[[str], None] = lambda point: None,
        who: LocalSigner | None = None,
        database: str = "payer.sqlite",
    ) -> Iterator[Payer]:
        """Alice's payer as if just started."""
        with PayerStore(self.folder / database) as store:
            yield Payer(self.channels, store, who or self.alice, clock=self.now, checkpoint=checkpoint)

    @contextmanager
    def watchtower(
        self, checkpoint: Callable[[str], None] = lambda point: None, database: str = "watchtower.sqlite"
    ) -> Iterator[Watchtower]:
        """Dave's watchtower as if just started."""
        with WatchtowerStore(self.folder / database) as store:
            yield Watchtower(self.channels, store, self.dave, clock=self.now, checkpoint=checkpoint)


def talk(message: Message | None, to: Party, back: Party) -> None:
    """Carry a message to a party, its answer back, and so on, over the wire's form, until one has nothing to say."""
    while message is not None:
        message, to, back = to.receive(message_from_json(message_to_json(message))), back, to


def balances(party: Party, config: StateChannelConfig) -> tuple[int, int]:
    """What A and B have without any condition."""
    state = party.state(config.id)
    return state.balance_a, state.balance_b
