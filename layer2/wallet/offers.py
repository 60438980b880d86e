"""Offers of NFTs: what a seller signs and hands to a buyer, as JSON. May import `layer2.node.wire`."""

import json
from dataclasses import dataclass
from typing import Any, Final

from layer2.node.sequencer_client import parse_bytes32
from layer2.node.wire import WireError, address, parse_address, parse_number
from layer2.optimistic.constants import SIGNATURE_BYTES
from layer2.wallet.units import WalletError

FORMAT: Final = "layer2 NFT offer 1"


@dataclass(frozen=True)
class Offer:
    """A seller's signed offer of an NFT, which anybody can take until it expires or the NFT is handed on.

    nft: its index, content, creator and nonce; price in smallest units of `token`, to `seller_account`; expiry in
    seconds since 1970.
    """

    chain_id: int
    rollup: int
    nft: int
    content: bytes
    creator: int
    nonce: int
    seller: int
    seller_account: int
    token: int
    price: int
    expiry: int
    signature: bytes

    def to_json(self) -> str:
        """The offer as a file has it."""
        raw = {
            "format": FORMAT,
            "chainId": self.chain_id,
            "rollup": address(self.rollup),
            "nft": self.nft,
            "content": f"0x{self.content.hex()}",
            "creator": address(self.creator),
            "nonce": self.nonce,
            "seller": address(self.seller),
            "sellerAccount": self.seller_account,
            "token": self.token,
            "price": str(self.price),
            "expiry": self.expiry,
            "signature": f"0x{self.signature.hex()}",
        }
        return json.dumps(raw, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Offer":
        """The inverse of `to_json`. Raises WalletError for anything else."""
        try:
            raw: Any = json.loads(text)
            if not isinstance(raw, dict) or raw.get("format") != FORMAT:
                raise WireError(f"it has no format {FORMAT!r}")
            signature = bytes.fromhex(str(raw["signature"]).removeprefix("0x"))
            if len(signature) != SIGNATURE_BYTES:
                raise WireError(f"the signature has {len(signature)} bytes, not {SIGNATURE_BYTES}")
            return cls(
                parse_number(raw["chainId"], "chainId"),
                parse_address(raw["rollup"], "rollup"),
                _number(raw, "nft", 32),
                parse_bytes32(raw["content"], "content"),
                parse_address(raw["creator"], "creator"),
                _number(raw, "nonce", 32),
                parse_address(raw["seller"], "seller"),
                _number(raw, "sellerAccount", 32),
                _number(raw, "token", 16),
                parse_number(raw["price"], "price"),
                _number(raw, "expiry", 32),
                signature,
            )
        except (ValueError, KeyError, RecursionError) as error:  # WireError is a ValueError
            what = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
            raise WalletError(
                f"this is no offer of `ape run wallet nft offer`: {what}; ask the seller for a new one"
            ) from error


def _number(raw: dict[str, Any], name: str, bits: int) -> int:
    value = parse_number(raw[name], name)
    if value >> bits:
        raise WireError(f"{name} {str(value)[:100]} has more than {bits} bits")
    return value
