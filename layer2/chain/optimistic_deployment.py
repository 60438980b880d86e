"""The optimistic rollup's deployment file: `deploy/<chain id>-optimistic.json`. See `layer2.chain.deployment`.

May import `layer2.chain` and `layer2.optimistic`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from layer2.chain.connection import Chain
from layer2.chain.deployment import FOLDER, DeploymentFile, Token, read_file, verify_code, verify_views, write_file
from layer2.optimistic.signing import domain_separator

CONTRACTS: Final = ("rollup", "registry", "state_transition", "cell_verifier")


@dataclass(frozen=True)
class OptimisticDeployment(DeploymentFile):
    """Everything a client needs to know of one optimistic rollup; addresses in EIP-55 form, times in seconds.

    block: the block of the rollup's deployment. operator: `batches.NOBODY` if nobody has priority. minimum_stake: wei.
    *_code: keccak256 of the code at the address, in 0x hex.
    """

    FORMAT = "optimistic 1"
    REMEDY = "name the file of an optimistic rollup, or deploy again"

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
