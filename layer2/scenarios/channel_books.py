"""Whose money is where when it is in channels: everybody's wealth, and whether each contract holds what it owes.

All figures come from L1. What is in a channel counts as its depositor's until L1 says otherwise, whatever was signed.
May import `layer2.chain`, `layer2.channels` and the books of rollups.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_utils.address import to_checksum_address

from layer2.chain.coder import coder
from layer2.channels.contracts import Channels
from layer2.channels.signing import ETH as NO_TOKEN
from layer2.scenarios.books import ETH, USDC, Balance, Count, Purse, in_hand, total, wealth_of
from layer2.scenarios.devchain import DevChain
from layer2.scenarios.people import Person

HUB: Final = "the hub"
STATE_CHANNELS: Final = "the contract of state channels"


@dataclass(frozen=True)
class _Single:
    """A `PaymentChannel`, and whose money comes back from it."""

    address: str
    sender: Person


class ChannelBooks:
    """Counts money from the time that it is made."""

    def __init__(self, dev: DevChain, channels: Channels, people: Sequence[Person]) -> None:
        """people: everybody who is paid anything."""
        self._dev = dev
        self._channels = channels
        self._people = tuple(people)
        self._first = dev.chain.head().number + 1
        self._usdc = channels.deployment.tokens[0].address
        self._tokens = {NO_TOKEN: ETH, self._usdc: USDC}
        self._singles: list[_Single] = []

    def add(self, address: str, sender: Person) -> None:
        """Count a `PaymentChannel` as well."""
        self._singles.append(_Single(address, sender))

    def count(self) -> Count:
        """Count everything, at the head of the chain."""
        purses = [in_hand(self._dev, self._people, self._first, self._usdc_of)]
        balances = []
        for holder, contract, inside in (
            (HUB, self._channels.hub, self._in_hub()),
            (STATE_CHANNELS, self._channels.state_channel, self._in_state_channels()),
        ):
            owed = self._owed(contract)
            purses += [inside, owed]
            for token in sorted({token for _, token in inside}):
                causes = {"in channels": total(inside, token), "to be settled": total(owed, token)}
                balances.append(Balance(token, self._held(contract, token), causes, holder))
        for single in self._singles:
            held = self._held(single.address, ETH)
            purses.append(Counter({(single.sender.address, ETH): held}))
            left = self._single_owes(single.address)
            balances.append(Balance(ETH, held, {"in the channel": left}, "the contract of the one channel"))
        return Count(wealth_of(self._people, purses), tuple(balances), 0)

    # ---------------------------------------------------------------- parts

    def _in_hub(self) -> Purse:
        """What can still be claimed, or withdrawn."""
        purse: Purse = Counter()
        for opened in self._opened(self._channels.hub):
            balance, _ = self._channels.hub_view("channels", opened["channelId"])
            purse[to_checksum_address(opened["payer"]), self._token(opened)] += balance
        return purse

    def _in_state_channels(self) -> Purse:
        """What channels that are not closed have received."""
        purse: Purse = Counter()
        for opened in self._opened(self._channels.state_channel):
            deposits = self._channels.state_view("depositsOf", opened["channelId"])
            for party, amount in zip(("partyA", "partyB"), deposits, strict=True):
                purse[to_checksum_address(opened[party]), self._token(opened)] += amount
        return purse

    def _owed(self, contract: str) -> Purse:
        """What `settle` would pay."""
        return Counter(
            {
                (person.address, token): self._channels.owed(contract, person.address, address)
                for person in self._people
                for address, token in self._tokens.items()
            }
        )

    def _single_owes(self, address: str) -> int:
        """What a `PaymentChannel` has not paid out yet."""
        code, chain = coder("PaymentChannel"), self._channels.chain
        views = [chain.call(address, code.encode(name)) for name in ("deposit", "claimed", "isClosed")]
        deposit, claimed, is_closed = map(int.from_bytes, views)
        return 0 if is_closed else deposit - claimed

    def _opened(self, contract: str) -> list[Mapping[str, Any]]:
        """The settings of all channels of a contract."""
        first = self._channels.deployment.block
        logs = self._dev.chain.logs(contract, first, self._dev.chain.head().number)
        events = [self._channels.event(log) for log in logs]
        return [event.arguments for event in events if event is not None and event.name == "ChannelOpened"]

    def _token(self, opened: Mapping[str, Any]) -> int:
        return self._tokens[to_checksum_address(opened["token"])]

    def _held(self, account: str, token: int) -> int:
        return self._dev.chain.balance(account) if token == ETH else self._usdc_of(account)

    def _usdc_of(self, account: str) -> int:
        return self._channels.held(account, self._usdc)
