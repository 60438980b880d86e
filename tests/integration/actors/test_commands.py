"""The commands as a user types them: mistakes get one line and an exit code.

A few are run in a process of their own, `ape run …`; the others as click commands in this one, which is faster.
"""

import json
import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from layer2.chain import deployment
from layer2.chain.rollup import Rollup
from layer2.chain.sending import send
from layer2.crypto.eddsa import PrivateKey
from layer2.node.client import RelayerClient
from layer2.toolchain import PROJECT
from layer2.zk.build import TEST_CIRCUITS, verifying_keys
from tests.support.anvil import Anvil, signer
from tests.support.commands import command, run, run_process, serving

NOWHERE = ["--network", "ethereum:local:http://127.0.0.1:9"]


@pytest.fixture(scope="module")
def file(anvil: Anvil, network: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment with the small circuits, made by the command."""
    folder = tmp_path_factory.mktemp("deploy")
    keys = folder / "keys.json"
    keys.write_text(verifying_keys(TEST_CIRCUITS).to_json())
    output = run_process("deploy", *network, "--keys", str(keys), "--output", str(folder / "rollup.json"))
    assert "development keys: anybody can forge proofs" in output
    deployment.verify(anvil.chain, deployment.read(folder / "rollup.json"))
    return folder / "rollup.json"


@pytest.mark.parametrize("name", sorted(path.stem for path in (PROJECT / "scripts").glob("[!_]*.py")))
def test_help(name: str) -> None:
    cli = command(name)
    commands = [[], *([sub] for sub in getattr(cli, "commands", {}))]
    for arguments in commands:
        shown = CliRunner().invoke(cli, [*arguments, "--help"])
        assert shown.exit_code == 0, shown.output
        assert len(shown.output.splitlines()) > 4


@pytest.mark.parametrize("arguments", [["wallet", "balance"], ["rebuild"]])
def test_no_chain_there(arguments: list[str]) -> None:
    output = run_process(*arguments, *NOWHERE, code=1)
    assert "no node answers at http://127.0.0.1:9: start one" in output


@pytest.mark.parametrize(
    "arguments",
    [
        ["deploy"],
        ["deploy", "--rollup", "optimistic"],
        ["relayer"],
        ["sequencer"],
        ["watch"],
        ["escape"],
        ["demo"],
        ["scenario", "honest"],
        ["channel", "deploy"],
        ["channel", "status"],
    ],
    ids=" ".join,
)
def test_no_chain_there_for_any_command(arguments: list[str]) -> None:
    assert "no node answers at http://127.0.0.1:9: start one" in run(*arguments, *NOWHERE, code=1)


def test_mistakes(anvil: Anvil, network: list[str], file: Path, tmp_path: Path) -> None:
    rollup = ["--deployment", str(file)]
    nobody = ["--relayer", "http://127.0.0.1:9"]
    cases = [
        (["rebuild", *network, "--deployment", str(tmp_path / "none.json")], 1, "there is no deployment file"),
        (["deploy", *network, "--operator", "0x12"], 1, "'0x12' is not an address"),
        (["wallet", "balance", *network, *rollup, *nobody], 1, "no relayer answers at http://127.0.0.1:9"),
        (["wallet", "deposit", "x", *network, *rollup, *nobody, "--new-account"], 1, "amount 'x' is not a number"),
        (["wallet", "send", "1", *network, *rollup, *nobody], 2, "give --to ACCOUNT"),
        (["wallet", "deposit", "1", *network, *rollup, "--to-account", "-1"], 2, "-1 is not in the range"),
        (["wallet", "deposit", "1", *network, *rollup, "--to-account", str(2**32)], 2, "is not in the range"),
        (["wallet", "force-withdraw", str(2**32), *network, *rollup], 2, "is not in the range"),
        (["wallet", "key", *network, *rollup, "--account", "nobody-at-all"], 2, "no such alias"),
        (["relayer", *network, *rollup, "--circuits", str(tmp_path), "--once"], 1, "is missing: run `make"),
    ]
    for arguments, code, message in cases:
        assert message in run(*arguments, code=code)
    arguments, code, message = cases[0]
    assert message in run_process(*arguments, code=code)


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "soon"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["relayer", "--batch-timeout"],
        ["relayer", "--interval"],
        ["sequencer", "--interval"],
        ["sequencer", "--bond"],
        ["watch", "--interval"],
        ["wallet", "withdraw", "1", "--wait"],
        ["channel", "watch", "--interval"],
        ["deploy", "--rollup", "optimistic", "--minimum-stake"],
    ],
    ids=" ".join,
)
def test_times_and_amounts_are_numbers(network: list[str], arguments: list[str], value: str) -> None:
    assert "Invalid value" in run(*arguments, value, *network, code=2)


def test_files_that_are_wrong(anvil: Anvil, network: list[str], file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(file.read_text().replace('"chain_id": 31337', '"chain_id": 5'))
    keys = ["deploy", *network, "--keys"]
    cases = [
        (["rebuild", *network, "--deployment", str(broken)], f"{broken} is not JSON"),
        (["rebuild", *network, "--deployment", str(elsewhere)], "follows chain 31337, the deployment is on chain 5"),
        (["relayer", *network, "--deployment", str(elsewhere)], "follows chain 31337, the deployment is on chain 5"),
        (["wallet", "key", *network, "--deployment", str(elsewhere)], "the deployment is on chain 5"),
        (["escape", *network, "--deployment", str(elsewhere)], "the deployment is on chain 5"),
        ([*keys, str(tmp_path / "none.json")], "none.json"),
        ([*keys, str(broken)], f"{broken}"),
    ]
    for arguments, message in cases:
        assert message in run(*arguments, code=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["deploy", "--output"],
        ["deploy", "--rollup", "optimistic", "--output"],
        ["channel", "deploy", "--output"],
        ["demo", "--picture"],
        ["rebuild", "--output"],
    ],
    ids=" ".join,
)
def test_output_that_cannot_be_written(
    anvil: Anvil, network: list[str], file: Path, tmp_path: Path, arguments: list[str]
) -> None:
    """Known before anything is sent: no gas is spent on contracts whose addresses are then lost."""
    before = anvil.chain.head().number
    for path in (file / "below-a-file.json", tmp_path):
        options = [*network, *(["--deployment", str(file)] if arguments[0] == "rebuild" else [])]
        shown = run(*arguments, str(path), *options, code=2 if path == tmp_path else 1)
        assert "cannot be written" in shown or "is a directory" in shown
    assert anvil.chain.head().number == before


def test_from_deposit_to_payout(anvil: Anvil, network: list[str], file: Path, tmp_path: Path) -> None:
    database = tmp_path / "relayer.sqlite"
    common = [*network, "--deployment", str(file)]
    options = ["--port", "0", "--batch-timeout", "0", "--interval", "0.2", "--serve-withdrawals"]
    with serving("relayer", *common, "--database", str(database), *options) as service:
        url = service.url
        alice = [*common, "--relayer", url, "--account", "1"]

        def reached(batch: int) -> None:
            for _ in range(100):
                if RelayerClient(url).overview()["batch"] == batch:
                    return
                time.sleep(0.5)
            raise AssertionError(f"batch {batch} does not come")

        run("wallet", "faucet", "100", *alice)
        assert "queue entry 0" in run("wallet", "deposit", "100", "--token", "USDC", *alice)
        reached(1)
        assert "verified in batch 2" in run(
            "wallet", "send", "10", "--token", "USDC", "--to", "1", "--wait", "60", *alice
        )
        assert "verified in batch 3" in run("wallet", "withdraw", "60", "--token", "USDC", "--wait", "60", *alice)
        assert "account 1: 40 USDC, nonce 2" in run("wallet", "balance", *alice)

        # Mallory opens an account that names Alice as its owner, with a key of Mallory's: nothing goes there.
        rollup = Rollup(anvil.chain, deployment.read(file))
        bait = rollup.deposit_call(0, 10**9, signer(1).address, 0, PrivateKey.from_seed(b"m" * 32).public_key)
        send(anvil.chain, signer(4), rollup.address, bait, value=10**9)
        reached(4)
        shown = run("wallet", "balance", *alice)
        assert "account 2: 0.000000001 ETH, obeys ANOTHER KEY: pay nothing into it" in shown
        owner, key = re.findall(r"^(?:owner|key) +(\S+)$", run("wallet", "key", *alice), re.MULTILINE)
        payee = ["--to-owner", owner, "--to-key", key]
        run("wallet", "deposit", "2", "--token", "ETH", *alice)
        reached(5)
        assert "account 3: 2 ETH, nonce 0" in run("wallet", "balance", *alice)
        send_ether = ["wallet", "send", "1", "--token", "ETH", *alice]
        assert "which is not the payee named" in run(*send_ether, "--to", "2", *payee, code=1)
        run(*send_ether, "--to", "3", *payee, "--wait", "60")
        assert "paid out" in service.end()
    output = tmp_path / "state.json"
    assert "the same as the contract's" in run("rebuild", *common, "--output", str(output))
    accounts = json.loads(output.read_text())["accounts"]
    balances = [(account["index"], account["balance"]) for account in accounts]
    assert balances == [(1, "40000000"), (2, str(10**9)), (3, str(2 * 10**18))]
    once = run("relayer", *common, "--database", str(database), "--once")
    assert "nothing left to do; batch 6" in once
