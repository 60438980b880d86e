"""Measures a payee: vouchers a second through the whole check, stored before they are answered.

Run it with `python -m layer2.channels.bench [vouchers]`.
"""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from web3 import HTTPProvider, Web3

from layer2.actors.errors import RefusedError
from layer2.chain.connection import Chain
from layer2.chain.signer import LocalSigner
from layer2.channels.contracts import Channels, HubChannel
from layer2.channels.deployment import ChannelsDeployment
from layer2.channels.errors import ChannelError
from layer2.channels.payee import Offer, Payee, PayeeStore
from layer2.channels.signing import ETH, ZERO_ADDRESS
from layer2.channels.vouchers import ChannelConfig, SignedVoucher, Voucher
from layer2.crypto.addresses import int_to_address
from layer2.crypto.eip712 import address_of, sign_digest
from layer2.toolchain import PROJECT

CHANNELS: Final = 256
TOGETHER: Final = 64
"""Vouchers that share one write to the disk, as a busy payee's do."""

ALONE: Final = 500
"""Most vouchers that are measured with a write each: a disk does some hundred of these a second."""

_DEPOSIT: Final = 10**18


@dataclass(frozen=True)
class VoucherSpeed:
    """Vouchers a second: of one core's time; as the clock goes, 64 of them in one write to the disk, and with a write
    for each. The last two depend on the disk."""

    per_core: float
    together: float
    alone: float


def vouchers_per_second(count: int, folder: Path | None = None) -> VoucherSpeed:
    """How many vouchers a payee takes a second, over `count` of them, of 256 channels.

    Included: reading the text, all rules, the digest, recovering the signer, and storing. Not included: making channels
    and vouchers. folder: whose disk is used, the project's unless given. Raises ChannelError unless count is positive.
    """
    if type(count) is not int or count < 1:
        raise ChannelError(f"count {count!r} is not a positive integer; give the number of vouchers to measure")
    channels = _channels()
    keys = [number.to_bytes(32) for number in range(1, CHANNELS + 1)]
    payee = LocalSigner((CHANNELS + 1).to_bytes(32))
    configs = [
        ChannelConfig(int_to_address(address_of(key)), payee.address, ETH, ZERO_ADDRESS, 24 * 3600, bytes(32))
        for key in keys
    ]
    alone = min(count, ALONE)
    texts = [_voucher(channels, configs, keys, number) for number in range(count + alone)]
    with (
        tempfile.TemporaryDirectory(dir=folder or PROJECT, prefix=".bench-") as place,
        PayeeStore(Path(place) / "payee.sqlite") as store,
    ):
        with store.transaction():
            for config in configs:
                store.add_hub_channel(config.id, config, 1)
                store.put_hub_facts(config.id, HubChannel(balance=_DEPOSIT), 1, 0)
        actor = Payee(channels, store, payee)
        actor.follower.synced = time.time()  # there is no chain to read
        started, core = time.perf_counter(), time.process_time()
        for start in range(0, count, TOGETHER):
            _take(actor, texts[start : min(start + TOGETHER, count)])
        core, together = time.process_time() - core, time.perf_counter() - started
        started = time.perf_counter()
        for text in texts[count:]:
            _take(actor, [text])
        return VoucherSpeed(count / core, count / together, alone / (time.perf_counter() - started))


def _take(payee: Payee, texts: list[str]) -> None:
    for answer in payee.accept_many([Offer(SignedVoucher.parse(text)) for text in texts]):
        if isinstance(answer, RefusedError):
            raise ChannelError(f"the measurement is of vouchers that are not taken: {answer}; correct it")


def _voucher(channels: Channels, configs: list[ChannelConfig], keys: list[bytes], number: int) -> str:
    """The number-th voucher: channels take turns."""
    turn, place = divmod(number, CHANNELS)
    voucher = Voucher(configs[place].id, 1000 * (turn + 1))
    return SignedVoucher(voucher, sign_digest(voucher.digest(channels.hub_domain.separator), keys[place])).text


def _channels() -> Channels:
    """A deployment on a chain that nobody asks anything."""
    deployment = ChannelsDeployment(31337, 1, int_to_address(1), int_to_address(2), "", "")
    return Channels(Chain(Web3(HTTPProvider("http://127.0.0.1:9"))), deployment)


if __name__ == "__main__":
    speed = vouchers_per_second(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    print(
        f"{speed.per_core:,.0f} vouchers a second of one core; by the clock {speed.together:,.0f} with {TOGETHER} in "
        f"one write to the disk, {speed.alone:,.0f} with a write for each"
    )
