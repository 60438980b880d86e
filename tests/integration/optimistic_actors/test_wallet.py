"""`ape run wallet --rollup optimistic`, as a user types it, from the deposit to the payout; mistakes get one line.

One story on one chain with a sequencer in a process of its own: each part goes on from the one before.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layer2.chain import optimistic_deployment
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.node.sequencer_client import SequencerClient
from layer2.optimistic.records import Pool
from layer2.wallet.optimistic import swap_output
from tests.support.anvil import Anvil, signer
from tests.support.commands import run, serving
from tests.support.optimistic_world import UNIT, OptimisticWorld, records
from tests.support.wrong_batches import GARBAGE

CHALLENGE_PERIOD = 3600
CONTENT = "0x" + "17" * 32


@pytest.fixture(scope="module")
def file(network: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("deploy") / "rollup.json"
    period = ["--challenge-period", str(CHALLENGE_PERIOD)]
    run("deploy", "--rollup", "optimistic", *network, "--levels", "8", *period, "--output", str(output))
    return output


@pytest.fixture(scope="module")
def used(anvil: Anvil, file: Path) -> OptimisticRollup:
    return OptimisticRollup(anvil.chain, optimistic_deployment.read(file))


@pytest.fixture(scope="module")
def sequencer_url(network: list[str], file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a sequencer that posts at once."""
    database = tmp_path_factory.mktemp("sequencer") / "sequencer.sqlite"
    options = ["--port", "0", "--batch-timeout", "0", "--interval", "0.2", "--bond", "1", "--data", "calldata"]
    with serving("sequencer", *network, "--deployment", str(file), "--database", str(database), *options) as running:
        yield running.url


Person = Callable[..., str]


@pytest.fixture(scope="module")
def person(network: list[str], file: Path, sequencer_url: str) -> Callable[[int], Person]:
    """What a test account does: `person(1)("deposit", "100")`; the service is there unless another is named."""

    def of(number: int) -> Person:
        def types(*arguments: str, code: int = 0, url: str = sequencer_url) -> str:
            common = [*network, "--deployment", str(file), "--account", str(number), "--sequencer", url]
            return run("wallet", "--rollup", "optimistic", *arguments, *common, code=code)

        return types

    return of


def until(done: Callable[[], bool]) -> None:
    for _ in range(600):
        if done():
            return
        time.sleep(0.1)
    raise AssertionError("it does not come about")


def found(shown: str, what: str) -> str:
    """The rest of the line that begins with `what`."""
    (rest,) = [line.removeprefix(f"{what} ") for line in shown.splitlines() if line.startswith(f"{what} ")]
    return rest


def test_the_whole_story(
    anvil: Anvil, person: Callable[[int], Person], used: OptimisticRollup, sequencer_url: str, tmp_path: Path
) -> None:
    alice, bob = person(1), person(2)
    client = SequencerClient(sequencer_url, 31337, used.address)

    # In.
    assert "holds 1000 USDC on L1" in alice("faucet", "1000")
    assert "queue entry 0" in alice("deposit", "500", "--token", "USDC")
    alice("deposit", "2", "--token", "ETH")
    until(lambda: len(client.accounts_of(int(signer(1).address, 16))) == 2)
    shown = alice("balance")
    assert f"owner {signer(1).address}" in shown
    assert "account 1: 500 USDC, nonce 0" in shown
    assert "account 2: 2 ETH, nonce 0" in shown
    assert alice("key") == f"owner {signer(1).address}\n"

    # Payments: to a new account, and back.
    sent = alice("send", "100.5", "--token", "USDC", "--to-owner", signer(2).address, "--fee", "0.01", "--wait", "60")
    assert found(sent, "makes index") == "3"
    assert "posted in batch " in sent
    assert "can be disputed until " in sent
    assert "posted in batch " in alice("status", found(sent, "operation"))
    bob("send", "0.5", "--token", "USDC", "--to", "1", "--to-owner", signer(1).address)
    assert "account 3: 100 USDC, nonce 1" in bob("balance")
    assert "nextIndex          4" in bob("status")

    # A pool, and swaps in both directions.
    made = alice("pool", "create", "1", "ETH", "200", "USDC")
    assert found(made, "makes index") == "4, 5"
    assert "gives 1 ETH and 200 USDC" in made
    assert "pool 4: 1 ETH and 200 USDC" in alice("show", "4")
    before = client.record(4)
    swapped = alice("swap", "10", "4", "--token", "USDC", "--for", "ETH", "--minimum", "0.04")
    after = client.record(4)
    assert before is not None
    assert after is not None
    assert isinstance(before.record, Pool)
    assert isinstance(after.record, Pool)
    assert before.record.reserve_a - after.record.reserve_a == swap_output(before.record, 1, 10_000_000)
    assert "gives 10 USDC\ngets 0.0474829" in swapped
    alice("swap", "0.01", "4", "--for", "USDC", "--slippage", "0")
    added = alice("pool", "add", "4", "0.1", "ETH", "21.6", "USDC", "--slippage", "0.5")
    assert "gives 0.1 ETH and 21.59" in added
    assert "makes index 6" in added
    alice("pool", "add", "4", "0.1", "ETH", "21.5", "USDC", "--position", "6")
    taken = alice("pool", "remove", "6", "0.2", "ETH", "43.2", "USDC", "--wait", "60")
    assert "gets 0.1999" in taken
    assert "posted in batch" in taken
    assert "position 6: 0 shares of pool 4" in alice("show", "6")

    # An NFT, given away, given back and sold.
    assert "makes index 7" in alice("nft", "mint", CONTENT)
    alice("nft", "transfer", "7", signer(2).address)
    bob("nft", "transfer", "7", signer(1).address, "--token", "USDC")
    offer = tmp_path / "offer.json"
    assert "NFT 7 for 25 USDC until " in alice("nft", "offer", "7", "25", "--token", "USDC", "--output", str(offer))
    usdc = ["--token", "USDC"]
    buy = ["nft", "buy", str(offer), *usdc, "--price"]
    assert "the offer asks for 25 USDC, not 24 USDC: agree first" in bob(*buy, "24", "--yes", code=1)
    assert "the offer asks for 25 USDC, not 25 ETH" in bob(*buy, "25", "--token", "ETH", "--yes", code=1)
    asked = bob(*buy, "25", code=1)
    assert f"NFT 7, content {CONTENT}, created by {signer(1).address}, sold by {signer(1).address} for 25 USDC" in asked
    assert "Buy it? [y/N]: \nAborted!" in asked
    assert f"owner {signer(1).address}" in bob("show", "7")
    for field, value, message in (
        ("price", "24000000", "the offer is not signed by"),
        (
            "content",
            "0x" + "18" * 32,
            f"NFT 7 has content {CONTENT} by {signer(1).address}, which is not what the offer",
        ),
        ("creator", signer(2).address, f"NFT 7 has content {CONTENT} by {signer(1).address}, which is not what the"),
        ("nonce", 3, "the offer of NFT 7 is over: it was handed on"),
        ("expiry", 1, "the offer expired at 1970-01-01 00:00:01 UTC"),
        ("chainId", 5, f"the offer is for rollup {used.address} on chain 5"),
        ("signature", "0x12", "the signature has 1 bytes, not 64"),
        ("seller", "alice", "seller: "),
        ("token", 2**16, "token 65536 has more than 16 bits"),
        ("expiry", 10**12, "expiry 1000000000000 has more than 32 bits"),
    ):
        forged = tmp_path / "forged.json"
        forged.write_text(json.dumps(json.loads(offer.read_text()) | {field: value}))
        price = "24" if field == "price" else "25"
        assert message in bob("nft", "buy", str(forged), *usdc, "--price", price, "--yes", code=1)
    bob(*buy, "25", "--yes", "--wait", "60")
    assert f"owner {signer(2).address}, creator {signer(1).address}, handed on 3 times" in bob("show", "7")
    assert "account 3: 75 USDC, nonce 2" in bob("balance")
    assert "the offer of NFT 7 is over: it was handed on" in bob(*buy, "25", "--yes", code=1)
    assert f"NFT 7 belongs to {signer(2).address}" in alice("nft", "transfer", "7", signer(1).address, code=1)

    # Out: a withdrawal, and one that needs no service.
    assert "there is no USDC to claim" in bob("claim", "--token", "USDC", url="http://127.0.0.1:9", code=1)
    withdrawn = bob("withdraw", "70.000001", "--token", "USDC", "--wait", "60")
    assert found(withdrawn, "makes withdrawal") == "0"
    early = bob("claim", "--token", "USDC", code=1)
    assert "withdrawal 0 of 70.000001 USDC is in batch " in early
    assert "which is not final before " in early
    assert "queued: transaction" in bob("force-withdraw", "3", url="http://127.0.0.1:9")
    until(lambda: used.view("queueCursor") == used.view("queueTail"))
    anvil.warp(CHALLENGE_PERIOD + 1)
    until(lambda: used.view("confirmedBatchId") == used.view("currentBatchId"))
    assert "confirmed in batch " in bob("status", found(withdrawn, "operation"))
    database = tmp_path / "claims.sqlite"
    read = ["--database", str(database)]
    claimed = bob("claim", "--token", "USDC", *read, url="http://127.0.0.1:9")
    assert "withdrawal 0 of 70.000001 USDC credited" in claimed
    assert "withdrawal 1 of 4.999999 USDC credited" in claimed
    assert "claimed 75 USDC: transaction 0x" in claimed
    assert used.token_view(1, "balanceOf", signer(2).address) == 75 * 10**6
    again = bob("claim", "--token", "USDC", *read, code=1)
    assert "no USDC is left to claim: withdrawal 0, 1 was already claimed and paid out" in again


def test_mistakes(anvil: Anvil, person: Callable[[int], Person], tmp_path: Path) -> None:
    """After the story: account 1 is Alice's, of USDC."""
    alice, nobody = person(1), person(3)
    send = ["send", "--token", "USDC"]
    fees = ["--to", "1", "--fee"]
    eth, both = ["--for", "ETH"], ["1", "ETH", "1", "USDC"]
    cases: list[tuple[Person, list[str], int, str]] = [
        (alice, [*send, "1"], 2, "give --to ACCOUNT, or --to-owner"),
        (alice, [*send, "1", "--to", "1", "--to-key", "1,2"], 2, "no keys on the optimistic rollup"),
        (alice, [*send, "1", "--to", "99"], 1, "there is no account 99: give the recipient's owner"),
        (alice, [*send, "1", "--to", "2"], 1, "account 2 does not hold USDC"),
        (alice, [*send, "1", "--to", "3", "--to-owner", signer(4).address], 1, "which is not the payee named"),
        (alice, [*send, "1", "--to-owner", "0x12"], 1, "--to-owner: '0x12' is not an address"),
        (
            alice,
            [*send, "34359.738369", "--to", "3"],
            1,
            "are 34359.738367 USDC and 34359.73837 USDC",
        ),
        (alice, [*send, "1", *fees, "0.000017"], 1, "the nearest fees are 0.000015 USDC and 0.00002 USDC"),
        (alice, [*send, "300", "--to", "3"], 1, "account 1 holds"),
        (alice, ["withdraw", "1", "--token", "XYZ"], 1, "token 'XYZ' is unknown"),
        (nobody, ["withdraw", "1"], 1, "has no ETH account on this rollup: deposit"),
        (alice, ["swap", "1", "1", "--token", "USDC", *eth], 1, "there is no pool 1: an account has this index"),
        (alice, ["swap", "1", "4", "--token", "USDC", *eth, "--minimum", "1"], 1, "ETH now, less than 1 ETH"),
        (alice, ["swap", "1", "4", *eth], 1, "pool 4 is not of ETH and ETH: name one that is"),
        (alice, ["swap", "1", "4", *eth, "--slippage", "101"], 2, "is no percentage"),
        (alice, ["pool", "add", "4", "1", "ETH", "1", "USDC"], 1, "USDC belong to 1 ETH in pool 4 now, not 1 USDC"),
        (alice, ["pool", "add", "4", "1", "USDC", "1", "ETH"], 1, "pool 4 is not of USDC and ETH in this order"),
        (alice, ["pool", "create", "1", "ETH", "1", "eth"], 1, "swaps nothing: give two tokens"),
        (nobody, ["pool", "remove", "5", *both], 1, f"position 5 belongs to {signer(1).address}"),
        (alice, ["pool", "remove", "5", "1000", "ETH", "1", "USDC"], 1, "now, less than 1000 ETH and 1 USDC"),
        (alice, ["pool", "remove", "6", *both], 1, "position 6 has 0 shares"),
        (alice, ["nft", "mint", "hello"], 1, "content 'hello' is not 32 bytes"),
        (alice, ["nft", "offer", "7", "1", "--output", "/proc/offer"], 1, "/proc/offer cannot be written"),
        (alice, ["nft", "offer", "9", "1", "--output", str(tmp_path / "offer")], 1, "there is no NFT 9: nothing has"),
        (
            alice,
            ["nft", "buy", __file__, "--price", "1", "--token", "ETH"],
            1,
            "this is no offer of `ape run wallet nft offer`",
        ),
        (alice, ["show", "99"], 1, "there is nothing at index 99"),
        (alice, ["status", "0x12"], 1, "is not 32 bytes in hex"),
        (alice, ["force-withdraw", "256"], 1, "AccountOutOfRange"),
        (alice, ["deposit", "100000000", "--token", "USDC"], 1, "get more first"),
    ]
    for who, arguments, code, message in cases:
        assert message in who(*arguments, code=code), arguments
    assert "no sequencer answers at http://127.0.0.1:9" in alice("balance", url="http://127.0.0.1:9", code=1)
    assert "is no sequencer: check" in alice("balance", url=anvil.url, code=1)
    assert "or say --new-account" in alice("deposit", "1", url="http://127.0.0.1:9", code=2)


def test_another_chain_or_rollup(
    anvil: Anvil, network: list[str], file: Path, sequencer_url: str, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps(json.loads(file.read_text()) | {"chain_id": 5}))
    options = [*network, "--account", "1", "--sequencer", sequencer_url]
    shown = run("wallet", "--rollup", "optimistic", "key", *options, "--deployment", str(elsewhere), code=1)
    assert "the deployment is on chain 5" in shown
    other = tmp_path / "other.json"
    run("deploy", "--rollup", "optimistic", *network, "--levels", "8", "--output", str(other))
    shown = run("wallet", "balance", "--rollup", "optimistic", *options, "--deployment", str(other), code=1)
    assert "give the address of its sequencer with --sequencer" in shown
    assert "the ZK rollup has no swap" in run("wallet", "--rollup", "zk", "swap", "1", "4", *options, code=2)
    assert "is not of format" in run("wallet", "balance", *options, "--deployment", str(file), code=1)


def test_a_claim_when_nobody_confirms(network: list[str], world: OptimisticWorld, tmp_path: Path) -> None:
    """The wallet confirms what is right, and nothing that is wrong."""
    file = optimistic_deployment.write(world.deployment, tmp_path / "rollup.json")
    with world.sequencer() as sequencer:
        sequencer.run_until_idle()
        sequencer.submit(world.withdrawal(world.alice, 40 * UNIT, records(sequencer)))
        sequencer.run_until_idle()
    world.anvil.warp(CHALLENGE_PERIOD)
    world.post(world.make().with_(state_root=GARBAGE))
    world.anvil.warp(world.deployment.challenge_period - CHALLENGE_PERIOD // 2)
    claim = ["wallet", "claim", "--rollup", "optimistic", "--token", "USDC", *network, "--deployment", str(file)]
    alice = [*claim, "--account", "1", "--sequencer", "http://127.0.0.1:9"]
    before = world.l1_usdc(world.alice)
    said = run(*alice, code=1)
    assert "withdrawal 0 of 40 USDC is in batch 2, which can be confirmed now" in said
    assert "no withdrawal of it was found" in run(*alice, "--credited", code=1)
    world.anvil.warp(CHALLENGE_PERIOD)
    said = run(*alice, "--confirm", "--to", world.bob.signer.address)
    assert "batch 1 confirmed\nbatch 2 confirmed\n" in said
    assert "withdrawal 0 of 40 USDC credited\nclaimed 40 USDC: transaction 0x" in said
    assert world.rollup.view("confirmedBatchId") == 2
    assert world.l1_usdc(world.alice) == before
    assert "already claimed and paid out" in run(*alice, code=1)
