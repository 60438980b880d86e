"""Tokens and amounts as people write them, and which amounts can be sent.

May import `layer2.ledger.amounts`, `layer2.chain.errors` and `layer2.foreign`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from layer2.chain.errors import ChainError, ChainUnreachableError
from layer2.foreign import quoted
from layer2.ledger.amounts import (
    MAX_FEE8,
    MAX_FLOAT40,
    encode_fee8,
    encode_float40,
    nearest_fee8,
    nearest_float40,
)
from layer2.ledger.errors import AmountError

_LAST_TIME: Final = 253_402_300_799
"""The end of the year 9999."""


class WalletError(Exception):
    """Something that the user of a wallet can put right; the message says how."""


@dataclass(frozen=True)
class TokenInfo:
    """A listed token; `address` is None for ETH."""

    id: int
    address: str | None
    symbol: str
    decimals: int

    def parse(self, text: str) -> int:
        """Smallest units from a decimal number of whole tokens. Raises WalletError for anything else."""
        try:
            value = Decimal(text)
        except InvalidOperation as error:
            raise WalletError(f"amount {text!r} is not a number: write it like 12.5") from error
        if not value.is_finite() or value < 0 or value > Decimal(10) ** 40:
            raise WalletError(f"amount {text!r} is negative or out of range: write it like 12.5")
        scaled = value.scaleb(self.decimals)
        if scaled != scaled.to_integral_value():
            raise WalletError(f"amount {text} has too many digits: {self.symbol} has {self.decimals} decimals")
        return int(scaled)

    def show(self, amount: int) -> str:
        """Whole tokens with the symbol, without trailing zeros."""
        whole, rest = divmod(amount, 10**self.decimals)
        fraction = f"{rest:0{self.decimals}d}".rstrip("0") if self.decimals else ""
        return f"{whole}{'.' if fraction else ''}{fraction} {self.symbol}"

    def sendable(self, amount: int) -> int:
        """The amount, if a transfer can carry it. Raises WalletError, naming the two nearest that can."""
        if amount > MAX_FLOAT40:
            raise WalletError(f"amount {self.show(amount)} is more than a transfer can carry")
        try:
            encode_float40(amount)
        except AmountError as error:
            below, above = nearest_float40(amount)
            raise WalletError(
                f"amount {self.show(amount)} has too many digits for a transfer: the nearest that can be sent are "
                f"{self.show(below)} and {self.show(above)}"
            ) from error
        return amount

    def fee(self, amount: int) -> int:
        """The fee byte of an amount. Raises WalletError, naming the two nearest fees that have one."""
        if amount > MAX_FEE8:
            raise WalletError(f"fee {self.show(amount)} is too high: at most {self.show(MAX_FEE8)}")
        try:
            return encode_fee8(amount)
        except AmountError as error:
            below, above = nearest_fee8(amount)
            raise WalletError(
                f"fee {self.show(amount)} has too many digits: the nearest fees are {self.show(below)} and "
                f"{self.show(above)}"
            ) from error


def unlisted_token(id_: int, address: str, name: str, ask: Callable[[str], Any]) -> TokenInfo:
    """A token that is not in the deployment file: "token <name>" with the symbol that it gives itself, which can be
    that of any other, in quotes. Without symbol or decimals it has none of either.

    ask: what the token's view of a name answers. Raises ChainUnreachableError.
    """
    try:
        return TokenInfo(id_, address, f"token {name} ({quoted(str(ask('symbol')))})", int(ask("decimals")))
    except ChainUnreachableError:
        raise
    except ChainError:
        return TokenInfo(id_, address, f"token {name}", 0)


def show_time(seconds: int) -> str:
    """Seconds since 1970 as people write them; a time beyond all calendars as the number that it is."""
    if seconds > _LAST_TIME:
        return f"{seconds} s after 1970"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
