"""JSON-RPC over one kept connection a thread, for the tests' chains on this machine.

web3 sends each request through `requests`, which spends 1 ms of CPU on it, eight times what http.client does, and Ape
makes some sixteen requests a transaction: in this suite that is a third of all CPU time. What is sent and what is
answered is the same. Whatever fails is done again by web3 itself, so that errors are those that users see.
"""

import http.client
import threading
from typing import Any
from urllib.parse import urlsplit

from web3 import HTTPProvider

_HEADERS = {"Content-Type": "application/json"}
_with_requests = HTTPProvider._make_request
_kept = threading.local()


def install() -> None:
    """Have web3's HTTP providers in this process use it."""
    HTTPProvider._make_request = _make_request  # type: ignore[method-assign]


def _make_request(provider: HTTPProvider, method: Any, body: bytes) -> bytes:
    place = urlsplit(str(provider.endpoint_uri))
    if place.scheme != "http" or place.hostname != "127.0.0.1" or place.path not in ("", "/"):
        return _with_requests(provider, method, body)
    connections: dict[str, http.client.HTTPConnection] = _kept.__dict__
    connection = connections.pop(place.netloc, None) or http.client.HTTPConnection(place.netloc, timeout=120)
    try:
        connection.request("POST", "/", body, _HEADERS)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return _with_requests(provider, method, body)
    if answer.status != 200 or answer.will_close:
        connection.close()
        return content if answer.status == 200 else _with_requests(provider, method, body)
    connections[place.netloc] = connection
    return content
