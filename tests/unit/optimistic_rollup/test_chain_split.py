"""A chain that splits off with another chain id: what was signed before is void there, in pending batches too (§3)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from layer2.optimistic.operations import Transfer
from layer2.optimistic.signing import domain_separator
from tests.support.optimistic import FOREVER, Posted, Rollup
from tests.support.reverts import reverts


@contextmanager
def split(chain) -> Iterator[int]:
    """The block is on the other chain, of this id."""
    before = chain.chain_id
    chain.provider.make_request("anvil_setChainId", [before + 1])
    try:
        yield before + 1
    finally:
        chain.provider.make_request("anvil_setChainId", [before])


def under(posted: Posted, domain: bytes) -> Posted:
    """The batch as it is executed where signatures have a domain."""
    return replace(posted, batch=replace(posted.batch, domain_separator=domain))


def test_domain(made, chain):
    assert made.domain == domain_separator(chain.chain_id, made.contract.address)
    with split(chain) as chain_id:
        there = made.call("domainSeparator")
    assert there == domain_separator(chain_id, made.contract.address) != made.domain
    assert made.call("domainSeparator") == made.domain


@pytest.fixture
def opened(rollup, sequencer, alice) -> Rollup:
    """Alice has account 1, by a batch that nobody had to sign anything of."""
    rollup.deposit(alice, 0, 100)
    rollup.post(rollup.make(queue=1), sequencer)
    return rollup


def pay(rollup: Rollup, alice, sequencer) -> Posted:
    """A batch in which Alice pays a fee, signed as the rollup's domain has it."""
    posted = rollup.post(rollup.make(rollup.sign(alice, Transfer(1, 1, 10, 1, FOREVER))), sequencer)
    assert any(posted.header.fees)
    return posted


def test_attack_a_batch_of_before_the_split(opened, chain, alice, sequencer):
    """It is right here. On the other chain nobody has signed it, and it falls; what nobody has to sign stays."""
    posted = pay(opened, alice, sequencer)
    with reverts(opened.contract.NoFraud):
        opened.call_proof(opened.evidence(posted, 0))
    with split(chain) as chain_id:
        there = domain_separator(chain_id, opened.contract.address)
        evidence = opened.evidence(under(posted, there))
        opened.call_proof(evidence)
        with reverts(opened.contract.NoFraud):
            opened.call_proof(opened.evidence(under(opened.posted[1], there), 0))
    with reverts(opened.contract.NoFraud):
        opened.call_proof(evidence)


def test_attack_signatures_of_the_other_chain(opened, chain, alice, sequencer):
    """A batch that is right there falls here."""
    there = replace(opened, domain=domain_separator(chain.chain_id + 1, opened.contract.address))
    posted = pay(there, alice, sequencer)
    opened.call_proof(opened.evidence(under(posted, opened.domain)))
    with split(chain), reverts(opened.contract.NoFraud):
        opened.call_proof(opened.evidence(posted, 0))
