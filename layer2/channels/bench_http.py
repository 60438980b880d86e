"""Measures the paid HTTP service as a payer meets it: service and buyers in processes of their own, real requests over
loopback, a node behind both, every voucher signed, checked and stored on both sides.

Run it with `python -m layer2.channels.bench_http [payments]`; needs compiled contracts and Anvil.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import aiohttp

from layer2.chain.connection import connect
from layer2.chain.local import Anvil, signer
from layer2.channels import deployment as files
from layer2.channels.contracts import Channels, open_channels
from layer2.channels.deployment import deploy_channels
from layer2.channels.errors import ChannelError
from layer2.channels.fetching import PayingClient
from layer2.channels.paid import HEADER, Desk, Good, Shop, create_shop
from layer2.channels.payee import Payee, PayeeStore
from layer2.channels.payer import Payer, PayerStore
from layer2.channels.signing import ETH, sign
from layer2.channels.vouchers import SignedVoucher, Voucher
from layer2.node.server import Server
from layer2.node.service import StepLoop
from layer2.toolchain import PROJECT

BUYERS: Final = 4
"""Accounts that buy at the same time, each over a channel of its own, in threads of one process."""

_PAYEE: Final = BUYERS
"""The account after them."""

_TIMES: Final = 5
"""How many vouchers are handed in without the client for each payment with it: they are quicker."""

_PRICE: Final = 1000
_PATH: Final = "/weather"


@dataclass(frozen=True)
class HttpSpeed:
    """Payments over HTTP. by_clock: a second, all buyers together, on this machine with service and node on it, too.
    per_buyer_core, per_service_core: a second of CPU time of the buyers' process and of the service's. checks: vouchers
    a second of the service's CPU time when they come signed, one request each, over connections that stay open.
    """

    payments: int
    by_clock: float
    per_buyer_core: float
    per_service_core: float
    checks: float


def payments_per_second(count: int, folder: Path | None = None) -> HttpSpeed:
    """Buy `count` times with the real client, by several buyers at once; then five times as often without it.

    A purchase of the client is one request, with a voucher: it has the terms from before, and asks for them, and the
    node for news, only now and then. What is sold is in the service's memory. Not included: opening the channels.
    folder: whose disk is used, the project's unless given. Raises ChannelError unless count is positive, or when
    something is not sold.
    """
    if type(count) is not int or count < 1:
        raise ChannelError(f"count {count!r} is not a positive integer; give the number of payments to measure")
    each = -(-count // BUYERS)
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder or PROJECT, prefix=".bench-")))
        anvil = stack.enter_context(Anvil(place / "anvil.log"))
        deployed = deploy_channels(anvil.chain, signer(0)).deployment
        file = files.write(deployed, place / "channels.json")
        service = stack.enter_context(_service(anvil.url, file, place / "payee.sqlite"))
        payers = [stack.enter_context(_payer(Channels(anvil.chain, deployed), place, n)) for n in range(BUYERS)]
        url = f"{service.url}{_PATH}"
        clients = [PayingClient(one, token=ETH, max_price=_PRICE, deposit=10**15) for one in payers]
        for client in clients:
            client.fetch(url)
        service_core, core, started = service.cpu(), time.process_time(), time.perf_counter()
        with ThreadPoolExecutor(BUYERS) as pool:
            for done in [pool.submit(_buy, client, url, each) for client in clients]:
                done.result()
        clock, core = time.perf_counter() - started, time.process_time() - core
        service_core = service.cpu() - service_core
        total = each * BUYERS
        vouchers = [_sign(payer, each * _TIMES) for payer in payers]
        checks_core = service.cpu()
        asyncio.run(_hand_in(url, vouchers))
        checks_core = service.cpu() - checks_core
        return HttpSpeed(total, total / clock, total / core, total / service_core, _TIMES * total / checks_core)


def _buy(client: PayingClient, url: str, times: int) -> None:
    for _ in range(times):
        if client.fetch(url).payment is None:
            raise ChannelError("the measurement is of requests that were not paid: correct it")


def _sign(payer: Payer, count: int) -> list[str]:
    """Vouchers of a payer's one channel, each over a price more."""
    (key,) = payer.follower.hub
    last = payer.payment(key)
    assert last is not None
    vouchers = [Voucher(key, last.amount + _PRICE * (number + 1)) for number in range(count)]
    domain = payer.channels.hub_domain
    return [SignedVoucher(voucher, sign(payer.signer, voucher, domain)).text for voucher in vouchers]


async def _hand_in(url: str, vouchers: Sequence[Sequence[str]]) -> None:
    """Buy with vouchers of several channels at once, those of one after the other."""

    async def hand_in(session: aiohttp.ClientSession, texts: Sequence[str]) -> None:
        for text in texts:
            async with session.get(url, headers={HEADER: text}) as response:
                await response.read()
                if response.status != 200:
                    raise ChannelError("the measurement is of vouchers that are not taken: correct it")

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(hand_in(session, texts) for texts in vouchers))


@contextmanager
def _payer(channels: Channels, place: Path, number: int) -> Iterator[Payer]:
    with PayerStore(place / f"payer-{number}.sqlite") as store:
        yield Payer(channels, store, signer(number))


# -------------------------------------------------------------------- the service's process


@dataclass(frozen=True)
class _Service:
    url: str
    stdin: IO[str]
    stdout: IO[str]

    def cpu(self) -> float:
        """Seconds of CPU time that the process has used, in all its threads."""
        self.stdin.write("\n")
        self.stdin.flush()
        return float(self.stdout.readline())


@contextmanager
def _service(node: str, file: Path, database: Path) -> Iterator[_Service]:
    """A paid service in a process of its own, which ends with the block."""
    command = [sys.executable, "-m", __spec__.name, "serve", node, str(file), str(database)]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise ChannelError("the service that is to be measured does not start: see above")
            yield _Service(url, process.stdin, process.stdout)
        finally:
            process.kill()


def _serve(node: str, file: Path, database: Path) -> None:
    """Sell, as `ape run channel serve` does, but from memory; say the CPU time used for each line of standard input."""
    deployment = files.read(file)
    channels = open_channels(connect(node, deployment.chain_id), deployment)
    with PayeeStore(database) as store:
        payee = Payee(channels, store, signer(_PAYEE))
        loop = StepLoop(payee)
        loop.start()
        goods = {_PATH: Good(_PRICE, b"rain\n")}
        with Desk(payee) as desk, Server(create_shop(Shop(payee, desk, goods, ETH), loop)) as server:
            print(server.url, flush=True)
            for _ in sys.stdin:
                print(time.process_time(), flush=True)
        loop.stop()


def main(arguments: Sequence[str]) -> None:
    """Measure, or serve for who measures."""
    if arguments[:1] == ["serve"]:
        _serve(arguments[1], Path(arguments[2]), Path(arguments[3]))
        return
    speed = payments_per_second(int(arguments[0]) if arguments else 400)
    print(
        f"{speed.payments:,} payments of {BUYERS} buyers: {speed.by_clock:,.0f} a second by the clock, "
        f"{speed.per_buyer_core:,.0f} a second of a core of the buyers, {speed.per_service_core:,.0f} of the service; "
        f"{speed.checks:,.0f} signed vouchers a second of a core of the service"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
