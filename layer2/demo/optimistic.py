"""The optimistic rollup's part of the demo: a thousand transfers in one batch, a cheat who is caught, a week, money on
L1.

Everything is real: contracts on a chain, blobs, a sequencer and a challenger. Only the week is not: the chain's time is
turned. May import what the scenarios may.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from layer2.benchmarks.l1 import TokenTransfer, transfers_on_layer1
from layer2.chain.connection import Chain
from layer2.chain.sidecar import BLOB_GAS
from layer2.demo.narrator import Narrator
from layer2.optimistic.batches import StateWords
from layer2.optimistic.chunks import encode_calldata
from layer2.optimistic.constants import BLOB_BYTES
from layer2.optimistic.operations import (
    CreatePool,
    MintNFT,
    Operation,
    PurchaseNFT,
    Swap,
    Transfer,
    TransferToNew,
    Withdraw,
)
from layer2.optimistic.records import NFT, Account, Pool, Position, Record
from layer2.optimistic.signing import sign_operation, sign_sale
from layer2.scenarios.books import ETH, USDC
from layer2.scenarios.cheat import Cheat, Draft, steal
from layer2.scenarios.people import Person
from layer2.scenarios.stage import ETHER, FEE, FOREVER, STAKE, UNIT, Stage, eth, usdc

TRANSFERS: Final = 1000
SWAPS: Final = 5
CROWD: Final = 32
"""People who pay each other."""
OPERATIONS: Final = 1008
"""What 63 chunks of 16 operations hold."""
PRICE: Final = 25 * UNIT

GAS_LIMIT: Final = 90
"""Gas that a transfer of a full batch may take in blob mode, everything included but the blob's own gas."""

_T = TypeVar("_T")


class OptimisticStory:
    """One run; `run` returns whether all its checks hold."""

    def __init__(self, chain: Chain, folder: Path, narrator: Narrator) -> None:
        """folder: for the actors' databases."""
        self._chain = chain
        self._folder = folder
        self._tell = narrator
        self._crowd = [Person.named(f"user {number}") for number in range(CROWD)]

    def run(self) -> bool:
        """Tell the story. Raises ChainError or ActorError when it cannot go on."""
        tell = self._tell
        tell.step("Deploy the optimistic rollup: batches count at once, and fall to anybody's proof for a week")
        with Stage(self._chain, self._folder, tell, data="blob", batch_size=OPERATIONS) as stage:
            self._stage = stage
            tell.say(f"rollup {stage.rollup.address}, no operator: Sam and Mallory bond {eth(STAKE)} each")
            for person in (stage.sam, stage.mallory):
                stage.send(person, stage.rollup.bond_call(), STAKE)
            self._bridge_in()
            self._a_thousand()
            self._cheat()
            self._bridge_out()
            self._close()
        return not tell.failed

    # ---------------------------------------------------------------- the steps

    def _bridge_in(self) -> None:
        stage, tell = self._stage, self._tell
        tell.step("Bridge in, and get ready")
        alice, bob, carol = stage.alice, stage.bob, stage.carol
        for person, token, amount in (
            (alice, USDC, 1000 * UNIT),
            (alice, ETH, 5 * ETHER),
            (bob, USDC, 500 * UNIT),
            (bob, ETH, ETHER),
            (carol, USDC, UNIT),
            (stage.mallory, USDC, UNIT),
        ):
            stage.deposit(person, token, amount)
        tell.say("Alice deposits 1,000 USDC and 5 ETH, Bob 500 USDC and 1 ETH, Carol and Mallory 1 USDC each")
        stage.post()
        account = stage.account(alice)
        for person in self._crowd:
            stage.hand_in(stage.sign(alice, TransferToNew(account, person.owner, 20 * UNIT, 0, FOREVER)))
        create = CreatePool(stage.account(alice, ETH), account, 2 * ETHER, 200 * UNIT, 0, FOREVER)
        self._pool = stage.sequencer.submit(stage.sign(alice, create).encode()).created[0]
        content = b"a picture of a lighthouse".ljust(32)
        mint = stage.sign(carol, MintNFT(stage.account(carol), content, 0, FOREVER))
        self._nft = stage.sequencer.submit(mint.encode()).created[0]
        number = stage.post()
        tell.say(f"Alice opens accounts for {CROWD} people with 20 USDC each, and a pool of 2 ETH and 200 USDC")
        tell.say(f"Carol mints an NFT; batch {number}")
        position = stage.audit().record(self._pool + 1)
        pool = stage.audit().record(self._pool)
        assert isinstance(position, Position)
        assert isinstance(pool, Pool)
        self._shares = position.shares, pool.shares
        stage.mark()
        tell.check("Chloe, who challenges, has executed all of it and agrees", stage.watch() == [])
        self._index = {person.name: stage.account(person) for person in self._crowd}

    def _a_thousand(self) -> None:
        stage, tell = self._stage, self._tell
        tell.step(f"{TRANSFERS:,} signed transfers, {SWAPS} swaps, an NFT's purchase and a withdrawal: one batch")
        operations, signing = _timed(self._sign_all)
        tell.say(f"{len(operations):,} operations signed by their owners' wallet keys (EIP-712): {signing:.1f} s")
        bodies = [operation.encode() for operation in operations]
        answers, taking = _timed(lambda: stage.sequencer.submit_many(bodies))
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        tell.check(f"Sam has checked and executed all of them: {taking:.1f} s", not refused)
        self._number, posting = _timed(stage.post)
        position = stage.sequencer.position
        self._header, self._state = position.header, position.state
        chunks, self._receipt = stage.posted(self._header)
        self._chunks = chunks
        used = sum(len(chunk.operations) for chunk in chunks)
        tell.say(
            f"batch {self._number}: {len(chunks)} chunks, {used:,} bytes of operations, in one blob: {posting:.1f} s"
        )
        tell.check("all of it is in one batch", sum(map(len, bodies)) == used and self._header.is_blob)
        gas = self._receipt.gas_used
        tell.check(
            f"{gas:,} gas and {BLOB_GAS:,} blob gas: {gas / TRANSFERS:.0f} gas a transfer, at most {GAS_LIMIT}",
            gas <= GAS_LIMIT * TRANSFERS,
        )
        nft = self._state.record(self._nft)
        tell.check("Bob owns the NFT", isinstance(nft, NFT) and nft.owner == stage.bob.owner)
        deeds, watching = _timed(stage.watch)
        tell.check(f"Chloe reads the blob back, executes it and agrees: {watching:.1f} s", deeds == [])

    def _cheat(self) -> None:
        stage, tell = self._stage, self._tell
        tell.step("A batch that cheats, on top")
        rollup = stage.rollup
        state = stage.audit()
        bob, mallory = stage.account(stage.bob), stage.account(stage.mallory)
        stolen = 400 * UNIT
        forged = stage.sign(stage.mallory, Transfer(bob, mallory, stolen, 0, FOREVER), state)
        cheat = Cheat(rollup, stage.mallory)
        batch = cheat.submit(cheat.draft(state, [forged.encode()], lies={0: steal(bob, mallory, stolen)}, is_blob=True))
        tell.say(f"Mallory's batch {batch.batch_id}: {usdc(stolen)} from Bob to Mallory, signed by Mallory")
        tell.check("the contract takes it for now: it executes nothing", rollup.view("tipHash") == batch.hash)
        deeds, seconds = _timed(stage.watch)
        verdict = stage.verdict(batch.hash)
        reward = rollup.reward(batch.hash).amount
        burned = stage.books.burned()
        tell.check(
            f"Chloe reserves the reward and proves the fraud in one transaction: {verdict.gas:,} gas, {seconds:.1f} s",
            deeds == ["reserve", "prove"],
        )
        tell.check("the batch is void, the tip is Sam's", rollup.view("tipHash") == self._header.hash)
        tell.check(
            f"Mallory loses {eth(verdict.slashed)}: {eth(reward)} for Chloe, {eth(burned)} burned",
            (verdict.slashed, reward, burned) == (STAKE, STAKE // 2, STAKE // 2),
        )

    def _bridge_out(self) -> None:
        stage, tell = self._stage, self._tell
        tell.step("Bridge out: after a week (by time travel) the batches are final")
        stage.settle()
        carol, rollup = stage.carol, stage.rollup
        tell.check(f"batch {self._number} is confirmed", rollup.view("confirmedBatchId") == self._number)
        stage.send(carol, rollup.claim_withdrawal_call(self._number, self._header, self._state, 0))
        stage.collect(carol, USDC)
        on_l1 = int(rollup.token_view(USDC, "balanceOf", carol.address))
        tell.check(f"Carol, who sold the NFT, has {usdc(on_l1)} on L1", on_l1 == PRICE)
        stage.close({stage.chloe: (STAKE // 2, 0), stage.mallory: (-STAKE, 0)} | self._expected(), STAKE // 2)

    def _close(self) -> None:
        stage, tell = self._stage, self._tell
        tell.step(f"What it costs: {TRANSFERS:,} transfers, as one batch and as transactions on L1")
        in_calldata, calldata = self._in_calldata()
        transfers = [TokenTransfer(self._crowd[payer], self._crowd[payee], amount) for payer, payee, amount in _plan()]
        on_l1 = transfers_on_layer1(stage.dev, stage.rollup.token_address(USDC), transfers)
        rows = [
            _row("optimistic rollup, blob", BLOB_BYTES, self._receipt.gas_used, BLOB_GAS),
            _row("optimistic rollup, calldata", len(calldata), in_calldata, 0),
            _row("USDC transfers on L1", on_l1.data_bytes, on_l1.gas, 0),
        ]
        tell.table(("per transfer", "data bytes", "gas", "blob gas"), rows)
        tell.say(f"A transfer is {Transfer.size()} bytes, 64 of them its signature. A blob has one size, however full.")
        tell.say(f"The rollup's figures include the {SWAPS + 2} other operations.")
        tell.check(
            f"on L1 they take {on_l1.gas / in_calldata:.0f} times the gas of calldata mode, "
            f"{on_l1.gas / self._receipt.gas_used:.0f} times that of blob mode",
            on_l1.gas > 5 * in_calldata > 25 * self._receipt.gas_used,
        )

    # ---------------------------------------------------------------- helpers

    def _sign_all(self) -> list[Operation]:
        """All operations of the great batch, in order."""
        stage = self._stage
        nonces: dict[int, int] = {}
        domain = stage.rollup.deployment.domain_separator

        def record(index: int) -> Record | None:
            view = stage.sequencer.record(index)
            if view is None or not isinstance(view.record, Account):
                return None if view is None else view.record
            return view.record._replace(nonce=view.record.nonce + nonces.get(index, 0))

        def sign(person: Person, operation: _Signed, payer: int) -> _Signed:
            signed = sign_operation(operation, record, domain, person.key)
            nonces[payer] = nonces.get(payer, 0) + 1
            return signed

        transfers: list[Operation] = []
        indices = [self._index[person.name] for person in self._crowd]
        for payer, payee, amount in _plan():
            transfer = Transfer(indices[payer], indices[payee], amount, FEE, FOREVER)
            transfers.append(sign(self._crowd[payer], transfer, indices[payer]))
        bob, bob_eth, carol = stage.account(stage.bob), stage.account(stage.bob, ETH), stage.account(stage.carol)
        others: list[Operation] = [
            sign(stage.bob, Swap(bob, bob_eth, self._pool, 10 * UNIT, ETHER // 20, 0, FOREVER), bob)
            for _ in range(SWAPS)
        ]
        purchase = PurchaseNFT(self._nft, bob, carol, PRICE, 0, FOREVER)
        sold = sign_sale(purchase, record, domain, stage.carol.key)
        others.append(sign(stage.bob, sold, bob))
        others.append(sign(stage.carol, Withdraw(carol, PRICE, 0, FOREVER), carol))
        middle = len(transfers) // 2
        return [*transfers[:middle], *others, *transfers[middle:]]

    def _expected(self) -> dict[Person, tuple[int, int]]:
        """Who has more or less by the great batch, computed from what was signed."""
        stage = self._stage
        reserve_eth, reserve_usdc = 2 * ETHER, 200 * UNIT
        bought = 0
        for _ in range(SWAPS):
            amount = 10 * UNIT * 997
            out = amount * reserve_eth // (reserve_usdc * 1000 + amount)
            reserve_eth, reserve_usdc, bought = reserve_eth - out, reserve_usdc + 10 * UNIT, bought + out
        shares = self._shares
        return {
            stage.sam: (0, TRANSFERS * FEE),
            stage.bob: (bought, -SWAPS * 10 * UNIT - PRICE),
            stage.carol: (0, PRICE),
            stage.alice: (
                shares[0] * reserve_eth // shares[1] - shares[0] * 2 * ETHER // shares[1],
                shares[0] * reserve_usdc // shares[1] - shares[0] * 200 * UNIT // shares[1],
            ),
        }

    def _in_calldata(self) -> tuple[int, bytes]:
        """Gas of the same batch in calldata mode, which is undone afterwards, and its data."""
        stage = self._stage
        data = encode_calldata(self._chunks)
        with stage.dev.undone():
            dora = Cheat(stage.rollup, stage.dora)
            dora.bond(STAKE)
            words = StateWords.of(self._state)
            draft = Draft(
                stage.rollup.view("tipHash"), stage.dev.now, len(self._chunks), data, False, words, self._state
            )
            return dora.submit(draft).receipt.gas_used, data


_Signed = TypeVar("_Signed", Transfer, Swap, PurchaseNFT, Withdraw)


def _plan() -> list[tuple[int, int, int]]:
    """(payer, payee, amount) of all transfers, people by number: everybody pays about 31 others."""
    plan = []
    for number in range(TRANSFERS):
        payer, turn = number % CROWD, number // CROWD
        payee = (payer + 1 + turn % (CROWD - 1)) % CROWD
        plan.append((payer, payee, (1 + number % 9) * UNIT // 100))
    return plan


def _row(name: str, data_bytes: int, gas: int, blob_gas: int) -> tuple[str, ...]:
    return (
        name,
        f"{data_bytes / TRANSFERS:,.0f}",
        f"{gas / TRANSFERS:,.0f}",
        f"{blob_gas / TRANSFERS:,.0f}" if blob_gas else "",
    )


def _timed(action: Callable[[], _T]) -> tuple[_T, float]:
    started = time.monotonic()
    return action(), time.monotonic() - started
