"""Letters behind a transaction that was given up: something else has to be mined with its nonce, and nothing twice."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layer2.actors.database import Attempt, Letter
from layer2.actors.outbox import Fate, Outbox, Outcome
from layer2.actors.store import Store
from layer2.chain.coder import coder
from layer2.chain.connection import Chain
from layer2.chain.deploying import deploy_contract
from layer2.chain.errors import ChainError, InsufficientFundsError
from layer2.chain.sending import send
from layer2.optimistic import blobs as kzg
from tests.support.anvil import Anvil, signer
from tests.support.killing import Killed, Killer

SENDER = signer(0)
PAYEE = signer(3).address
BLOB = bytes(kzg.BLOB_BYTES)
DEAR = 100 * 10**9
"""Wei per gas: a base fee far above what was signed for."""


@pytest.fixture(scope="module")
def token(anvil: Anvil) -> str:
    address, _ = deploy_contract(anvil.chain, SENDER, "TestUSDC")
    return address


@pytest.fixture
def chain(anvil: Anvil, token: str) -> Iterator[Chain]:
    with anvil.undone():
        yield anvil.chain
    set_base_fee(anvil, 10**9)  # this is not undone


class Office:
    """An outbox as if just started with the same database, and what its letters do: each pays the payee its number."""

    def __init__(self, chain: Chain, token: str, file: Path) -> None:
        self.chain, self.token, self.file = chain, token, file
        self.now = 0.0
        self.store = Store(file)
        self.start()

    def start(self, checkpoint: Callable[[str], None] = lambda point: None) -> None:
        self.store.close()
        self.store = Store(self.file)
        self.outbox = Outbox(
            self.chain, self.store, SENDER, urgent={"answer"}, clock=lambda: self.now, checkpoint=checkpoint
        )

    def write(self, amount: int, blob: bytes | None = None) -> None:
        call = coder("TestUSDC").encode("mint", PAYEE, amount)
        self.store.add_letter("pay", str(amount), self.token, call, blob=blob)

    def letter(self, amount: int) -> Letter:
        (letter,) = self.store.letters("pay", str(amount))
        return letter

    def advance(self, amount: int) -> Outcome:
        return self.outbox.advance(self.letter(amount), self.chain.head().number)

    def void(self, amount: int) -> None:
        self.store.set_letter_state(self.letter(amount).id, "void")

    @property
    def paid(self) -> int:
        answer = self.chain.call(self.token, coder("TestUSDC").encode("balanceOf", PAYEE))
        return int.from_bytes(answer)

    def signed(self, nonce: int) -> list[Attempt]:
        return [attempt for _, attempt in self.store.signed_with(nonce)]


@pytest.fixture
def office(chain: Chain, token: str, tmp_path: Path) -> Iterator[Office]:
    one = Office(chain, token, tmp_path / "store.sqlite")
    yield one
    one.store.close()


def set_base_fee(anvil: Anvil, fee: int) -> None:
    """A block with this base fee comes."""
    anvil.request("anvil_setNextBlockBaseFeePerGas", hex(fee))
    anvil.mine()


def give_up(anvil: Anvil, office: Office, blob: bytes | None = None) -> int:
    """Letter 1 is sent and given up, letter 2 waits behind it. Returns the nonce of letter 1."""
    nonce = office.chain.nonce(SENDER.address)
    anvil.automine(False)
    office.write(1, blob)
    office.write(2)
    for amount in (1, 2):
        assert office.advance(amount).fate is Fate.WAITING
    office.void(1)
    assert [office.letter(amount).attempts[0].nonce for amount in (1, 2)] == [nonce, nonce + 1]
    return nonce


both_kinds = pytest.mark.parametrize("blob", [None, BLOB], ids=["plain", "blob"])


@pytest.mark.parametrize("point", ["", "replacement signed", "replacement stored", "replacement sent"])
@both_kinds
def test_what_was_given_up_holds_up_nothing(anvil: Anvil, office: Office, blob: bytes | None, point: str) -> None:
    """Whatever the killed process has done of it, the next one goes on."""
    nonce = give_up(anvil, office, blob)
    office.now += 61
    if point:
        office.start(Killer(point))
        with pytest.raises(Killed):
            office.advance(2)
        office.start()
    office.advance(2)
    last, given_up = office.signed(nonce)
    assert last.raw[0] == given_up.raw[0]  # nodes replace like by like
    anvil.mine()
    assert office.advance(2).fate is Fate.MINED
    assert office.chain.nonce(SENDER.address) == nonce + 2
    assert office.chain.receipt(last.hash).ok
    assert office.paid == 2
    assert office.store.open_letters() == [office.letter(2)]


def test_what_was_given_up_and_lost_is_not_sent_again(anvil: Anvil, office: Office) -> None:
    nonce = give_up(anvil, office)
    anvil.drop_all()
    office.now += 1
    office.advance(2)
    assert len(office.signed(nonce)) == 2
    anvil.mine()
    assert office.advance(2).fate is Fate.MINED
    assert office.paid == 2


def balance(anvil: Anvil, wei: int) -> None:
    anvil.request("anvil_setBalance", SENDER.address, hex(wei))


@pytest.mark.parametrize("purpose", ["deposit", "answer"])
def test_what_cannot_be_paid_for_any_more(anvil: Anvil, office: Office, purpose: str) -> None:
    """It was signed when it could. What waits behind it goes on, and it comes later; what is urgent keeps its place."""
    nonce = office.chain.nonce(SENDER.address)
    anvil.automine(False)
    office.store.add_letter(purpose, "", PAYEE, b"", value=10**18)
    office.write(2)

    def advance() -> Fate | None:
        (letter,) = office.store.letters(purpose, "")
        try:
            return office.outbox.advance(letter, office.chain.head().number).fate
        except InsufficientFundsError:
            return None

    assert advance() is Fate.WAITING
    office.advance(2)
    set_base_fee(anvil, DEAR)
    balance(anvil, 10**18)
    office.now += 61
    assert advance() is None
    office.advance(2)
    assert len(office.signed(nonce)) == 1 + (purpose == "deposit")
    anvil.mine()
    if purpose == "answer":
        assert office.chain.nonce(SENDER.address) == nonce
        return
    assert office.advance(2).fate is Fate.MINED
    assert office.chain.nonce(SENDER.address) == nonce + 2
    assert advance() is None
    balance(anvil, 2 * 10**18)
    before = office.chain.balance(PAYEE)
    assert advance() is Fate.WAITING
    anvil.mine()
    assert advance() is Fate.MINED
    assert office.chain.balance(PAYEE) - before == 10**18


def test_who_cannot_pay_for_the_replacement_waits(anvil: Anvil, office: Office) -> None:
    """The letter behind what was given up is not blamed."""
    nonce = office.chain.nonce(SENDER.address)
    anvil.automine(False)
    office.write(1)
    office.advance(1)
    office.void(1)
    office.now += 30
    office.write(2)
    office.advance(2)
    set_base_fee(anvil, DEAR)
    balance(anvil, 10**14)
    office.now += 31
    assert office.advance(2).fate is Fate.WAITING
    assert len(office.signed(nonce)) == 1
    balance(anvil, 10**18)
    assert office.advance(2).fate is Fate.WAITING
    assert len(office.signed(nonce)) == 2


def test_it_gets_its_time(anvil: Anvil, office: Office) -> None:
    nonce = give_up(anvil, office)
    office.now += 59
    office.advance(2)
    assert len(office.signed(nonce)) == 1
    anvil.mine()
    assert office.advance(2).fate is Fate.MINED
    assert office.paid == 3


@both_kinds
def test_fees_are_raised_until_they_are_enough(anvil: Anvil, office: Office, blob: bytes | None) -> None:
    nonce = give_up(anvil, office, blob)
    for fee in (DEAR, 10 * DEAR):
        set_base_fee(anvil, fee)
        assert office.chain.nonce(SENDER.address) == nonce
        office.now += 61
        office.advance(2)
    kinds = [attempt.raw[0] for attempt in office.signed(nonce)]
    assert kinds == kinds[:1] * 3
    anvil.mine()
    assert office.advance(2).fate is Fate.MINED
    assert office.paid == 2


def test_a_node_that_has_lost_everything_gets_both(anvil: Anvil, office: Office) -> None:
    give_up(anvil, office)
    office.now += 61
    office.advance(2)
    anvil.drop_all()
    office.advance(2)
    anvil.mine()
    assert office.advance(2).fate is Fate.MINED
    assert office.paid == 2


def test_a_call_that_would_be_refused_by_now_holds_up_nothing(anvil: Anvil, office: Office) -> None:
    """Its letter is open: it may still be mined until something else is."""
    registry, _ = deploy_contract(office.chain, SENDER, "TokenRegistry")
    register = coder("TokenRegistry").encode("register", office.token)
    nonce = office.chain.nonce(SENDER.address)
    anvil.automine(False)
    office.store.add_letter("register", "", registry, register)
    office.write(2)

    def advance() -> list[Outcome]:
        cursor = office.chain.head().number
        return [office.outbox.advance(letter, cursor) for letter in office.store.open_letters()]

    advance()
    set_base_fee(anvil, DEAR)
    anvil.automine(True)
    send(office.chain, signer(5), registry, register)
    anvil.automine(False)
    office.now += 61
    for _ in range(2):
        assert [outcome.fate for outcome in advance()] == [Fate.WAITING, Fate.WAITING]
    assert len(office.signed(nonce)) == 2
    anvil.mine()
    assert [outcome.fate for outcome in advance()] == [Fate.REFUSED, Fate.MINED]
    assert office.chain.nonce(SENDER.address) == nonce + 2


def test_what_a_reorg_took_away_is_not_given_up(anvil: Anvil, office: Office) -> None:
    """Its letter is open again as soon as the reorg is read."""
    nonce = office.chain.nonce(SENDER.address)
    anvil.automine(False)
    for amount in (1, 2):
        office.write(amount)
        office.advance(amount)
    before = anvil.snapshot()
    anvil.mine()
    assert office.advance(1).fate is Fate.MINED
    office.store.set_letter_state(office.letter(1).id, "mined", office.chain.head().number)
    anvil.revert(before)
    anvil.drop_all()
    office.now += 61
    office.advance(2)
    anvil.mine()
    assert office.advance(2).fate is Fate.MINED
    assert len(office.signed(nonce)) == 1
    assert office.paid == 3


def test_a_reorg_does_not_bring_back_a_form_that_was_given_up(anvil: Anvil, office: Office) -> None:
    """The first nonce went to another transaction, so the letter was signed again; the reorg frees the first one."""
    before = anvil.snapshot()
    nonce = office.chain.nonce(SENDER.address)
    anvil.automine(False)
    office.write(1)
    office.advance(1)
    anvil.drop_all()
    anvil.automine(True)
    send(office.chain, SENDER, PAYEE, b"")
    office.advance(1)
    assert [attempt.nonce for attempt in office.letter(1).attempts] == [nonce, nonce + 1]
    office.chain.wait(office.letter(1).attempts[1].hash)
    anvil.automine(False)
    anvil.revert(before)
    anvil.drop_all()
    office.advance(1)
    anvil.mine()
    assert office.chain.nonce(SENDER.address) == nonce
    office.now += 61
    office.advance(1)
    anvil.mine()
    assert office.advance(1).fate is Fate.MINED
    assert office.paid == 1
    with pytest.raises(ChainError, match="nonce too low"):
        office.chain.broadcast(office.letter(1).attempts[0].raw)
