"""States of channels that two parties sign, their conditional payments, and what closes such a channel at once
(docs/channels.md): `StateChannel`. May import `layer2.crypto` and `layer2.channels.signing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Self

from eth_utils.address import to_checksum_address

from layer2.channels.errors import MalformedError
from layer2.channels.signing import (
    MAX_UINT40,
    MAX_UINT64,
    MAX_UINT128,
    SIGNATURE_BYTES,
    ZERO_ADDRESS,
    Domain,
    check_address,
    check_bytes,
    check_range,
    is_signed_by,
    parse_bytes,
    parse_number,
)
from layer2.crypto.eip712 import Address, Bytes32, Message, Uint40, Uint64, Uint128
from layer2.crypto.keccak import keccak256

STATE_CHANNEL_NAME: Final = "Layer 2 State Channel"
"""Of the contract's EIP-712 domain."""

MIN_CHALLENGE_PERIOD: Final = 3600
MAX_CHALLENGE_PERIOD: Final = 30 * 24 * 3600
MAX_LOCKS: Final = 16

NO_LOCKS: Final = bytes(32)
"""`locks` of a state without any."""


def state_channel_domain(chain_id: int, contract: str) -> Domain:
    """The domain of the contract's signatures."""
    return Domain(STATE_CHANNEL_NAME, chain_id, contract)


def secret_hash(secret: bytes) -> bytes:
    """What a lock names: keccak256 of a secret of 32 bytes. Raises MalformedError for another length."""
    check_bytes("secret", secret)
    return keccak256(secret)


@dataclass(frozen=True, slots=True)
class _ConfigMessage(Message):
    NAME: ClassVar = "ChannelConfig"
    party_a: Address
    party_b: Address
    token: Address
    challenge_period: Uint40
    salt: Bytes32


@dataclass(frozen=True)
class StateChannelConfig:
    """A channel's settings: addresses in EIP-55 form, the period in seconds, 32 bytes of salt. token: 0 is ETH.

    Raises MalformedError for what no channel can have.
    """

    party_a: str
    party_b: str
    token: str
    challenge_period: int
    salt: bytes

    def __post_init__(self) -> None:
        for what in ("party_a", "party_b", "token"):
            check_address(what, getattr(self, what))
        if self.party_a == self.party_b or ZERO_ADDRESS in (self.party_a, self.party_b):
            raise MalformedError(f"parties {self.party_a} and {self.party_b} have to be two, and not zero")
        check_range("challengePeriod", self.challenge_period, MAX_CHALLENGE_PERIOD, MIN_CHALLENGE_PERIOD)
        check_bytes("salt", self.salt)

    @property
    def id(self) -> bytes:
        """The channel's id, 32 bytes: EIP-712's hashStruct of the settings."""
        party_a, party_b, token = (int(account, 16) for account in (self.party_a, self.party_b, self.token))
        return _ConfigMessage(party_a, party_b, token, self.challenge_period, self.salt).struct_hash()

    def is_a(self, account: str) -> bool:
        """Whether an account is A, or B. Raises MalformedError when it is neither."""
        if account not in (self.party_a, self.party_b):
            raise MalformedError(f"{account} is neither {self.party_a} nor {self.party_b}, the channel's parties")
        return account == self.party_a

    def other(self, account: str) -> str:
        """The other party. Raises MalformedError for an account that is none."""
        return self.party_b if self.is_a(account) else self.party_a

    @property
    def arguments(self) -> tuple[Any, ...]:
        """As the contract takes it."""
        return (self.party_a, self.party_b, self.token, self.challenge_period, self.salt)

    @classmethod
    def of(cls, values: tuple[Any, ...]) -> Self:
        """Of what a contract answers: addresses in any case."""
        party_a, party_b, token = (to_checksum_address(account) for account in values[:3])
        return cls(party_a, party_b, token, values[3], values[4])


@dataclass(frozen=True)
class Lock:
    """A conditional payment: `amount` goes to A or to B if the secret is public by `deadline`, seconds since 1970."""

    amount: int
    deadline: int
    to_a: bool
    hash: bytes

    def __post_init__(self) -> None:
        check_range("lock's amount", self.amount, MAX_UINT128)
        check_range("lock's deadline", self.deadline, MAX_UINT40)
        check_bytes("lock's hash", self.hash)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """As the contract takes it."""
        return (self.amount, self.deadline, self.to_a, self.hash)


def hash_locks(locks: Sequence[Lock]) -> bytes:
    """`locks` of a state: 0 without any, else keccak256 of the ABI-encoded list."""
    if not locks:
        return NO_LOCKS
    words = [(32).to_bytes(32), len(locks).to_bytes(32)]
    for lock in locks:
        words += [lock.amount.to_bytes(32), lock.deadline.to_bytes(32), int(lock.to_a).to_bytes(32), lock.hash]
    return keccak256(b"".join(words))


@dataclass(frozen=True, slots=True)
class _StateMessage(Message):
    NAME: ClassVar = "State"
    channel_id: Bytes32
    version: Uint64
    deposits_a: Uint128
    deposits_b: Uint128
    balance_a: Uint128
    balance_b: Uint128
    locks: Bytes32


@dataclass(frozen=True)
class State:
    """What both parties sign, again and again, with its locks; amounts in smallest units.

    Raises MalformedError for what the contract would never take: fields out of range, too many locks, balances and
    locks that are not the deposits, a version 0 that says anything.
    """

    channel_id: bytes
    version: int
    deposits_a: int
    deposits_b: int
    balance_a: int
    balance_b: int
    locks: tuple[Lock, ...] = ()

    def __post_init__(self) -> None:
        _check_outcome(self)
        if len(self.locks) > MAX_LOCKS:
            raise MalformedError(f"{len(self.locks)} locks are too many: a state has at most {MAX_LOCKS}")
        total = self.balance_a + self.balance_b + sum(lock.amount for lock in self.locks)
        _check_balanced(total, self.deposits_a + self.deposits_b)
        if self.version == 0 and (self.deposits_a or self.deposits_b or self.locks):
            raise MalformedError("version 0 is the state that nobody signs: everything else in it is 0")

    @classmethod
    def initial(cls, channel_id: bytes) -> Self:
        """Version 0: everybody has what they deposited."""
        return cls(channel_id, 0, 0, 0, 0, 0)

    def digest(self, domain: Domain) -> bytes:
        """The 32 bytes that are signed."""
        return self.message.digest(domain.separator)

    @property
    def message(self) -> Message:
        """What is signed."""
        return _StateMessage(*self.arguments)

    @property
    def struct_hash(self) -> bytes:
        """What the contract keeps of the state on the table: EIP-712's hashStruct."""
        return self.message.struct_hash()

    @property
    def arguments(self) -> tuple[Any, ...]:
        """As the contract takes it, with the hash of the locks."""
        return (
            self.channel_id,
            self.version,
            self.deposits_a,
            self.deposits_b,
            self.balance_a,
            self.balance_b,
            hash_locks(self.locks),
        )

    @property
    def lock_arguments(self) -> list[tuple[Any, ...]]:
        """The locks as the contract takes them."""
        return [lock.arguments for lock in self.locks]

    @classmethod
    def of(cls, values: tuple[Any, ...], locks: Sequence[tuple[Any, ...]]) -> Self:
        """Of what an event of the contract says. Raises MalformedError when the locks are not the state's."""
        channel_id, version, deposits_a, deposits_b, balance_a, balance_b, _ = values
        known = tuple(Lock(*lock) for lock in locks)
        state = cls(channel_id, version, deposits_a, deposits_b, balance_a, balance_b, known)
        if hash_locks(state.locks) != values[6]:
            raise MalformedError(f"the locks given are not those of state {state.version}")
        return state

    def balance(self, of_a: bool) -> int:
        """What is a party's without any condition."""
        return self.balance_a if of_a else self.balance_b

    def deposits(self, of_a: bool) -> int:
        """What a party had deposited."""
        return self.deposits_a if of_a else self.deposits_b

    @property
    def counted(self) -> tuple[int, int]:
        """What A and B had deposited."""
        return (self.deposits_a, self.deposits_b)

    def is_covered_by(self, deposits: tuple[int, int]) -> bool:
        """Whether A and B have deposited all that the state counts: the contract takes no other."""
        return self.deposits_a <= deposits[0] and self.deposits_b <= deposits[1]

    def lock(self, hash_: bytes) -> Lock | None:
        """The lock with a hash, None when there is none."""
        return next((lock for lock in self.locks if lock.hash == hash_), None)

    def following(self, deposits_a: int, deposits_b: int) -> "State":
        """The next version with nothing changed but what has been deposited since, which is the depositor's.

        Raises MalformedError when a balance would be negative.
        """
        return replace(
            self,
            version=self.version + 1,
            deposits_a=deposits_a,
            deposits_b=deposits_b,
            balance_a=self.balance_a + deposits_a - self.deposits_a,
            balance_b=self.balance_b + deposits_b - self.deposits_b,
        )

    def to_json(self) -> dict[str, Any]:
        """Numbers as decimal strings, the rest as hex."""
        return {
            "channel": f"0x{self.channel_id.hex()}",
            **{name: str(getattr(self, field)) for name, field in _NUMBERS.items()},
            "locks": [
                {
                    "amount": str(lock.amount),
                    "deadline": str(lock.deadline),
                    "toA": lock.to_a,
                    "hash": f"0x{lock.hash.hex()}",
                }
                for lock in self.locks
            ],
        }

    @classmethod
    def from_json(cls, raw: object) -> Self:
        """The inverse of `to_json`. Raises MalformedError for anything else."""
        values = _take(raw, {"channel", *_NUMBERS, "locks"}, "a state")
        version, deposits_a, deposits_b, balance_a, balance_b = _numbers(values)
        listed = values["locks"]
        if not isinstance(listed, list) or len(listed) > MAX_LOCKS:
            raise MalformedError(f"locks are a list of at most {MAX_LOCKS}")
        locks = tuple(_lock(one) for one in listed)
        channel = parse_bytes("channel id", values["channel"])
        return cls(channel, version, deposits_a, deposits_b, balance_a, balance_b, locks)


@dataclass(frozen=True)
class FinalState:
    """What both parties sign to close at once; a type of its own, so that no state can be used as one.

    Raises MalformedError as `State` does.
    """

    channel_id: bytes
    version: int
    deposits_a: int
    deposits_b: int
    balance_a: int
    balance_b: int

    def __post_init__(self) -> None:
        _check_outcome(self)
        _check_balanced(self.balance_a + self.balance_b, self.deposits_a + self.deposits_b)

    @property
    def message(self) -> Message:
        """What is signed."""
        return _FinalMessage(*self.arguments)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """As the contract takes it."""
        return (self.channel_id, self.version, self.deposits_a, self.deposits_b, self.balance_a, self.balance_b)

    def to_json(self) -> dict[str, Any]:
        """Numbers as decimal strings, the rest as hex."""
        return {
            "channel": f"0x{self.channel_id.hex()}",
            **{name: str(getattr(self, field)) for name, field in _NUMBERS.items()},
        }

    @classmethod
    def from_json(cls, raw: object) -> Self:
        """The inverse of `to_json`. Raises MalformedError for anything else."""
        values = _take(raw, {"channel", *_NUMBERS}, "a final state")
        version, deposits_a, deposits_b, balance_a, balance_b = _numbers(values)
        channel = parse_bytes("channel id", values["channel"])
        return cls(channel, version, deposits_a, deposits_b, balance_a, balance_b)


@dataclass(frozen=True, slots=True)
class _FinalMessage(Message):
    NAME: ClassVar = "Final"
    channel_id: Bytes32
    version: Uint64
    deposits_a: Uint128
    deposits_b: Uint128
    balance_a: Uint128
    balance_b: Uint128


@dataclass(frozen=True)
class SignedState:
    """A state with both signatures, which nobody has checked yet. Version 0 has none."""

    state: State
    signature_a: bytes
    signature_b: bytes

    def __post_init__(self) -> None:
        for signature in (self.signature_a, self.signature_b):
            check_bytes("signature", signature, SIGNATURE_BYTES if self.state.version else 0)

    def check(self, config: StateChannelConfig, domain: Domain) -> None:
        """Raises MalformedError unless it is of this channel and both parties signed it by their own keys."""
        if self.state.channel_id != config.id:
            raise MalformedError(f"the state is of channel 0x{self.state.channel_id.hex()}, not of these settings")
        if self.state.version == 0:
            return
        for party, signature in ((config.party_a, self.signature_a), (config.party_b, self.signature_b)):
            if not is_signed_by(self.state.message, domain, party, signature):
                raise MalformedError(f"state {self.state.version} is not signed by {party}: ask for its signature")

    def to_json(self) -> dict[str, Any]:
        """The state, and signatures in hex."""
        return {
            "state": self.state.to_json(),
            "signatureA": f"0x{self.signature_a.hex()}",
            "signatureB": f"0x{self.signature_b.hex()}",
        }

    @classmethod
    def from_json(cls, raw: object) -> Self:
        """The inverse of `to_json`. Raises MalformedError for anything else."""
        values = _take(raw, {"state", "signatureA", "signatureB"}, "a signed state")
        state = State.from_json(values["state"])
        length = SIGNATURE_BYTES if state.version else 0
        a, b = (parse_bytes(name, values[name], length) for name in ("signatureA", "signatureB"))
        return cls(state, a, b)


_NUMBERS: Final = {
    "version": "version",
    "depositsA": "deposits_a",
    "depositsB": "deposits_b",
    "balanceA": "balance_a",
    "balanceB": "balance_b",
}


def _check_outcome(value: State | FinalState) -> None:
    check_bytes("channel id", value.channel_id)
    check_range("version", value.version, MAX_UINT64)
    for name in ("deposits_a", "deposits_b", "balance_a", "balance_b"):
        check_range(name, getattr(value, name), MAX_UINT128)


def _check_balanced(total: int, deposits: int) -> None:
    if total != deposits:
        raise MalformedError(f"the state is not balanced: it shares out {total} of deposits of {deposits}")


def _take(raw: object, names: set[str], what: str) -> dict[str, Any]:
    if not isinstance(raw, dict) or set(raw) != names:
        raise MalformedError(f"{what} is a JSON object with {', '.join(sorted(names))}")
    return raw


def _numbers(raw: dict[str, Any]) -> list[int]:
    """In the order of `_NUMBERS`."""
    return [parse_number(name, raw[name], MAX_UINT64 if name == "version" else MAX_UINT128) for name in _NUMBERS]


def _lock(raw: object) -> Lock:
    values = _take(raw, {"amount", "deadline", "toA", "hash"}, "a lock")
    if type(values["toA"]) is not bool:
        raise MalformedError(f"toA {values['toA']!r} is not true or false")
    return Lock(
        parse_number("lock's amount", values["amount"], MAX_UINT128),
        parse_number("lock's deadline", values["deadline"], MAX_UINT40),
        values["toA"],
        parse_bytes("lock's hash", values["hash"]),
    )
