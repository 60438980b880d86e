"""The relayer's HTTP service and the wallet that talks to it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from layer2.actors.relayer import Relayer
from layer2.chain.sending import send
from layer2.crypto.eddsa import PrivateKey
from layer2.node.api import MAX_BODY, create_app
from layer2.node.client import RelayerClient, RelayerClientError
from layer2.node.server import Server, ServerError
from layer2.node.service import StepLoop
from layer2.node.wire import operation_to_json
from layer2.wallet.units import WalletError
from layer2.wallet.wallet import ETH, Wallet
from tests.support.anvil import signer
from tests.support.world import UNIT, USDC, World


@dataclass
class Service:
    world: World
    relayer: Relayer
    loop: StepLoop
    url: str

    def post(self, body: object) -> requests.Response:
        return requests.post(f"{self.url}/transactions", data=body, timeout=10)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=10)

    def wallet(self, user) -> Wallet:
        return Wallet(self.world.rollup, user.signer, RelayerClient(self.url))


@pytest.fixture
def service(world: World) -> Iterator[Service]:
    """The service, without the loop: tests make the steps."""
    with world.relayer() as relayer:
        relayer.step()
        loop = StepLoop(relayer, 0.05)
        with Server(create_app(relayer, loop)) as server:
            yield Service(world, relayer, loop, server.url)


# -------------------------------------------------------------------- malformed requests


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed"),
        (b"{", 400, "malformed"),
        (b"\xff\xfe", 400, "malformed"),
        (b"[" * 5000, 400, "malformed"),
        (b"[]", 400, "malformed"),
        (b"{}", 400, "malformed"),
        (b'{"kind": "deposit"}', 400, "malformed"),
        (b" " * (MAX_BODY + 1), 413, "too_large"),
    ],
)
def test_malformed_bodies(service: Service, body: bytes, status: int, code: str) -> None:
    answer = service.post(body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/transactions", 405),
        ("/transactions/0x12", 400),
        ("/transactions/zz", 400),
        ("/transactions/" + "00" * 32, 404),
        ("/accounts/x", 400),
        ("/accounts/-1", 400),
        ("/accounts/99999999999", 400),
        ("/accounts/0", 404),
        ("/accounts/77", 404),
        ("/accounts", 400),
        ("/accounts?owner=0x12", 400),
    ],
)
def test_malformed_questions(service: Service, path: str, status: int) -> None:
    answer = service.get(path)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_refusals_have_fitting_statuses(service: Service) -> None:
    world = service.world
    poor = world.transfer(world.alice, world.bob, 1000 * UNIT, 0)
    answer = service.post(json.dumps(operation_to_json(poor)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "insufficient_balance")
    service.relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
    again = world.transfer(world.alice, world.bob, 2 * UNIT, 0)
    answer = service.post(json.dumps(operation_to_json(again)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "nonce_taken")


# -------------------------------------------------------------------- answers


def test_a_transaction_on_its_way(service: Service) -> None:
    world = service.world
    answer = service.post(json.dumps(operation_to_json(world.transfer(world.alice, world.bob, UNIT, 0))))
    assert answer.status_code == 202
    key = answer.json()["id"]
    assert service.get(f"/transactions/{key}").json() == {"id": key, "state": "pending"}
    assert service.get("/accounts/1").json()["nextNonce"] == 1
    service.relayer.run_until_idle()
    status = service.get(f"/transactions/{key}").json()
    assert status["state"] == "verified"
    assert status["batch"] == 2
    assert world.chain.receipt(bytes.fromhex(status["l1Transaction"][2:])).ok


def test_accounts_and_status(service: Service) -> None:
    world = service.world
    owner = world.bob.signer.address
    (account,) = service.get(f"/accounts?owner={owner}").json()["accounts"]
    assert account == service.get("/accounts/2").json()
    assert (account["owner"], account["balance"], account["token"]) == (owner, str(50 * UNIT), USDC)
    status = service.get("/status").json()
    assert status["stateRoot"] == f"{world.rollup.tip().state_root:#066x}"
    assert (status["rollup"], status["batch"], status["pending"]) == (world.rollup.address, 1, 0)
    assert status["feeTokens"] == [0, 1]


def test_health(service: Service) -> None:
    assert service.get("/health").status_code == 503
    service.loop.start()
    try:
        assert service.get("/health").json() == {"status": "ok"}
    finally:
        service.loop.stop()
    answer = service.get("/health")
    assert answer.status_code == 503
    assert answer.json()["problem"] == "the loop of steps has stopped"


def test_the_loop_goes_on_when_the_node_comes_back_and_ends_at_what_it_cannot_mend(world: World) -> None:
    from layer2.actors.errors import FollowError
    from layer2.chain.errors import ChainUnreachableError

    problems = [ChainUnreachableError("gone"), ChainUnreachableError("still gone"), None, FollowError("bug")]
    heard: list[Exception] = []
    with world.relayer() as relayer:
        real = relayer.step

        def step():
            problem = problems.pop(0)
            if problem is not None:
                raise problem
            return real()

        relayer.step = step
        loop = StepLoop(relayer, 0.01, complain=heard.append)
        loop.start()
        loop._thread.join()
        assert [str(error) for error in heard] == ["gone", "still gone", "bug"]
        assert str(loop.fatal) == "bug"
        assert not loop.is_running


def test_a_port_that_is_taken(service: Service) -> None:
    port = int(service.url.rsplit(":", 1)[1])
    with pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1:{port}"):
        Server(create_app(service.relayer, service.loop), port=port).start()


# -------------------------------------------------------------------- wallet


def test_wallet_workflow(service: Service) -> None:
    world, relayer = service.world, service.relayer
    alice, bob = service.wallet(world.alice), service.wallet(world.bob)
    usdc = alice.token("usdc")
    assert alice.key == world.alice.key
    alice.transfer(usdc, 2, 10 * UNIT, fee=1000)
    alice.transfer_to_new(usdc, bob.owner, bob.key.public_key, 2 * UNIT)
    relayer.run_until_idle()
    out = bob.withdraw(usdc, 60 * UNIT)
    relayer.run_until_idle()
    relayer.run_until_idle()
    assert bob.wait(out, 5).state == "verified"
    before = bob.l1_balance(usdc)
    amount, _ = bob.claim(usdc)
    assert (amount, bob.l1_balance(usdc) - before) == (60 * UNIT, 60 * UNIT)
    assert [account.account.balance for account in bob.accounts()] == [0, 2 * UNIT]
    with pytest.raises(WalletError, match="no USDC to claim"):
        bob.claim(usdc)


@pytest.mark.parametrize("permit", [True, False])
def test_deposits_with_permit_and_with_approval(service: Service, permit: bool) -> None:
    world = service.world
    wallet = Wallet(world.rollup, signer(4), RelayerClient(service.url))
    usdc = wallet.token("1")
    wallet.mint_test_token(usdc, 30 * UNIT)
    nonce = world.chain.nonce(wallet.signer.address)
    made = wallet.deposit(usdc, 30 * UNIT, permit=permit)
    assert made.position == 3
    # An approval is a transaction of its own.
    assert world.chain.nonce(wallet.signer.address) - nonce == (1 if permit else 2)
    service.relayer.run_until_idle()
    assert wallet.account(usdc).account.balance == 30 * UNIT


def test_deposit_of_ether_and_to_an_account(service: Service) -> None:
    wallet = service.wallet(service.world.carol)
    wallet.deposit(ETH, 10**18)
    wallet.deposit(wallet.token("USDC"), UNIT, account=3)
    service.relayer.run_until_idle()
    assert wallet.account(ETH).account.balance == 10**18
    assert wallet.account(wallet.token("USDC")).account.balance == 21 * UNIT
    wallet.force_withdrawal(wallet.account(ETH).index)
    service.relayer.run_until_idle()
    assert wallet.payout(ETH) == 10**18


def test_wallet_errors(service: Service) -> None:
    world = service.world
    alice = service.wallet(world.alice)
    usdc = alice.token("USDC")
    cases = [
        (lambda: alice.token("DOGE"), "token 'DOGE' is unknown"),
        (lambda: alice.token("7"), "token 7 is not listed"),
        (lambda: alice.token(world.rollup.address), "is not listed"),
        (lambda: alice.deposit(usdc, 10**9 * UNIT), "holds 900 USDC, not 1000000000 USDC"),
        (lambda: alice.deposit(usdc, 0), "credits nothing"),
        (lambda: alice.transfer(ETH, 2, 5), "has no ETH account"),
        (lambda: alice.transfer(usdc, 77, 5), "there is no account 77"),
        (lambda: alice.transfer(usdc, 2, 5, source=2), "has no USDC account 2"),
        (
            lambda: alice.transfer(usdc, 2, (1 << 35) + 1),
            "nearest that can be sent are 34359.738367 USDC and 34359.73837",
        ),
        (lambda: alice.withdraw(usdc, 5, fee=123), "nearest fees are 0.00012 USDC and 0.00013 USDC"),
    ]
    for call, message in cases:
        with pytest.raises(WalletError, match=message):
            call()
    with pytest.raises(RelayerClientError, match="amount and fee are 101000000") as caught:
        alice.transfer(usdc, 2, 101 * UNIT)
    assert caught.value.code == "insufficient_balance"
    other = service.wallet(world.alice)
    other.key = PrivateKey.from_seed(bytes(32))
    with pytest.raises(WalletError, match=r"USDC account of 0x[0-9a-fA-F]* obeys another key"):
        other.transfer(usdc, 2, 5)
    assert (other.accounts(), [account.index for account in other.foreign_accounts()]) == ([], [1])
    payees = [
        {"owner": alice.owner},
        {"key": alice.key.public_key},
        {"owner": world.bob.owner, "key": other.key.public_key},
    ]
    for payee in payees:
        with pytest.raises(WalletError, match="is not the payee named"):
            alice.transfer(usdc, 2, 5, **payee)
    assert service.relayer.overview().pending == 0
    alice.transfer(usdc, 2, 5, owner=world.bob.owner, key=world.bob.key.public_key)


def test_attack_bait_account_that_names_its_victim_as_owner(service: Service) -> None:
    """Mallory opens accounts that name Bob as owner with Mallory's key. Nothing that is meant for Bob gets there."""
    world, relayer = service.world, service.relayer
    mallory, key = signer(4), PrivateKey.from_seed(b"m" * 32)
    for _ in range(2):
        call = world.rollup.deposit_call(0, 10**9, world.bob.signer.address, 0, key.public_key)
        send(world.chain, mallory, world.rollup.address, call, value=10**9)
    relayer.run_until_idle()
    bob, alice = service.wallet(world.bob), service.wallet(world.alice)
    assert [account.index for account in bob.relayer.accounts_of(bob.owner)] == [2, 4, 5]
    assert [account.index for account in bob.accounts()] == [2]
    assert [account.index for account in bob.foreign_accounts()] == [4, 5]
    for index in (None, 4):
        with pytest.raises(WalletError, match=r"the ETH account of .* obeys another key than its own"):
            bob.account(ETH, index)
    # Even a deposit that is told to go there opens an account that Bob's key controls.
    bob.deposit(ETH, 10**18, account=4)
    alice.deposit(ETH, 10**18)
    relayer.run_until_idle()
    assert [account.index for account in bob.accounts()] == [2, 6]
    assert bob.account(ETH).account.balance == 10**18
    assert [account.account.balance for account in bob.foreign_accounts()] == [10**9, 10**9]
    # Whoever pays Bob names his key.
    with pytest.raises(WalletError, match=r"account 4 belongs to .* which is not the payee named"):
        alice.transfer(ETH, 4, 1000, owner=bob.owner, key=bob.key.public_key)
    alice.transfer(ETH, 6, 1000, owner=bob.owner, key=bob.key.public_key)
    # A bait is Bob's on L1 all the same.
    bob.force_withdrawal(4)
    relayer.run_until_idle()
    assert bob.account(ETH).account.balance == 10**18 + 1000
    assert bob.payout(ETH) == 10**9


def test_no_relayer() -> None:
    with pytest.raises(RelayerClientError, match="start one with `ape run relayer`"):
        RelayerClient("http://127.0.0.1:9").overview()


def test_something_else_than_a_relayer(world: World) -> None:
    with pytest.raises(RelayerClientError, match="is no relayer"):
        RelayerClient(world.anvil.url).overview()
