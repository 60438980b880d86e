"""Deployment files, their verification, and what deploy refuses."""

from dataclasses import replace
from pathlib import Path

import pytest

from layer2.actors.proving import local_keys
from layer2.chain import deployment
from layer2.chain.deploying import RollupConfig, deploy
from layer2.chain.errors import DeploymentError, NoContractError, WrongChainError
from layer2.chain.rollup import open_rollup
from layer2.zk.build import TEST_CIRCUITS
from tests.support.anvil import Anvil, signer
from tests.support.world import World


def test_round_trip(world: World, tmp_path: Path) -> None:
    path = deployment.write(world.deployment, tmp_path / "new" / "31337.json")
    assert deployment.read(path) == world.deployment
    assert open_rollup(world.chain, world.deployment).tip().batch_id == 1


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="run `ape run deploy`"):
        deployment.read(tmp_path / "5.json")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{", "", "is not JSON"),
        ('"format": 1', '"format": 2', "is not of format 1"),
        ('"rollup"', '"rolup"', "rollup, rolup"),
        ('"levels": 4', '"levels": "4"', "levels = '4' is not of type"),
        ('"levels": 4', '"levels": true', "levels = True is not of type"),
        ('"symbol": "USDC"', '"symbol": 5', "symbol = 5"),
        ('"operator": "0xf39F', '"operator": "0xF39F', "is not an EIP-55 address"),
    ],
)
def test_a_damaged_file(world: World, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = world.deployment.to_json()
    assert old in text
    path = tmp_path / "31337.json"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DeploymentError, match=message):
        deployment.read(path)


def test_what_is_not_on_the_chain(world: World) -> None:
    good = world.deployment
    nowhere = "0x000000000000000000000000000000000000dEaD"
    cases = [
        (replace(good, chain_id=1), WrongChainError, "is on chain 1"),
        (replace(good, rollup=nowhere), NoContractError, "there is no rollup"),
        (replace(good, verifier=good.registry), NoContractError, "of another deployment"),
        (replace(good, levels=5), DeploymentError, "levels = 4, the deployment file says 5"),
        (replace(good, max_batch_age=1), DeploymentError, "maxBatchAge"),
        (replace(good, freeze_deadline=1), DeploymentError, "freezeDeadline"),
        (replace(good, operator=nowhere), DeploymentError, "operator"),
    ]
    for changed, error, message in cases:
        with pytest.raises(error, match=message):
            open_rollup(world.chain, changed)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("inclusion_deadline", 2**32),
        ("inclusion_deadline", -1),
        ("priority_timeout", 2**32),
        ("max_batch_age", 2**32),
        ("max_batch_age", 0),
        ("freeze_deadline", 2**32),
        ("freeze_deadline", 24 * 3600 - 1),
        ("queue_quota", 0),
        ("queue_quota", 257),
    ],
)
def test_settings_that_the_contract_refuses(name: str, value: int) -> None:
    with pytest.raises(DeploymentError, match=f"{name} is {value}: the contract takes"):
        replace(RollupConfig(), **{name: value})


def test_a_quota_that_the_circuits_do_not_take(tmp_path: Path) -> None:
    """Nothing is deployed."""
    circuits = replace(TEST_CIRCUITS, operations=replace(TEST_CIRCUITS.operations, size=1))
    keys = replace(local_keys(TEST_CIRCUITS), circuits=circuits)
    with Anvil(tmp_path / "log") as anvil:
        before = anvil.chain.nonce(signer(0).address)
        with pytest.raises(DeploymentError, match=r"queue_quota is 129: with circuits of 1 operations .* 1 to 128"):
            deploy(anvil.chain, signer(0), keys, RollupConfig(queue_quota=129))
        assert anvil.chain.nonce(signer(0).address) == before


def test_development_keys_are_refused_on_a_chain_that_is_not_local(tmp_path: Path) -> None:
    with Anvil(tmp_path / "log", "--chain-id", "9999") as anvil:
        keys = local_keys(TEST_CIRCUITS)
        with pytest.raises(DeploymentError, match="development keys on chain 9999"):
            deploy(anvil.chain, signer(0), keys, RollupConfig())
        assert anvil.chain.nonce(signer(0).address) == 0


def test_a_test_token_is_refused_on_a_chain_that_is_not_local(tmp_path: Path) -> None:
    with Anvil(tmp_path / "log", "--chain-id", "9999") as anvil:
        keys = replace(local_keys(TEST_CIRCUITS), alpha=(1, 2))
        assert not keys.is_development
        with pytest.raises(DeploymentError, match="test token"):
            deploy(anvil.chain, signer(0), keys, RollupConfig(), with_test_token=True)
