"""The service that is paid per request, and its client: a real server on loopback, a real chain."""

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest
import requests

from layer2.actors.errors import RefusedError
from layer2.chain.signer import LocalSigner
from layer2.channels import fetching, paid
from layer2.channels.errors import ChannelError, MalformedError
from layer2.channels.fetching import Fetched, FetchError, PayingClient
from layer2.channels.paid import HEADER, Desk, Good, Shop, Terms, create_shop
from layer2.channels.payee import Accepted, Offer, Payee
from layer2.channels.payer import Payer
from layer2.channels.signing import ETH
from layer2.channels.vouchers import ChannelConfig, SignedClose, SignedVoucher
from layer2.node.server import Server
from layer2.node.service import StepLoop
from tests.support.channel_world import HOUR, ChannelWorld

PRICE = 10


@dataclass
class Service:
    """A running shop, of Bob's mostly. made: how many bodies were made."""

    payee: Payee
    url: str
    shop: Shop
    made: list[str] = field(default_factory=list)

    def reprice(self, price: int) -> None:
        """Of the weather."""
        self.shop._goods["/weather"] = replace(self.shop._goods["/weather"], price=price)

    def get(self, path: str = "/weather", *vouchers: str) -> requests.Response:
        return requests.get(self.url + path, headers={HEADER: vouchers[0]} if vouchers else {}, timeout=30)

    def wait_for_health(self, status: int) -> dict[str, str]:
        """Until /health has a status; what it says then."""
        for _ in range(3000):
            answer = self.get("/health")
            if answer.status_code == status:
                return answer.json()
            time.sleep(0.01)
        raise AssertionError(f"still {answer.status_code}: {answer.text}")

    def wait_for(self, channel: bytes) -> None:
        """Until the payee has read of a channel."""
        for _ in range(3000):
            if channel in self.payee.follower.hub:
                return
            time.sleep(0.01)
        raise AssertionError("the payee does not read L1")

    def refuses(self, status: int, code: str, path: str = "/weather", *vouchers: str) -> dict[str, object]:
        answer = self.get(path, *vouchers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
        return answer.json()


@contextmanager
def service(
    world: ChannelWorld, step: bool = True, who: LocalSigner | None = None, database: str = "payee.sqlite"
) -> Iterator[Service]:
    """step: whether the payee looks at L1 by itself. who: whose shop, if not Bob's."""
    with world.payee(who=who, database=database) as payee, Desk(payee) as desk:
        made: list[str] = []

        def good(name: str) -> Good:
            return Good(PRICE, lambda: made.append(name) or f"{name} {len(made)}".encode())

        shop = Shop(payee, desk, {"/weather": good("weather"), "/news": good("news")}, ETH)
        loop = StepLoop(payee, 0.05)
        with Server(create_shop(shop, loop)) as server:
            if step:
                loop.start()
            else:
                payee.step()
            yield Service(payee, server.url, shop, made)
            loop.stop()


@pytest.fixture
def running(world: ChannelWorld) -> Iterator[Service]:
    with service(world, step=False) as running:
        yield running


@pytest.fixture
def config(world: ChannelWorld, running: Service) -> ChannelConfig:
    """A channel from Alice to Bob with 100."""
    config = world.open(100)
    running.payee.step()
    return config


# -------------------------------------------------------------------- the service


def test_terms(world: ChannelWorld, running: Service) -> None:
    answer = running.refuses(402, "payment_required")
    terms = Terms.from_json(answer["terms"])
    assert terms == Terms(31337, world.deployment.hub, world.bob.address, ETH, PRICE, 24 * HOUR)
    assert answer["terms"]["header"] == HEADER
    goods = running.get("/terms").json()["goods"]
    assert {path: Terms.from_json(raw) for path, raw in goods.items()} == {"/weather": terms, "/news": terms}


def test_a_voucher_per_request(world: ChannelWorld, running: Service, config: ChannelConfig) -> None:
    first = running.get("/weather", world.voucher(config, 10).text)
    assert (first.status_code, first.text, first.headers["Payment-Accepted"]) == (200, "weather 1", "10")
    assert running.get("/news", world.voucher(config, 20).text).text == "news 2"
    assert running.payee.best(config.id).amount == 20


def test_an_answer_that_got_lost_is_given_again(world: ChannelWorld, running: Service, config: ChannelConfig) -> None:
    """The same one: nothing new for what was paid once. Nor anything else."""
    voucher = world.voucher(config, 10).text
    assert running.get("/weather", voucher).text == running.get("/weather", voucher).text == "weather 1"
    running.refuses(402, "stale_voucher", "/news", voucher)
    running.refuses(402, "stale_voucher", "/weather?now", voucher)
    assert running.made == ["weather"]


def test_goods_in_memory(world: ChannelWorld, running: Service, config: ChannelConfig) -> None:
    """As others: once for a voucher, and for what it was given for."""
    running.shop._goods["/memory"] = Good(PRICE, b"always here")
    voucher = world.voucher(config, 15).text
    answer = running.get("/memory", voucher)
    accepted, price = answer.headers["Payment-Accepted"], answer.headers["Payment-Price"]
    assert (answer.text, accepted, price) == ("always here", "15", "10")
    assert running.get("/memory", voucher).text == "always here"
    running.refuses(402, "stale_voucher", "/memory?now", voucher)
    running.refuses(402, "stale_voucher", "/weather", voucher)


def test_an_answer_that_is_too_long_to_keep(
    world: ChannelWorld, running: Service, config: ChannelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paid, "MAX_KEPT", 3)
    voucher = world.voucher(config, 10).text
    assert running.get("/weather", voucher).status_code == 200
    running.refuses(409, "answered", "/weather", voucher)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        "0x12.1.0x12",
        "0x{id}.1",
        "0x{id}.-1.0x{signature}",
        "0x{id}.01.0x{signature}",
        "0x{id}.1e3.0x{signature}",
        "0x{id}.340282366920938463463374607431768211456.0x{signature}",
        "0x{id}.99999999999999999999999999999999999999999999.0x{signature}",
        "0x{id}.1.0x{signature}00",
        "0x{id}.1.{signature}",
        "0x{id}.1.0x{signature}.",
        "0x{blank}.1.0x{signature}",
        "0x{id}.١.0x{signature}",
    ],
)
def test_malformed_headers(running: Service, header: str) -> None:
    filled = header.format(id="11" * 32, signature="22" * 65, blank="11 " * 21 + "1")
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=30)
    connection.putrequest("GET", "/weather")
    connection.putheader(HEADER, filled.encode())
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode()
    assert (answer.status, '"malformed"' in body) == (400, True), body
    connection.close()


def test_two_headers(world: ChannelWorld, running: Service, config: ChannelConfig) -> None:
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=30)
    connection.putrequest("GET", "/weather")
    for amount in (10, 20):
        connection.putheader(HEADER, world.voucher(config, amount).text)
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, "there are 2 headers" in answer.read().decode()) == (400, True)
    connection.close()
    assert running.payee.best(config.id) is None


def test_vouchers_that_do_not_pay(world: ChannelWorld, running: Service, config: ChannelConfig) -> None:
    for code, voucher in (
        ("too_little", world.voucher(config, 9)),
        ("over_balance", world.voucher(config, 101)),
        ("wrong_signature", world.voucher(config, 10, world.carol)),
        ("unknown_channel", world.voucher(world.config(salt=b"\1" * 32), 10)),
    ):
        answer = running.refuses(402, code, "/weather", voucher.text)
        assert Terms.from_json(answer["terms"]).price == PRICE
        assert "best" not in answer
    assert running.made == []


def test_other_requests(running: Service) -> None:
    running.refuses(404, "unknown_path", "/nothing")
    running.refuses(404, "unknown_path", "/")
    answer = requests.post(running.url + "/weather", timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "http")
    assert requests.head(running.url + "/weather", timeout=30).status_code == 405


def test_goods_that_cannot_be_sold(world: ChannelWorld) -> None:
    with world.payee() as payee:
        desk = Desk(payee)
        with pytest.raises(ChannelError, match="nothing can be sold at '/terms'"):
            Shop(payee, desk, {"/terms": Good(1, bytes)}, ETH)
        with pytest.raises(ChannelError, match=f"takes no token {world.usdc}"):
            Shop(payee, desk, {}, world.usdc)
    with pytest.raises(MalformedError, match="price 0 is not a number from 1"):
        Good(0, bytes)


def test_a_claim_that_cannot_be_paid_for_is_ill_health(world: ChannelWorld) -> None:
    """The payer withdraws, and the payee has no ETH: what it was paid would be lost, and nobody told."""
    config = world.open(100)
    with service(world) as running:
        running.wait_for(config.id)
        assert running.get("/weather", world.voucher(config, 10).text).status_code == 200
        world.anvil.request("anvil_setBalance", world.bob.address, "0x0")
        assert running.wait_for_health(200) == {"status": "ok"}
        world.send(world.alice, world.channels.withdrawal_call("start", config))
        said = running.wait_for_health(503)
        assert said["problem"] == f"there is too little ETH to pay for claim (0x{config.id.hex()} up to 10)"
        world.anvil.request("anvil_setBalance", world.bob.address, hex(10**18))
        running.wait_for_health(200)
    with world.payee() as payee:
        payee.run_until_idle()
    assert world.facts(config).released == 10


def test_only_the_payer_can_have_it_closed(world: ChannelWorld, running: Service, config: ChannelConfig) -> None:
    """A payee that has signed takes nothing more: a stranger must not be able to bring that about."""

    def ask(*vouchers: SignedVoucher, key: str = f"0x{config.id.hex()}") -> requests.Response:
        headers = {HEADER: vouchers[0].text} if vouchers else {}
        return requests.post(f"{running.url}/channels/{key}/close", headers=headers, timeout=30)

    running.get("/weather", world.voucher(config, 10).text)
    other = world.config(salt=b"\1" * 32)
    for strange in (
        [],
        [world.voucher(config, 10, world.carol)],
        [world.voucher(config, 9)],
        [world.voucher(other, 10)],
    ):
        answer = ask(*strange)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_the_payer")
    assert ask(world.voucher(config, 10), key="0x12").status_code == 400
    signed = SignedClose.from_json(ask(world.voucher(config, 10)).json())
    assert signed.close.amount == 10
    running.refuses(402, "close_signed", "/weather", world.voucher(config, 20).text)
    world.send(world.alice, world.channels.signed_close_call(config, signed))
    running.payee.step()
    assert ask(world.voucher(config, 10)).json()["error"]["code"] == "cannot_close"


# -------------------------------------------------------------------- one answer for one voucher


@dataclass
class Counter:
    """Shop and good whose bodies are counted, and wait until they may go on."""

    shop: Shop
    go_on: threading.Event = field(default_factory=threading.Event)
    made: int = 0
    fails: bool = False

    def body(self) -> bytes:
        self.made += 1
        number = self.made
        self.go_on.wait(30)
        if self.fails:
            raise OSError("the goods are gone")
        return f"{number}".encode()

    async def ask(self, amount: int, is_repeated: bool = False, channel: int = 1) -> bytes:
        taken = Accepted(bytes([channel]) * 32, amount, 0 if is_repeated else PRICE, is_repeated)
        return await self.shop._body(Good(PRICE, self.body), taken, "GET /weather")

    def start(self, *amounts: int) -> "list[asyncio.Task[bytes]]":
        """Requests at once, with a voucher over each amount; again if it is not the first over that."""
        return [
            asyncio.create_task(self.ask(amount, amount in amounts[:place])) for place, amount in enumerate(amounts)
        ]


@pytest.fixture
def counter(world: ChannelWorld) -> Iterator[Counter]:
    with world.payee() as payee:
        yield Counter(Shop(payee, Desk(payee), {}, ETH))


def test_attack_one_voucher_in_many_requests_at_once(counter: Counter) -> None:
    """All wait for the one answer that it pays for; who goes away does not take it from the others."""

    async def work() -> None:
        first, second, third = counter.start(10, 10, 10)
        await asyncio.sleep(0)
        first.cancel()
        counter.go_on.set()
        assert await asyncio.gather(second, third) == [b"1", b"1"]
        assert await counter.ask(10, True) == b"1"

    asyncio.run(work())


def test_a_slow_answer_does_not_replace_a_later_one(counter: Counter) -> None:
    async def work() -> None:
        old, new = counter.start(10, 20)
        await asyncio.sleep(0)
        counter.go_on.set()
        later = await new
        await old
        assert await counter.ask(20, True) == later
        await counter.ask(10)  # whatever comes when
        assert await counter.ask(20, True) == later

    asyncio.run(work())


def test_an_answer_that_cannot_be_made_is_made_when_it_is_asked_for_again(counter: Counter) -> None:
    async def work() -> None:
        counter.fails = True
        counter.go_on.set()
        assert all(
            isinstance(one, OSError) for one in await asyncio.gather(*counter.start(10, 10), return_exceptions=True)
        )
        counter.fails = False
        assert await counter.ask(10, True) == b"2"

    asyncio.run(work())


def test_attack_answers_that_fill_the_memory(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were not asked for for the longest time go: a voucher that comes again later is answered anew."""
    monkeypatch.setattr(paid, "MAX_KEPT_TOGETHER", 3 * (paid._OVERHEAD + 2))

    async def work() -> None:
        counter.go_on.set()
        assert [await counter.ask(10, channel=channel) for channel in range(3)] == [b"1", b"2", b"3"]
        assert await counter.ask(10, True, channel=0) == b"1"
        assert await counter.ask(10, channel=3) == b"4"
        assert await counter.ask(20, channel=3) == b"5"
        assert [channel[0] for channel in counter.shop._answers] == [2, 0, 3]
        assert [await counter.ask(10, True, channel=channel) for channel in (2, 0, 1)] == [b"3", b"1", b"6"]
        assert counter.shop._kept == sum(answer.size for answer in counter.shop._answers.values())

    asyncio.run(work())


# -------------------------------------------------------------------- vouchers that arrive together


def test_the_desk_stores_many_at_once(world: ChannelWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [world.open(100, salt=bytes([number]) * 32) for number in range(4)]
    with world.payee() as payee:
        payee.step()
        entered, go_on = threading.Event(), threading.Event()
        groups = []
        accept = payee.accept_many

        def slow(offers: list[Offer]) -> object:
            groups.append(len(offers))
            entered.set()
            go_on.wait(30)
            return accept(offers)

        monkeypatch.setattr(payee, "accept_many", slow)
        with Desk(payee) as desk:
            first = desk.hand_in(Offer(world.voucher(configs[0], 1)))
            entered.wait(30)
            others = [desk.hand_in(Offer(world.voucher(config, 2))) for config in configs]
            bad = desk.hand_in(Offer(world.voucher(configs[0], 2), 1, "again"))
            go_on.set()
            assert first.result(30).paid == 1
            assert [one.result(30).paid for one in others] == [1, 2, 2, 2]
            assert bad.exception(30).code == "stale_voucher"
        assert groups == [1, 5]


def test_who_goes_away_does_not_pay(world: ChannelWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not stop the desk for the others."""
    config = world.open(100)
    with world.payee() as payee:
        payee.step()
        entered, go_on = threading.Event(), threading.Event()
        accept = payee.accept_many

        def slow(offers: list[Offer]) -> object:
            entered.set()
            go_on.wait(30)
            return accept(offers)

        monkeypatch.setattr(payee, "accept_many", slow)
        with Desk(payee) as desk:
            first = desk.hand_in(Offer(world.voucher(config, 1)))
            entered.wait(30)
            gone = desk.hand_in(Offer(world.voucher(config, 50)))
            assert gone.cancel()
            assert not first.cancel()
            last = desk.hand_in(Offer(world.voucher(config, 3)))
            go_on.set()
            assert (first.result(30).amount, last.result(30).amount) == (1, 3)
        assert payee.best(config.id).amount == 3


def test_what_cannot_be_stored_is_not_taken(world: ChannelWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    config = world.open(100)
    with world.payee() as payee, Desk(payee) as desk:
        payee.step()

        def full(*_: object) -> None:
            raise OSError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(payee._store, "put_vouchers", full)
            with pytest.raises(OSError, match="full"):
                desk.hand_in(Offer(world.voucher(config, 5))).result(30)
        assert payee.best(config.id) is None
        assert desk.hand_in(Offer(world.voucher(config, 5))).result(30).paid == 5


# -------------------------------------------------------------------- the client


@contextmanager
def client(world: ChannelWorld, **options: object) -> Iterator[tuple[PayingClient, Payer]]:
    with world.payer() as payer:
        yield PayingClient(payer, **({"token": ETH, "max_price": PRICE, "deposit": 25} | options)), payer


def test_opens_a_channel_and_pays_per_request(world: ChannelWorld) -> None:
    with service(world) as running, client(world) as (buyer, payer):
        assert buyer.fetch(running.url + "/terms").payment is None
        first = buyer.fetch(running.url + "/weather")
        assert (first.status, first.body, first.payment.amount) == (200, b"weather 1", 10)
        second = buyer.fetch(running.url + "/weather")
        assert (second.body, second.payment.amount) == (b"weather 2", 20)
        assert second.payment.channel_id == first.payment.channel_id
        third = buyer.fetch(running.url + "/news")  # 5 are left: another channel
        assert third.payment.channel_id != first.payment.channel_id
        assert payer.entry(first.payment.channel_id).config.withdraw_delay == 24 * HOUR
        payer.close(buyer.ask_to_close(running.url, first.payment.channel_id))
        payer.run_until_idle()
        assert payer.entry(first.payment.channel_id).facts.closings == 1


def test_closes_an_unused_channel(world: ChannelWorld) -> None:
    with service(world) as running, client(world) as (buyer, payer):
        key = payer.open(world.bob.address, 25, withdraw_delay=24 * HOUR).id
        payer.run_until_idle()
        running.wait_for(key)
        signed = buyer.ask_to_close(running.url, key)
        payer.close(signed)
        payer.run_until_idle()
        assert payer.entry(key).facts.balance == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_price": PRICE - 1}, "wants 10 for this, more than 9: allow it with --max-price"),
        ({"deposit": 0}, "has 10 left: open one with --deposit"),
        ({"deposit": PRICE - 1}, "of 10 or more"),
        ({"withdraw_delay": 24 * HOUR - 1}, "withdrawals to take 86400 s, more than 86399"),
        ({"token": "0x" + "11" * 20}, "wants token 0x0000000000000000000000000000000000000000"),
    ],
)
def test_what_the_client_does_not_pay(
    world: ChannelWorld, running: Service, options: dict[str, object], message: str
) -> None:
    with client(world, **options) as (buyer, payer):
        with pytest.raises(FetchError, match=message):
            buyer.fetch(running.url + "/weather")
        assert payer.follower.hub == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hub": "0x" + "11" * 20}, "takes vouchers of hub 0x1111"),
        ({"chainId": "1"}, "on chain 1, not of"),
        ({"price": "-1"}, "a payment of another kind: price '-1' is not"),
        ({"payee": "me"}, "payee 'me' is not an EIP-55 address"),
        (None, "terms are a JSON object with"),
    ],
)
def test_attack_terms_of_somebody_else(
    world: ChannelWorld,
    running: Service,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str] | None,
    message: str,
) -> None:
    """Above all another hub: the payer knows which one it trusts."""
    honest = Terms.to_json
    monkeypatch.setattr(Terms, "to_json", lambda terms: "no" if change is None else honest(terms) | change)
    with client(world) as (buyer, payer):
        with pytest.raises(FetchError, match=message):
            buyer.fetch(running.url + "/weather")
        assert payer.follower.hub == {}


def test_a_payment_whose_answer_got_lost_is_made_once(world: ChannelWorld) -> None:
    """The client is killed after the service took the voucher. Started again, it gets what it has paid for."""
    with service(world) as running:
        url = running.url + "/news"
        with client(world) as (buyer, payer):
            key = payer.open(world.bob.address, 50, withdraw_delay=24 * HOUR).id
            payer.run_until_idle()
            running.wait_for(key)
            lost = payer.pay(key, 10, f"GET {url}")
            body = running.get("/news", lost.signed.text).content
        with client(world) as (buyer, payer):
            fetched = buyer.fetch(url)
            assert (fetched.body, fetched.payment.amount) == (body, 10)
            assert buyer.fetch(url).payment.amount == 20


def test_a_payment_is_made_once_whichever_channel_has_most(world: ChannelWorld) -> None:
    """The first one has nothing left: its voucher is sent again all the same, and no other channel is opened."""
    with service(world) as running, client(world, deposit=PRICE) as (buyer, payer):
        url = running.url + "/news"
        key = payer.open(world.bob.address, PRICE, withdraw_delay=24 * HOUR).id
        payer.run_until_idle()
        running.wait_for(key)
        lost = payer.pay(key, PRICE, f"GET {url}")
        assert buyer.fetch(url).payment == lost
        assert list(payer.follower.hub) == [key]


def test_a_payment_that_buys_nothing_any_more(world: ChannelWorld) -> None:
    """It never arrived, and a later one did: the buyer is told, and pays again only if it asks again."""
    with service(world) as running, client(world, deposit=100) as (buyer, payer):
        key = buyer.fetch(running.url + "/weather").payment.channel_id
        url = running.url + "/news"
        payer.pay(key, PRICE, f"GET {url}")
        assert buyer.fetch(running.url + "/weather").payment.amount == 30
        with pytest.raises(
            FetchError, match="10 was paid for it before, and the answer is lost: fetch it again"
        ) as caught:
            buyer.fetch(url)
        assert caught.value.code == "stale_voucher"
        assert payer.payment(key).amount == 30
        assert buyer.fetch(url).payment.amount == 40


def test_a_payer_who_lost_its_database_catches_up(world: ChannelWorld) -> None:
    with service(world) as running:
        with client(world, deposit=100) as (buyer, _):
            buyer.fetch(running.url + "/weather")
            buyer.fetch(running.url + "/weather")
        (world.folder / "payer.sqlite").unlink()
        with client(world) as (buyer, _):
            fetched = buyer.fetch(running.url + "/weather")
        assert (fetched.payment.amount, fetched.payment.paid) == (30, 10)


def test_what_cannot_be_kept_is_got_again(world: ChannelWorld) -> None:
    """For the same payment: it counts as answered once the answer is on the buyer's disk."""

    def full(_: object) -> None:
        raise OSError("the disk is full")

    with service(world) as running, client(world, deposit=100) as (buyer, _):
        url = running.url + "/weather"
        with pytest.raises(OSError, match="the disk is full"):
            buyer.fetch(url, full)
        kept: list[Fetched] = []
        fetched = buyer.fetch(url, kept.append)
        assert (fetched.body, fetched.payment.amount) == (b"weather 1", 10)
        free = buyer.fetch(running.url + "/terms", kept.append)
        assert kept == [fetched, free]
        assert buyer.fetch(url).payment.amount == 20


@pytest.mark.parametrize("status", [300, 302, 399])
def test_a_redirection_is_no_answer(world: ChannelWorld, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """It is not followed, and what was signed is sent again."""
    get = PayingClient._get

    def redirected(buyer: PayingClient, url: str, signed: SignedVoucher | None = None) -> object:
        answer = get(buyer, url, signed)
        return answer if signed is None else replace(answer, status=status)

    with service(world) as running, client(world, deposit=100) as (buyer, _):
        url = running.url + "/weather"
        with monkeypatch.context() as patch:
            patch.setattr(PayingClient, "_get", redirected)
            with pytest.raises(FetchError, match=f"answers {status}: it does not say why"):
                buyer.fetch(url)
        fetched = buyer.fetch(url)
        assert (fetched.body, fetched.payment.amount) == (b"weather 1", 10)


def test_attack_a_message_that_a_terminal_obeys(world: ChannelWorld) -> None:
    with service(world) as running, client(world) as (buyer, _):
        refusal = RefusedError("close_signed", "no\x1b[2J\nstatus 200")
        running.payee.accept_many = lambda offers: [refusal for _ in offers]
        with pytest.raises(FetchError) as caught:
            buyer.fetch(running.url + "/weather")
        assert str(caught.value).endswith("answers 402: no?[2J?status 200")


def test_a_service_that_is_not_there(world: ChannelWorld, anvil: object) -> None:
    with client(world) as (buyer, _), pytest.raises(FetchError, match=r"no service answers at http://127\.0\.0\.1:9/x"):
        buyer.fetch("http://127.0.0.1:9/x")
    with client(world) as (buyer, _), pytest.raises(FetchError, match="check the address"):
        buyer.fetch("nonsense")


def test_refusals_are_told(world: ChannelWorld) -> None:
    with service(world) as running, client(world) as (buyer, payer):
        key = buyer.fetch(running.url + "/weather").payment.channel_id
        running.payee.sign_close(key)
        with pytest.raises(FetchError, match="answers 402: the closing of channel") as caught:
            buyer.fetch(running.url + "/weather")
        assert caught.value.code == "close_signed"
        assert buyer.fetch(running.url + "/nothing").status == 404
        assert payer.payment(key).amount == 20


def test_long_answers_are_not_read(world: ChannelWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layer2.channels.fetching.MAX_ANSWER", 100)
    with service(world) as running, client(world) as (buyer, _), pytest.raises(FetchError, match="more than 100 bytes"):
        buyer.fetch(running.url + "/weather")


# -------------------------------------------------------------------- terms that are remembered


@pytest.fixture
def requested(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What each request of clients carries: the amount of its voucher, or 0."""
    amounts: list[int] = []
    get = PayingClient._get

    def recorded(buyer: PayingClient, url: str, signed: SignedVoucher | None = None) -> object:
        amounts.append(0 if signed is None else signed.amount)
        return get(buyer, url, signed)

    monkeypatch.setattr(PayingClient, "_get", recorded)
    return amounts


def test_a_purchase_is_one_request(world: ChannelWorld, requested: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """And L1 is read only before the first one, or when the last time is long ago."""
    with service(world) as running, client(world, deposit=1000) as (buyer, payer):
        url = running.url + "/weather"
        buyer.fetch(url)
        del requested[:]
        reads: list[int] = []
        read = payer.run_until_idle
        monkeypatch.setattr(payer, "run_until_idle", lambda: reads.append(1) or read())
        monkeypatch.setattr(fetching, "READ_AFTER", 3600)
        assert [buyer.fetch(url).payment.paid for _ in range(3)] == [10] * 3
        assert (requested, reads) == ([20, 30, 40], [])
        assert buyer.fetch(running.url + "/news").payment.amount == 50
        assert (requested[3:], reads) == ([0, 50], [])
        monkeypatch.setattr(fetching, "READ_AFTER", 0)
        assert buyer.fetch(url).payment.amount == 60
        assert (requested[5:], reads) == ([60], [1])


def test_l1_is_read_after_an_error(world: ChannelWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    with service(world) as running, client(world, deposit=1000) as (buyer, payer):
        url = running.url + "/weather"
        key = buyer.fetch(url).payment.channel_id
        running.payee.sign_close(key)
        monkeypatch.setattr(fetching, "READ_AFTER", 3600)
        with pytest.raises(FetchError, match="the closing of channel"):
            buyer.fetch(url)
        reads: list[int] = []
        read = payer.run_until_idle
        monkeypatch.setattr(payer, "run_until_idle", lambda: reads.append(1) or read())
        with pytest.raises(FetchError, match="the closing of channel"):
            buyer.fetch(url)
        assert reads == [1]


def test_stale_terms_are_asked_for_again(
    world: ChannelWorld, requested: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "ASK_AFTER", 0)
    with service(world) as running, client(world, deposit=100) as (buyer, _):
        for _ in range(2):
            buyer.fetch(running.url + "/weather")
    assert requested[-2:] == [0, 20]


def test_few_terms_are_remembered(world: ChannelWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_AGREED", 2)
    with service(world) as running, client(world, deposit=100) as (buyer, _):
        urls = [f"{running.url}/weather?{query}" for query in "abc"]
        for url in urls:
            buyer.fetch(url)
        assert list(buyer._agreed) == urls[1:]


def test_terms_are_remembered_under_a_lock(world: ChannelWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread goes through them while another takes some away."""
    monkeypatch.setattr(fetching, "MAX_AGREED", 1)
    changes: list[bool] = []

    class Watched(dict[str, object]):
        def __setitem__(self, url: str, terms: object) -> None:
            changes.append(buyer._lock.locked())
            super().__setitem__(url, terms)

        def pop(self, *arguments: object) -> object:
            changes.append(buyer._lock.locked())
            return super().pop(*arguments)

    with service(world) as running, client(world, deposit=100) as (buyer, _):
        buyer._agreed = Watched()
        for query in "ab":
            buyer.fetch(f"{running.url}/weather?{query}")
    assert changes == [True] * 5


def test_no_channel_is_opened_on_terms_of_before(world: ChannelWorld, requested: list[int]) -> None:
    with service(world) as running, client(world, deposit=PRICE) as (buyer, payer):
        url = running.url + "/weather"
        buyer.fetch(url)
        del requested[:]
        buyer.fetch(url)
        assert requested[0] == 0
        assert len(payer.follower.hub) == 2


def test_a_price_that_has_risen_is_paid_once(world: ChannelWorld, requested: list[int]) -> None:
    """The voucher of the old price was given away: only the difference is added."""
    with service(world) as running, client(world, deposit=100, max_price=15) as (buyer, payer):
        url = running.url + "/weather"
        key = buyer.fetch(url).payment.channel_id
        del requested[:]
        running.reprice(15)
        fetched = buyer.fetch(url)
        assert (fetched.body, fetched.payment.amount, fetched.payment.paid) == (b"weather 2", 25, 15)
        assert requested == [20, 25]
        assert (running.payee.best(key).amount, payer.payment(key).amount) == (25, 25)
        assert buyer.fetch(url).payment.amount == 40
        assert requested == [20, 25, 0, 40]


def test_attack_a_price_that_rises_with_every_voucher(world: ChannelWorld, requested: list[int]) -> None:
    """It is followed once."""
    with service(world) as running, client(world, deposit=100, max_price=50) as (buyer, payer):
        url = running.url + "/weather"
        key = buyer.fetch(url).payment.channel_id
        del requested[:]
        running.reprice(11)
        require = running.shop._payment_required

        def rising(good: Good, *rest: object) -> object:
            running.reprice(good.price + 1)
            return require(good, *rest)

        running.shop._payment_required = rising
        with pytest.raises(FetchError, match="the voucher pays 11 more than before, the price is 12"):
            buyer.fetch(url)
        assert requested == [20, 21]
        assert payer.payment(key).amount == 21


def test_a_price_that_has_risen_too_far_is_not_paid(world: ChannelWorld) -> None:
    """What was signed is offered again when the price is back."""
    with service(world) as running, client(world, deposit=100, max_price=15) as (buyer, payer):
        url = running.url + "/weather"
        key = buyer.fetch(url).payment.channel_id
        running.reprice(16)
        for _ in range(3):
            with pytest.raises(FetchError, match="wants 16 for this, more than 15: allow it with --max-price"):
                buyer.fetch(url)
        assert payer.payment(key).amount == 20
        running.reprice(PRICE)
        assert buyer.fetch(url).payment.amount == 20


def test_a_price_that_has_fallen_is_noticed(world: ChannelWorld) -> None:
    """With the next answer: that one is paid at the price that was agreed."""
    with service(world) as running, client(world, deposit=100) as (buyer, _):
        url = running.url + "/weather"
        buyer.fetch(url)
        running.reprice(4)
        assert [buyer.fetch(url).payment.paid for _ in range(3)] == [10, 4, 4]


@pytest.mark.parametrize("has_arrived", [False, True])
def test_a_rest_whose_answer_got_lost_is_paid_once(world: ChannelWorld, has_arrived: bool) -> None:
    """The client is killed when it has added to a payment, before or after the service has got that."""
    with service(world) as running:
        url = running.url + "/weather"
        running.reprice(15)
        with client(world) as (_, payer):
            key = payer.open(world.bob.address, 50, withdraw_delay=24 * HOUR).id
            payer.run_until_idle()
            running.wait_for(key)
            payer.pay(key, 10, f"GET {url}")
            rest = payer.pay(key, 5, f"the rest for GET {url}")
            if has_arrived:
                assert running.get("/weather", rest.signed.text).text == "weather 1"
        with client(world, max_price=15) as (buyer, payer):
            fetched = buyer.fetch(url)
            assert (fetched.body, fetched.payment.amount, fetched.payment.paid) == (b"weather 1", 15, 15)
            assert buyer.fetch(url).payment.amount == 30


@pytest.mark.parametrize("deposit", [24, 100])
def test_a_rest_that_cannot_be_added(world: ChannelWorld, deposit: int) -> None:
    """Too little is left, or something else was paid since: the buyer is told, and pays again only if it asks again."""
    with service(world) as running, client(world, deposit=deposit, max_price=15) as (buyer, payer):
        url = running.url + "/weather"
        key = buyer.fetch(url).payment.channel_id
        running.reprice(15)
        if deposit == 100:
            payer.pay(key, 10, f"GET {url}")
            payer.pay(key, 10, "something else")
        else:
            with pytest.raises(FetchError, match="answers 402: the voucher pays 10 more than before, the price is 15"):
                buyer.fetch(url)
        signed = payer.payment(key).amount
        with pytest.raises(FetchError, match="10 was paid for it before, and the answer is lost"):
            buyer.fetch(url)
        assert payer.payment(key).amount == signed
        assert buyer.fetch(url).payment.paid == 15


def test_another_payee_is_paid_only_when_asked_again(world: ChannelWorld, requested: list[int]) -> None:
    """The first one may have the voucher that was refused: to pay the other at once could be to pay twice."""
    with (
        service(world) as running,
        world.payee(who=world.carol, database="carol.sqlite") as other,
        Desk(other) as desk,
        client(world, deposit=100) as (buyer, payer),
    ):
        url = running.url + "/weather"
        key = buyer.fetch(url).payment.channel_id
        loop = StepLoop(other, 0.05)
        loop.start()
        running.shop.payee, running.shop._desk = other, desk
        del requested[:]
        with pytest.raises(FetchError, match=f"paid to {world.carol.address} now, and 10 was signed for") as caught:
            buyer.fetch(url)
        assert caught.value.code == "terms_changed"
        assert (requested, list(payer.follower.hub)) == ([20], [key])
        fetched = buyer.fetch(url)
        assert fetched.payment.amount == 10
        assert payer.entry(fetched.payment.channel_id).config.payee == world.carol.address
        assert buyer.fetch(url).payment.amount == 20
        loop.stop()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hub": "0x" + "11" * 20}, "takes vouchers of hub 0x1111"),
        ({"token": "0x" + "11" * 20}, "wants token 0x1111"),
        ({"minimumWithdrawDelay": f"{25 * HOUR}"}, "withdrawals to take 90000 s, more than 86400"),
    ],
)
def test_attack_other_terms_after_the_first_purchase(
    world: ChannelWorld, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], message: str
) -> None:
    with service(world) as running, client(world, deposit=100, max_price=11) as (buyer, payer):
        url = running.url + "/weather"
        key = buyer.fetch(url).payment.channel_id
        running.reprice(11)
        honest = Terms.to_json
        monkeypatch.setattr(Terms, "to_json", lambda terms: honest(terms) | change)
        for _ in range(2):
            with pytest.raises(FetchError, match=message):
                buyer.fetch(url)
        assert payer.payment(key).amount == 20


def test_what_is_not_sold_any_more(world: ChannelWorld) -> None:
    with service(world) as running, client(world, deposit=100) as (buyer, payer):
        url = running.url + "/weather"
        key = buyer.fetch(url).payment.channel_id
        good = running.shop._goods.pop("/weather")
        with pytest.raises(FetchError, match="answers 404: nothing is sold at /weather"):
            buyer.fetch(url)
        assert buyer.fetch(url).status == 404
        running.shop._goods["/weather"] = good
        assert buyer.fetch(url).payment.amount == payer.payment(key).amount == 20


@pytest.mark.parametrize("shows", ["the same", "another channel's"])
def test_attack_evidence_that_proves_nothing(world: ChannelWorld, monkeypatch: pytest.MonkeyPatch, shows: str) -> None:
    """A service keeps a voucher, says it is stale, and shows it or some other as evidence: it gets no second one."""
    with service(world) as running, client(world) as (buyer, payer):
        other, key = (payer.open(world.bob.address, deposit, withdraw_delay=24 * HOUR).id for deposit in (95, 100))
        payer.run_until_idle()
        running.wait_for(key)
        url = running.url + "/weather"
        assert buyer.fetch(url).payment.channel_id == key
        strange = payer.pay(other, 80).signed
        monkeypatch.setattr(
            running.shop, "_evidence", lambda refusal, signed: signed if shows == "the same" else strange
        )
        refusal = RefusedError("stale_voucher", "it was seen before")
        monkeypatch.setattr(running.payee, "accept_many", lambda offers: [refusal for _ in offers])
        with pytest.raises(FetchError, match="it was seen before"):
            buyer.fetch(url)
        assert payer.payment(key).amount == 20


def test_one_client_in_many_threads(world: ChannelWorld) -> None:
    """Their vouchers arrive in order, so each buys something."""
    with service(world) as running, client(world, deposit=1000) as (buyer, payer), ThreadPoolExecutor(4) as pool:
        urls = [f"{running.url}/{name}?{number}" for number in range(4) for name in ("weather", "news")]
        bought = list(pool.map(buyer.fetch, urls * 2))
        assert len({one.body for one in bought}) == len(bought) == 16
        assert sum(one.payment.paid for one in bought) == 160
        assert max(one.payment.amount for one in bought) == 160
        assert len(payer.follower.hub) == 1


def test_a_slow_service_keeps_nobody_else_waiting(world: ChannelWorld) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def late() -> bytes:
        asked.set()
        go_on.wait(30)
        return b"late"

    with (
        service(world) as slow,
        service(world, who=world.carol, database="carol.sqlite") as quick,
        client(world, deposit=100) as (buyer, _),
        ThreadPoolExecutor(1) as pool,
    ):
        slow.shop._goods["/slow"] = Good(PRICE, late)
        waiting = pool.submit(buyer.fetch, slow.url + "/slow")
        try:
            assert asked.wait(30)
            assert buyer.fetch(quick.url + "/weather").body == b"weather 1"
            assert not waiting.done()
        finally:
            go_on.set()
        assert waiting.result(30).body == b"late"


@pytest.mark.parametrize("start", [b"X-Slow: ", b"Content-Length: 1000000\r\n\r\n"], ids=["head", "body"])
def test_attack_an_answer_that_never_ends(world: ChannelWorld, start: bytes) -> None:
    """A byte now and then is enough for a timeout between bytes."""
    is_over = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + start)
            while not is_over.wait(0.05):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener, client(world, answer_within=0.5) as (buyer, _):
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        try:
            with pytest.raises(FetchError, match=r"has not answered within 0\.5 s"):
                buyer.fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/x")
        finally:
            is_over.set()
        thread.join(10)


def test_a_service_may_be_silent_as_long_as_it_is_waited_for(
    world: ChannelWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes its answer in that time."""
    timeouts: list[object] = []
    send = requests.Session.send

    def recorded(session: requests.Session, request: requests.PreparedRequest, **options: object) -> requests.Response:
        if str(request.url).endswith("/terms"):
            timeouts.append(options["timeout"])
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", recorded)
    with service(world, step=False) as running, client(world, answer_within=77.0) as (buyer, _):
        assert buyer.fetch(running.url + "/terms").status == 200
    assert timeouts == [(30.0, 77.0)]


def test_a_slow_answer_that_nobody_waits_for_is_not_read_on(world: ChannelWorld) -> None:
    """Its connection ends, though less has come than is read at once from a quick service."""
    has_hung_up = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.settimeout(10)
        with connection, suppress(TimeoutError):
            connection.recv(1 << 16)
            with suppress(ConnectionError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                for _ in range(50):
                    connection.sendall(bytes(1024))
                    time.sleep(0.02)
                connection.recv(1)
            has_hung_up.set()

    with socket.create_server(("127.0.0.1", 0)) as listener, client(world, answer_within=0.2) as (buyer, _):
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        with pytest.raises(FetchError, match=r"has not answered within 0\.2 s"):
            buyer.fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/x")
        thread.join(20)
    assert has_hung_up.is_set()


def test_connections_stay_open(world: ChannelWorld) -> None:
    """One that the service has closed meanwhile is opened again. Its cookies are not sent back."""
    heads: list[bytes] = []

    def answer(listener: socket.socket) -> None:
        for answers in (1, 2):
            connection, _ = listener.accept()
            with connection:
                for place in range(2):
                    heads.append(connection.recv(1 << 16))
                    if place < answers:
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nhi")

    with socket.create_server(("127.0.0.1", 0)) as listener, client(world) as (buyer, _):
        thread = threading.Thread(target=answer, args=(listener,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        assert [buyer.fetch(url).body for _ in range(3)] == [b"hi"] * 3
        thread.join(10)
    assert len(heads) == 4  # the second one twice
    assert all(head.startswith(b"GET /x") and b"Cookie" not in head for head in heads)
