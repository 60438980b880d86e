"""Gas of channels, measured as `make bench` does: below what x402 publishes, and as the documentation says."""

import pytest

from layer2.benchmarks.channels import X402, ActionGas, ChannelsBench
from layer2.chain.connection import Chain
from layer2.toolchain import PROJECT

TRANSACTIONS = {
    "deposit of a token into a new channel": 90_000,
    "deposit of a token into a channel": 52_700,
    "claim": 60_500,
    "claim of a payee that was paid before": 43_400,
    "claim of ten channels": 206_600,
    "settle a token": 62_300,
    "close, by the payee": 78_800,
    "start a withdrawal": 50_400,
    "finish it": 37_700,
    "deposit of ETH into a new channel": 53_200,
    "deposit of ETH into a channel": 33_000,
    "settle ETH": 39_000,
    "PaymentChannel: deployment": 635_400,
    "PaymentChannel: first claim": 57_700,
    "PaymentChannel: claim": 40_600,
    "PaymentChannel: close": 37_300,
}
"""As docs/contracts.md has them."""

STATE_CHANNEL = {
    "deposit into a new channel": 55_500,
    "deposit into a channel": 35_700,
    "close together": 93_700,
    "close together, parties that were paid before": 59_500,
    "start closing": 91_700,
    "challenge": 56_600,
    "finish": 47_800,
    "start closing, 16 locks": 140_300,
    "challenge, 16 locks": 105_200,
    "reveal a secret": 45_300,
    "finish, 16 locks": 120_600,
    "finish with a penalty": 41_800,
}
"""As docs/channels.md has them."""


@pytest.fixture(scope="module")
def report(chain) -> dict[str, ActionGas]:
    return {action.name: action for action in ChannelsBench(Chain(chain.provider.web3)).run()}


@pytest.mark.parametrize("name", X402)
def test_no_dearer_than_x402(report, name):
    action = report[name]
    assert action.alike is not None
    assert 20_000 < action.alike < X402[name] == action.x402


@pytest.mark.parametrize("name", TRANSACTIONS)
def test_transactions(report, name):
    assert report[name].whole == pytest.approx(TRANSACTIONS[name], rel=0.02)


@pytest.mark.parametrize("name", STATE_CHANNEL)
def test_state_channels(report, name):
    assert report[f"StateChannel: {name}"].whole == pytest.approx(STATE_CHANNEL[name], rel=0.02)
    documentation = (PROJECT / "docs" / "channels.md").read_text()
    assert f"| {name} | {STATE_CHANNEL[name]:,} |" in documentation.splitlines()


def test_all_are_documented(report):
    assert set(report) == set(TRANSACTIONS) | {f"StateChannel: {name}" for name in STATE_CHANNEL}
