"""A contract per channel: it takes what Python signs."""

import pytest

from layer2.chain.coder import coder
from layer2.chain.deploying import deploy_contract
from layer2.chain.errors import RevertedError
from layer2.channels.vouchers import PaymentChannelVoucher
from tests.support.channel_world import HOUR, ChannelWorld


def test_takes_what_python_signs(world: ChannelWorld) -> None:
    expiration = world.time + HOUR
    contract, _ = deploy_contract(
        world.chain, world.alice, "PaymentChannel", world.bob.address, expiration, value=10**18
    )
    abi, key = coder("PaymentChannel"), bytes(world.alice._account.key)
    voucher = PaymentChannelVoucher(contract, 4 * 10**17, 31337)
    signature = voucher.sign(key)
    assert voucher.is_signed_by(world.alice.address, signature)
    world.send(world.bob, abi.encode("claimPayment", voucher.amount, signature), contract)
    (claimed,) = abi.decode_result("claimed", world.chain.call(contract, abi.encode("claimed")))
    assert claimed == voucher.amount
    elsewhere = PaymentChannelVoucher(contract, 5 * 10**17, 1).sign(key)
    with pytest.raises(RevertedError) as caught:
        world.send(world.bob, abi.encode("claimPayment", 5 * 10**17, elsewhere), contract)
    assert caught.value.name == "InvalidSignature"
