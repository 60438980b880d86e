"""Transactions with blobs on a real chain: signing, sending, replacing, and reading the blobs back."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import rlp
from eth_account import Account
from eth_utils import keccak

from layer2.chain.blobs import AnvilBlobs, BeaconBlobs, blob_source
from layer2.chain.coder import coder
from layer2.chain.connection import BlockRef, Chain, Receipt
from layer2.chain.deploying import deploy_contract
from layer2.chain.errors import (
    ChainError,
    ChainUnreachableError,
    DataMissingError,
    InsufficientFundsError,
    ReorgError,
    RevertedError,
)
from layer2.chain.sending import blob_fees, build, fees, send
from layer2.chain.sidecar import BLOB_GAS, Sidecar, transaction_hash
from layer2.chain.signer import ApeSigner, LocalSigner
from layer2.optimistic import blobs as kzg
from layer2.optimistic.errors import BlobError
from tests.support.anvil import Anvil, signer

RECORD = coder("BlobRecorder").encode("record")
BLOB = b"".join(b"\0" + keccak(index.to_bytes(4, "big"))[1:] for index in range(4096))
OTHER = b"".join(b"\0" + keccak(index.to_bytes(5, "big"))[1:] for index in range(4096))
HASH = kzg.blob_hash(BLOB)


@pytest.fixture(scope="module")
def recorder(anvil: Anvil) -> str:
    address, _ = deploy_contract(anvil.chain, signer(0), "BlobRecorder")
    return address


@pytest.fixture(scope="module")
def carried(anvil: Anvil, recorder: str) -> Receipt:
    """A transaction with the blob is mined, and stays so in all tests."""
    return send(anvil.chain, signer(0), recorder, RECORD, blobs=[BLOB])


@pytest.fixture
def chain(anvil: Anvil, carried: Receipt) -> Iterator[Chain]:
    snapshot = anvil.snapshot()
    yield anvil.chain
    anvil.automine(True)
    anvil.drop_all()
    anvil.revert(snapshot)


def recorded(chain: Chain, recorder: str, number: int = 0) -> bytes:
    methods = coder("BlobRecorder")
    return bytes(methods.decode_result("blobs", chain.call(recorder, methods.encode("blobs", number)))[0])


class TestSending:
    @pytest.mark.parametrize("hardfork", ["prague", "osaka"])
    def test_blob_is_sent_fetched_and_opened(self, hardfork: str, tmp_path: Path) -> None:
        with Anvil(tmp_path / "log", hardfork=hardfork) as anvil:
            chain = anvil.chain
            recorder, _ = deploy_contract(chain, signer(0), "BlobRecorder")
            verifier, _ = deploy_contract(chain, signer(0), "CellVerifier", kzg.setup_points())
            receipt = send(chain, signer(0), recorder, RECORD, blobs=[BLOB])
            assert receipt.ok
            versioned_hash = recorded(chain, recorder)
            assert versioned_hash == HASH

            fetched = AnvilBlobs(chain).fetch(receipt.hash, receipt.block, versioned_hash)
            assert fetched == BLOB
            cell, element = kzg.open_cell(fetched, 7), kzg.open_element(fetched, 384)
            commitment = kzg.decompress(kzg.commitment(fetched))
            methods = coder("CellVerifier")
            right = versioned_hash, commitment, cell.proof, 7, cell.elements
            chain.call(verifier, methods.encode("verifyCell", *right))
            with pytest.raises(RevertedError, match="InvalidOpening"):
                chain.call(verifier, methods.encode("verifyCell", *right[:3], 8, cell.elements))
            single = versioned_hash, commitment, element.proof, 384, element.element
            chain.call(verifier, methods.encode("verifyElement", *single))

    def test_two_blobs(self, chain: Chain, recorder: str) -> None:
        receipt = send(chain, signer(0), recorder, RECORD, blobs=[OTHER, BLOB])
        assert [recorded(chain, recorder, number) for number in (0, 1)] == [kzg.blob_hash(OTHER), HASH]
        for blob in (BLOB, OTHER):
            assert AnvilBlobs(chain).fetch(receipt.hash, receipt.block, kzg.blob_hash(blob)) == blob

    def test_the_transaction_can_be_looked_up(self, chain: Chain, recorder: str, carried: Receipt) -> None:
        found = chain.transaction(carried.hash)
        assert found is not None
        assert (found.to, found.input, found.block) == (recorder, RECORD, carried.block)

    def test_without_a_blob_the_contract_refuses(self, chain: Chain, recorder: str) -> None:
        with pytest.raises(RevertedError):
            send(chain, signer(0), recorder, RECORD)

    @pytest.mark.parametrize("blob", [b"", BLOB[:-1], b"\xff" * 131_072], ids=["empty", "short", "above the modulus"])
    def test_malformed_blob(self, chain: Chain, recorder: str, blob: bytes) -> None:
        with pytest.raises(BlobError):
            send(chain, signer(0), recorder, RECORD, blobs=[BLOB, blob])

    def test_no_blob_is_no_sidecar(self) -> None:
        with pytest.raises(BlobError, match="needs a blob"):
            Sidecar.of([])

    def test_who_cannot_pay_for_the_blob(self, chain: Chain, recorder: str, anvil: Anvil) -> None:
        """Enough for the gas, one wei too little for the blob."""
        poor = LocalSigner("0x" + "11" * 32)
        anvil.request("anvil_setBalance", poor.address, hex(10**18))
        unsigned = build(chain, poor.address, recorder, RECORD, blobs=[BLOB])
        cost = unsigned.gas * unsigned.max_fee + BLOB_GAS * unsigned.max_blob_fee
        anvil.request("anvil_setBalance", poor.address, hex(cost - 1))
        with pytest.raises(InsufficientFundsError, match=f"may cost {cost} wei"):
            build(chain, poor.address, recorder, RECORD, blobs=[BLOB])
        anvil.request("anvil_setBalance", poor.address, hex(cost))
        assert send(chain, poor, recorder, RECORD, blobs=[BLOB]).ok

    def test_fees_of_blobs_double(self, chain: Chain) -> None:
        first = blob_fees(chain)
        assert first == (*fees(chain), 2 * chain.blob_base_fee())
        assert blob_fees(chain, 1) == tuple(2 * fee for fee in first)
        assert blob_fees(chain, 5) == tuple(32 * fee for fee in first)

    def test_replacement(self, chain: Chain, recorder: str, anvil: Anvil) -> None:
        """A blob that waits gives way to another with doubled fees, and to nothing less."""
        anvil.automine(False)
        sender = signer(0)
        nonce = chain.nonce(sender.address)
        first = sender.sign_transaction(build(chain, sender.address, recorder, RECORD, blobs=[BLOB], nonce=nonce))
        chain.broadcast(first)
        chain.broadcast(first)
        same = sender.sign_transaction(build(chain, sender.address, recorder, RECORD, blobs=[OTHER], nonce=nonce))
        with pytest.raises(ChainError, match="underpriced"):
            chain.broadcast(same)
        again = build(chain, sender.address, recorder, RECORD, blobs=[OTHER], nonce=nonce, bump=1)
        second = sender.sign_transaction(again)
        chain.broadcast(second)
        anvil.mine()
        assert chain.receipt(transaction_hash(first)) is None
        receipt = chain.receipt(transaction_hash(second))
        assert receipt is not None
        assert receipt.ok
        assert recorded(chain, recorder) == kzg.blob_hash(OTHER)

    def test_hash_leaves_out_what_is_carried(self, chain: Chain, recorder: str) -> None:
        sender = signer(0)
        raw = sender.sign_transaction(build(chain, sender.address, recorder, RECORD, blobs=[BLOB]))
        signed = raw[:1] + rlp.encode(rlp.decode(raw[1:])[0])
        assert transaction_hash(raw) == transaction_hash(signed) == keccak(signed) != keccak(raw)
        assert Account.recover_transaction(signed) == sender.address
        plain = sender.sign_transaction(build(chain, sender.address, sender.address, b""))
        assert transaction_hash(plain) == keccak(plain)


class TestAccountsOfApe:
    def test_test_account(self, networks, accounts, project) -> None:
        chain = Chain(networks.active_provider.web3)
        recorder = accounts[0].deploy(project.BlobRecorder).address
        receipt = send(chain, ApeSigner(accounts[1]), recorder, RECORD, blobs=[BLOB])
        assert receipt.ok
        assert recorded(chain, recorder) == HASH

    def test_key_file(self, networks, accounts, project, tmp_path: Path) -> None:
        from ape_accounts.accounts import KeyfileAccount

        path = tmp_path / "someone.json"
        path.write_text(json.dumps(Account.encrypt("0x" + "22" * 32, "secret", iterations=2)))
        account = KeyfileAccount(keyfile_path=path)
        account.set_autosign(True, "secret")
        accounts[0].transfer(account.address, 10**18)
        chain = Chain(networks.active_provider.web3)
        recorder = accounts[0].deploy(project.BlobRecorder).address
        assert send(chain, ApeSigner(account), recorder, RECORD, blobs=[BLOB]).ok

    def test_account_without_a_key(self, networks, accounts, project) -> None:
        """As hardware wallets may be: the message names the way out."""
        address = "0x00000000000000000000000000000000000000Aa"
        chain = Chain(networks.active_provider.web3)
        networks.active_provider.set_balance(address, 10**18)
        recorder = accounts[0].deploy(project.BlobRecorder).address
        someone = ApeSigner(accounts[address])
        with pytest.raises(ChainError, match="post calldata instead of blobs"):
            send(chain, someone, recorder, RECORD, blobs=[BLOB])


class TestAnvilBlobs:
    def test_not_there(self, chain: Chain, carried: Receipt) -> None:
        source = AnvilBlobs(chain)
        for transaction, versioned_hash in (
            (bytes(32), HASH),
            (carried.hash, kzg.blob_hash(OTHER)),
        ):
            with pytest.raises(DataMissingError, match="give the address of one"):
                source.fetch(transaction, carried.block, versioned_hash)

    def test_request_that_the_node_does_not_know(self, chain: Chain) -> None:
        """As every node but Anvil answers."""
        with pytest.raises(ChainError, match="refuses anvil_getBlobs"):
            chain.request("anvil_getBlobs")

    def test_chosen_on_development_chains(self, chain: Chain, tmp_path: Path) -> None:
        assert isinstance(blob_source(chain, None), AnvilBlobs)
        assert isinstance(blob_source(chain, "http://127.0.0.1:1"), BeaconBlobs)
        with (
            Anvil(tmp_path / "log", "--chain-id", "11155111") as sepolia,
            pytest.raises(ChainError, match="beacon API"),
        ):
            blob_source(sepolia.chain, None)


class Beacon:
    """A consensus node's HTTP API: answers by path, as JSON, or as they are when they are bytes."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.asked: list[str] = []
        beacon = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                beacon.asked.append(self.path)
                answer = beacon.answers.get(self.path.split("?")[0], 404)
                status = answer if isinstance(answer, int) else 200
                body = (
                    answer
                    if isinstance(answer, bytes)
                    else json.dumps({"code": status} if status != 200 else answer).encode()
                )
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


SLOT = 9_000_000
BLOBS = f"/eth/v1/beacon/blobs/{SLOT}"
SIDECARS = f"/eth/v1/beacon/blob_sidecars/{SLOT}"
GENESIS = "/eth/v1/beacon/genesis"
SPEC = "/eth/v1/config/spec"


def blobs_answer(*found: bytes) -> object:
    return {"execution_optimistic": False, "finalized": True, "data": [f"0x{blob.hex()}" for blob in found]}


def sidecars_answer(*found: bytes) -> object:
    return {
        "data": [
            {"index": str(index), "blob": f"0x{blob.hex()}", "kzg_commitment": f"0x{kzg.commitment(blob).hex()}"}
            for index, blob in enumerate(found)
        ]
    }


class TestBeaconBlobs:
    @pytest.fixture
    def beacon(self, chain: Chain, carried: Receipt) -> Iterator[Beacon]:
        """A node whose slot 9,000,000 belongs to the blob's block; it has no blobs yet."""
        running = Beacon()
        block = chain.block(carried.block.number)
        assert block is not None
        running.answers[GENESIS] = {"data": {"genesis_time": str(block.timestamp - SLOT * 12)}}
        running.answers[SPEC] = {"data": {"SECONDS_PER_SLOT": "12", "CONFIG_NAME": "test"}}
        yield running
        running.stop()

    @staticmethod
    def fetch(chain: Chain, beacon: Beacon, carried: Receipt) -> bytes:
        return BeaconBlobs(chain, beacon.url + "/").fetch(carried.hash, carried.block, HASH)

    @pytest.mark.parametrize(
        ("path", "answer"),
        [
            (BLOBS, blobs_answer(BLOB)),
            (BLOBS, blobs_answer(OTHER, BLOB)),
            (SIDECARS, sidecars_answer(BLOB)),
            (SIDECARS, sidecars_answer(OTHER, BLOB)),
        ],
    )
    def test_fetches(self, chain: Chain, beacon: Beacon, carried: Receipt, path: str, answer: object) -> None:
        beacon.answers[path] = answer
        assert self.fetch(chain, beacon, carried) == BLOB
        assert f"{BLOBS}?versioned_hashes=0x{HASH.hex()}" in beacon.asked

    def test_slot_in_milliseconds(self, chain: Chain, beacon: Beacon, carried: Receipt) -> None:
        beacon.answers[SPEC] = {"data": {"SLOT_DURATION_MS": "12000"}}
        beacon.answers[BLOBS] = blobs_answer(BLOB)
        assert self.fetch(chain, beacon, carried) == BLOB

    def test_clock_is_asked_once(self, chain: Chain, beacon: Beacon, carried: Receipt) -> None:
        beacon.answers[BLOBS] = blobs_answer(BLOB)
        source = BeaconBlobs(chain, beacon.url)
        for _ in range(3):
            assert source.fetch(carried.hash, carried.block, HASH) == BLOB
        assert (beacon.asked.count(GENESIS), beacon.asked.count(SPEC)) == (1, 1)

    @pytest.mark.parametrize(
        "answers",
        [
            {},
            {BLOBS: blobs_answer(), SIDECARS: sidecars_answer()},
            {BLOBS: 410, SIDECARS: 400},
            {BLOBS: 501, SIDECARS: 405},
            {BLOBS: blobs_answer(OTHER), SIDECARS: sidecars_answer(OTHER)},
        ],
        ids=["unknown", "empty", "gone", "not implemented", "another"],
    )
    def test_pruned(self, chain: Chain, beacon: Beacon, carried: Receipt, answers: dict[str, object]) -> None:
        beacon.answers |= answers
        with pytest.raises(DataMissingError, match="delete blobs after about 18 days") as error:
            self.fetch(chain, beacon, carried)
        assert HASH.hex() in str(error.value)
        assert f"slot {SLOT}" in str(error.value)

    @pytest.mark.parametrize("change", [lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]), lambda blob: blob[:-1]])
    def test_attack_false_blob(self, chain: Chain, beacon: Beacon, carried: Receipt, change) -> None:
        """A node that lies about a blob's content, under the right commitment."""
        false = change(BLOB)
        sidecar = {"blob": f"0x{false.hex()}", "kzg_commitment": f"0x{kzg.commitment(BLOB).hex()}"}
        beacon.answers |= {BLOBS: blobs_answer(false), SIDECARS: {"data": [sidecar]}}
        with pytest.raises(DataMissingError, match="is not to be had"):
            self.fetch(chain, beacon, carried)

    @pytest.mark.parametrize(
        "answer",
        [
            500,
            503,
            401,
            429,
            b"<html>",
            b"",
            [],
            {},
            {"data": None},
            {"data": [5]},
            {"data": ["00"]},
            {"data": ["0xzz"]},
        ],
    )
    def test_nonsense(self, chain: Chain, beacon: Beacon, carried: Receipt, answer: object) -> None:
        for path in (BLOBS, SPEC, GENESIS):
            before = beacon.answers.get(path, 404)
            beacon.answers[path] = answer
            with pytest.raises(ChainUnreachableError, match="check the address"):
                self.fetch(chain, beacon, carried)
            beacon.answers[path] = before

    @pytest.mark.parametrize("sidecar", [5, {}, {"blob": "0x00"}, {"blob": "0x00", "kzg_commitment": "0x00"}])
    def test_nonsense_for_a_sidecar(self, chain: Chain, beacon: Beacon, carried: Receipt, sidecar: object) -> None:
        beacon.answers[SIDECARS] = {"data": [sidecar]}
        with pytest.raises(ChainUnreachableError, match="does not answer as a beacon API does"):
            self.fetch(chain, beacon, carried)

    def test_no_beacon_api_there(self, chain: Chain, beacon: Beacon, carried: Receipt) -> None:
        """Another HTTP server, and nobody at all."""
        beacon.answers.clear()
        with pytest.raises(ChainUnreachableError, match="does not answer as a beacon API does"):
            self.fetch(chain, beacon, carried)
        with pytest.raises(ChainUnreachableError, match="check the address"):
            BeaconBlobs(chain, "http://127.0.0.1:1").fetch(carried.hash, carried.block, HASH)

    def test_reorg(self, chain: Chain, beacon: Beacon, carried: Receipt) -> None:
        source = BeaconBlobs(chain, beacon.url)
        for block in (
            BlockRef(carried.block.number, bytes(32)),
            BlockRef(carried.block.number + 1000, carried.block.hash),
        ):
            with pytest.raises(ReorgError, match="has left the chain"):
                source.fetch(carried.hash, block, HASH)
