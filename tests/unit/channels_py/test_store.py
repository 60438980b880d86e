"""What actors of channels store: facts with their blocks, vouchers, payments, states; and deployment files."""

import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from layer2.actors.errors import StoreError
from layer2.chain.connection import BlockRef
from layer2.chain.deployment import Token
from layer2.chain.errors import DeploymentError
from layer2.channels.contracts import HubChannel
from layer2.channels.deployment import ChannelsDeployment, path_of, read, write
from layer2.channels.errors import ChannelError
from layer2.channels.follower import default_confirmations
from layer2.channels.party import Ending, PartyStore
from layer2.channels.payee import Best, PayeeStore
from layer2.channels.payer import PayerStore, Payment
from layer2.channels.signing import ETH
from layer2.channels.states import FinalState, Lock, State, StateChannelConfig, secret_hash
from layer2.channels.store import ChannelStore, Closing, Outcome, Revealed, StateChannel
from layer2.channels.vouchers import ChannelConfig, Close
from layer2.channels.watchtower import WatchtowerStore

A = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
B = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
ID = b"\1" * 32
CONFIG = ChannelConfig(A, B, ETH, ETH, 86_400, b"\2" * 32)
DUPLEX = StateChannelConfig(A, B, ETH, 86_400, b"\2" * 32)
BIG = 2**128 - 1
SIGNATURE = b"\3" * 65
STATE = State(ID, 1, 10, 5, 4, 8, (Lock(3, 99, True, b"\4" * 32),))


def test_facts_go_back_with_their_blocks() -> None:
    with PayeeStore() as store:
        store.add_hub_channel(ID, CONFIG, 1)
        assert store.hub_facts(ID) == HubChannel()
        for block, place, balance in ((1, 0, 5), (1, 7, BIG), (3, 0, 7)):
            store.put_hub_facts(ID, HubChannel(balance, BIG, 8, 2**63 - 1), block, place)
        (entry,) = store.hub_entries()
        assert (entry.config, entry.facts) == (CONFIG, HubChannel(7, BIG, 8, 2**63 - 1))
        store.rewind(2)
        assert store.hub_facts(ID).balance == BIG
        store.rewind(0)
        assert store.hub_facts(ID) is None
        assert store.hub_entries() == store.hub_entries([ID]) == []


def test_facts_of_two_parties() -> None:
    closing = Closing(A, 3, 99, STATE)
    stages = [
        StateChannel(BIG - 1, 1),
        StateChannel(BIG - 1, 1, closing),
        StateChannel(BIG - 1, 1, closing, Outcome(3, BIG, 0, B)),
    ]
    with PartyStore() as store:
        store.add_state_channel(ID, DUPLEX, 1)
        for block, facts in enumerate(stages, 1):
            store.put_state_facts(ID, facts, block, 0)
            assert store.state_facts(ID) == facts
        assert [facts.status for facts in stages] == ["open", "closing", "closed"]
        (entry,) = store.state_entries([ID, b"\7" * 32])
        assert (entry.config, entry.facts) == (DUPLEX, stages[2])
        store.rewind(1)
        assert store.state_facts(ID) == stages[0]
        assert store.state_facts(b"\7" * 32) is None


def test_old_facts_are_dropped_when_nothing_goes_back_to_them() -> None:
    with PayeeStore() as store:
        store.add_hub_channel(ID, CONFIG, 1)
        store.add_block(BlockRef(5, b"x"))
        for block in (1, 2, 6, 7):
            store.put_hub_facts(ID, HubChannel(block), block, 0)
        store.rewind(5)
        assert store.hub_facts(ID) == HubChannel(2)
        store.rewind(1)
        assert store.hub_facts(ID) == HubChannel()


def test_secrets() -> None:
    secret = b"\5" * 32
    hash_ = secret_hash(secret)
    with PartyStore() as store:
        store.add_revealed(hash_, secret, 99, 7)
        assert (store.revealed(hash_), store.secret(hash_)) == (Revealed(secret, 99), secret)
        store.rewind(6)
        assert store.revealed(hash_) is store.secret(hash_) is None
        store.add_secret(secret)
        store.rewind(0)
        assert store.secret(hash_) == secret


def test_a_payees_vouchers_and_closings(tmp_path: Path) -> None:
    best = Best(BIG, SIGNATURE, "GET /")
    with PayeeStore(tmp_path / "x") as store:
        store.put_vouchers([(ID, Best(1, SIGNATURE, "")), (ID, best)])
        store.put_close(Close(ID, BIG, 3), SIGNATURE)
        store.want(ID, BIG)
    with PayeeStore(tmp_path / "x") as store:
        store.rewind(0)
        assert store.vouchers() == {ID: best}
        assert store.closes() == {ID: (Close(ID, BIG, 3), SIGNATURE)}
        assert store.wanted() == {ID: BIG}


def test_a_payers_payments(tmp_path: Path) -> None:
    payment = Payment(ID, BIG, 7, SIGNATURE, "x", False)
    with PayerStore(tmp_path / "x") as store:
        store.put_payment(payment)
        assert store.payment(ID) == payment
        store.put_payment(replace(payment, is_answered=True))
        assert store.payment(ID).is_answered
        assert store.payment(b"\7" * 32) is store.key(A) is None
        store.set_withdrawing(ID, True)
        store.set_withdrawing(ID, True)
        assert store.withdrawing() == {ID}
        store.set_withdrawing(ID, False)
        assert store.withdrawing() == set()
        store.add_key(A, bytes(32))
        assert store.key(A) == bytes(32)


def test_payments_that_were_not_answered_are_kept() -> None:
    """And only those, and the last one."""
    first, nameless, second, last = (
        Payment(ID, amount, 1, SIGNATURE, reference, False)
        for amount, reference in ((255, "x"), (256, ""), (257, "y"), (2**64, ""))
    )
    with PayerStore() as store:
        for payment in (first, nameless, second, last):
            store.put_payment(payment)
        assert (store.unanswered(ID, "x"), store.unanswered(ID, "y"), store.payment(ID)) == (first, second, last)
        store.put_payment(replace(first, is_answered=True))
        assert store.unanswered(ID, "x") is store.unanswered(ID, "") is store.unanswered(b"\7" * 32, "y") is None
        assert len(store._run("SELECT 1 FROM payments")) == 2


def test_states_that_count_other_deposits_are_kept() -> None:
    """Until a reorg takes deposits back, nobody asks for them."""
    states = [
        State(ID, version, 10, of_b, 10 - version, of_b + version) for version, of_b in ((1, 5), (2, 5), (3, 6), (4, 6))
    ]
    with PartyStore() as store:
        for state in states:
            store.put_signed(state, SIGNATURE)
            store.complete(state, b"\6" * 65)
        assert store.agreed(ID)[0] == store.agreed(ID, (10, 6))[0] == states[3]
        assert store.agreed(ID, (10, 5)) == (states[1], SIGNATURE, b"\6" * 65)
        assert store.agreed(ID, (9, 6))[0] == store.agreed(ID, (10, 4))[0] == State.initial(ID)
        assert len(store._run("SELECT 1 FROM states")) == 2


def test_one_state_per_version_is_signed() -> None:
    """Whatever the party thinks: the database refuses another one."""
    other = replace(STATE, balance_a=3, balance_b=9)
    with PartyStore() as store:
        store.put_signed(STATE, SIGNATURE)
        store.put_signed(STATE, SIGNATURE)
        with pytest.raises(ChannelError, match="version 1 was signed with another content"):
            store.put_signed(other, SIGNATURE)
        assert store.pending(ID).state == STATE
        assert store.agreed(ID) == (State.initial(ID), b"", b"")
        store.complete(STATE, b"\6" * 65)
        with pytest.raises(ChannelError, match="version 1 was signed with another content"):
            store.put_signed(other, SIGNATURE)
        assert store.pending(ID) is None
        store.put_signed(replace(STATE, version=2), SIGNATURE)
        store.add_proposal(replace(STATE, version=2))
        store.complete(replace(STATE, version=2), b"\6" * 65)
        assert store.agreed(ID) == (replace(STATE, version=2), SIGNATURE, b"\6" * 65)
        assert store.proposal(ID) is None


def test_one_final_state_is_signed() -> None:
    final = FinalState(ID, 1, 10, 5, 4, 11)
    other = replace(final, balance_a=5, balance_b=10)
    with PartyStore() as store:
        store.put_ending(Ending(final, None, None, True))
        store.put_ending(Ending(other, None, None, True))  # what was only proposed binds nobody
        store.drop_ending(ID)
        assert store.ending(ID) is None
        store.put_ending(Ending(final, SIGNATURE, None, False))
        with pytest.raises(ChannelError, match="another final state was signed already"):
            store.put_ending(Ending(other, None, None, True))
        store.drop_ending(ID)
        assert store.ending(ID) == Ending(final, SIGNATURE, None, False)


@pytest.mark.parametrize("kind", [PayerStore, PayeeStore, PartyStore, WatchtowerStore])
def test_databases_are_for_their_owners_alone(
    kind: type[ChannelStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From before SQLite writes the first byte, whatever the umask; and those that another program has left open."""
    path, connect = tmp_path / "folder" / "x", sqlite3.connect
    seen = []

    def look(file: str, **options: object) -> sqlite3.Connection:
        seen.append(modes(path.parent))
        return connect(file, **options)

    def modes(folder: Path) -> dict[str, int]:
        return {one.name: one.stat().st_mode & 0o777 for one in folder.iterdir()}

    umask = os.umask(0)
    try:
        monkeypatch.setattr(sqlite3, "connect", look)
        with kind(path) as store:
            store.bind("me")
            assert seen == [{"x": 0o600}]
            assert modes(path.parent) == {"x": 0o600, "x-wal": 0o600}
            for _ in range(2):  # looking at a file does not end the locks on it
                with pytest.raises(StoreError, match="another process uses it"):
                    kind(path)
        path.chmod(0o644)
        with kind(path):
            assert modes(path.parent) == {"x": 0o600, "x-wal": 0o600}
    finally:
        os.umask(umask)


def test_files_of_others_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 5000)
    (tmp_path / "x").chmod(0o644)
    for path in (tmp_path / "x", tmp_path, tmp_path / "x" / "y"):
        before = tmp_path.stat().st_mode
        with pytest.raises(StoreError, match="cannot be opened"):
            PartyStore(path)
        assert tmp_path.stat().st_mode == before
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644


def test_databases_of_other_roles(tmp_path: Path) -> None:
    PayerStore(tmp_path / "x").close()
    for kind in (PayeeStore, PartyStore, WatchtowerStore):
        with pytest.raises(StoreError, match="another kind: name another file"):
            kind(tmp_path / "x")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (PayeeStore, "restore it; it holds what is not on L1"),
        (PartyStore, "put no old copy in its place; ask the other parties"),
    ],
)
def test_nobody_is_told_to_throw_money_away(kind: type[PayeeStore | PartyStore], message: str, tmp_path: Path) -> None:
    """Other actors' databases come back from L1; these do not, and an old copy of a party's costs everything."""
    (tmp_path / "damaged").write_bytes(b"x" * 5000)
    with pytest.raises(StoreError, match=message):
        kind(tmp_path / "damaged")
    kind(tmp_path / "old").close()
    raw = sqlite3.connect(tmp_path / "old")
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(StoreError, match=r"version 99, .* do not delete it, it holds what"):
        kind(tmp_path / "old")


# -------------------------------------------------------------------- deployment files

DEPLOYMENT = ChannelsDeployment(31337, 7, A, B, "0x12", "0x34", (Token(1, A, "USDC", 6),))


def test_deployment_files(tmp_path: Path) -> None:
    path = write(DEPLOYMENT, tmp_path / "d.json")
    assert read(path) == DEPLOYMENT
    assert path_of(5, tmp_path) == tmp_path / "5-channels.json"
    raw = json.loads(path.read_text())
    for change, message in (
        ({"format": 1}, "is not of format 'channels 1'"),
        ({"hub": A.lower()}, "hub = '0x70997970c5.*' is not an EIP-55 address"),
        ({"state_channel": "0x"}, "is not an EIP-55 address"),
        ({"block": "7"}, "block = '7' is not of type"),
        ({"more": 1}, "lacks or should not have more"),
        ({"tokens": {}}, "tokens is no list"),
        ({"tokens": [{}]}, "lacks or should not have"),
    ):
        path.write_text(json.dumps(raw | change))
        with pytest.raises(DeploymentError, match=message):
            read(path)
    path.write_text("{")
    with pytest.raises(DeploymentError, match="is not JSON"):
        read(path)
    with pytest.raises(DeploymentError, match="run `ape run channel deploy`"):
        read(tmp_path / "none.json")


def test_confirmations() -> None:
    assert (default_confirmations(31337), default_confirmations(1)) == (0, 12)
