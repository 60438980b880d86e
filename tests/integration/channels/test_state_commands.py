"""Channels of two parties by commands: two accounts whose messages are files, and mistakes that get one line.

A few are run in a process of their own, `ape run channel state …`; the others as click commands in this one.
"""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from layer2.chain.coder import coder
from layer2.chain.deploying import deploy_contract
from layer2.chain.sending import send
from layer2.channels import deployment
from layer2.channels.contracts import Channels
from layer2.channels.messages import Signature, message_from_json
from layer2.channels.signing import ETH
from layer2.channels.states import SignedState
from layer2.toolchain import PROJECT
from tests.support import commands
from tests.support.anvil import Anvil, signer
from tests.support.channel_world import ETHER, HOUR, UNIT

COMMANDS = [
    "open",
    "deposit",
    "pay",
    "secret",
    "forward",
    "unlock",
    "receive",
    "resend",
    "drop",
    "export",
    "close",
    "step",
    "status",
]


@pytest.fixture(scope="module")
def file(network: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment made by the command."""
    output = tmp_path_factory.mktemp("deploy") / "channels.json"
    commands.run("channel", "deploy", *network, "--output", str(output))
    return output


@pytest.fixture
def common(network: list[str], file: Path) -> list[str]:
    return [*network, "--deployment", str(file)]


@pytest.fixture
def channels(anvil: Anvil, file: Path) -> Channels:
    return Channels(anvil.chain, deployment.read(file))


@dataclass
class User:
    """An account with a database and messages of the test's own."""

    number: int
    common: list[str]
    folder: Path

    @property
    def address(self) -> str:
        return signer(self.number).address

    @property
    def options(self) -> list[str]:
        return [*self.common, "--account", str(self.number), "--database", str(self.folder / f"{self.number}.sqlite")]

    def run(self, name: str, *arguments: str, code: int = 0) -> str:
        return commands.run("channel", "state", name, *self.options, *arguments, code=code)

    def file(self, name: str) -> Path:
        return self.folder / f"{self.number}-{name}.json"

    def write(self, name: str, *arguments: str) -> Path:
        """Run a command that writes a message. Returns its file."""
        output = self.file(name)
        output.unlink(missing_ok=True)
        self.run(name, *arguments, "--output", str(output))
        return output

    def owes_to(self, channels: Channels) -> int:
        return channels.owed(channels.state_channel, self.address, ETH)


@pytest.fixture
def ann(common: list[str], tmp_path: Path) -> User:
    return User(1, common, tmp_path)


@pytest.fixture
def ben(common: list[str], tmp_path: Path) -> User:
    return User(2, common, tmp_path)


def opened(one: User, other: User, amount: str = "1") -> str:
    """A new channel's id."""
    said = one.run("open", other.address, amount, "--challenge-period", str(HOUR))
    (key,) = re.findall(r"^channel (0x\w{64})$", said, re.MULTILINE)
    return key


def carry(message: Path, to: User, back: User) -> str:
    """Give a message to a user, the answer to the other one, and so on. Returns what the last one was told."""
    while True:
        answer = to.file("answer")
        answer.unlink(missing_ok=True)
        said = to.run("receive", str(message), "--output", str(answer))
        if not answer.exists():
            assert "there is nothing to answer" in said
            return said
        message, to, back = answer, back, to


def test_help() -> None:
    group = commands.command("channel").commands["state"]
    assert isinstance(group, click.Group)
    assert sorted(group.commands) == sorted(COMMANDS)
    for name in ([], *([one] for one in COMMANDS)):
        shown = CliRunner().invoke(group, [*name, "--help"])
        assert shown.exit_code == 0, shown.output
        assert len(shown.output.splitlines()) > 4
        assert not name or "--dust" in shown.output


def test_from_opening_to_the_payout(anvil: Anvil, channels: Channels, ann: User, ben: User) -> None:
    before = [anvil.chain.balance(one.address) for one in (ann, ben)]
    key = opened(ann, ben)
    ben.run("deposit", key, "0.5")
    said = ann.run("status", key)
    assert "deposited 1 ETH by you, 0.5 ETH by the other" in said
    assert "version   0 is signed by both" in said
    carry(ann.write("pay", key, "0.3"), ben, ann)
    said = carry(ben.write("pay", key, "0.1"), ann, ben)
    assert "version   2 is signed by both" in said
    assert "balance   0.8 ETH yours, 0.7 ETH the other's" in said
    assert "balance   0.7 ETH yours, 0.8 ETH the other's" in ben.run("status", key)
    message = ann.write("close", key)
    assert "final     proposed, signed by nobody yet" in ann.run("status")
    assert "closed    with version 3: 0.7 ETH to you, 0.8 ETH to the other" in carry(message, ben, ann)
    for one, got in ((ann, "0.8 ETH to you, 0.7 ETH to the other"), (ben, "0.7 ETH to you, 0.8 ETH to the other")):
        said = one.run("close", key)
        assert f"closed    with version 3: {got}" in said
        assert one.owes_to(channels) == 0
    after = [anvil.chain.balance(one.address) for one in (ann, ben)]
    for had, has, change in zip(before, after, (-0.2, 0.2), strict=True):
        assert abs(has - had - change * ETHER) < 0.01 * ETHER
    assert "is closed on L1" in ann.run("pay", key, "0.1", code=1)


def test_watched_with_the_exported_state(
    anvil: Anvil, channels: Channels, common: list[str], ann: User, ben: User
) -> None:
    """Bob puts an old copy of his database in place, and closes with that; a watchtower has what Alice exported."""
    key = opened(ann, ben)
    assert "is signed by both yet" in ann.run("export", key, code=1)
    carry(ann.write("pay", key, "0.5"), ben, ann)
    old = (ben.folder / "2.sqlite").read_bytes()
    carry(ann.write("pay", key, "0.1"), ben, ann)
    carry(ben.write("pay", key, "0.4"), ann, ben)
    exported = ann.file("state")
    assert "version 3 written" in ann.run("export", key, "--output", str(exported))
    assert json.loads(ann.run("export", key)) == json.loads(exported.read_text())
    assert SignedState.from_json(json.loads(exported.read_text())).state.version == 3
    (ben.folder / "2.sqlite").write_bytes(old)
    said = ben.run("close", key, "--alone", code=1)
    assert "start close (" in said
    assert "closing   by you, version 1 is on the table: to be answered until" in said
    assert "is closing on L1: nothing more is signed" in ben.run("pay", key, "0.1", code=1)
    tower = ["--account", "4", "--database", str(ann.folder / "tower.sqlite"), "--state", str(exported), "--once"]
    said = commands.run("channel", "watch", *common, *tower)
    assert "keeping version 3" in said
    assert "challenge (" in said
    assert "closing   by the other, version 3 is on the table" in ann.run("step")
    anvil.warp(HOUR + 1)
    said = ann.run("step")
    assert "finish close (" in said
    assert "settle (" in said
    said = ann.run("status", key)
    assert f"closed    with version 3: 1 ETH to you, 0 ETH to the other; {ben.address} had published an old" in said
    assert ann.owes_to(channels) == ben.owes_to(channels) == 0


def test_answers_itself(anvil: Anvil, ann: User, ben: User) -> None:
    """Whatever Alice does next, the old state is answered first."""
    key = opened(ann, ben)
    carry(ann.write("pay", key, "0.5"), ben, ann)
    old = (ben.folder / "2.sqlite").read_bytes()
    carry(ben.write("pay", key, "0.2"), ann, ben)
    (ben.folder / "2.sqlite").write_bytes(old)
    ben.run("close", key, "--alone", code=1)
    assert "challenge (" in ann.run("status", key)
    anvil.warp(HOUR + 1)
    said = ann.run("close", key, "--alone")
    assert "closed    with version 2: 0.7 ETH to you, 0.3 ETH to the other" in said
    assert "settle (" in ben.run("step")


def test_closes_alone(anvil: Anvil, ann: User, ben: User) -> None:
    key = opened(ann, ben)
    assert "--nothing-signed goes with --alone" in ann.run("close", key, "--nothing-signed", code=2)
    assert "name the right --database, or say --nothing-signed" in ann.run("close", key, "--alone", code=1)
    assert "start close (" in ann.run("close", key, "--alone", "--nothing-signed", code=1)
    anvil.warp(HOUR + 1)
    assert "finish close (" in ann.run("step")
    assert "closed    with version 0: 1 ETH to you, 0 ETH to the other" in ann.run("status", key)


def test_dust_is_left(anvil: Anvil, ann: User, ben: User) -> None:
    key, dust = opened(ann, ben), ["--dust", str(ETHER)]
    ann.run("close", key, "--alone", "--nothing-signed", code=1)
    anvil.warp(HOUR + 1)
    said = ann.run("step", *dust)
    assert ("finish close (" in said, "settle (" in said) == (True, False)
    assert "owed      1 ETH to you, for all channels: no more than --dust" in ann.run("status", key, *dust)
    assert "settle (" in ann.run("step")


def test_lost_messages(ann: User, ben: User) -> None:
    """Each of the three is lost once."""
    key = opened(ann, ben)
    assert "nothing was ever proposed or signed" in ann.run("resend", key, code=1)
    proposal = ann.write("pay", key, "0.5")
    assert "waiting   version 1 is proposed by you" in ann.run("status", key)
    assert ann.write("resend", key).read_text() == proposal.read_text()
    answer = ben.write("receive", str(proposal))
    assert "waiting   version 1 is signed by you, not by the other" in ben.run("status", key)
    assert ben.write("resend", key).read_text() == answer.read_text()
    ann.write("receive", str(answer))
    assert "there is nothing to answer" in ben.run("receive", str(ann.write("resend", key)))
    for one in (ann, ben):
        assert "version   1 is signed by both" in one.run("status", key)


def test_conditional_payments_over_a_middle_party(common: list[str], tmp_path: Path, ann: User, ben: User) -> None:
    carol = User(3, common, tmp_path)
    first, second = opened(ann, ben), opened(ben, carol)
    hash_ = carol.run("secret", "0.2").strip()
    assert re.fullmatch(r"0x[0-9a-f]{64}", hash_)
    carry(ann.write("pay", first, "0.21", "--if-secret", hash_), ben, ann)
    carry(ben.write("forward", first, hash_, second, "--fee", "0.01"), carol, ben)
    assert f"lock      0.21 ETH to you for {hash_}, until" in ben.run("status", first)
    assert f"lock      0.2 ETH to you for {hash_}, until" in carol.run("status")
    assert "its secret is known here" in carol.run("status")
    assert "1 locks are open: settle them" in carol.run("close", second, code=1)
    carry(carol.write("unlock", second, hash_), ben, carol)
    carry(ben.write("unlock", first, hash_), ann, ben)
    assert "balance   0.79 ETH yours, 0.21 ETH the other's" in ann.run("status", first)
    assert "balance   0.2 ETH yours, 0.8 ETH the other's" in carol.run("status", second)
    carry(ann.write("pay", first, "0.1", "--if-secret", "0x" + "11" * 32), ben, ann)
    carry(ben.write("unlock", first, "0x" + "11" * 32, "--cancel"), ann, ben)
    assert "balance   0.79 ETH yours" in ann.run("status", first)


def test_what_cannot_be_paid_for_is_told(anvil: Anvil, ann: User, ben: User) -> None:
    """Bob closes with an old state, and Alice has no ETH to answer: messages and status need not wait for that."""
    key, other = opened(ann, ben), opened(ann, ben)
    ben.run("status", key)
    old = (ben.folder / "2.sqlite").read_bytes()
    carry(ann.write("pay", key, "0.5"), ben, ann)
    message = ben.write("resend", key)
    final = ben.write("receive", str(ann.write("close", other)))
    (ben.folder / "2.sqlite").write_bytes(old)
    ben.run("close", key, "--alone", "--nothing-signed", code=1)
    balance = anvil.chain.balance(ann.address)
    anvil.request("anvil_setBalance", ann.address, "0x1")
    wanted = f"warning: {ann.address} cannot pay for challenge ("
    try:
        for said in (
            ann.run("status", key),
            ann.run("receive", str(message)),
            ann.run("step", code=1),
            ann.run("close", key, "--alone", code=1),
        ):
            assert said.count(wanted) == 1, said
        assert "cannot pay for this deposit and its gas" in ann.run("deposit", other, "0.000000000000000001", code=1)
        ann.run("receive", str(final))
        assert f"channel {other} is not closed yet: see above" in ann.run("close", other, code=1)
    finally:
        anvil.request("anvil_setBalance", ann.address, hex(balance))
    assert "challenge (" in ann.run("step")


@pytest.mark.parametrize("how", [(), ("--alone",)], ids=["together", "alone"])
def test_a_payout_that_cannot_be_paid_for_is_told(anvil: Anvil, ann: User, ben: User, how: tuple[str, ...]) -> None:
    """Asked for, and not had: that is no success, unless it is dust."""
    key, dust = opened(ann, ben), ["--dust", str(100 * ETHER)]
    balance = anvil.chain.balance(ann.address)
    final = ben.write("receive", str(ann.write("close", key)))
    ann.run("receive", str(final), *dust)
    anvil.request("anvil_setBalance", ann.address, "0x1")
    try:
        said = ann.run("close", key, *how, code=1)
        assert f"warning: {ann.address} cannot pay for settle (" in said
        assert re.search(rf"channel {key} is closed, and \S+ ETH is still owed: see above", said)
        assert "still owed" not in ann.run("close", key, *how, *dust)
    finally:
        anvil.request("anvil_setBalance", ann.address, hex(balance))
    assert "settle (" in ann.run("close", key, *how)


@pytest.mark.parametrize("how", [(), ("--alone",)], ids=["together", "alone"])
def test_money_in_a_token_that_is_not_listed(anvil: Anvil, ann: User, ben: User, how: tuple[str, ...]) -> None:
    """Alice pays with a token that calls itself like a listed one. Bob sees which it is, and has it paid out when he
    says so, by closing what is closed."""
    alice = signer(1)
    token, _ = deploy_contract(anvil.chain, alice, "TestUSDC")
    send(anvil.chain, alice, token, coder("TestUSDC").encode("mint", alice.address, 5 * UNIT))
    said = ann.run("open", ben.address, "5", "--token", token)
    (key,) = re.findall(r"^channel (0x\w{64})$", said, re.MULTILINE)
    said = carry(ann.write("pay", key, "2"), ben, ann)
    assert f'balance   2 token {token} ("USDC") yours, 3 token {token} ("USDC") the other\'s' in said
    carry(ann.write("close", key), ben, ann)
    assert "settle (" not in ben.run("step")
    said = ben.run("status", key)
    assert f"token     {token}\n" in said
    assert f'owed      2 token {token} ("USDC") to you, for all channels: nobody here has vouched' in said
    assert "`close` has it paid out, if you trust it" in said
    said = ben.run("close", key, *how)
    assert "settle (" in said
    assert "closed    with version 2" in said
    assert "owed " not in ben.run("status", key)
    assert "settle (" not in ben.run("close", key, *how)


def test_something_else_is_proposed(ann: User, ben: User) -> None:
    key = opened(ann, ben)
    ann.write("pay", key, "0.5")
    ann.run("drop", key)
    carry(ann.write("pay", key, "0.2"), ben, ann)
    assert "balance   0.2 ETH yours, 0.8 ETH the other's" in ben.run("status", key)


def test_refusals(ann: User, ben: User) -> None:
    """B proposes while A has proposed something: refused, which B is told when it takes the answer."""
    key = opened(ann, ben)
    carry(ann.write("pay", key, "0.5"), ben, ann)
    from_alice, from_bob = ann.write("pay", key, "0.1"), ben.write("pay", key, "0.2")
    answer = ann.file("answer")
    said = ann.run("receive", str(from_bob), "--output", str(answer), code=1)
    assert "refused (busy): this party has proposed something itself" in said
    assert "refuses: this party has proposed something itself" in ben.run("receive", str(answer), code=1)
    carry(from_alice, ben, ann)
    assert "version   2 is signed by both" in ben.run("status", key)


def test_messages_over_pipes(ann: User, ben: User) -> None:
    """Standard output has nothing but the message."""
    key = opened(ann, ben)
    pay = ["state", "pay", *ann.options, key, "0.1"]
    command = [commands.APE, "run", "channel"]
    with subprocess.Popen([*command, *pay], cwd=PROJECT, stdout=subprocess.PIPE) as paying:
        receive = [*command, "state", "receive", *ben.options, "-"]
        done = subprocess.run(receive, cwd=PROJECT, stdin=paying.stdout, capture_output=True, text=True, check=False)
    assert (paying.returncode, done.returncode) == (0, 0), done.stderr
    answer = ben.file("piped")
    answer.write_text(done.stdout)
    assert isinstance(message_from_json(done.stdout), Signature)
    assert f"give the answer to {ann.address}" in done.stderr
    carry(answer, ann, ben)


def test_mistakes(common: list[str], file: Path, tmp_path: Path, ann: User, ben: User) -> None:
    carol = User(3, common, tmp_path)
    key, none = opened(ann, ben), "0x" + "11" * 32
    message = ann.write("pay", key, "0.1")
    malformed, huge, binary, other = (tmp_path / name for name in ("malformed", "huge", "binary", "other"))
    malformed.write_text('{"kind": "proposal"}')
    huge.write_text(" " * 20_000)
    binary.write_bytes(b"\xff\xfe")
    changed = json.loads(message.read_text())
    changed["state"]["channel"] = none
    other.write_text(json.dumps(changed))
    away = ["--network", "ethereum:local:http://127.0.0.1:9", "--deployment", str(file)]
    cases = [
        (ann, ["open", "0x12", "1"], 1, "'0x12' is not an address"),
        (ann, ["open", ben.address, "much"], 1, "amount 'much' is not a number"),
        (
            ann,
            ["open", ben.address, "1", "--challenge-period", "1"],
            1,
            "challengePeriod 1 is not a number from 3600",
        ),
        (ann, ["open", ann.address, "1"], 1, "have to be two"),
        (ann, ["open", ben.address, "99999"], 1, "get more first"),
        (ann, ["deposit", none, "1"], 1, "is no party of a channel 0x1111"),
        (ann, ["pay", "0x12", "1"], 1, "channel id '0x12' is not 0x and 64 hex digits"),
        (ann, ["pay", none, "1"], 1, "is no party of a channel 0x1111"),
        (ben, ["pay", key, "0.1"], 1, "cannot be paid out of a balance of 0"),
        (ann, ["pay", key, "0.2"], 1, "another proposal waits for an answer"),
        (ben, ["pay", key, "1", "--if-secret", "0x12"], 1, "hash '0x12' is not 0x and 64 hex digits"),
        (ann, ["pay", key, "0.2", "--if-secret", none, "--within", "0"], 1, "is past or too far ahead"),
        (ann, ["pay", key, "0.1", "--output", str(tmp_path / "2.sqlite" / "x")], 1, "cannot be written"),
        (ann, ["unlock", key, none], 1, "is not known"),
        (ann, ["forward", key, none, key], 1, "no lock 0x1111"),
        (ann, ["receive", str(tmp_path / "missing")], 2, "does not exist"),
        (ben, ["receive", str(malformed)], 1, "a proposal has a state or a final state"),
        (ben, ["receive", str(huge)], 1, "at most 16384 are read"),
        (ben, ["receive", str(binary)], 1, "holds no message"),
        (ben, ["receive", str(other)], 1, "refused (unknown_channel)"),
        (carol, ["receive", str(message)], 1, "refused (unknown_channel)"),
        (ben, ["drop", key], 1, "there is nothing to withdraw"),
        (ann, ["export", none], 1, "is no party of a channel 0x1111"),
        (ann, ["close", none], 1, "is no party of a channel 0x1111"),
        (ann, ["close", none, "--alone"], 1, "is no party of a channel 0x1111"),
        (ann, ["close", key], 1, "an update is under way: finish it first"),
        (ann, ["status", none], 1, "is no party of a channel 0x1111"),
        (User(5, common, tmp_path), ["status"], 1, "is a party of no channel"),
        (User(1, away, tmp_path), ["status"], 1, "no node answers at http://127.0.0.1:9"),
    ]
    for user, (name, *arguments), code, wanted in cases:
        said = user.run(name, *arguments, code=code)
        assert wanted in said, (name, arguments, said)
        assert len([line for line in said.splitlines() if line.startswith("Error: ")]) <= 1
    carry(message, ben, ann)
    assert "refused (wrong_signature)" in ben.run("receive", str(_forged(ann, key)), code=1)
    for user, arguments, wanted in (
        (ben, ["receive", str(malformed)], "a proposal has a state or a final state"),
        (User(1, away, tmp_path), ["step"], "no node answers at http://127.0.0.1:9"),
    ):
        said = commands.run_process("channel", "state", arguments[0], *user.options, *arguments[1:], code=1)
        assert wanted in said


def _forged(user: User, key: str) -> Path:
    """The user's last signature, with another balance above it."""
    path = user.write("resend", key)
    raw = json.loads(path.read_text())
    state = raw["state"]
    state["balanceA"], state["balanceB"] = state["balanceB"], state["balanceA"]
    path.write_text(json.dumps(raw))
    return path
