import pytest
from eth_account import Account as Wallet
from eth_account.messages import encode_defunct
from eth_utils import keccak

from layer2.crypto.eddsa import PrivateKey
from layer2.crypto.errors import AddressError, KeyDerivationError
from layer2.crypto.keys import SECP256K1_N, derive_private_key, key_message

ROLLUP = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
WALLET = Wallet.from_key(b"\x11" * 32)


def wallet_signature(chain_id: int = 31337, rollup: str = ROLLUP) -> bytes:
    return bytes(WALLET.sign_message(encode_defunct(text=key_message(chain_id, rollup))).signature)


def test_the_message_is_the_specified_text():
    assert key_message(31337, ROLLUP.lower()) == (
        "Layer 2 key derivation v1\n\n"
        "Sign this only in a client you trust: the signature is the secret of your Layer 2 key.\n"
        "Chain id: 31337\n"
        "Rollup: 0x5FbDB2315678afecb367f032d93F642f64180aa3"
    )


@pytest.mark.parametrize("chain_id", [0, -1, 1.0, "1", True, None])
def test_refuses_a_malformed_chain_id(chain_id):
    with pytest.raises(KeyDerivationError, match="is not a positive integer"):
        key_message(chain_id, ROLLUP)


def test_refuses_an_address_with_a_wrong_checksum():
    with pytest.raises(AddressError, match="wrong EIP-55 checksum"):
        key_message(1, ROLLUP[:-2] + "A3")


def test_the_key_is_derived_as_specified():
    signature = wallet_signature()
    assert int.from_bytes(signature[32:64]) <= SECP256K1_N // 2
    assert signature[64] in (27, 28)
    key = derive_private_key(signature)
    assert key == PrivateKey.from_seed(keccak(signature))
    assert key == derive_private_key(wallet_signature())


def test_every_form_of_one_signature_gives_one_key():
    signature = wallet_signature()
    r, s, v = signature[:32], int.from_bytes(signature[32:64]), signature[64]
    high_s = (SECP256K1_N - s).to_bytes(32)
    forms = [
        r + s.to_bytes(32) + bytes([v - 27]),
        r + high_s + bytes([55 - v]),
        r + high_s + bytes([28 - v]),
    ]
    assert {derive_private_key(form).k for form in [signature, *forms]} == {derive_private_key(signature).k}


def test_another_chain_or_rollup_gives_another_key():
    keys = {
        derive_private_key(wallet_signature(chain_id, rollup)).k
        for chain_id, rollup in [(1, ROLLUP), (2, ROLLUP), (2**64 + 1, ROLLUP), (1, "0x" + "11" * 20)]
    }
    assert len(keys) == 4


@pytest.mark.parametrize("length", [0, 64, 66])
def test_refuses_signatures_of_another_length(length):
    with pytest.raises(KeyDerivationError, match=f"65 bytes .* got {length};"):
        derive_private_key(b"\x01" * length)


@pytest.mark.parametrize("v", [2, 26, 29, 37, 255])
def test_refuses_another_v(v):
    with pytest.raises(KeyDerivationError, match=f"is {v}, not 0, 1, 27 or 28"):
        derive_private_key(wallet_signature()[:64] + bytes([v]))


@pytest.mark.parametrize("value", [0, SECP256K1_N, 2**256 - 1])
@pytest.mark.parametrize("start", [0, 32])
def test_refuses_r_and_s_outside_the_order(value, start):
    signature = bytearray(wallet_signature())
    signature[start : start + 32] = value.to_bytes(32)
    with pytest.raises(KeyDerivationError, match="not in 1 … n-1") as error:
        derive_private_key(bytes(signature))
    assert signature.hex() not in str(error.value)
