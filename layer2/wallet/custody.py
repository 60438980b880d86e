"""What a wallet does on L1 alone, on a rollup of either kind: tokens, deposits, forced withdrawals, payouts.

May import everything but actors and scripts.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from eth_utils.address import to_checksum_address

from layer2.chain.coder import coder
from layer2.chain.connection import LOCAL_CHAIN_IDS, Receipt
from layer2.chain.custody import CustodyContract
from layer2.chain.deployment import Token
from layer2.chain.errors import ChainError, RevertedError
from layer2.chain.permit import sign_permit
from layer2.chain.sending import send
from layer2.chain.signer import Signer
from layer2.crypto.addresses import address_to_int, int_to_address
from layer2.crypto.eddsa import Point
from layer2.wallet.units import TokenInfo, WalletError, unlisted_token

ETH: Final = TokenInfo(0, None, "ETH", 18)

DEFAULT_VALIDITY: Final = 3600
"""Seconds after which a signed operation that no batch took expires."""


@dataclass(frozen=True)
class Deposited:
    """A deposit in the L1 queue: its position, and the transaction with its receipt."""

    position: int
    receipt: Receipt


def listed_token(contract: CustodyContract, known: Sequence[Token], token: int) -> TokenInfo:
    """A listed token by its id, as the deployment file knows it, else see `unlisted_token`. Raises RevertedError
    (UnknownToken) for an id that is not listed."""
    if token == 0:
        return ETH
    for one in known:
        if one.id == token:
            return TokenInfo(one.id, one.address, one.symbol, one.decimals)
    address = contract.token_address(token)
    return unlisted_token(token, address, f"{token}", lambda view: contract.token_view(token, view))


class CustodyWallet:
    """One L1 account on one rollup. Subclasses know what it is on Layer 2."""

    def __init__(
        self,
        contract: CustodyContract,
        signer: Signer,
        chain_id: int,
        tokens: Sequence[Token],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is asked of the chain yet. tokens: those of the deployment file. clock: seconds since 1970."""
        self.contract = contract
        self.signer = signer
        self.tokens = tuple(tokens)
        self._chain_id = chain_id
        self._clock = clock

    @property
    def owner(self) -> int:
        """The L1 address as an integer."""
        return int(self.signer.address, 16)

    @property
    def deposit_key(self) -> Point:
        """The key that a deposit names."""
        raise NotImplementedError

    # ---------------------------------------------------------------- tokens

    def token(self, name: str) -> TokenInfo:
        """A token by "ETH", by its id, its address, or the symbol in the deployment file.

        Raises WalletError when there is no such token, AddressError for a malformed address, ChainError when
        the token's contract does not answer.
        """
        if name.upper() == "ETH" or name == "0":
            return ETH
        for known in self.tokens:
            if name.upper() == known.symbol.upper():
                return TokenInfo(known.id, known.address, known.symbol, known.decimals)
        try:
            if name.isascii() and name.isdigit() and int(name) < 1 << 16:
                return self.token_by_id(int(name))
            if name.startswith("0x"):
                return self.token_by_id(self.contract.token_id(int_to_address(address_to_int(name))))
        except RevertedError as error:
            raise WalletError(f"token {name} is not listed: register it in the registry first") from error
        raise WalletError(f"token {name!r} is unknown: give ETH, a listed token's id, its address or a known symbol")

    def token_by_id(self, token: int) -> TokenInfo:
        """A listed token by its id; see `listed_token`."""
        return listed_token(self.contract, self.tokens, token)

    def l1_balance(self, token: TokenInfo) -> int:
        """What the L1 account holds, in smallest units."""
        if token.id == 0:
            return self.contract.chain.balance(self.signer.address)
        return int(self.contract.token_view(token.id, "balanceOf", self.signer.address))

    def mint_test_token(self, token: TokenInfo, amount: int) -> Receipt:
        """Make test tokens for this account. Raises WalletError for any other token or chain."""
        if self._chain_id not in LOCAL_CHAIN_IDS or token.address not in [t.address for t in self.tokens]:
            raise WalletError(f"{token.symbol} on chain {self._chain_id} is no test token: only those can be minted")
        assert token.address is not None
        mint = coder("TestUSDC").encode("mint", self.signer.address, amount)
        return send(self.contract.chain, self.signer, token.address, mint)

    # ---------------------------------------------------------------- in and out

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
        contract, chain = self.contract, self.contract.chain
        owner, key = self.signer.address, self.deposit_key
        value = amount if token.id == 0 else 0
        call = contract.deposit_call(token.id, amount, owner, account, key)
        if token.address is not None:
            signed = sign_permit(chain, self.signer, token.address, contract.address, amount) if permit else None
            if signed is not None:
                call = contract.coder.encode(
                    "depositWithPermit", token.id, amount, owner, account, list(key), *signed.arguments
                )
            elif contract.token_view(token.id, "allowance", owner, contract.address) < amount:
                approval = coder("TestUSDC").encode("approve", contract.address, amount)
                send(chain, self.signer, token.address, approval)
        receipt = send(chain, self.signer, contract.address, call, value=value)
        topic = contract.coder.topic("OperationQueued")
        block = receipt.block.number
        for log in chain.logs(contract.address, block, block, [topic]):
            event = contract.event(log)
            if event is not None and log.transaction == receipt.hash:
                return Deposited(int(event.arguments["index"]), receipt)
        raise ChainError(f"transaction 0x{receipt.hash.hex()} queued nothing: look at its logs")

    def force_withdrawal(self, account: int) -> Receipt:
        """Queue a withdrawal of the account's whole balance on L1, which no operator can refuse. Raises ChainError."""
        call = self.contract.force_withdraw_call(account)
        return send(self.contract.chain, self.signer, self.contract.address, call)

    def payout(self, token: TokenInfo) -> int:
        """What can be claimed now."""
        return self.contract.payout(self.signer.address, token.id)

    def pay_out(self, token: TokenInfo, to: str | None = None) -> Receipt:
        """Have what can be claimed sent to this account or to `to`. Raises ChainError when the transaction fails."""
        call = self.contract.withdraw_call(token.id, to_checksum_address(to or self.signer.address))
        return send(self.contract.chain, self.signer, self.contract.address, call)

    def _expiry(self, validity: float) -> int:
        """The expiry of an operation that is signed now, in seconds since 1970. validity: seconds."""
        return max(int(self._clock()), self.contract.chain.head().timestamp) + int(validity)
