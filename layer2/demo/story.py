"""The workflow: bridge in, collect, execute and prove, submit and verify, bridge out, rebuild.

Everything is real: contracts on a chain, a relayer with its HTTP service, wallets that talk to it, Groth16 proofs.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eth_utils.crypto import keccak

from layer2.actors.proving import SegmentProver
from layer2.actors.rebuild import rebuild
from layer2.actors.relayer import Relayer, RelayerConfig
from layer2.actors.store import Proposal, Store
from layer2.benchmarks.gas import GasReport, GasSample, draw, fit
from layer2.chain.coder import coder
from layer2.chain.connection import Chain, Receipt
from layer2.chain.deploying import RollupConfig, deploy
from layer2.chain.errors import RevertedError
from layer2.chain.rollup import ProofPoints, Rollup
from layer2.chain.sending import fees, send
from layer2.chain.signer import Signer, UnsignedTransaction
from layer2.demo.narrator import Narrator
from layer2.node.api import create_app
from layer2.node.client import RelayerClient
from layer2.node.server import Server
from layer2.node.service import StepLoop
from layer2.wallet.units import TokenInfo
from layer2.wallet.wallet import ETH, Wallet
from layer2.zk.build import BUILD, DEFAULT_CIRCUITS, Artifacts, verifying_keys
from layer2.zk.prover import Q, available_cores
from layer2.zk.r1cs import constraint_count
from layer2.zk.segments import Segment

USDC: Final = TokenInfo(1, None, "USDC", 6)
FEE: Final = 1000
"""0.001 USDC."""

MAIN_TRANSFERS: Final = 12
"""Transfers of the batch that is shown: two segments, which two cores prove at once."""

SHAPES: Final = (1, 6, 12)
"""Transfers of the batches whose gas is fitted; they differ in segments and in how full these are."""


@dataclass(frozen=True)
class Cast:
    """Who plays: five L1 accounts with ETH."""

    operator: Signer
    alice: Signer
    bob: Signer
    carol: Signer
    dave: Signer


class _TimedProver:
    """Proves like the prover it has, and remembers how long the last batch took."""

    def __init__(self, prover: SegmentProver) -> None:
        self._prover = prover
        self.seconds = 0.0

    def __call__(self, segments: Sequence[Segment], done: Callable[[int, ProofPoints], None]) -> None:
        started = time.monotonic()
        self._prover(segments, done)
        self.seconds = time.monotonic() - started


class Story:
    """One run; `run` returns whether all its checks hold."""

    def __init__(
        self,
        chain: Chain,
        cast: Cast,
        folder: Path,
        picture: Path,
        narrator: Narrator,
        *,
        bar: bool,
        build: Path = BUILD,
    ) -> None:
        """folder: for the relayer's database. picture: PNG to write. bar: show a progress bar for proofs."""
        self._chain = chain
        self._cast = cast
        self._picture = picture
        self._build = build
        self._bar = bar
        self._database = folder / "relayer.sqlite"
        self._tell = narrator
        self._tamper = False

    def run(self) -> bool:
        """Tell the story. Raises ChainError, ActorError, BuildError or ProofError when it cannot go on."""
        tell = self._tell
        tell.step("Deploy the contracts on a local chain")
        deployed = deploy(
            self._chain, self._cast.operator, verifying_keys(DEFAULT_CIRCUITS, self._build), RollupConfig()
        )
        self.rollup = Rollup(self._chain, deployed.deployment)
        tell.say(f"rollup {self.rollup.address}, verifier {deployed.deployment.verifier}")
        tell.say("There is no administrator. The keys are for development: anybody could forge proofs with them.")
        self.prover = _TimedProver(SegmentProver.load(DEFAULT_CIRCUITS, self._build, bar=self._bar))
        with Store(self._database) as self.store:
            self.relayer = Relayer(
                self.rollup,
                self.store,
                self._cast.operator,
                self.prover,
                RelayerConfig(batch_timeout=0, serve_withdrawals=True, workers=1),
                progress=self._proofs,
                checkpoint=self._checkpoint,
            )
            try:
                with Server(create_app(self.relayer, StepLoop(self.relayer))) as server:
                    self._act(server.url)
            finally:
                self.relayer.close()
        return not tell.failed

    def _act(self, url: str) -> None:
        client = RelayerClient(url)
        cast = self._cast
        self.wallets = {
            name: Wallet(self.rollup, signer, client)
            for name, signer in (("A", cast.alice), ("B", cast.bob), ("C", cast.carol), ("D", cast.dave))
        }
        self._bridge_in()
        main = self._transfer()
        self._bridge_out()
        samples = self._measure()
        self._rebuild()
        self._close(main, samples)

    # ---------------------------------------------------------------- the steps

    def _bridge_in(self) -> None:
        tell = self._tell
        tell.step("Bridge in: L1 locks the money and queues the deposits")
        usdc = self.rollup.token_address(USDC.id)
        for name, amount in (("A", 100), ("B", 50), ("C", 500), ("D", 500)):
            wallet = self.wallets[name]
            wallet.mint_test_token(wallet.token("USDC"), amount * 10**6)
            made = wallet.deposit(wallet.token("USDC"), amount * 10**6)
            tell.say(f"{name} deposits {amount} USDC (queue entry {made.position})")
        made = self.wallets["A"].deposit(ETH, 10**18)
        tell.say(f"A deposits 1 ETH (queue entry {made.position})")
        tell.check("the contract holds 700 + 450 USDC", self._usdc_of(self.rollup.address) == 1150 * 10**6)
        self.usdc = usdc
        self._work()
        self.index = {name: wallet.account(USDC).index for name, wallet in self.wallets.items()}
        tell.say("batch 1, one proof, opens their accounts on L2: " + self._accounts())

    def _transfer(self) -> "_Main":
        tell = self._tell
        tell.step("Collect: users sign transfers off chain, the relayer checks signature, nonce and balance")
        before = self._balances()
        root_before = self.rollup.tip().state_root
        first = self.wallets["A"].transfer(USDC, self.index["B"], 10 * 10**6)
        tell.say(f"A signs 10 USDC to B: transaction {first[:18]}…")
        others = self._pay_around(MAIN_TRANSFERS - 1)
        tell.say(f"C and D sign {len(others)} more, each with a fee of {USDC.show(FEE)} for the relayer")
        tell.check("the relayer took all of them", self.relayer.overview().pending == MAIN_TRANSFERS)

        tell.step("Execute and prove: S1 → S2, one Groth16 proof for each segment")
        self._tamper = True
        number = self._work()
        self._tamper = False
        proposal = self._proposal(number)
        gas = self._receipt(number).gas_used
        tell.step("Settle: S2 replaces S1")
        tip = self.rollup.tip()
        tell.say(f"S1 {root_before:#066x}")
        tell.say(f"S2 {tip.state_root:#066x}")
        tell.check("the contract has accepted S2", tip.state_root == self.relayer.position.state.root != root_before)
        after = self._balances()
        rows = [
            (f"{name} (account {self.index[name]})", USDC.show(before[name]), USDC.show(after[name])) for name in before
        ]
        tell.table(("balance on L2", "in S1", "in S2"), rows)
        tell.check("A 100 → 90", (before["A"], after["A"]) == (100 * 10**6, 90 * 10**6))
        tell.check("B 50 → 60", (before["B"], after["B"]) == (50 * 10**6, 60 * 10**6))
        status = self.relayer.status(bytes.fromhex(first[2:]))
        tell.check("A's transaction is verified", status is not None and status.state == "verified")
        fee = self.rollup.payout(self._cast.operator.address, USDC.id)
        tell.check(f"the relayer's fees are claimable on L1: {USDC.show(fee)}", fee == len(others) * FEE)
        return _Main(proposal, gas, self.prover.seconds)

    def _bridge_out(self) -> None:
        tell = self._tell
        tell.step("Bridge out: B takes 60 USDC to L1, without waiting")
        bob = self.wallets["B"]
        before = bob.l1_balance(bob.token("USDC"))
        bob.withdraw(USDC, 60 * 10**6)
        tell.say("B signs a withdrawal; the relayer proves it, submits it, and sends the payout to B")
        self._work()
        after = bob.l1_balance(bob.token("USDC"))
        tell.say(f"B's balance on L1: {USDC.show(before)} → {USDC.show(after)}")
        tell.check("B has 60 USDC more on L1", after - before == 60 * 10**6)
        tell.check("B has nothing left on L2", self._balances()["B"] == 0)

    def _measure(self) -> list[GasSample]:
        tell = self._tell
        tell.step("Batches of other sizes, to see what a transfer costs")
        samples = []
        for count in SHAPES:
            self._pay_around(count)
            number = self._work()
            sample = self._sample(number, count)
            samples.append(sample)
            tell.say(
                f"{sample.name}, {_count(sample.segments, 'segment')}: {sample.gas:,} gas, "
                f"{sample.data_bytes} bytes of data"
            )
        return samples

    def _rebuild(self) -> None:
        tell = self._tell
        tell.step("Rebuild: anyone gets the whole state from L1 data alone")
        result = rebuild(self.rollup)
        tell.say(f"{result.batch_id} batches, {result.data_bytes:,} bytes of data, {result.queued} queue entries")
        tell.say(f"root {result.state.root:#066x}")
        own = self.relayer.position.state
        tell.check("the same root as the contract's", result.state.root == self.rollup.tip().state_root)
        tell.check("the same accounts as the relayer's", list(result.state.accounts()) == list(own.accounts()))

    def _close(self, main: "_Main", samples: list[GasSample]) -> None:
        tell = self._tell
        tell.step("What it costs")
        call = coder("TestUSDC").encode("transfer", self._cast.carol.address, 1)
        wallet = self.wallets["D"]
        wallet.mint_test_token(wallet.token("USDC"), 10**6)
        on_l1 = send(self._chain, self._cast.dave, self.usdc, call).gas_used
        size = DEFAULT_CIRCUITS.transfers.size
        report = GasReport(size, tuple(samples), fit(samples))
        constraints = constraint_count(Artifacts.of(DEFAULT_CIRCUITS.transfers, self._build).r1cs)
        segments = -(-MAIN_TRANSFERS // size)
        rows = [
            (
                f"the batch shown: {MAIN_TRANSFERS} transfers, {segments} proofs",
                f"{len(main.proposal.data) / MAIN_TRANSFERS:.1f}",
                f"{main.gas / MAIN_TRANSFERS:,.0f}",
                f"{segments * constraints / MAIN_TRANSFERS:,.0f}",
                f"{main.seconds / MAIN_TRANSFERS:.2f} s",
            ),
            *(
                (
                    f"{sample.name}, {_count(sample.segments, 'proof')}",
                    f"{sample.data_bytes / sample.transfers:.1f}",
                    f"{sample.gas / sample.transfers:,.0f}",
                    f"{sample.segments * constraints / sample.transfers:,.0f}",
                    "",
                )
                for sample in samples
            ),
            ("fitted: 1000 transfers", "", f"{report.fit.of(1000, size) / 1000:,.0f}", "", ""),
            ("a USDC transfer on L1", "", f"{on_l1:,}", "", ""),
        ]
        tell.table(("per transfer", "data bytes", "gas", "constraints", f"proving, {available_cores()} cores"), rows)
        f = report.fit
        tell.say(f"gas ≈ {f.batch:,.0f} a batch + {f.segment:,.0f} a segment + {f.transfer:,.0f} a transfer")
        tell.say("Of the data, a transfer itself is 12 bytes; the rest is one header a segment.")
        draw(report, self._picture)
        tell.say(f"picture of gas per transfer by batch size: {self._picture}")
        tell.check("the picture is there", self._picture.stat().st_size > 0)

    # ---------------------------------------------------------------- the forger

    def _checkpoint(self, point: str) -> None:
        """Where the relayer holds a proven batch in its hands, a forger tries it with small changes."""
        if point != "proven" or not self._tamper:
            return
        tell = self._tell
        tell.say(f"proven in {self.prover.seconds:.1f} s; every proof was verified before it left the prover")
        tell.step("Verify: L1 accepts the true batch only")
        proposal = self.store.active_proposals()[-1]
        tell.say(f"batch: {len(proposal.data)} bytes of data, {len(proposal.proofs)} proofs of 256 bytes")
        first, *rest = proposal.proofs
        wrong_proof = first._replace(a=(first.a[0], Q - first.a[1]))
        self._forge("a tampered proof (A replaced by −A, a valid point)", proposal, proposal.data, [wrong_proof, *rest])
        header = 5 + 1 + 2 + 32 + 1 + 18 * proposal.data[40]
        amount = header + 2 * DEFAULT_CIRCUITS.transfers.index_bytes + 4
        wrong_data = bytearray(proposal.data)
        wrong_data[amount] ^= 1
        self._forge("one bit of A's amount changed in the data", proposal, bytes(wrong_data), proposal.proofs)
        tell.say("now the true one")

    def _forge(self, what: str, proposal: Proposal, data: bytes, proofs: Sequence[ProofPoints]) -> None:
        tip = self.rollup.tip()
        call = self.rollup.submit_call(proposal.root, proposal.parent_hash, data, proofs)
        chain, signer = self._chain, self._cast.operator
        priority, maximum = fees(chain)
        unsigned = UnsignedTransaction(
            chain.chain_id(), chain.nonce(signer.address), self.rollup.address, call, 0, 3_000_000, maximum, priority
        )
        raw = signer.sign_transaction(unsigned)
        chain.broadcast(raw)
        receipt = chain.wait(keccak(raw))
        try:
            chain.call(self.rollup.address, call, signer.address)
            name = "accepted"
        except RevertedError as error:
            name = error.name
        self._tell.check(
            f"{what}: transaction 0x{receipt.hash.hex()[:8]}… reverted with {name}",
            not receipt.ok and name == "InvalidProof",
        )
        self._tell.check("nothing was stored: tip and root are as before", self.rollup.tip() == tip)

    # ---------------------------------------------------------------- helpers

    def _work(self) -> int:
        """Let the relayer work until it is idle; returns the number of its last batch."""
        reports = self.relayer.run_until_idle()
        return max(report.planned or 0 for report in reports)

    def _proofs(self, done: int, total: int) -> None:
        if done and not self._bar:
            self._tell.say(f"proof {done} of {total}")

    def _pay_around(self, count: int) -> list[str]:
        """Transfers between C and D, in turn, handed to the relayer."""
        ids = []
        for number in range(count):
            payer, payee = ("C", "D") if number % 2 == 0 else ("D", "C")
            amount = (number + 1) * 10**5
            ids.append(self.wallets[payer].transfer(USDC, self.index[payee], amount, fee=FEE))
        return ids

    def _balances(self) -> dict[str, int]:
        return {name: wallet.account(USDC).account.balance for name, wallet in self.wallets.items()}

    def _accounts(self) -> str:
        return ", ".join(f"{name} has {index}" for name, index in self.index.items())

    def _usdc_of(self, address: str) -> int:
        return int(self.rollup.token_view(USDC.id, "balanceOf", address))

    def _proposal(self, number: int) -> Proposal:
        proposal = self.store.proposal(number)
        assert proposal is not None
        return proposal

    def _receipt(self, number: int) -> Receipt:
        for letter in self.relayer.letters_of(number):
            for attempt in letter.attempts:
                receipt = self._chain.receipt(attempt.hash)
                if receipt is not None and receipt.ok:
                    return receipt
        raise AssertionError(f"own batch {number} was verified but has no receipt")

    def _sample(self, number: int, count: int) -> GasSample:
        proposal = self._proposal(number)
        (letter,) = self.relayer.letters_of(number)
        gas = self._receipt(number).gas_used
        return GasSample(
            _count(count, "transfer"), len(proposal.proofs), count, 0, len(proposal.data), len(letter.input), gas
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


@dataclass(frozen=True)
class _Main:
    """The batch that is shown: its proposal, gas, and seconds of proving."""

    proposal: Proposal
    gas: int
    seconds: float
