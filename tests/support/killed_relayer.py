"""A relayer that kills itself at a point, to be run in a process of its own.

The process gets SIGKILL: no handler, no rollback, no closing of files.
"""

import os
import signal
from pathlib import Path

from layer2.actors.relayer import Relayer, RelayerConfig
from layer2.actors.store import Store
from layer2.chain import deployment
from layer2.chain.connection import connect
from layer2.chain.rollup import open_rollup
from tests.support.anvil import signer
from tests.support.killing import die_after
from tests.support.world import prover


def main(url: str, file: str, database: str, point: str) -> None:
    """Run on the rollup of a deployment file up to a point: a checkpoint, or "store." and the name of a method."""

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def checkpoint(reached: str) -> None:
        if reached == point:
            kill()

    rollup = open_rollup(connect(url), deployment.read(Path(file)))
    config = RelayerConfig(batch_timeout=0, serve_withdrawals=True, workers=1)
    store = Store(database)
    if point.startswith("store."):
        die_after(store, point.removeprefix("store."), kill)
    Relayer(rollup, store, signer(0), prover(), config, checkpoint=checkpoint).run_until_idle()
