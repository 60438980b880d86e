"""The figures that docs/circuits.md promises."""

import re

import pytest

from layer2.toolchain import PROJECT
from layer2.zk.constraints import (
    DOMAIN_SIZE,
    LIBRARY,
    MEASURED_TRANSFERS,
    domain_needed,
    segment_constraints,
    transfer_constraints,
)
from layer2.zk.params import DEFAULT_OPERATIONS, DEFAULT_TRANSFERS

DOCUMENT = (PROJECT / "docs" / "circuits.md").read_text()


def documented(instance: str) -> int:
    match = re.search(rf"^\| `{re.escape(instance)}` \|.*\| ([\d,]+) \|$", DOCUMENT, re.MULTILINE)
    assert match, f"{instance} is missing in docs/circuits.md"
    return int(match[1].replace(",", ""))


@pytest.mark.parametrize(("levels", "sizes"), MEASURED_TRANSFERS)
def test_constraints_of_one_more_transfer(levels, sizes):
    cost = transfer_constraints(levels, sizes)
    assert 0 < cost <= {12: 21_500, 16: 26_500}[levels]
    assert f"{cost:,.0f} at {levels} levels" in DOCUMENT


@pytest.mark.parametrize("params", [DEFAULT_TRANSFERS, DEFAULT_OPERATIONS], ids=lambda params: params.name)
def test_default_circuit_fits_its_domain(params):
    assert domain_needed(params) <= DOMAIN_SIZE
    instance = f"{params.kind.capitalize()}({params.levels}, {params.size}, {params.tokens})"
    assert segment_constraints(params) == documented(instance)


def test_every_template_is_documented():
    templates = {
        name
        for path in (PROJECT / "circuits").rglob("*.circom")
        for name in re.findall(r"^template (\w+)\(", path.read_text(), re.MULTILINE)
    }
    measured = {instance.split("(")[0] for _, instance in LIBRARY}
    assert templates - measured == {"Decimal", "DataBinding", "Transfers", "Operations"}
    for name in templates:
        assert f"`{name}" in DOCUMENT, name
    for _, instance in LIBRARY:
        assert documented(instance) > 0
