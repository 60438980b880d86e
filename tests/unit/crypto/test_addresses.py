import pytest

from layer2.crypto.addresses import address_to_int, int_to_address
from layer2.crypto.errors import AddressError

ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


@pytest.mark.parametrize("text", [ADDRESS, ADDRESS.lower(), "0x" + ADDRESS[2:].upper()])
def test_reads_checksummed_lower_and_upper_case(text):
    assert address_to_int(text) == int(ADDRESS, 16)


def test_writes_eip_55():
    assert int_to_address(int(ADDRESS, 16)) == ADDRESS
    assert int_to_address(0) == "0x" + "0" * 40


@pytest.mark.parametrize("text", ["", "0x", ADDRESS[:-1], ADDRESS + "0", ADDRESS[2:], "0x" + "g" * 40, 5, None])
def test_refuses_what_is_no_address(text):
    with pytest.raises(AddressError, match="is not an address; give 0x and 40 hex digits"):
        address_to_int(text)


def test_refuses_a_wrong_checksum():
    with pytest.raises(AddressError, match="wrong EIP-55 checksum"):
        address_to_int(ADDRESS.replace("F", "f", 1))


@pytest.mark.parametrize("number", [-1, 1 << 160, 1.0, None, ADDRESS])
def test_refuses_what_is_no_number_of_160_bits(number):
    with pytest.raises(AddressError, match="is not an integer of 160 bits"):
        int_to_address(number)
