"""Arguments whose words have bits beyond their types are refused, not cut: another channel would be meant."""

from dataclasses import astuple

import pytest
from ethpm_types.abi import ABIType

from tests.support.reverts import call, reverts

BITS = {"address": 160, "uint40": 40, "uint64": 64, "uint128": 128, "bool": 1}


def narrow_words(inputs: list[ABIType]) -> list[tuple[str, int]]:
    """The words that come first in a call's arguments and are narrower than 256 bits: (name, bit beyond the type) by
    place; wide and dynamic ones have bit 0."""
    words = []
    for item in inputs:
        if item.components and "[" not in str(item.type):
            words += [(f"{item.name}.{name}", bit) for name, bit in narrow_words(item.components)]
        else:
            words.append((str(item.name), BITS.get(str(item.type), 0)))
    return words


def attempt_each(contract, function: str, data: bytes, sender, value: int = 0) -> list[str]:
    """Sets one bit too many in each narrow word of a call that is right, and has every one refused."""
    web3 = contract.provider.web3
    transaction = {"to": contract.address, "from": sender.address, "value": value}
    web3.eth.call({**transaction, "data": data})
    (abi,) = (item for item in contract.contract_type.methods if item.name == function)
    tried = []
    for place, (name, bit) in enumerate(narrow_words(abi.inputs)):
        if bit:
            wrong = bytearray(data)
            # Solidity's words are big-endian.
            wrong[4 + 32 * place + 31 - bit // 8] |= 1 << bit % 8
            with reverts():
                web3.eth.call({**transaction, "data": bytes(wrong)})
            tried.append(name)
    return tried


CONFIG = ["config.payer", "config.payee", "config.token", "config.signer", "config.withdrawDelay"]


def test_hub(hub, paid, alice, bob, mine_at):
    def attempt(function: str, *arguments, sender=alice, value: int = 0) -> list[str]:
        return attempt_each(hub, function, paid.encode(function, *arguments), sender, value)

    assert attempt("deposit", 7, value=7) == CONFIG
    assert attempt("close", 60, paid.voucher(60), b"", sender=bob) == [*CONFIG, "amount"]
    assert attempt("claim", 60, paid.voucher(60)) == [*CONFIG, "amount"]
    assert attempt("startWithdrawal") == CONFIG
    paid.start_withdrawal()
    assert attempt("cancelWithdrawal") == CONFIG
    mine_at(paid.withdrawable_after + 1)
    assert attempt("finishWithdrawal") == CONFIG


CHANNEL = ["config.partyA", "config.partyB", "config.token", "config.challengePeriod"]
AMOUNTS = ["version", "depositsA", "depositsB", "balanceA", "balanceB"]
STATE = [f"state.{name}" for name in AMOUNTS]


@pytest.mark.parametrize("function", ["deposit", "closeCooperatively", "startClose"])
def test_state_channel(state_channel, channel, alice, function):
    agreed, final = channel.agreed(1, 60, 90), channel.sign(channel.final(60, 90))
    config = astuple(channel.config)
    arguments, words = {
        "deposit": ((config, True, 7), [*CHANNEL, "toA"]),
        "closeCooperatively": (
            (config, astuple(final.state), final.a, final.b),
            [*CHANNEL, *(f"outcome.{name}" for name in AMOUNTS)],
        ),
        "startClose": (channel.arguments(agreed), [*CHANNEL, *STATE]),
    }[function]
    data = bytes(getattr(state_channel, function).encode_input(*arguments))
    assert attempt_each(state_channel, function, data, alice, 7 if function == "deposit" else 0) == words


def test_state_channel_that_is_closing(state_channel, channel, alice, mine_at):
    first, later = channel.agreed(1, 60, 90), channel.agreed(2, 70, 80)
    channel.start(alice, first)
    data = bytes(state_channel.challenge.encode_input(*channel.arguments(later)))
    assert attempt_each(state_channel, "challenge", data, alice) == [*CHANNEL, *STATE]
    mine_at(channel.deadline + 1)
    data = bytes(state_channel.finishClose.encode_input(astuple(channel.config), *first.tuples))
    assert attempt_each(state_channel, "finishClose", data, alice) == [*CHANNEL, *STATE]
    call(state_channel, data, alice)
