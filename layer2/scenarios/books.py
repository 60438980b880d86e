"""Whose money is where: everybody's wealth, and whether the contract holds exactly what it owes.

All figures come from L1 and from the state that a follower makes from L1 alone, never from an actor's word. Those of
channels are in `channel_books`. May import `layer2.chain`, `layer2.optimistic` and the follower.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from eth_utils.address import to_checksum_address

from layer2.actors.optimistic_follower import OptimisticFollower
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.crypto.addresses import int_to_address
from layer2.ledger.constants import Kind
from layer2.optimistic.constants import FEE_TOKEN_SHIFT
from layer2.optimistic.records import Account, Pool, Position
from layer2.optimistic.state import RollupState
from layer2.scenarios.devchain import DevChain
from layer2.scenarios.people import Person

ETH: Final = 0
USDC: Final = 1
TOKENS: Final = (ETH, USDC)

BURNED: Final = "0x000000000000000000000000000000000000dEaD"
"""Where the burned halves of bonds go."""

Purse = Counter[tuple[str, int]]
"""Smallest units by (address, token)."""


class Wealth(NamedTuple):
    """All that somebody has, wherever it is, in smallest units. ETH is without the gas of own transactions."""

    eth: int
    usdc: int


@dataclass(frozen=True)
class Balance:
    """What a contract holds of a token, and what it owes, by cause."""

    token: int
    held: int
    owed: Mapping[str, int]
    holder: str = "the contract"

    @property
    def holds(self) -> bool:
        """Whether it holds exactly what it owes."""
        return self.held == sum(self.owed.values())


@dataclass(frozen=True)
class Count:
    """All money at one moment. wealth: by name; balances: of each token; burned: wei since the books were opened."""

    wealth: Mapping[str, Wealth]
    balances: tuple[Balance, ...]
    burned: int


class Books:
    """Counts money from the time that it is made."""

    def __init__(self, dev: DevChain, rollup: OptimisticRollup, people: Sequence[Person]) -> None:
        """people: everybody who is paid anything on L1."""
        self._dev = dev
        self._rollup = rollup
        self._people = tuple(people)
        self._first = dev.chain.head().number + 1
        self._burned_before = dev.chain.balance(BURNED)

    def count(self, follower: OptimisticFollower) -> Count:
        """Count everything, by the follower's last right batch."""
        state = follower.position.state
        events = list(self._events())
        parts = {
            "withdrawals": self._unclaimed(state),
            "payouts": self._payouts(),
            "queued deposits": self._queued(events, state.queue_cursor),
            "fees": self._fees(events, follower.position.batch_id),
            "bonds": Counter({(p.address, ETH): self._rollup.bond(p.address).amount for p in self._people}),
            "rewards": self._rewards(events),
        }
        on_layer2, unowned = self._on_layer2(state)
        on_layer1 = in_hand(self._dev, self._people, self._first, self._usdc_of)
        wealth = wealth_of(self._people, [on_layer2, *parts.values(), on_layer1])
        balances = []
        for token in TOKENS:
            owed = {"accounts and pools": total(on_layer2, token) + unowned[token]}
            owed |= {what: total(purse, token) for what, purse in parts.items()}
            balances.append(Balance(token, self._held(token), owed))
        return Count(wealth, tuple(balances), self.burned())

    def burned(self) -> int:
        """Wei burned since the books were opened."""
        return self._dev.chain.balance(BURNED) - self._burned_before

    # ---------------------------------------------------------------- parts

    def _held(self, token: int) -> int:
        if token == ETH:
            return self._dev.chain.balance(self._rollup.address)
        return self._usdc_of(self._rollup.address)

    def _usdc_of(self, address: str) -> int:
        return int(self._rollup.token_view(USDC, "balanceOf", address))

    def _on_layer2(self, state: RollupState) -> tuple[Purse, Counter[int]]:
        """What accounts and positions are worth, by owner; and what of the pools belongs to nobody, by token."""
        is_frozen = self._rollup.view("isFrozen")
        owned: Purse = Counter()
        unowned: Counter[int] = Counter()
        for index, record in state.records():
            if isinstance(record, Pool):
                unowned[record.token_a] += record.reserve_a
                unowned[record.token_b] += record.reserve_b
            elif isinstance(record, Account | Position):
                owner = int_to_address(record.owner)
                is_escaped = is_frozen and self._rollup.view("isEscaped", index)
                for token, amount in _worth(state, record):
                    if isinstance(record, Position):
                        unowned[token] -= amount
                    if not is_escaped:
                        owned[owner, token] += amount
        return owned, unowned

    def _unclaimed(self, state: RollupState) -> Purse:
        """Withdrawals that nobody has claimed yet."""
        purse: Purse = Counter()
        for index in range(state.withdrawal_count):
            if not self._rollup.view("isWithdrawalClaimed", index):
                withdrawal = state.withdrawal(index)
                purse[int_to_address(withdrawal.owner), withdrawal.token] += withdrawal.amount
        return purse

    def _payouts(self) -> Purse:
        return Counter(
            {
                (person.address, token): self._rollup.payout(person.address, token)
                for person in self._people
                for token in TOKENS
            }
        )

    def _queued(self, events: Sequence["_Event"], cursor: int) -> Purse:
        """Deposits that no right batch has consumed and nobody refunded."""
        is_frozen = self._rollup.view("isFrozen")
        purse: Purse = Counter()
        for name, a in events:
            if name != "OperationQueued" or a["kind"] != Kind.DEPOSIT or a["index"] < cursor:
                continue
            if not (is_frozen and self._rollup.view("isRefunded", a["index"])):
                purse[to_checksum_address(a["owner"]), a["token"]] += a["amount"]
        return purse

    def _fees(self, events: Sequence["_Event"], last: int) -> Purse:
        """Fees of right batches that are not final yet."""
        confirmed = self._rollup.view("confirmedBatchId")
        purse: Purse = Counter()
        for name, a in events:
            if name != "BatchSubmitted" or not confirmed < a["batchId"] <= last:
                continue
            if a["batchHash"] == self._rollup.batch_hash(a["batchId"]):
                sequencer, fees = a["batch"][4], a["batch"][-1]
                for word in fees:
                    purse[to_checksum_address(sequencer), word >> FEE_TOKEN_SHIFT] += word % (1 << FEE_TOKEN_SHIFT)
        return purse

    def _rewards(self, events: Sequence["_Event"]) -> Purse:
        """Rewards that are not paid yet."""
        purse: Purse = Counter()
        for name, a in events:
            if name == "FraudProofSubmitted":
                challenger = self._rollup.view("fraudProofs", a["batchHash"])[2]
                purse[to_checksum_address(challenger), ETH] += self._rollup.reward(a["batchHash"]).amount
        return purse

    def _events(self) -> Iterator["_Event"]:
        rollup = self._rollup
        for log in self._dev.chain.logs(rollup.address, rollup.deployment.block, self._dev.chain.head().number):
            event = rollup.event(log)
            if event is not None:
                yield event.name, event.arguments


_Event = tuple[str, dict[str, Any]]


def _worth(state: RollupState, record: Account | Position) -> list[tuple[int, int]]:
    """What an account holds, or a position stands for, by token."""
    if isinstance(record, Account):
        return [(record.token, record.balance)]
    pool = state.record(record.pool)
    assert isinstance(pool, Pool)
    return [
        (token, record.shares * reserve // pool.shares)
        for token, reserve in ((pool.token_a, pool.reserve_a), (pool.token_b, pool.reserve_b))
    ]


def total(purse: Purse, token: int) -> int:
    """What everybody has of a token."""
    return sum(amount for (_, of), amount in purse.items() if of == token)


def wealth_of(people: Sequence[Person], purses: Sequence[Purse]) -> dict[str, Wealth]:
    """What everybody has in all of these, by name."""
    return {
        person.name: Wealth(*(sum(purse[person.address, token] for purse in purses) for token in TOKENS))
        for person in people
    }


def in_hand(dev: DevChain, people: Sequence[Person], first: int, usdc_of: Callable[[str], int]) -> Purse:
    """What people hold in their own hands on L1, and what they paid for gas since block `first`.

    usdc_of: the test token's balance of an address.
    """
    purse = gas_costs(dev, first)
    for person in people:
        purse[person.address, ETH] += dev.chain.balance(person.address)
        purse[person.address, USDC] += usdc_of(person.address)
    return purse


def gas_costs(dev: DevChain, first: int) -> Purse:
    """Wei that each account has paid for its transactions since block `first`, blobs included."""
    purse: Purse = Counter()
    for number in range(first, dev.chain.head().number + 1):
        for receipt in dev.request("eth_getBlockReceipts", hex(number)):
            cost = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
            cost += int(receipt.get("blobGasUsed") or "0", 16) * int(receipt.get("blobGasPrice") or "0", 16)
            purse[to_checksum_address(receipt["from"]), ETH] += cost
    return purse
