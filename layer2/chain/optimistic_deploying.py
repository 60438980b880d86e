"""Puts an optimistic rollup on a chain: state transition, cell verifier and rollup, with the ZK rollup's registry if it
is there. May import `layer2.chain` and `layer2.optimistic`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address

from layer2.chain.coder import coder
from layer2.chain.connection import LOCAL_CHAIN_IDS, Chain, Receipt
from layer2.chain.deploying import MAX_QUOTA, MAX_TIME, deploy_contract
from layer2.chain.deployment import Deployed, Deployment, Token, code_hash, verify_code
from layer2.chain.errors import DeploymentError
from layer2.chain.optimistic_deployment import OptimisticDeployment, verify
from layer2.chain.sending import send
from layer2.chain.signer import Signer
from layer2.optimistic.blobs import setup_points
from layer2.optimistic.constants import DEFAULT_LEVELS, MAX_LEVELS


@dataclass(frozen=True)
class OptimisticConfig:
    """What never changes after deployment: seconds, queue entries, levels of the state tree, wei
    (docs/optimistic.md §5, §6).

    Raises DeploymentError for what the contract's constructor refuses: times of 2³² seconds or more, or negative ones,
    a batch age or challenge period of zero, a quota that is not between 1 and 256, levels that are not between 1 and
    32, no stake, a freeze deadline below the batch age or below challenge period and inclusion deadline together.
    """

    levels: int = DEFAULT_LEVELS
    inclusion_deadline: int = 24 * 3600
    queue_quota: int = 20
    freeze_deadline: int = 14 * 24 * 3600
    priority_timeout: int = 3 * 24 * 3600
    max_batch_age: int = 2 * 3600
    challenge_period: int = 7 * 24 * 3600
    reward_delay: int = 24 * 3600
    minimum_stake: int = 10**18

    def __post_init__(self) -> None:
        shortest = max(self.max_batch_age, self.challenge_period + self.inclusion_deadline)
        for name, low, high in (
            ("levels", 1, MAX_LEVELS),
            ("inclusion_deadline", 0, MAX_TIME),
            ("queue_quota", 1, MAX_QUOTA),
            ("priority_timeout", 0, MAX_TIME),
            ("max_batch_age", 1, MAX_TIME),
            ("challenge_period", 1, MAX_TIME),
            ("reward_delay", 0, MAX_TIME),
            ("minimum_stake", 1, 2**128 - 1),
            ("freeze_deadline", shortest, MAX_TIME),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise DeploymentError(f"{name} is {value}: the contract takes {low} to {high}")


def deploy_optimistic(
    chain: Chain,
    signer: Signer,
    config: OptimisticConfig,
    *,
    operator: str | None = None,
    shared: Deployment | None = None,
    with_test_token: bool | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Deployed[OptimisticDeployment]:
    """Deploy everything and check the result.

    operator: who has priority in submitting batches, by default the signer; `batches.NOBODY` for no one. shared: the ZK
    rollup's deployment on the same chain, whose registry and tokens are taken. with_test_token: a 6-decimals token
    that anyone may mint, by default on local chains that share none.
    Raises DeploymentError for a test token on any other chain, NoContractError when the shared registry is not there,
    ChainError when a transaction fails.
    """
    chain_id = chain.chain_id()
    is_local = chain_id in LOCAL_CHAIN_IDS
    if with_test_token and not is_local:
        raise DeploymentError(f"a test token that anyone may mint on chain {chain_id}: leave it out")
    if with_test_token is None:
        with_test_token = is_local and (shared is None or not shared.tokens)
    operator = to_checksum_address(operator or signer.address)
    gas: dict[str, int] = {}

    def create(name: str, *arguments: Any) -> tuple[str, Receipt]:
        progress(f"deploying {name}")
        address, receipt = deploy_contract(chain, signer, name, *arguments)
        gas[name] = receipt.gas_used
        return address, receipt

    tokens: tuple[Token, ...] = ()
    if shared is None:
        registry, _ = create("TokenRegistry")
    else:
        verify_code(chain, shared, ("registry",))
        registry, tokens = shared.registry, shared.tokens
    state_transition, _ = create("StateTransition")
    cell_verifier, _ = create("CellVerifier", setup_points())
    settings = (
        config.levels,
        config.inclusion_deadline,
        config.queue_quota,
        config.freeze_deadline,
        config.priority_timeout,
        config.max_batch_age,
        config.challenge_period,
        config.reward_delay,
        config.minimum_stake,
    )
    rollup, receipt = create("OptimisticRollup", registry, state_transition, cell_verifier, operator, settings)
    if with_test_token:
        address, _ = create("TestUSDC")
        send(chain, signer, registry, coder("TokenRegistry").encode("register", address))
        (number,) = coder("TokenRegistry").decode_result(
            "idOf", chain.call(registry, coder("TokenRegistry").encode("idOf", address))
        )
        tokens = (*tokens, Token(number, address, "USDC", 6))
    deployment = OptimisticDeployment(
        chain_id=chain_id,
        block=receipt.block.number,
        rollup=rollup,
        registry=registry,
        state_transition=state_transition,
        cell_verifier=cell_verifier,
        operator=operator,
        levels=config.levels,
        inclusion_deadline=config.inclusion_deadline,
        queue_quota=config.queue_quota,
        freeze_deadline=config.freeze_deadline,
        priority_timeout=config.priority_timeout,
        max_batch_age=config.max_batch_age,
        challenge_period=config.challenge_period,
        reward_delay=config.reward_delay,
        minimum_stake=config.minimum_stake,
        rollup_code=code_hash(chain.code(rollup)),
        registry_code=code_hash(chain.code(registry)),
        state_transition_code=code_hash(chain.code(state_transition)),
        cell_verifier_code=code_hash(chain.code(cell_verifier)),
        tokens=tokens,
    )
    verify(chain, deployment)
    return Deployed(deployment, gas)
