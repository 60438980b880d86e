"""A sequencer that kills itself at a point, to be run in a process of its own.

The process gets SIGKILL: no handler, no rollback, no closing of files.
"""

import os
import signal
from pathlib import Path
from typing import Literal

from layer2.actors.optimistic_store import OptimisticStore
from layer2.actors.sequencer import Sequencer, SequencerConfig
from layer2.chain import optimistic_deployment
from layer2.chain.blobs import blob_source
from layer2.chain.connection import connect
from layer2.chain.optimistic_rollup import open_optimistic_rollup
from tests.support.anvil import signer


def main(url: str, file: str, database: str, point: str, data: Literal["blob", "calldata"]) -> None:
    """Run on the rollup of a deployment file until the point is reached."""

    def checkpoint(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    rollup = open_optimistic_rollup(connect(url), optimistic_deployment.read(Path(file)))
    config = SequencerConfig(data=data, batch_timeout=0)
    source = blob_source(rollup.chain, None)
    Sequencer(rollup, OptimisticStore(database), signer(0), source, config, checkpoint=checkpoint).run_until_idle()
