"""Buys from services that are paid per request: opens a channel if need be, and pays each request with a voucher.

May import everything but scripts.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import requests

from layer2.channels.errors import ChannelError, MalformedError
from layer2.channels.paid import HEADER, Terms
from layer2.channels.payer import Payer, Payment
from layer2.channels.vouchers import MIN_WITHDRAW_DELAY, SignedClose, SignedVoucher

MAX_ANSWER: Final = 16 << 20
"""Bytes of the largest answer that is read."""

MAX_JSON: Final = 16 * 1024
"""Bytes of the longest answer in which terms, errors and closings are looked for."""


class FetchError(ChannelError):
    """The service does not answer, asks for something that is not paid, or refuses. `code`: its short name for it."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Fetched:
    """An answer, and the payment that bought it: None if it was free."""

    status: int
    body: bytes
    content_type: str
    payment: Payment | None


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    content_type: str
    json: dict[str, object] = field(default_factory=dict)


class PayingClient:
    """Fetches for a payer."""

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
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """token: what is paid with, an address, 0 is ETH. max_price: most for one request, in smallest units. deposit:
        of a channel that has to be opened, 0 opens none. withdraw_delay: longest delay of withdrawals that is accepted,
        in seconds. own_key: see `Payer.open`. patience: seconds to wait for the service to notice a new channel.
        """
        self._payer = payer
        self._token = token
        self._max_price = max_price
        self._deposit = deposit
        self._withdraw_delay = withdraw_delay
        self._own_key = own_key
        self._patience = patience
        self._say = say

    def fetch(self, url: str) -> Fetched:
        """GET a URL, and pay for it if that is asked for.

        A payment whose answer got lost is sent again, the same one, when the same URL is fetched again; if it is
        refused then, the URL has to be fetched once more to be paid again. Raises FetchError, ChannelError or
        ChainError.
        """
        answer = self._get(url)
        if answer.status != 402:
            return Fetched(answer.status, answer.body, answer.content_type, None)
        terms = self._terms(answer)
        reference = f"GET {url}"
        self._payer.run_until_idle()
        earlier = self._payer.unanswered(terms.payee, terms.token, reference)
        payment = earlier or self._payer.pay(self._channel(terms), terms.price, reference)
        deadline = time.monotonic() + self._patience
        has_caught_up = False
        while True:
            answer = self._get(url, payment.signed)
            if answer.status < 400:
                self._payer.answered(payment)
                return Fetched(answer.status, answer.body, answer.content_type, payment)
            code, message = _problem(answer)
            is_early = code in ("unknown_channel", "not_synced")
            if is_early and time.monotonic() < deadline:
                time.sleep(0.2)
                self._payer.step()
                continue
            best = answer.json.get("best")
            can_catch_up = code == "stale_voucher" and isinstance(best, str) and not has_caught_up
            if can_catch_up:
                self._payer.catch_up(SignedVoucher.parse(str(best)))
                has_caught_up = True
            if earlier is not None and not is_early and answer.status in (402, 409):
                self._payer.answered(payment)
                raise FetchError(
                    f"{url} answers {answer.status}: {message}; {payment.paid} was paid for it before, and the answer "
                    "is lost: fetch it again to pay again",
                    code,
                )
            if not can_catch_up:
                raise FetchError(f"{url} answers {answer.status}: {message}", code)
            self._payer.answered(payment)
            payment = self._payer.pay(payment.channel_id, terms.price, reference)

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

    def _channel(self, terms: Terms) -> bytes:
        """A channel with enough in it, opened if there is none."""
        payer, price = self._payer, max(terms.price, 1)
        entry = payer.find(terms.payee, terms.token, price, terms.withdraw_delay)
        if entry is None:
            if self._deposit < price:
                raise FetchError(
                    f"no channel to {terms.payee} has {price} left: open one with --deposit, of {price} or more"
                )
            delay = max(terms.withdraw_delay, MIN_WITHDRAW_DELAY)
            config = payer.open(
                terms.payee, self._deposit, token=terms.token, withdraw_delay=delay, own_key=self._own_key
            )
            self._say(f"opening channel 0x{config.id.hex()} with {self._deposit}")
            for report in payer.run_until_idle():
                for move in report.settled:
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
            self._payer.step()
        return channel_id

    def _get(self, url: str, signed: SignedVoucher | None = None) -> _Answer:
        return self._request("GET", url, signed)

    def _request(self, method: str, url: str, signed: SignedVoucher | None) -> _Answer:
        headers = {} if signed is None else {HEADER: signed.text}
        body = bytearray()
        try:
            # Without redirections: a voucher is for the service that was asked.
            with requests.request(
                method, url, headers=headers, timeout=30, allow_redirects=False, stream=True
            ) as response:
                for part in response.iter_content(1 << 16):
                    body += part
                    if len(body) > MAX_ANSWER:
                        raise FetchError(f"{url} answers with more than {MAX_ANSWER} bytes: that is not read")
                status, kind = response.status_code, response.headers.get("Content-Type", "")
        except requests.RequestException as error:
            raise FetchError(
                f"no service answers at {url} ({type(error).__name__}): check the address; a payment that was signed "
                "is sent again when you fetch it again"
            ) from error
        raw = None
        if len(body) <= MAX_JSON:
            with suppress(ValueError, RecursionError):
                raw = json.loads(body)
        return _Answer(status, bytes(body), kind, raw if isinstance(raw, dict) else {})


def _problem(answer: _Answer) -> tuple[str, str]:
    """Code and message of an error."""
    error = answer.json.get("error")
    if isinstance(error, dict):
        return str(error.get("code"))[:100], str(error.get("message"))[:1000]
    return "", "it does not say why"
