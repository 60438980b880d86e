"""A sequencer that lies, in one named way at a time, and the batches that it makes.

It bonds and submits like any sequencer, but keeps no rules: after any chunk it may claim another state than the one
that came out, and it goes on from its own claim as if that were true.
May import `layer2.optimistic`, `layer2.chain`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from layer2.chain.connection import Receipt
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.chain.sending import send
from layer2.crypto.keccak import keccak256
from layer2.optimistic.batches import BatchHeader, Claim, StateWords
from layer2.optimistic.chunks import Chunk, encode_blob, encode_calldata
from layer2.optimistic.constants import BLOB_BYTES, ELEMENT_BYTES
from layer2.optimistic.records import Account, Record, Withdrawal, leaf
from layer2.optimistic.state import RollupState
from layer2.optimistic.transition import Context, execute_chunk
from layer2.scenarios.people import Person

Lie = Callable[[RollupState], RollupState]
"""Makes the state that is claimed of the state that came out."""


# -------------------------------------------------------------------- lies


def change(index: int, record: Record) -> Lie:
    """The leaf at `index` is this record."""
    return lambda state: replace(state, tree=state.tree.set({index: (leaf(record), record)}))


def mint(index: int, amount: int) -> Lie:
    """The account at `index` has this much more, from nowhere."""

    def lie(state: RollupState) -> RollupState:
        account = _account(state, index)
        return change(index, account._replace(balance=account.balance + amount))(state)

    return lie


def steal(victim: int, thief: int, amount: int) -> Lie:
    """The victim's account paid the thief's, as if the victim had signed for it."""

    def lie(state: RollupState) -> RollupState:
        account = _account(state, victim)
        poorer = account._replace(balance=account.balance - amount, nonce=account.nonce + 1)
        return mint(thief, amount)(change(victim, poorer)(state))

    return lie


def pay_out(owner: int, token: int, amount: int) -> Lie:
    """One more withdrawal, which nobody's account paid for."""

    def lie(state: RollupState) -> RollupState:
        paid = Withdrawal(owner, token, amount)
        place = state.withdrawal_count
        withdrawals = state.withdrawals.set({place: (leaf(paid), paid)})
        return replace(state, withdrawals=withdrawals, withdrawal_count=place + 1)

    return lie


def nothing_happened(before: RollupState) -> Lie:
    """Queue entries were consumed, but changed nothing."""
    return lambda state: replace(before, queue_cursor=state.queue_cursor)


def _account(state: RollupState, index: int) -> Account:
    record = state.record(index)
    assert isinstance(record, Account)
    return record


# -------------------------------------------------------------------- batches


@dataclass(frozen=True)
class Draft:
    """A batch that is ready to be submitted. data: `transactions`, or a blob. after: the state that it claims."""

    parent_hash: bytes
    executed_at: int
    chunks: int
    data: bytes
    is_blob: bool
    words: StateWords
    after: RollupState


@dataclass(frozen=True)
class Submitted:
    """A batch that L1 has accepted, its header, and the transaction's receipt."""

    batch_id: int
    header: BatchHeader
    receipt: Receipt
    after: RollupState

    @property
    def hash(self) -> bytes:
        """What L1 knows the batch by."""
        return self.header.hash


class Cheat:
    """One sequencer that checks nothing. `Person` is who bonds and submits."""

    def __init__(self, rollup: OptimisticRollup, person: Person) -> None:
        self._rollup = rollup
        self.person = person

    def bond(self, wei: int) -> None:
        """Add to its bond."""
        send(self._rollup.chain, self.person.signer, self._rollup.address, self._rollup.bond_call(), value=wei)

    def draft(
        self,
        parent: RollupState,
        chunks: Sequence[bytes],
        queue: Sequence[bytes] = (),
        *,
        lies: Mapping[int, Lie] = MappingProxyType({}),
        is_blob: bool = False,
    ) -> Draft:
        """A batch on the tip: operations of each chunk, and the lie told after a chunk. Without lies it is right.

        parent: the tip's state, or what its sequencer claims of it. queue: the entries that the batch consumes.
        """
        deployment = self._rollup.deployment
        executed_at = self._rollup.chain.head().timestamp
        state = parent.without_fees()
        first = state.queue_cursor
        context = Context(deployment.domain_separator, executed_at, first + len(queue))
        made = []
        for number, operations in enumerate(chunks):
            state, _ = execute_chunk(state, context, operations, queue[state.queue_cursor - first :])
            if number in lies:
                state = lies[number](state)
            made.append(Chunk(state.commitment(), operations))
        data = encode_blob(made) if is_blob else encode_calldata(made)
        return Draft(self._rollup.view("tipHash"), executed_at, len(made), data, is_blob, StateWords.of(state), state)

    def submit(self, draft: Draft) -> Submitted:
        """Submit a batch. Raises RevertedError when the contract refuses it."""
        rollup = self._rollup
        blobs = [draft.data] if draft.is_blob else []
        receipt = send(rollup.chain, self.person.signer, rollup.address, self.call(draft), blobs=blobs)
        (log,) = rollup.chain.logs(
            rollup.address, receipt.block.number, receipt.block.number, [rollup.coder.topic("BatchSubmitted")]
        )
        event = rollup.event(log)
        assert event is not None
        batch = rollup.submitted_batch(event)
        return Submitted(batch.batch_id, batch.header, receipt, draft.after)

    def call(self, draft: Draft) -> bytes:
        """The input of `submitBatch` for a batch."""
        words = draft.words
        # Of the queue's real entries: about the queue a sequencer cannot lie, only about what they did.
        chain = self._rollup.view("queueEntries", words.queue_cursor - 1)[0] if words.queue_cursor else bytes(32)
        claim = Claim(
            draft.executed_at,
            draft.chunks,
            words.next_index,
            words.queue_cursor,
            chain,
            words.withdrawal_root,
            words.withdrawal_count,
            words.fees,
        )
        return self._rollup.submit_call(
            words.state_root, draft.parent_hash, claim, b"" if draft.is_blob else draft.data
        )


def garbage(seed: str) -> bytes:
    """A blob of noise: field elements as good as any, that say nothing."""
    words = (keccak256(f"{seed} {number}".encode()) for number in range(BLOB_BYTES // ELEMENT_BYTES))
    return b"".join(b"\0" + word[1:] for word in words)
