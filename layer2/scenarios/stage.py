"""The stage of a story: people with money on a development chain, and what they have in the end (`Scene`); with a fresh
rollup, honest actors and the books (`Stage`). That of channels is in `channel_stage`.

A story acts, says what it does, and states what must hold; `close` compares everybody's wealth with what it should be.
May import everything of this package but the stories and the scripts.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from eth_utils.address import to_checksum_address

from layer2.actors.challenger import Challenger
from layer2.actors.optimistic_follower import OptimisticFollower
from layer2.actors.optimistic_store import OptimisticStore
from layer2.actors.sequencer import Sequencer, SequencerConfig
from layer2.chain.blobs import AnvilBlobs
from layer2.chain.coder import coder
from layer2.chain.connection import Chain, Receipt
from layer2.chain.errors import RevertedError
from layer2.chain.optimistic_deploying import OptimisticConfig, deploy_optimistic
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.chain.sending import send
from layer2.crypto.eddsa import Point
from layer2.demo.narrator import Narrator
from layer2.optimistic.batches import NOBODY, BatchHeader
from layer2.optimistic.chunks import Chunk
from layer2.optimistic.evidence import Evidence, make_evidence
from layer2.optimistic.operations import SignedOperation, Transfer, Withdraw
from layer2.optimistic.records import Record
from layer2.optimistic.signing import sign_operation
from layer2.optimistic.state import RollupState
from layer2.scenarios.books import ETH, TOKENS, USDC, Books, Count, Wealth
from layer2.scenarios.devchain import DevChain
from layer2.scenarios.people import Person
from layer2.wallet.units import TokenInfo

ETHER: Final = 10**18
UNIT: Final = 10**6
"""One USDC."""
PURSE: Final = 100 * ETHER
"""What everybody has on L1 at the beginning, gas aside."""
STAKE: Final = ETHER
FEE: Final = 1000
"""0.001 USDC: what a transfer pays to the sequencer."""
FOREVER: Final = 2**32 - 1
"""An expiry that does not matter."""
DAY: Final = 24 * 3600

NO_KEY: Final = Point(0, 0)
"""What the optimistic rollup takes for a key: the owner's wallet has it."""

_ETH: Final = TokenInfo(ETH, None, "ETH", 18)
_USDC: Final = TokenInfo(USDC, None, "USDC", 6)

_LONG_HEX: Final = re.compile(r"(0x[0-9a-fA-F]{8})[0-9a-fA-F]+")

Data = Literal["blob", "calldata"]


def eth(wei: int) -> str:
    """An amount of ETH in words, rounded to a millionth."""
    return _ETH.show(round(wei, -12))


def usdc(units: int) -> str:
    """An amount of USDC in words."""
    return _USDC.show(units)


def show(token: int, amount: int) -> str:
    """An amount of a token in words."""
    return usdc(amount) if token == USDC else eth(amount)


@dataclass(frozen=True)
class Ending:
    """What a story ends with. wealth: by name; burned: wei; held: ETH and USDC that the contracts still hold."""

    wealth: Mapping[str, Wealth]
    burned: int
    held: Wealth


@dataclass(frozen=True)
class Verdict:
    """An accepted fraud proof: the wrong chunk, who sent it, wei slashed, batches voided, gas of the transaction."""

    chunk: int
    challenger: str
    slashed: int
    voided: int
    gas: int


class Scene:
    """What all stages have: a chain, people with 100 ETH each, and the comparison of what they have with what they had.

    A context manager; leaving it closes the actors' databases.
    """

    def __init__(self, chain: Chain, folder: Path, tell: Narrator, names: Sequence[str]) -> None:
        """chain: Anvil, whose time this turns. folder: for databases. names: who plays."""
        self.tell = tell
        self.chain = chain
        self.dev = DevChain(chain)
        self.people = tuple(Person.named(name) for name in names)
        for person in self.people:
            self.dev.set_balance(person.address, PURSE)
        self._folder = folder
        self._exits = ExitStack()
        self._before: Mapping[str, Wealth] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def _clock(self) -> float:
        return self.dev.now

    def refusal_of(self, contract: str, person: Person, call: bytes) -> RevertedError | None:
        """Why a contract would refuse somebody's call now; None if it would not."""
        try:
            self.chain.call(contract, call, person.address)
        except RevertedError as error:
            return error
        return None

    def check_refused(self, what: str, contract: str, person: Person, call: bytes, error: str) -> None:
        """Check that a contract refuses somebody's call with this error, and say so."""
        found = self.refusal_of(contract, person, call)
        detail = "accepted" if found is None else _LONG_HEX.sub(r"\1…", found.detail or found.name)
        self.tell.check(f"{what}: {detail}", found is not None and found.name == error)

    def _compare(
        self, where: str, count: Count, changes: Mapping[Person, tuple[int, int]], burned: int | None
    ) -> Ending:
        """Tell and check what everybody has, and what contracts hold. burned: wei, None where nothing can be burned."""
        tell, after = self.tell, count.wealth
        tell.step(f"Whose money is where ({where}; gas left out)")
        rows = [
            (
                name,
                *(show(token, value) for token in TOKENS for value in (had[token], after[name][token])),
            )
            for name, had in self._before.items()
        ]
        tell.table(("", "ETH before", "ETH after", "USDC before", "USDC after"), rows)
        for person in self.people:
            more_eth, more_usdc = changes.get(person, (0, 0))
            had = self._before[person.name]
            is_right = after[person.name] == Wealth(had.eth + more_eth, had.usdc + more_usdc)
            tell.check(f"{person.name} has {_change(more_eth, more_usdc)}", is_right)
        if burned is not None:
            tell.check(f"{eth(burned)} were burned", count.burned == burned)
        held = [0 for _ in TOKENS]
        for balance in count.balances:
            token = balance.token
            parts = ", ".join(f"{what} {show(token, amount)}" for what, amount in balance.owed.items() if amount)
            tell.check(
                f"{balance.holder} holds {show(token, balance.held)}, all it owes: {parts or 'nothing'}", balance.holds
            )
            held[token] += balance.held
        return Ending(after, count.burned, Wealth(*held))


class Stage(Scene):
    """The stage of the optimistic rollup."""

    def __init__(
        self, chain: Chain, folder: Path, tell: Narrator, *, data: Data = "calldata", batch_size: int = 1000
    ) -> None:
        """Deploys a rollup without an operator: whoever has a bond may submit.

        See `Scene`. data: where the honest sequencer puts its data. batch_size: its operations a batch.
        """
        super().__init__(chain, folder, tell, ("Alice", "Bob", "Carol", "Sam", "Chloe", "Mallory", "Dora"))
        self.alice, self.bob, self.carol, self.sam, self.chloe, self.mallory, self.dora = self.people
        deployed = deploy_optimistic(chain, self.dora.signer, OptimisticConfig(), operator=NOBODY)
        self.dev.set_balance(self.dora.address, PURSE)
        self.rollup = OptimisticRollup(chain, deployed.deployment)
        self.books = Books(self.dev, self.rollup, self.people)
        blobs = AnvilBlobs(chain)
        self._audited = self._store("auditor")
        self.auditor = OptimisticFollower(self.rollup, self._audited, blobs, clock=self._clock)
        self.sequencer = Sequencer(
            self.rollup,
            self._store("sequencer"),
            self.sam.signer,
            blobs,
            SequencerConfig(
                data=data, max_batch_size=batch_size, batch_timeout=0, dispute=False, pending_timeout=60 * DAY
            ),
            clock=self._clock,
        )
        self.challenger = Challenger(
            self.rollup, self._store("challenger"), self.chloe.signer, blobs, clock=self._clock
        )

    def _store(self, name: str) -> OptimisticStore:
        return self._exits.enter_context(OptimisticStore(self._folder / f"{name}.sqlite"))

    # ---------------------------------------------------------------- what people do on L1

    def send(self, person: Person, call: bytes, value: int = 0) -> Receipt:
        """A transaction of somebody's to the rollup. Raises RevertedError when it is refused."""
        return send(self.chain, person.signer, self.rollup.address, call, value=value)

    def deposit(self, person: Person, token: int, amount: int) -> None:
        """Somebody deposits into a new account; USDC come from the test token's mint."""
        if token == USDC:
            address = self.rollup.token_address(USDC)
            send(self.chain, person.signer, address, coder("TestUSDC").encode("mint", person.address, amount))
            allow = coder("TestUSDC").encode("approve", self.rollup.address, amount)
            send(self.chain, person.signer, address, allow)
        call = self.rollup.deposit_call(token, amount, person.address, 0, NO_KEY)
        self.send(person, call, value=0 if token else amount)

    def collect(self, person: Person, token: int) -> None:
        """Somebody has their payout of a token sent to them."""
        self.send(person, self.rollup.withdraw_call(token, person.address))

    def refusal(self, person: Person, call: bytes) -> RevertedError | None:
        """Why the contract would refuse somebody's call now; None if it would not."""
        return self.refusal_of(self.rollup.address, person, call)

    # ---------------------------------------------------------------- what people do on L2

    def sign(self, person: Person, operation: SignedOperation, state: RollupState | None = None) -> SignedOperation:
        """Somebody signs an operation for the sequencer's present state, or for another one."""

        def record(index: int) -> Record | None:
            if state is not None:
                return state.record(index)
            view = self.sequencer.record(index)
            return None if view is None else view.record

        return sign_operation(operation, record, self.rollup.deployment.domain_separator, person.key)

    def account(self, person: Person, token: int = USDC) -> int:
        """The index of somebody's first account of a token, as the sequencer knows it."""
        return next(
            view.index
            for view in self.sequencer.accounts_of(person.owner)
            if getattr(view.record, "token", None) == token
        )

    def transfer(self, payer: Person, payee: Person, amount: int, token: int = USDC, fee: int = FEE) -> Transfer:
        """A signed transfer between the first accounts of two people."""
        operation = Transfer(self.account(payer, token), self.account(payee, token), amount, fee, FOREVER)
        signed = self.sign(payer, operation)
        assert isinstance(signed, Transfer)
        return signed

    def withdrawal(self, person: Person, amount: int, token: int = USDC) -> Withdraw:
        """A signed withdrawal without a fee."""
        signed = self.sign(person, Withdraw(self.account(person, token), amount, 0, FOREVER))
        assert isinstance(signed, Withdraw)
        return signed

    def hand_in(self, operation: SignedOperation) -> bytes:
        """Give the honest sequencer an operation; its id. Raises RefusedError."""
        return self.sequencer.submit(operation.encode()).id

    def queue_slots(self) -> list[bytes]:
        """The entries of the L1 queue that no right batch has consumed, 112 bytes each."""
        cursor = self.audit().queue_cursor
        rows = self._audited.queued(cursor, self.rollup.view("queueTail") - cursor)
        return [row.entry.operation.to_slot() for row in rows]

    # ---------------------------------------------------------------- actors

    def post(self) -> int:
        """The honest sequencer works until it is idle; the last batch on L1."""
        self.sequencer.run_until_idle()
        return int(self.rollup.view("currentBatchId"))

    def watch(self) -> list[str]:
        """The challenger works until it is idle; what it sent, in order."""
        deeds: list[str] = []
        for report in self.challenger.run_until_idle():
            deeds += [move.deed for move in report.disputes.settled if move.reason is None]
        return deeds

    def audit(self) -> RollupState:
        """The state after the last right batch, from L1 data alone."""
        self.auditor.sync()
        return self.auditor.position.state

    def posted(self, header: BatchHeader) -> tuple[list[Chunk], Receipt]:
        """The chunks of a batch on L1, and the receipt of its transaction, from L1 data alone."""
        self.audit()
        row = self._audited.batch(header.hash)
        assert row is not None
        assert row.data is not None
        receipt = self.chain.receipt(row.transaction)
        assert receipt is not None
        return header.decode_data(row.data), receipt

    def evidence(self) -> Evidence:
        """What proves the first wrong batch wrong, made from L1 data alone. Raises LookupError when there is none."""
        self.audit()
        wrong = self._audited.first_wrong()
        if wrong is None:
            raise LookupError("no batch is wrong: there is nothing to prove")
        examined = self.auditor.examine(wrong)
        assert examined.checked.wrong_chunk is not None
        return make_evidence(examined.posted, examined.checked.wrong_chunk, examined.checked.before)

    def verdict(self, batch_hash: bytes) -> Verdict:
        """What L1 says of the proof against a batch. Raises LookupError when there was none."""
        rollup = self.rollup
        logs = self.chain.logs(rollup.address, rollup.deployment.block, self.chain.head().number)
        events = [
            event for event in map(rollup.event, logs) if event and event.arguments.get("batchHash") == batch_hash
        ]
        found = {event.name: event for event in events}
        if "BatchRejected" not in found:
            raise LookupError(f"batch 0x{batch_hash.hex()} was not proven wrong")
        proof, rejected = found["FraudProofSubmitted"], found["BatchRejected"]
        receipt = self.chain.receipt(proof.log.transaction)
        assert receipt is not None
        return Verdict(
            proof.arguments["chunk"],
            to_checksum_address(proof.arguments["challenger"]),
            rejected.arguments["slashed"],
            rejected.arguments["voided"],
            receipt.gas_used,
        )

    # ---------------------------------------------------------------- beginning and end

    def open(self) -> None:
        """The beginning of all stories: bonds, deposits, and a first batch, which is right."""
        tell = self.tell
        tell.step("Everybody brings money")
        for person in (self.sam, self.mallory):
            self.send(person, self.rollup.bond_call(), STAKE)
        tell.say("Sam, who is honest, and Mallory, who is not, bond 1 ETH each: both may submit batches")
        for person, token, amount in (
            (self.alice, USDC, 100 * UNIT),
            (self.bob, USDC, 50 * UNIT),
            (self.carol, ETH, 10 * ETHER),
            (self.mallory, USDC, 1 * UNIT),
        ):
            self.deposit(person, token, amount)
        tell.say("Alice deposits 100 USDC, Bob 50 USDC, Carol 10 ETH, Mallory 1 USDC")
        number = self.post()
        tell.say(f"Sam's batch {number} opens their accounts. Chloe watches; she needs no bond.")
        tell.check("Chloe has executed it and found nothing wrong", self.watch() == [])
        self.dev.pass_time(600)
        self.mark()

    def mark(self) -> None:
        """From here on wealth is compared."""
        self.audit()
        self._before = self.books.count(self.auditor).wealth

    def settle(self) -> None:
        """The usual end: the sequencer posts what waits, a week passes, batches become final, rewards are paid."""
        tell = self.tell
        self.post()
        period = self.rollup.deployment.challenge_period
        self.dev.pass_time(period + 1)
        self.post()
        self.watch()
        tell.say(f"{period // DAY} days later everything is final: batch {self.rollup.view('confirmedBatchId')}")

    def close(self, changes: Mapping[Person, tuple[int, int]], burned: int = 0) -> Ending:
        """Check where the money is.

        changes: wei and USDC units that people have more or less than at `mark`; nobody else has. burned: wei.
        """
        self.audit()
        return self._compare("on L1, on L2 and under way", self.books.count(self.auditor), changes, burned)


def _change(more_eth: int, more_usdc: int) -> str:
    parts = []
    for token, amount in zip(TOKENS, (more_eth, more_usdc), strict=True):
        if amount:
            parts.append(f"{show(token, abs(amount))} {'more' if amount > 0 else 'less'}")
    return " and ".join(parts) or "what was there before, to the last unit"
