"""The optimistic rollup's deployment file: `deploy/<chain id>-optimistic.json`. See `layer2.chain.deployment`.

May import `layer2.chain` and `layer2.optimistic`.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from layer2.chain.connection import Chain
from layer2.chain.deployment import FOLDER, Token, read_file, typed, verify_code, verify_views, write_file
from layer2.chain.errors import DeploymentError
from layer2.optimistic.signing import domain_separator

FORMAT: Final = "optimistic 1"

CONTRACTS: Final = ("rollup", "registry", "state_transition", "cell_verifier")


@dataclass(frozen=True)
class OptimisticDeployment:
    """Everything a client needs to know of one optimistic rollup; addresses in EIP-55 form, times in seconds.

    block: the block of the rollup's deployment. operator: `batches.NOBODY` if nobody has priority. minimum_stake: wei.
    *_code: keccak256 of the code at the address, in 0x hex.
    """

    chain_id: int
    block: int
    rollup: str
    registry: str
    state_transition: str
    cell_verifier: str
    operator: str
    levels: int
    inclusion_deadline: int
    queue_quota: int
    freeze_deadline: int
    priority_timeout: int
    max_batch_age: int
    challenge_period: int
    reward_delay: int
    minimum_stake: int
    rollup_code: str
    registry_code: str
    state_transition_code: str
    cell_verifier_code: str
    tokens: tuple[Token, ...] = ()

    @property
    def domain_separator(self) -> bytes:
        """The EIP-712 domain separator of this rollup's signatures (docs/optimistic.md §3)."""
        return domain_separator(self.chain_id, self.rollup)

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "the deployment file") -> Self:
        """The inverse of `to_json`. Raises DeploymentError, naming `where` and the field, for anything else."""
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise DeploymentError(f"{where} is not JSON ({error}): deploy again or restore it") from error
        if not isinstance(raw, dict) or raw.pop("format", None) != FORMAT:
            raise DeploymentError(
                f"{where} is not of format {FORMAT!r}: name the file of an optimistic rollup, or deploy again"
            )
        listed = raw.pop("tokens", [])
        values = typed(cls, raw, where, {"tokens"})
        if not isinstance(listed, list):
            raise DeploymentError(f"{where}: tokens is no list; deploy again or restore it")
        tokens = tuple(Token(**typed(Token, token, f"{where}, tokens", set())) for token in listed)
        return cls(**values, tokens=tokens)


def path_of(chain_id: int, folder: Path = FOLDER) -> Path:
    """The file of a chain's deployment."""
    return folder / f"{chain_id}-optimistic.json"


def write(deployment: OptimisticDeployment, path: Path | None = None) -> Path:
    """Write the file of a deployment, by default `deploy/<chain id>-optimistic.json`. Returns its path."""
    return write_file(deployment.to_json(), path or path_of(deployment.chain_id))


def read(path: Path) -> OptimisticDeployment:
    """The deployment in a file. Raises DeploymentError when it is missing or malformed."""
    return OptimisticDeployment.from_json(read_file(path, "ape run deploy --rollup optimistic"), str(path))


def verify(chain: Chain, deployment: OptimisticDeployment) -> None:
    """Check that what the file describes is on the chain; raises as `layer2.chain.deployment.verify`."""
    verify_code(chain, deployment, CONTRACTS)
    d = deployment
    expected = {
        "registry": d.registry,
        "stateTransition": d.state_transition,
        "cellVerifier": d.cell_verifier,
        "operator": d.operator,
        "levels": d.levels,
        "inclusionDeadline": d.inclusion_deadline,
        "queueQuota": d.queue_quota,
        "freezeDeadline": d.freeze_deadline,
        "priorityTimeout": d.priority_timeout,
        "maxBatchAge": d.max_batch_age,
        "challengePeriod": d.challenge_period,
        "rewardDelay": d.reward_delay,
        "minimumStake": d.minimum_stake,
        "domainSeparator": d.domain_separator,
    }
    verify_views(chain, (("OptimisticRollup", d.rollup, view, value) for view, value in expected.items()))
