"""Signatures (docs/optimistic.md §3): what is signed, that wallets sign the same, and what is refused."""

import re
from dataclasses import fields, replace

import pytest
from coincurve import PrivateKey, PublicKey
from eth_account import Account as Wallet
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from layer2.crypto.addresses import int_to_address
from layer2.crypto.eip712 import GROUP_ORDER, MAX_S, address_of, compact, encode_type, recover, sign
from layer2.crypto.errors import AddressError
from layer2.optimistic.errors import SigningError
from layer2.optimistic.operations import (
    AddLiquidity,
    CreatePool,
    MintNFT,
    Nothing,
    PurchaseNFT,
    QueueEntry,
    RemoveLiquidity,
    Swap,
    Transfer,
    TransferNFT,
    TransferToNew,
    Withdraw,
)
from layer2.optimistic.signing import (
    MESSAGES,
    domain_separator,
    message_of,
    sale_of,
    sign_operation,
    sign_sale,
    typed_data,
)
from layer2.optimistic.transition import Failure
from layer2.toolchain import PROJECT
from tests.unit.optimistic import world
from tests.unit.optimistic.world import (
    ALICE,
    ALICE_ETH,
    ALICE_NFT,
    ALICE_POSITION,
    ALICE_USDC,
    BOB,
    BOB_ETH,
    BOB_NFT,
    CHAIN_ID,
    DAVE,
    DOMAIN,
    KEYS,
    NOW,
    POOL,
    ROLLUP,
    STATE,
    edit,
    fails,
)

TRANSFER = Transfer(ALICE_ETH, BOB_ETH, 100, 10, NOW)
OPERATIONS = [
    TRANSFER,
    TransferToNew(ALICE_ETH, DAVE, 100, 10, NOW),
    Withdraw(ALICE_ETH, 100, 10, NOW),
    Swap(ALICE_ETH, ALICE_USDC, POOL, 10_000, 39_000, 10, NOW),
    CreatePool(ALICE_ETH, ALICE_USDC, 20_000, 80_000, 10, NOW),
    AddLiquidity(ALICE_ETH, ALICE_USDC, POOL, ALICE_POSITION, 10_000, 39_000, 40_000, 10, NOW),
    RemoveLiquidity(ALICE_POSITION, ALICE_ETH, ALICE_USDC, 500_000, 250_000, 1_000_000, 10, NOW),
    MintNFT(ALICE_ETH, b"\xff" * 32, 10, NOW),
    TransferNFT(ALICE_NFT, DAVE, ALICE_ETH, 10, NOW),
    PurchaseNFT(BOB_NFT, ALICE_ETH, BOB_ETH, 200, 10, NOW),
]
SALE = OPERATIONS[-1]
MESSAGES_OF_WORLD = [*(message_of(op, STATE.record) for op in OPERATIONS), sale_of(SALE, STATE.record)]
KEY = KEYS[ALICE]
DIGEST = bytes(range(32))


def test_types_are_those_of_the_specification():
    page = (PROJECT / "docs/optimistic.md").read_text()
    block = re.search(r"Types, field names and order:\s+```\n(.*?)```", page, re.DOTALL)
    assert block[1].split("\n")[:-1] == [encode_type(message) for message in MESSAGES]


def test_types_are_those_of_the_contract():
    source = (PROJECT / "contracts/libraries/OperationHash.sol").read_text()
    text = "".join(re.findall(r'"([^"]*)"', source))
    for message in MESSAGES:
        assert encode_type(message) in text


# -------------------------------------------------------------------- wallets


@pytest.mark.parametrize("message", MESSAGES_OF_WORLD, ids=lambda message: message.NAME)
def test_a_wallet_signs_the_same(message):
    """eth-account is another implementation of EIP-712, and signs as deterministically."""
    signable = encode_typed_data(full_message=typed_data(message, CHAIN_ID, ROLLUP))
    assert signable.header == DOMAIN
    signed = Wallet.sign_message(signable, KEY)
    assert bytes(signed.message_hash) == message.digest(DOMAIN)
    assert compact(bytes(signed.signature)) == sign(message, DOMAIN, KEY)


@pytest.mark.parametrize("value", [0, 2**53 + 1, 2**139])
def test_a_wallet_signs_any_amount(value):
    """Browsers read JSON's numbers as doubles, so words are texts."""
    message = replace(MESSAGES_OF_WORLD[0], amount=value)
    data = typed_data(message, CHAIN_ID, int_to_address(ROLLUP))
    assert data["message"]["amount"] == str(value)
    assert data["message"]["toOwner"] == int_to_address(BOB)
    signed = Wallet.sign_message(encode_typed_data(full_message=data), KEY)
    assert compact(bytes(signed.signature)) == sign(message, DOMAIN, KEY)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_operations_are_signed_by_their_owner(operation):
    message = message_of(operation, STATE.record)
    signature = sign_operation(operation, STATE.record, DOMAIN, KEY).signature
    assert recover(message.digest(DOMAIN), signature) == ALICE
    assert signature == sign(message, DOMAIN, KEY)


def test_sales_are_signed_by_the_seller():
    signed = sign_sale(SALE, STATE.record, DOMAIN, KEYS[BOB])
    assert signed.signature == SALE.signature
    assert recover(sale_of(SALE, STATE.record).digest(DOMAIN), signed.seller_signature) == BOB


# -------------------------------------------------------------------- what a signature covers


@pytest.mark.parametrize("message", MESSAGES_OF_WORLD, ids=lambda message: message.NAME)
def test_every_field_counts(message):
    digests = {message.digest(DOMAIN), message.digest(domain_separator(CHAIN_ID + 1, ROLLUP))}
    digests.add(message.digest(domain_separator(CHAIN_ID, ROLLUP + 1)))
    for field in fields(message):
        value = getattr(message, field.name)
        other = value + 1 if isinstance(value, int) else bytes(32)
        digests.add(replace(message, **{field.name: other}).digest(DOMAIN))
    assert len(digests) == 3 + len(fields(message))


def test_messages_with_the_same_fields_differ():
    """TransferToNew and another type with the same words are told apart by the type's hash."""
    digests = {message.digest(DOMAIN) for message in MESSAGES_OF_WORLD}
    assert len(digests) == len(MESSAGES) == 11


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_a_signature_for_another_rollup(operation):
    signed = world.sign(operation, domain=domain_separator(CHAIN_ID, ROLLUP + 1))
    assert failure(signed) is Failure.INVALID_SIGNATURE


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_a_signature_for_another_nonce(operation):
    index = ALICE_NFT if isinstance(operation, TransferNFT) else ALICE_ETH
    nonce = STATE.record(index).nonce
    signed = world.sign(operation, edit(STATE, index, nonce=nonce + 1))
    assert failure(signed) is Failure.INVALID_SIGNATURE


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_a_signature_for_another_token(operation):
    """An index that means something else after a rollback makes the signature invalid."""
    signed = world.sign(operation, edit(edit(STATE, ALICE_ETH, token=5), BOB_ETH, token=5))
    assert failure(signed) is Failure.INVALID_SIGNATURE


def test_a_transfer_to_an_index_that_changed_hands():
    signed = world.sign(TRANSFER)
    state = edit(STATE, BOB_ETH, owner=DAVE)
    fails(signed, Failure.INVALID_SIGNATURE, [ALICE_ETH, BOB_ETH], state, is_signed=True)


# -------------------------------------------------------------------- recovery


def test_both_parities_recover():
    """Which of them a signature has is chance: find one of each."""
    parities = set()
    for number in range(20):
        digest = bytes([number]) * 32
        signature = compact(PrivateKey(KEY).sign_recoverable(digest, hasher=None))
        assert recover(digest, signature) == ALICE
        parities.add(signature[32] >> 7)
    assert parities == {0, 1}


def made_for(s):
    """A digest, and r and parity of Alice's signature of it with this s: the digest follows from the signature."""
    k = 12345
    x, y = PrivateKey.from_int(k).public_key.point()
    return ((s * k - x * int.from_bytes(KEY)) % GROUP_ORDER).to_bytes(32), x.to_bytes(32), y & 1


def join(r, s, parity):
    return r + (s | parity << 255).to_bytes(32)


def test_s_may_be_half_of_the_order_but_no_more():
    """Both are good signatures to Ethereum's precompile. A signature must not have two forms."""
    for s, expected in ((MAX_S - 1, ALICE), (MAX_S, ALICE), (MAX_S + 1, 0), (2**255 - 1, 0)):
        digest, r, parity = made_for(s)
        point = PublicKey.from_signature_and_message(r + s.to_bytes(32) + bytes([parity]), digest, hasher=None)
        assert point.format() == PrivateKey(KEY).public_key.format()
        assert recover(digest, join(r, s, parity)) == expected
        assert recover(digest, join(r, s, 1 - parity)) != ALICE


@pytest.mark.parametrize("parity", [0, 1])
@pytest.mark.parametrize(
    ("r", "s"),
    [
        (0, 0),
        (0, 1),
        (1, 0),
        (GROUP_ORDER, 1),
        (2**256 - 1, 1),
        (5, 1),  # 5 is no x coordinate of the curve
    ],
)
def test_what_is_no_signature_recovers_nobody(r, s, parity):
    assert recover(DIGEST, join(r.to_bytes(32), s, parity)) == 0


@given(st.binary(min_size=64, max_size=64), st.binary(min_size=32, max_size=32))
def test_recover_never_raises(signature, digest):
    assert 0 <= recover(digest, signature) < 2**160


@pytest.mark.parametrize(
    "change",
    [
        lambda r, s, parity: join(r, s, 1 - parity),
        lambda r, s, parity: join(r, s - 1, parity),
        lambda r, s, parity: join(bytes(32), s, parity),
        lambda r, s, parity: join(r, 0, parity),
        lambda r, s, parity: bytes(64),
        lambda r, s, parity: b"\xff" * 64,
    ],
)
def test_an_operation_with_a_bad_signature_changes_nothing(change):
    signature = world.sign(TRANSFER).signature
    word = int.from_bytes(signature[32:])
    bad = replace(TRANSFER, signature=change(signature[:32], word & 2**255 - 1, word >> 255))
    fails(bad, Failure.INVALID_SIGNATURE, [ALICE_ETH, BOB_ETH], is_signed=True)


def test_somebody_elses_signature():
    bad = sign_operation(TRANSFER, STATE.record, DOMAIN, KEYS[DAVE])
    outcome = fails(bad, Failure.INVALID_SIGNATURE, [ALICE_ETH, BOB_ETH], is_signed=True)
    assert f"{DAVE:#042x}" in outcome.reason


def test_nobody_signs_for_address_0():
    """What recovers nobody would else spend for an owner 0."""
    state = edit(STATE, ALICE_ETH, owner=0)
    fails(TRANSFER, Failure.INVALID_SIGNATURE, [ALICE_ETH, BOB_ETH], state, is_signed=True)


# -------------------------------------------------------------------- making them


@pytest.mark.parametrize("v", [0, 1, 27, 28])
def test_compact_takes_every_form_of_v(v):
    signature = compact(bytes([1]) * 32 + bytes([2]) * 32 + bytes([v]))
    assert signature == join(bytes([1]) * 32, int.from_bytes(bytes([2]) * 32), (v - 27) % 2 if v > 1 else v)


@pytest.mark.parametrize("v", [27, 28])
def test_compact_makes_a_high_s_low(v):
    r, s = bytes([1]) * 32, MAX_S + 7
    expected = join(r, GROUP_ORDER - s, 28 - v)
    assert compact(r + s.to_bytes(32) + bytes([v])) == expected


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (bytes(64), "is not r ‖ s ‖ v"),
        (bytes(66), "is not r ‖ s ‖ v"),
        (bytes(64) + b"\x02", "is not r ‖ s ‖ v"),
        (bytes(64) + b"\x1a", "is not r ‖ s ‖ v"),
        (bytes(65), "s = 0x0 is not between 1"),
        (b"\xff" * 64 + b"\x00", "is not between 1 and the group's order"),
    ],
)
def test_compact_refuses(signature, message):
    with pytest.raises(SigningError, match=message):
        compact(signature)


@pytest.mark.parametrize("key", [b"", bytes(32), GROUP_ORDER.to_bytes(32), bytes(33), "00"])
def test_what_is_no_private_key(key):
    with pytest.raises(SigningError, match="the private key is refused"):
        sign(MESSAGES_OF_WORLD[0], DOMAIN, key)
    with pytest.raises(SigningError, match="the private key is refused"):
        address_of(key)


def test_address_of_is_that_of_a_wallet():
    for address, key in KEYS.items():
        assert Wallet.from_key(key).address == int_to_address(address)


@pytest.mark.parametrize("field", [{"amount": -1}, {"amount": 2**256}, {"nonce": None}, {"to_owner": "0x00"}])
def test_a_message_out_of_range(field):
    with pytest.raises(SigningError, match="cannot be signed"):
        sign(replace(MESSAGES_OF_WORLD[0], **field), DOMAIN, KEY)


@pytest.mark.parametrize("operation", [Nothing(), QueueEntry()])
def test_what_nobody_signs(operation):
    with pytest.raises(SigningError, match="carries no signature"):
        message_of(operation, STATE.record)


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        (operation, name)
        for operation in OPERATIONS
        for name in ("account", "account_a", "account_b", "nft")
        if hasattr(operation, name)
    ],
)
def test_a_message_about_what_is_not_there(operation, field):
    for index in (0, POOL, world.UNUSED, 2**32 - 1):
        with pytest.raises(SigningError, match=f"index {index} holds .*, not an? (Account|NFT); look the index up"):
            message_of(replace(operation, **{field: index}), STATE.record)


def test_a_sale_of_what_is_not_there():
    with pytest.raises(SigningError, match="index 1 holds Account"):
        sale_of(replace(SALE, nft=ALICE_ETH), STATE.record)


@pytest.mark.parametrize(("chain_id", "rollup"), [(-1, 1), (2**256, 1), (1, -1), (1, 2**160)])
def test_domain_out_of_range(chain_id, rollup):
    with pytest.raises(SigningError, match="is out of range"):
        domain_separator(chain_id, rollup)


def test_domain_of_a_malformed_address():
    with pytest.raises(AddressError):
        domain_separator(1, "0x12")


def test_domain_by_integer_and_by_text():
    assert domain_separator(CHAIN_ID, int_to_address(ROLLUP)) == DOMAIN


def failure(operation):
    return world.run(operation)[1][0].failure
