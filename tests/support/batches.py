"""Batch bytes and public inputs as docs/protocol.md §5 defines them, written without the code under test."""

from dataclasses import dataclass, field, replace

from eth_utils import keccak

R = 21888242871839275222246405745257275088548364400416034343698204186575808495617

TRANSFERS, OPERATIONS = 0, 1


@dataclass(frozen=True)
class Sizes:
    """What circuits are made for: tree levels, transfers and operations a segment, fee tokens a segment."""

    levels: int = 4
    transfers: int = 2
    operations: int = 2
    tokens: int = 2

    @property
    def index_size(self) -> int:
        """Bytes of an account index in a transfer."""
        return (2 * self.levels + 7) // 8

    def astuple(self) -> tuple[int, int, int, int]:
        """The argument `sizes` of `BatchVerifier`'s constructor."""
        return (self.levels, self.transfers, self.operations, self.tokens)


def slot(
    kind: int,
    account: int = 0,
    to: int = 0,
    token: int = 0,
    fee: int = 0,
    amount: int = 0,
    owner: str | int = 0,
    key: tuple[int, int] = (0, 0),
) -> bytes:
    """An operation of an `Operations` segment, 112 bytes (§4)."""
    owner = int(owner, 16) if isinstance(owner, str) else owner
    return (
        kind.to_bytes(1)
        + account.to_bytes(4)
        + to.to_bytes(4)
        + token.to_bytes(2)
        + fee.to_bytes(1)
        + amount.to_bytes(16)
        + owner.to_bytes(20)
        + key[0].to_bytes(32)
        + key[1].to_bytes(32)
    )


def transfer(sizes: Sizes, sender: int, to: int, amount: int, fee: int = 0) -> bytes:
    """An operation of a `Transfers` segment; the amount is the 40 bits of a float40 (§5)."""
    return sender.to_bytes(sizes.index_size) + to.to_bytes(sizes.index_size) + amount.to_bytes(5) + fee.to_bytes(1)


@dataclass(frozen=True)
class Segment:
    """A segment's data."""

    circuit: int
    operations: tuple[bytes, ...]
    root: int = 1
    next_index: int = 1
    fees: tuple[tuple[int, int], ...] = ()
    digest: int = 7
    count: int | None = field(default=None)  # what the bytes claim, if not the truth

    def encode(self) -> bytes:
        """The segment's bytes (§5.3)."""
        count = len(self.operations) if self.count is None else self.count
        return (
            self.circuit.to_bytes(1)
            + count.to_bytes(2)
            + self.root.to_bytes(32)
            + (self.next_index.to_bytes(5) if self.circuit == OPERATIONS else b"")
            + len(self.fees).to_bytes(1)
            + b"".join(token.to_bytes(2) + total.to_bytes(16) for token, total in self.fees)
            + b"".join(self.operations)
        )

    def vector(self, sizes: Sizes, domain: int, root_before: int, next_index_before: int, timestamp: int) -> list[int]:
        """The data vector d (§5.1), without padding at the end."""
        indices = (next_index_before << 40) + (self.next_index << 80) if self.circuit == OPERATIONS else 0
        fees = [total + (token << 128) for token, total in self.fees]
        head = [domain, root_before, self.root, timestamp + indices, *fees, *[0] * (sizes.tokens - len(fees))]
        data = b"".join(self.operations)
        if self.circuit == OPERATIONS:
            cuts = [(0, 28), (28, 48), (48, 80), (80, 112)]
            return head + [int.from_bytes(s[a:b]) for s in self.operations for a, b in cuts]
        pair = 2 * (2 * sizes.index_size + 6)
        return head + [int.from_bytes(data[i : i + pair].ljust(pair, b"\0")) for i in range(0, len(data), pair)]

    def public_inputs(
        self, sizes: Sizes, domain: int, root_before: int, next_index_before: int, timestamp: int
    ) -> tuple[int, int]:
        """z and y (§5.2) for the segment's digest."""
        vector = self.vector(sizes, domain, root_before, next_index_before, timestamp)
        head = [self.digest, *vector[: 4 + sizes.tokens]]
        z = int.from_bytes(keccak(b"".join(n.to_bytes(32) for n in head) + b"".join(self.operations))) % R
        return z, sum(d * pow(z, i, R) for i, d in enumerate(vector)) % R


@dataclass(frozen=True)
class Batch:
    """A batch's data."""

    timestamp: int
    segments: tuple[Segment, ...]

    def encode(self) -> bytes:
        """The batch's bytes (§5.3)."""
        return self.timestamp.to_bytes(5) + b"".join(segment.encode() for segment in self.segments)

    @property
    def root(self) -> int:
        """Root after the batch."""
        return self.segments[-1].root

    def public_inputs(self, sizes: Sizes, domain: int, root: int, next_index: int) -> list[tuple[int, int]]:
        """z and y of each segment, after the given root and next index."""
        result = []
        for segment in self.segments:
            result.append(segment.public_inputs(sizes, domain, root, next_index, self.timestamp))
            root = segment.root
            next_index = segment.next_index if segment.circuit == OPERATIONS else next_index
        return result

    def with_segment(self, index: int, **changes: object) -> "Batch":
        """The batch with something about one segment changed."""
        segments = list(self.segments)
        segments[index] = replace(segments[index], **changes)
        return replace(self, segments=tuple(segments))
