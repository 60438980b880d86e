"""The commands as a user types them: mistakes get one line and an exit code.

A few are run in a process of their own, `ape run …`; the others as click commands in this one, which is faster.
"""

import json
import time
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from layer2.chain import optimistic_deployment
from layer2.chain.blobs import blob_source
from layer2.optimistic.operations import Transfer
from layer2.optimistic.records import Account
from tests.support.anvil import Anvil, signer
from tests.support.commands import command, run, run_process, serving
from tests.support.optimistic_world import FOREVER, OptimisticWorld, ids, user
from tests.support.wrong_batches import GARBAGE


@pytest.fixture(scope="module")
def file(anvil: Anvil, network: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment made by the command."""
    output = tmp_path_factory.mktemp("deploy") / "rollup.json"
    said = run_process("deploy", "--rollup", "optimistic", *network, "--levels", "8", "--output", str(output))
    assert "deploying CellVerifier" in said
    optimistic_deployment.verify(anvil.chain, optimistic_deployment.read(output))
    return output


@pytest.mark.parametrize("name", ["deploy", "sequencer", "watch", "rebuild"])
def test_help(name: str) -> None:
    shown = CliRunner().invoke(command(name), ["--help"])
    assert shown.exit_code == 0, shown.output
    assert len(shown.output.splitlines()) > 4


def test_mistakes(network: list[str], file: Path, tmp_path: Path) -> None:
    rollup = ["--deployment", str(file)]
    none = ["--deployment", str(tmp_path / "none.json")]
    cases = [
        (["watch", *network, *none, "--once"], 1, "run `ape run deploy --rollup optimistic` on this chain"),
        (["rebuild", *network, *rollup], 1, "is not of format 1"),
        (["deploy", "--rollup", "optimistic", *network, "--operator", "0x12"], 1, "'0x12' is not an address"),
        (["deploy", "--rollup", "optimistic", *network, "--challenge-period", "0"], 1, "challenge_period is 0"),
        (["sequencer", *network, *rollup, "--min-fee", "x"], 2, "write it like 1=1000"),
        (["watch", *network, *rollup, "--operation", "0x12", "--once"], 2, "is not 32 bytes in hex"),
        (
            ["watch", *network, *rollup, "--beacon", "http://127.0.0.1:9", "--account", "nobody", "--dispute"],
            2,
            "alias",
        ),
    ]
    for arguments, code, message in cases:
        assert message in run(*arguments, code=code)
    arguments, code, message = cases[0]
    assert message in run_process(*arguments, code=code)


def test_from_deposit_to_dispute(anvil: Anvil, network: list[str], file: Path, tmp_path: Path) -> None:
    """A sequencer with its service; then its bond is put behind a wrong batch, which is found and disputed."""
    deployment = optimistic_deployment.read(file)
    world = OptimisticWorld(
        anvil, deployment, tmp_path, signer(0), user(1), user(2), user(3), blob_source(anvil.chain, None)
    )
    common = [*network, "--deployment", str(file)]
    database = ["--database", str(tmp_path / "sequencer.sqlite")]
    watched = ["--database", str(tmp_path / "watch.sqlite")]
    world.deposit(world.alice, 100, token=0)
    world.deposit(world.bob, 50, token=0)
    world.alice.account, world.bob.account = 1, 2
    idle = run("sequencer", *common, *database, "--batch-timeout", "0", "--once")
    assert "has a bond of 0 wei and needs 1000000000000000000: add to it (--bond)" in idle
    options = ["--port", "0", "--batch-timeout", "0", "--interval", "0.2", "--bond", "1"]
    with serving("sequencer", *common, *database, *options) as service:
        url = service.url

        def ask(path: str) -> dict[str, object]:
            return requests.get(url + path, timeout=30).json()

        for _ in range(300):
            if ask("/status")["batch"] == 1:
                break
            time.sleep(0.1)
        assert ask("/status")["feeTokens"] == [0, 1]
        assert ask("/records/1")["balance"] == "100"
        account = Account(world.alice.owner, 0, 0, 100)
        body = world.sign(
            world.alice, Transfer(1, 2, 10, 0, FOREVER), {1: account, 2: Account(world.bob.owner, 0, 0, 50)}.get
        )
        answer = requests.post(url + "/operations", data=body, timeout=30)
        assert (answer.status_code, answer.json()["created"]) == (200, [])
        key = answer.json()["id"]
        assert key == f"0x{ids([body])[0].hex()}"
        assert ask("/records/1")["balance"] == "90"
        assert [view["index"] for view in ask(f"/accounts?owner={world.bob.signer.address}")["accounts"]] == [2]
        refused = requests.post(url + "/operations", data=body[:-1] + b"x", timeout=30)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_signature")
        assert requests.post(url + "/operations", data=b"x" * 2000, timeout=30).status_code == 413
        assert requests.get(url + "/operations/0x12", timeout=30).status_code == 400
        assert requests.get(url + "/operations/" + "00" * 32, timeout=30).status_code == 404
        assert requests.get(url + "/records/9", timeout=30).json()["error"]["code"] == "unknown_record"
        assert requests.get(url + "/accounts", timeout=30).status_code == 400
        for _ in range(300):
            if ask(f"/operations/{key}")["state"] == "posted":
                break
            time.sleep(0.1)
        status = ask(f"/operations/{key}")
        assert (status["state"], status["batch"]) == ("posted", 2)
        assert ask("/health") == {"status": "ok"}
        service.end()

    said = run("watch", *common, *watched, "--operation", key, "--once")
    assert "batch 2 of 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 is right" in said
    assert f"operation {key} is in batch 2, chunk 0, place 0, which is right" in said
    assert "all is well" in said
    output = tmp_path / "state.json"
    said = run("rebuild", "--rollup", "optimistic", *common, "--output", str(output))
    assert "batches       2, 0 of them final" in said
    balances = [(record["index"], record["balance"]) for record in json.loads(output.read_text())["accounts"]]
    assert balances == [(1, "90"), (2, "60")]

    world.post(world.make().with_(state_root=GARBAGE))
    said = run("watch", *common, *watched, "--once", code=1)
    assert "batch 3 (0x" in said
    assert "is WRONG: chunk 0 of 1 does not do what the batch claims" in said
    assert "it claims state root 0x1111" in said
    assert "NOT all is well" in said
    assert "is WRONG" in run("watch", *common, *watched, "--once", code=1)  # as long as it stands
    assert "wrong         1 more" in run("rebuild", "--rollup", "optimistic", *common)
    said = run("watch", *common, *watched, "--dispute", "--account", "4", "--once")
    assert "the reward is reserved" in said
    assert "the batch is proven wrong and rolled back" in said
    assert "batch 3 (0x" in said
    assert "is rolled back; its operations did not happen" in said
    assert "all is well" in said
    assert world.rollup.tip().batch_id == 2


def test_a_transfer_that_was_rolled_back(anvil: Anvil, network: list[str], file: Path, tmp_path: Path) -> None:
    """`watch` says so, and ends with 1."""
    snapshot = anvil.snapshot()
    deployment = optimistic_deployment.read(file)
    world = OptimisticWorld(
        anvil, deployment, tmp_path, signer(0), user(1), user(2), user(3), blob_source(anvil.chain, None)
    )
    anvil.mine()
    world.bond(signer(0))
    with world.follower() as follower:
        follower.sync()
        world.alice.account, world.bob.account = 1, 2
        body = world.transfer(world.alice, world.bob, 5, follower.position.state.record)
    world.post(world.make(body).with_(state_root=GARBAGE))
    with world.challenger() as challenger:
        challenger.run_until_idle()
    key = f"0x{ids([body])[0].hex()}"
    database = ["--database", str(tmp_path / "watch.sqlite")]
    said = run("watch", *network, "--deployment", str(file), *database, "--operation", key, "--once", code=1)
    assert f"operation {key} was ROLLED BACK with batch 3" in said
    assert "NOT all is well" in said
    anvil.revert(snapshot)
