"""Measures the ledger: signed transfers a second through validation and application."""

import time
from typing import Final

from layer2.crypto.eddsa import PrivateKey
from layer2.ledger.account import Account
from layer2.ledger.amounts import encode_fee8
from layer2.ledger.errors import LedgerError
from layer2.ledger.operations import Operation, SignedOperation, domain, sign_operation
from layer2.ledger.state import State
from layer2.ledger.state_manager import StateManager

_ACCOUNTS: Final = 128
_BATCH: Final = 100
_TIMESTAMP: Final = 1_700_000_000
_FEE: Final = 10


def transfers_per_second(count: int) -> float:
    """Signed transfers that one core validates and applies per second of CPU time, over `count` of them.

    Included: signature check, all rules, two tree paths of 12 levels with the root after each update, and the
    witness of each step. Not included: making accounts, keys and signatures.
    Raises LedgerError unless count is positive.
    """
    if type(count) is not int or count < 1:
        raise LedgerError(f"count {count!r} is not a positive integer; give the number of transfers to measure")
    keys = [PrivateKey.from_seed(number.to_bytes(32)) for number in range(1, _ACCOUNTS + 1)]
    accounts = [Account(index, key.public_key, 0, 0, 10**18) for index, key in enumerate(keys, 1)]
    here = domain(31337, 1)
    items = [_transfer(number, keys, here) for number in range(count)]
    manager = StateManager(State.from_accounts(12, accounts), here)
    before = time.process_time()
    for start in range(0, count, _BATCH):
        manager.submit_batch(items[start : start + _BATCH], _TIMESTAMP)
    return count / (time.process_time() - before)


def _transfer(number: int, keys: list[PrivateKey], here: int) -> SignedOperation:
    """The number-th transfer: senders take turns, recipients are spread over all accounts."""
    nonce, sender = divmod(number, _ACCOUNTS)
    to = 1 + (number * 37 + 5) % _ACCOUNTS
    operation = Operation.transfer(1 + sender, to, 0, 1000 + number, encode_fee8(_FEE))
    return sign_operation(keys[sender], here, operation, nonce, _TIMESTAMP, to, keys[to - 1].public_key)
