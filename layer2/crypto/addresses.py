"""Addresses of Ethereum: hex text outside, integers of 160 bits inside."""

from eth_utils.address import is_checksum_address, is_checksum_formatted_address, is_hex_address, to_checksum_address

from layer2.crypto.errors import AddressError


def address_to_int(address: str) -> int:
    """The integer of a 20-byte address written as 0x and 40 hex digits.

    Raises AddressError for anything else, and for mixed case whose EIP-55 checksum is wrong.
    """
    if not isinstance(address, str) or not address.startswith("0x") or not is_hex_address(address):
        raise AddressError(f"{address!r} is not an address; give 0x and 40 hex digits")
    if is_checksum_formatted_address(address) and not is_checksum_address(address):
        raise AddressError(f"address {address} has a wrong EIP-55 checksum; look for a wrong digit in it")
    return int(address, 16)


def int_to_address(number: int) -> str:
    """The EIP-55 text of an address given as integer. Raises AddressError unless it has at most 160 bits."""
    if type(number) is not int or not 0 <= number < 1 << 160:
        raise AddressError(f"{number!r} is not an integer of 160 bits; give an address")
    return to_checksum_address(number.to_bytes(20))
