"""In which tokens fees are taken, and which fees are refused."""

import pytest

from layer2.actors.errors import RefusedError
from layer2.actors.fees import FeeConfig


@pytest.mark.parametrize(
    ("named", "default", "listed", "tokens"),
    [
        ({}, 0, (), {0}),
        ({}, 0, (1, 2), {0, 1, 2}),
        ({7: 5}, 0, (1,), {7, 0, 1}),
        ({7: 0, 8: 0}, 0, (1, 2), {7, 8, 0, 1}),  # four places, and none that must be paid for
        ({}, 3, (1, 2, 3, 4), {0, 1, 2, 3, 4}),
        ({0: 1, 1: 1, 2: 1, 3: 1, 4: 1}, 0, (5,), {0, 1, 2, 3, 4}),
        ({0: 0, 1: 1, 2: 1, 3: 1}, 0, (5,), {0, 1, 2, 3}),
    ],
)
def test_tokens_that_fees_are_taken_in(
    named: dict[int, int], default: int, listed: tuple[int, ...], tokens: set[int]
) -> None:
    """Four, or more if each has a minimum: whoever ends a batch by a fifth token has paid for it."""
    config = FeeConfig(minimum_fees=named, default_minimum_fee=default)
    assert set(config.fee_tokens(listed, 4)) == tokens


@pytest.mark.parametrize(
    ("fee", "token", "code"),
    [
        (5, 1, None),
        (4, 1, "fee_too_low"),
        (0, 0, None),
        (9, 0, None),
        (0, 2, None),  # pays nothing where nothing is asked for
        (1, 2, "fee_token"),
    ],
)
def test_fees_in_tokens_that_were_not_chosen_are_refused(fee: int, token: int, code: str | None) -> None:
    check_refusal(FeeConfig(minimum_fees={1: 5}), fee, token, code)


@pytest.mark.parametrize(
    ("fee", "token", "code"), [(1, 0, None), (0, 0, "fee_too_low"), (0, 2, "fee_token"), (9, 2, "fee_token")]
)
def test_a_minimum_for_all_keeps_other_tokens_out(fee: int, token: int, code: str | None) -> None:
    check_refusal(FeeConfig(default_minimum_fee=1), fee, token, code)


def check_refusal(config: FeeConfig, fee: int, token: int, code: str | None) -> None:
    found = None
    try:
        config.check_fee(fee, token, config.fee_tokens((1,), 4), "relayer")
    except RefusedError as error:
        found = error.code
    assert found == code
