"""State channels to test, on Ape's chain.

    channel = Channel(contract, Config(alice.address, bob.address), alice, bob)
    channel.deposit(alice, to_a=True, amount=100)
    agreed = channel.sign(channel.state(1, 60, 40))
    channel.start(alice, agreed)
    channel.challenge(stranger, channel.sign(channel.state(2, 50, 50)))
    channel.finish(stranger, agreed)

What is signed is hashed by eth-account, from the types as docs/channels.md has them.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any, Self

from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from eth_abi import encode
from eth_utils import keccak

from tests.support import typed
from tests.support.reverts import call
from tests.support.typed import sign, typed_digest

HOUR = 3600
DAY = 24 * HOUR
NOBODY = "0x0000000000000000000000000000000000000000"
ETHER = NOBODY
NO_HASH = bytes(32)
NONE, OPEN, CLOSING, CLOSED = range(4)
"""`IStateChannel.Status`."""

TYPES = {
    "ChannelConfig": "address partyA,address partyB,address token,uint40 challengePeriod,bytes32 salt",
    "State": (
        "bytes32 channelId,uint64 version,uint128 depositsA,uint128 depositsB,"
        "uint128 balanceA,uint128 balanceB,bytes32 locks"
    ),
    "Final": ("bytes32 channelId,uint64 version,uint128 depositsA,uint128 depositsB,uint128 balanceA,uint128 balanceB"),
}


@dataclass(frozen=True)
class Config:
    """`IStateChannel.ChannelConfig`."""

    party_a: str
    party_b: str
    token: str = ETHER
    challenge_period: int = DAY
    salt: bytes = NO_HASH


@dataclass(frozen=True)
class Lock:
    """`IStateChannel.Lock`."""

    amount: int
    deadline: int
    to_a: bool
    hash: bytes


@dataclass(frozen=True)
class State:
    """`IStateChannel.State`."""

    channel_id: bytes
    version: int
    deposits_a: int
    deposits_b: int
    balance_a: int
    balance_b: int
    locks: bytes = NO_HASH


@dataclass(frozen=True)
class Final:
    """`IStateChannel.Final`."""

    channel_id: bytes
    version: int
    deposits_a: int
    deposits_b: int
    balance_a: int
    balance_b: int


@dataclass(frozen=True)
class Signed:
    """What somebody can bring: a state or a final one, the state's locks, and both signatures."""

    state: State | Final
    locks: tuple[Lock, ...] = ()
    a: bytes = b""
    b: bytes = b""

    def with_(self, **changes: Any) -> Self:
        """Other values, the same signatures."""
        return replace(self, state=replace(self.state, **changes))

    @property
    def tuples(self) -> tuple[tuple[Any, ...], list[tuple[Any, ...]]]:
        """The state and its locks as arguments of the contract."""
        return astuple(self.state), [astuple(lock) for lock in self.locks]


def digest(contract: ContractInstance, value: State | Final, **domain: Any) -> bytes:
    """The EIP-712 hash. domain: fields that are to be others than the contract's."""
    name = type(value).__name__
    return typed_digest(contract, "Layer 2 State Channel", name, TYPES[name], astuple(value), **domain)


def struct_hash(value: Config | State) -> bytes:
    """The EIP-712 struct hash: a channel's id, or what `closings` has of a state."""
    name = {Config: "ChannelConfig", State: "State"}[type(value)]
    return typed.struct_hash(name, TYPES[name], astuple(value))


def hash_of_locks(locks: Sequence[Lock]) -> bytes:
    """What a state says of its locks."""
    if not locks:
        return NO_HASH
    return keccak(encode(["(uint128,uint40,bool,bytes32)[]"], [[astuple(lock) for lock in locks]]))


def hash_of_secret(secret: bytes) -> bytes:
    """What a lock says of its secret of 32 bytes."""
    return keccak(secret)


@dataclass
class Channel:
    """A channel and its two parties' accounts, which have signed whatever they are asked to."""

    contract: ContractInstance
    config: Config
    party_a: AccountAPI
    party_b: AccountAPI
    id: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.id = struct_hash(self.config)

    @classmethod
    def of(cls, contract: ContractInstance, party_a: AccountAPI, party_b: AccountAPI, **config: Any) -> Self:
        """A channel of these accounts. config: see Config."""
        return cls(contract, Config(party_a.address, party_b.address, **config), party_a, party_b)

    # ---------------------------------------------------------------- what is signed

    def state(
        self,
        version: int,
        balance_a: int,
        balance_b: int,
        locks: Sequence[Lock] = (),
        deposits: tuple[int, int] | None = None,
    ) -> Signed:
        """A state, not signed yet. deposits: None for those that the channel has received."""
        stated = deposits or tuple(self.contract.depositsOf(self.id))
        return Signed(State(self.id, version, *stated, balance_a, balance_b, hash_of_locks(locks)), tuple(locks))

    def initial(self) -> Signed:
        """The state that nobody signs."""
        return Signed(State(self.id, 0, 0, 0, 0, 0))

    def final(
        self, balance_a: int, balance_b: int, version: int = 1, deposits: tuple[int, int] | None = None
    ) -> Signed:
        """A final state, not signed yet. deposits: None for those that the channel has received."""
        stated = deposits or tuple(self.contract.depositsOf(self.id))
        return Signed(Final(self.id, version, *stated, balance_a, balance_b))

    def sign(self, given: Signed, **domain: Any) -> Signed:
        """With both signatures. domain: see digest."""
        hashed = digest(self.contract, given.state, **domain)
        return replace(given, a=sign(self.party_a, hashed), b=sign(self.party_b, hashed))

    def agreed(self, version: int, balance_a: int, balance_b: int, locks: Sequence[Lock] = ()) -> Signed:
        """A state with both signatures, for the deposits that the channel has received."""
        return self.sign(self.state(version, balance_a, balance_b, locks))

    # ---------------------------------------------------------------- transactions

    def deposit(self, sender: AccountAPI, to_a: bool, amount: int) -> ReceiptAPI:
        """Ether, or a token that the sender has approved."""
        value = amount if self.config.token == ETHER else 0
        return self.contract.deposit(astuple(self.config), to_a, amount, value=value, sender=sender)

    def start(self, sender: AccountAPI, signed: Signed) -> ReceiptAPI:
        """Starts closing."""
        return self.contract.startClose(*self.arguments(signed), sender=sender)

    def challenge(self, sender: AccountAPI, signed: Signed) -> ReceiptAPI:
        """Brings a later state."""
        return self.contract.challenge(*self.arguments(signed), sender=sender)

    def finish(self, sender: AccountAPI, signed: Signed) -> ReceiptAPI:
        """Closes the channel with the state on the table."""
        return self.contract.finishClose(astuple(self.config), *signed.tuples, sender=sender)

    def close(self, sender: AccountAPI, signed: Signed) -> ReceiptAPI:
        """Closes the channel as both want it."""
        return self.contract.closeCooperatively(
            astuple(self.config), astuple(signed.state), signed.a, signed.b, sender=sender
        )

    def arguments(self, signed: Signed) -> tuple[Any, ...]:
        """Those of startClose and challenge."""
        return astuple(self.config), *signed.tuples, signed.a, signed.b

    # ---------------------------------------------------------------- calls, for what is refused

    def try_deposit(self, sender: AccountAPI, to_a: bool, amount: int) -> None:
        """As deposit of a token, or of ether without its value."""
        call(self.contract, self.contract.deposit.encode_input(astuple(self.config), to_a, amount), sender)

    def try_start(self, sender: AccountAPI, signed: Signed) -> None:
        """As start."""
        call(self.contract, self.contract.startClose.encode_input(*self.arguments(signed)), sender)

    def try_challenge(self, sender: AccountAPI, signed: Signed) -> None:
        """As challenge."""
        call(self.contract, self.contract.challenge.encode_input(*self.arguments(signed)), sender)

    def try_finish(self, sender: AccountAPI, signed: Signed) -> None:
        """As finish."""
        call(self.contract, self.contract.finishClose.encode_input(astuple(self.config), *signed.tuples), sender)

    def try_close(self, sender: AccountAPI, signed: Signed) -> None:
        """As close."""
        arguments = astuple(self.config), astuple(signed.state), signed.a, signed.b
        call(self.contract, self.contract.closeCooperatively.encode_input(*arguments), sender)

    # ---------------------------------------------------------------- what is there

    @property
    def status(self) -> int:
        """NONE, OPEN, CLOSING or CLOSED."""
        return int(self.contract.statusOf(self.id))

    @property
    def deadline(self) -> int:
        """The last second in which the state on the table can be replaced; 0 if there is none."""
        return int(self.contract.closings(self.id).deadline)

    @property
    def owed(self) -> tuple[int, int]:
        """What A and B can settle in the channel's token."""
        token = self.config.token
        return self.contract.owed(self.config.party_a, token), self.contract.owed(self.config.party_b, token)
