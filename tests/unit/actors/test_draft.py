"""A batch in the making is the batch that the specification executes."""

import pytest

from layer2.actors.draft import Draft, DraftFullError
from layer2.crypto.eip712 import address_of
from layer2.ledger.operations import NO_KEY
from layer2.ledger.operations import Operation as QueueOperation
from layer2.optimistic.chunks import execute_batch, pack
from layer2.optimistic.operations import QueueEntry, Transfer, TransferNFT, TransferToNew
from layer2.optimistic.records import Account
from layer2.optimistic.signing import sign_operation
from layer2.optimistic.state import RollupState
from layer2.optimistic.transition import ChunkExecution, Context, Failure

KEY = b"k" * 32
OWNER = address_of(KEY)
DOMAIN = b"d" * 32
FOREVER = 2**32 - 1
ENTRY = QueueOperation.deposit(1, 50, OWNER, NO_KEY, 1).to_slot()


def state() -> RollupState:
    return RollupState.of(8, [Account(OWNER, 1, 0, 10**6), Account(OWNER, 1, 0, 0)])


def transfer(draft: Draft, amount: int = 1) -> tuple[bytes, Transfer, bytes]:
    operation = sign_operation(Transfer(1, 2, amount, 0, FOREVER), draft.find, DOMAIN, KEY)
    return b"id%d" % amount, operation, operation.encode()


def test_is_what_the_specification_executes() -> None:
    draft = Draft(state(), DOMAIN, 1000, [ENTRY])
    bodies = [QueueEntry().encode()]
    for _ in range(40):
        key, operation, body = transfer(draft)
        assert draft.add(key, operation, body).is_valid
        bodies.append(body)
    chunks, final = draft.seal()
    executed = execute_batch(state(), Context(DOMAIN, 1000, 1), pack(bodies), [ENTRY])
    assert chunks == [one.chunk for one in executed]
    assert final.commitment() == executed[-1].after.commitment()
    assert len(chunks) == 3
    assert draft.find(1).balance == 10**6 + 50 - 40


def test_finds_what_it_executed_in_any_chunk() -> None:
    """Records are kept from chunk to chunk; they are those that the tree has, also after what was refused."""
    draft = Draft(state(), DOMAIN, 1000)
    for number in range(40):
        assert draft.add(*transfer(draft)).is_valid
        assert not draft.add(*transfer(draft, 10**7)).is_valid
        assert draft.find(1) == Account(OWNER, 1, number + 1, 10**6 - number - 1)
        assert draft.find(2) == Account(OWNER, 1, 0, number + 1)
        assert draft.find(3) is None
    new = sign_operation(TransferToNew(1, 5, 7, 0, FOREVER), draft.find, DOMAIN, KEY)
    assert draft.add(b"new", new, new.encode()).created == (3,)
    assert draft.find(3) == Account(5, 1, 0, 7)
    _, final = draft.seal()
    assert [draft.find(index) for index in range(1, 5)] == [final.record(index) for index in range(1, 5)]


def test_what_is_not_valid_is_left_out() -> None:
    draft = Draft(state(), DOMAIN, 1000)
    key, operation, body = transfer(draft, 10**7)
    assert draft.add(key, operation, body).failure is Failure.INSUFFICIENT_BALANCE
    assert draft.is_empty
    assert draft.seal()[1].commitment() == state().commitment()


def test_holds_64_chunks() -> None:
    draft = Draft(state(), DOMAIN, 1000, [ENTRY] * 1023)
    assert draft.add(*transfer(draft)).is_valid
    with pytest.raises(DraftFullError):
        draft.add(*transfer(draft))
    chunks, final = draft.seal()
    assert (len(chunks), final.queue_cursor) == (64, 1023)


def test_too_many_queue_entries() -> None:
    with pytest.raises(DraftFullError):
        Draft(state(), DOMAIN, 1000, [ENTRY] * 1025)


def test_a_chunk_ends_when_the_next_operation_is_too_long() -> None:
    """1951 bytes a chunk; entries take one byte each, so nothing but their number ends theirs."""
    draft = Draft(state(), DOMAIN, 1000, [ENTRY] * 15)
    draft.add(*transfer(draft))
    draft.add(*transfer(draft))
    assert [len(chunk.operations) for chunk in draft.seal()[0]] == [15 + Transfer.size(), Transfer.size()]
    assert TransferNFT.size() * 16 < 1951


def test_a_sealed_batch_takes_nothing() -> None:
    draft = Draft(state(), DOMAIN, 1000)
    draft.add(*transfer(draft))
    chunks, final = draft.seal()
    with pytest.raises(DraftFullError):
        draft.add(*transfer(draft))
    assert draft.seal() == (chunks, final)


def test_tries_what_the_next_batch_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fees have four places; an operation with a fifth token is looked at as if none was taken, and nothing changes."""
    draft = Draft(RollupState.of(8, [Account(OWNER, token, 0, 100) for token in range(5)]), DOMAIN, 1000)

    def paying(account: int, amount: int = 1, key: bytes = KEY) -> TransferToNew:
        return sign_operation(TransferToNew(account, 5, amount, 1, FOREVER), draft.find, DOMAIN, key)

    for account in range(1, 5):
        operation = paying(account)
        assert draft.add(b"id", operation, operation.encode()).is_valid
    fifth = paying(5)
    assert draft.add(b"id", fifth, fifth.encode()).failure is Failure.FEES_FULL
    with monkeypatch.context() as patched:
        patched.setattr(ChunkExecution, "finish", lambda self: pytest.fail("hashed"))
        tried = draft.try_in_next(fifth)
        assert draft.try_in_next(paying(5, key=b"j" * 32)).failure is Failure.INVALID_SIGNATURE
        assert draft.try_in_next(paying(5, amount=100)).failure is Failure.INSUFFICIENT_BALANCE
        assert draft.try_in_next(fifth) == tried
    assert draft.find(5) == Account(OWNER, 4, 0, 100)
    _, final = draft.seal()
    assert Draft(final, DOMAIN, 1000).add(b"id", fifth, fifth.encode()) == tried
