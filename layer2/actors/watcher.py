"""Says in plain words what is wrong with a batch, and what became of an operation.

May import what the follower may.
"""

from dataclasses import dataclass, fields
from typing import Final

from layer2.actors.optimistic_follower import Examination, OptimisticFollower, OptimisticSync
from layer2.actors.optimistic_store import BatchRow, OptimisticStore, Verdict
from layer2.crypto.keccak import keccak256
from layer2.optimistic.batches import StateWords
from layer2.optimistic.constants import FEE_TOKEN_SHIFT
from layer2.optimistic.operations import Operation, QueueEntry, read_chunk
from layer2.optimistic.transition import Outcome

_WORDS: Final = {
    "state_root": "state root",
    "withdrawal_root": "withdrawal root",
    "next_index": "next free index",
    "queue_cursor": "queue cursor",
    "withdrawal_count": "number of withdrawals",
    "fees": "fees",
}


@dataclass(frozen=True)
class Finding:
    """A batch that is wrong: one line that says so, and lines that say why."""

    row: BatchRow
    headline: str
    details: tuple[str, ...]

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join((self.headline, *(f"  {line}" for line in self.details)))


@dataclass(frozen=True)
class Whereabouts:
    """Where an operation is: `state` is "unknown", "invalid" (in a batch, but without effect), "unchecked", "posted",
    "confirmed", "wrong batch" or "rolled back"; text: the same in a sentence."""

    state: str
    text: str

    @property
    def is_bad(self) -> bool:
        """Whether its sender has to do something."""
        return self.state in ("invalid", "rolled back", "wrong batch")


def explain(follower: OptimisticFollower, row: BatchRow) -> Finding:
    """What is wrong with a batch that was judged wrong."""
    examined = follower.examine(row)
    checked = examined.checked
    number = checked.wrong_chunk
    assert number is not None, f"batch {row.batch_id} is right"
    end = row.header.timestamp + follower.rollup.deployment.challenge_period
    where = f"chunk {number} of {row.header.chunks}"
    return Finding(
        row,
        f"batch {row.batch_id} (0x{row.hash.hex()}) of sequencer {row.header.sequencer} is WRONG: {where} does not do "
        "what the batch claims",
        (*_claims(examined, number), *_suspects(checked.outcomes[number]), f"it can be disputed until {end}"),
    )


def _claims(examined: Examination, number: int) -> list[str]:
    """What the batch claims after its wrong chunk, and what is right."""
    after = examined.checked.after
    if number + 1 < examined.row.header.chunks:
        claimed = examined.chunks[number].commitment
        return [
            f"claimed state after the chunk: commitment 0x{claimed.hex()}",
            f"right state after the chunk:   commitment 0x{after.commitment().hex()}",
        ]
    theirs, ours = examined.row.header.words, StateWords.of(after)
    lines = []
    for name, words in _WORDS.items():
        wrong, right = getattr(theirs, name), getattr(ours, name)
        if wrong != right:
            lines.append(f"it claims {words} {_shown(wrong)}, right is {_shown(right)}")
    return lines


def _suspects(outcomes: tuple[Outcome, ...]) -> list[str]:
    """The operations that are not valid, or a line that says that all are."""
    lines = [
        f"operation {number}, {describe(outcome.operation)}, is not valid and must change nothing: {outcome.reason}"
        for number, outcome in enumerate(outcomes)
        if not outcome.is_valid
    ]
    if not lines:
        count = len(outcomes)
        lines.append(f"all {count} operations of the chunk are valid; the state after them is another one")
    return lines


def describe(operation: Operation) -> str:
    """An operation in words, without its signatures."""
    shown = [
        f"{field.name.replace('_', ' ')} {_shown(getattr(operation, field.name))}"
        for field in fields(operation)
        if "signature" not in field.name and field.name != "expiry"
    ]
    kind = type(operation).__name__
    return f"{kind} ({', '.join(shown)})" if shown else kind


def follow_operation(follower: OptimisticFollower, store: OptimisticStore, key: bytes) -> Whereabouts:
    """What became of a signed operation, known by its id (keccak256 of its encoding)."""
    found: list[tuple[BatchRow, int, int]] = []
    for row in store.all_batches():
        if row.data is None:
            continue
        for chunk, data in enumerate(row.header.decode_data(row.data)):
            for place, operation in enumerate(read_chunk(data.operations)):
                if not isinstance(operation, QueueEntry) and keccak256(operation.encode()) == key:
                    found.append((row, chunk, place))
    name = f"operation 0x{key.hex()}"
    live = [one for one in found if one[0].void is None]
    if not found:
        return Whereabouts("unknown", f"{name} is in no batch on L1 (yet)")
    if not live:
        row = found[-1][0]
        return Whereabouts(
            "rolled back",
            f"{name} was ROLLED BACK with batch {row.batch_id} (0x{row.hash.hex()}) and is in no other batch: it did "
            "not happen, and still can until it expires. Send the same one again; if you sign another one instead, "
            "give it the same nonce, or both may be executed",
        )
    for row, chunk, place in live:
        where = f"batch {row.batch_id}, chunk {chunk}, place {place}"
        if row.verdict is None:
            return Whereabouts("unchecked", f"{name} is in {where}, which cannot be checked yet")
        if row.verdict is not Verdict.RIGHT:
            return Whereabouts("wrong batch", f"{name} is in {where}, which is WRONG: it will be rolled back")
        outcome = follower.examine(row).checked.outcomes[chunk][place]
        if outcome.is_valid:
            break
    else:
        return Whereabouts("invalid", f"{name} is in {where}, but is not valid and had no effect: {outcome.reason}")
    if row.is_confirmed:
        return Whereabouts("confirmed", f"{name} is in {where}, and final")
    end = row.header.timestamp + follower.rollup.deployment.challenge_period
    return Whereabouts("posted", f"{name} is in {where}, which is right; it is final after {end}")


@dataclass(frozen=True)
class Watched:
    """What one look at L1 has shown, in words. findings: batches that are wrong; news: the rest, line by line."""

    findings: tuple[Finding, ...]
    news: tuple[str, ...]


class Watcher:
    """Looks at L1 and says what is wrong. Has no account and sends nothing."""

    def __init__(self, follower: OptimisticFollower, store: OptimisticStore) -> None:
        """The follower may be a challenger's."""
        self._follower = follower
        self._store = store

    def explain(self, row: BatchRow) -> Finding:
        """What is wrong with a batch that was judged wrong."""
        return explain(self._follower, row)

    def look(self) -> Watched:
        """Follow L1 and tell. Raises as `OptimisticFollower.sync` does."""
        return self.tell(self._follower.sync())

    def tell(self, sync: OptimisticSync) -> Watched:
        """What a `sync` has shown."""
        news = []
        if sync.rewound_to is not None:
            news.append(f"L1 reorg: went back to block {sync.rewound_to.number}")
        if sync.queued:
            news.append(f"{sync.queued} new queue entries")
        findings = []
        for row in sync.judged:
            if row.verdict is Verdict.RIGHT:
                news.append(f"batch {row.batch_id} of {row.header.sequencer} is right")
            elif row.verdict is Verdict.WRONG:
                findings.append(self.explain(row))
            else:
                news.append(f"batch {row.batch_id} builds on a wrong one and falls with it")
        if sync.missing is not None:
            news.append(f"batch {sync.missing[0].batch_id} cannot be checked: {sync.missing[1]}")
        for row in sync.voided:
            why = "rolled back" if row.void == "rejected" else "void: the rollup is frozen"
            news.append(f"batch {row.batch_id} (0x{row.hash.hex()}) is {why}; its operations did not happen")
        news += [f"batch {row.batch_id} is confirmed" for row in sync.confirmed]
        lost = self._follower.lost
        if lost is not None:
            news.append(lost)
        return Watched(tuple(findings), tuple(news))


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, tuple):  # fee words
        used = [f"{word % (1 << FEE_TOKEN_SHIFT)} of token {word >> FEE_TOKEN_SHIFT}" for word in value if word]
        return " and ".join(used) or "none"
    if isinstance(value, int) and value >= 1 << 64:
        return f"{value:#x}"
    return str(value)
