"""Attacks on Transfers: each breaks one rule, keeps the rest consistent, and the constraints must name that rule."""

from dataclasses import replace

import pytest

from layer2.crypto.babyjub import add, multiply, multiply_b8
from layer2.crypto.eddsa import B8, Point, verify
from layer2.crypto.field import L, R
from layer2.crypto.poseidon import poseidon
from layer2.ledger.amounts import encode_float40
from layer2.zk.params import CircuitParams
from tests.circuits.forge import DOMAIN, KEYS, OWNERS, TIMESTAMP, Leaf, World, decode_float, message
from tests.circuits.harness import segment_circuit

PARAMS = CircuitParams("transfers", 2, 1, 2)
TOKEN = 7
ALICE = Leaf(OWNERS[0], KEYS[0].public_key, TOKEN, 3, 1000)
BOB = Leaf(OWNERS[1], KEYS[1].public_key, TOKEN, 9, 5)
FEE = 0x12  # 2·10 = 20
HUGE_FLOAT = (1 << 40) - 1

ORDER_8 = Point(  # found as l·P for a point P of order 8·l
    17545522957889784193459637215142187266023652151580582754000402781682644312291,
    17061719626832259898845741003733890968968767993363194771977168648564009544074,
)


@pytest.fixture(scope="module")
def circuit():
    return segment_circuit(PARAMS)


def world(alice: Leaf = ALICE, bob: Leaf = BOB, **kwargs) -> World:
    return World(2, [TOKEN, 8], **kwargs).put(1, alice).put(6, bob)


def transfer(w: World, **overrides) -> dict:
    w.transfer(1, 6, overrides.pop("amount", 100), overrides.pop("fee", FEE), KEYS[0], **overrides)
    return w.inputs(PARAMS)


def test_valid_transfer_and_padding(circuit):
    assert circuit.accepts(transfer(world()))
    assert circuit.accepts(world().inputs(PARAMS))


@pytest.mark.parametrize("recipient", [1, 6])
def test_whole_balance_and_maximum_values(circuit, recipient):
    w = world(replace(ALICE, nonce=2**32 - 2, owner=2**160 - 1), replace(BOB, nonce=2**32 - 1))
    w.transfer(1, recipient, 980, FEE, KEYS[0], expiry=TIMESTAMP)
    assert circuit.accepts(w.inputs(PARAMS))


def test_self_transfer_costs_only_the_fee(circuit):
    w = world()
    w.transfer(1, 1, 100, FEE, KEYS[0])
    assert w.leaf(1) == replace(ALICE, nonce=4, balance=980)
    assert circuit.accepts(w.inputs(PARAMS))


def test_recipient_takes_up_to_the_last_unit_below_2_128(circuit):
    assert circuit.accepts(transfer(world(bob=replace(BOB, balance=2**128 - 101))))


def test_balance_overflow(circuit):
    assert circuit.refuses(transfer(world(bob=replace(BOB, balance=2**128 - 100))), "recipientBalanceAfterRange")


@pytest.mark.parametrize("amount", [981, 1000, 1001])
def test_underflow_of_amount_plus_fee(circuit, amount):
    assert circuit.refuses(transfer(world(), amount=amount), "senderBalanceAfterRange")


def test_largest_float40(circuit):
    """It has 138 bits: more than any balance, but far from wrapping around the field."""
    assert decode_float(HUGE_FLOAT, 35).bit_length() == 138
    inputs = transfer(world(), amount=HUGE_FLOAT)
    assert circuit.refuses(inputs, "senderBalanceAfterRange", "recipientBalanceAfterRange")


def test_fee_above_balance(circuit):
    assert circuit.refuses(transfer(world(), amount=0, fee=0xFF), "senderBalanceAfterRange")


def test_nonce_at_its_maximum(circuit):
    assert circuit.refuses(transfer(world(replace(ALICE, nonce=2**32 - 1))), "senderNonceRange")


@pytest.mark.parametrize(
    ("expiry", "rules"),
    [
        (TIMESTAMP + 2**39, ()),
        (TIMESTAMP, ()),
        (TIMESTAMP - 1, ("timeLeftRange",)),
        (0, ("timeLeftRange",)),
        (-1 % R, ("expiryRange", "timeLeftRange")),
    ],
)
def test_expiry(circuit, expiry, rules):
    inputs = transfer(world(), expiry=expiry)
    assert circuit.refuses(inputs, *rules) if rules else circuit.accepts(inputs)


def test_expiry_beyond_40_bits(circuit):
    inputs = transfer(world(timestamp=2**40 - 1), expiry=2**40)
    assert circuit.refuses(inputs, "expiryRange")


def test_timestamp_beyond_40_bits(circuit):
    """A timestamp of -1 would make every expiry good."""
    inputs = world().inputs(PARAMS, timestamp=2**40)
    assert circuit.refuses(inputs | {"expiry": [2**40 - 1]}, "timestampRange", "timeLeftRange")
    w = world(timestamp=-1 % R)
    assert circuit.refuses(transfer(w, expiry=5), "timestampRange")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("from", 2),
        ("to", 7),
        ("amount", 101),
        ("nonce", 4),
        ("recipientOwner", OWNERS[2]),
        ("recipientKey", KEYS[2].public_key),
        ("recipientKey", Point(BOB.key.x, 0)),
        ("recipientKey", Point(0, BOB.key.y)),
        ("token", 8),
        ("feeByte", 0),
        ("expiry", TIMESTAMP + 61),
        ("kind", 5),
        ("domain", DOMAIN + 1),
    ],
)
def test_every_field_is_signed(circuit, field, value):
    w = world()
    f = dict(w.transfer(1, 6, 100, FEE, None))
    kind, domain, amount, nonce = 3, DOMAIN, 100, ALICE.nonce
    if field == "kind":
        kind = value
    elif field == "domain":
        domain = value
    elif field == "amount":
        amount = value
    elif field == "nonce":
        nonce = value
    else:
        f[field] = value
    signed = message(domain, kind, f, f["to"], amount, nonce, f["recipientOwner"], f["recipientKey"])
    w.steps[0]["r8"], w.steps[0]["s"] = KEYS[0].sign(signed)
    assert circuit.refuses(w.inputs(PARAMS), "signature.verifier.eqCheck")


def test_signature_of_somebody_else(circuit):
    w = world()
    w.transfer(1, 6, 100, FEE, KEYS[1])
    assert circuit.refuses(w.inputs(PARAMS), "signature.verifier.eqCheck")


def test_both_coordinates_of_the_equation_count(circuit):
    """S·B8 = -(R8 + 8·h·A) has the right y; R8 + (0, -1) in its place makes it the right x and the wrong y."""
    for shift, wrong in ((Point(0, 1), "X"), (Point(0, R - 1), "Y")):
        w = world()
        f = w.transfer(1, 6, 100, FEE, None)
        m = message(DOMAIN, 3, f, 6, 100, ALICE.nonce, BOB.owner, BOB.key)
        r8 = add(multiply_b8(55), shift)
        f["r8"], f["s"] = r8, L - sign_with(KEYS[0].k, ALICE.key, r8, 55, m)
        assert not verify(ALICE.key, m, (r8, f["s"]))
        assert circuit.refuses(w.inputs(PARAMS), f"signature.verifier.eqCheck{wrong}")


MALLORYS = replace(BOB, key=KEYS[4].public_key)
"""An account that names Bob as its owner and obeys Mallory's key: anybody can open one."""


def signed_for(key: Point, to: int = 6) -> dict:
    """Alice's signature of 100 to account `to` of Bob with this key."""
    f = dict(world().transfer(1, to, 100, FEE, None))
    m = message(DOMAIN, 3, f, to, 100, ALICE.nonce, BOB.owner, key)
    r8, s = KEYS[0].sign(m)
    return {"r8": r8, "s": s}


def test_transfer_repointed_to_another_key_of_the_same_owner(circuit):
    """A reorg, or the operator's order of deposits, has put Mallory's account where Bob's was."""
    assert circuit.accepts(transfer(world(), **signed_for(BOB.key)))
    assert circuit.accepts(transfer(world(bob=MALLORYS), **signed_for(MALLORYS.key)))
    assert circuit.refuses(transfer(world(bob=MALLORYS), **signed_for(BOB.key)), "signature.verifier.eqCheck")
    # Mallory's account, opened as if it had the key that is signed.
    pretended = transfer(world(bob=MALLORYS), **signed_for(BOB.key), recipientKey=BOB.key)
    assert circuit.refuses(pretended, "recipientUpdate")


def test_transfer_repointed_to_another_index_of_the_same_owner(circuit):
    w = world().put(7, MALLORYS)
    w.transfer(1, 7, 100, FEE, None, **signed_for(BOB.key))
    assert circuit.refuses(w.inputs(PARAMS), "signature.verifier.eqCheck")


def test_transfer_to_a_key_that_has_changed(circuit):
    """Whom the payer looked up is who is paid: after a change of Bob's key it must be signed again."""
    changed = replace(BOB, key=KEYS[2].public_key, nonce=BOB.nonce + 1)
    assert circuit.refuses(transfer(world(bob=changed), **signed_for(BOB.key)), "signature.verifier.eqCheck")


@pytest.mark.parametrize("multiple", [1, 2])
def test_s_not_below_the_subgroup_order(circuit, multiple):
    inputs = transfer(world())
    assert inputs["s"][0] + multiple * L < 2**253
    inputs["s"] = [inputs["s"][0] + multiple * L]
    assert circuit.refuses(inputs, "signature.verifier.compConstant")


def test_s_beyond_253_bits(circuit):
    inputs = transfer(world())
    inputs["s"] = [inputs["s"][0] + 6 * L]
    assert inputs["s"][0] >= 2**253
    assert circuit.refuses(inputs, "signature.verifier.compConstant", "signature.verifier.eqCheck")


def small_order_points() -> list[Point]:
    return [multiply(ORDER_8, k) for k in range(8)]


def test_the_eight_points_of_small_order():
    assert len(set(small_order_points())) == 8
    assert {Point(0, 1), Point(0, R - 1)} < set(small_order_points())


@pytest.mark.parametrize("number", range(8))
def test_key_of_small_order(circuit, number):
    """8·A is neutral, so R8 = S·B8 satisfies the equation for every message: only the explicit check refuses it."""
    key = small_order_points()[number]
    w = world(replace(ALICE, key=key))
    w.transfer(1, 6, 100, FEE, None, r8=multiply_b8(12345), s=12345)
    assert circuit.refuses(w.inputs(PARAMS), "signature.verifier.isZero")


def sign_with(k: int, key: Point, nonce_point: Point, nonce: int, m: int) -> int:
    h = poseidon([*nonce_point, *key, m])
    return (nonce + 8 * h * k) % L


@pytest.mark.parametrize("torsion", [1, 2, 4])
def test_key_with_a_small_order_part_can_sign(circuit, torsion):
    """8·A removes the part, in the circuit as in Python."""
    k = 777
    key = add(multiply_b8(k), multiply(ORDER_8, torsion))
    w = world(replace(ALICE, key=key))
    f = w.transfer(1, 6, 100, FEE, None)
    m = message(DOMAIN, 3, f, 6, 100, ALICE.nonce, BOB.owner, BOB.key)
    f["r8"], f["s"] = multiply_b8(55), sign_with(k, key, multiply_b8(55), 55, m)
    assert verify(key, m, (f["r8"], f["s"]))
    assert circuit.accepts(w.inputs(PARAMS))


@pytest.mark.parametrize("number", range(8))
def test_r8_with_a_small_order_part(circuit, number):
    """Only the neutral element (number 0) may be added to R8; and R8 may be neutral itself (nonce 0)."""
    for nonce in (0, 55):
        r8 = add(multiply_b8(nonce), small_order_points()[number])
        w = world()
        f = w.transfer(1, 6, 100, FEE, None)
        m = message(DOMAIN, 3, f, 6, 100, ALICE.nonce, BOB.owner, BOB.key)
        f["r8"], f["s"] = r8, sign_with(KEYS[0].k, ALICE.key, r8, nonce, m)
        assert verify(ALICE.key, m, (r8, f["s"])) == (number == 0)
        if number == 0:
            assert circuit.accepts(w.inputs(PARAMS))
        else:
            assert circuit.refuses(w.inputs(PARAMS), "signature.verifier.eqCheck")


OFF_CURVE = [Point(1, 1), Point(0, 0), Point(B8.x, B8.y + 1), Point(B8.x + 1, B8.y)]


@pytest.mark.parametrize("key", OFF_CURVE)
def test_key_off_the_curve(circuit, key):
    w = world(replace(ALICE, key=key))
    w.transfer(1, 6, 100, FEE, None, r8=multiply_b8(12345), s=12345)
    assert any("keyDefect" in name for names in circuit.violations(w.inputs(PARAMS)) for name in names)
    assert not circuit.accepts(w.inputs(PARAMS))


@pytest.mark.parametrize("r8", OFF_CURVE)
def test_r8_off_the_curve(circuit, r8):
    inputs = transfer(world())
    inputs["r8"] = [r8]
    assert any("r8Defect" in name for names in circuit.violations(inputs) for name in names)
    assert not circuit.accepts(inputs)


def test_padding_must_be_on_the_curve_too(circuit):
    """Padding is not verified, but its points pass through the same incomplete formulas."""
    w = world()
    w.padding_transfer(r8=Point(1, 1))
    assert circuit.refuses(w.inputs(PARAMS), "r8Defect")


@pytest.mark.parametrize(("field", "value"), [("to", 3), ("amountFloat", 1), ("feeByte", 1)])
def test_padding_with_anything_posted(circuit, field, value):
    w = world()
    overrides = {field: value, "senderBalance": 5}
    if field == "to":
        overrides["recipientSiblings"] = w.tree.path(3)
    if field == "feeByte":
        overrides["inSlot"] = [1, 0]
        overrides["token"] = TOKEN
    w.padding_transfer(**overrides)
    assert circuit.refuses(w.inputs(PARAMS), "transfer[0].enabled")


def test_padding_that_empties_leaf_0(circuit):
    """Leaf 0 is never used; were it used, padding could not touch it."""
    w = world()
    w._set(0, ALICE)
    w.root_before = w.tree.root
    w.padding_transfer()
    assert circuit.refuses(w.inputs(PARAMS), "rootBefore")


def test_sender_that_does_not_exist(circuit):
    w = world()
    w.transfer(2, 6, 0, 0, KEYS[0], senderKey=KEYS[0].public_key)
    assert circuit.refuses(w.inputs(PARAMS), "rootBefore")


@pytest.mark.parametrize("recipient", [0, 2])
def test_recipient_that_does_not_exist(circuit, recipient):
    w = world()
    w.transfer(1, recipient, 100, FEE, KEYS[0])
    assert circuit.refuses(w.inputs(PARAMS), "recipientUpdate")


def test_recipient_of_another_token(circuit):
    assert circuit.refuses(transfer(world(bob=replace(BOB, token=8))), "recipientUpdate")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("senderBalance", 1001),
        ("senderNonce", 4),
        ("senderOwner", OWNERS[2]),
        ("token", 8),
        ("recipientBalance", 6),
        ("recipientNonce", 8),
        ("recipientKey", B8),
    ],
)
def test_account_that_is_not_in_the_tree(circuit, field, value):
    overrides = {field: value} | ({"inSlot": [0, 1]} if field == "token" else {})
    rules = {"rootBefore"} if field.startswith("sender") else {"recipientUpdate"}
    if field == "token":
        rules = {"rootBefore", "recipientUpdate"}
    inputs = transfer(world(), **overrides)
    assert not circuit.accepts(inputs)
    names = [name for violated in circuit.violations(inputs) for name in violated]
    assert any(rule in name for rule in rules for name in names)


LARGE = encode_float40(10**38)
"""Less than 2^128, but more than anybody here has."""


def test_spending_a_unit_of_the_nonce(circuit):
    """One packed leaf, read with a nonce less and 2^128 of balance more: everything else is consistent."""
    inputs = transfer(world(), amount=LARGE, senderBalance=1000 + 2**128, senderNonce=2)
    assert circuit.refuses(inputs, "senderBalanceRange")


def test_overflow_into_the_recipients_nonce(circuit):
    """The recipient's leaf, read with a nonce more and 2^128 of balance less, takes what it has no room for."""
    held = 2**128 - 1
    inputs = transfer(
        world(replace(ALICE, balance=held), replace(BOB, balance=held)),
        amount=LARGE,
        recipientBalance=held - 2**128,
        recipientNonce=10,
    )
    assert circuit.refuses(inputs, "recipientBalanceRange")


def test_spending_another_token(circuit):
    """The sender's leaf, read with a token less and 2^32 of nonce more."""
    w = World(2, [TOKEN - 1, TOKEN]).put(1, ALICE).put(6, replace(BOB, token=TOKEN - 1))
    inputs = transfer(w, token=TOKEN - 1, senderNonce=3 + 2**32, inSlot=[1, 0])
    assert circuit.refuses(inputs, "senderNonceRange.range")


def test_paying_into_another_token(circuit):
    """The recipient's leaf, read so."""
    inputs = transfer(world(bob=replace(BOB, token=TOKEN + 1)), recipientNonce=9 + 2**32)
    assert circuit.refuses(inputs, "recipientNonceRange")


def test_leaf_with_fields_beyond_their_widths(circuit):
    """No operation makes such a leaf; were there one, it could not be used."""
    assert circuit.refuses(transfer(world(replace(ALICE, owner=2**160))), "senderOwnerRange")
    assert circuit.refuses(transfer(world(bob=replace(BOB, owner=2**160))), "recipientOwnerRange")
    w = world(replace(ALICE, token=2**16), replace(BOB, token=2**16))
    assert circuit.refuses(transfer(w, fee=0), "tokenRange")


def test_inner_node_as_an_account(circuit):
    """The children of an inner node as the fields of an account: its hash is the node's, but no leaf stands so high."""
    w = world()
    children = [0, w.tree.get(5), w.tree.get(6), w.tree.get(7)]
    children = [w.tree.get(4 + i) for i in range(4)]
    fake = Leaf(children[1], Point(children[2], children[3]), 0, 0, children[0])
    assert fake.value() == poseidon(children)
    w.transfer(1, 6, 0, 0, None, senderOwner=fake.owner, senderKey=fake.key, senderBalance=0, senderNonce=0, token=0)
    inputs = w.inputs(PARAMS)
    assert not circuit.accepts(inputs)
    assert any("rootBefore" in name for names in circuit.violations(inputs) for name in names)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("from", 16 + 1, "main.from[0]"),
        ("to", 16 + 6, "main.to[0]"),
        ("amountFloat", 2**40 + 100, "amount.bits"),
        ("feeByte", 256 + FEE, "fee.bits"),
    ],
)
def test_value_beyond_its_width(circuit, field, value, rule):
    inputs = transfer(world(), **{field: value})
    assert not circuit.accepts(inputs)
    assert any(rule in name for names in circuit.violations(inputs) for name in names)


@pytest.mark.parametrize(
    ("chosen", "rules"),
    [
        ([0, 0], ("inSlot",)),
        ([0, 1], ("inSlot",)),
        ([1, 1], ("inSlot",)),
        ([2, R - 1], ("inSlot",)),
        ([R - 1, 2], ("inSlot",)),
    ],
)
def test_fee_counted_elsewhere_never_or_twice(circuit, chosen, rules):
    assert circuit.refuses(transfer(world(), inSlot=chosen), *rules)


def test_fee_counted_twice_in_slots_of_one_token(circuit):
    w = World(2, [TOKEN, TOKEN]).put(1, ALICE).put(6, BOB)
    assert circuit.refuses(transfer(w, inSlot=[1, 1]), "inSlot")
    w = World(2, [TOKEN, TOKEN]).put(1, ALICE).put(6, BOB)
    assert circuit.refuses(transfer(w, inSlot=[2, R - 1]), "inSlot")


def test_zero_fee_counted(circuit):
    assert circuit.refuses(transfer(world(), fee=0x10, inSlot=[1, 0]), "inSlot")


def test_fee_slot_token_beyond_16_bits(circuit):
    """Such a token would run over into nothing that is posted; the range keeps the element's decoding unique."""
    w = World(2, [TOKEN, 2**16]).put(1, ALICE).put(6, BOB)
    assert circuit.refuses(transfer(w), "slotTokenRange")


@pytest.mark.parametrize("public", ["z", "D", "y"])
def test_public_inputs_are_bound(circuit, public):
    inputs = transfer(world())
    assert not circuit.accepts(inputs | {public: (inputs[public] + 1) % R})


@pytest.mark.parametrize("field", ["domain", "timestamp", "rootBefore"])
def test_private_data_is_bound(circuit, field):
    inputs = world().inputs(PARAMS)
    changed = inputs | {field: inputs[field] + 1}
    if field == "timestamp":
        changed["expiry"] = [TIMESTAMP + 61]
    assert not circuit.accepts(changed)
    assert any("binding" in name for names in circuit.violations(changed) for name in names)


@pytest.mark.parametrize("encoded", [100, 1 << 35 | 10, 2 << 35 | 1, 31 << 35, 0])
def test_amounts_in_any_encoding(circuit, encoded):
    """A non-canonical float has the same value and the same effect; what is posted is the encoding itself."""
    w = world()
    w.transfer(1, 6, encoded, 0, KEYS[0])
    assert w.leaf(6).balance == 5 + decode_float(encoded, 35)
    assert circuit.accepts(w.inputs(PARAMS))
