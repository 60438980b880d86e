import pytest
from hypothesis import given
from hypothesis import strategies as st

from layer2.ledger.amounts import (
    MAX_FEE8,
    MAX_FLOAT40,
    decode_fee8,
    decode_float40,
    encode_fee8,
    encode_float40,
    nearest_fee8,
    nearest_float40,
)
from layer2.ledger.errors import AmountError

# All values of a fee8, the slow and certain way.
FEES = sorted({mantissa * 10**exponent for mantissa in range(16) for exponent in range(16)})

float40s = st.builds(
    lambda exponent, mantissa: exponent << 35 | mantissa, st.integers(0, 31), st.integers(0, 2**35 - 1)
)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, 0),
        (1, 1),
        (2**35 - 1, 2**35 - 1),
        (2**35, None),
        (34_359_738_370, 1 << 35 | 3_435_973_837),
        (10**18, 8 << 35 | 10**10),
        (MAX_FLOAT40, 2**40 - 1),
        (MAX_FLOAT40 - 1, None),
    ],
)
def test_encodes_float40(value, encoded):
    if encoded is None:
        with pytest.raises(AmountError, match="too many digits"):
            encode_float40(value)
    else:
        assert encode_float40(value) == encoded


def test_the_error_names_the_nearest_two():
    with pytest.raises(AmountError) as error:
        encode_float40(2**35)
    assert "nearest that fit are 34359738367 and 34359738370" in str(error.value)
    with pytest.raises(AmountError, match="nearest that fit are 150 and 200"):
        encode_fee8(151)


@pytest.mark.parametrize("value", [-1, MAX_FLOAT40 + 1, 1.0, "1", None, True])
def test_refuses_values_out_of_range(value):
    for function in (encode_float40, nearest_float40):
        with pytest.raises(AmountError, match=f"amount {value!r} is not an integer from 0 to {MAX_FLOAT40}"):
            function(value)


@pytest.mark.parametrize("value", [-1, MAX_FEE8 + 1, 1.0, None])
def test_refuses_fees_out_of_range(value):
    for function in (encode_fee8, nearest_fee8):
        with pytest.raises(AmountError, match=f"fee {value!r} is not an integer from 0 to {MAX_FEE8}"):
            function(value)


@pytest.mark.parametrize("encoded", [-1, 2**40, 1.0, None])
def test_refuses_to_decode_more_than_40_bits(encoded):
    with pytest.raises(AmountError, match="is not an integer of 40 bits"):
        decode_float40(encoded)


@pytest.mark.parametrize("encoded", [-1, 256, 1.0, None])
def test_refuses_to_decode_more_than_a_byte(encoded):
    with pytest.raises(AmountError, match="is not an integer of 8 bits"):
        decode_fee8(encoded)


@given(float40s)
def test_every_float40_round_trips_through_its_canonical_encoding(encoded):
    value = decode_float40(encoded)
    assert value == (encoded % 2**35) * 10 ** (encoded // 2**35)
    canonical = encode_float40(value)
    assert decode_float40(canonical) == value
    # No smaller exponent holds it.
    exponent = canonical >> 35
    assert all(value % 10**smaller or value // 10**smaller >= 2**35 for smaller in range(exponent))
    assert nearest_float40(value) == (value, value)


@given(st.integers(0, MAX_FLOAT40) | st.integers(0, 2**40))
def test_nearest_float40_encloses_and_nothing_lies_between(value):
    below, above = nearest_float40(value)
    assert below <= value <= above
    assert encode_float40(below) >= 0
    assert encode_float40(above) >= 0
    for exponent in range(32):
        unit = 10**exponent
        # The multiple of the unit just below and just above, where the mantissa has room.
        mantissa = min(value // unit, 2**35 - 1)
        assert mantissa * unit <= below
        if -(-value // unit) < 2**35:
            assert -(-value // unit) * unit >= above


def test_all_fee_bytes():
    assert [decode_fee8(byte) for byte in range(256)] == [(byte & 15) * 10 ** (byte >> 4) for byte in range(256)]
    assert decode_fee8(255) == MAX_FEE8
    for value in FEES:
        assert decode_fee8(encode_fee8(value)) == value


@given(st.integers(0, MAX_FEE8) | st.integers(0, 3000))
def test_nearest_fee8(value):
    assert nearest_fee8(value) == (max(fee for fee in FEES if fee <= value), min(fee for fee in FEES if fee >= value))


def test_canonical_fee_has_the_smallest_exponent():
    assert encode_fee8(10) == 10
    assert encode_fee8(20) == 1 << 4 | 2


def test_attack_non_canonical_float():
    """Two encodings of one amount decode to one value; a node writes only one of them."""
    canonical, other = 10_000, 4 << 35 | 1
    assert decode_float40(canonical) == decode_float40(other) == 10_000
    assert encode_float40(10_000) == canonical


def test_attack_float_beyond_any_balance():
    assert decode_float40(2**40 - 1) > 2**128
