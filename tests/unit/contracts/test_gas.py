"""What submitBatch costs: bounds on the figures in docs/contracts.md, at the default sizes.

Toy keys: the cost does not depend on the keys, and a hundred segments need no hundred real proofs.
"""

import random
from dataclasses import replace

import pytest

from layer2.crypto.eddsa import Point
from layer2.crypto.poseidon import poseidon
from layer2.ledger.account import Account
from tests.support.batches import OPERATIONS, TRANSFERS, Batch, R, Segment, Sizes, slot, transfer
from tests.support.toy_rollup import ToyRollup
from tests.unit.contracts.conftest import DAY, FREEZE_DEADLINE, KEY, MAX_BATCH_AGE, PRIORITY_TIMEOUT, QUOTA

DEFAULT = Sizes(12, 6, 5, 4)


@pytest.fixture(scope="module")
def default_contract(project, deployer, registry, hasher, operator, trapdoor):
    verifier = deployer.deploy(project.BatchVerifier, trapdoor.key(), DEFAULT.astuple())
    config = (DAY, QUOTA, PRIORITY_TIMEOUT, MAX_BATCH_AGE, FREEZE_DEADLINE)
    return deployer.deploy(project.ZKRollup, registry, verifier, hasher, operator, config)


@pytest.fixture
def submit(default_contract, trapdoor, operator, chain):
    """Submits a batch of segments after a first one, so that only its own storage slot is new; returns the gas."""
    rollup = ToyRollup(default_contract, trapdoor, DEFAULT, operator)

    def run(*segments: Segment) -> int:
        return rollup.submit(Batch(chain.blocks.head.timestamp, segments)).gas_used

    run(transfers(1, fees=2))
    return run


SOURCE = random.Random(1)


def transfers(count: int, fees: int = 1) -> Segment:
    """Transfers with bytes as random as real ones, fees in one token or two."""
    operations = tuple(
        transfer(DEFAULT, SOURCE.getrandbits(24), SOURCE.getrandbits(24), SOURCE.getrandbits(40), 0x55)
        for _ in range(count)
    )
    entries = tuple((token, SOURCE.getrandbits(64)) for token in range(fees))
    return Segment(TRANSFERS, operations, SOURCE.randrange(R), 0, entries, SOURCE.randrange(R))


def operations(*slots: bytes) -> Segment:
    return Segment(OPERATIONS, slots, SOURCE.randrange(R), 1, ((0, SOURCE.getrandbits(64)),), SOURCE.randrange(R))


def test_gas_of_transfers(submit, record_property):
    """Cost = base + per segment; a segment of six transfers is about 59,000, a batch of one about 318,000."""
    used = {n: submit(*[transfers(6) for _ in range(n)]) for n in (1, 2, 10, 40)}
    print("transfers segments: gas", used)
    per_segment = (used[40] - used[10]) / 30
    assert per_segment < 60_000
    assert used[1] < 325_000
    per_transfer = (submit(transfers(6)) - submit(transfers(2))) / 4
    print("per segment:", per_segment, "per transfer in it:", per_transfer)
    assert per_transfer < 400


def test_gas_of_operations(submit, default_contract, alice):
    withdrawals = [slot(5, i, amount=10**18 + i, owner=SOURCE.getrandbits(160)) for i in range(10)]
    one, two = submit(operations(*withdrawals[:5])), submit(operations(*withdrawals[:5]), operations(*withdrawals[5:]))
    print("operations segments with 5 withdrawals to new payouts: gas", one, two)
    assert one < 460_000

    default_contract.deposit(0, 10**18, alice, 0, KEY, value=10**18, sender=alice)
    deposit = slot(1, 0, 9, amount=10**18, owner=alice.address, key=KEY)
    padding = slot(3, 1, 2, amount=5)
    without, with_ = submit(operations(padding)), submit(operations(deposit))
    print("a deposit consumed:", with_ - without)
    assert with_ - without < 8_000


def test_gas_of_custody(default_contract, usdc, usdc_id, alice, bob):
    usdc.mint(alice, 10**9, sender=alice)
    usdc.approve(default_contract, 10**9, sender=alice)
    c = default_contract
    c.deposit(0, 1, alice, 0, KEY, value=1, sender=alice)
    c.deposit(usdc_id, 1, alice, 0, KEY, sender=alice)
    ether = c.deposit(0, 10**18, alice, 0, KEY, value=10**18, sender=alice).gas_used
    token = c.deposit(usdc_id, 10**6, alice, 0, KEY, sender=alice).gas_used
    forced = c.forceWithdraw(1, sender=alice).gas_used
    print("deposit of ETH, of a token, forced withdrawal: gas", ether, token, forced)
    assert (ether < 110_000, token < 140_000, forced < 90_000) == (True, True, True)


def test_gas_of_leaving_after_a_freeze(submit, default_contract, hasher, alice, bob, chain):
    """An escape hashes 13 times: the leaf and twelve levels."""
    c, owners = default_contract, (alice, bob)
    accounts = [Account(int(owner.address, 16), Point(*KEY), 0, 9, 10**18) for owner in owners]
    near = [SOURCE.randrange(R) for _ in range(2)]
    path = [[SOURCE.randrange(R) for _ in range(3)] for _ in range(11)]
    root = poseidon((accounts[0].leaf(), accounts[1].leaf(), *near))
    for siblings in path:
        root = poseidon((root, *siblings))
    c.deposit(0, 2 * 10**18, alice, 0, KEY, value=2 * 10**18, sender=alice)
    submit(replace(transfers(1), root=root))
    chain.mine(timestamp=chain.pending_timestamp + FREEZE_DEADLINE + 1)
    froze = c.freeze(sender=alice).gas_used
    escaped = []
    for place, owner in enumerate(owners):
        account = (owner, 0, 9, 10**18, KEY)
        siblings = [[accounts[1 - place].leaf(), *near], *path]
        escaped.append(c.escape(place, account, siblings, sender=alice).gas_used)
    refunded = c.refundDeposit(c.queueCursor(), 0, 0, 2 * 10**18, alice, KEY, sender=alice).gas_used
    hashed = hasher.poseidon.estimate_gas_cost((R - 1, R - 1, R - 1, R - 1), sender=alice)
    print("freeze, escapes, refund, one hash (a transaction of its own): gas", froze, escaped, refunded, hashed)
    assert max(escaped) < 1_100_000
    assert refunded < 90_000
