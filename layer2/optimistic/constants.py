"""The optimistic rollup's numbers for Python (docs/optimistic.md). Tests hold Solidity to them."""

from enum import IntEnum
from typing import Final


class OperationKind(IntEnum):
    """What an operation does: its first byte."""

    NOTHING = 0
    QUEUE_ENTRY = 1
    TRANSFER = 2
    TRANSFER_TO_NEW = 3
    WITHDRAWAL = 4
    SWAP = 5
    CREATE_POOL = 6
    ADD_LIQUIDITY = 7
    REMOVE_LIQUIDITY = 8
    MINT_NFT = 9
    TRANSFER_NFT = 10
    PURCHASE_NFT = 11


class RecordKind(IntEnum):
    """What a leaf of the state tree holds: the first byte of its record."""

    ACCOUNT = 1
    POOL = 2
    POSITION = 3
    NFT = 4


# Trees (§1).
DEFAULT_LEVELS: Final = 24
MAX_LEVELS: Final = 32
WITHDRAWAL_LEVELS: Final = 32
FIRST_INDEX: Final = 1
"""The first index in use; index 0 is reserved."""
EMPTY: Final = bytes(32)
"""The value of an empty leaf and of every empty subtree."""

# Values.
AMOUNT_LIMIT: Final = 1 << 128
"""Balances, reserves and shares stay below it."""
MAX_NONCE: Final = (1 << 32) - 1
"""An account or NFT that reaches this nonce cannot sign any more."""
FEE_WORDS: Final = 4
"""How many tokens a batch can take fees in."""
FEE_TOKEN_SHIFT: Final = 128

# Pools.
SWAP_FEE_NUMERATOR: Final = 997
SWAP_FEE_DENOMINATOR: Final = 1000
LOCKED_SHARES: Final = 1000
"""Shares of a new pool that belong to nobody."""

# Chunks and batches (§4).
CHUNK_OPERATIONS: Final = 16
CHUNK_BYTES: Final = 1951
MAX_CHUNKS: Final = 64
COMMITMENT_BYTES: Final = 31
LENGTH_BYTES: Final = 2
BLOB_ELEMENTS: Final = 4096
CELL_ELEMENTS: Final = 64
ELEMENT_BYTES: Final = 32
BLOB_BYTES: Final = BLOB_ELEMENTS * ELEMENT_BYTES

SIGNATURE_BYTES: Final = 64
SIGNATURE_NAME: Final = "Layer 2 Optimistic Rollup"
SIGNATURE_VERSION: Final = "1"
