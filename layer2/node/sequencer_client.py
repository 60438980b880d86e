"""Talks to a sequencer's HTTP service. May import `layer2.node` and `layer2.optimistic`."""

from dataclasses import dataclass
from typing import Any, Final

from layer2.node.client import ServiceError, ask
from layer2.node.wire import WireError, address, parse_address, parse_number
from layer2.optimistic.operations import Operation
from layer2.optimistic.records import NFT, Account, Pool, Position, Record

DEFAULT_URL: Final = "http://127.0.0.1:8548"


class SequencerClientError(ServiceError):
    """The sequencer does not answer, or refuses."""


@dataclass(frozen=True)
class Accepted:
    """The sequencer has executed an operation: its id, and the indices and withdrawals that it makes."""

    id: str
    created: tuple[int, ...]
    withdrawals: tuple[int, ...]


@dataclass(frozen=True)
class RemoteOperation:
    """Where an operation is; see `actors.sequencer.OperationStatus`."""

    state: str
    reason: str | None
    batch_id: int | None
    l1_transaction: str | None
    final_at: int | None


@dataclass(frozen=True)
class RemoteRecord:
    """A record as the sequencer has executed it, and as the last right batch on L1 has it."""

    index: int
    record: Record
    posted: Record | None


@dataclass(frozen=True)
class OwnAccount:
    """As RemoteRecord, of an account."""

    index: int
    account: Account
    posted: Account | None


class SequencerClient:
    """The service at a URL, which must be that of one rollup. Every method raises SequencerClientError."""

    def __init__(self, url: str, chain_id: int, rollup: str, timeout: float = 30) -> None:
        """rollup: the contract's EIP-55 address. timeout: seconds for one answer."""
        self.url = url.rstrip("/")
        self._rollup = rollup, chain_id
        self._timeout = timeout
        self._is_known = False

    def send(self, operation: Operation) -> Accepted:
        """Hand in a signed operation."""
        raw = self._ask("POST", "/operations", operation.encode())
        try:
            return Accepted(str(raw["id"]), _numbers(raw, "created"), _numbers(raw, "withdrawals"))
        except (WireError, KeyError) as error:
            raise self._nonsense(error) from error

    def status(self, operation: str) -> RemoteOperation:
        """Where an operation is, by its id in hex."""
        raw = self._ask("GET", f"/operations/{operation}")
        try:
            final_at = parse_number(raw["finalAt"], "finalAt") if "finalAt" in raw else None
            return RemoteOperation(
                str(raw["state"]), raw.get("reason"), raw.get("batch"), raw.get("l1Transaction"), final_at
            )
        except (WireError, KeyError) as error:
            raise self._nonsense(error) from error

    def record(self, index: int) -> RemoteRecord | None:
        """What is at an index of the state tree, None when nothing is."""
        try:
            raw = self._ask("GET", f"/records/{index}")
        except SequencerClientError as error:
            if error.code == "unknown_record":
                return None
            raise
        return self._record(raw)

    def accounts_of(self, owner: int) -> list[OwnAccount]:
        """All accounts of an L1 address."""
        raw = self._ask("GET", f"/accounts?owner={address(owner)}").get("accounts")
        if not isinstance(raw, list):
            raise self._nonsense("no list of accounts")
        accounts = []
        for view in map(self._record, raw):
            if not isinstance(view.record, Account) or not isinstance(view.posted, Account | None):
                raise self._nonsense(f"{view} is no account")
            accounts.append(OwnAccount(view.index, view.record, view.posted))
        return accounts

    def overview(self) -> dict[str, Any]:
        """What /status answers, once it is about the right rollup."""
        raw = self._request("GET", "/status", None)
        found = raw.get("rollup"), raw.get("chainId")
        if found != self._rollup:
            raise SequencerClientError(
                f"the service at {self.url} is for rollup {found[0]} on chain {found[1]}, not for {self._rollup[0]} on "
                f"chain {self._rollup[1]}: give the address of its sequencer with --sequencer"
            )
        self._is_known = True
        return raw

    def _record(self, raw: object) -> RemoteRecord:
        try:
            if not isinstance(raw, dict):
                raise WireError("a record is no object")
            posted = raw["posted"]
            return RemoteRecord(
                parse_number(raw["index"], "index"),
                record_from_json(raw),
                None if posted is None else record_from_json(posted),
            )
        except (WireError, KeyError) as error:
            raise self._nonsense(error) from error

    def _nonsense(self, why: object) -> SequencerClientError:
        return SequencerClientError(f"the sequencer at {self.url} answers nonsense: {why}")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        if not self._is_known:
            self.overview()
        return self._request(method, path, body)

    def _request(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        return ask(SequencerClientError, "sequencer", method, self.url, path, timeout=self._timeout, data=body)


def record_from_json(raw: object) -> Record:
    """The inverse of `layer2.node.sequencer_api.record_to_json`. Raises WireError for anything else."""
    if not isinstance(raw, dict):
        raise WireError("a record is no object")
    try:
        match raw["kind"]:
            case "account":
                return Account(
                    parse_address(raw["owner"], "owner"),
                    parse_number(raw["token"], "token"),
                    parse_number(raw["nonce"], "nonce"),
                    parse_number(raw["balance"], "balance"),
                )
            case "pool":
                tokens, reserves = _numbers(raw, "tokens"), _numbers(raw, "reserves")
                return Pool(tokens[0], tokens[1], reserves[0], reserves[1], parse_number(raw["shares"], "shares"))
            case "position":
                return Position(
                    parse_address(raw["owner"], "owner"),
                    parse_number(raw["pool"], "pool"),
                    parse_number(raw["shares"], "shares"),
                )
            case "nft":
                return NFT(
                    parse_address(raw["owner"], "owner"),
                    parse_address(raw["creator"], "creator"),
                    parse_number(raw["nonce"], "nonce"),
                    parse_bytes32(raw["content"], "content"),
                )
            case kind:
                raise WireError(f"kind {str(kind)[:100]!r} is unknown")
    except (KeyError, IndexError) as error:
        raise WireError(f"a record lacks a field or part: {error}") from error


def parse_bytes32(value: object, what: str) -> bytes:
    """32 bytes from 0x and 64 hex digits. Raises WireError naming `what`."""
    try:
        data = bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) and value.startswith("0x") else b""
    except ValueError:
        data = b""
    if len(data) != 32:
        raise WireError(f"{what} {str(value)[:100]!r} is not 32 bytes: give 0x and 64 hex digits")
    return data


def _numbers(raw: dict[str, Any], name: str) -> tuple[int, ...]:
    values = raw[name]
    if not isinstance(values, list):
        raise WireError(f"{name} is no list")
    return tuple(parse_number(value, name) for value in values)
