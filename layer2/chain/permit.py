"""ERC-2612 permits: a signature in place of an approval. May import `layer2.chain`."""

from dataclasses import dataclass
from typing import Any, Final

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from layer2.chain.coder import coder
from layer2.chain.connection import Chain
from layer2.chain.errors import DataMissingError, RevertedError
from layer2.chain.signer import Signer

PERMIT_LIFETIME: Final = 3600
"""Seconds for which a permit is good."""

_PERMIT_TYPES: Final = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ],
    "Permit": [
        {"name": "owner", "type": "address"},
        {"name": "spender", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ],
}


@dataclass(frozen=True)
class Permit:
    """A signed permit, as contracts take it."""

    deadline: int
    v: int
    r: bytes
    s: bytes

    @property
    def arguments(self) -> tuple[int, int, bytes, bytes]:
        """deadline, v, r, s."""
        return (self.deadline, self.v, self.r, self.s)


def sign_permit(chain: Chain, signer: Signer, token: str, spender: str, amount: int) -> Permit | None:
    """A permit for `spender` to take `amount` of the signer's tokens, None when the token has none that this program
    understands. Raises what the signer raises when it does not sign."""
    erc20 = coder("TestUSDC")

    def view(function: str, *arguments: Any) -> tuple[Any, ...]:
        return erc20.decode_result(function, chain.call(token, erc20.encode(function, *arguments)))

    try:
        _, name, version, chain_id, contract, _, _ = view("eip712Domain")
        (separator,) = view("DOMAIN_SEPARATOR")
        (nonce,) = view("nonces", signer.address)
    except (RevertedError, DataMissingError):
        return None
    fields = b"".join(
        (
            keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
            keccak(text=name),
            keccak(text=version),
            encode(["uint256", "address"], [chain_id, contract]),
        )
    )
    if separator != keccak(fields) or to_checksum_address(contract) != token:
        return None
    deadline = chain.head().timestamp + PERMIT_LIFETIME
    typed: dict[str, Any] = {
        "types": _PERMIT_TYPES,
        "primaryType": "Permit",
        "domain": {"name": name, "version": version, "chainId": chain_id, "verifyingContract": token},
        "message": {
            "owner": signer.address,
            "spender": spender,
            "value": amount,
            "nonce": int(nonce),
            "deadline": deadline,
        },
    }
    signature = signer.sign_typed(typed)
    return Permit(deadline, signature[64], signature[:32], signature[32:64])
