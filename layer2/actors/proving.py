"""The relayer's prover: segments of both circuits on all cores, proofs in the form that the contract takes.

May import `layer2.zk` and `layer2.chain.rollup`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from layer2.actors.errors import RelayerError
from layer2.chain.rollup import ProofPoints
from layer2.zk.batch import Circuits
from layer2.zk.build import BUILD, BuildError, verifying_keys
from layer2.zk.keys import KeyFileError, VerifyingKeys
from layer2.zk.prover import Proof, ProofError, ZKProver, available_cores, prove_batch
from layer2.zk.segments import Segment

CHUNK: Final = 4
"""Segments a core that are proven before their proofs are handed out: what a killed relayer loses at most."""


class SegmentProver:
    """Proves segments with the keys of both circuits. See `relayer.Prover`."""

    def __init__(self, provers: Sequence[ZKProver], workers: int | None = None, *, bar: bool = False) -> None:
        """provers: one for each circuit. workers: threads, by default one a core. bar: a progress bar on stderr."""
        self._provers = list(provers)
        self._workers = workers or available_cores()
        self._bar = bar

    @classmethod
    def load(
        cls,
        circuits: Circuits,
        build: Path = BUILD,
        *,
        backend: str | None = None,
        workers: int | None = None,
        bar: bool = False,
    ) -> "SegmentProver":
        """The prover of circuits that were built into the folder `build`.

        Raises RelayerError, naming the remedy, when keys are missing or damaged or the backend is not there.
        """
        try:
            provers = [ZKProver.load(params, build, backend) for params in (circuits.transfers, circuits.operations)]
        except ProofError as error:
            raise RelayerError(str(error)) from error
        return cls(provers, workers, bar=bar)

    def __call__(self, segments: Sequence[Segment], done: Callable[[int, ProofPoints], None]) -> None:
        """Prove all; `done` is called with each number and proof, in order. Raises ProofError or WitnessError."""
        size = CHUNK * self._workers
        for start in range(0, len(segments), size):
            proofs = prove_batch(segments[start : start + size], self._provers, workers=self._workers, bar=self._bar)
            for number, proof in enumerate(proofs, start):
                done(number, points(proof))


def points(proof: Proof) -> ProofPoints:
    """A proof as `submitBatch` takes it."""
    return ProofPoints(proof.a, proof.b, proof.c, proof.public_inputs.digest)


def local_keys(circuits: Circuits, build: Path = BUILD) -> VerifyingKeys:
    """The verifying keys that belong to the proving keys in a folder. Raises RelayerError when they are not there."""
    try:
        return verifying_keys(circuits, build)
    except (BuildError, KeyFileError) as error:
        raise RelayerError(str(error)) from error
