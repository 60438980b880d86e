"""Sequencer and challenger as programs: start, say what happens, end cleanly.

May import everything but wallet and scripts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from layer2.actors.challenger import Challenger, DisputeReport
from layer2.actors.errors import ChallengerError
from layer2.actors.optimistic_follower import OptimisticFollower, OptimisticSync
from layer2.actors.optimistic_store import OptimisticStore
from layer2.actors.sequencer import Sequencer, SequencerConfig, SequencerReport
from layer2.actors.stepping import run_until_idle
from layer2.actors.watcher import Watched, Watcher, Whereabouts, follow_operation
from layer2.chain.blobs import BlobSource
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.chain.signer import Signer
from layer2.node.sequencer_api import create_sequencer_app
from layer2.node.server import Server
from layer2.node.service import ForegroundLoop

Say = Callable[[str], None]

_DEEDS = {
    "reserve": "the reward is reserved",
    "prove": "the batch is proven wrong and rolled back",
    "take": "the reward is taken over",
    "claim": "the reward is paid",
}


@dataclass(frozen=True)
class SequencerOptions:
    """How the program runs. interval: seconds between steps that find nothing. bond: wei that the bond is brought up
    to first; start_exit, withdraw_bond: leave instead of submitting."""

    database: Path
    host: str
    port: int
    interval: float
    bond: int
    start_exit: bool
    withdraw_bond: bool
    once: bool


def run_sequencer(
    rollup: OptimisticRollup,
    signer: Signer,
    blobs: BlobSource,
    config: SequencerConfig,
    options: SequencerOptions,
    *,
    say: Say,
) -> None:
    """Run until SIGINT or SIGTERM, or with `once` until there is nothing to do.

    Raises ActorError or ChainError for what makes it impossible to go on.
    """
    with OptimisticStore(options.database) as store:
        sequencer = Sequencer(rollup, store, signer, blobs, config)
        watcher = Watcher(sequencer.follower, store)
        say(f"sequencer {signer.address} of optimistic rollup {rollup.address}, database {options.database}")
        if options.bond:
            sequencer.ensure_bond(options.bond)
        if options.start_exit:
            sequencer.start_exit()
        if options.withdraw_bond:
            sequencer.withdraw_bond()

        said: list[str | None] = [None]

        def tell(report: SequencerReport) -> None:
            _tell_sync(watcher.tell(report.sync), say)
            _tell_disputes(report.disputes, say)
            for number, reason in report.abandoned:
                say(f"own batch {number} is given up: {reason}")
            for key, reason in report.dropped:
                say(f"operation 0x{key.hex()} is dropped: {reason}")
            if report.submitted is not None:
                say(f"own batch {report.submitted} is submitted")
            for what in report.sent:
                say(f"sent: {what}")
            if report.waiting_for not in (None, said[0]):
                say(f"waiting: {report.waiting_for}")
            said[0] = report.waiting_for

        if options.once:
            for report in sequencer.run_until_idle():
                tell(report)
            position = sequencer.position
            say(f"nothing left to do; batch {position.batch_id}, root 0x{position.state.state_root.hex()}")
            return
        loop = ForegroundLoop(sequencer, options.interval, tell, say)
        with Server(create_sequencer_app(sequencer, loop.loop), options.host, options.port) as server:
            say(f"listening on {server.url}; end with Ctrl-C")
            loop.run()


@dataclass(frozen=True)
class WatchOptions:
    """How watching runs. operations: ids of operations to follow. interval, once: as in SequencerOptions."""

    database: Path
    interval: float
    operations: tuple[bytes, ...]
    once: bool


def run_watch(
    rollup: OptimisticRollup,
    signer: Signer | None,
    blobs: BlobSource,
    options: WatchOptions,
    *,
    reserve: bool,
    say: Say,
) -> bool:
    """Watch until SIGINT or SIGTERM, or with `once` once; with a signer, dispute what is wrong and collect rewards.

    Returns whether all is well: no batch that counts is wrong, and no operation followed came to nothing.
    Raises ActorError or ChainError for what makes it impossible to go on.
    """
    with OptimisticStore(options.database) as store:
        watch = _Watch(rollup, store, signer, blobs, options, reserve, say)
        if options.once:
            watch.once()
        else:
            ForegroundLoop(watch, options.interval, lambda report: None, say).run()
        return watch.is_well


class _Watch:
    """A challenger, or a follower alone, that says all that it sees."""

    def __init__(
        self,
        rollup: OptimisticRollup,
        store: OptimisticStore,
        signer: Signer | None,
        blobs: BlobSource,
        options: WatchOptions,
        reserve: bool,
        say: Say,
    ) -> None:
        self._store = store
        self._say = say
        self._known: dict[bytes, Whereabouts] = {}
        self._operations = options.operations
        self._challenger = None if signer is None else Challenger(rollup, store, signer, blobs, reserve=reserve)
        self._follower = (
            OptimisticFollower(rollup, store, blobs) if self._challenger is None else self._challenger.follower
        )
        self._watcher = Watcher(self._follower, store)
        who = "without an account: nothing is disputed" if signer is None else f"disputes are sent by {signer.address}"
        say(f"watching optimistic rollup {rollup.address}, database {options.database}; {who}")
        wrong = store.first_wrong()
        if wrong is not None:
            say(self._watcher.explain(wrong).text)

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong now."""
        return self._store.first_wrong() is None and not any(place.is_bad for place in self._known.values())

    def step(self) -> "_WatchReport":
        """Look once, dispute if that is wanted, and tell."""
        if self._challenger is None:
            report = _WatchReport(self._follower.sync(), None)
        else:
            made = self._challenger.step()
            report = _WatchReport(made.sync, made.disputes)
        _tell_sync(self._watcher.tell(report.sync), self._say)
        if report.disputes is not None:
            _tell_disputes(report.disputes, self._say)
        if not report.sync.is_empty or not self._known:
            for key in self._operations:
                place = follow_operation(self._follower, self._store, key)
                if place != self._known.get(key):
                    self._say(place.text)
                self._known[key] = place
        return report

    def once(self) -> None:
        """Step until there is nothing to do."""
        run_until_idle(self.step, 300, ChallengerError)
        position = self._follower.position
        self._say(
            f"batch {position.batch_id} is the last right one, root 0x{position.state.state_root.hex()}; "
            + ("all is well" if self.is_well else "NOT all is well")
        )


@dataclass(frozen=True)
class _WatchReport:
    sync: OptimisticSync
    disputes: DisputeReport | None

    @property
    def is_idle(self) -> bool:
        return self.sync.is_empty and (self.disputes is None or self.disputes.is_idle)

    @property
    def is_settling(self) -> bool:
        return self.disputes is not None and self.disputes.is_settling

    @property
    def waiting_for(self) -> str | None:
        return "a transaction to be mined" if self.is_settling else None


def _tell_sync(watched: Watched, say: Say) -> None:
    for line in watched.news:
        say(line)
    for finding in watched.findings:
        say(finding.text)


def _tell_disputes(report: DisputeReport, say: Say) -> None:
    for move in report.settled:
        batch = f"batch 0x{move.batch_hash.hex()}"
        if move.reason is None:
            say(f"{batch}: {_DEEDS[move.deed]}")
        else:
            say(f"{batch}: {move.deed} came to nothing: {move.reason}")
    if report.too_late is not None:
        say(report.too_late)
