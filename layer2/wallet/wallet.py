"""What a user of the ZK rollup does: derive the key, deposit, send, withdraw, force, claim, look.

May import everything but actors and scripts.
"""

import time
from collections.abc import Callable
from functools import cached_property

from layer2.chain.connection import Receipt
from layer2.chain.rollup import Rollup
from layer2.chain.signer import Signer
from layer2.crypto.addresses import int_to_address
from layer2.crypto.eddsa import Point, PrivateKey
from layer2.crypto.keys import derive_private_key, key_message
from layer2.ledger.operations import NO_KEY, Operation, sign_operation
from layer2.node.client import RelayerClient, RelayerClientError, RemoteAccount, RemoteStatus
from layer2.wallet.custody import DEFAULT_VALIDITY, CustodyWallet
from layer2.wallet.custody import ETH as ETH
from layer2.wallet.custody import listed_token as listed_token
from layer2.wallet.units import TokenInfo, WalletError


class Wallet(CustodyWallet):
    """One L1 account and its Layer 2 key on one rollup."""

    def __init__(
        self, rollup: Rollup, signer: Signer, relayer: RelayerClient, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Nothing is asked of chain or relayer yet. clock: seconds since 1970."""
        super().__init__(rollup, signer, rollup.deployment.chain_id, rollup.deployment.tokens, clock)
        self.rollup = rollup
        self.relayer = relayer

    @cached_property
    def key(self) -> PrivateKey:
        """The Layer 2 key, from one wallet signature (docs/protocol.md §1). Asks the account to sign once."""
        deployment = self.rollup.deployment
        return derive_private_key(self.signer.sign_text(key_message(deployment.chain_id, deployment.rollup)))

    @property
    def deposit_key(self) -> Point:
        """The public key."""
        return self.key.public_key

    def claim(self, token: TokenInfo, to: str | None = None) -> tuple[int, Receipt]:
        """Claim the whole payout of a token, to this account or to `to`. Returns the amount.

        Raises WalletError when there is nothing, ChainError when the transaction fails.
        """
        amount = self.payout(token)
        if amount == 0:
            raise WalletError(
                f"there is no {token.symbol} to claim for {self.signer.address}: withdraw, and wait for the batch"
            )
        return amount, self.pay_out(token, to)

    # ---------------------------------------------------------------- L2

    def accounts(self) -> list[RemoteAccount]:
        """The Layer 2 accounts of this L1 account that its own key controls.

        Anybody can open an account that names this owner with a key of their own: whatever is paid into such an account
        is theirs to spend. `foreign_accounts` lists these.
        """
        return [account for account in self.relayer.accounts_of(self.owner) if self._is_own(account)]

    def foreign_accounts(self) -> list[RemoteAccount]:
        """Accounts that name this owner but obey another key. Their balance can be had by a forced withdrawal."""
        return [account for account in self.relayer.accounts_of(self.owner) if not self._is_own(account)]

    def _is_own(self, account: RemoteAccount) -> bool:
        return account.account.key == self.key.public_key

    def account(self, token: TokenInfo, index: int | None = None) -> RemoteAccount:
        """The own account of a token (the first, or the one with `index`).

        Raises WalletError when there is none, RelayerClientError when the relayer does not answer.
        """
        own = [account for account in self.accounts() if account.account.token == token.id]
        if index is not None:
            own = [account for account in own if account.index == index]
        if not own:
            if any(a.account.token == token.id and index in (None, a.index) for a in self.foreign_accounts()):
                raise WalletError(
                    f"the {token.symbol} account of {self.signer.address} obeys another key than its own: "
                    "use the wallet that has the key, force a withdrawal on L1, or deposit to open another account"
                )
            which = f"account {index}" if index is not None else "account"
            raise WalletError(
                f"{self.signer.address} has no {token.symbol} {which} on this rollup: deposit, and wait for the batch "
                "that takes it"
            )
        return own[0]

    def recipient(self, index: int, token: TokenInfo) -> RemoteAccount:
        """Somebody's account, to pay. Raises WalletError when it is none of this token."""
        try:
            account = self.relayer.account(index)
        except RelayerClientError as error:
            if error.code == "unknown_account":
                raise WalletError(
                    f"there is no account {index}: give the recipient's owner and key to open one"
                ) from error
            raise
        if account.account.token != token.id:
            raise WalletError(f"account {index} does not hold {token.symbol}: ask for an account that does")
        return account

    def transfer(
        self,
        token: TokenInfo,
        to: int,
        amount: int,
        *,
        fee: int = 0,
        source: int | None = None,
        validity: int = DEFAULT_VALIDITY,
        owner: int | None = None,
        key: Point | None = None,
    ) -> str:
        """Pay the account `to`; returns the transaction's id. amount and fee in smallest units, validity in seconds.

        owner, key: what the account must have, if known from the payee. Without them the relayer's word is taken for
        whose account `to` is; in any case the signature holds for the account with the owner and key looked up only.
        Raises WalletError for what cannot be sent, RelayerClientError when the relayer refuses.
        """
        token.sendable(amount)
        sender = self.account(token, source)
        recipient = self.recipient(to, token)
        payee = recipient.account
        if (owner is not None and payee.owner != owner) or (key is not None and payee.key != key):
            raise WalletError(
                f"account {to} belongs to {int_to_address(payee.owner)} with key {payee.key.x},{payee.key.y}, which "
                "is not the payee named: ask the payee for the account, or open one with the payee's owner and key"
            )
        operation = Operation.transfer(sender.index, to, token.id, amount, token.fee(fee))
        return self._sign_and_send(sender, operation, validity, payee.owner, payee.key)

    def transfer_to_new(
        self,
        token: TokenInfo,
        owner: int,
        key: Point,
        amount: int,
        *,
        fee: int = 0,
        source: int | None = None,
        validity: int = DEFAULT_VALIDITY,
    ) -> str:
        """Open an account for (owner, key) with an amount; otherwise like `transfer`."""
        token.sendable(amount)
        sender = self.account(token, source)
        operation = Operation.transfer_to_new(sender.index, token.id, amount, owner, key, token.fee(fee))
        return self._sign_and_send(sender, operation, validity)

    def withdraw(
        self,
        token: TokenInfo,
        amount: int,
        *,
        fee: int = 0,
        source: int | None = None,
        validity: int = DEFAULT_VALIDITY,
    ) -> str:
        """Take an amount (any, exactly) out to this account's L1 payout; otherwise like `transfer`."""
        sender = self.account(token, source)
        operation = Operation.withdrawal(sender.index, token.id, amount, self.owner, token.fee(fee))
        return self._sign_and_send(sender, operation, validity)

    def wait(self, transaction: str, timeout: float, interval: float = 0.5) -> RemoteStatus:
        """The status once the transaction is verified or dropped, or the last one after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            status = self.relayer.status(transaction)
            if status.state in ("verified", "dropped") or time.monotonic() >= deadline:
                return status
            time.sleep(interval)

    def _sign_and_send(
        self,
        sender: RemoteAccount,
        operation: Operation,
        validity: int,
        recipient_owner: int = 0,
        recipient_key: Point = NO_KEY,
    ) -> str:
        signed = sign_operation(
            self.key,
            self.rollup.deployment.domain,
            operation,
            sender.next_nonce,
            self._expiry(validity),
            recipient_owner,
            recipient_key,
        )
        return self.relayer.send(signed)
