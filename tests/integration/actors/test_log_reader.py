"""Logs from a cursor, on a chain that is reorganised."""

import pytest

from layer2.chain.connection import BlockRef, Chain, connect
from layer2.chain.errors import (
    ChainUnreachableError,
    InsufficientFundsError,
    ReorgError,
    RevertedError,
    WrongChainError,
)
from layer2.chain.log_reader import LogReader
from layer2.chain.sending import build, send
from layer2.chain.signer import LocalSigner
from tests.support.world import UNIT, World


def reader(world: World, **options: int) -> LogReader:
    return LogReader(world.chain, world.deployment.rollup, world.deployment.block, **options)


def queued(world: World, logs) -> list[int]:
    events = (world.rollup.event(log) for log in logs)
    return [event.arguments["index"] for event in events if event.name == "OperationQueued"]


@pytest.mark.parametrize("options", [{"confirmations": -1}, {"max_range": 0}])
def test_refuses_nonsense(world: World, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="give numbers from 0 on"):
        reader(world, **options)


def test_everything_once(world: World) -> None:
    logs = reader(world)
    first = logs.read([])
    assert queued(world, first.logs) == [0, 1, 2]
    assert first.is_complete
    assert first.rewind_to is None
    assert first.cursor == world.chain.head().ref
    again = logs.read([first.cursor])
    assert again.logs == ()
    assert again.cursor == first.cursor
    world.deposit(world.alice, UNIT, account=1)
    assert queued(world, logs.read([first.cursor]).logs) == [3]


def test_page_by_page(world: World) -> None:
    logs = reader(world, max_range=2)
    known: list[BlockRef] = []
    found: list[int] = []
    while True:
        page = logs.read(known)
        known.insert(0, page.cursor)
        found += queued(world, page.logs)
        if page.is_complete:
            break
    assert found == [0, 1, 2]
    assert len(known) > 3
    assert known[0] == world.chain.head().ref


def test_confirmations(world: World) -> None:
    world.deposit(world.alice, UNIT, account=1)
    known = [reader(world, confirmations=1).read([]).cursor]
    assert known[0].number == world.chain.head().number - 1
    world.anvil.mine()
    assert queued(world, reader(world, confirmations=1).read(known).logs) == [3]


def test_confirmations_beyond_the_head(world: World) -> None:
    page = reader(world, confirmations=10**6).read([])
    assert page.logs == ()
    assert page.is_complete
    assert page.cursor.number == world.deployment.block - 1


def test_a_reorg_is_noticed_by_the_hash(world: World) -> None:
    logs = reader(world)
    before = logs.read([]).cursor
    snapshot = world.anvil.snapshot()
    world.deposit(world.alice, UNIT, account=1)
    after = logs.read([before]).cursor
    world.anvil.revert(snapshot)
    world.deposit(world.bob, 2 * UNIT, account=2)
    page = logs.read([after, before])
    assert page.rewind_to == before
    assert queued(world, page.logs) == [3]
    assert world.rollup.event(page.logs[0]).arguments["owner"] == world.bob.signer.address.lower()


def test_a_shorter_chain_is_noticed(world: World) -> None:
    logs = reader(world)
    before = logs.read([]).cursor
    snapshot = world.anvil.snapshot()
    world.anvil.mine(5)
    after = logs.read([before]).cursor
    world.anvil.revert(snapshot)
    page = logs.read([after, before])
    assert page.rewind_to == before
    assert page.cursor == before
    assert page.is_complete


def test_nothing_in_common(world: World) -> None:
    page = reader(world).read([BlockRef(world.chain.head().number, b"x" * 32)])
    assert page.rewind_to == BlockRef(world.deployment.block - 1, b"")
    assert queued(world, page.logs) == [0, 1, 2]


def test_a_reorg_during_the_reading(world: World) -> None:
    class Moving(Chain):
        """Loses its last blocks while the logs are asked for."""

        def logs(self, *arguments, **options):
            found = super().logs(*arguments, **options)
            world.anvil.revert(snapshot)
            world.anvil.mine(5)
            return found

    snapshot = world.anvil.snapshot()
    world.deposit(world.alice, UNIT, account=1)
    moving = LogReader(Moving(world.chain.web3), world.deployment.rollup, world.deployment.block)
    with pytest.raises(ReorgError, match="read again"):
        moving.read([])


# -------------------------------------------------------------------- connection


def test_nobody_there() -> None:
    with pytest.raises(ChainUnreachableError, match=r"127\.0\.0\.1:9 does not answer"):
        connect("http://127.0.0.1:9")


def test_wrong_chain(world: World) -> None:
    with pytest.raises(WrongChainError, match="follows chain 31337, not 1"):
        connect(world.anvil.url, 1)


def test_a_refusal_has_the_errors_name(world: World) -> None:
    call = world.rollup.force_withdraw_call(0)
    with pytest.raises(RevertedError, match=r"AccountOutOfRange\(account=0, capacity=256\)") as caught:
        send(world.chain, world.alice.signer, world.rollup.address, call)
    assert caught.value.name == "AccountOutOfRange"


def test_an_account_without_ether(world: World) -> None:
    poor = LocalSigner(b"\1" * 32)
    with pytest.raises(InsufficientFundsError, match="ETH"):
        build(world.chain, poor.address, world.rollup.address, world.rollup.force_withdraw_call(1))
