"""An optimistic rollup on a chain of its own, users with money, and sequencers and challengers that can be killed."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from layer2.actors.challenger import Challenger
from layer2.actors.optimistic_follower import OptimisticFollower, Position
from layer2.actors.optimistic_store import OptimisticStore
from layer2.actors.sequencer import Sequencer, SequencerConfig
from layer2.chain.blobs import BlobSource, blob_source
from layer2.chain.coder import coder
from layer2.chain.connection import Chain, Receipt
from layer2.chain.local import KEYS
from layer2.chain.optimistic_deploying import OptimisticConfig, deploy_optimistic
from layer2.chain.optimistic_deployment import OptimisticDeployment
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.chain.sending import send
from layer2.chain.signer import LocalSigner
from layer2.crypto.eddsa import Point
from layer2.crypto.keccak import keccak256
from layer2.optimistic.batches import Claim
from layer2.optimistic.chunks import execute_batch, pack
from layer2.optimistic.operations import QueueEntry, SignedOperation, Transfer, Withdraw
from layer2.optimistic.records import Record
from layer2.optimistic.signing import sign_operation
from layer2.optimistic.transition import Context
from tests.support.anvil import Anvil, signer
from tests.support.optimistic import Draft

USDC = 1
UNIT = 10**6
FOREVER = 2**32 - 1
ETHER = 10**18


@dataclass
class User:
    """An L1 account; `account` is its index on Layer 2."""

    signer: LocalSigner
    key: bytes
    account: int = 0

    @property
    def owner(self) -> int:
        return int(self.signer.address, 16)


def user(number: int) -> User:
    return User(signer(number), bytes.fromhex(KEYS[number][2:]))


Lookup = Callable[[int], Record | None]


@dataclass
class OptimisticWorld:
    """A rollup and its users, on a chain that a test may turn upside down."""

    anvil: Anvil
    deployment: OptimisticDeployment
    folder: Path
    operator: LocalSigner
    alice: User
    bob: User
    carol: User
    blobs: BlobSource
    config: SequencerConfig = field(default_factory=lambda: SequencerConfig(data="calldata", batch_timeout=0))
    now: Callable[[], float] = time.time

    @classmethod
    def create(cls, anvil: Anvil, folder: Path, **settings: Any) -> "OptimisticWorld":
        """Deploy; everybody gets 1000 USDC on L1, and the operator a bond."""
        operator = signer(0)
        config = OptimisticConfig(**({"levels": 8, "queue_quota": 3} | settings))
        deployment = deploy_optimistic(anvil.chain, operator, config).deployment
        world = cls(anvil, deployment, folder, operator, user(1), user(2), user(3), blobs_of(anvil.chain))
        usdc = deployment.tokens[0].address
        for one in (world.alice, world.bob, world.carol):
            send(anvil.chain, operator, usdc, coder("TestUSDC").encode("mint", one.signer.address, 1000 * UNIT))
            allow = coder("TestUSDC").encode("approve", deployment.rollup, 1000 * UNIT)
            send(anvil.chain, one.signer, usdc, allow)
        world.bond(operator)
        return world

    @property
    def chain(self) -> Chain:
        return self.anvil.chain

    @property
    def rollup(self) -> OptimisticRollup:
        return OptimisticRollup(self.chain, self.deployment)

    # ---------------------------------------------------------------- users

    def bond(self, who: LocalSigner, amount: int = ETHER) -> None:
        send(self.chain, who, self.deployment.rollup, self.rollup.bond_call(), value=amount)

    def deposit(self, one: User, amount: int, token: int = USDC, account: int = 0) -> None:
        call = self.rollup.deposit_call(token, amount, one.signer.address, account, Point(0, 0))
        send(self.chain, one.signer, self.deployment.rollup, call, value=0 if token else amount)

    def force(self, one: User, account: int) -> None:
        send(self.chain, one.signer, self.deployment.rollup, self.rollup.force_withdraw_call(account))

    def sign(self, one: User, operation: SignedOperation, record: Lookup) -> bytes:
        return sign_operation(operation, record, self.deployment.domain_separator, one.key).encode()

    def transfer(
        self, one: User, to: User, amount: int, record: Lookup, *, fee: int = 0, nonce: int | None = None
    ) -> bytes:
        """A signed transfer, for the account's nonce unless another is given."""

        def found(index: int) -> Record | None:
            account = record(index)
            if nonce is not None and index == one.account and account is not None:
                return account._replace(nonce=nonce)
            return account

        return self.sign(one, Transfer(one.account, to.account, amount, fee, FOREVER), found)

    def withdrawal(self, one: User, amount: int, record: Lookup) -> bytes:
        return self.sign(one, Withdraw(one.account, amount, 0, FOREVER), record)

    def l1_usdc(self, one: User) -> int:
        return int(self.rollup.token_view(USDC, "balanceOf", one.signer.address))

    def wait(self, who: LocalSigner | None = None) -> None:
        """Until everything that an account (the challengers' unless given) has sent is mined: Anvil answers first."""
        address = (who or signer(4)).address
        while self.chain.nonce(address) < self.chain.nonce(address, pending=True):
            time.sleep(0.01)

    # ---------------------------------------------------------------- batches by hand

    def make(
        self, *operations: bytes, queue: int = 0, chunks: Sequence[bytes] | None = None, parent: Position | None = None
    ) -> Draft:
        """An honest batch on the last right one: so many queue entries, then operations; or chunks of bytes."""
        with self.follower() as follower:
            follower.sync()
            parent = parent or follower.position
            rows = follower._store.queued(parent.header.queue_cursor)
            chain = follower._store.queue_chain(parent.header.queue_cursor + queue)
        if chunks is None:
            chunks = pack([QueueEntry().encode()] * queue + list(operations))
        context = Context(
            self.deployment.domain_separator, self.chain.head().timestamp, parent.header.queue_cursor + queue
        )
        executed = execute_batch(parent.state, context, chunks, [row.entry.operation.to_slot() for row in rows])
        after = executed[-1].after
        return Draft(
            after.state_root,
            Claim.of(after, context.executed_at, len(chunks), chain),
            tuple(one.chunk for one in executed),
            (*(one.before for one in executed), after),
        )

    def queue_chain(self, end: int) -> bytes:
        """The queue's hash chain over its first entries."""
        with self.follower() as follower:
            follower.sync()
            return follower._store.queue_chain(end)

    def post(self, draft: Draft, sender: LocalSigner | None = None, *, blob: bool = False) -> Receipt:
        """Submit a batch on the tip, be it right or wrong."""
        parent = draft.parent_hash or self.rollup.tip().batch_hash
        data = b"" if blob else draft.transactions
        call = self.rollup.submit_call(draft.state_root, parent, draft.claim, data)
        blobs = [draft.blob] if blob else []
        return send(self.chain, sender or self.operator, self.deployment.rollup, call, blobs=blobs)

    # ---------------------------------------------------------------- actors

    @contextmanager
    def sequencer(
        self,
        checkpoint: Callable[[str], None] = lambda point: None,
        sender: LocalSigner | None = None,
        database: str = "sequencer.sqlite",
        **config: Any,
    ) -> Iterator[Sequencer]:
        """A sequencer as if just started; its database stays for the next one."""
        settings = replace(self.config, **config)
        with OptimisticStore(self.folder / database) as store:
            yield Sequencer(
                self.rollup,
                store,
                sender or self.operator,
                self.blobs,
                settings,
                clock=self.now,
                checkpoint=checkpoint,
            )

    @contextmanager
    def challenger(
        self,
        checkpoint: Callable[[str], None] = lambda point: None,
        sender: LocalSigner | None = None,
        database: str = "challenger.sqlite",
        **options: Any,
    ) -> Iterator[Challenger]:
        """A challenger as if just started."""
        with OptimisticStore(self.folder / database) as store:
            yield Challenger(
                self.rollup, store, sender or signer(4), self.blobs, checkpoint=checkpoint, clock=self.now, **options
            )

    @contextmanager
    def follower(self, database: str = ":memory:", **options: Any) -> Iterator[OptimisticFollower]:
        path = database if database == ":memory:" else self.folder / database
        with OptimisticStore(path) as store:
            yield OptimisticFollower(self.rollup, store, self.blobs, **options)

    def open_accounts(self) -> None:
        """Alice gets account 1 with 100 USDC, Bob 2 with 50, Carol 3 with 20."""
        for number, (one, amount) in enumerate(((self.alice, 100), (self.bob, 50), (self.carol, 20)), 1):
            self.deposit(one, amount * UNIT)
            one.account = number
        with self.sequencer(database="first.sqlite") as sequencer:
            sequencer.run_until_idle()


def records(actor: Any) -> Lookup:
    """Looks records up as a sequencer has executed them, or as another actor has them from L1."""
    if isinstance(actor, Sequencer):

        def find(index: int) -> Record | None:
            view = actor.record(index)
            return None if view is None else view.record

        return find
    return actor.position.state.record


def balances(lookup: Lookup, count: int = 3) -> list[int]:
    return [lookup(index).balance for index in range(1, count + 1)]


def ids(bodies: Sequence[bytes]) -> list[bytes]:
    return [keccak256(body) for body in bodies]


def blobs_of(chain: Chain) -> BlobSource:
    return blob_source(chain, None)
