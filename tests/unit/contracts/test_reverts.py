"""The check of errors itself: it has to fail when it should."""

import pytest

from tests.support.reverts import call, reverts


def test_no_revert(custody, alice):
    with pytest.raises(BaseException, match="DID NOT RAISE"), reverts(custody.AccountOutOfRange):
        custody.forceWithdraw(1, sender=alice)


@pytest.mark.parametrize("way", ["call", "transaction"])
def test_another_error_value_or_name(custody, alice, way):
    def attempt() -> None:
        if way == "call":
            call(custody, bytes(custody.forceWithdraw.encode_input(256)), alice)
        else:
            custody.forceWithdraw(256, sender=alice)

    with reverts(custody.AccountOutOfRange, account=256, capacity=256):
        attempt()
    with pytest.raises(AssertionError, match="Expected EmptyDeposit"), reverts(custody.EmptyDeposit):
        attempt()
    with (
        pytest.raises(AssertionError, match="account = 255 but it was 256"),
        reverts(custody.AccountOutOfRange, account=255),
    ):
        attempt()
    with pytest.raises(AssertionError, match="has no value 'index'"), reverts(custody.AccountOutOfRange, index=256):
        attempt()
    with pytest.raises(AssertionError, match="Expected no reason"), reverts():
        attempt()
