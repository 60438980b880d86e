"""Where blobs are read back: the chain itself has their versioned hashes only.

Consensus nodes keep blobs for 4096 epochs, about 18 days. Every blob is checked against its hash, so it does not matter
who is asked. May import `layer2.chain`, `layer2.optimistic.blobs` and requests.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import requests

from layer2.chain.connection import LOCAL_CHAIN_IDS, BlockRef, Chain
from layer2.chain.errors import ChainError, ChainUnreachableError, DataMissingError, ReorgError
from layer2.optimistic import blobs as kzg
from layer2.optimistic.errors import BlobError

_NOT_THERE: Final = frozenset({400, 404, 405, 410, 501})
"""HTTP answers of a node that does not have a blob, or not this form of the request."""


class BlobSource(Protocol):
    """Somebody who keeps blobs."""

    def fetch(self, transaction: bytes, block: BlockRef, versioned_hash: bytes) -> bytes:
        """The blob with this versioned hash, which the transaction with this hash brought into this block of L1.

        Raises DataMissingError when it is not to be had there, ChainUnreachableError when nobody answers, ReorgError
        when the block has left the chain.
        """
        ...


def blob_source(chain: Chain, beacon: str | None) -> BlobSource:
    """The consensus node at the address `beacon`; without one, on a development chain, Anvil.

    Raises ChainError when there is neither.
    """
    if beacon is not None:
        return BeaconBlobs(chain, beacon)
    if chain.chain_id() not in LOCAL_CHAIN_IDS:
        raise ChainError(
            f"chain {chain.chain_id()} has blobs on its consensus nodes: give the address of one's beacon API"
        )
    return AnvilBlobs(chain)


class AnvilBlobs:
    """Reads blobs from Anvil, which keeps them all."""

    def __init__(self, chain: Chain) -> None:
        """`chain` is an Anvil's."""
        self._chain = chain

    def fetch(self, transaction: bytes, block: BlockRef, versioned_hash: bytes) -> bytes:
        """See `BlobSource`; Anvil needs the transaction only."""
        answer = self._chain.request("anvil_getBlobsByTransactionHash", f"0x{transaction.hex()}")
        try:
            found = _choose([_bytes(blob) for blob in answer or ()], versioned_hash)
        except (TypeError, ValueError) as error:
            raise ChainUnreachableError(
                f"{self._chain.name} answers with nonsense instead of blobs: {error}"
            ) from error
        if found is None:
            raise DataMissingError(
                f"blob 0x{versioned_hash.hex()} of transaction 0x{transaction.hex()} is not known to the node at "
                f"{self._chain.name}: a real chain's blobs are on its consensus nodes, so give the address of one"
            )
        return found


@dataclass(frozen=True)
class _Clock:
    genesis: int
    slot_milliseconds: int


class BeaconBlobs:
    """Reads blobs from a consensus node, over the standard beacon API."""

    def __init__(self, chain: Chain, url: str, *, timeout: float = 30) -> None:
        """url: where the beacon API is. timeout: in seconds, for each request."""
        self._chain = chain
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._known_clock: _Clock | None = None

    def fetch(self, transaction: bytes, block: BlockRef, versioned_hash: bytes) -> bytes:
        """See `BlobSource`."""
        header = self._chain.block(block.number)
        if header is None or header.hash != block.hash:
            raise ReorgError(f"block {block.number} 0x{block.hash.hex()} has left the chain: read the logs again")
        clock = self._clock()
        slot = (header.timestamp - clock.genesis) * 1000 // clock.slot_milliseconds
        try:
            for candidates in self._candidates(slot, versioned_hash):
                found = _choose(candidates, versioned_hash)
                if found is not None:
                    return found
        except (LookupError, TypeError, ValueError) as error:
            raise self._nonsense(error) from error
        raise DataMissingError(
            f"blob 0x{versioned_hash.hex()} of block {block.number} (slot {slot}) is not to be had from {self._url}: "
            "consensus nodes delete blobs after about 18 days, and some never had them all; ask one that keeps them "
            "(an archive or a supernode)"
        )

    def _candidates(self, slot: int, versioned_hash: bytes) -> Iterator[list[bytes]]:
        """What the node has for this slot, from the two forms of the request: nodes have one of them or both."""
        answer = self._get(f"/eth/v1/beacon/blobs/{slot}?versioned_hashes=0x{versioned_hash.hex()}")
        if answer is not None:
            yield [_bytes(blob) for blob in answer["data"]]
        answer = self._get(f"/eth/v1/beacon/blob_sidecars/{slot}")
        if answer is not None:
            yield [
                _bytes(sidecar["blob"])
                for sidecar in answer["data"]
                if kzg.versioned_hash(_bytes(sidecar["kzg_commitment"])) == versioned_hash
            ]

    def _clock(self) -> _Clock:
        if self._known_clock is None:
            genesis, spec = self._get("/eth/v1/beacon/genesis"), self._get("/eth/v1/config/spec")
            try:
                if genesis is None or spec is None:
                    raise LookupError("neither genesis nor configuration")
                # Newer nodes give the one, older ones the other.
                settings = spec["data"]
                milliseconds = settings.get("SLOT_DURATION_MS") or int(settings["SECONDS_PER_SLOT"]) * 1000
                self._known_clock = _Clock(int(genesis["data"]["genesis_time"]), int(milliseconds))
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                raise self._nonsense(error) from error
        return self._known_clock

    def _get(self, path: str) -> Any:
        """The JSON answer, None when the node says that it does not have this."""
        try:
            response = requests.get(self._url + path, timeout=self._timeout, headers={"Accept": "application/json"})
            if response.status_code in _NOT_THERE:
                return None
            if not response.ok:
                raise requests.HTTPError(f"{response.status_code} {response.text[:200]}")
            return response.json()
        except (requests.RequestException, ValueError) as error:
            raise ChainUnreachableError(
                f"the beacon API at {self._url} does not answer {path} ({type(error).__name__}: {error}): "
                "check the address and that the node runs"
            ) from error

    def _nonsense(self, error: Exception) -> ChainUnreachableError:
        return ChainUnreachableError(
            f"{self._url} does not answer as a beacon API does ({type(error).__name__}: {error}): check the address"
        )


def _bytes(text: Any) -> bytes:
    if not isinstance(text, str) or not text.startswith("0x"):
        raise ValueError(f"{str(text)[:40]!r} is not a hex string")
    return bytes.fromhex(text[2:])


def _choose(candidates: list[bytes], versioned_hash: bytes) -> bytes | None:
    """The blob with this hash, if it is among them."""
    for blob in candidates:
        try:
            if kzg.blob_hash(blob) == versioned_hash:
                return blob
        except BlobError:
            continue
    return None
