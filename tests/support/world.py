"""A rollup with the small test circuits on a chain of its own, users with money, and a relayer that can be killed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from layer2.actors.proving import SegmentProver, local_keys
from layer2.actors.relayer import Relayer, RelayerConfig
from layer2.actors.store import Store
from layer2.chain.coder import coder
from layer2.chain.connection import Chain
from layer2.chain.deploying import RollupConfig, deploy
from layer2.chain.deployment import Deployment
from layer2.chain.rollup import Rollup
from layer2.chain.sending import send
from layer2.chain.signer import LocalSigner
from layer2.crypto.eddsa import PrivateKey
from layer2.crypto.keys import derive_private_key, key_message
from layer2.ledger.amounts import encode_fee8
from layer2.ledger.operations import Operation, SignedOperation, sign_operation
from layer2.zk.build import TEST_CIRCUITS
from tests.support.anvil import Anvil, signer

USDC = 1
UNIT = 10**6


@cache
def prover() -> SegmentProver:
    return SegmentProver.load(TEST_CIRCUITS)


@dataclass
class User:
    """An L1 account with its Layer 2 key; `account` is the index it was given."""

    signer: LocalSigner
    key: PrivateKey
    account: int = 0

    @property
    def owner(self) -> int:
        return int(self.signer.address, 16)


@dataclass
class World:
    """A rollup and its users, on a chain that a test may turn upside down."""

    anvil: Anvil
    deployment: Deployment
    folder: Path
    operator: LocalSigner
    alice: User
    bob: User
    carol: User
    config: RelayerConfig = field(default_factory=lambda: RelayerConfig(batch_timeout=0, workers=1))
    database: str = "relayer.sqlite"
    now: Callable[[], float] = time.time

    @classmethod
    def create(cls, anvil: Anvil, folder: Path, settings: RollupConfig | None = None) -> "World":
        """Deploy with the test circuits; everybody gets 1000 USDC on L1."""
        operator = signer(0)
        keys = local_keys(TEST_CIRCUITS)
        deployment = deploy(anvil.chain, operator, keys, settings or RollupConfig(queue_quota=3)).deployment
        text = key_message(deployment.chain_id, deployment.rollup)
        users = [User(s, derive_private_key(s.sign_text(text))) for s in (signer(1), signer(2), signer(3))]
        world = cls(anvil, deployment, folder, operator, *users)
        usdc = deployment.tokens[0].address
        for user in users:
            mint = coder("TestUSDC").encode("mint", user.signer.address, 1000 * UNIT)
            send(anvil.chain, operator, usdc, mint)
            allow = coder("TestUSDC").encode("approve", deployment.rollup, 1000 * UNIT)
            send(anvil.chain, user.signer, usdc, allow)
        return world

    @property
    def chain(self) -> Chain:
        return self.anvil.chain

    @property
    def rollup(self) -> Rollup:
        return Rollup(self.chain, self.deployment)

    # ---------------------------------------------------------------- users

    def deposit(self, user: User, amount: int, token: int = USDC, account: int = 0) -> None:
        call = self.rollup.deposit_call(token, amount, user.signer.address, account, user.key.public_key)
        send(self.chain, user.signer, self.deployment.rollup, call, value=0 if token else amount)

    def force(self, user: User, account: int) -> None:
        send(self.chain, user.signer, self.deployment.rollup, self.rollup.force_withdraw_call(account))

    def sign(
        self, user: User, operation: Operation, nonce: int, recipient: User | None = None, expiry: int = 2**40 - 1
    ) -> SignedOperation:
        payee = () if recipient is None else (recipient.owner, recipient.key.public_key)
        return sign_operation(user.key, self.deployment.domain, operation, nonce, expiry, *payee)

    def transfer(
        self, user: User, to: User, amount: int, nonce: int, fee: int = 0, token: int = USDC, expiry: int = 2**40 - 1
    ) -> SignedOperation:
        operation = Operation.transfer(user.account, to.account, token, amount, encode_fee8(fee))
        return self.sign(user, operation, nonce, to, expiry)

    def withdrawal(self, user: User, amount: int, nonce: int, fee: int = 0, token: int = USDC) -> SignedOperation:
        operation = Operation.withdrawal(user.account, token, amount, user.owner, encode_fee8(fee))
        return self.sign(user, operation, nonce)

    def l1_usdc(self, user: User) -> int:
        return int(self.rollup.token_view(USDC, "balanceOf", user.signer.address))

    # ---------------------------------------------------------------- relayers

    @contextmanager
    def relayer(
        self,
        checkpoint: Callable[[str], None] = lambda point: None,
        sender: LocalSigner | None = None,
        database: str | None = None,
        **config: object,
    ) -> Iterator[Relayer]:
        """A relayer as if just started; its database stays for the next one."""
        settings = replace(self.config, **config)
        with Store(self.folder / (database or self.database)) as store:
            relayer = Relayer(
                self.rollup, store, sender or self.operator, prover(), settings, clock=self.now, checkpoint=checkpoint
            )
            try:
                yield relayer
            finally:
                relayer.close()

    def open_accounts(self) -> None:
        """Alice gets account 1 with 100 USDC, Bob 2 with 50, Carol 3 with 20."""
        for number, (user, amount) in enumerate(((self.alice, 100), (self.bob, 50), (self.carol, 20)), 1):
            self.deposit(user, amount * UNIT)
            user.account = number
        with self.relayer() as relayer:
            relayer.run_until_idle()
