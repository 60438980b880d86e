"""Talks to a relayer's HTTP service. May import `layer2.node.wire`, `layer2.ledger`, `layer2.foreign` and requests."""

from dataclasses import dataclass
from typing import Any, Final

import requests

from layer2.foreign import printable
from layer2.ledger.account import Account
from layer2.ledger.operations import SignedOperation
from layer2.node.wire import WireError, account_from_json, address, operation_to_json

DEFAULT_URL: Final = "http://127.0.0.1:8547"


class ServiceError(Exception):
    """A service does not answer, or refuses. `code` is its short name for the reason, "" when it did not answer."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class RelayerClientError(ServiceError):
    """The relayer does not answer, or refuses."""


@dataclass(frozen=True)
class RemoteAccount:
    """An account as the relayer reports it."""

    index: int
    account: Account
    next_nonce: int


@dataclass(frozen=True)
class RemoteStatus:
    """Where a transaction is; see `actors.relayer.TransactionStatus`."""

    state: str
    reason: str | None
    batch_id: int | None
    l1_transaction: str | None


class RelayerClient:
    """The service at a URL. Every method raises RelayerClientError."""

    def __init__(self, url: str = DEFAULT_URL, timeout: float = 30) -> None:
        """timeout: seconds for one answer."""
        self.url = url.rstrip("/")
        self._timeout = timeout

    def send(self, signed: SignedOperation) -> str:
        """Hand in a signed operation; returns its id."""
        return str(self._ask("POST", "/transactions", operation_to_json(signed))["id"])

    def status(self, transaction: str) -> RemoteStatus:
        """Where a transaction is."""
        raw = self._ask("GET", f"/transactions/{transaction}")
        return RemoteStatus(str(raw["state"]), raw.get("reason"), raw.get("batch"), raw.get("l1Transaction"))

    def account(self, index: int) -> RemoteAccount:
        """An account by its index."""
        return self._account(self._ask("GET", f"/accounts/{index}"))

    def accounts_of(self, owner: int) -> list[RemoteAccount]:
        """All accounts of an L1 address."""
        return [self._account(raw) for raw in self._ask("GET", f"/accounts?owner={address(owner)}")["accounts"]]

    def overview(self) -> dict[str, Any]:
        """What /status answers."""
        return self._ask("GET", "/status")

    def _account(self, raw: object) -> RemoteAccount:
        try:
            return RemoteAccount(*account_from_json(raw))
        except WireError as error:
            raise RelayerClientError(f"the relayer at {self.url} answers nonsense: {error}") from error

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        return ask(RelayerClientError, "relayer", method, self.url, path, timeout=self._timeout, json=body)


def ask(
    error: type[ServiceError], who: str, method: str, url: str, path: str, *, timeout: float, **body: Any
) -> dict[str, Any]:
    """The JSON object that a service answers. who: "relayer" or "sequencer". body: as `requests` takes it.

    Raises `error` when nobody answers, when the service refuses (with its code), or when it is no such service.
    """
    try:
        response = requests.request(method, url + path, timeout=timeout, **body)
    except requests.RequestException as problem:
        raise error(
            f"no {who} answers at {url} ({type(problem).__name__}): start one with `ape run {who}`, or give "
            f"its address with --{who}"
        ) from problem
    try:
        raw = response.json()
    except ValueError:
        raw = None
    if response.ok and isinstance(raw, dict):
        return raw
    refusal = raw.get("error") if isinstance(raw, dict) else None
    if isinstance(refusal, dict):
        raise error(printable(str(refusal.get("message"))), str(refusal.get("code")))
    raise error(f"{url} answers {response.status_code} and is no {who}: check the address")
