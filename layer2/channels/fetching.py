"""Buys from services that are paid per request: opens a channel if need be, and pays each request with a voucher.

May import everything but scripts.
"""

import json
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import requests

from layer2.channels.errors import ChannelError, MalformedError
from layer2.channels.paid import HEADER, PRICE_HEADER, Terms
from layer2.channels.payer import Payer, Payment
from layer2.channels.vouchers import MIN_WITHDRAW_DELAY, SignedClose, SignedVoucher
from layer2.foreign import printable

MAX_ANSWER: Final = 16 << 20
"""Bytes of the largest answer that is read."""

MAX_JSON: Final = 16 * 1024
"""Bytes of the longest answer in which terms, errors and closings are looked for."""

ANSWER_WITHIN: Final = 60.0
"""Seconds for a whole answer, however slowly it comes, unless others are given."""

_CONNECT_WITHIN: Final = 30.0
"""Seconds for a connection."""

_PART: Final = 1 << 10
"""Bytes of an answer that are waited for at a time. After each it is seen whether somebody still waits for the rest."""

READ_AFTER: Final = 5.0
"""Seconds for which what was read of L1 is good enough to pay from a known channel. A payer loses nothing by an old
view: its payee refuses what it could not claim."""

ASK_AFTER: Final = 60.0
"""Seconds after which terms are asked for again."""

MAX_AGREED: Final = 1024
"""URLs whose terms are remembered."""


class FetchError(ChannelError):
    """The service does not answer, asks for something that is not paid, or refuses. `code`: its short name for it."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Fetched:
    """An answer, and the payment that bought it: None if it was free. `paid` is all that was signed for it."""

    status: int
    body: bytes
    content_type: str
    payment: Payment | None


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    content_type: str
    price: str
    json: dict[str, object] = field(default_factory=dict)

    def fetched(self, payment: Payment | None) -> Fetched:
        """For who has asked."""
        return Fetched(self.status, self.body, self.content_type, payment)


@dataclass(frozen=True)
class _Agreed:
    """Terms that this payer pays, asked for lately."""

    terms: Terms
    until: float


class _Connections:
    """Connections for one request at a time, which stay open. No cookies: a service learns of a payer what its vouchers
    say."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._settings: dict[tuple[str, str], Any] = {}

    def send(self, method: str, url: str, headers: dict[str, str], silence: float) -> requests.Response:
        """Without redirections: a voucher is for the service that was asked. silence: longest, in seconds."""
        session = self._session
        request = session.prepare_request(requests.Request(method, url, headers=headers))
        parts = urlsplit(str(request.url))
        origin = (parts.scheme, parts.netloc)
        is_known = origin in self._settings
        if not is_known:  # proxies and certificates: to look for them each time would take longer than the rest
            self._settings[origin] = session.merge_environment_settings(request.url, {}, True, None, None)
        options = self._settings[origin] | {"timeout": (_CONNECT_WITHIN, silence), "allow_redirects": False}
        try:
            return session.send(request, **options)
        except requests.ConnectTimeout:
            raise
        except requests.ConnectionError:
            if not is_known:
                raise
            # The service may have closed what was kept open. A voucher that arrives twice pays once.
            return session.send(request, **options)


class PayingClient:
    """Fetches for a payer, in any thread. One purchase from a payee at a time: vouchers of a channel have to arrive in
    order.

    It remembers the terms of a URL, and pays at once the next time, if the service says the same price with the answer.
    """

    def __init__(
        self,
        payer: Payer,
        *,
        token: str,
        max_price: int,
        deposit: int = 0,
        withdraw_delay: int = 24 * 3600,
        own_key: bool = False,
        patience: float = 60,
        answer_within: float = ANSWER_WITHIN,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """token: what is paid with, an address, 0 is ETH. max_price: most for one request, in smallest units. deposit:
        of a channel that has to be opened, 0 opens none. withdraw_delay: longest delay of withdrawals that is accepted,
        in seconds. own_key: see `Payer.open`. patience: seconds to wait for the service to notice a new channel.
        answer_within: seconds for a whole answer, however slowly it comes.
        """
        self._payer = payer
        self._token = token
        self._max_price = max_price
        self._deposit = deposit
        self._withdraw_delay = withdraw_delay
        self._own_key = own_key
        self._patience = patience
        self._answer_within = answer_within
        self._say = say
        self._lock = threading.Lock()  # for the three below, never for long
        self._idle: list[_Connections] = []
        self._buying: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._agreed: dict[str, _Agreed] = {}
        self._stepping = threading.RLock()
        self._read_at = -math.inf

    def fetch(self, url: str, keep: Callable[[Fetched], None] = lambda fetched: None) -> Fetched:
        """GET a URL, and pay for it if that is asked for.

        keep: stores the answer. What was paid counts as answered once it has returned: if it raises, or the program is
        killed before, the same is got again for the same payment when the URL is fetched again.

        What is signed for it is never more than the price, nor than max_price in all: if the price has risen since the
        terms were asked for, the difference is added. If the payee has changed, that is an error, and the new one is
        paid when the URL is fetched again.

        A payment whose answer got lost is sent again, the same one, when the same URL is fetched again; if it is
        refused then, the URL has to be fetched once more to be paid again. Raises FetchError, ChannelError or
        ChainError.
        """
        with self._lock:
            agreed = self._agreed.pop(url, None)  # comes back when it was still right
        if agreed is not None and time.monotonic() < agreed.until:
            fetched = self._buy(url, agreed, keep, may_open=False)
            if fetched is not None:
                return fetched
        answer = self._get(url)
        if answer.status != 402:
            fetched = answer.fetched(None)
            keep(fetched)
            return fetched
        agreed = _Agreed(self._terms(answer), time.monotonic() + ASK_AFTER)
        fetched = self._buy(url, agreed, keep, may_open=True)
        assert fetched is not None
        return fetched

    def _buy(self, url: str, agreed: _Agreed, keep: Callable[[Fetched], None], *, may_open: bool) -> Fetched | None:
        """Pay and get what was paid for. None if no channel fits and none may be opened."""
        with self._lock_of(agreed.terms.payee):
            try:
                self._read_l1(READ_AFTER)
                payments = self._earlier(url, agreed.terms)
                is_earlier = bool(payments)
                if not payments:
                    key = self._channel(agreed.terms, may_open)
                    if key is None:
                        return None
                    payments = [self._payer.pay(key, agreed.terms.price, _reference(url))]
                answer, payments = self._hand_in(url, agreed.terms, payments, is_earlier)
                fetched = answer.fetched(replace(payments[-1], paid=_total(payments)))
                keep(fetched)
                self._answered(payments)
            except BaseException:
                self._read_at = -math.inf  # the reason may be on L1
                raise
        if answer.price == str(agreed.terms.price):
            with self._lock:
                self._agreed[url] = agreed
                while len(self._agreed) > MAX_AGREED:
                    self._agreed.pop(next(iter(self._agreed)))
        return fetched

    def _lock_of(self, payee: str) -> threading.Lock:
        """Held while something is bought from a payee: who is slow keeps nobody else waiting."""
        with self._lock:
            lock = self._buying.get(payee)
            if lock is None:
                lock = self._buying[payee] = threading.Lock()
            return lock

    def _earlier(self, url: str, terms: Terms) -> list[Payment]:
        """Payments for a URL that were not answered: the first one, and what was added to it."""
        found = [
            self._payer.unanswered(terms.payee, terms.token, reference)
            for reference in (_reference(url), _reference_of_rest(url))
        ]
        return [payment for payment in found if payment is not None]

    def _hand_in(
        self, url: str, terms: Terms, payments: list[Payment], is_earlier: bool
    ) -> tuple[_Answer, list[Payment]]:
        """Send the last voucher until it buys something, or none can. payments: all for this request, from one channel.
        Returns what it bought, and all that was signed for it.

        What it signs more replaces what is refused: vouchers count in all, so the payee gets no more than by the last.
        """
        payer = self._payer
        deadline = time.monotonic() + self._patience
        has_caught_up = False
        while True:
            last, paid = payments[-1], _total(payments)
            answer = self._get(url, last.signed)
            if 200 <= answer.status < 300:
                return answer, payments
            code, message = _problem(answer)
            if answer.status == 402 and "terms" in answer.json:
                terms = self._unchanged(url, terms, self._terms(answer), paid)
            is_early = code in ("unknown_channel", "not_synced")
            if is_early and time.monotonic() < deadline:
                time.sleep(0.2)
                self._step()
                continue
            if code == "too_little" and self._add(url, payments, terms.price - paid):
                continue
            best = None if has_caught_up or code != "stale_voucher" else _better(answer, last)
            if best is not None:
                payer.catch_up(best)
                has_caught_up = True
            if is_earlier and not is_early and answer.status in (402, 409):
                self._answered(payments)
                raise FetchError(
                    f"{url} answers {answer.status}: {message}; {paid} was paid for it before, and the answer "
                    "is lost: fetch it again to pay again",
                    code,
                )
            if best is None:
                raise FetchError(f"{url} answers {answer.status}: {message}", code)
            self._answered(payments)
            payments = [payer.pay(last.channel_id, terms.price, _reference(url))]

    def _add(self, url: str, payments: list[Payment], rest: int) -> bool:
        """Add what is missing to a payment whose voucher was refused as too little, if that can be: once, and only if
        nothing else was signed since, which would be paid along with it."""
        last = payments[-1]
        newest = self._payer.payment(last.channel_id)
        if rest <= 0 or last.reference != _reference(url) or newest is None or newest.amount != last.amount:
            return False
        with suppress(ChannelError):  # not enough left in it, say
            payments.append(self._payer.pay(last.channel_id, rest, _reference_of_rest(url)))
            return True
        return False

    def _answered(self, payments: list[Payment]) -> None:
        # In this order: if only the last is left, it is sent again.
        for payment in payments:
            self._payer.answered(payment)

    @staticmethod
    def _unchanged(url: str, agreed: Terms, terms: Terms, paid: int) -> Terms:
        """New terms, unless what was signed under the old ones pays somebody else."""
        if terms.payee != agreed.payee:
            raise FetchError(
                f"{url} is to be paid to {terms.payee} now, and {paid} was signed for {agreed.payee}, who may take it: "
                "fetch it again to pay the new one",
                "terms_changed",
            )
        return terms

    def ask_to_close(self, url: str, channel_id: bytes) -> SignedClose:
        """A payee's consent to close a channel, from its service. Raises FetchError, ChannelError or MalformedError."""
        target = f"{url.rstrip('/')}/channels/0x{channel_id.hex()}/close"
        answer = self._request("POST", target, self._payer.proof(channel_id))
        if answer.status != 200:
            code, message = _problem(answer)
            raise FetchError(f"{url} answers {answer.status}: {message}", code)
        return SignedClose.from_json(answer.json)

    def _terms(self, answer: _Answer) -> Terms:
        """What the service asks for, if it is something that this payer pays."""
        try:
            terms = Terms.from_json(answer.json.get("terms"))
        except MalformedError as error:
            raise FetchError(f"the service asks for a payment of another kind: {error}") from error
        deployment = self._payer.channels.deployment
        if (terms.chain_id, terms.hub) != (deployment.chain_id, deployment.hub):
            raise FetchError(
                f"the service takes vouchers of hub {terms.hub} on chain {terms.chain_id}, not of {deployment.hub} on "
                f"{deployment.chain_id}: name that deployment's file if you trust it"
            )
        if terms.token != self._token:
            raise FetchError(f"the service wants token {terms.token}, not {self._token}: allow it with --token")
        if terms.price > self._max_price:
            raise FetchError(
                f"the service wants {terms.price} for this, more than {self._max_price}: allow it with --max-price"
            )
        if terms.withdraw_delay > self._withdraw_delay:
            raise FetchError(
                f"the service wants withdrawals to take {terms.withdraw_delay} s, more than {self._withdraw_delay}: "
                "allow it with --withdraw-delay"
            )
        return terms

    def _read_l1(self, age: float) -> None:
        """Read L1, and send what waits, unless that was done less than so many seconds ago."""
        with self._stepping:
            if time.monotonic() - self._read_at >= age:
                self._payer.run_until_idle()
                self._read_at = time.monotonic()

    def _step(self) -> None:
        with self._stepping:
            self._payer.step()

    def _channel(self, terms: Terms, may_open: bool) -> bytes | None:
        """A channel with enough in it, opened if there is none."""
        payer, price = self._payer, max(terms.price, 1)
        entry = payer.find(terms.payee, terms.token, price, terms.withdraw_delay)
        if entry is None:
            self._read_l1(0)
            entry = payer.find(terms.payee, terms.token, price, terms.withdraw_delay)
        if entry is None:
            if not may_open:
                return None
            if self._deposit < price:
                raise FetchError(
                    f"no channel to {terms.payee} has {price} left: open one with --deposit, of {price} or more"
                )
            delay = max(terms.withdraw_delay, MIN_WITHDRAW_DELAY)
            with self._stepping:
                config = payer.open(
                    terms.payee, self._deposit, token=terms.token, withdraw_delay=delay, own_key=self._own_key
                )
                self._say(f"opening channel 0x{config.id.hex()} with {self._deposit}")
                reports = payer.run_until_idle()
            for move in (move for report in reports for move in report.settled):
                if move.reason is not None:
                    raise FetchError(f"{move.purpose} came to nothing: {move.reason}")
            return self._await(config.id)
        return entry.id

    def _await(self, channel_id: bytes) -> bytes:
        """The channel, once its deposit has enough blocks above it."""
        deadline = time.monotonic() + self._patience
        while channel_id not in self._payer.follower.hub:
            if time.monotonic() > deadline:
                raise FetchError(f"channel 0x{channel_id.hex()} is not deep enough in the chain yet: fetch again later")
            time.sleep(0.2)
            self._step()
        return channel_id

    def _get(self, url: str, signed: SignedVoucher | None = None) -> _Answer:
        return self._request("GET", url, signed)

    def _request(self, method: str, url: str, signed: SignedVoucher | None) -> _Answer:
        """Raises FetchError when no whole answer comes in time."""
        future: Future[_Answer] = Future()

        def work() -> None:
            try:
                future.set_result(self._ask(method, url, {} if signed is None else {HEADER: signed.text}))
            except BaseException as error:
                future.set_exception(error)

        # In a thread of its own, which is left behind: a read that waits for the next byte cannot be ended.
        threading.Thread(target=work, name="request", daemon=True).start()
        try:
            return future.result(self._answer_within)
        except TimeoutError as error:
            raise FetchError(
                f"{url} has not answered within {self._answer_within:g} s: a payment that was signed is sent again "
                "when you fetch it again; allow more with --answer-within"
            ) from error

    def _ask(self, method: str, url: str, headers: dict[str, str]) -> _Answer:
        deadline, body = time.monotonic() + self._answer_within, bytearray()
        with self._lock:
            connections = self._idle.pop() if self._idle else _Connections()
        try:
            with connections.send(method, url, headers, self._answer_within) as response:
                for part in response.iter_content(_PART):
                    body += part
                    if len(body) > MAX_ANSWER:
                        raise FetchError(f"{url} answers with more than {MAX_ANSWER} bytes: that is not read")
                    if time.monotonic() > deadline:
                        raise FetchError(f"{url} answers too slowly")  # nobody waits for it any more
                status, kind = response.status_code, response.headers.get("Content-Type", "")
                price = response.headers.get(PRICE_HEADER, "")
        except requests.RequestException as error:
            raise FetchError(
                f"no service answers at {url} ({type(error).__name__}): check the address; a payment that was signed "
                "is sent again when you fetch it again"
            ) from error
        finally:
            self._idle.append(connections)
        raw = None
        if len(body) <= MAX_JSON:
            with suppress(ValueError, RecursionError):
                raw = json.loads(body)
        return _Answer(status, bytes(body), kind, price, raw if isinstance(raw, dict) else {})


def _total(payments: list[Payment]) -> int:
    return sum(payment.paid for payment in payments)


def _reference(url: str) -> str:
    """Of the payment for a request."""
    return f"GET {url}"


def _reference_of_rest(url: str) -> str:
    """Of what is added to it when the price has risen."""
    return f"the rest for GET {url}"


def _better(answer: _Answer, last: Payment) -> SignedVoucher | None:
    """The voucher that a service shows for a refusal, if it makes the last one worthless. The last one itself, or one
    of another channel, would prove nothing: with that a service could be paid twice."""
    shown = answer.json.get("best")
    best = SignedVoucher.parse(shown) if isinstance(shown, str) else None
    return best if best is not None and best.channel_id == last.channel_id and best.amount > last.amount else None


def _problem(answer: _Answer) -> tuple[str, str]:
    """Code and message of an error."""
    error = answer.json.get("error")
    if isinstance(error, dict):
        return str(error.get("code"))[:100], printable(str(error.get("message"))[:1000])
    return "", "it does not say why"
