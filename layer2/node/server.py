"""Runs an aiohttp application in a thread. May import aiohttp only."""

import asyncio
import threading
from typing import Final

from aiohttp import web

LOOPBACK: Final = "127.0.0.1"


class ServerError(Exception):
    """The service cannot listen where it should."""


class Server:
    """An application that listens in a thread of its own between `start` and `stop`; a context manager."""

    def __init__(self, app: web.Application, host: str = LOOPBACK, port: int = 0) -> None:
        """port: 0 takes a free one; `url` says which."""
        self._app = app
        self._host = host
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="http", daemon=True)
        self._runner = web.AppRunner(app, access_log=None)
        self.url = ""

    def start(self) -> None:
        """Listen. Raises ServerError when the port is taken or the host is not this machine's."""
        self._thread.start()
        try:
            port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        except OSError as error:
            self.stop()
            raise ServerError(
                f"cannot listen on {self._host}:{self._port} ({error.strerror}): choose another --host or --port"
            ) from error
        self.url = f"http://{self._host}:{port}"

    async def _listen(self) -> int:
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        addresses = self._runner.addresses
        return int(addresses[0][1])

    def stop(self) -> None:
        """Stop listening and end the thread."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
