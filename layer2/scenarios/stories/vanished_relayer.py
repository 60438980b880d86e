"""The ZK rollup's relayer vanishes: freeze, escapes and refunds, all from L1 data alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from layer2.actors.escape import Escaped, EscapeError, escape, zk_reader
from layer2.actors.proving import SegmentProver, local_keys
from layer2.actors.relayer import Relayer, RelayerConfig
from layer2.actors.store import Store
from layer2.chain.coder import coder
from layer2.chain.connection import Chain
from layer2.chain.deploying import RollupConfig, deploy
from layer2.chain.errors import RevertedError
from layer2.chain.rollup import Rollup
from layer2.chain.sending import send
from layer2.crypto.eddsa import PrivateKey
from layer2.crypto.keys import derive_private_key, key_message
from layer2.demo.narrator import Narrator
from layer2.ledger.amounts import encode_fee8
from layer2.ledger.constants import TIMESTAMP_BITS
from layer2.ledger.operations import Operation, sign_operation
from layer2.scenarios.books import ETH, TOKENS, USDC, Wealth, gas_costs
from layer2.scenarios.devchain import DevChain
from layer2.scenarios.people import Person
from layer2.scenarios.stage import DAY, ETHER, FEE, PURSE, UNIT, Ending, show
from layer2.scenarios.stories.common import HASHES
from layer2.zk.batch import Circuits
from layer2.zk.build import TEST_CIRCUITS, build_circuits

PAYMENT: Final = 10 * UNIT


def play(chain: Chain, folder: Path, tell: Narrator) -> Ending:
    """With the test circuits, which are built first if nobody has yet: that takes less time than larger proofs."""
    build_circuits((TEST_CIRCUITS.transfers, TEST_CIRCUITS.operations))
    return _Story(chain, folder, tell, TEST_CIRCUITS).run()


@dataclass(frozen=True)
class _User:
    """Somebody with an account on the rollup, whose Layer 2 key comes from the wallet's."""

    person: Person
    key: PrivateKey


class _Story:
    def __init__(self, chain: Chain, folder: Path, tell: Narrator, circuits: Circuits) -> None:
        self._tell = tell
        self._chain = chain
        self._dev = DevChain(chain)
        self._folder = folder
        self._circuits = circuits
        self._people = [Person.named(name) for name in ("Alice", "Bob", "Carol", "Dora", "Rita")]
        for person in self._people:
            self._dev.set_balance(person.address, PURSE)
        rita = self._people[-1]
        deployment = deploy(chain, rita.signer, local_keys(circuits), RollupConfig()).deployment
        self._dev.set_balance(rita.address, PURSE)
        self._rollup = Rollup(chain, deployment)
        self._first = chain.head().number + 1
        text = key_message(deployment.chain_id, deployment.rollup)
        self._users = [_User(p, derive_private_key(p.signer.sign_text(text))) for p in self._people]

    def run(self) -> Ending:
        tell, rollup, dev = self._tell, self._rollup, self._dev
        alice, bob, carol, dora, rita = self._users

        tell.step("Rita's relayer opens accounts and proves a payment")
        self._deposit(alice, USDC, 100 * UNIT)
        self._deposit(bob, USDC, 50 * UNIT)
        self._deposit(carol, ETH, 10 * ETHER)
        with Store(self._folder / "relayer.sqlite") as store:
            config = RelayerConfig(batch_timeout=0, workers=1)
            relayer = Relayer(rollup, store, rita.person.signer, SegmentProver.load(self._circuits), config)
            try:
                relayer.run_until_idle()
                operation = Operation.transfer(1, 2, USDC, PAYMENT, encode_fee8(FEE))
                expiry = (1 << TIMESTAMP_BITS) - 1
                payee = (bob.person.owner, bob.key.public_key)
                domain = rollup.deployment.domain
                relayer.submit(sign_operation(alice.key, domain, operation, 0, expiry, *payee))
                relayer.run_until_idle()
            finally:
                relayer.close()
        tell.say("Alice deposits 100 USDC, Bob 50 USDC, Carol 10 ETH; Alice pays Bob 10 USDC and Rita 0.001")
        tell.check("two batches with real proofs are on L1", rollup.tip().batch_id == 2)

        tell.step("Rita vanishes")
        self._deposit(dora, ETH, 3 * ETHER)
        send(self._chain, bob.person.signer, rollup.address, rollup.force_withdraw_call(2))
        tell.say("Dora deposits 3 ETH, Bob forces a withdrawal; nobody proves a batch that takes them")
        period = rollup.deployment.freeze_deadline
        dev.pass_time(period - DAY)
        tell.say(f"{period // DAY - 1} days later Carol runs `ape run escape --freeze --claim`:")
        try:
            self._escape(carol.person, freeze=True)
            words = "frozen"
        except EscapeError as error:
            words = str(error).partition(" (")[0]
        tell.check(words, "cannot be frozen before" in words)
        dev.pass_time(DAY + 1)

        tell.step(f"After {period // DAY} days anybody can freeze")
        tell.say("Carol runs it again; it rebuilds the state from L1 and does:")
        self._escape(carol.person, freeze=True)
        tell.check("the rollup is frozen, for ever", bool(rollup.view("isFrozen")))
        tell.check("no deposits any more: RollupFrozen", self._refuses_deposits(alice))

        tell.step("Everybody escapes")
        for user in (alice, bob, dora):
            tell.say(f"{user.person.name}:")
            self._escape(user.person)
        again = self._escape(alice.person, quiet=True)
        tell.check("once: there is nothing left to escape with", again.sent == 0 and not again.payouts)
        send(self._chain, rita.person.signer, rollup.address, rollup.withdraw_call(USDC, rita.person.address))
        tell.say("Rita's fees were hers since the batch; she takes them")
        return self._close()

    def _close(self) -> Ending:
        """All is on L1 in the end, so what people have is what they hold."""
        tell, rollup = self._tell, self._rollup
        tell.step("Whose money is where: all of it on L1 (gas left out)")
        gas = gas_costs(self._dev, self._first)
        had = {"Alice": 100 * UNIT, "Bob": 50 * UNIT}
        change = {"Alice": -PAYMENT - FEE, "Bob": PAYMENT, "Rita": FEE}
        wealth = {}
        for person in self._people:
            ether = self._chain.balance(person.address) + gas[person.address, ETH]
            wealth[person.name] = Wealth(ether, int(rollup.token_view(USDC, "balanceOf", person.address)))
        rows = [
            (name, *(show(token, amount) for token, amount in zip((ETH, ETH, USDC, USDC), figures, strict=True)))
            for name, found in wealth.items()
            for figures in [(PURSE, found.eth, had.get(name, 0), found.usdc)]
        ]
        tell.table(("", "ETH before", "ETH after", "USDC before", "USDC after"), rows)
        for name, found in wealth.items():
            expected = Wealth(PURSE, had.get(name, 0) + change.get(name, 0))
            tell.check(f"{name} has {show(ETH, expected.eth)} and {show(USDC, expected.usdc)}", found == expected)
        held = Wealth(self._chain.balance(rollup.address), int(rollup.token_view(USDC, "balanceOf", rollup.address)))
        tell.check("the contract holds nothing any more", held == Wealth(0, 0))
        owed = [rollup.payout(person.address, token) for person in self._people for token in TOKENS]
        tell.check("and owes nothing", not any(owed))
        return Ending(wealth, 0, held)

    # ---------------------------------------------------------------- helpers

    def _deposit(self, user: _User, token: int, amount: int) -> None:
        signer, rollup = user.person.signer, self._rollup
        if token == USDC:
            address = rollup.token_address(USDC)
            send(self._chain, signer, address, coder("TestUSDC").encode("mint", signer.address, amount))
            send(self._chain, signer, address, coder("TestUSDC").encode("approve", rollup.address, amount))
        call = rollup.deposit_call(token, amount, signer.address, 0, user.key.public_key)
        send(self._chain, signer, rollup.address, call, value=0 if token else amount)

    def _refuses_deposits(self, user: _User) -> bool:
        call = self._rollup.deposit_call(ETH, 1, user.person.address, 0, user.key.public_key)
        try:
            self._chain.call(self._rollup.address, call, user.person.address, 1)
        except RevertedError as error:
            return error.name == "RollupFrozen"
        return False

    def _escape(self, person: Person, *, freeze: bool = False, quiet: bool = False) -> Escaped:
        """What `ape run escape --claim` does, with a database of its own."""

        def say(line: str) -> None:
            if not quiet:
                self._tell.say(f"- {HASHES.sub('', line)}")

        with Store(":memory:") as store:
            read = zk_reader(self._rollup, store)
            return escape(
                read, self._rollup, person.signer, person.owner, freeze=freeze, claim=True, show=show, say=say
            )
