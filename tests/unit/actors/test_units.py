"""Tokens and amounts as a wallet's user writes and sees them."""

from typing import Any

import pytest

from layer2.chain.errors import ChainUnreachableError, DataMissingError
from layer2.foreign import printable
from layer2.wallet.units import TokenInfo, WalletError, unlisted_token

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


@pytest.mark.parametrize(
    ("symbol", "shown"),
    [
        ("USDC", 'token 7 ("USDC")'),
        ('") 5 ETH ("', 'token 7 ("\\") 5 ETH (\\"")'),
        ("\x1b[2J\x7f\n", 'token 7 ("\\u001b[2J\\u007f\\n")'),
        ("\u0405\u202eUSD", 'token 7 ("\\u0405\\u202eUSD")'),
        ("x" * 1000, f'token 7 ("{"x" * 16}")'),
    ],
)
def test_attack_a_token_calls_itself_like_another(symbol: str, shown: str) -> None:
    """What is not in the deployment file has its id first, and what it says itself in quotes."""
    token = unlisted_token(7, "0x", "7", {"symbol": symbol, "decimals": 1}.__getitem__)
    assert token == TokenInfo(7, "0x", shown, 1)
    assert token.show(15) == f"1.5 {shown}"


def test_a_token_without_symbol_or_decimals() -> None:
    def ask(view: str) -> Any:
        if view == "symbol":
            return "USDC"
        raise error

    error: Exception = DataMissingError("no decimals")
    assert unlisted_token(7, "0x", "7", ask) == TokenInfo(7, "0x", "token 7", 0)
    error = ChainUnreachableError("no answer")
    with pytest.raises(ChainUnreachableError):
        unlisted_token(7, "0x", "7", ask)


def test_attack_text_that_a_terminal_obeys() -> None:
    assert printable("no\x1b[2J\r\n\x9b\u202eEn") == "no?[2J????En"
    assert printable("zu wenig: 5 €") == "zu wenig: 5 €"
