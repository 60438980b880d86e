"""What a user of the optimistic rollup does: deposit, send, swap, trade NFTs, withdraw, force, claim, look.

The key on Layer 2 is the L1 account's own, which signs EIP-712 messages (docs/optimistic.md §3). They name by value
what they are about, and are made from the records that were checked, each asked of the sequencer once (`Reported`). So
a sequencer that lies about owner, token or content gets a signature that is good for nothing; its word is taken for
nonces, for what a pool gives in a swap unless a minimum is named, and for whose an account is that is paid unless its
owner is named.
May import everything but actors and scripts.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from layer2.chain.errors import RevertedError
from layer2.chain.optimistic_rollup import OptimisticRollup
from layer2.chain.sending import send
from layer2.chain.signer import Signer
from layer2.crypto.addresses import int_to_address
from layer2.crypto.eddsa import Point
from layer2.crypto.eip712 import Message, compact, recover
from layer2.ledger.amounts import MAX_FLOAT40, nearest_float40
from layer2.node.sequencer_client import Accepted, OwnAccount, RemoteOperation, SequencerClient
from layer2.node.withdrawals import OwnWithdrawal, ReadWithdrawals, Withdrawals
from layer2.optimistic.constants import SWAP_FEE_DENOMINATOR, SWAP_FEE_NUMERATOR
from layer2.optimistic.operations import (
    AddLiquidity,
    CreatePool,
    MintNFT,
    PurchaseNFT,
    RemoveLiquidity,
    SignedOperation,
    Swap,
    Transfer,
    TransferNFT,
    TransferToNew,
    Withdraw,
)
from layer2.optimistic.records import NFT, Account, Pool, Position, Record
from layer2.optimistic.signing import message_of, sale_of, typed_data
from layer2.wallet.custody import DEFAULT_VALIDITY, CustodyWallet
from layer2.wallet.offers import Offer
from layer2.wallet.units import TokenInfo, WalletError, show_time

NO_KEY: Final = Point(0, 0)
"""What deposits name as key: an account obeys its owner's."""

WHOLE: Final = 10_000
"""Basis points in one: how slippage is given."""

DEFAULT_SLIPPAGE: Final = 100
"""Basis points by which a pool's price may have moved against the user when an operation is executed."""

_K = TypeVar("_K", Pool, Position, NFT)
_O = TypeVar("_O", Position, NFT)
_NAMES: Final = {type(None): "nothing", Account: "an account", Pool: "a pool", Position: "a position", NFT: "an NFT"}


@dataclass(frozen=True)
class Traded:
    """An operation on a pool was accepted. gets, gives: what the user gets and gives by the pool as it was reported, in
    smallest units by token id."""

    accepted: Accepted
    gives: dict[int, int]
    gets: dict[int, int]


@dataclass(frozen=True)
class Claimed:
    """What `claim` did: withdrawals that it credited, the amount that was paid out, and what is not final yet."""

    credited: tuple[OwnWithdrawal, ...]
    amount: int
    transaction: bytes
    pending: tuple[OwnWithdrawal, ...]


class Reported:
    """What the sequencer reports for one operation of an owner: of each record what it said first."""

    def __init__(self, sequencer: SequencerClient, owner: int) -> None:
        self._sequencer = sequencer
        self._owner = owner
        self._records: dict[int, Record | None] = {}
        self._accounts: list[OwnAccount] | None = None

    def record(self, index: int) -> Record | None:
        """What is at an index of the state tree, as the sequencer has executed it."""
        if index not in self._records:
            found = self._sequencer.record(index)
            self._records[index] = None if found is None else found.record
        return self._records[index]

    def accounts(self) -> list[OwnAccount]:
        """The owner's accounts."""
        if self._accounts is None:
            own = []
            for one in self._sequencer.accounts_of(self._owner):
                account = self._records.setdefault(one.index, one.account)
                if isinstance(account, Account) and account.owner == self._owner:
                    own.append(replace(one, account=account))
            self._accounts = own
        return self._accounts

    def account(self, token: TokenInfo, index: int | None = None) -> OwnAccount:
        """The owner's account of a token (the first, or the one with `index`). Raises WalletError without one."""
        for account in self.accounts():
            if account.account.token == token.id and index in (None, account.index):
                return account
        which = f"account {index}" if index is not None else "account"
        raise WalletError(
            f"{int_to_address(self._owner)} has no {token.symbol} {which} on this rollup: deposit, and wait for the "
            "sequencer to take it, or let somebody pay you into a new one"
        )

    def spender(self, token: TokenInfo, amount: int, fee: int = 0, index: int | None = None) -> OwnAccount:
        """As `account`, if it holds amount and fee. Raises WalletError also for a fee without a code."""
        token.fee(fee)
        sender = self.account(token, index)
        balance = sender.account.balance
        if balance < amount + fee:
            and_fee = f" and the fee of {token.show(fee)}" if fee else ""
            raise WalletError(
                f"account {sender.index} holds {token.show(balance)}, not {token.show(amount)}{and_fee}: deposit more, "
                "or give less"
            )
        return sender

    def pool(self, index: int) -> Pool:
        """A pool. Raises WalletError when it is none."""
        return self._find(index, Pool, "pool")

    def own_position(self, index: int) -> Position:
        """A position of the owner's in a pool. Raises WalletError when it is none."""
        return self._own(index, self._find(index, Position, "position"), "position")

    def nft(self, index: int) -> NFT:
        """An NFT. Raises WalletError when it is none."""
        return self._find(index, NFT, "NFT")

    def own_nft(self, index: int) -> NFT:
        """An NFT of the owner's. Raises WalletError when it is none."""
        return self._own(index, self.nft(index), "NFT")

    def _find(self, index: int, kind: type[_K], name: str) -> _K:
        found = self.record(index)
        if not isinstance(found, kind):
            raise WalletError(f"there is no {name} {index}: {_NAMES[type(found)]} has this index")
        return found

    def _own(self, index: int, record: _O, name: str) -> _O:
        if record.owner != self._owner:
            raise WalletError(
                f"{name} {index} belongs to {int_to_address(record.owner)}, not to {int_to_address(self._owner)}"
            )
        return record


class OptimisticWallet(CustodyWallet):
    """One L1 account on one optimistic rollup.

    Amounts and fees are in smallest units, validity in seconds, slippage in basis points. Operations raise WalletError
    for what cannot be, SequencerClientError when the sequencer refuses or does not answer.
    """

    def __init__(
        self,
        rollup: OptimisticRollup,
        signer: Signer,
        sequencer: SequencerClient,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is asked of chain or sequencer yet. clock: seconds since 1970."""
        super().__init__(rollup, signer, rollup.deployment.chain_id, rollup.deployment.tokens, clock)
        self.rollup = rollup
        self.sequencer = sequencer

    @property
    def deposit_key(self) -> Point:
        """None: see NO_KEY."""
        return NO_KEY

    # ---------------------------------------------------------------- records

    def accounts(self) -> list[OwnAccount]:
        """This L1 account's accounts on Layer 2, as the sequencer has executed them."""
        return self._ask().accounts()

    def record(self, index: int) -> Record | None:
        """What is at an index of the state tree, as the sequencer has executed it."""
        return self._ask().record(index)

    def _ask(self) -> Reported:
        return Reported(self.sequencer, self.owner)

    # ---------------------------------------------------------------- payments

    def transfer(
        self,
        token: TokenInfo,
        to: int,
        amount: int,
        *,
        fee: int = 0,
        source: int | None = None,
        owner: int | None = None,
        validity: int = DEFAULT_VALIDITY,
    ) -> Accepted:
        """Pay the account `to`. owner: whose it must be, if known; otherwise the sequencer's word is taken for that."""
        token.sendable(amount)
        reported = self._ask()
        sender = reported.spender(token, amount, fee, source)
        recipient = reported.record(to)
        if not isinstance(recipient, Account):
            raise WalletError(f"there is no account {to}: give the recipient's owner (--to-owner alone) to open one")
        if recipient.token != token.id:
            raise WalletError(f"account {to} does not hold {token.symbol}: ask for an account that does")
        if owner is not None and recipient.owner != owner:
            raise WalletError(
                f"account {to} belongs to {int_to_address(recipient.owner)}, which is not the payee named: ask for the "
                "account again"
            )
        return self._submit(reported, Transfer(sender.index, to, amount, fee, self._expiry(validity)))

    def transfer_to_new(
        self,
        token: TokenInfo,
        owner: int,
        amount: int,
        *,
        fee: int = 0,
        source: int | None = None,
        validity: int = DEFAULT_VALIDITY,
    ) -> Accepted:
        """Open an account for an owner with an amount."""
        token.sendable(amount)
        reported = self._ask()
        sender = reported.spender(token, amount, fee, source)
        return self._submit(reported, TransferToNew(sender.index, owner, amount, fee, self._expiry(validity)))

    def withdraw(
        self,
        token: TokenInfo,
        amount: int,
        *,
        fee: int = 0,
        source: int | None = None,
        validity: int = DEFAULT_VALIDITY,
    ) -> Accepted:
        """Take an amount (any, exactly) out: it can be claimed on L1 when its batch is final."""
        reported = self._ask()
        sender = reported.spender(token, amount, fee, source)
        return self._submit(reported, Withdraw(sender.index, amount, fee, self._expiry(validity)))

    # ---------------------------------------------------------------- pools

    def swap(
        self,
        token: TokenInfo,
        amount: int,
        other: TokenInfo,
        pool_index: int,
        *,
        minimum: int | None = None,
        slippage: int = DEFAULT_SLIPPAGE,
        fee: int = 0,
        source: int | None = None,
        to: int | None = None,
        validity: int = DEFAULT_VALIDITY,
    ) -> Traded:
        """Give an amount of a token to a pool for its other one, to an own account of that.

        minimum: least that is taken for it; what the pool gives now less the slippage, unless given.
        """
        token.sendable(amount)
        reported = self._ask()
        pool = reported.pool(pool_index)
        if {token.id, other.id} != {pool.token_a, pool.token_b}:
            raise WalletError(f"pool {pool_index} is not of {token.symbol} and {other.symbol}: name one that is")
        sender, receiver = reported.spender(token, amount, fee, source), reported.account(other, to)
        out = swap_output(pool, token.id, amount)
        if minimum is None:
            minimum = _at_least(out, slippage)
        elif out < minimum:
            raise WalletError(f"pool {pool_index} gives {other.show(out)} now, less than {other.show(minimum)}")
        other.sendable(minimum)
        expiry = self._expiry(validity)
        accepted = self._submit(reported, Swap(sender.index, receiver.index, pool_index, amount, minimum, fee, expiry))
        return Traded(accepted, {token.id: amount}, {other.id: out})

    def create_pool(
        self,
        token_a: TokenInfo,
        amount_a: int,
        token_b: TokenInfo,
        amount_b: int,
        *,
        fee: int = 0,
        validity: int = DEFAULT_VALIDITY,
    ) -> Traded:
        """A new pool with these reserves, and a position in it: the two indices that the operation creates."""
        if token_a.id == token_b.id:
            raise WalletError(f"a pool of {token_a.symbol} and {token_b.symbol} swaps nothing: give two tokens")
        reported = self._ask()
        a = reported.spender(token_a, token_a.sendable(amount_a), fee)
        b = reported.spender(token_b, token_b.sendable(amount_b))
        operation = CreatePool(a.index, b.index, amount_a, amount_b, fee, self._expiry(validity))
        return Traded(self._submit(reported, operation), {token_a.id: amount_a, token_b.id: amount_b}, {})

    def add_liquidity(
        self,
        pool_index: int,
        token_a: TokenInfo,
        amount_a: int,
        token_b: TokenInfo,
        amount_b: int,
        *,
        position: int = 0,
        slippage: int = DEFAULT_SLIPPAGE,
        fee: int = 0,
        validity: int = DEFAULT_VALIDITY,
    ) -> Traded:
        """Give an amount of the pool's first token, and of the second what belongs to it, which may differ from
        `amount_b` by the slippage. position: an own one of the pool's, 0 for a new one."""
        reported = self._ask()
        pool = reported.pool(pool_index)
        _check_pair(pool_index, pool, token_a, token_b)
        wanted = -(-amount_a * pool.reserve_b // pool.reserve_a)
        limits = _at_least(amount_b, slippage), _at_most(amount_b, slippage)
        if not limits[0] <= wanted <= limits[1]:
            raise WalletError(
                f"{token_b.show(wanted)} belong to {token_a.show(amount_a)} in pool {pool_index} now, not "
                f"{token_b.show(amount_b)}: name the amounts that you mean, or allow more slippage"
            )
        a = reported.spender(token_a, token_a.sendable(amount_a), fee)
        b = reported.spender(token_b, wanted)
        expiry = self._expiry(validity)
        operation = AddLiquidity(a.index, b.index, pool_index, position, amount_a, *limits, fee, expiry)
        return Traded(self._submit(reported, operation), {token_a.id: amount_a, token_b.id: wanted}, {})

    def remove_liquidity(
        self,
        position_index: int,
        token_a: TokenInfo,
        amount_a: int,
        token_b: TokenInfo,
        amount_b: int,
        *,
        shares: int | None = None,
        slippage: int = DEFAULT_SLIPPAGE,
        fee: int = 0,
        validity: int = DEFAULT_VALIDITY,
    ) -> Traded:
        """Take what belongs to an own position's shares (all of them unless given) of both reserves: at least these
        amounts less the slippage."""
        reported = self._ask()
        position = reported.own_position(position_index)
        shares = position.shares if shares is None else shares
        if not 0 < shares <= position.shares:
            raise WalletError(f"position {position_index} has {position.shares} shares, not {shares}: give fewer")
        pool = reported.pool(position.pool)
        _check_pair(position.pool, pool, token_a, token_b)
        token_a.fee(fee)
        a, b = reported.account(token_a), reported.account(token_b)
        parts = [shares * reserve // pool.shares for reserve in (pool.reserve_a, pool.reserve_b)]
        minima = [_at_least(amount, slippage) for amount in (amount_a, amount_b)]
        if parts[0] < minima[0] or parts[1] < minima[1]:
            raise WalletError(
                f"{shares} shares of pool {position.pool} are {token_a.show(parts[0])} and {token_b.show(parts[1])} "
                f"now, less than {token_a.show(amount_a)} and {token_b.show(amount_b)}: name the amounts that you "
                "mean, or allow more slippage"
            )
        operation = RemoveLiquidity(
            position_index, a.index, b.index, shares, minima[0], minima[1], fee, self._expiry(validity)
        )
        return Traded(self._submit(reported, operation), {}, {token_a.id: parts[0], token_b.id: parts[1]})

    # ---------------------------------------------------------------- NFTs

    def mint_nft(
        self,
        content: bytes,
        token: TokenInfo,
        *,
        fee: int = 0,
        source: int | None = None,
        validity: int = DEFAULT_VALIDITY,
    ) -> Accepted:
        """A new NFT of 32 bytes; the account of `token` pays the fee."""
        reported = self._ask()
        payer = reported.spender(token, 0, fee, source)
        return self._submit(reported, MintNFT(payer.index, content, fee, self._expiry(validity)))

    def transfer_nft(
        self,
        nft: int,
        to: int,
        token: TokenInfo,
        *,
        fee: int = 0,
        source: int | None = None,
        validity: int = DEFAULT_VALIDITY,
    ) -> Accepted:
        """Give an own NFT to an L1 address; the account of `token` pays the fee."""
        reported = self._ask()
        reported.own_nft(nft)
        payer = reported.spender(token, 0, fee, source)
        return self._submit(reported, TransferNFT(nft, to, payer.index, fee, self._expiry(validity)))

    def offer_nft(
        self,
        nft: int,
        token: TokenInfo,
        price: int,
        *,
        to: int | None = None,
        validity: int = DEFAULT_VALIDITY,
    ) -> Offer:
        """Sign an offer of an own NFT, to be paid into an own account of the token: whoever has it can take it."""
        reported = self._ask()
        record = reported.own_nft(nft)
        account = reported.account(token, to).index
        # The seller signs the price's token, which is that of the buyer's account; the own one has the same.
        operation = PurchaseNFT(nft, account, account, token.sendable(price), 0, self._expiry(validity))
        signature = self._sign(sale_of(operation, reported.record))
        return Offer(
            self._chain_id,
            int(self.rollup.address, 16),
            nft,
            record.content,
            record.creator,
            record.nonce,
            self.owner,
            account,
            token.id,
            price,
            operation.expiry,
            signature,
        )

    def buy_nft(
        self, offer: Offer, token: TokenInfo, price: int, *, fee: int = 0, source: int | None = None
    ) -> Accepted:
        """Take an offer. token, price: what was agreed; an offer that asks for anything else is refused. What is bought
        is what the offer says: look at content and creator first."""
        if (offer.chain_id, offer.rollup) != (self._chain_id, int(self.rollup.address, 16)):
            raise WalletError(
                f"the offer is for rollup {int_to_address(offer.rollup)} on chain {offer.chain_id}, not for "
                f"{self.rollup.address} on chain {self._chain_id}: take it there"
            )
        if (offer.token, offer.price) != (token.id, price):
            asked = self.token_by_id(offer.token).show(offer.price)
            raise WalletError(f"the offer asks for {asked}, not {token.show(price)}: agree first")
        if offer.expiry < self._expiry(0):
            raise WalletError(f"the offer expired at {show_time(offer.expiry)}: ask the seller for a new one")
        reported = self._ask()
        record = reported.nft(offer.nft)
        if (record.creator, record.content) != (offer.creator, offer.content):
            raise WalletError(
                f"NFT {offer.nft} has content 0x{record.content.hex()} by {int_to_address(record.creator)}, which is "
                "not what the offer says: do not take it"
            )
        if (record.owner, record.nonce) != (offer.seller, offer.nonce):
            raise WalletError(f"the offer of NFT {offer.nft} is over: it was handed on")
        buyer = reported.spender(token, token.sendable(price), fee, source)
        operation = PurchaseNFT(
            offer.nft, buyer.index, offer.seller_account, price, fee, offer.expiry, seller_signature=offer.signature
        )
        digest = sale_of(operation, reported.record).digest(self.rollup.deployment.domain_separator)
        if recover(digest, offer.signature) != offer.seller:
            raise WalletError(
                f"the offer is not signed by {int_to_address(offer.seller)}, who has NFT {offer.nft}: do not take it"
            )
        return self._submit(reported, operation)

    # ---------------------------------------------------------------- claims

    def claim(
        self,
        read: ReadWithdrawals | None,
        token: TokenInfo,
        *,
        to: str | None = None,
        confirm: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> Claimed:
        """Credit the withdrawals of final batches on L1, and have all that is credited of the token paid out.

        read: knows L1; None: pay out only what is credited already. to: who is paid, this account unless given.
        confirm: first confirm the batches that nobody can dispute any more, as far as they are right. say: gets a line
        for each transaction but the last. Raises WalletError when there is nothing to pay, which says what is still to
        come, ChainError when a transaction fails.
        """
        found = Withdrawals((), ()) if read is None else read(self.owner)
        if read is not None and confirm and found.due:
            for number, call in found.due:
                if self._send_once(call, "BatchAlreadyConfirmed"):
                    say(f"batch {number} confirmed")
            found = read(self.owner)
        items = [one for one in found.items if one.token == token.id]
        credited = []
        for one in items:
            if one.call is None or one.is_claimed or not self._send_once(one.call, "WithdrawalAlreadyClaimed"):
                continue
            say(f"withdrawal {one.index} of {token.show(one.amount)} credited")
            credited.append(one)
        pending = tuple(one for one in items if one.call is None)
        amount = self.payout(token)
        if amount == 0:
            raise WalletError(self._why_nothing(token, items, {number for number, _ in found.due}))
        receipt = self.pay_out(token, to)
        return Claimed(tuple(credited), amount, receipt.hash, pending)

    def _send_once(self, call: bytes, meanwhile: str) -> bool:
        """Send a call to the rollup; False when somebody else was quicker, which the contract says by that error."""
        try:
            send(self.rollup.chain, self.signer, self.rollup.address, call)
        except RevertedError as error:
            if error.name != meanwhile:
                raise
            return False
        return True

    def _why_nothing(self, token: TokenInfo, items: list[OwnWithdrawal], due: set[int]) -> str:
        waiting = [one for one in items if one.call is None]
        if waiting:
            return "; ".join(self.waits(one, is_due=one.batch_id in due) for one in waiting)
        if items:
            numbers = ", ".join(str(one.index) for one in items)
            return f"no {token.symbol} is left to claim: withdrawal {numbers} was already claimed and paid out"
        nothing = f"there is no {token.symbol} to claim for {self.signer.address}: no withdrawal of it was found"
        if self.rollup.view("isFrozen"):
            return (
                f"{nothing}; the rollup is frozen, what was not final is void: take accounts out with `ape run escape`"
            )
        return f"{nothing}; withdraw, and wait for the batch"

    def waits(self, one: OwnWithdrawal, *, is_due: bool = False) -> str:
        """When a withdrawal can be claimed."""
        what = f"withdrawal {one.index} of {self.token_by_id(one.token).show(one.amount)} is in batch {one.batch_id}"
        if is_due:
            return f"{what}, which can be confirmed now: wait for a sequencer to do it, or say --confirm"
        now = show_time(self.rollup.chain.head().timestamp)
        return f"{what}, which is not final before {show_time(one.final_at)} (it is {now} on L1): claim it then"

    # ---------------------------------------------------------------- looking after operations

    def wait(self, operation: str, timeout: float, interval: float = 0.5) -> RemoteOperation:
        """The status once the operation is in a batch on L1 or dropped, or the last one after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            status = self.sequencer.status(operation)
            if status.state in ("posted", "confirmed", "dropped") or time.monotonic() >= deadline:
                return status
            time.sleep(interval)

    # ---------------------------------------------------------------- helpers

    def _submit(self, reported: Reported, operation: SignedOperation) -> Accepted:
        return self.sequencer.send(replace(operation, signature=self._sign(message_of(operation, reported.record))))

    def _sign(self, message: Message) -> bytes:
        return compact(self.signer.sign_typed(typed_data(message, self._chain_id, self.rollup.address)))


def swap_output(pool: Pool, token: int, amount: int) -> int:
    """What a pool gives for an amount of one of its tokens (docs/optimistic.md §2, swap), in smallest units."""
    is_a = token == pool.token_a
    reserve_in, reserve_out = (pool.reserve_a, pool.reserve_b) if is_a else (pool.reserve_b, pool.reserve_a)
    paid = amount * SWAP_FEE_NUMERATOR
    return paid * reserve_out // (reserve_in * SWAP_FEE_DENOMINATOR + paid)


def _check_pair(index: int, pool: Pool, token_a: TokenInfo, token_b: TokenInfo) -> None:
    if (pool.token_a, pool.token_b) != (token_a.id, token_b.id):
        raise WalletError(
            f"pool {index} is not of {token_a.symbol} and {token_b.symbol} in this order: look at it with `wallet show`"
        )


def _at_least(amount: int, slippage: int) -> int:
    """The amount less the slippage, as a float40."""
    return nearest_float40(amount * (WHOLE - slippage) // WHOLE)[0]


def _at_most(amount: int, slippage: int) -> int:
    """The amount and the slippage, as a float40."""
    return nearest_float40(min(-(-amount * (WHOLE + slippage) // WHOLE), MAX_FLOAT40))[1]
