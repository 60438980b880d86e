"""What a user does: derive the key, deposit, send, withdraw, force, claim, look.

May import everything but actors and scripts.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from eth_utils.address import to_checksum_address

from layer2.chain.coder import coder
from layer2.chain.connection import LOCAL_CHAIN_IDS, Receipt
from layer2.chain.custody import CustodyContract
from layer2.chain.deployment import Token
from layer2.chain.errors import ChainError, DataMissingError, RevertedError
from layer2.chain.permit import sign_permit
from layer2.chain.rollup import Rollup
from layer2.chain.sending import send
from layer2.chain.signer import Signer
from layer2.crypto.addresses import address_to_int, int_to_address
from layer2.crypto.eddsa import Point, PrivateKey
from layer2.crypto.keys import derive_private_key, key_message
from layer2.ledger.operations import NO_KEY, Operation, sign_operation
from layer2.node.client import RelayerClient, RelayerClientError, RemoteAccount, RemoteStatus
from layer2.wallet.units import TokenInfo, WalletError

ETH: Final = TokenInfo(0, None, "ETH", 18)

DEFAULT_VALIDITY: Final = 3600
"""Seconds after which a signed operation that no batch took expires."""


@dataclass(frozen=True)
class Deposited:
    """A deposit in the L1 queue: its position, and the transaction with its receipt."""

    position: int
    receipt: Receipt


def listed_token(contract: CustodyContract, known: Sequence[Token], token: int) -> TokenInfo:
    """A listed token by its id, as the deployment file knows it or as it says itself; a token without symbol or
    decimals gets "token <id>" and 0. Raises RevertedError (UnknownToken) for an id that is not listed."""
    if token == 0:
        return ETH
    for one in known:
        if one.id == token:
            return TokenInfo(one.id, one.address, one.symbol, one.decimals)
    address = contract.token_address(token)
    try:
        symbol, decimals = str(contract.token_view(token, "symbol")), int(contract.token_view(token, "decimals"))
    except (RevertedError, DataMissingError):
        symbol, decimals = f"token {token}", 0
    return TokenInfo(token, address, symbol, decimals)


class Wallet:
    """One L1 account and its Layer 2 key on one rollup."""

    def __init__(
        self, rollup: Rollup, signer: Signer, relayer: RelayerClient, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Nothing is asked of chain or relayer yet. clock: seconds since 1970."""
        self.rollup = rollup
        self.signer = signer
        self.relayer = relayer
        self._clock = clock

    @property
    def owner(self) -> int:
        """The L1 address as an integer."""
        return int(self.signer.address, 16)

    @cached_property
    def key(self) -> PrivateKey:
        """The Layer 2 key, from one wallet signature (docs/protocol.md §1). Asks the account to sign once."""
        deployment = self.rollup.deployment
        return derive_private_key(self.signer.sign_text(key_message(deployment.chain_id, deployment.rollup)))

    # ---------------------------------------------------------------- tokens

    def token(self, name: str) -> TokenInfo:
        """A token by "ETH", by its id, its address, or the symbol in the deployment file.

        Raises WalletError when there is no such token, AddressError for a malformed address, ChainError when
        the token's contract does not answer.
        """
        if name.upper() == "ETH" or name == "0":
            return ETH
        for known in self.rollup.deployment.tokens:
            if name.upper() == known.symbol.upper():
                return TokenInfo(known.id, known.address, known.symbol, known.decimals)
        try:
            if name.isascii() and name.isdigit() and int(name) < 1 << 16:
                return self.token_by_id(int(name))
            if name.startswith("0x"):
                return self.token_by_id(self.rollup.token_id(int_to_address(address_to_int(name))))
        except RevertedError as error:
            raise WalletError(f"token {name} is not listed: register it in the registry first") from error
        raise WalletError(f"token {name!r} is unknown: give ETH, a listed token's id, its address or a known symbol")

    def token_by_id(self, token: int) -> TokenInfo:
        """A listed token by its id; a token without symbol or decimals gets "token <id>" and 0."""
        return listed_token(self.rollup, self.rollup.deployment.tokens, token)

    def l1_balance(self, token: TokenInfo) -> int:
        """What the L1 account holds, in smallest units."""
        if token.id == 0:
            return self.rollup.chain.balance(self.signer.address)
        return int(self.rollup.token_view(token.id, "balanceOf", self.signer.address))

    # ---------------------------------------------------------------- L1

    def deposit(self, token: TokenInfo, amount: int, *, account: int = 0, permit: bool = True) -> Deposited:
        """Deposit to an own account, or to a new one if `account` is 0.

        An ERC-20 is allowed by a signed permit if it can (and `permit` is true), otherwise by an approval.
        Raises WalletError for too little money, ChainError when a transaction fails.
        """
        if amount == 0:
            raise WalletError("a deposit of 0 credits nothing: give an amount")
        held = self.l1_balance(token)
        if held < amount:
            raise WalletError(
                f"{self.signer.address} holds {token.show(held)}, not {token.show(amount)}: get more first"
            )
        rollup, chain = self.rollup, self.rollup.chain
        owner, key = self.signer.address, self.key.public_key
        value = amount if token.id == 0 else 0
        call = rollup.deposit_call(token.id, amount, owner, account, key)
        if token.address is not None:
            signed = sign_permit(chain, self.signer, token.address, rollup.address, amount) if permit else None
            if signed is not None:
                call = rollup.coder.encode(
                    "depositWithPermit", token.id, amount, owner, account, list(key), *signed.arguments
                )
            elif rollup.token_view(token.id, "allowance", owner, rollup.address) < amount:
                approval = coder("TestUSDC").encode("approve", rollup.address, amount)
                send(chain, self.signer, token.address, approval)
        receipt = send(chain, self.signer, rollup.address, call, value=value)
        topic = rollup.coder.topic("OperationQueued")
        block = receipt.block.number
        for log in chain.logs(rollup.address, block, block, [topic]):
            event = rollup.event(log)
            if event is not None and log.transaction == receipt.hash:
                return Deposited(int(event.arguments["index"]), receipt)
        raise ChainError(f"transaction 0x{receipt.hash.hex()} queued nothing: look at its logs")

    def force_withdrawal(self, account: int) -> Receipt:
        """Queue a withdrawal of the account's whole balance on L1, which no relayer can refuse. Raises ChainError."""
        return send(self.rollup.chain, self.signer, self.rollup.address, self.rollup.force_withdraw_call(account))

    def payout(self, token: TokenInfo) -> int:
        """What can be claimed now."""
        return self.rollup.payout(self.signer.address, token.id)

    def claim(self, token: TokenInfo, to: str | None = None) -> tuple[int, Receipt]:
        """Claim the whole payout of a token, to this account or to `to`. Returns the amount.

        Raises WalletError when there is nothing, ChainError when the transaction fails.
        """
        amount = self.payout(token)
        if amount == 0:
            raise WalletError(
                f"there is no {token.symbol} to claim for {self.signer.address}: withdraw, and wait for the batch"
            )
        call = self.rollup.withdraw_call(token.id, to_checksum_address(to or self.signer.address))
        return amount, send(self.rollup.chain, self.signer, self.rollup.address, call)

    def mint_test_token(self, token: TokenInfo, amount: int) -> Receipt:
        """Make test tokens for this account. Raises WalletError for any other token or chain."""
        deployment = self.rollup.deployment
        if deployment.chain_id not in LOCAL_CHAIN_IDS or token.address not in [t.address for t in deployment.tokens]:
            raise WalletError(
                f"{token.symbol} on chain {deployment.chain_id} is no test token: only those can be minted"
            )
        assert token.address is not None
        mint = coder("TestUSDC").encode("mint", self.signer.address, amount)
        return send(self.rollup.chain, self.signer, token.address, mint)

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
        expiry = max(int(self._clock()), self.rollup.chain.head().timestamp) + validity
        signed = sign_operation(
            self.key,
            self.rollup.deployment.domain,
            operation,
            sender.next_nonce,
            expiry,
            recipient_owner,
            recipient_key,
        )
        return self.relayer.send(signed)
