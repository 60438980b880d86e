"""The protocol's numbers for Python (docs/protocol.md §2–§4). Tests hold Solidity and Circom to them."""

from enum import IntEnum
from typing import Final


class Kind(IntEnum):
    """What an operation does: the first byte of its slot."""

    PADDING = 0
    DEPOSIT = 1
    FORCED_WITHDRAWAL = 2
    TRANSFER = 3
    TRANSFER_TO_NEW = 4
    WITHDRAWAL = 5
    KEY_CHANGE = 6


QUEUE_KINDS: Final = frozenset({Kind.DEPOSIT, Kind.FORCED_WITHDRAWAL})
"""Kinds that come from the L1 queue."""

SIGNED_KINDS: Final = frozenset({Kind.TRANSFER, Kind.TRANSFER_TO_NEW, Kind.WITHDRAWAL, Kind.KEY_CHANGE})
"""Kinds that need a signature."""

# Widths in bits.
TOKEN_BITS: Final = 16
AMOUNT_BITS: Final = 128
OWNER_BITS: Final = 160
NONCE_BITS: Final = 32
TIMESTAMP_BITS: Final = 40
WORD_BITS: Final = 256

BALANCE_LIMIT: Final = 1 << AMOUNT_BITS
"""Balances stay below it."""

MAX_NONCE: Final = (1 << NONCE_BITS) - 1
"""An account that reaches this nonce cannot sign any more."""

# Tree.
ARITY: Final = 4
DEFAULT_LEVELS: Final = 12
MAX_LEVELS: Final = 16
FIRST_INDEX: Final = 1
"""The first index in use; index 0 is reserved."""

# A slot's fields in order, with their bytes.
SLOT_FIELDS: Final = (
    ("kind", 1),
    ("account", 4),
    ("to", 4),
    ("token", 2),
    ("fee", 1),
    ("amount", 16),
    ("owner", 20),
    ("key_x", 32),
    ("key_y", 32),
)
SLOT_BYTES: Final = 112

# Amounts.
FLOAT40_BYTES: Final = 5
FLOAT40_MANTISSA_BITS: Final = 35
FLOAT40_EXPONENT_BITS: Final = 5
FEE8_MANTISSA_BITS: Final = 4
FEE8_EXPONENT_BITS: Final = 4

DOMAIN_TAG: Final = "layer2.zk.v1"
"""Hashed into the domain of every signature."""
