"""Blobs on their way to L1: what an EIP-4844 transaction carries beside its signed part.

The signed part has the blobs' versioned hashes only, so any key that signs type 3 can sign it, and the transaction's
hash is the hash of this part. Nodes take it with blobs, commitments and, since the Osaka fork, the cell proofs of
EIP-7594. May import `layer2.optimistic.blobs` and rlp.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import rlp
from eth_utils.crypto import keccak

from layer2.optimistic import blobs as kzg
from layer2.optimistic.errors import BlobError

BLOB_GAS: Final = 2**17
"""Blob gas that a blob takes."""

_BLOB_TRANSACTION: Final = 3
_CELL_PROOFS: Final = b"\x01"
"""Version of the form with cell proofs."""


@dataclass(frozen=True)
class Sidecar:
    """Blobs and their compressed commitments."""

    blobs: tuple[bytes, ...]
    commitments: tuple[bytes, ...]

    @classmethod
    def of(cls, blobs: Iterable[bytes]) -> "Sidecar":
        """The sidecar for these blobs, at least one. Raises BlobError when one of them is malformed."""
        some = tuple(blobs)
        if not some:
            raise BlobError("a blob transaction needs a blob: send another kind of transaction")
        return cls(some, tuple(kzg.commitment(blob) for blob in some))

    @property
    def versioned_hashes(self) -> tuple[bytes, ...]:
        """What the signed part of the transaction calls the blobs."""
        return tuple(kzg.versioned_hash(commitment) for commitment in self.commitments)

    @property
    def gas(self) -> int:
        """Blob gas for all blobs."""
        return BLOB_GAS * len(self.blobs)

    @cached_property
    def cell_proofs(self) -> tuple[bytes, ...]:
        """All cells' proofs, 128 for each blob. Takes half a second a blob."""
        return tuple(proof for blob in self.blobs for proof in kzg.cell_proofs(blob))

    def attach(self, signed: bytes) -> bytes:
        """The form of a signed transaction that nodes take."""
        parts = [rlp.decode(signed[1:]), _CELL_PROOFS, self.blobs, self.commitments, self.cell_proofs]
        return bytes([_BLOB_TRANSACTION]) + bytes(rlp.encode(parts))


def transaction_hash(raw: bytes) -> bytes:
    """The hash of a raw signed transaction of any type. That of a blob transaction leaves out what it carries."""
    if raw[:1] == bytes([_BLOB_TRANSACTION]):
        parts = rlp.decode(raw[1:])
        if isinstance(parts[0], list):
            return bytes(keccak(raw[:1] + rlp.encode(parts[0])))
    return bytes(keccak(raw))
