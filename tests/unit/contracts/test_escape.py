"""ZKRollup.freeze and escape (docs/optimistic.md §6), with toy keys: so that final states can be anything.

The hasher is the real one, and what it says is compared with the ledger's.
"""

from dataclasses import dataclass, replace

import pytest
from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from eth_utils import keccak

from layer2.crypto.eddsa import Point
from layer2.crypto.poseidon import poseidon
from layer2.ledger.account import Account
from layer2.ledger.tree import StateTree
from tests.support.batches import OPERATIONS, Batch, R, Segment, slot
from tests.support.reverts import call, reverts
from tests.support.toy_rollup import ToyRollup
from tests.unit.contracts.conftest import FREEZE_DEADLINE, KEY

Siblings = list[tuple[int, int, int]]


@dataclass(frozen=True)
class Tree:
    """A final state, and the ways to escape from it."""

    contract: ContractInstance
    tree: StateTree
    accounts: dict[int, Account]

    def leaf(self, index: int, **changes: object) -> tuple[object, ...]:
        """The account as `escape` takes it."""
        values = {name: getattr(self.accounts[index], name) for name in ("owner", "token", "nonce", "balance", "key")}
        values |= changes
        return (f"0x{values['owner']:040x}", values["token"], values["nonce"], values["balance"], tuple(values["key"]))

    def escape(self, index: int, sender: AccountAPI) -> ReceiptAPI:
        return self.contract.escape(index, self.leaf(index), self.tree.path(index), sender=sender)


@pytest.fixture
def states(alice, bob) -> dict[int, Account]:
    """Accounts at the edges of the tree of 4 levels, with values at the edges of their fields."""
    a, b, key = int(alice.address, 16), int(bob.address, 16), Point(*KEY)
    return {
        1: Account(a, key, 0, 0, 100),
        2: Account(b, key, 0, 7, 0),
        3: Account(a, Point(R - 1, R - 1), 2**16 - 1, 2**32 - 1, 2**128 - 1),
        27: Account(b, Point(0, 0), 1, 1, 1),
        255: Account(b, key, 0, 0, 50),
    }


def frozen_with(toy: ToyRollup, chain, root: int, sender: AccountAPI) -> None:
    """Freezes the rollup in a state with this root, with one forced withdrawal that was not consumed."""
    toy.submit(Batch(chain.blocks.head.timestamp, (Segment(OPERATIONS, (slot(0),), root=root),)))
    toy.contract.forceWithdraw(1, sender=sender)
    chain.mine(timestamp=chain.pending_timestamp + FREEZE_DEADLINE + 1)
    toy.contract.freeze(sender=sender)


@pytest.fixture
def final(toy, chain, mallory, states) -> Tree:
    tree = StateTree.build(4, [(index, account.leaf(), None) for index, account in states.items()])
    frozen_with(toy, chain, tree.root, mallory)
    return Tree(toy.contract, tree, states)


# The hasher


def test_the_hasher_is_poseidon(hasher):
    for inputs in ((0, 0, 0, 0), (1, 2, 3, 4), (R - 1, R - 2, R - 3, R - 4), (R - 1, 0, 2**128, 5)):
        assert hasher.poseidon(inputs) == poseidon(inputs)


def test_the_hasher_reduces_so_callers_have_to_check(hasher):
    assert hasher.poseidon((R, R + 1, 2, 3)) == poseidon((0, 1, 2, 3))


# Freeze


@pytest.mark.parametrize(("seconds", "freezes"), [(-1, False), (0, False), (1, True)])
def test_attack_time_freeze_after_the_tip(toy, chain, at_time, alice, mallory, now, seconds, freezes):
    """The head has waited far longer; the tip's timestamp decides."""
    c = toy.contract
    c.forceWithdraw(1, sender=alice)
    c.forceWithdraw(2, sender=alice)
    tip = chain.pending_timestamp + 1000
    at_time(tip + 10)
    toy.submit(Batch(tip, (Segment(OPERATIONS, (slot(2, 1, owner=alice.address),), root=5, next_index=9),)))
    at_time(tip + FREEZE_DEADLINE + seconds)
    if freezes:
        receipt = c.freeze(sender=mallory)
        assert receipt.events == [c.Frozen(finalRoot=(5).to_bytes(32), finalCursor=1)]
        assert (bytes(c.finalRoot()), c.finalCursor()) == ((5).to_bytes(32), 1)
    else:
        with reverts(c.FreezeTooEarly, until=tip + FREEZE_DEADLINE):
            c.freeze(sender=mallory)
    assert c.isFrozen() is freezes


@pytest.mark.parametrize(("seconds", "freezes"), [(-1, False), (0, False), (1, True)])
def test_attack_time_freeze_after_the_head(toy, chain, at_time, alice, mallory, seconds, freezes):
    """The tip is far older; the head's arrival decides."""
    c = toy.contract
    arrival = chain.pending_timestamp + 10 * FREEZE_DEADLINE
    at_time(arrival)
    c.forceWithdraw(1, sender=alice)
    at_time(arrival + FREEZE_DEADLINE + seconds)
    if freezes:
        receipt = c.freeze(sender=mallory)
        assert receipt.events == [c.Frozen(finalRoot=c.stateRoot(), finalCursor=0)]
    else:
        with reverts(c.FreezeTooEarly, until=arrival + FREEZE_DEADLINE):
            c.freeze(sender=mallory)
    assert c.isFrozen() is freezes


def test_a_freeze_takes_no_value(toy, chain, mallory):
    toy.contract.forceWithdraw(1, sender=mallory)
    chain.mine(timestamp=chain.pending_timestamp + FREEZE_DEADLINE + 1)
    with reverts():
        toy.contract.freeze(value=1, sender=mallory)
    toy.contract.freeze(sender=mallory)


def test_a_quiet_rollup_cannot_be_frozen(toy, chain, mallory):
    chain.mine(timestamp=chain.pending_timestamp + 100 * FREEZE_DEADLINE)
    with reverts(toy.contract.FreezeTooEarly, until=2**256 - 1):
        toy.contract.freeze(sender=mallory)


def test_attack_freeze_by_a_flood_of_the_queue(toy, chain, mallory, at_time):
    """However much is queued, a rollup whose operator makes batches now and then cannot be frozen."""
    c = toy.contract
    for i in range(1, 13):
        c.forceWithdraw(i, sender=mallory)
    time = chain.blocks.head.timestamp
    for batch in range(3):
        time += FREEZE_DEADLINE
        taken = [slot(2, 3 * batch + i, owner=mallory.address) for i in (1, 2, 3)]
        at_time(time)
        segments = (Segment(OPERATIONS, tuple(taken[:2]), root=8), Segment(OPERATIONS, (taken[2],), root=9))
        toy.submit(Batch(time, segments))
        with reverts(c.FreezeTooEarly, until=time + FREEZE_DEADLINE):
            c.freeze(sender=mallory)
    assert (c.queueCursor(), c.queueTail()) == (9, 12)


def test_a_freeze_stops_batches(final, toy, now, operator, alice):
    c = final.contract
    before = toy.observe()
    submission = toy.prepare(Batch(now, (Segment(OPERATIONS, (slot(2, 1, owner=alice.address),), root=6),)))
    with reverts(c.RollupFrozen):
        toy.call(submission)
    with reverts(c.RollupFrozen):
        c.deposit(0, 1, alice, 0, KEY, value=1, sender=alice)
    with reverts(c.RollupFrozen):
        c.forceWithdraw(1, sender=alice)
    with reverts(c.RollupFrozen):
        c.freeze(sender=alice)
    assert toy.observe() == before


# Escape


def test_each_account_escapes_with_its_whole_balance(final, mallory):
    """Sent by anybody, credited to the owner."""
    c = final.contract
    for index, account in final.accounts.items():
        if account.balance == 0:
            continue
        owner = f"0x{account.owner:040x}"
        before = c.payouts(owner, account.token)
        receipt = final.escape(index, mallory)
        assert receipt.events == [
            c.PayoutCredited(owner=owner, token=account.token, amount=account.balance),
            c.Escaped(index=index, owner=owner, token=account.token, amount=account.balance),
        ]
        assert c.payouts(owner, account.token) == before + account.balance
        assert c.isEscaped(index)


def test_before_the_freeze_nobody_escapes(toy, states, now, mallory):
    tree = StateTree.build(4, [(index, account.leaf(), None) for index, account in states.items()])
    toy.submit(Batch(now, (Segment(OPERATIONS, (slot(0),), root=tree.root),)))
    with reverts(toy.contract.NotFrozen):
        Tree(toy.contract, tree, states).escape(1, mallory)


def test_attack_escape_twice(final, mallory):
    final.escape(1, mallory)
    for index in (1, 3):
        if index == 3:
            final.escape(3, mallory)
        with reverts(final.contract.AlreadyEscaped, index=index):
            final.escape(index, mallory)


def test_an_empty_account_is_refused(final, mallory):
    with reverts(final.contract.NothingToEscape, index=2):
        final.escape(2, mallory)
    assert not final.contract.isEscaped(2)


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": 0xDEAD},
        {"token": 1},
        {"nonce": 1},
        {"balance": 101},
        {"balance": 99},
        {"balance": 2**128 - 1},
        {"key": (KEY[0], KEY[1] + 1)},
        {"key": (KEY[1], KEY[0])},
    ],
)
def test_attack_escape_of_another_leaf(final, mallory, changes):
    with reverts(final.contract.InvalidEscapeProof):
        final.contract.escape(1, final.leaf(1, **changes), final.tree.path(1), sender=mallory)
    final.escape(1, mallory)


def test_an_escape_takes_no_value(final, mallory):
    proof = (1, final.leaf(1), final.tree.path(1))
    with reverts():
        final.contract.escape(*proof, value=1, sender=mallory)
    final.contract.escape(*proof, sender=mallory)


@pytest.mark.parametrize("index", [0, 2, 3, 4, 5, 17, 65, 193, 255])
def test_attack_escape_with_another_index(final, mallory, index):
    with reverts(final.contract.InvalidEscapeProof):
        final.contract.escape(index, final.leaf(1), final.tree.path(1), sender=mallory)


@pytest.mark.parametrize("index", [256 + 1, 2**16 + 1, 2**32 - 255])
def test_attack_second_escape_by_an_index_beyond_the_tree(final, mallory, index):
    """All of them lead to leaf 1 if only four digits are looked at."""
    assert index % 256 == 1
    with reverts(final.contract.AccountOutOfRange, account=index, capacity=256):
        final.contract.escape(index, final.leaf(1), final.tree.path(1), sender=mallory)


@pytest.mark.parametrize("level", range(4))
@pytest.mark.parametrize("place", range(3))
def test_attack_second_escape_by_siblings_beyond_the_field(final, mallory, level, place):
    path = [list(siblings) for siblings in final.tree.path(1)]
    path[level][place] += R
    with reverts(final.contract.NotAFieldElement, value=path[level][place]):
        final.contract.escape(1, final.leaf(1), path, sender=mallory)


@pytest.mark.parametrize("key", [(KEY[0] + R, KEY[1]), (KEY[0], KEY[1] + R)])
def test_attack_second_leaf_by_a_key_beyond_the_field(final, mallory, key):
    with reverts(final.contract.NotAFieldElement, value=max(key)):
        final.contract.escape(1, final.leaf(1, key=key), final.tree.path(1), sender=mallory)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (1, 2**160 + 1),  # owner
        (2, 2**16),  # token
        (3, 2**32),  # nonce: would count as token 1
        (4, 2**128),  # balance: would count as nonce 1
        (0, 2**32 + 1),  # index
    ],
)
def test_attack_fields_wider_than_their_place(final, mallory, word, value):
    """A field that overflows into the next would make another leaf of the same hash."""
    data = bytearray(bytes(final.contract.escape.encode_input(1, final.leaf(1), final.tree.path(1))))
    data[4 + 32 * word : 36 + 32 * word] = value.to_bytes(32)
    with reverts():
        call(final.contract, bytes(data), mallory)


def test_attack_inner_node_as_a_leaf(toy, chain, mallory):
    """An inner node is a hash of four elements, as a leaf is: here the children are what an account is made of."""
    account = Account(int(mallory.address, 16), Point(*KEY), 1, 2, 3)
    packed = 3 | 2 << 128 | 1 << 160
    tree = StateTree.build(4, [(i, leaf, None) for i, leaf in enumerate((packed, account.owner, *account.key), 8)])
    path = tree.path(8)[1:]
    frozen_with(toy, chain, tree.root, mallory)
    with reverts(toy.contract.InvalidEscapeProof):
        toy.contract.escape(2, Tree(toy.contract, tree, {2: account}).leaf(2), path, sender=mallory)


@pytest.mark.parametrize("levels", [0, 1, 3, 5, 16])
def test_attack_depth_chosen_by_the_prover(toy, chain, mallory, alice, levels):
    """A tree of another depth whose root is the final one, and an account that really is in it."""
    account = Account(int(alice.address, 16), Point(*KEY), 0, 0, 1)
    path: Siblings = [(5 + level, 6, 7) for level in range(levels)]
    root = account.leaf()
    for siblings in path:
        root = poseidon((root, *siblings))
    frozen_with(toy, chain, root, mallory)
    tree = Tree(toy.contract, StateTree(4), {0: account})
    with reverts(toy.contract.InvalidEscapeProof):
        toy.contract.escape(0, tree.leaf(0), path, sender=mallory)


def test_attack_escape_from_an_older_root(toy, chain, mallory, states, now):
    older = StateTree.build(4, [(index, account.leaf(), None) for index, account in states.items()])
    toy.submit(Batch(now, (Segment(OPERATIONS, (slot(0),), root=older.root),)))
    paid = states | {1: replace(states[1], balance=1, nonce=1)}
    newer = StateTree.build(4, [(index, account.leaf(), None) for index, account in paid.items()])
    frozen_with(toy, chain, newer.root, mallory)
    with reverts(toy.contract.InvalidEscapeProof):
        Tree(toy.contract, older, states).escape(1, mallory)
    Tree(toy.contract, newer, paid).escape(1, mallory)


def test_an_unused_leaf_is_no_account(final, mallory):
    empty = ("0x" + "00" * 20, 0, 0, 0, (0, 0))
    with reverts(final.contract.NothingToEscape, index=9):
        final.contract.escape(9, empty, final.tree.path(9), sender=mallory)
    with reverts(final.contract.InvalidEscapeProof):
        final.contract.escape(9, final.leaf(1), final.tree.path(9), sender=mallory)


def test_reentrant_token_cannot_freeze_in_a_deposit_nor_escape_or_refund_in_a_payout(
    toy, chain, project, registry, deployer, alice, states
):
    c, token = toy.contract, deployer.deploy(project.ReentrantToken)
    registry.register(token, sender=deployer)
    number = registry.idOf(token)
    token.mint(alice, 100, sender=alice)
    token.approve(c, 100, sender=alice)
    tree = StateTree.build(4, [(1, states[1].leaf(), None)])
    toy.submit(Batch(chain.blocks.head.timestamp, (Segment(OPERATIONS, (slot(0),), root=tree.root),)))
    c.deposit(0, 100, alice, 0, KEY, value=100, sender=alice)
    chain.mine(timestamp=chain.pending_timestamp + FREEZE_DEADLINE + 1)
    reentered = keccak(text="ReentrancyGuardReentrantCall()")[:4]

    token.setHook(c, c.freeze.encode_input(), sender=alice)
    c.deposit(number, 10, alice, 0, KEY, sender=alice)
    assert bytes(token.reason()) == reentered
    c.deposit(number, 20, alice, 0, KEY, sender=alice)
    c.freeze(sender=alice)
    c.refundDeposit(1, 0, number, 10, alice, KEY, sender=alice)
    escape = c.escape.encode_input(1, Tree(c, tree, states).leaf(1), tree.path(1))
    refund = c.refundDeposit.encode_input(0, 0, 0, 100, alice, KEY)
    for deposit, inner in ((1, escape), (2, refund)):
        if deposit == 2:
            c.refundDeposit(2, 0, number, 20, alice, KEY, sender=alice)
        token.setHook(c, inner, sender=alice)
        c.withdraw(number, alice, sender=alice)
        assert bytes(token.reason()) == reentered
        # From outside it works.
        call(c, bytes(inner), alice)


def test_what_escaped_is_paid_out(toy, chain, alice, mallory):
    """The contract holds what the final state says, and ends empty."""
    c = toy.contract
    c.deposit(0, 100, alice, 0, KEY, value=100, sender=alice)
    account = Account(int(alice.address, 16), Point(*KEY), 0, 0, 100)
    tree = StateTree.build(4, [(1, account.leaf(), None)])
    taken = slot(1, 0, 1, amount=100, owner=alice.address, key=KEY)
    toy.submit(
        Batch(chain.blocks.head.timestamp, (Segment(OPERATIONS, (taken,), root=tree.root, next_index=2),)),
    )
    c.deposit(0, 30, alice, 0, KEY, value=30, sender=alice)
    chain.mine(timestamp=chain.pending_timestamp + FREEZE_DEADLINE + 1)
    c.freeze(sender=mallory)
    with reverts(c.DepositConsumed, index=0, cursor=1):
        c.refundDeposit(0, 0, 0, 100, alice, KEY, sender=mallory)
    Tree(c, tree, {1: account}).escape(1, mallory)
    c.refundDeposit(1, 0, 0, 30, alice, KEY, sender=mallory)
    before = alice.balance
    c.withdrawFor(alice, 0, sender=mallory)
    assert alice.balance == before + 130
    assert (c.held(0), c.balance) == (0, 0)


def test_the_hash_of_the_hashers_code_is_the_committed_one(hasher, project):
    deployed = bytes(hasher.provider.get_code(hasher.address))
    code = bytes.fromhex(project.Poseidon4.contract_type.deployment_bytecode.bytecode.removeprefix("0x"))
    assert code.endswith(deployed)
    assert keccak(deployed).hex() == "aa8081e99244f5cd89f2e02e0c4a89ec873ac5eb5583621196c1b138c994024c"
