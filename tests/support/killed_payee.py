"""A payee that takes vouchers from its standard input, one a line, and answers each with its amount, until killed.

To be run in a process of its own, which gets SIGKILL: no handler, no rollback, no closing of files.
"""

import sys
from pathlib import Path

from layer2.chain.connection import connect
from layer2.channels.contracts import open_channels
from layer2.channels.deployment import read
from layer2.channels.payee import Payee, PayeeStore
from layer2.channels.vouchers import SignedVoucher
from tests.support.anvil import signer


def main(url: str, file: str, database: str) -> None:
    """Bob's payee on the channels of a deployment file."""
    payee = Payee(open_channels(connect(url), read(Path(file))), PayeeStore(database), signer(2))
    payee.step()
    for line in sys.stdin:
        print(payee.accept(SignedVoucher.parse(line.strip())).amount, flush=True)
