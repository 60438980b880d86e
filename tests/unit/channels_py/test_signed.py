"""What is signed in channels: digests as wallets make them, texts and JSON there and back, and what is refused."""

import json
from dataclasses import replace
from typing import Any

import pytest
from eth_abi import encode
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from layer2.chain.signer import LocalSigner
from layer2.channels.errors import ChannelError, MalformedError
from layer2.channels.messages import Proposal, Refusal, Signature, message_from_json, message_to_json
from layer2.channels.signing import ETH, VERSION, is_signed_by, sign
from layer2.channels.states import (
    FinalState,
    Lock,
    SignedState,
    State,
    StateChannelConfig,
    hash_locks,
    secret_hash,
    state_channel_domain,
)
from layer2.channels.vouchers import (
    ChannelConfig,
    Close,
    PaymentChannelVoucher,
    SignedClose,
    SignedVoucher,
    Voucher,
    hub_domain,
)
from layer2.crypto.eip712 import GROUP_ORDER, MAX_S, expand, recover_rsv, sign_digest, typed_data

KEY = b"\7" * 32
WHO = LocalSigner(KEY)
OTHER = LocalSigner(b"\x08" * 32)
HUB = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
DOMAIN = hub_domain(31337, HUB)
STATES = state_channel_domain(31337, HUB)
ID = b"\1" * 32
CONFIG = ChannelConfig(WHO.address, OTHER.address, ETH, ETH, 86_400, b"\2" * 32)
DUPLEX = StateChannelConfig(WHO.address, OTHER.address, ETH, 86_400, b"\2" * 32)
LOCKS = (Lock(3, 10**10, True, b"\1" * 32), Lock(2**128 - 10, 2**40 - 1, False, b"\2" * 32))
STATE = State(ID, 7, 2**128 - 1, 5, 4, 7, LOCKS)
FINAL = FinalState(ID, 7, 10, 5, 4, 11)
SIGNATURE = b"\3" * 64 + b"\x1b"
MESSAGES = [
    (Voucher(ID, 2**128 - 1), DOMAIN),
    (Close(ID, 5, 2**64 - 1), DOMAIN),
    (STATE.message, STATES),
    (FINAL.message, STATES),
]

uint128 = st.integers(0, 2**128 - 1)
hashes = st.binary(min_size=32, max_size=32)


# -------------------------------------------------------------------- digests


@pytest.mark.parametrize(("message", "domain"), MESSAGES)
def test_wallets_sign_the_same(message: Any, domain: Any) -> None:
    typed = typed_data(message, domain.name, VERSION, domain.chain_id, domain.contract)
    encoded = encode_typed_data(full_message=json.loads(json.dumps(typed)))
    signed = Account.from_key(KEY).sign_message(encoded)
    assert recover_rsv(message.digest(domain.separator), bytes(signed.signature)) == int(WHO.address, 16)
    assert sign(WHO, message, domain) == bytes(signed.signature)
    assert is_signed_by(message, domain, WHO.address, bytes(signed.signature))
    assert not is_signed_by(message, domain, OTHER.address, bytes(signed.signature))
    for other in (replace(domain, chain_id=1), replace(domain, contract=ETH), replace(domain, name="x")):
        assert not is_signed_by(message, other, WHO.address, bytes(signed.signature))


def test_a_payment_channels_voucher() -> None:
    """As the textbook: personal_sign of the packed hash."""
    voucher = PaymentChannelVoucher(HUB, 10**18, 31337)
    packed = keccak(bytes.fromhex(HUB[2:]) + (10**18).to_bytes(32) + (31337).to_bytes(32))
    signature = bytes(Account.from_key(KEY).sign_message(encode_defunct(packed)).signature)
    assert voucher.sign(KEY) == signature
    assert voucher.is_signed_by(WHO.address, signature)
    assert not voucher.is_signed_by(OTHER.address, signature)
    for other in (replace(voucher, amount=1), replace(voucher, chain_id=1), replace(voucher, contract=ETH)):
        assert not other.is_signed_by(WHO.address, signature)


def test_locks_are_hashed_as_solidity_encodes_them() -> None:
    encoded = encode(["(uint128,uint40,bool,bytes32)[]"], [[lock.arguments for lock in LOCKS]])
    assert hash_locks(LOCKS) == keccak(encoded)
    assert hash_locks(()) == bytes(32)
    assert secret_hash(b"\5" * 32) == keccak(b"\5" * 32)


def test_who_signs_as_somebody_else_does_not_sign_here() -> None:
    """A contract's account, say: its signature is not one of its own key."""

    class Contract(LocalSigner):
        @property
        def address(self) -> str:
            return OTHER.address

    with pytest.raises(ChannelError, match=f"account {OTHER.address} signs as somebody else"):
        sign(Contract(KEY), Voucher(ID, 1), DOMAIN)


def test_signatures_in_the_contracts_form() -> None:
    digest = keccak(b"x")
    good = sign_digest(digest, KEY)
    assert len(good) == 65
    assert good[64] in (27, 28)
    assert recover_rsv(digest, good) == int(WHO.address, 16)
    high = good[:32] + (GROUP_ORDER - int.from_bytes(good[32:64])).to_bytes(32) + bytes([55 - good[64]])
    assert int.from_bytes(high[32:64]) > MAX_S
    for bad in (high, good[:64] + bytes([good[64] - 27]), good[:64], good + b"\0", b"", bytes(65), b"\xff" * 65):
        assert recover_rsv(digest, bad) == 0
    compacted = good[:32] + (int.from_bytes(good[32:64]) | (good[64] - 27) << 255).to_bytes(32)
    assert expand(compacted) == good


@settings(max_examples=50)
@given(st.binary(min_size=65, max_size=65), hashes)
def test_recovering_never_fails(signature: bytes, digest: bytes) -> None:
    for v in (27, 28):
        assert 0 <= recover_rsv(digest, signature[:64] + bytes([v])) < 2**160


# -------------------------------------------------------------------- there and back


@settings(max_examples=30)
@given(hashes, uint128, st.binary(min_size=65, max_size=65))
def test_vouchers_as_text(channel: bytes, amount: int, signature: bytes) -> None:
    signed = SignedVoucher(Voucher(channel, amount), signature)
    assert SignedVoucher.parse(signed.text) == signed
    assert SignedVoucher.parse(signed.text.replace("ab", "AB")) == signed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b.c",
        f"0x{ID.hex()}.1",
        f"0x{ID.hex()}.1.0x{SIGNATURE.hex()}.",
        f"{ID.hex()}.1.0x{SIGNATURE.hex()}",
        f"0x{ID.hex()}.+1.0x{SIGNATURE.hex()}",
        f"0x{ID.hex()}.1_0.0x{SIGNATURE.hex()}",
        f"0x{ID.hex()}. 1.0x{SIGNATURE.hex()}",
        f"0x{ID.hex()}.01.0x{SIGNATURE.hex()}",
        f"0x{ID.hex()}.².0x{SIGNATURE.hex()}",
        f"0x{ID.hex()}.{2**128}.0x{SIGNATURE.hex()}",
        f"0x{ID.hex()}.{10**40}.0x{SIGNATURE.hex()}",
        f"0x{ID.hex()}..0x{SIGNATURE.hex()}",
        f"0x{ID.hex()[:-2]}.1.0x{SIGNATURE.hex()}",
        f"0x{ID.hex()[:-2]}  .1.0x{SIGNATURE.hex()}",
        f"0x{ID.hex()[:-2]}xx.1.0x{SIGNATURE.hex()}",
        f"0x{ID.hex()}.1.0x{SIGNATURE.hex()[:-2]}",
    ],
)
def test_texts_that_are_no_vouchers(text: str) -> None:
    with pytest.raises(MalformedError):
        SignedVoucher.parse(text)


@pytest.mark.parametrize("voucher", [b"", SIGNATURE])
def test_closings_as_json(voucher: bytes) -> None:
    signed = SignedClose(Close(ID, 2**128 - 1, 2**64 - 1), SIGNATURE, voucher)
    raw = json.loads(json.dumps(signed.to_json()))
    assert SignedClose.from_json(raw) == signed
    for bad in (
        None,
        [],
        {},
        raw | {"more": "1"},
        {name: value for name, value in raw.items() if name != "amount"},
        raw | {"amount": 5},
        raw | {"closings": str(2**64)},
        raw | {"signature": "0x"},
        raw | {"voucherSignature": "0x12"},
        raw | {"channel": None},
    ):
        with pytest.raises(MalformedError):
            SignedClose.from_json(bad)


def test_states_as_json() -> None:
    for signed in (SignedState(STATE, SIGNATURE, SIGNATURE), SignedState(State.initial(ID), b"", b"")):
        assert SignedState.from_json(json.loads(json.dumps(signed.to_json()))) == signed
    assert FinalState.from_json(json.loads(json.dumps(FINAL.to_json()))) == FINAL
    raw = STATE.to_json()
    for bad in (
        None,
        "x",
        raw | {"more": 1},
        raw | {"version": 7},
        raw | {"version": str(2**64)},
        raw | {"balanceA": "5"},
        raw | {"locks": {}},
        raw | {"locks": [*raw["locks"], {}]},
        raw | {"locks": [raw["locks"][0]] * 17},
        raw | {"locks": [raw["locks"][0] | {"toA": "yes"}, raw["locks"][1]]},
        raw | {"locks": [raw["locks"][0] | {"deadline": str(2**40)}, raw["locks"][1]]},
        raw | {"channel": "0x12"},
    ):
        with pytest.raises(MalformedError):
            State.from_json(bad)
    for bad in (None, FINAL.to_json() | {"locks": []}, FINAL.to_json() | {"balanceA": "1"}):
        with pytest.raises(MalformedError):
            FinalState.from_json(bad)
    with pytest.raises(MalformedError):
        SignedState.from_json(SignedState(STATE, SIGNATURE, SIGNATURE).to_json() | {"signatureA": "0x"})


@pytest.mark.parametrize(
    "message",
    [
        Proposal(STATE),
        Proposal(STATE, (b"\5" * 32, b"\6" * 32)),
        Proposal(FINAL),
        Signature(STATE, SIGNATURE),
        Signature(FINAL, SIGNATURE),
        Refusal(ID, b"\4" * 32, "loss", "because"),
    ],
)
def test_messages_as_json(message: Any) -> None:
    text = message_to_json(message)
    assert message_from_json(text) == message
    raw = json.loads(text)
    for bad in (
        "",
        "[]",
        "[" * 16_384,
        "[" * 100_000,
        json.dumps(raw | {"kind": "x"}),
        json.dumps(raw | {"more": 1}),
        json.dumps({"kind": raw["kind"]}),
        *(json.dumps({name: value for name, value in raw.items() if name != left_out}) for left_out in raw),
        *(json.dumps(raw | {name: None}) for name in raw),
    ):
        with pytest.raises(MalformedError):
            message_from_json(bad)


def test_too_many_secrets() -> None:
    raw = json.loads(message_to_json(Proposal(STATE, (bytes(32),) * 16)))
    raw["secrets"].append(raw["secrets"][0])
    with pytest.raises(MalformedError, match="17 secrets are too many"):
        message_from_json(json.dumps(raw))


# -------------------------------------------------------------------- out of range


@pytest.mark.parametrize(
    "change",
    [
        {"payer": ETH},
        {"payee": ETH},
        {"payer": WHO.address.lower()},
        {"token": "0x12"},
        {"signer": 5},
        {"withdraw_delay": 899},
        {"withdraw_delay": 30 * 86_400 + 1},
        {"withdraw_delay": "900"},
        {"salt": bytes(31)},
    ],
)
def test_channels_that_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        replace(CONFIG, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"party_a": OTHER.address},
        {"party_b": ETH},
        {"token": None},
        {"challenge_period": 3599},
        {"challenge_period": 30 * 86_400 + 1},
        {"salt": b""},
    ],
)
def test_channels_of_two_that_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        replace(DUPLEX, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"balance_a": 5},
        {"balance_a": -1},
        {"version": -1},
        {"version": 2**64},
        {"version": 0},
        {"deposits_b": 2**128},
        {"channel_id": bytes(33)},
        {"locks": LOCKS[:1]},
        {"locks": (Lock(1, 1, True, bytes(32)),) * 17},
    ],
)
def test_states_that_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        replace(STATE, **change)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Voucher(ID, -1),
        lambda: Voucher(ID, 2**128),
        lambda: Voucher(ID[1:], 1),
        lambda: Close(ID, 1, 2**64),
        lambda: SignedVoucher(Voucher(ID, 1), SIGNATURE[1:]),
        lambda: Lock(2**128, 1, True, ID),
        lambda: Lock(1, 2**40, True, ID),
        lambda: Lock(1, 1, True, b""),
        lambda: SignedState(STATE, b"", SIGNATURE),
        lambda: SignedState(State.initial(ID), SIGNATURE, b""),
        lambda: PaymentChannelVoucher("0x12", 1, 1),
        lambda: PaymentChannelVoucher(HUB, 2**256, 1),
        lambda: secret_hash(b"short"),
        lambda: State.initial(ID).following(0, -1),
    ],
)
def test_values_out_of_range(make: Any) -> None:
    with pytest.raises(MalformedError):
        make()


# -------------------------------------------------------------------- sides of a channel


def test_sides() -> None:
    assert DUPLEX.is_a(WHO.address)
    assert not DUPLEX.is_a(OTHER.address)
    assert (DUPLEX.other(WHO.address), DUPLEX.other(OTHER.address)) == (OTHER.address, WHO.address)
    with pytest.raises(MalformedError, match="is neither"):
        DUPLEX.is_a(HUB)
    assert (STATE.balance(True), STATE.balance(False)) == (4, 7)
    assert (STATE.deposits(True), STATE.deposits(False)) == (2**128 - 1, 5)
    assert STATE.lock(b"\2" * 32) == LOCKS[1]
    assert STATE.lock(b"\3" * 32) is None


def test_what_comes_next() -> None:
    after = replace(STATE, deposits_a=20, balance_a=15, locks=LOCKS[:1]).following(21, 7)
    assert (after.version, after.balance_a, after.balance_b) == (8, 16, 9)


def test_states_of_events_have_their_locks() -> None:
    assert State.of(STATE.arguments, STATE.lock_arguments) == STATE
    with pytest.raises(MalformedError):
        State.of((*STATE.arguments[:6], b"\1" * 32), STATE.lock_arguments)


def test_who_signed_a_state() -> None:
    state = replace(STATE, channel_id=DUPLEX.id)
    digest = state.digest(STATES)
    signed = SignedState(state, sign_digest(digest, KEY), sign_digest(digest, b"\x08" * 32))
    signed.check(DUPLEX, STATES)
    SignedState(State.initial(DUPLEX.id), b"", b"").check(DUPLEX, STATES)
    with pytest.raises(MalformedError, match=f"state 7 is not signed by {WHO.address}"):
        SignedState(state, signed.signature_b, signed.signature_b).check(DUPLEX, STATES)
    with pytest.raises(MalformedError, match=f"state 7 is not signed by {OTHER.address}"):
        SignedState(state, signed.signature_a, signed.signature_a).check(DUPLEX, STATES)
    with pytest.raises(MalformedError, match="is of channel 0x0101"):
        SignedState(STATE, SIGNATURE, SIGNATURE).check(DUPLEX, STATES)
