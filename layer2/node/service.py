"""What the HTTP services of relayer and sequencer share: the loop of steps, errors as JSON, health.

GET /health                      200 when the actor's last step was good and recent, else 503 with the problem

Errors are {"error": {"code": …, "message": …}} with a fitting status. May import actors and aiohttp.
"""

import signal
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from aiohttp import web

from layer2.actors.errors import ActorError, RefusedError
from layer2.actors.stepping import Report
from layer2.chain.errors import ChainError
from layer2.node.wire import WireError

STALE_AFTER: Final = 600
"""Seconds without a finished step after which a service is unhealthy. Proving a large batch takes minutes."""

_STATUSES: Final = {"nonce_taken": 409, "nonce_used": 409, "pool_full": 503}

R = TypeVar("R", bound=Report)
R_co = TypeVar("R_co", bound=Report, covariant=True)


class Actor(Protocol[R_co]):
    """Whatever steps."""

    def step(self) -> R_co:
        """Do everything that can be done now."""
        ...


class StepLoop(Generic[R]):
    """Calls an actor's `step` again and again in a thread of its own.

    `problem` is why the last step is not good: what it raised, or what its report has as `problem`, if it has that.
    """

    def __init__(
        self,
        actor: Actor[R],
        interval: float = 2,
        *,
        report: Callable[[R], None] = lambda report: None,
        complain: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """interval: seconds between idle steps. report, complain: hear of each step and of each error."""
        self._actor = actor
        self._interval = interval
        self._report = report
        self._complain = complain
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="steps", daemon=True)
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
                report = self._actor.step()
                self.last_step, self.problem = time.monotonic(), getattr(report, "problem", None)
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


class ForegroundLoop(Generic[R]):
    """A program's loop of steps, which a signal ends."""

    def __init__(self, actor: Actor[R], interval: float, tell: Callable[[R], None], say: Callable[[str], None]) -> None:
        """interval: seconds between idle steps. tell: hears of each step. say: gets lines for people."""
        self._stop = threading.Event()
        self._say = say
        self.loop = StepLoop(actor, interval, report=tell, complain=self._complain)

    def _complain(self, error: Exception) -> None:
        self._say(f"error: {error}")
        if self.loop.fatal is not None:
            self._stop.set()

    def run(self) -> None:
        """Until SIGINT or SIGTERM. Raises what made it impossible to go on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._stop.set())
        self.loop.start()
        self._stop.wait()
        self._say("stopping after the step under way")
        self.loop.stop()
        if self.loop.fatal is not None:
            raise self.loop.fatal


LOOP: Final[web.AppKey[StepLoop[Any]]] = web.AppKey("loop")


def create_service(loop: StepLoop[Any], max_body: int) -> web.Application:
    """An application without routes but /health, for an actor whose steps `loop` makes. max_body: bytes."""
    app = web.Application(client_max_size=max_body, middlewares=[_errors])
    app[LOOP] = loop
    app.add_routes([web.get("/health", _get_health)])
    return app


def parse_id(text: str) -> bytes:
    """An operation's id. Raises ApiError."""
    try:
        key = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ApiError(400, "malformed", f"transaction id {text[:100]!r} is not 32 bytes in hex")
    return key


def parse_index(text: str) -> int:
    """An account's index. Raises ApiError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise ApiError(400, "malformed", f"account index {text[:100]!r} is not a number")
    return int(text)


class ApiError(Exception):
    """A request that is answered with an HTTP status, a short code and a message."""

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
    except ApiError as error:
        return _error(error.status, error.code, str(error))
    except WireError as error:
        return _error(400, "malformed", str(error))
    except RefusedError as error:
        status = _STATUSES.get(error.code, 422)
        return _error(status, error.code, str(error))
    except web.HTTPRequestEntityTooLarge:
        return _error(413, "too_large", f"a request has at most {request.client_max_size} bytes")
    except web.HTTPException as error:
        return _error(error.status, "http", f"{error.reason}: {request.method} {request.path}")
    except ActorError as error:
        return _error(500, "internal", str(error))


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


async def _get_health(request: web.Request) -> web.Response:
    loop = request.app[LOOP]
    problem = loop.problem
    since = loop.started if loop.last_step is None else loop.last_step
    if problem is None and not loop.is_running:
        problem = "the loop of steps has stopped"
    elif problem is None and time.monotonic() - since > STALE_AFTER:
        problem = f"no step finished for {time.monotonic() - since:.0f} s"
    if problem is not None:
        return web.json_response({"status": "unhealthy", "problem": problem}, status=503)
    return web.json_response({"status": "ok"})
