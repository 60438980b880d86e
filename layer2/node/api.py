"""The relayer's HTTP service: JSON in and out, for wallets.

POST /transactions               a signed operation → 202 {"id": …}
GET  /transactions/{id}          where it is
GET  /accounts/{index}           an account
GET  /accounts?owner=0x…         all accounts of an L1 address
GET  /status                     rollup, state root, block, pool
GET  /health                     200 when the relayer's last step was good and recent, else 503

Errors are {"error": {"code": …, "message": …}} with a fitting status. May import everything but wallet and scripts.
"""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from layer2.actors.errors import ActorError, RefusedError
from layer2.actors.relayer import AccountView, Relayer, StepReport
from layer2.chain.errors import ChainError
from layer2.node.wire import Json, WireError, account_to_json, operation_from_json, parse_address

MAX_BODY: Final = 16 * 1024
"""Bytes of a request's body; a signed operation takes about one thousand."""

STALE_AFTER: Final = 600
"""Seconds without a finished step after which the service is unhealthy. Proving a large batch takes minutes."""

_RELAYER: Final = web.AppKey("relayer", Relayer)
_LOOP: Final[web.AppKey["StepLoop"]] = web.AppKey("loop")


class StepLoop:
    """Calls a relayer's `step` again and again in a thread of its own."""

    def __init__(
        self,
        relayer: Relayer,
        interval: float = 2,
        *,
        report: Callable[[StepReport], None] = lambda report: None,
        complain: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """interval: seconds between idle steps. report, complain: hear of each step and of each error."""
        self._relayer = relayer
        self._interval = interval
        self._report = report
        self._complain = complain
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relayer", daemon=True)
        self.started = time.monotonic()
        self.last_step: float | None = None
        self.problem: str | None = None
        self.fatal: Exception | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask for the end and wait for the step under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                report = self._relayer.step()
                self.last_step, self.problem = time.monotonic(), None
                self._report(report)
                pause = self._interval if report.is_idle else 0
            except ChainError as error:  # the node may be back soon
                self.problem, pause = str(error), self._interval
                self._complain(error)
            except Exception as error:
                self.problem, self.fatal = str(error), error
                self._complain(error)
                return
            self._stop.wait(pause)


def create_app(relayer: Relayer, loop: StepLoop) -> web.Application:
    """The service for a relayer whose steps `loop` makes. The caller starts and stops the loop."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_errors])
    app[_RELAYER] = relayer
    app[_LOOP] = loop
    app.add_routes(
        [
            web.post("/transactions", _post_transaction),
            web.get("/transactions/{id}", _get_transaction),
            web.get("/accounts/{index}", _get_account),
            web.get("/accounts", _get_accounts),
            web.get("/status", _get_status),
            web.get("/health", _get_health),
        ]
    )
    return app


class _ApiError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except _ApiError as error:
        return _error(error.status, error.code, str(error))
    except WireError as error:
        return _error(400, "malformed", str(error))
    except RefusedError as error:
        status = 409 if error.code in ("nonce_taken", "nonce_used") else 503 if error.code == "pool_full" else 422
        return _error(status, error.code, str(error))
    except web.HTTPRequestEntityTooLarge:
        return _error(413, "too_large", f"a request has at most {MAX_BODY} bytes")
    except web.HTTPException as error:
        return _error(error.status, "http", f"{error.reason}: {request.method} {request.path}")
    except ActorError as error:
        return _error(500, "internal", str(error))


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


async def _post_transaction(request: web.Request) -> web.Response:
    body = await request.read()
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _ApiError(400, "malformed", f"the body is not JSON: {error}") from error
    signed = operation_from_json(raw)
    key = await asyncio.to_thread(request.app[_RELAYER].submit, signed)
    return web.json_response({"id": f"0x{key.hex()}"}, status=202)


async def _get_transaction(request: web.Request) -> web.Response:
    text = request.match_info["id"]
    try:
        key = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise _ApiError(400, "malformed", f"transaction id {text[:100]!r} is not 32 bytes in hex")
    status = await asyncio.to_thread(request.app[_RELAYER].status, key)
    if status is None:
        raise _ApiError(404, "unknown_transaction", f"this relayer knows no transaction 0x{key.hex()}")
    answer: Json = {"id": f"0x{key.hex()}", "state": status.state}
    if status.reason is not None:
        answer["reason"] = status.reason
    if status.batch_id is not None:
        answer["batch"] = status.batch_id
    if status.l1_transaction is not None:
        answer["l1Transaction"] = f"0x{status.l1_transaction.hex()}"
    return web.json_response(answer)


async def _get_account(request: web.Request) -> web.Response:
    text = request.match_info["index"]
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise _ApiError(400, "malformed", f"account index {text[:100]!r} is not a number")
    view = await asyncio.to_thread(request.app[_RELAYER].account, int(text))
    if view is None:
        raise _ApiError(404, "unknown_account", f"there is no account {text}")
    return web.json_response(_view(view))


async def _get_accounts(request: web.Request) -> web.Response:
    if "owner" not in request.query:
        raise _ApiError(400, "malformed", "give an owner: /accounts?owner=0x…")
    owner = parse_address(request.query["owner"], "owner")
    views = await asyncio.to_thread(request.app[_RELAYER].accounts_of, owner)
    return web.json_response({"accounts": [_view(view) for view in views]})


async def _get_status(request: web.Request) -> web.Response:
    relayer = request.app[_RELAYER]
    overview = await asyncio.to_thread(relayer.overview)
    deployment = relayer.rollup.deployment
    return web.json_response(
        {
            "chainId": deployment.chain_id,
            "rollup": deployment.rollup,
            "batch": overview.batch_id,
            "stateRoot": f"{overview.state_root:#066x}",
            "nextIndex": overview.next_index,
            "block": overview.block,
            "pending": overview.pending,
            "queued": overview.queued,
            "ownBatch": overview.proposal,
            "minimumFees": {str(token): str(fee) for token, fee in relayer.config.minimum_fees.items()},
            "defaultMinimumFee": str(relayer.config.default_minimum_fee),
            "problem": request.app[_LOOP].problem,
        }
    )


async def _get_health(request: web.Request) -> web.Response:
    loop = request.app[_LOOP]
    problem = loop.problem
    since = loop.started if loop.last_step is None else loop.last_step
    if problem is None and not loop.is_running:
        problem = "the relayer has stopped"
    elif problem is None and time.monotonic() - since > STALE_AFTER:
        problem = f"no step finished for {time.monotonic() - since:.0f} s"
    if problem is not None:
        return web.json_response({"status": "unhealthy", "problem": problem}, status=503)
    return web.json_response({"status": "ok"})


def _view(view: AccountView) -> Json:
    return account_to_json(view.index, view.account, view.next_nonce)
