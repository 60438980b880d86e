"""The optimistic rollup's deployment file, its verification, and what deploying refuses."""

from dataclasses import replace
from pathlib import Path

import pytest

from layer2.actors.proving import local_keys
from layer2.chain import optimistic_deployment
from layer2.chain.deploying import RollupConfig, deploy
from layer2.chain.errors import DeploymentError, NoContractError, WrongChainError
from layer2.chain.optimistic_deploying import OptimisticConfig, deploy_optimistic
from layer2.chain.optimistic_rollup import open_optimistic_rollup
from layer2.optimistic.batches import NOBODY
from layer2.zk.build import TEST_CIRCUITS
from tests.support.anvil import Anvil, signer
from tests.support.optimistic_world import OptimisticWorld


def test_round_trip(world: OptimisticWorld, tmp_path: Path) -> None:
    path = optimistic_deployment.write(world.deployment, tmp_path / "new" / "31337-optimistic.json")
    assert optimistic_deployment.read(path) == world.deployment
    assert open_optimistic_rollup(world.chain, world.deployment).tip().batch_id == 1


def test_the_file_of_a_chain() -> None:
    assert optimistic_deployment.path_of(5, Path("deploy")) == Path("deploy/5-optimistic.json")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="run `ape run deploy --rollup optimistic`"):
        optimistic_deployment.read(tmp_path / "5.json")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{", "", "is not JSON"),
        ('"optimistic 1"', "1", "is not of format 'optimistic 1': name the file of an optimistic rollup"),
        ('"rollup"', '"rolup"', "rollup, rolup"),
        ('"levels": 8', '"levels": "8"', "levels = '8' is not of type"),
        ('"symbol": "USDC"', '"symbol": 5', "symbol = 5"),
        ('"operator": "0xf39F', '"operator": "0xF39F', "is not an EIP-55 address"),
        ('"cell_verifier": "0x', '"cell_verifier": "', "cell_verifier = .* is not an EIP-55 address"),
    ],
)
def test_a_damaged_file(world: OptimisticWorld, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = world.deployment.to_json()
    assert old in text
    path = tmp_path / "31337.json"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DeploymentError, match=message):
        optimistic_deployment.read(path)


def test_what_is_not_on_the_chain(world: OptimisticWorld) -> None:
    good = world.deployment
    nowhere = "0x000000000000000000000000000000000000dEaD"
    cases = [
        (replace(good, chain_id=1), WrongChainError, "is on chain 1"),
        (replace(good, rollup=nowhere), NoContractError, "there is no rollup"),
        (replace(good, state_transition=nowhere), NoContractError, "there is no state transition"),
        (replace(good, cell_verifier=good.registry), NoContractError, "the cell verifier .* of another deployment"),
        (replace(good, levels=5), DeploymentError, "levels = 8, the deployment file says 5"),
        (replace(good, challenge_period=1), DeploymentError, "challengePeriod"),
        (replace(good, minimum_stake=1), DeploymentError, "minimumStake"),
        (replace(good, operator=nowhere), DeploymentError, "operator"),
    ]
    for changed, error, message in cases:
        with pytest.raises(error, match=message):
            open_optimistic_rollup(world.chain, changed)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("levels", 0),
        ("levels", 33),
        ("inclusion_deadline", 2**32),
        ("priority_timeout", -1),
        ("max_batch_age", 0),
        ("challenge_period", 0),
        ("challenge_period", 2**32),
        ("reward_delay", 2**32),
        ("minimum_stake", 0),
        ("queue_quota", 257),
        ("freeze_deadline", 8 * 24 * 3600 - 1),
    ],
)
def test_settings_that_the_contract_refuses(name: str, value: int) -> None:
    with pytest.raises(DeploymentError, match=r" is \d+: the contract takes| is -1: the contract takes"):
        replace(OptimisticConfig(), **{name: value})


def test_shares_the_registry_and_tokens_of_the_zk_rollup(tmp_path: Path) -> None:
    with Anvil(tmp_path / "log") as anvil:
        zk = deploy(anvil.chain, signer(0), local_keys(TEST_CIRCUITS), RollupConfig()).deployment
        made = deploy_optimistic(anvil.chain, signer(0), OptimisticConfig(), operator=NOBODY, shared=zk)
        assert "TokenRegistry" not in made.gas
        assert (made.deployment.registry, made.deployment.tokens) == (zk.registry, zk.tokens)
        assert made.deployment.operator == NOBODY
        open_optimistic_rollup(anvil.chain, made.deployment)
        with pytest.raises(NoContractError, match="there is no registry"):
            deploy_optimistic(
                anvil.chain, signer(0), OptimisticConfig(), shared=replace(zk, registry=signer(3).address)
            )


def test_a_test_token_is_refused_on_a_chain_that_is_not_local(tmp_path: Path) -> None:
    with Anvil(tmp_path / "log", "--chain-id", "9999") as anvil:
        with pytest.raises(DeploymentError, match="test token"):
            deploy_optimistic(anvil.chain, signer(0), OptimisticConfig(), with_test_token=True)
        assert anvil.chain.nonce(signer(0).address) == 0
