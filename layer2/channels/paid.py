"""An HTTP service that is paid per request, with vouchers: an example of a payee.

GET  /terms                what a request costs, and which channels are taken
GET  /NAME                 the goods; with a header `Payment-Voucher` that pays for them, else 402 with the terms
POST /channels/{id}/close  the payee's consent to close; with the channel's last voucher as header
GET  /health               200 when the payee's last step was good and recent, and its claims can be paid for, else 503

Errors are {"error": {"code": …, "message": …}, …} with a fitting status. May import everything but scripts.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from layer2.actors.errors import RefusedError
from layer2.channels.actor import StepReport
from layer2.channels.errors import ChannelError, MalformedError
from layer2.channels.payee import Accepted, Offer, Payee
from layer2.channels.signing import MAX_UINT128, check_address, check_range, parse_bytes, parse_number
from layer2.channels.vouchers import SignedVoucher
from layer2.node.service import ApiError, StepLoop, create_service

HEADER: Final = "Payment-Voucher"
"""Carries a voucher: `0x<channel>.<amount>.0x<signature>`."""

PRICE_HEADER: Final = "Payment-Price"
"""Of an answer that was paid for: what the request costs now, so that a payer need not ask before the next."""

MAX_BODY: Final = 1024
MAX_TOGETHER: Final = 256
"""Vouchers that share one write to the disk."""

MAX_KEPT: Final = 1 << 20
"""Bytes of the largest answer that is kept, for a payer to whom it got lost."""

MAX_KEPT_TOGETHER: Final = 64 << 20
"""Bytes of all of them. The one that was not asked for for the longest time goes first."""

_OVERHEAD: Final = 1024
"""Bytes that an answer takes beside its body, or more."""


@dataclass(frozen=True)
class Terms:
    """What a request costs, in smallest units, and which channels are taken; withdraw_delay: at least, in seconds."""

    chain_id: int
    hub: str
    payee: str
    token: str
    price: int
    withdraw_delay: int

    def to_json(self) -> dict[str, str]:
        """Numbers as decimal strings."""
        return {
            "chainId": str(self.chain_id),
            "hub": self.hub,
            "payee": self.payee,
            "token": self.token,
            "price": str(self.price),
            "minimumWithdrawDelay": str(self.withdraw_delay),
            "header": HEADER,
        }

    @classmethod
    def from_json(cls, raw: object) -> "Terms":
        """The inverse of `to_json`. Raises MalformedError for anything else."""
        names = ("chainId", "hub", "payee", "token", "price", "minimumWithdrawDelay")
        if not isinstance(raw, dict) or any(name not in raw for name in names):
            raise MalformedError(f"terms are a JSON object with {', '.join(names)}")
        for name in ("hub", "payee", "token"):
            check_address(name, raw[name])
        return cls(
            parse_number("chainId", raw["chainId"], 2**64),
            raw["hub"],
            raw["payee"],
            raw["token"],
            parse_number("price", raw["price"], MAX_UINT128),
            parse_number("minimumWithdrawDelay", raw["minimumWithdrawDelay"], 2**40),
        )


@dataclass(frozen=True)
class Good:
    """What is sold at a path: its price in smallest units, and the answer's body, or what makes it anew for each
    request, in a thread of its own."""

    price: int
    body: bytes | Callable[[], bytes]
    content_type: str = "text/plain"

    def __post_init__(self) -> None:
        check_range("price", self.price, MAX_UINT128, 1)


class Desk:
    """Takes vouchers of many requests: those that arrive while the disk is written to share the next write.

    A request goes on only when its voucher is stored. A context manager.
    """

    def __init__(self, payee: Payee) -> None:
        """The payee's `accept_many` is called in a thread of its own."""
        self._payee = payee
        self._queue: queue.SimpleQueue[tuple[Offer, Future[Accepted]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="vouchers", daemon=True)

    def __enter__(self) -> "Desk":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()

    def hand_in(self, offer: Offer) -> "Future[Accepted]":
        """The answer, when the voucher is stored. It raises RefusedError when the voucher is not taken."""
        answer: Future[Accepted] = Future()
        self._queue.put((offer, answer))
        return answer

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, is_last = [first], False
            while len(group) < MAX_TOGETHER:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    is_last = True
                    break
                group.append(item)
            self._take(group)
            if is_last:
                return

    def _take(self, group: list[tuple[Offer, Future[Accepted]]]) -> None:
        # Whoever has gone away meanwhile gets nothing, so does not pay.
        group = [(offer, future) for offer, future in group if future.set_running_or_notify_cancel()]
        try:
            answers = self._payee.accept_many([offer for offer, _ in group])
        except Exception as error:  # nothing was stored, so nothing was taken
            for _, future in group:
                future.set_exception(error)
            return
        for (_, future), answer in zip(group, answers, strict=True):
            if isinstance(answer, RefusedError):
                future.set_exception(answer)
            else:
                future.set_result(answer)


@dataclass
class _Answer:
    """To the last voucher of a channel. body: made or being made; None if it is too long to be kept. size: bytes, once
    it is made."""

    amount: int
    reference: str
    body: asyncio.Task[bytes] | None
    size: int = _OVERHEAD


class Shop:
    """Goods of a payee, all in one token."""

    def __init__(self, payee: Payee, desk: Desk, goods: Mapping[str, Good], token: str) -> None:
        """goods: by path, "/weather" say. token: address, 0 is ETH.

        Raises ChannelError for a token that the payee does not take, or a path that is not free.
        """
        for path in goods:
            if not path.startswith("/") or path in ("/terms", "/health"):
                raise ChannelError(f"nothing can be sold at {path!r}: choose a path like /weather")
        if token not in payee.rules.tokens:
            raise ChannelError(f"the payee takes no token {token}: add it to its rules")
        self.payee = payee
        self.token = token
        self._desk = desk
        self._goods = dict(goods)
        self._answers: dict[bytes, _Answer] = {}  # the last used one last
        self._kept = 0

    def terms(self, price: int) -> Terms:
        """The terms of something at a price."""
        deployment = self.payee.channels.deployment
        return Terms(
            deployment.chain_id,
            deployment.hub,
            self.payee.address,
            self.token,
            price,
            self.payee.rules.withdraw_delay,
        )

    async def sell(self, request: web.Request) -> web.Response:
        """Answers a request for a good."""
        good = self._goods.get(request.path)
        if good is None:
            raise ApiError(404, "unknown_path", f"nothing is sold at {request.path[:100]}: see /terms")
        signed = read_header(request)
        if signed is None:
            return self._payment_required(good, "payment_required", f"send a voucher in the header {HEADER}")
        reference = f"{request.method} {request.path_qs}"
        offer = Offer(signed, good.price, reference)
        try:
            taken = await asyncio.wrap_future(self._desk.hand_in(offer))
        except RefusedError as refusal:
            return self._payment_required(good, refusal.code, str(refusal), self._evidence(refusal, signed))
        body = await self._body(good, taken, reference)
        headers = {"Payment-Accepted": f"{taken.amount}", PRICE_HEADER: f"{good.price}"}
        return web.Response(body=body, content_type=good.content_type, headers=headers)

    async def _body(self, good: Good, taken: Accepted, reference: str) -> bytes:
        """Made once for a voucher, however often it comes, as long as it is kept: while it is made, the others wait for
        the same."""
        if isinstance(good.body, bytes):
            return good.body
        key = taken.channel_id
        known = self._answers.get(key)
        if known is not None and (known.amount, known.reference) == (taken.amount, reference):
            self._keep(key, known)
            if known.body is None:
                raise ApiError(409, "answered", f"the answer had more than {MAX_KEPT} bytes and is not kept: pay again")
            return await asyncio.shield(known.body)
        making = asyncio.create_task(asyncio.to_thread(good.body))
        if known is None or known.amount < taken.amount:
            answer = _Answer(taken.amount, reference, making)
            self._keep(key, answer)
            making.add_done_callback(lambda _: self._made(key, answer, making))
        # Whoever goes away does not take the answer from the others.
        return await asyncio.shield(making)

    def _made(self, key: bytes, answer: _Answer, making: asyncio.Task[bytes]) -> None:
        """Keep an answer that was made, unless it is too long; one that could not be made is made when it is asked for
        again."""
        if self._answers.get(key) is not answer:
            return
        self._drop(key)
        if making.cancelled() or making.exception() is not None:
            return
        if len(making.result()) > MAX_KEPT:
            answer.body = None
        else:
            answer.size += len(making.result())
        self._keep(key, answer)

    def _keep(self, key: bytes, answer: _Answer) -> None:
        """Keep a channel's answer in place of the one before, and all together within bounds."""
        self._drop(key)
        self._answers[key] = answer
        self._kept += answer.size
        while self._kept > MAX_KEPT_TOGETHER:
            self._drop(next(iter(self._answers)))

    def _drop(self, key: bytes) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None:
            self._kept -= answer.size

    def _evidence(self, refusal: RefusedError, signed: SignedVoucher) -> SignedVoucher | None:
        """For a payer who lost its database: its own last voucher, in exchange for an older one."""
        if refusal.code != "stale_voucher" or not self.payee.is_signed(signed):
            return None
        return self.payee.best(signed.channel_id)

    def _payment_required(self, good: Good, code: str, message: str, best: SignedVoucher | None = None) -> web.Response:
        answer: dict[str, Any] = {
            "error": {"code": code, "message": message},
            "terms": self.terms(good.price).to_json(),
        }
        if best is not None:
            answer["best"] = best.text
        return web.json_response(answer, status=402)

    async def list_terms(self, request: web.Request) -> web.Response:
        """Answers /terms."""
        goods = {path: self.terms(good.price).to_json() for path, good in self._goods.items()}
        return web.json_response({"goods": goods})

    async def close(self, request: web.Request) -> web.Response:
        """Signs that a channel may be closed. Only for who has its last voucher: the payee takes none after that."""
        try:
            key = parse_bytes("channel id", request.match_info["id"])
        except MalformedError as error:
            raise ApiError(400, "malformed", str(error)) from error
        signed = read_header(request)
        best = self.payee.best(key)
        least = 0 if best is None else best.amount
        if (
            signed is None
            or signed.channel_id != key
            or signed.amount < least
            or not await asyncio.to_thread(self.payee.is_signed, signed)
        ):
            raise ApiError(
                403,
                "not_the_payer",
                f"send the last voucher of channel 0x{key.hex()} (one over 0 if there is none) in the header {HEADER}",
            )
        try:
            consent = await asyncio.to_thread(self.payee.sign_close, key)
        except ChannelError as error:
            raise ApiError(409, "cannot_close", str(error)) from error
        return web.json_response(consent.to_json())


def read_header(request: web.Request) -> SignedVoucher | None:
    """The voucher of a request, None without one. Raises ApiError (400) for a malformed one, or several."""
    values = request.headers.getall(HEADER, [])
    if not values:
        return None
    if len(values) > 1:
        raise ApiError(400, "malformed", f"there are {len(values)} headers {HEADER}: send one")
    try:
        return SignedVoucher.parse(values[0])
    except MalformedError as error:
        raise ApiError(400, "malformed", f"{HEADER}: {error}") from error


def create_shop(shop: Shop, loop: StepLoop[StepReport]) -> web.Application:
    """The service of a shop whose payee's steps `loop` makes. The caller starts and stops the loop and the desk."""
    app = create_service(loop, MAX_BODY)
    app.add_routes(
        [
            web.get("/terms", shop.list_terms, allow_head=False),
            web.post("/channels/{id}/close", shop.close),
            web.get("/{name:.*}", shop.sell, allow_head=False),
        ]
    )
    return app
