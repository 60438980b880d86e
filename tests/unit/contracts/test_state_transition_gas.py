"""What executing a chunk costs, for the dearest chunk of each kind: bounds on the figures in docs/contracts.md."""

import pytest

from layer2.optimistic.signing import domain_separator
from layer2.optimistic.transition import Context
from layer2.optimistic.witness import Arguments, make_witness
from tests.support.crowded import KINDS, NOW, Crowd
from tests.unit.contracts.test_attacks_state_transition import encode_state

DOMAIN = domain_separator(1, 1)

LIMITS = {
    # Gas of an operation: of execution; and of execution and calldata (16 gas a byte, 4 a zero).
    "transfer": (20_500, 48_000),
    "transfer to new": (20_100, 45_700),
    "withdrawal": (21_700, 51_000),
    "swap": (28_900, 69_500),
    "create pool": (35_400, 84_700),
    "add liquidity": (36_600, 90_200),
    "add liquidity, new": (36_300, 87_700),
    "remove liquidity": (36_100, 89_700),
    "mint NFT": (20_300, 46_000),
    "transfer NFT": (20_600, 49_000),
    "purchase NFT": (32_300, 74_300),
    "deposit to new": (8_600, 20_500),
    "deposit": (8_900, 23_000),
    "deposit to a wrong account": (15_300, 40_200),
    "deposit into a full tree": (16_900, 45_800),
    "exit": (16_700, 45_500),
    "exit of a position": (32_600, 89_500),
}


@pytest.fixture(scope="module")
def meter(project, deployer):
    return deployer.deploy(project.GasMeter)


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    return Crowd(DOMAIN, bytes(range(1, 33)))


def test_there_is_a_limit_for_each_kind():
    assert tuple(LIMITS) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_gas_of_the_dearest_chunk(meter, transition, crowd, kind):
    chunk = crowd.chunk(kind)
    context = Context(DOMAIN, NOW, len(chunk.queue))
    made = make_witness(chunk.state, context, chunk.operations, chunk.queue)
    data = transition.calldata(Arguments(chunk.state, context, chunk.operations, made.queue_entries, made.witness))

    used, result = meter.measure(transition.address, data)

    assert result == encode_state(made.after)
    zeros = data.count(0)
    calldata, floor = (low * zeros + high * (len(data) - zeros) for low, high in ((4, 16), (10, 40)))
    print(
        f"{kind}: {chunk.count} operations, witness {len(made.witness):,} bytes; an operation: execution "
        f"{used // chunk.count:,}, with calldata {(used + calldata) // chunk.count:,}; floor of the chunk {floor:,}"
    )
    execution, total = LIMITS[kind]
    assert used / chunk.count < execution
    assert (used + calldata) / chunk.count < total
    assert chunk.count == (12 if kind == "purchase NFT" else 16)
