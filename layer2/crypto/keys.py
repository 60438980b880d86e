"""From a wallet's signature to a Layer 2 key (docs/protocol.md §1, "Key derivation")."""

from typing import Final

from eth_utils.crypto import keccak

from layer2.crypto.addresses import address_to_int, int_to_address
from layer2.crypto.eddsa import PrivateKey
from layer2.crypto.errors import KeyDerivationError

SECP256K1_N: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
WALLET_SIGNATURE_BYTES: Final = 65


def key_message(chain_id: int, rollup: str) -> str:
    """The text a wallet signs (EIP-191 personal_sign) to derive its key for one rollup on one chain.

    `rollup` is a 20-byte hex address; one in mixed case must carry a right EIP-55 checksum.
    Raises AddressError for a malformed one, KeyDerivationError for a chain id that is not a positive integer.
    """
    if type(chain_id) is not int or chain_id <= 0:
        raise KeyDerivationError(f"chain id {chain_id!r} is not a positive integer; ask the node for eth_chainId")
    address = int_to_address(address_to_int(rollup))
    return (
        "Layer 2 key derivation v1\n"
        "\n"
        "Sign this only in a client you trust: the signature is the secret of your Layer 2 key.\n"
        f"Chain id: {chain_id}\n"
        f"Rollup: {address}"
    )


def derive_private_key(wallet_signature: bytes) -> PrivateKey:
    """The key of a 65-byte wallet signature r ‖ s ‖ v over `key_message`.

    The signature is normalised first (low s, v 27 or 28), so every form a wallet may return of the same
    signature gives the same key. The error does not repeat the signature, which is a secret.
    Raises KeyDerivationError for another length, r or s outside 1 … n-1, or a v other than 0, 1, 27, 28.
    """
    return PrivateKey.from_seed(keccak(_normalise(wallet_signature)))


def _normalise(signature: bytes) -> bytes:
    if len(signature) != WALLET_SIGNATURE_BYTES:
        raise KeyDerivationError(
            f"a wallet signature has {WALLET_SIGNATURE_BYTES} bytes (r, s, v), got {len(signature)}; "
            "expand a compact (EIP-2098) one first, and contract wallets cannot derive a key"
        )
    r = int.from_bytes(signature[:32])
    s = int.from_bytes(signature[32:64])
    v = signature[64]
    if not 0 < r < SECP256K1_N or not 0 < s < SECP256K1_N:
        raise KeyDerivationError("r or s of the wallet signature is not in 1 … n-1; ask the wallet to sign again")
    if v not in (0, 1, 27, 28):
        raise KeyDerivationError(f"v of the wallet signature is {v}, not 0, 1, 27 or 28; use personal_sign")
    parity = v % 27
    if s > SECP256K1_N // 2:
        s = SECP256K1_N - s
        parity ^= 1
    return signature[:32] + s.to_bytes(32) + bytes([27 + parity])
