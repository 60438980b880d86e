"""The commands as a user types them: mistakes get one line and an exit code.

A few are run in a process of their own, `ape run channel …`; the others as click commands in this one, which is faster.
"""

import json
import re
import socket
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from layer2.channels import deployment
from layer2.channels.contracts import Channels
from layer2.channels.paid import HEADER
from layer2.channels.signing import ETH
from layer2.channels.states import SignedState, State
from layer2.channels.vouchers import SignedVoucher
from tests.support import commands
from tests.support.anvil import Anvil, signer
from tests.support.channel_world import HOUR, ChannelWorld

COMMANDS = [
    "deploy",
    "open",
    "top-up",
    "pay",
    "claim",
    "close",
    "withdraw",
    "status",
    "watch",
    "serve",
    "fetch",
    "state",
]


def run(*arguments: str, code: int = 0) -> str:
    return commands.run("channel", *arguments, code=code)


@pytest.fixture(scope="module")
def file(anvil: Anvil, network: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment made by the command."""
    output = tmp_path_factory.mktemp("deploy") / "channels.json"
    said = commands.run_process("channel", "deploy", *network, "--output", str(output))
    assert "deploying PaymentChannelHub" in said
    deployment.verify(anvil.chain, deployment.read(output))
    return output


@pytest.fixture
def common(network: list[str], file: Path) -> list[str]:
    return [*network, "--deployment", str(file)]


def person(tmp_path: Path, number: int, role: str) -> list[str]:
    """The options of an account's commands, with a database of the test's own."""
    return ["--account", str(number), "--database", str(tmp_path / f"{role}-{number}.sqlite")]


def test_help() -> None:
    command = commands.command("channel")
    assert sorted(command.commands) == sorted(COMMANDS)
    for name in ([], *([one] for one in COMMANDS)):
        shown = CliRunner().invoke(command, [*name, "--help"])
        assert shown.exit_code == 0, shown.output
        assert len(shown.output.splitlines()) > 4


def test_mistakes(anvil: Anvil, common: list[str], network: list[str], file: Path, tmp_path: Path) -> None:
    alice, nobody = person(tmp_path, 1, "payer"), str(tmp_path / "none.json")
    bob, key = signer(2).address, "0x" + "11" * 32
    (tmp_path / "bad.json").write_text("{}")
    bad = str(tmp_path / "bad.json")
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps(json.loads(file.read_text()) | {"chain_id": 1}))
    port = anvil.url.rsplit(":", 1)[1]
    serve = ["serve", *common, *person(tmp_path, 2, "payee"), "--price", "1"]
    cases = [
        (["status", *network, "--deployment", nobody], 1, "run `ape run channel deploy` on this chain"),
        (["status", *network, "--deployment", bad], 1, "is not of format 'channels 1'"),
        (["status", *network, "--deployment", str(elsewhere)], 1, "the deployment is on chain 1: connect to the right"),
        (["status", "--network", "ethereum:local:http://127.0.0.1:9"], 1, "no node answers at http://127.0.0.1:9"),
        (["status", *common, *alice], 1, "is the payer of no such channel"),
        (["open", *common, *alice, "0x12", "1"], 1, "'0x12' is not an address"),
        (["open", *common, *alice, bob, "much"], 1, "amount 'much' is not a number"),
        (["open", *common, *alice, bob, "1", "--token", "DAI"], 1, "token 'DAI' is unknown: give one of ETH, USDC"),
        (["open", *common, *alice, bob, "1", "--withdraw-delay", "1"], 1, "withdrawDelay 1 is not a number from 900"),
        (["open", *common, *alice, bob, "99999"], 1, "get more first"),
        (["open", *common, "--account", "alice", bob, "1"], 2, "no such alias"),
        (["open", *common, *alice, bob], 2, "Missing argument"),
        (["pay", *common, *alice, "0x12", "1"], 1, "channel id '0x12' is not 0x and 64 hex digits"),
        (["pay", *common, *alice, key, "1"], 1, "is the payer of no channel"),
        (["claim", *common, *person(tmp_path, 2, "payee")], 1, "there is nothing to claim"),
        (["claim", *common, *person(tmp_path, 2, "payee"), "--voucher", "x"], 1, "is not of the form 0x<channel>"),
        (["close", *common, *person(tmp_path, 2, "payee"), key], 1, "no channel 0x1111"),
        (["withdraw", *common, *alice, key], 1, "is the payer of no channel"),
        (["watch", *common, *person(tmp_path, 3, "tower"), "--state", bad, "--once"], 1, "holds no signed state"),
        (["watch", *common, "--state", nobody], 2, f"'{nobody}' does not exist"),
        (["watch", *common, "--interval", "0"], 2, "'--interval': 0.0 is not in the range"),
        (["serve", *common, bad], 2, "Missing option '--price'"),
        ([*serve, nobody], 2, f"'{nobody}' does not exist"),
        ([*serve], 2, "Missing argument 'FILE...'"),
        ([*serve, bad, "--port", port], 1, f"cannot listen on 127.0.0.1:{port}"),
        (["serve", *common, *person(tmp_path, 2, "payee"), bad, "--price", "0"], 1, "price 0 is not a number from 1"),
        (["fetch", *common, *alice, "http://127.0.0.1:9/", "--max-price", "1"], 1, "no service answers at"),
    ]
    for arguments, code, message in cases:
        said = run(*arguments, code=code)
        assert message in said, arguments
        assert said.splitlines()[-1].startswith("Error: "), said
    arguments, code, message = cases[0]
    assert message in commands.run_process("channel", *arguments, code=code)


def test_from_opening_to_the_last_wei(anvil: Anvil, common: list[str], file: Path, tmp_path: Path) -> None:
    alice, bob = person(tmp_path, 1, "payer"), person(tmp_path, 2, "payee")
    channels = Channels(anvil.chain, deployment.read(file))
    said = run("open", *common, *alice, signer(2).address, "1.5")
    (key,) = re.findall(r"^channel (0x\w{64})$", said, re.MULTILINE)
    run("top-up", *common, *alice, key, "0.5")
    voucher = run("pay", *common, *alice, key, "0.4", "--reference", "x").split()[-1]
    assert run("pay", *common, *alice, key, "0.4", "--reference", "x").split()[-1] == voucher
    assert SignedVoucher.parse(voucher).amount == 4 * 10**17
    said = run("status", *common, *alice)
    assert f"channel   {key}" in said
    assert "deposited 2 ETH, of which 0 ETH left it" in said
    assert "paid      0.4 ETH, 1.6 ETH left" in said
    said = run("claim", *common, *bob, "--voucher", voucher)
    assert "taken: 0.4 ETH more, 0.4 ETH in all" in said
    assert "claim (" in said
    assert "settle (" in said
    said = run("claim", *common, *bob, "--voucher", voucher, code=1)
    assert "and 400000000000000000 was paid before" in said or "nothing to claim" in said
    assert "of which 0.4 ETH left it" in run("status", *common, *bob, "--payee", key)
    assert "until" in run("withdraw", *common, *alice, key, code=1)
    assert "withdrawal pending: it can be finished after" in run("status", *common, *alice)
    assert "no withdrawal is pending" in run("withdraw", *common, *alice, key, "--cancel")
    run("withdraw", *common, *alice, key, code=1)
    anvil.warp(24 * HOUR + 1)
    said = run("withdraw", *common, *alice, key, "--dust", f"{16 * 10**17}")
    assert "has been paid out, but for 1.6 ETH: no more than --dust" in said
    assert "everything that was left has been paid out\n" in run("withdraw", *common, *alice, key)
    assert channels.hub_channel(bytes.fromhex(key[2:])).deposited == 2 * 10**18
    assert channels.owed(channels.hub, signer(1).address, ETH) == 0


def test_the_payee_closes(common: list[str], tmp_path: Path) -> None:
    alice, bob = person(tmp_path, 1, "payer"), person(tmp_path, 2, "payee")
    said = run("open", *common, *alice, signer(2).address, "1", "--own-key")
    (key,) = re.findall(r"^channel (0x\w{64})$", said, re.MULTILINE)
    voucher = run("pay", *common, *alice, key, "0.4").split()[-1]
    run("claim", *common, *bob, "--voucher", voucher)
    assert "close (" in run("close", *common, *bob, key)
    assert "of which 1 ETH left it" in run("status", *common, *alice, key)


def test_a_service_and_its_buyer(common: list[str], tmp_path: Path) -> None:
    alice, bob = person(tmp_path, 1, "payer"), person(tmp_path, 2, "payee")
    goods = tmp_path / "weather.txt"
    goods.write_text("rain\n")
    options = ["--price", "0.01", "--port", "0", "--interval", "0.1"]
    with commands.serving("channel", "serve", *common, *bob, str(goods), *options) as service:
        url = service.url
        assert f"{url}/weather.txt costs 0.01 ETH" in service.said
        answer = requests.get(f"{url}/weather.txt", timeout=30)
        assert (answer.status_code, answer.json()["terms"]["payee"]) == (402, signer(2).address)
        assert requests.get(f"{url}/weather.txt", headers={HEADER: "x"}, timeout=30).status_code == 400
        said = run("fetch", *common, *alice, f"{url}/weather.txt", "--max-price", "0.009", code=1)
        assert "allow it with --max-price" in said
        fetch = ["fetch", *common, *alice, f"{url}/weather.txt", "--max-price", "0.01", "--deposit", "0.03"]
        said = run(*fetch)
        assert "rain" in said
        assert "status 200, paid 0.01 ETH, 0.01 ETH in all over channel 0x" in said
        said_of_it = run(*fetch, "--output", str(goods / "below-a-file"), code=1)
        assert "cannot be written" in said_of_it  # before anything is paid
        output = tmp_path / "answer"
        assert "0.02 ETH in all" in run(*fetch, "--output", str(output))
        assert output.read_text() == "rain\n"
        assert "0.03 ETH in all" in run(*fetch, "--output", "/dev/null")
        assert "status 404, nothing paid" in run(*fetch[:-5], f"{url}/none", *fetch[-4:], code=1)
        (key,) = re.findall(r"over channel (0x\w{64})", said)
        assert "close (" in run("close", *common, *alice, key, "--url", url)
        assert "of which 0.03 ETH left it" in run("status", *common, *alice, key)
        service.end()


def test_a_service_that_does_not_answer(common: list[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        options = ["--max-price", "0.01", "--answer-within", "1"]
        said = run("fetch", *common, *person(tmp_path, 1, "payer"), url, *options, code=1)
    assert "has not answered within 1 s" in said
    assert "allow more with --answer-within" in said


def test_a_watchtower(anvil: Anvil, common: list[str], file: Path, tmp_path: Path) -> None:
    world = ChannelWorld(anvil, deployment.read(file), tmp_path, *(signer(number) for number in range(5)))
    config = world.open(10**18)
    duplex = world.open_state()
    states = {}
    for version in (1, 2):
        signed = world.signed(State(duplex.id, version, 100, 100, 100 - version, 100 + version))
        states[version] = tmp_path / f"state-{version}.json"
        states[version].write_text(json.dumps(signed.to_json()))
    tower = person(tmp_path, 4, "tower")
    keep = ["--voucher", world.voucher(config, 10**17).text, "--state", str(states[2])]
    said = run("watch", *common, *tower, *keep, "--once")
    assert "keeping a voucher" in said
    assert "keeping version 2" in said
    world.send(world.alice, world.channels.withdrawal_call("start", config))
    old = SignedState.from_json(json.loads(states[1].read_text()))
    world.send(world.alice, world.channels.start_close_call(duplex, old), world.deployment.state_channel)
    said = run("watch", *common, *tower, "--once")
    assert "claim (" in said
    assert "challenge (" in said
    assert world.facts(config).released == 10**17
    bad = world.voucher(config, 2 * 10**17, world.carol).text
    assert "did not sign the voucher" in run("watch", *common, *tower, "--voucher", bad, "--once", code=1)
