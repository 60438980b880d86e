"""What the ledger's tests share: keys, owners, a small state, and signing in one line."""

from dataclasses import replace
from typing import Any

from layer2.crypto.eddsa import Point, PrivateKey
from layer2.ledger.account import Account
from layer2.ledger.operations import NO_KEY, Operation, SignedOperation, domain, sign_operation
from layer2.ledger.state import State
from layer2.ledger.transition import Context, Step, apply

LEVELS = 2
NOW = 1_700_000_000
DOMAIN = domain(31337, 0xABCD)
CONTEXT = Context(DOMAIN, NOW)

KEYS = [PrivateKey.from_seed(bytes([number]) * 32) for number in range(1, 9)]
ALICE, BOB, CAROL = 0xA11CE, 0xB0B, 0xCA401
ETH, USDC = 0, 7

# Accounts of STATE by index. BOB_USDC holds another token than the rest.
ALICE_ETH, BOB_ETH, BOB_USDC, CAROL_ETH = 1, 2, 3, 4


def account(owner: int, key: int, token: int = ETH, balance: int = 1000, nonce: int = 0) -> Account:
    """An account with the key of this number."""
    return Account(owner, KEYS[key].public_key, token, nonce, balance)


STATE = State.from_accounts(
    LEVELS, [account(ALICE, 0), account(BOB, 1), account(BOB, 1, USDC, 500), account(CAROL, 2, balance=0)]
)

# 4² - 1 accounts: no index is left.
FULL = State.from_accounts(LEVELS, [account(ALICE, 0)] * 15)

NEW_KEY = KEYS[7].public_key
KEY_OF = {owner: KEYS[number].public_key for number, owner in enumerate((ALICE, BOB, CAROL))}
OFF_CURVE = Point(1, 1)


def edit(state: State, index: int, **fields: object) -> State:
    """The state with some fields of one account replaced."""
    old = state.account(index)
    assert old is not None
    return state.put(index, replace(old, **fields))  # type: ignore[arg-type]


def sign(
    operation: Operation,
    key: int = 0,
    nonce: int = 0,
    expiry: int = NOW,
    recipient_owner: int = 0,
    signing_domain: int = DOMAIN,
    recipient_key: Point | None = None,
) -> SignedOperation:
    """The operation signed by the key of this number. The recipient has the key of KEY_OF unless another is named."""
    if recipient_key is None:
        recipient_key = KEY_OF.get(recipient_owner, NO_KEY)
    return sign_operation(KEYS[key], signing_domain, operation, nonce, expiry, recipient_owner, recipient_key)


def transfer(
    amount: int = 100, fee: int = 0, to: int = BOB_ETH, owner: int = BOB, nonce: int = 0, **changes: Any
) -> SignedOperation:
    """Alice's transfer from ALICE_ETH, signed."""
    return sign(Operation.transfer(ALICE_ETH, to, ETH, amount, fee), 0, nonce, recipient_owner=owner, **changes)


def step(state: State, item: SignedOperation | Operation) -> Step:
    """`apply` in CONTEXT."""
    return apply(state, item, CONTEXT)
