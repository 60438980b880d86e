"""One source for each constant: what Solidity and Circom write down is what Python says."""

import re

import pytest

from layer2.crypto import assembly
from layer2.crypto.babyjub import B8
from layer2.crypto.field import A, D, L, R
from layer2.ledger.constants import DOMAIN_TAG, MAX_LEVELS, SLOT_BYTES, SLOT_FIELDS, Kind
from layer2.ledger.tree import zero
from layer2.toolchain import PROJECT


def source(path: str) -> str:
    return (PROJECT / path).read_text()


def test_the_highest_tree_fits_the_memory_that_paths_are_hashed_in():
    assert assembly.MAX_LEVELS == MAX_LEVELS


def test_slot_sizes_add_up():
    assert sum(size for _, size in SLOT_FIELDS) == SLOT_BYTES
    assert f"SIZE = {SLOT_BYTES};" in source("contracts/libraries/Slot.sol")


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("contracts/libraries/Slot.sol", r"uint8 internal constant ([A-Z_]+) = (\d+);"),
        ("circuits/lib/operation.circom", r"    var ([A-Z_]+) = (\d+);"),
    ],
)
def test_kinds(path, pattern):
    found = {name: int(number) for name, number in re.findall(pattern, source(path))}
    found.pop("KINDS", None)
    assert found == {kind.name: int(kind) for kind in Kind}


@pytest.mark.parametrize(
    "path",
    ["contracts/libraries/BabyJubJub.sol", "contracts/libraries/BatchData.sol", "contracts/zk/BatchVerifier.sol"],
)
def test_field_order_in_solidity(path):
    assert re.findall(r"constant _?R = (\d+);", source(path)) == [str(R)]


def test_curve_in_solidity():
    text = source("contracts/libraries/BabyJubJub.sol")
    assert re.findall(r"constant A = (\d+);", text) == [str(A)]
    assert re.findall(r"constant D = (\d+);", text) == [str(D)]


def test_curve_in_circom():
    assert f"{A} * xx + yy - 1 - {D} * xx * yy" in source("circuits/lib/signature.circom")
    numbers = re.findall(r"\b\d{60,}\b", source("circuits/lib/signature.circom"))
    assert [int(number) for number in numbers] == list(B8)
    # circomlib's verifier compares S with L - 1.
    assert str(L - 1) in source("node_modules/circomlib/circuits/eddsaposeidon.circom")


def test_domain_tag_in_solidity():
    assert re.findall(r'keccak256\("([^"]+)"\)', source("contracts/zk/ZKRollup.sol")) == [DOMAIN_TAG]


def test_roots_of_empty_trees_in_solidity():
    roots = re.findall(r"bytes32\((0x[0-9a-f]{64})\)", source("contracts/libraries/GenesisRoot.sol"))
    assert [int(root, 16) for root in roots] == [zero(level) for level in range(1, MAX_LEVELS + 1)]
