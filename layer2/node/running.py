"""A relayer with its service as a program: starts both, says what happens, ends cleanly.

May import everything but wallet and scripts.
"""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from layer2.actors.errors import RelayerError
from layer2.actors.follower import circuits_of
from layer2.actors.proving import SegmentProver, local_keys
from layer2.actors.relayer import Relayer, RelayerConfig, StepReport
from layer2.actors.store import Store
from layer2.chain.deploying import keys_hash
from layer2.chain.rollup import Rollup
from layer2.chain.signer import Signer
from layer2.node.api import create_app
from layer2.node.server import Server
from layer2.node.service import StepLoop


@dataclass(frozen=True)
class RelayerOptions:
    """How the program runs. interval: seconds between steps that find nothing. build: folder of the circuits' keys."""

    database: Path
    host: str
    port: int
    interval: float
    workers: int | None
    backend: str | None
    build: Path
    once: bool


def load_prover(rollup: Rollup, options: RelayerOptions) -> SegmentProver:
    """The prover for a rollup's circuits, with the keys that its verifier was deployed with.

    Raises RelayerError when keys are missing or are others.
    """
    circuits = circuits_of(rollup)
    if keys_hash(local_keys(circuits, options.build)) != rollup.deployment.verifying_keys:
        raise RelayerError(
            f"the proving keys in {options.build} are not those of the rollup at {rollup.address}, so it would refuse "
            "every proof: put the keys of its deployment there, or deploy again with these"
        )
    return SegmentProver.load(circuits, options.build, backend=options.backend, workers=options.workers)


def run_relayer(
    rollup: Rollup,
    signer: Signer,
    config: RelayerConfig,
    options: RelayerOptions,
    *,
    say: Callable[[str], None],
) -> None:
    """Run until SIGINT or SIGTERM, or with `once` until there is nothing to do.

    Raises ActorError or ChainError for what makes it impossible to go on.
    """
    prover = load_prover(rollup, options)
    with Store(options.database) as store:
        relayer = Relayer(
            rollup, store, signer, prover, config, progress=lambda done, total: say(f"proofs: {done} of {total}")
        )
        try:
            say(f"relayer {signer.address} of rollup {rollup.address}, database {options.database}")
            if options.once:
                for report in relayer.run_until_idle():
                    _tell(report, relayer, say)
                say(f"nothing left to do; batch {relayer.position.batch_id}, root {relayer.position.state.root:#066x}")
                return
            _serve(relayer, options, say)
        finally:
            relayer.close()


def _serve(relayer: Relayer, options: RelayerOptions, say: Callable[[str], None]) -> None:
    stop = threading.Event()

    def complain(error: Exception) -> None:
        say(f"error: {error}")
        if loop.fatal is not None:
            stop.set()

    loop = StepLoop(relayer, options.interval, report=lambda report: _tell(report, relayer, say), complain=complain)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Server(create_app(relayer, loop), options.host, options.port) as server:
        say(f"listening on {server.url}; end with Ctrl-C")
        loop.start()
        stop.wait()
        say("stopping after the step under way")
        loop.stop()
    if loop.fatal is not None:
        raise loop.fatal


def _tell(report: StepReport, relayer: Relayer, say: Callable[[str], None]) -> None:
    if report.sync.rewound_to is not None:
        say(f"L1 reorg: went back to block {report.sync.rewound_to.number}")
    if report.sync.queued:
        say(f"{report.sync.queued} new queue entries")
    for batch in report.sync.batches:
        say(f"batch {batch.batch_id} is verified, root {batch.state_root:#066x}")
    for number, reason in report.abandoned:
        say(f"own batch {number} is given up: {reason}")
    if report.planned:
        say(f"own batch {report.planned} is planned")
    if report.submitted:
        say(f"own batch {report.submitted} is submitted")
    for payout in report.paid:
        say(f"paid out {payout}")
