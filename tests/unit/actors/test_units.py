"""Amounts as a wallet's user writes them."""

import pytest

from layer2.wallet.units import TokenInfo, WalletError

USDC = TokenInfo(1, "0x", "USDC", 6)
ETH = TokenInfo(0, None, "ETH", 18)


@pytest.mark.parametrize(("text", "value"), [("1", 10**6), ("0.000001", 1), ("12.50", 12_500_000), ("1e3", 10**9)])
def test_parse(text: str, value: int) -> None:
    assert USDC.parse(text) == value


@pytest.mark.parametrize("text", ["", "x", "-1", "NaN", "Infinity", "1e50", "0.0000001", "1,5"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(WalletError):
        USDC.parse(text)


@pytest.mark.parametrize(("value", "text"), [(0, "0 USDC"), (1, "0.000001 USDC"), (12_500_000, "12.5 USDC")])
def test_show(value: int, text: str) -> None:
    assert USDC.show(value) == text


def test_what_a_transfer_cannot_carry_names_the_two_nearest() -> None:
    with pytest.raises(WalletError, match=r"are 1.2345678901 ETH and 1.2345678902 ETH"):
        ETH.sendable(1234567890123456789)
    assert ETH.sendable(1234567890100000000) == 1234567890100000000
    with pytest.raises(WalletError, match="more than a transfer can carry"):
        ETH.sendable(10**43)


def test_fees_name_the_two_nearest() -> None:
    with pytest.raises(WalletError, match=r"are 0.0012 USDC and 0.0013 USDC"):
        USDC.fee(1230)
    assert USDC.fee(1200) == 0x2C
    with pytest.raises(WalletError, match="too high"):
        ETH.fee(10**17)
