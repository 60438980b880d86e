"""Measures the state transition: signed transfers a second through validation and execution, on one core.

Run it with `python -m layer2.optimistic.bench [transfers]`.
"""

import sys
import time
from typing import Final

from layer2.crypto.eip712 import address_of
from layer2.optimistic.constants import CHUNK_OPERATIONS
from layer2.optimistic.errors import OptimisticError
from layer2.optimistic.operations import Transfer
from layer2.optimistic.records import Account
from layer2.optimistic.signing import domain_separator, sign_operation
from layer2.optimistic.state import RollupState
from layer2.optimistic.transition import Context, execute_chunk

ACCOUNTS: Final = 1024
_EXECUTED_AT: Final = 1_700_000_000
_FEE: Final = 10


def transfers_per_second(count: int) -> float:
    """Signed transfers that one core executes per second of CPU time, over `count` of them.

    Included: reading the operation from the chunk's bytes, all rules, recovering the signer, and the commitment, with
    the state root of a tree of 24 levels and 1024 accounts, after every chunk of 16. Not included: making accounts and
    signatures. Raises OptimisticError unless count is positive.
    """
    if type(count) is not int or count < 1:
        raise OptimisticError(f"count {count!r} is not a positive integer; give the number of transfers to measure")
    keys = [number.to_bytes(32) for number in range(1, ACCOUNTS + 1)]
    state = RollupState.of(24, [Account(address_of(key), 0, 0, 10**18) for key in keys])
    domain = domain_separator(31337, 1)
    operations = [_transfer(number, keys, state, domain) for number in range(count)]
    context = Context(domain, _EXECUTED_AT, 0)
    chunks = [b"".join(operations[start : start + CHUNK_OPERATIONS]) for start in range(0, count, CHUNK_OPERATIONS)]
    before = time.process_time()
    for chunk in chunks:
        state, outcomes = execute_chunk(state, context, chunk, ())
        state.commitment()
        for outcome in outcomes:
            if not outcome.is_valid:
                raise OptimisticError(f"the measurement is of invalid transfers: {outcome.reason}; correct it")
    return count / (time.process_time() - before)


def _transfer(number: int, keys: list[bytes], state: RollupState, domain: bytes) -> bytes:
    """The number-th transfer: senders take turns, recipients are spread over all accounts."""
    nonce, sender = divmod(number, ACCOUNTS)

    def record(index: int) -> Account:
        account = state.record(index)
        assert isinstance(account, Account)
        return account._replace(nonce=nonce)

    operation = Transfer(1 + sender, 1 + (number * 37 + 5) % ACCOUNTS, 1000 + number, _FEE, _EXECUTED_AT)
    return sign_operation(operation, record, domain, keys[sender]).encode()


if __name__ == "__main__":
    print(f"{transfers_per_second(int(sys.argv[1]) if len(sys.argv) > 1 else 5000):,.0f} transfers a second")
