"""Channels of the hub, and single payment channels, to test on Ape's chain.

    channel = Channel.of(hub, alice, bob)
    channel.deposit(alice, 100)
    channel.claim(mallory, 60)                    # with a voucher that it has signed for this
    channel.close(bob, 70, channel.voucher(70))
    with reverts(hub.EmptyChannel):
        channel.attempt("claim", 80, channel.voucher(80))

What is signed is hashed by eth-account, from the types as docs/channels.md has them.
"""

from dataclasses import astuple, dataclass, field, replace
from typing import Any, Self

from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from eth_account import Account as EthAccount
from eth_account.messages import encode_defunct
from eth_utils import keccak

from layer2.crypto.eip712 import GROUP_ORDER
from tests.support.optimistic import private_key
from tests.support.reverts import call
from tests.support.state_channels import ETHER, NOBODY
from tests.support.typed import sign, struct_hash, typed_digest

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR
MAX = 2**128 - 1
NO_PERMIT = (0, 0, bytes(32), bytes(32))

TYPES = {
    "ChannelConfig": "address payer,address payee,address token,address signer,uint40 withdrawDelay,bytes32 salt",
    "Voucher": "bytes32 channelId,uint128 amount",
    "Close": "bytes32 channelId,uint128 amount,uint64 closings",
}


@dataclass(frozen=True)
class Config:
    """`IPaymentChannelHub.ChannelConfig`."""

    payer: str
    payee: str
    token: str = ETHER
    signer: str = NOBODY
    withdraw_delay: int = DAY
    salt: bytes = bytes(32)

    @property
    def id(self) -> bytes:
        """The EIP-712 struct hash."""
        return struct_hash("ChannelConfig", TYPES["ChannelConfig"], astuple(self))


def digest(hub: ContractInstance, name: str, /, *values: Any, **domain: Any) -> bytes:
    """The EIP-712 hash of a `Voucher` or a `Close`. domain: fields that are to be others than the hub's."""
    return typed_digest(hub, "Layer 2 Payment Channel Hub", name, TYPES[name], values, **domain)


def spoilt(signature: bytes) -> dict[str, bytes]:
    """A key's signature of 65 bytes in forms that recover to the same key, or to none, and are not taken."""
    r, s, v = signature[:32], int.from_bytes(signature[32:64]), signature[64]
    compact = (s | (v - 27) << 255).to_bytes(32)
    return {
        "high s": r + (GROUP_ORDER - s).to_bytes(32) + bytes([55 - v]),
        "64 bytes (EIP-2098)": r + compact,
        "v 0 or 1": signature[:64] + bytes([v - 27]),
        "v 29": signature[:64] + bytes([29]),
        "other v": signature[:64] + bytes([55 - v]),
        "66 bytes": signature + b"\0",
        "130 bytes": signature * 2,
        "none": b"",
        "zeros": bytes(65),
        "recovers to zero": bytes(64) + bytes([27]),
        "r too large": GROUP_ORDER.to_bytes(32) + signature[32:],
        "s zero": r + bytes(32) + bytes([v]),
    }


FORMS = tuple(spoilt(bytes(64) + b"\x1b"))
"""The names of these forms."""


def delegate(account: AccountAPI, to: str) -> None:
    """Has the account run the code at an address from here on (EIP-7702), by a transaction of its own."""
    web3 = account.provider.web3
    chain_id, nonce = web3.eth.chain_id, account.nonce
    key = private_key(account)
    signed = EthAccount.sign_transaction(
        {
            "type": 4,
            "chainId": chain_id,
            "nonce": nonce,
            "to": account.address,
            "value": 0,
            "data": b"",
            "gas": 200_000,
            "maxFeePerGas": 10**10,
            "maxPriorityFeePerGas": 10**9,
            "authorizationList": [
                EthAccount.sign_authorization({"chainId": chain_id, "address": to, "nonce": nonce + 1}, key)
            ],
        },
        key,
    )
    web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(signed.raw_transaction))
    assert bytes(web3.eth.get_code(account.address)) == bytes.fromhex("ef0100" + to[2:])


@dataclass
class Channel:
    """A channel of a hub, and the accounts of its payer and payee."""

    hub: ContractInstance
    config: Config
    payer: AccountAPI
    payee: AccountAPI
    signer: AccountAPI
    id: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.id = self.config.id

    @classmethod
    def of(
        cls,
        hub: ContractInstance,
        payer: AccountAPI,
        payee: AccountAPI,
        signer: AccountAPI | None = None,
        **config: Any,
    ) -> Self:
        """A channel between these accounts. signer: whose key signs vouchers; None: the payer. config: see Config."""
        address = NOBODY if signer is None else signer.address
        return cls(hub, Config(payer.address, payee.address, signer=address, **config), payer, payee, signer or payer)

    def other(self, **config: Any) -> Self:
        """A channel with other settings, between the same accounts."""
        return type(self)(self.hub, replace(self.config, **config), self.payer, self.payee, self.signer)

    # ---------------------------------------------------------------- what is signed

    def voucher(self, amount: int, by: AccountAPI | None = None, **domain: Any) -> bytes:
        """A voucher's signature. by: who signs, None for the channel's signer. domain: see digest."""
        return sign(by or self.signer, digest(self.hub, "Voucher", self.id, amount, **domain))

    def closing(self, amount: int, count: int | None = None, by: AccountAPI | None = None, **domain: Any) -> bytes:
        """The payee's signature that it closes with an amount. count: closings before; None: as many as there were."""
        number = self.closings if count is None else count
        return sign(by or self.payee, digest(self.hub, "Close", self.id, amount, number, **domain))

    # ---------------------------------------------------------------- transactions

    def deposit(self, sender: AccountAPI, amount: int) -> ReceiptAPI:
        """Ether, or a token that the sender has approved."""
        value = amount if self.config.token == ETHER else 0
        return self.hub.deposit(astuple(self.config), amount, value=value, sender=sender)

    def claim(self, sender: AccountAPI, amount: int, signature: bytes | None = None) -> ReceiptAPI:
        """With a voucher that is signed now, if none is given."""
        given = self.voucher(amount) if signature is None else signature
        return self.hub.claim(astuple(self.config), amount, given, sender=sender)

    def close(self, sender: AccountAPI, amount: int, voucher: bytes = b"", payee_signature: bytes = b"") -> ReceiptAPI:
        return self.hub.close(astuple(self.config), amount, voucher, payee_signature, sender=sender)

    def start_withdrawal(self, sender: AccountAPI | None = None) -> ReceiptAPI:
        return self.hub.startWithdrawal(astuple(self.config), sender=sender or self.payer)

    def finish_withdrawal(self, sender: AccountAPI | None = None) -> ReceiptAPI:
        return self.hub.finishWithdrawal(astuple(self.config), sender=sender or self.payer)

    def cancel_withdrawal(self, sender: AccountAPI | None = None) -> ReceiptAPI:
        return self.hub.cancelWithdrawal(astuple(self.config), sender=sender or self.payer)

    def item(self, amount: int, signature: bytes | None = None) -> tuple[Any, ...]:
        """Of `claimMany`; signed now, if no signature is given."""
        return astuple(self.config), amount, self.voucher(amount) if signature is None else signature

    def encode(self, function: str, *arguments: Any) -> bytes:
        """A call's input, the settings first."""
        return bytes(getattr(self.hub, function).encode_input(astuple(self.config), *arguments))

    def attempt(self, function: str, *arguments: Any, sender: AccountAPI | None = None) -> None:
        """A call without a transaction, for what is refused."""
        call(self.hub, self.encode(function, *arguments), sender)

    # ---------------------------------------------------------------- what is there

    @property
    def state(self) -> tuple[int, int]:
        """Balance and what was released."""
        return tuple(self.hub.channels(self.id))

    @property
    def withdrawable_after(self) -> int:
        return int(self.hub.closings(self.id).withdrawableAfter)

    @property
    def closings(self) -> int:
        return int(self.hub.closings(self.id)[1])

    def owed(self, account: AccountAPI | str) -> int:
        """In the channel's token."""
        return int(self.hub.owed(account, self.config.token))


def payment_digest(channel: str, amount: int, chain_id: int) -> bytes:
    """What the sender of a `PaymentChannel` signs, as the textbook has it, in EIP-191's form."""
    packed = bytes.fromhex(channel[2:]) + amount.to_bytes(32) + chain_id.to_bytes(32)
    signable = encode_defunct(keccak(packed))
    return keccak(b"\x19" + signable.version + signable.header + signable.body)
