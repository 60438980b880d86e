"""Verifying keys as files: what is read, what is refused, and which keys are for development."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from layer2.zk.batch import Circuits
from layer2.zk.keys import DEVELOPMENT_ALPHA, CircuitKey, KeyFileError, VerifyingKeys
from layer2.zk.params import TEST_OPERATIONS, TEST_TRANSFERS

CIRCUITS = Circuits(TEST_TRANSFERS, TEST_OPERATIONS)
IC = ((1, 2), (3, 4), (5, 6), (7, 8))
KEYS = VerifyingKeys(
    CIRCUITS,
    alpha=(11, 12),
    beta=((21, 22), (23, 24)),
    gamma=((31, 32), (33, 34)),
    transfers=CircuitKey(((41, 42), (43, 44)), IC),
    operations=CircuitKey(((51, 52), (53, 54)), IC),
)


def snarkjs_key(delta: int, **changes: object) -> str:
    """A verification_key.json: each coordinate in G2 with its real part first."""
    content = {
        "protocol": "groth16",
        "curve": "bn128",
        "nPublic": 3,
        "vk_alpha_1": ["11", "12", "1"],
        "vk_beta_2": [["22", "21"], ["24", "23"], ["1", "0"]],
        "vk_gamma_2": [["32", "31"], ["34", "33"], ["1", "0"]],
        "vk_delta_2": [[str(delta + 1), str(delta)], [str(delta + 3), str(delta + 2)], ["1", "0"]],
        "IC": [[str(x), str(y), "1"] for x, y in IC],
    }
    return json.dumps(content | changes)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "transfers.json", tmp_path / "operations.json"
    for path, delta in zip(paths, (41, 51), strict=True):
        path.write_text(snarkjs_key(delta))
    return paths


def test_snarkjs_keys_are_joined_in_the_order_of_the_evm(files: tuple[Path, Path]) -> None:
    assert VerifyingKeys.from_snarkjs(CIRCUITS, *files) == KEYS


def test_a_file_reads_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(KEYS.to_json())
    assert VerifyingKeys.from_json(path) == KEYS


def test_constructor_arguments_are_the_struct_and_the_sizes() -> None:
    key, sizes = KEYS.constructor_arguments
    assert key == (KEYS.alpha, KEYS.beta, KEYS.gamma, (KEYS.transfers.delta, IC), (KEYS.operations.delta, IC))
    assert sizes == (4, 2, 2, 2)


def test_keys_of_a_ceremony_are_not_development_keys() -> None:
    assert not KEYS.is_development


def test_the_public_alpha_makes_a_development_key_whatever_the_file_claims(tmp_path: Path) -> None:
    keys = replace(KEYS, alpha=DEVELOPMENT_ALPHA)
    assert keys.is_development
    path = tmp_path / "keys.json"
    path.write_text(keys.to_json().replace('"development": true', '"development": false'))
    assert VerifyingKeys.from_json(path).is_development


@pytest.mark.parametrize("circuit", ["transfers", "operations"])
def test_a_circuit_without_a_contribution_makes_a_development_key(circuit: str) -> None:
    """Delta is still gamma then, so anybody can forge."""
    assert replace(KEYS, **{circuit: CircuitKey(KEYS.gamma, IC)}).is_development


@pytest.mark.parametrize("point", ["vk_alpha_1", "vk_beta_2", "vk_gamma_2"])
def test_keys_of_different_powers_of_tau_are_refused(point: str, files: tuple[Path, Path]) -> None:
    other = ["9", "9", "1"] if point == "vk_alpha_1" else [["9", "9"], ["9", "9"], ["1", "0"]]
    files[1].write_text(snarkjs_key(51, **{point: other}))
    with pytest.raises(KeyFileError, match="make both from one powers-of-tau file"):
        VerifyingKeys.from_snarkjs(CIRCUITS, *files)


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "plonk"},
        {"curve": "bls12381"},
        {"nPublic": 2},
        {"IC": [["1", "2", "1"]] * 3},
        {"vk_alpha_1": ["x", "12", "1"]},
        {"vk_delta_2": None},
    ],
)
def test_another_kind_of_key_is_named(changes: dict[str, object], files: tuple[Path, Path]) -> None:
    files[0].write_text(snarkjs_key(41, **changes))
    with pytest.raises(KeyFileError, match=r"transfers\.json is no verification key of a segment circuit"):
        VerifyingKeys.from_snarkjs(CIRCUITS, *files)


def test_missing_and_malformed_files_say_what_to_run(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with pytest.raises(KeyFileError, match=r"cannot be read .*: run `make circuits`"):
        VerifyingKeys.from_json(path)
    path.write_text("{")
    with pytest.raises(KeyFileError, match="is not JSON"):
        VerifyingKeys.from_json(path)
    for missing in ("sizes", "alpha", "transfers"):
        content = json.loads(KEYS.to_json())
        del content[missing]
        path.write_text(json.dumps(content))
        with pytest.raises(KeyFileError, match=f"no file of verifying keys .*{missing}"):
            VerifyingKeys.from_json(path)
