"""Which fees relayer and sequencer take: in which tokens, and how much at least. May import `layer2.actors.errors`."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from layer2.actors.errors import RefusedError

ETHER: Final = 0
"""The token that every rollup has."""


@dataclass(frozen=True, kw_only=True)
class FeeConfig:
    """Amounts in smallest units. minimum_fees: per token; other tokens pay `default_minimum_fee`. Fees above 0 are
    taken in `fee_tokens` only."""

    minimum_fees: Mapping[int, int] = field(default_factory=dict)
    default_minimum_fee: int = 0

    def minimum_fee(self, token: int) -> int:
        """The least fee in a token."""
        return self.minimum_fees.get(token, self.default_minimum_fee)

    def fee_tokens(self, listed: Iterable[int], places: int) -> tuple[int, ...]:
        """The tokens in which fees are taken: of those with a minimum, ether and the listed ones.

        Tokens are free to make, and a batch, or a segment of it, has places for fees in so many: an operation with a
        fee in one more ends it, which costs an L1 transaction or a proof. So these are no more than the places, the
        named ones first, unless each has a minimum above 0.
        """
        chosen = list(dict.fromkeys([*self.minimum_fees, ETHER, *listed]))
        paid = [token for token in chosen if self.minimum_fee(token)]
        free = [token for token in chosen if not self.minimum_fee(token)]
        return (*paid, *free[: max(0, places - len(paid))])

    def check_fee(self, fee: int, token: int, taken: Collection[int], actor: str) -> None:
        """Raises RefusedError unless a fee in a token is enough, and 0 or in one of those `taken` by this "actor".

        What pays nothing is not refused for its token where the minimum is 0.
        """
        minimum = self.minimum_fee(token)
        if (fee or minimum) and token not in taken:
            tokens = ", ".join(map(str, taken))
            remedy = "pay from an account of one of these" if minimum else "sign with a fee of 0"
            raise RefusedError(
                "fee_token", f"this {actor} takes fees in tokens {tokens} only, not in token {token}: {remedy}"
            )
        if fee < minimum:
            raise RefusedError(
                "fee_too_low", f"fee {fee} is below this {actor}'s minimum of {minimum} for token {token}"
            )
