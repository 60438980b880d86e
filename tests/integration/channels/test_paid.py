"""The service that is paid per request, and its client: a real server on loopback, a real chain."""

import asyncio
import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import requests

from layer2.channels import paid
from layer2.channels.errors import ChannelError, MalformedError
from layer2.channels.fetching import FetchError, PayingClient
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
    """A running shop of Bob's. made: how many bodies were made."""

    payee: Payee
    url: str
    made: list[str] = field(default_factory=list)

    def get(self, path: str = "/weather", *vouchers: str) -> requests.Response:
        return requests.get(self.url + path, headers={HEADER: vouchers[0]} if vouchers else {}, timeout=30)

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
def service(world: ChannelWorld, step: bool = True) -> Iterator[Service]:
    """step: whether the payee looks at L1 by itself."""
    with world.payee() as payee, Desk(payee) as desk:
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
            yield Service(payee, server.url, made)
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

    async def ask(self, amount: int, is_repeated: bool = False) -> bytes:
        taken = Accepted(b"\1" * 32, amount, 0 if is_repeated else PRICE, is_repeated)
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
