"""Leaving a rollup that nobody runs any more, from L1 data alone; and what the relayer does when it was frozen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from layer2.actors.errors import RelayerError
from layer2.actors.escape import Claim, Escaped, EscapeError, ZKFinalState, escape, zk_reader
from layer2.actors.store import Store
from layer2.chain import deployment
from layer2.chain.deploying import deploy_contract
from layer2.chain.errors import RevertedError
from layer2.chain.rollup import Rollup
from layer2.chain.sending import send
from layer2.node.service import StepLoop
from tests.support.anvil import signer
from tests.support.commands import run
from tests.support.world import UNIT, USDC, World

HELPER = signer(4)
"""Pays for transactions and owns nothing on Layer 2."""


@pytest.fixture(scope="module")
def _waiting_world(_open_world: World) -> World:
    """Alice has 100 - 30 USDC in account 1 and 1 ETH in account 4, Bob 50 + 10 in account 2 and 20 withdrawn, Carol 20
    in account 3. In the queue wait, since now, a forced withdrawal of Carol's and two deposits of Bob's."""
    world = _open_world
    world.deposit(world.alice, 10**18, token=0)
    with world.relayer() as relayer:
        relayer.run_until_idle()
        relayer.submit(world.transfer(world.alice, world.bob, 30 * UNIT, 0))
        relayer.submit(world.withdrawal(world.bob, 20 * UNIT, 0))
        relayer.run_until_idle()
    world.force(world.carol, 3)
    world.deposit(world.bob, 5 * UNIT, account=2)
    world.deposit(world.bob, 10**17, token=0)
    return world


@pytest.fixture
def waiting(_waiting_world: World, tmp_path: Path) -> Iterator[World]:
    """That world, with an empty database."""
    snapshot = _waiting_world.anvil.snapshot()
    _waiting_world.folder = tmp_path
    yield _waiting_world
    _waiting_world.anvil.revert(snapshot)


@pytest.fixture
def stuck(waiting: World) -> World:
    """Nobody takes the queue any more: the rollup can be frozen."""
    waiting.anvil.warp(waiting.deployment.freeze_deadline + 1)
    return waiting


def run_escape(world: World, owner: int, lines: list[str] | None = None, **options: bool) -> Escaped:
    """Everything that an owner has, read from L1 alone."""
    say = (lambda line: None) if lines is None else lines.append
    with Store() as store:
        return escape(zk_reader(world.rollup, store), world.rollup, HELPER, owner, say=say, **options)


def read(world: World) -> ZKFinalState:
    """The final state as it is now."""
    with Store() as store:
        return zk_reader(world.rollup, store)()


def freeze(world: World) -> None:
    send(world.chain, HELPER, world.rollup.address, world.rollup.freeze_call())


# -------------------------------------------------------------------- what escapes


def test_everybody_gets_everything(stuck: World) -> None:
    rollup = stuck.rollup
    owed = {token: rollup.view("held", token) for token in (0, USDC)}
    assert owed == {0: 10**18 + 10**17, USDC: 175 * UNIT}
    lines: list[str] = []
    alice = run_escape(stuck, stuck.alice.owner, lines, freeze=True)
    assert alice.payouts == {USDC: 70 * UNIT, 0: 10**18}
    assert alice.sent == 2
    assert lines[0].startswith("frozen for ever: transaction 0x")
    assert [line.split(",")[0] for line in lines[1:]] == [
        f"account 1: {70 * UNIT} of token 1 credited",
        f"account 4: {10**18} of token 0 credited",
    ]
    bob = run_escape(stuck, stuck.bob.owner)
    assert [claim.what for claim in bob.claims] == ["account 2", "deposit 5 of the queue", "deposit 6 of the queue"]
    assert bob.payouts == {USDC: (60 + 5 + 20) * UNIT, 0: 10**17}
    assert run_escape(stuck, stuck.carol.owner).payouts == {USDC: 20 * UNIT}
    # That is all that is held, and it can be claimed.
    before = stuck.l1_usdc(stuck.bob)
    for user in (stuck.alice, stuck.bob, stuck.carol):
        done = run_escape(stuck, user.owner, claim=True)
        assert (done.sent, done.payouts) == (0, {})
    assert stuck.l1_usdc(stuck.bob) - before == 85 * UNIT
    assert [rollup.view("held", token) for token in (0, USDC)] == [0, 0]
    assert stuck.chain.balance(rollup.address) == rollup.token_view(USDC, "balanceOf", rollup.address) == 0


def test_without_refunds(stuck: World) -> None:
    freeze(stuck)
    bob = run_escape(stuck, stuck.bob.owner, refund=False)
    assert [claim.what for claim in bob.claims] == ["account 2"]
    assert not stuck.rollup.view("isRefunded", 5)


def test_it_may_be_stopped_and_started_again(stuck: World) -> None:
    freeze(stuck)

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        escape(lambda: read(stuck), stuck.rollup, HELPER, stuck.alice.owner, say=stop)
    lines: list[str] = []
    done = run_escape(stuck, stuck.alice.owner, lines)
    assert (done.sent, done.payouts) == (1, {USDC: 70 * UNIT, 0: 10**18})
    assert lines[0] == f"account 1: {70 * UNIT} of token 1, credited before"


def test_somebody_else_is_quicker(stuck: World) -> None:
    """Freezes and escapes for Alice, between her reading and her sending."""
    rollup = stuck.rollup

    def slowly() -> ZKFinalState:
        final = read(stuck)
        leaves = final.leaves

        def later(owner: int) -> list[Claim]:
            claims = leaves(owner)
            send(stuck.chain, HELPER, rollup.address, claims[0].call)
            return claims

        final.leaves = later  # type: ignore[method-assign]
        if not rollup.view("isFrozen"):
            freeze(stuck)
        return final

    lines: list[str] = []
    done = escape(slowly, rollup, HELPER, stuck.alice.owner, freeze=True, say=lines.append)
    assert lines[0] == f"account 1: {70 * UNIT} of token 1, credited by somebody else meanwhile"
    assert (done.sent, done.payouts) == (1, {USDC: 70 * UNIT, 0: 10**18})


def test_an_owner_without_anything(stuck: World) -> None:
    freeze(stuck)
    nobody = run_escape(stuck, 0xDEAD)
    assert (nobody.claims, nobody.sent, nobody.payouts) == ((), 0, {})


def test_a_payee_that_refuses_keeps_nobody_else_waiting(stuck: World) -> None:
    """ETH cannot be paid to a contract that reverts; its tokens can."""
    contract, _ = deploy_contract(stuck.chain, stuck.operator, "RevertingPayee")
    for token, amount in ((0, 10**9), (USDC, UNIT)):
        call = stuck.rollup.deposit_call(token, amount, contract, 0, stuck.carol.key.public_key)
        send(stuck.chain, stuck.carol.signer, stuck.rollup.address, call, value=0 if token else amount)
    freeze(stuck)
    lines: list[str] = []
    rollup = stuck.rollup
    done = run_escape(stuck, int(contract, 16), lines, claim=True)
    assert done.payouts == {0: 10**9}
    assert any("cannot be paid to" in line and "ETHTransferFailed" in line for line in lines)
    assert rollup.token_view(USDC, "balanceOf", contract) == UNIT


# -------------------------------------------------------------------- when it cannot


def test_not_frozen(stuck: World) -> None:
    with pytest.raises(EscapeError, match="is not frozen: withdraw, or force a withdrawal"):
        run_escape(stuck, stuck.alice.owner)
    assert not stuck.rollup.view("isFrozen")


def test_not_due(waiting: World) -> None:
    rollup = waiting.rollup
    _, arrival = rollup.view("queueEntries", rollup.view("queueCursor"))
    due = max(arrival, rollup.tip().timestamp) + waiting.deployment.freeze_deadline + 1
    waiting.anvil.warp(waiting.deployment.freeze_deadline // 2)
    with pytest.raises(EscapeError, match=rf"cannot be frozen before 20.* UTC \({due}; it is"):
        run_escape(waiting, waiting.alice.owner, freeze=True)
    assert not rollup.view("isFrozen")


def test_nothing_waits(waiting: World) -> None:
    with waiting.relayer() as relayer:
        relayer.run_until_idle()
    waiting.anvil.warp(10 * waiting.deployment.freeze_deadline)
    with pytest.raises(EscapeError, match=r"nothing waits in its queue\. Force a withdrawal"):
        run_escape(waiting, waiting.alice.owner, freeze=True)


def test_a_batch_that_comes_after_the_reading(stuck: World) -> None:
    """What was read is not the final state: it is read again."""
    states = iter([_Stale(read(stuck)), read(stuck)])
    done = escape(lambda: next(states), stuck.rollup, HELPER, stuck.alice.owner, freeze=True)
    assert done.payouts == {USDC: 70 * UNIT, 0: 10**18}


def test_a_final_state_that_is_not_the_contracts(stuck: World) -> None:
    freeze(stuck)
    stale = _Stale(read(stuck))
    with pytest.raises(EscapeError, match=r"4 queue entries, L1 data give 0x[0-9a-f]{64} and 3: this program and"):
        escape(lambda: stale, stuck.rollup, HELPER, stuck.alice.owner)
    assert stuck.rollup.payout(stuck.alice.signer.address, USDC) == 0


class _Stale(ZKFinalState):
    """A final state that is one queue entry behind."""

    def __init__(self, final: ZKFinalState) -> None:
        super().__init__(final.contract, final.position, final._queue)

    @property
    def place(self) -> tuple[bytes, int]:
        root, cursor = super().place
        return root, cursor - 1


def test_attack_claims_of_a_state_that_is_not_final(stuck: World) -> None:
    """The contract refuses what the client did not check."""
    rollup = stuck.rollup
    final = read(stuck)
    alice, bob = final.leaves(stuck.alice.owner), final.leaves(stuck.bob.owner)
    for call in (alice[0].call, final.refunds(stuck.bob.owner)[0].call):
        with pytest.raises(RevertedError, match="NotFrozen"):
            send(stuck.chain, HELPER, rollup.address, call)
    freeze(stuck)
    # The owner of a leaf is 32 bytes after the index.
    stolen = bytearray(bob[0].call)
    stolen[4 + 32 : 4 + 64] = alice[0].call[4 + 32 : 4 + 64]
    with pytest.raises(RevertedError, match="InvalidEscapeProof"):
        send(stuck.chain, stuck.alice.signer, rollup.address, bytes(stolen))


# -------------------------------------------------------------------- the relayer


def test_the_relayer_stops_after_a_freeze(stuck: World) -> None:
    freeze(stuck)
    with stuck.relayer(serve_withdrawals=True) as relayer:
        with pytest.raises(RelayerError, match=r"was frozen: it takes no batches any more.*`ape run escape`"):
            relayer.step()
        said: list[Exception] = []
        loop = StepLoop(relayer, 0.01, complain=said.append)
        loop.start()
        loop._thread.join(60)
        assert not loop.is_running
        assert [str(error) for error in said] == [str(loop.fatal)]
    assert stuck.chain.nonce(stuck.operator.address) == stuck.chain.nonce(stuck.operator.address, pending=True)


def test_a_batch_under_way_when_the_rollup_is_frozen(stuck: World) -> None:
    """It was proven, is refused, and the relayer says why."""

    def stop(point: str) -> None:
        if point == "proven":
            raise KeyboardInterrupt

    with stuck.relayer(stop) as relayer, pytest.raises(KeyboardInterrupt):
        relayer.step()
    freeze(stuck)
    with stuck.relayer() as relayer, pytest.raises(RelayerError, match="was frozen"):
        relayer.step()
    assert stuck.rollup.view("queueCursor") == stuck.rollup.view("finalCursor") == 4


# -------------------------------------------------------------------- the command


def test_the_command(stuck: World, tmp_path: Path) -> None:
    file = deployment.write(stuck.deployment, tmp_path / "31337.json")
    common = ["escape", "--network", f"ethereum:local:{stuck.anvil.url}", "--deployment", str(file)]
    bob = stuck.bob.signer.address
    assert "is not frozen" in run(*common, "--account", "1", code=1)
    output = run(*common, "--account", "1", "--freeze")
    assert "frozen for ever: transaction 0x" in output
    assert "account 1: 70 USDC credited, transaction 0x" in output
    assert "account 4: 1 ETH credited, transaction 0x" in output
    assert "to claim: 70 USDC; with --claim it is sent to" in output
    before = stuck.l1_usdc(stuck.bob)
    output = run(*common, "--account", "4", "--owner", bob, "--claim", "--freeze")
    assert "frozen for ever" not in output
    assert "deposit 5 of the queue: 5 USDC credited" in output
    assert f"85 USDC paid to {bob}" in output
    assert stuck.l1_usdc(stuck.bob) - before == 85 * UNIT
    assert "account 2: 60 USDC, credited before" in run(*common, "--account", "4", "--owner", bob)
    helper = HELPER.address
    assert f"{helper} has nothing in the final state" in run(*common, "--account", "4", code=1)
    assert "'0x12' is not an address" in run(*common, "--owner", "0x12", code=1)
    wallet = ["--network", f"ethereum:local:{stuck.anvil.url}", "--deployment", str(file), "--account", "1"]
    assert "claimed 70 USDC" in run("wallet", "claim", "--token", "USDC", *wallet)
    assert "RollupFrozen" in run("wallet", "deposit", "1", "--token", "USDC", "--new-account", *wallet, code=1)
    assert "the same as the contract's" in run("rebuild", *common[1:])


def test_the_command_while_it_is_not_due(waiting: World, tmp_path: Path) -> None:
    file = deployment.write(waiting.deployment, tmp_path / "31337.json")
    common = ["escape", "--network", f"ethereum:local:{waiting.anvil.url}", "--deployment", str(file)]
    assert "cannot be frozen before" in run(*common, "--freeze", code=1)
    assert Rollup(waiting.chain, waiting.deployment).view("isFrozen") is False
