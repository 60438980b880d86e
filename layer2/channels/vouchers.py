"""Vouchers of one-way channels, and what a payee signs to close one (docs/channels.md): `PaymentChannelHub` and
`PaymentChannel`. May import `layer2.crypto` and `layer2.channels.signing`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

from eth_utils.address import to_checksum_address

from layer2.channels.errors import MalformedError
from layer2.channels.signing import (
    MAX_UINT64,
    MAX_UINT128,
    SIGNATURE_BYTES,
    ZERO_ADDRESS,
    Domain,
    check_address,
    check_bytes,
    check_range,
    parse_bytes,
    parse_number,
)
from layer2.crypto.eip712 import (
    Address,
    Bytes32,
    Message,
    Uint40,
    Uint64,
    Uint128,
    recover_rsv,
    sign_digest,
)
from layer2.crypto.keccak import keccak256

HUB_NAME: Final = "Layer 2 Payment Channel Hub"
"""Of the hub's EIP-712 domain."""

MIN_WITHDRAW_DELAY: Final = 15 * 60
MAX_WITHDRAW_DELAY: Final = 30 * 24 * 3600


def hub_domain(chain_id: int, hub: str) -> Domain:
    """The domain of a hub's signatures."""
    return Domain(HUB_NAME, chain_id, hub)


# -------------------------------------------------------------------- the hub


@dataclass(frozen=True, slots=True)
class _ConfigMessage(Message):
    NAME: ClassVar = "ChannelConfig"
    payer: Address
    payee: Address
    token: Address
    signer: Address
    withdraw_delay: Uint40
    salt: Bytes32


@dataclass(frozen=True)
class ChannelConfig:
    """A channel's settings: addresses in EIP-55 form, the delay in seconds, 32 bytes of salt.

    token: 0 is ETH. signer: who signs vouchers, 0 is the payer. Raises MalformedError for what no channel can have.
    """

    payer: str
    payee: str
    token: str
    signer: str
    withdraw_delay: int
    salt: bytes

    def __post_init__(self) -> None:
        for what in ("payer", "payee", "token", "signer"):
            check_address(what, getattr(self, what))
        for what in ("payer", "payee"):
            if getattr(self, what) == ZERO_ADDRESS:
                raise MalformedError(f"{what} is the zero address: give an account's")
        check_range("withdrawDelay", self.withdraw_delay, MAX_WITHDRAW_DELAY, MIN_WITHDRAW_DELAY)
        check_bytes("salt", self.salt)

    @property
    def id(self) -> bytes:
        """The channel's id, 32 bytes: EIP-712's hashStruct of the settings."""
        payer, payee, token, signer = (int(one, 16) for one in (self.payer, self.payee, self.token, self.signer))
        return _ConfigMessage(payer, payee, token, signer, self.withdraw_delay, self.salt).struct_hash()

    @property
    def voucher_signer(self) -> str:
        """Who signs vouchers."""
        return self.payer if self.signer == ZERO_ADDRESS else self.signer

    @property
    def arguments(self) -> tuple[Any, ...]:
        """As the contract takes it."""
        return (self.payer, self.payee, self.token, self.signer, self.withdraw_delay, self.salt)

    @classmethod
    def of(cls, values: tuple[Any, ...]) -> Self:
        """Of what a contract answers: addresses in any case."""
        payer, payee, token, signer = (to_checksum_address(account) for account in values[:4])
        return cls(payer, payee, token, signer, values[4], values[5])


@dataclass(frozen=True, slots=True)
class Voucher(Message):
    """`amount` is all that the channel ever pays, in smallest units."""

    NAME: ClassVar = "Voucher"
    channel_id: Bytes32
    amount: Uint128

    def __post_init__(self) -> None:
        check_bytes("channel id", self.channel_id)
        check_range("amount", self.amount, MAX_UINT128)


@dataclass(frozen=True, slots=True)
class Close(Message):
    """What a payee signs: with `amount` released in all, the rest is the payer's. `closings`: earlier such closings."""

    NAME: ClassVar = "Close"
    channel_id: Bytes32
    amount: Uint128
    closings: Uint64

    def __post_init__(self) -> None:
        check_bytes("channel id", self.channel_id)
        check_range("amount", self.amount, MAX_UINT128)
        check_range("closings", self.closings, MAX_UINT64)


@dataclass(frozen=True, slots=True)
class SignedVoucher:
    """A voucher with its signer's signature, which nobody has checked yet."""

    voucher: Voucher
    signature: bytes

    def __post_init__(self) -> None:
        check_bytes("signature", self.signature, SIGNATURE_BYTES)

    @property
    def channel_id(self) -> bytes:
        """The channel."""
        return self.voucher.channel_id

    @property
    def amount(self) -> int:
        """All that it pays."""
        return self.voucher.amount

    @property
    def text(self) -> str:
        """`channel.amount.signature`: hex, decimal, hex. One word that fits into a header or on a command line."""
        return f"0x{self.voucher.channel_id.hex()}.{self.voucher.amount}.0x{self.signature.hex()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `text`. Raises MalformedError for anything else."""
        parts = text.split(".", 3)
        if len(parts) != 3:
            raise MalformedError(f"voucher {text[:100]!r} is not of the form 0x<channel>.<amount>.0x<signature>")
        channel, amount, signature = parts
        return cls(
            Voucher(parse_bytes("channel id", channel), parse_number("amount", amount, MAX_UINT128)),
            parse_bytes("signature", signature, SIGNATURE_BYTES),
        )


@dataclass(frozen=True, slots=True)
class SignedClose:
    """A payee's consent to a closing, with the voucher of its amount: what `close` takes.

    No voucher (no bytes) is needed for an amount that has left the channel already.
    """

    close: Close
    signature: bytes
    voucher_signature: bytes

    def __post_init__(self) -> None:
        check_bytes("signature", self.signature, SIGNATURE_BYTES)
        if self.voucher_signature:
            check_bytes("voucher's signature", self.voucher_signature, SIGNATURE_BYTES)

    def to_json(self) -> dict[str, str]:
        """Amounts as decimal strings, the rest as hex."""
        return {
            "channel": f"0x{self.close.channel_id.hex()}",
            "amount": str(self.close.amount),
            "closings": str(self.close.closings),
            "signature": f"0x{self.signature.hex()}",
            "voucherSignature": f"0x{self.voucher_signature.hex()}",
        }

    @classmethod
    def from_json(cls, raw: object) -> Self:
        """The inverse of `to_json`. Raises MalformedError for anything else."""
        names = {"channel", "amount", "closings", "signature", "voucherSignature"}
        if not isinstance(raw, dict) or set(raw) != names:
            raise MalformedError(f"a signed closing is a JSON object with {', '.join(sorted(names))}")
        voucher = raw["voucherSignature"]
        return cls(
            Close(
                parse_bytes("channel id", raw["channel"]),
                parse_number("amount", raw["amount"], MAX_UINT128),
                parse_number("closings", raw["closings"], MAX_UINT64),
            ),
            parse_bytes("signature", raw["signature"], SIGNATURE_BYTES),
            b"" if voucher == "0x" else parse_bytes("voucher's signature", voucher, SIGNATURE_BYTES),
        )


# -------------------------------------------------------------------- a contract per channel


@dataclass(frozen=True)
class PaymentChannelVoucher:
    """A voucher of a `PaymentChannel`: signed as EIP-191 over the contract, all that is paid in wei, and the chain."""

    contract: str
    amount: int
    chain_id: int

    def __post_init__(self) -> None:
        check_address("contract", self.contract)
        check_range("amount", self.amount, 2**256 - 1)
        check_range("chain id", self.chain_id, 2**256 - 1)

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are signed."""
        packed = bytes.fromhex(self.contract[2:]) + self.amount.to_bytes(32) + self.chain_id.to_bytes(32)
        return keccak256(b"\x19Ethereum Signed Message:\n32" + keccak256(packed))

    def sign(self, private_key: bytes) -> bytes:
        """The signature by a key of 32 bytes. Raises SigningError for what is no private key."""
        return sign_digest(self.digest, private_key)

    def is_signed_by(self, account: str, signature: bytes) -> bool:
        """Whether an account (EIP-55 address) signed it by its own key."""
        signer = recover_rsv(self.digest, signature)
        return signer != 0 and signer == int(account, 16)
