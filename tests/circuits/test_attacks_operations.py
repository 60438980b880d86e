"""Attacks on Operations: outcomes that L1 operations must have, rules that a dishonest prover breaks one at a time."""

from dataclasses import replace

import pytest

from layer2.crypto.babyjub import multiply_b8
from layer2.crypto.eddsa import Point
from layer2.crypto.field import L, R
from layer2.ledger.constants import Kind
from layer2.zk.params import CircuitParams
from tests.circuits.forge import DOMAIN, KEYS, OWNERS, TIMESTAMP, Leaf, World, message
from tests.circuits.harness import segment_circuit

PARAMS = CircuitParams("operations", 2, 1, 2)
PAIR = CircuitParams("operations", 2, 2, 2)
TOKEN = 7
ALICE = Leaf(OWNERS[0], KEYS[0].public_key, TOKEN, 3, 1000)
BOB = Leaf(OWNERS[1], KEYS[1].public_key, TOKEN, 9, 5)
NEW_OWNER, NEW_KEY = OWNERS[2], KEYS[2].public_key
FEE = 0x12  # 2·10 = 20
UNUSABLE_KEYS = [Point(0, 0), Point(0, 1), Point(0, R - 1), Point(1, 1), Point(R - 1, R - 1)]


@pytest.fixture(scope="module")
def circuit():
    return segment_circuit(PARAMS)


def world(alice: Leaf = ALICE, bob: Leaf = BOB, **kwargs) -> World:
    return World(2, [TOKEN, 8], **kwargs).put(1, alice).put(6, bob)


def full(alice: Leaf = ALICE) -> World:
    return world(alice).put(15, BOB)


def take(w: World, kind: Kind, **overrides) -> dict:
    """A step of the kind, valid unless an override makes it otherwise, and the segment's inputs."""
    fields: dict = {
        Kind.PADDING: {},
        Kind.DEPOSIT: {"account": 1, "token": TOKEN, "amount": 50, "owner": OWNERS[0], "key": ALICE.key},
        Kind.FORCED_WITHDRAWAL: {"account": 1, "owner": OWNERS[0]},
        Kind.TRANSFER: {"account": 1, "target": 6, "amount": 100, "fee": FEE, "signer": KEYS[0]},
        Kind.TRANSFER_TO_NEW: {
            "account": 1,
            "amount": 100,
            "fee": FEE,
            "owner": NEW_OWNER,
            "key": NEW_KEY,
            "signer": KEYS[0],
        },
        Kind.WITHDRAWAL: {"account": 1, "amount": 100, "fee": FEE, "owner": OWNERS[0], "signer": KEYS[0]},
        Kind.KEY_CHANGE: {"account": 1, "fee": FEE, "key": NEW_KEY, "signer": KEYS[0]},
    }[kind]
    w.operation(kind, **(fields | overrides))
    return w.inputs(PARAMS)


SIGNED = [Kind.TRANSFER, Kind.TRANSFER_TO_NEW, Kind.WITHDRAWAL, Kind.KEY_CHANGE]


@pytest.mark.parametrize("kind", Kind)
def test_every_kind(circuit, kind):
    w = world()
    assert circuit.accepts(take(w, kind))
    assert (
        w.leaf(1)
        == {
            Kind.PADDING: ALICE,
            Kind.DEPOSIT: replace(ALICE, balance=1050),
            Kind.FORCED_WITHDRAWAL: replace(ALICE, balance=0),
            Kind.TRANSFER: replace(ALICE, balance=880, nonce=4),
            Kind.TRANSFER_TO_NEW: replace(ALICE, balance=880, nonce=4),
            Kind.WITHDRAWAL: replace(ALICE, balance=880, nonce=4),
            Kind.KEY_CHANGE: replace(ALICE, balance=980, nonce=4, key=NEW_KEY),
        }[kind]
    )


# ---------------------------------------------------------------- kind


@pytest.mark.parametrize(
    "selectors",
    [[0] * 7, [1, 0, 0, 0, 0, 1, 0], [2, 0, 0, 0, 0, R - 1, 0], [R - 1, 1, 1, 0, 0, 0, 0], [0, 0, 2, 0, 0, 0, R - 1]],
)
def test_kind_that_is_none_or_several(circuit, selectors):
    w = world()
    inputs = w.inputs(PARAMS)
    inputs["isKind"] = [selectors]
    assert not circuit.accepts(inputs)
    if sum(selectors) % R != 1:
        return
    assert any({name for name in names if "isKind" in name} == names for names in circuit.violations(inputs))


# ---------------------------------------------------------------- deposit


@pytest.mark.parametrize(
    "wanted",
    [
        {"account": 0},
        {"account": 3},  # unused
        {"account": 6},  # Bob's
        {"account": 1, "token": 8},  # Alice's, of another token
        {"account": 1, "owner": OWNERS[1]},  # Alice's, by her key
        {"account": 1, "key": NEW_KEY},  # Alice's, of another key
        {"account": 1, "key": Point(ALICE.key.x, NEW_KEY.y)},
        {"account": 1, "key": Point(NEW_KEY.x, ALICE.key.y)},
        {"account": 1, "key": Point(R - ALICE.key.x, ALICE.key.y)},  # on the curve, too
        {"account": 1, "key": Point(0, 0)},
    ],
)
def test_deposit_that_matches_no_account_opens_one(circuit, wanted):
    w = world()
    inputs = take(w, Kind.DEPOSIT, **wanted)
    assert circuit.accepts(inputs)
    owner, key, token = (
        wanted.get(*default) for default in (("owner", OWNERS[0]), ("key", ALICE.key), ("token", TOKEN))
    )
    assert w.leaf(7) == Leaf(owner, key, token, 0, 50)
    assert w.leaf(1) == ALICE
    assert w.next_index == 8


MALLORYS = replace(ALICE, key=KEYS[4].public_key)
"""An account that names Alice as its owner and obeys Mallory's key: anybody can open one."""


def test_deposit_cannot_be_credited_to_another_key_of_the_same_owner(circuit):
    """Alice's deposit wants account 1, where Mallory has opened an account in her name."""
    w = world(MALLORYS)
    assert circuit.accepts(take(w, Kind.DEPOSIT))
    assert w.leaf(1) == MALLORYS
    assert w.leaf(7) == Leaf(OWNERS[0], ALICE.key, TOKEN, 0, 50)
    # Leaf 1 is opened with the deposit's key, so the deposit matches; the path says that it has another.
    pretended = take(world(MALLORYS), Kind.DEPOSIT, target=0, accountKey=ALICE.key)
    assert circuit.refuses(pretended, "rootBefore")
    # Leaf 1 as it is: no account is opened, or leaf 1 is taken for the unused one that the new account needs.
    assert circuit.refuses(take(world(MALLORYS), Kind.DEPOSIT, target=0), "targetIndex")
    assert circuit.refuses(take(world(MALLORYS), Kind.DEPOSIT, target=1), "targetIndex", "targetUpdate")


def test_deposit_that_only_half_a_key_matches_cannot_be_credited(circuit):
    for key in (Point(ALICE.key.x, NEW_KEY.y), Point(NEW_KEY.x, ALICE.key.y)):
        assert circuit.refuses(take(world(), Kind.DEPOSIT, key=key, target=0), "targetIndex")
        pretended = take(world(), Kind.DEPOSIT, key=key, target=0, accountKey=key)
        assert circuit.refuses(pretended, "rootBefore")


def test_deposit_for_another_key_into_a_full_tree_is_refunded(circuit):
    w = full(MALLORYS)
    assert circuit.accepts(take(w, Kind.DEPOSIT))
    assert w.tree.root == w.root_before
    assert circuit.refuses(take(full(MALLORYS), Kind.DEPOSIT, accountKey=ALICE.key), "rootBefore")


def test_deposit_into_a_full_tree_is_refunded(circuit):
    w = full()
    assert circuit.accepts(take(w, Kind.DEPOSIT, account=0))
    assert w.tree.root == w.root_before


def test_deposit_into_an_account_of_a_full_tree(circuit):
    w = full()
    assert circuit.accepts(take(w, Kind.DEPOSIT))
    assert w.leaf(1).balance == 1050


def test_deposit_cannot_be_refunded_while_there_is_room(circuit):
    inputs = take(world(), Kind.DEPOSIT, account=0, target=0)
    assert not circuit.accepts(inputs)
    assert any("targetIndex" in name for names in circuit.violations(inputs) for name in names)


def test_matching_deposit_cannot_open_another_account(circuit):
    """The prover says that leaf 1 is empty; opening it proves that it is not."""
    w = world()
    inputs = take(w, Kind.DEPOSIT, target=7, accountExists=0)
    assert circuit.refuses(inputs, "accountUpdate.")
    w = world()
    inputs = take(w, Kind.DEPOSIT, target=7, accountOwner=OWNERS[1])
    assert circuit.refuses(inputs, "accountUpdate.")
    w = world()
    inputs = take(w, Kind.DEPOSIT, target=7, accountKey=NEW_KEY)
    assert circuit.refuses(inputs, "accountUpdate.")


def test_deposit_cannot_go_to_an_account_that_is_not_there(circuit):
    there = {"accountExists": 1, "accountOwner": OWNERS[0], "accountKey": ALICE.key, "accountToken": TOKEN}
    inputs = take(world(), Kind.DEPOSIT, account=3, target=0, **there)
    assert not circuit.accepts(inputs)
    assert any("rootBefore" in name for names in circuit.violations(inputs) for name in names)


def test_new_account_cannot_be_anywhere_else(circuit):
    for target in (2, 8, 6):
        inputs = take(world(), Kind.DEPOSIT, account=0, target=target)
        assert not circuit.accepts(inputs)
        assert any("targetIndex" in name for names in circuit.violations(inputs) for name in names)


def test_new_account_cannot_replace_one(circuit):
    """Were nextIndex wrong, the leaf that is overwritten would still have to be empty."""
    w = world()
    w.next_index = w.next_index_before = 6
    assert circuit.refuses(take(w, Kind.DEPOSIT, account=0), "targetUpdate")


def test_existence_flag_other_than_0_and_1(circuit):
    inputs = take(world(), Kind.DEPOSIT, accountExists=2)
    assert {"main.accountExists[0]"} in circuit.violations(inputs)
    assert not circuit.accepts(inputs)


@pytest.mark.parametrize(
    ("field", "value"), [("amount", 2**128), ("owner", 2**160), ("token", 2**16), ("account", 16), ("amount", R - 5)]
)
def test_deposit_value_beyond_its_width(circuit, field, value):
    fields = {"account": 0, field: value}
    if field == "account":
        w = world()
        inputs = take(w, Kind.DEPOSIT, account=0)
        inputs["account"] = [16]
    else:
        inputs = take(world(), Kind.DEPOSIT, **fields)
    assert not circuit.accepts(inputs)
    rule = {"amount": "amountRange", "owner": "main.owner", "token": "main.token", "account": "main.account[0]"}[field]
    assert any(rule in name for names in circuit.violations(inputs) for name in names)


def test_deposit_up_to_the_last_unit_below_2_128(circuit):
    assert circuit.accepts(take(world(replace(ALICE, balance=2**128 - 51)), Kind.DEPOSIT))
    assert circuit.accepts(take(world(), Kind.DEPOSIT, account=0, amount=2**128 - 1))
    over = take(world(replace(ALICE, balance=2**128 - 50)), Kind.DEPOSIT)
    assert circuit.refuses(over, "accountBalanceAfterRange")


@pytest.mark.parametrize("key", UNUSABLE_KEYS)
def test_account_with_an_unusable_key_does_not_block_a_batch(key):
    """It is opened, receives, is paid out by force, and stands beside others, but cannot sign."""
    circuit = segment_circuit(PAIR)
    w = world()
    w.operation(1, 0, token=TOKEN, amount=40, owner=NEW_OWNER, key=key)
    w.operation(1, 7, token=TOKEN, amount=2, owner=NEW_OWNER, key=key)
    assert circuit.accepts(w.inputs(PAIR))
    unusable = Leaf(NEW_OWNER, key, TOKEN, 0, 42)
    assert w.leaf(7) == unusable
    w = world().put(7, unusable)
    w.operation(3, 1, target=7, amount=100, signer=KEYS[0])
    w.operation(2, 7, owner=NEW_OWNER)
    assert circuit.accepts(w.inputs(PAIR))
    w = world().put(7, unusable)
    w.operation(5, 7, amount=1, owner=NEW_OWNER, signer=KEYS[0])
    assert not segment_circuit(PARAMS).accepts(w.inputs(PARAMS))


# ---------------------------------------------------------------- forced withdrawal


@pytest.mark.parametrize("balance", [0, 1, 2**128 - 1])
def test_forced_withdrawal_takes_the_whole_balance(circuit, balance):
    w = world(replace(ALICE, balance=balance))
    inputs = take(w, Kind.FORCED_WITHDRAWAL)
    assert inputs["amount"] == [balance]
    assert inputs["token"] == [TOKEN]
    assert circuit.accepts(inputs)


@pytest.mark.parametrize(("account", "owner"), [(1, OWNERS[1]), (3, OWNERS[0]), (3, 0), (0, OWNERS[0])])
def test_forced_withdrawal_of_somebody_else_does_nothing(circuit, account, owner):
    w = world()
    inputs = take(w, Kind.FORCED_WITHDRAWAL, account=account, owner=owner)
    assert inputs["amount"] == [0]
    assert inputs["token"] == [0]
    assert circuit.accepts(inputs)
    assert w.tree.root == w.root_before


@pytest.mark.parametrize("amount", [1, 999, 1001])
def test_forced_withdrawal_of_another_amount(circuit, amount):
    """A forced exit above the balance, or below."""
    inputs = take(world(), Kind.FORCED_WITHDRAWAL, amount=amount)
    rules = ("forcedAmount",) if amount < 1000 else ("forcedAmount", "accountBalanceAfterRange")
    assert circuit.refuses(inputs, *rules)


def test_forced_withdrawal_that_pays_nothing(circuit):
    inputs = take(world(), Kind.FORCED_WITHDRAWAL)
    inputs["amount"] = [0]
    assert any("forcedAmount" in name for names in circuit.violations(inputs) for name in names)
    assert not circuit.accepts(inputs)


def test_forced_withdrawal_of_another_token(circuit):
    inputs = take(world(), Kind.FORCED_WITHDRAWAL, token=8)
    assert circuit.refuses(inputs, "decidedToken")


def test_forced_withdrawal_of_somebody_else_that_names_token_or_amount(circuit):
    inputs = take(world(), Kind.FORCED_WITHDRAWAL, owner=OWNERS[1], token=TOKEN)
    assert circuit.refuses(inputs, "decidedToken")
    inputs = take(world(), Kind.FORCED_WITHDRAWAL, owner=OWNERS[1], amount=5)
    assert circuit.refuses(inputs, "forcedAmount")


def test_forced_withdrawal_of_an_owner_cannot_be_voided(circuit):
    w = world()
    inputs = take(w, Kind.FORCED_WITHDRAWAL, token=0, accountExists=0)
    inputs["amount"] = [0]
    assert not circuit.accepts(inputs)
    assert any("rootBefore" in name for names in circuit.violations(inputs) for name in names)


# ---------------------------------------------------------------- unused fields

UNUSED = {
    Kind.PADDING: ["account", "target", "token", "fee", "amount", "owner", "keyX", "keyY"],
    Kind.DEPOSIT: ["fee"],
    Kind.FORCED_WITHDRAWAL: ["target", "fee", "keyX", "keyY"],
    Kind.TRANSFER: ["owner", "keyX", "keyY"],
    Kind.WITHDRAWAL: ["target", "keyX", "keyY"],
    Kind.KEY_CHANGE: ["target", "amount", "owner"],
}


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in UNUSED.items() for field in fields])
def test_field_that_a_kind_does_not_use(circuit, kind, field):
    value = {"account": 1, "target": 6, "token": TOKEN, "fee": FEE, "amount": 1, "owner": OWNERS[2]}.get(field, 5)
    fields = {"key": (value, 0) if field == "keyX" else (0, value)} if field.startswith("key") else {field: value}
    w = world()
    inputs = take(w, kind, **fields)
    assert not circuit.accepts(inputs)
    signal = {"target": "targetIndex", "fee": "feeByte", "keyX": "main.key[0][0]", "keyY": "main.key[0][1]"}.get(
        field, field
    )
    blamed = [names for names in circuit.violations(inputs) if any(signal in name for name in names)]
    # The rule itself: a product of kind selectors and the field, nothing wider.
    assert any(all("Range" not in name and "bits" not in name for name in names) for names in blamed)


# ---------------------------------------------------------------- signed operations


@pytest.mark.parametrize("kind", SIGNED)
def test_account_that_does_not_exist_cannot_sign(circuit, kind):
    fields = {"owner": 0} if kind == Kind.WITHDRAWAL else {}
    inputs = take(world(), kind, account=3, token=0, fee=0, amount=0, accountKey=KEYS[0].public_key, **fields)
    assert any(
        all("isKind" in name or "accountExists" in name or "isSigned" in name for name in names)
        for names in circuit.violations(inputs)
    )
    assert not circuit.accepts(inputs)


@pytest.mark.parametrize("kind", SIGNED)
def test_nonce_at_its_maximum(circuit, kind):
    inputs = take(world(replace(ALICE, nonce=2**32 - 1)), kind)
    assert circuit.refuses(inputs, "accountNonceRange")
    assert circuit.accepts(take(world(replace(ALICE, nonce=2**32 - 2)), kind))


@pytest.mark.parametrize("kind", [Kind.PADDING, Kind.DEPOSIT, Kind.FORCED_WITHDRAWAL])
def test_unsigned_operations_do_not_mind_the_nonce(circuit, kind):
    assert circuit.accepts(take(world(replace(ALICE, nonce=2**32 - 1)), kind))


@pytest.mark.parametrize("kind", SIGNED)
def test_expired(circuit, kind):
    assert circuit.accepts(take(world(), kind, expiry=TIMESTAMP))
    assert circuit.refuses(take(world(), kind, expiry=TIMESTAMP - 1), "timeLeftRange")
    assert circuit.refuses(take(world(timestamp=2**40 - 1), kind, expiry=2**40), "expiryRange")


@pytest.mark.parametrize("kind", SIGNED)
def test_token_of_another_account(circuit, kind):
    inputs = take(world(), kind, token=8)
    rules = ["decidedToken"] + (["targetUpdate"] if kind == Kind.TRANSFER else [])
    assert circuit.refuses(inputs, *rules)


@pytest.mark.parametrize("kind", [Kind.TRANSFER, Kind.TRANSFER_TO_NEW, Kind.WITHDRAWAL])
def test_underflow_of_amount_plus_fee(circuit, kind):
    assert circuit.accepts(take(world(), kind, amount=980))
    assert circuit.refuses(take(world(), kind, amount=981), "accountBalanceAfterRange")
    assert circuit.refuses(
        take(world(), kind, amount=2**128 - 1),
        *(["accountBalanceAfterRange"] + (["targetBalanceAfterRange"] if kind == Kind.TRANSFER else [])),
    )


def test_fee_of_a_key_change_above_the_balance(circuit):
    assert circuit.refuses(take(world(), Kind.KEY_CHANGE, fee=0xFF), "accountBalanceAfterRange")


def test_negative_amount(circuit):
    """-5 to Bob takes 5 from him: both balances stay in range."""
    assert circuit.refuses(take(world(), Kind.TRANSFER, amount=R - 5), "amountRange")


@pytest.mark.parametrize("kind", SIGNED)
@pytest.mark.parametrize(
    "field",
    ["kind", "account", "amount", "nonce", "owner", "token", "feeByte", "expiry", "domain", "keyX", "keyY", "to"],
)
def test_every_field_is_signed(circuit, kind, field):
    w = world()
    take(w, kind, signer=None)
    f = dict(w.steps[0])
    x, y = BOB.key if kind == Kind.TRANSFER else f["key"]
    for name in ("account", "token", "feeByte", "expiry"):
        f[name] += field == name
    signed = message(
        DOMAIN + (field == "domain"),
        int(kind) + (field == "kind"),
        f,
        (f["targetIndex"] if kind == Kind.TRANSFER else 0) + (field == "to"),
        f["amount"] + (field == "amount"),
        f["accountNonce"] + (field == "nonce"),
        (f["targetOwner"] if kind == Kind.TRANSFER else f["owner"]) + (field == "owner"),
        (x + (field == "keyX"), y + (field == "keyY")),
    )
    w.steps[0]["r8"], w.steps[0]["s"] = KEYS[0].sign(signed)
    assert circuit.refuses(w.inputs(PARAMS), "signature.verifier.eqCheck")


@pytest.mark.parametrize("kind", SIGNED)
def test_signature_of_somebody_else(circuit, kind):
    assert circuit.refuses(take(world(), kind, signer=KEYS[1]), "signature.verifier.eqCheck")


BOBS_NAME = replace(BOB, key=MALLORYS.key)


def signed_for(key: Point, to: int = 6) -> dict:
    """Alice's signature of 100 to account `to` of Bob with this key."""
    f = dict(world().operation(3, 1, target=to, amount=100, fee=FEE))
    r8, s = KEYS[0].sign(message(DOMAIN, 3, f, to, 100, ALICE.nonce, BOB.owner, key))
    return {"r8": r8, "s": s}


def test_transfer_repointed_to_another_key_of_the_same_owner(circuit):
    """A reorg, or the operator's order of deposits, has put an account that Mallory opened in Bob's name there."""
    assert circuit.accepts(take(world(), Kind.TRANSFER, **signed_for(BOB.key)))
    assert circuit.accepts(take(world(bob=BOBS_NAME), Kind.TRANSFER, **signed_for(BOBS_NAME.key)))
    repointed = take(world(bob=BOBS_NAME), Kind.TRANSFER, **signed_for(BOB.key))
    assert circuit.refuses(repointed, "signature.verifier.eqCheck")
    # Mallory's account, opened as if it had the key that is signed.
    pretended = take(world(bob=BOBS_NAME), Kind.TRANSFER, **signed_for(BOB.key), targetKey=BOB.key)
    assert circuit.refuses(pretended, "targetUpdate")


def test_transfer_repointed_to_another_index_of_the_same_owner(circuit):
    inputs = take(world().put(7, BOBS_NAME), Kind.TRANSFER, target=7, **signed_for(BOB.key))
    assert circuit.refuses(inputs, "signature.verifier.eqCheck")


def test_slots_key_cannot_make_up_for_the_recipients(circuit):
    """The signed key is the sum of the slot's and the recipient's, so the slot's must be zero."""
    missing = tuple((bob - mallory) % R for bob, mallory in zip(BOB.key, BOBS_NAME.key, strict=True))
    inputs = take(world(bob=BOBS_NAME), Kind.TRANSFER, key=missing, **signed_for(BOB.key))
    assert circuit.refuses(inputs, "main.key[0][0]", "main.key[0][1]")


@pytest.mark.parametrize("kind", [Kind.TRANSFER_TO_NEW, Kind.KEY_CHANGE])
def test_signature_does_not_cover_a_key_that_leaf_0_is_said_to_have(circuit, kind):
    """Where B is not a recipient, its key is free and must not get into the message."""
    w = world()
    take(w, kind, signer=None, targetKey=MALLORYS.key)
    f = w.steps[0]
    for key, accepted in ((NEW_KEY, True), (MALLORYS.key, False)):
        f["r8"], f["s"] = KEYS[0].sign(message(DOMAIN, kind, f, 0, f["amount"], ALICE.nonce, f["owner"], key))
        inputs = w.inputs(PARAMS)
        assert circuit.accepts(inputs) if accepted else circuit.refuses(inputs, "signature.verifier.eqCheck")


def test_balance_overflow(circuit):
    assert circuit.accepts(take(world(bob=replace(BOB, balance=2**128 - 101)), Kind.TRANSFER))
    inputs = take(world(bob=replace(BOB, balance=2**128 - 100)), Kind.TRANSFER)
    assert circuit.refuses(inputs, "targetBalanceAfterRange")


def test_self_transfer_costs_only_the_fee(circuit):
    w = world()
    assert circuit.accepts(take(w, Kind.TRANSFER, target=1))
    assert w.leaf(1) == replace(ALICE, balance=980, nonce=4)


@pytest.mark.parametrize("target", [0, 2, 7])
def test_transfer_to_an_account_that_does_not_exist(circuit, target):
    assert circuit.refuses(take(world(), Kind.TRANSFER, target=target), "targetUpdate")


def test_transfer_to_an_account_of_another_token(circuit):
    assert circuit.refuses(take(world(bob=replace(BOB, token=8)), Kind.TRANSFER), "targetUpdate")


def test_transfer_to_new_into_a_full_tree(circuit):
    w = full()
    inputs = take(w, Kind.TRANSFER_TO_NEW, target=0)
    assert not circuit.accepts(inputs)
    assert any("targetIndex" in name for names in circuit.violations(inputs) for name in names)


@pytest.mark.parametrize("target", [0, 2, 6, 8])
def test_transfer_to_new_anywhere_but_at_next_index(circuit, target):
    inputs = take(world(), Kind.TRANSFER_TO_NEW, target=target)
    assert not circuit.accepts(inputs)
    assert any("targetIndex" in name for names in circuit.violations(inputs) for name in names)


def test_transfer_to_new_for_nobody(circuit):
    inputs = take(world(), Kind.TRANSFER_TO_NEW, owner=0)
    assert circuit.refuses(inputs, "ownerIsZero")


@pytest.mark.parametrize("kind", [Kind.TRANSFER_TO_NEW, Kind.KEY_CHANGE])
@pytest.mark.parametrize("key", [Point(1, 1), Point(0, 0), Point(NEW_KEY.x, NEW_KEY.y + 1)])
def test_new_key_off_the_curve(circuit, kind, key):
    assert circuit.refuses(take(world(), kind, key=key), "keyDefect")


@pytest.mark.parametrize("kind", [Kind.TRANSFER_TO_NEW, Kind.KEY_CHANGE])
def test_new_key_that_cannot_sign_but_is_on_the_curve(circuit, kind):
    assert circuit.accepts(take(world(), kind, key=Point(0, R - 1)))


def test_withdrawal_to_another_owner(circuit):
    inputs = take(world(), Kind.WITHDRAWAL, owner=OWNERS[1])
    assert circuit.refuses(inputs, "ownerEqual")


@pytest.mark.parametrize("amount", [0, 980])
def test_withdrawal_of_nothing_and_of_everything(circuit, amount):
    assert circuit.accepts(take(world(), Kind.WITHDRAWAL, amount=amount))


def test_s_not_below_the_subgroup_order(circuit):
    inputs = take(world(), Kind.WITHDRAWAL)
    inputs["s"] = [inputs["s"][0] + L]
    assert circuit.refuses(inputs, "signature.verifier.compConstant")


@pytest.mark.parametrize("r8", [Point(1, 1), Point(0, 0)])
@pytest.mark.parametrize("kind", Kind)
def test_r8_off_the_curve(circuit, kind, r8):
    inputs = take(world(), kind)
    inputs["r8"] = [r8]
    assert any("r8Defect" in name for names in circuit.violations(inputs) for name in names)
    assert not circuit.accepts(inputs)


@pytest.mark.parametrize("key", UNUSABLE_KEYS)
@pytest.mark.parametrize("kind", SIGNED)
def test_unusable_key_cannot_sign(circuit, kind, key):
    """With R8 = S·B8, a key whose eightfold is neutral would satisfy the equation for every message."""
    inputs = take(world(replace(ALICE, key=key)), kind, r8=multiply_b8(9), s=9)
    rules = ("keyDefect", "signature.verifier.isZero")
    names = {name for violated in circuit.violations(inputs) for name in violated}
    assert any(rule in name for rule in rules for name in names)
    assert not circuit.accepts(inputs)


# ---------------------------------------------------------------- ranges of the accounts


LARGE = 10**38


def test_spending_a_unit_of_the_nonce(circuit):
    """One packed leaf, read with a nonce less and 2^128 of balance more: everything else is consistent."""
    shift = {"amount": LARGE, "accountBalance": 1000 + 2**128, "accountNonce": 2}
    assert circuit.refuses(take(world(), Kind.WITHDRAWAL, **shift), "accountBalanceRange")


def test_overflow_into_the_targets_nonce(circuit):
    """The recipient's leaf, read with a nonce more and 2^128 of balance less, takes what it has no room for."""
    held = 2**128 - 1
    w = world(replace(ALICE, balance=held), replace(BOB, balance=held))
    shift = {"amount": LARGE, "targetBalance": held - 2**128, "targetNonce": 10}
    assert circuit.refuses(take(w, Kind.TRANSFER, **shift), "targetBalanceRange")


def test_spending_another_token(circuit):
    """The account's leaf, read with a token less and 2^32 of nonce more."""
    shift = {"token": TOKEN - 1, "accountToken": TOKEN - 1, "accountNonce": 3 + 2**32, "fee": 0}
    assert circuit.refuses(take(world(), Kind.WITHDRAWAL, **shift), "accountNonceRange.range")


def test_paying_into_another_token(circuit):
    """The recipient's leaf, read so."""
    inputs = take(world(bob=replace(BOB, token=TOKEN + 1)), Kind.TRANSFER, targetNonce=9 + 2**32)
    assert circuit.refuses(inputs, "targetNonceRange")


def test_leaf_with_fields_beyond_their_widths(circuit):
    """No operation makes such a leaf; were there one, it could not be used."""
    w = world(replace(ALICE, owner=2**160))
    assert circuit.refuses(take(w, Kind.TRANSFER), "accountOwnerRange")
    w = world(bob=replace(BOB, owner=2**160))
    assert circuit.refuses(take(w, Kind.TRANSFER), "targetOwnerRange")
    w = world(replace(ALICE, token=2**16))
    assert circuit.refuses(take(w, Kind.FORCED_WITHDRAWAL, owner=OWNERS[1]), "accountTokenRange")


def test_timestamp_beyond_40_bits(circuit):
    """A timestamp of -1 would make every expiry good."""
    w = world(timestamp=R - 1)
    assert circuit.refuses(take(w, Kind.WITHDRAWAL, expiry=5), "timestampRange")


def test_fee_slot_token_beyond_16_bits(circuit):
    w = World(2, [TOKEN, 2**16]).put(1, ALICE).put(6, BOB)
    assert circuit.refuses(take(w, Kind.WITHDRAWAL), "slotTokenRange")


def test_unused_account_fields_are_checked_too(circuit):
    for field, value in {
        "accountBalance": 2**128,
        "accountNonce": 2**32,
        "accountToken": 2**16,
        "accountOwner": 2**160,
        "targetBalance": 2**128,
        "targetNonce": 2**32,
        "targetOwner": 2**160,
    }.items():
        assert not circuit.accepts(take(world(), Kind.PADDING, **{field: value})), field


def test_next_index_beyond_its_width(circuit):
    w = world()
    w.next_index = w.next_index_before = 2**5
    inputs = take(w, Kind.PADDING)
    assert circuit.refuses(inputs, "nextIndexRange")
    w = full()
    assert circuit.accepts(take(w, Kind.PADDING))


@pytest.mark.parametrize("chosen", [[0, 0], [0, 1], [1, 1], [2, R - 1]])
def test_fee_counted_elsewhere_never_or_twice(circuit, chosen):
    assert circuit.refuses(take(world(), Kind.WITHDRAWAL, inSlot=chosen), "inSlot")


@pytest.mark.parametrize("public", ["z", "D", "y"])
def test_public_inputs_are_bound(circuit, public):
    inputs = take(world(), Kind.DEPOSIT)
    assert not circuit.accepts(inputs | {public: (inputs[public] + 1) % R})


# ---------------------------------------------------------------- two steps


def test_second_step_starts_where_the_first_ended():
    circuit = segment_circuit(PAIR)
    w = world()
    w.operation(6, 1, key=NEW_KEY, fee=FEE, signer=KEYS[0])
    w.operation(5, 1, amount=960, owner=OWNERS[0], fee=FEE, signer=KEYS[2])
    assert w.leaf(1).balance == 0
    assert circuit.accepts(w.inputs(PAIR))
    w = world()
    w.operation(1, 0, token=TOKEN, amount=5, owner=NEW_OWNER, key=NEW_KEY)
    w.operation(4, 1, amount=5, owner=NEW_OWNER, key=NEW_KEY, signer=KEYS[0])
    assert w.next_index == 9
    assert circuit.accepts(w.inputs(PAIR))


def test_one_sender_cannot_spend_the_same_balance_twice():
    circuit = segment_circuit(PAIR)
    w = world()
    first = w.operation(5, 1, amount=1000, owner=OWNERS[0], signer=KEYS[0])
    w.steps.append(dict(first))
    assert circuit.refuses(w.inputs(PAIR), "operation[1].accountUpdate")
