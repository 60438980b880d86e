"""The state transition of docs/optimistic.md §2: what each operation does to a state.

`Execution` holds the rules, in exactly the order of §2; where leaves come from and go to is up to its
subclasses. `ChunkExecution` works on a state in memory and hashes once a chunk; `layer2.optimistic.witness` records
what a fraud proof needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isqrt
from typing import Any, Final, NamedTuple, TypeVar

from layer2.crypto.eip712 import Message, recover
from layer2.ledger.constants import SLOT_BYTES, Kind
from layer2.optimistic.constants import (
    AMOUNT_LIMIT,
    FEE_TOKEN_SHIFT,
    LOCKED_SHARES,
    MAX_NONCE,
    SWAP_FEE_DENOMINATOR,
    SWAP_FEE_NUMERATOR,
    WITHDRAWAL_LEVELS,
    OperationKind,
)
from layer2.optimistic.errors import QueueError
from layer2.optimistic.operations import (
    AddLiquidity,
    CreatePool,
    MintNFT,
    Nothing,
    Operation,
    PurchaseNFT,
    QueueEntry,
    RemoveLiquidity,
    Swap,
    Transfer,
    TransferNFT,
    TransferToNew,
    Withdraw,
    read_chunk,
)
from layer2.optimistic.records import NFT, Account, Pool, Position, Record, Withdrawal, leaf
from layer2.optimistic.signing import (
    add_liquidity_message,
    create_pool_message,
    mint_nft_message,
    purchase_nft_message,
    remove_liquidity_message,
    sell_nft_message,
    swap_message,
    transfer_message,
    transfer_nft_message,
    transfer_to_new_message,
    withdraw_message,
)
from layer2.optimistic.state import RollupState

MAX_WITHDRAWALS: Final = 1 << WITHDRAWAL_LEVELS


@dataclass(frozen=True, slots=True)
class Context:
    """What is the same for all chunks of a batch.

    domain_separator: of the rollup's signatures; executed_at: the batch's time, seconds since 1970;
    queue_end: the batch's final queue cursor, no entry from there on is taken.
    """

    domain_separator: bytes
    executed_at: int
    queue_end: int


class Failure(StrEnum):
    """Why an operation is not valid."""

    EXPIRED = "expired"
    MALFORMED = "malformed"
    WRONG_RECORD = "wrong record"
    WRONG_OWNER = "wrong owner"
    WRONG_TOKEN = "wrong token"
    WRONG_POOL = "wrong pool"
    NONCE_EXHAUSTED = "nonce exhausted"
    INSUFFICIENT_BALANCE = "insufficient balance"
    FEES_FULL = "fees full"
    TREE_FULL = "tree full"
    OVERFLOW = "overflow"
    TOO_LITTLE = "too little"
    PRICE_LIMIT = "price limit"
    INVALID_SIGNATURE = "invalid signature"


class Outcome(NamedTuple):
    """What became of one operation; a named tuple as records are, and for the same reason.

    failure, reason: why it was not valid and changed nothing; None and empty when it was valid. A queue entry is always
    valid, and so is one that the batch does not take.
    entry: the number of the queue entry that was taken; None if none was.
    created: the indices of the records it made; withdrawals: the global ids of the withdrawals it made.
    """

    operation: Operation
    failure: Failure | None = None
    reason: str = ""
    entry: int | None = None
    created: tuple[int, ...] = ()
    withdrawals: tuple[int, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether it had its effect."""
        return self.failure is None


def execute_chunk(
    state: RollupState, context: Context, operations: bytes, queue: Sequence[bytes]
) -> tuple[RollupState, list[Outcome]]:
    """The state after a chunk's operations, and what became of each.

    queue: the L1 queue's entries, 112 bytes each, from `state.queue_cursor` on, at least as many as the chunk takes.
    No byte string makes it fail; raises QueueError when the queue is too short or an entry is none.
    """
    execution = ChunkExecution(state, context, queue)
    outcomes = [execution.apply(operation) for operation in read_chunk(operations)]
    return execution.finish(), outcomes


class _InvalidError(Exception):
    """A step of an operation fails."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(reason)
        self.failure = failure


_R = TypeVar("_R", Account, Pool, Position, NFT)


class Execution:
    """Executes operations one after another by the rules of §2.

    Subclasses say how leaves are read and written: `load`, `store`, `store_withdrawal`, `keep`, `undo`. Here are the
    rules and the counters.
    """

    def __init__(
        self,
        context: Context,
        queue: Sequence[bytes],
        *,
        levels: int,
        next_index: int,
        queue_cursor: int,
        withdrawal_count: int,
        fees: Sequence[int],
    ) -> None:
        self.context = context
        self.capacity = 1 << levels
        self.next_index = next_index
        self.queue_cursor = queue_cursor
        self.withdrawal_count = withdrawal_count
        self.fees = list(fees)
        self._queue = queue
        self._queue_start = queue_cursor

    # ---------------------------------------------------------------- what subclasses do

    def load(self, index: int) -> Record | None:
        """The record of leaf `index`, which is in the tree, as it is now; None when it is empty."""
        raise NotImplementedError

    def store(self, index: int, record: Record) -> None:
        """Makes this the record of leaf `index`, which was the last to be loaded."""
        raise NotImplementedError

    def store_withdrawal(self, index: int, withdrawal: Withdrawal) -> None:
        """Makes this leaf `index` of the withdrawal tree, which is empty."""
        raise NotImplementedError

    def keep(self) -> None:
        """What was stored since the last `keep` or `undo` stays."""
        raise NotImplementedError

    def undo(self) -> None:
        """What was stored since the last `keep` or `undo` is undone."""
        raise NotImplementedError

    # ---------------------------------------------------------------- one operation

    def apply(self, operation: Operation) -> Outcome:
        """Executes an operation; one that is not valid changes nothing. Raises QueueError as `execute_chunk` does."""
        next_index, withdrawal_count, queue_cursor = self.next_index, self.withdrawal_count, self.queue_cursor
        failure, reason = None, ""
        try:
            _RULES[operation.KIND](self, operation)
        except _InvalidError as invalid:
            self.undo()
            self.next_index, self.withdrawal_count = next_index, withdrawal_count
            if self.queue_cursor == queue_cursor:
                failure, reason = invalid.failure, str(invalid)
        else:
            self.keep()
        return Outcome(
            operation,
            failure,
            reason,
            queue_cursor if self.queue_cursor > queue_cursor else None,
            () if self.next_index == next_index else tuple(range(next_index, self.next_index)),
            () if self.withdrawal_count == withdrawal_count else tuple(range(withdrawal_count, self.withdrawal_count)),
        )

    # ---------------------------------------------------------------- steps

    def _in_time(self, expiry: int) -> None:
        if expiry < self.context.executed_at:
            raise _InvalidError(
                Failure.EXPIRED,
                f"expired at {expiry}, the batch is of {self.context.executed_at}; sign with a later expiry",
            )

    def _room(self, count: int) -> None:
        if self.next_index + count > self.capacity:
            raise _InvalidError(
                Failure.TREE_FULL, f"{self.next_index} of {self.capacity} indices are taken; use existing records"
            )

    def _read(self, index: int, kind: type[_R]) -> _R:
        record = self.load(index) if 0 < index < self.capacity else None
        if type(record) is not kind:
            raise _InvalidError(
                Failure.WRONG_RECORD, f"index {index} holds {record!r}, not {kind.__name__}; look the index up again"
            )
        return record

    def _spend(self, index: int, amount: int, fee: int) -> Account:
        """The account before."""
        account = self._read(index, Account)
        self._check_nonce(index, account)
        if amount + fee > account.balance:
            raise _InvalidError(
                Failure.INSUFFICIENT_BALANCE,
                f"amount and fee are {amount + fee}, account {index} holds {account.balance}; spend less or deposit",
            )
        self._check_fee(account.token, fee)
        owner, token, nonce, balance = account
        self.store(index, Account(owner, token, nonce + 1, balance - amount - fee))
        return account

    def _give(self, index: int, amount: int, owner: int) -> Account:
        """Takes `amount` of an account's balance that is not the one that pays the fee. Returns the account before."""
        account = self._read(index, Account)
        self._check_owner(index, account, owner)
        if amount > account.balance:
            raise _InvalidError(
                Failure.INSUFFICIENT_BALANCE,
                f"{amount} is needed, account {index} holds {account.balance}; give less or deposit",
            )
        self.store(index, account._replace(balance=account.balance - amount))
        return account

    def _receive(self, index: int, token: int, amount: int) -> Account:
        """The account before."""
        account = self._read(index, Account)
        self._check_token(index, account, token)
        owner, token, nonce, balance = account
        self._check_limit(balance + amount)
        self.store(index, Account(owner, token, nonce, balance + amount))
        return account

    def _new(self, record: Record) -> None:
        """Puts a record at the next index; `_room` was checked."""
        self.load(self.next_index)
        self.store(self.next_index, record)
        self.next_index += 1

    def _withdraw(self, owner: int, token: int, amount: int) -> None:
        if amount:
            if self.withdrawal_count >= MAX_WITHDRAWALS:
                raise _InvalidError(Failure.TREE_FULL, "all leaves of the withdrawal tree are taken; transfer instead")
            self.store_withdrawal(self.withdrawal_count, Withdrawal(owner, token, amount))
            self.withdrawal_count += 1

    def _signed(self, signature: bytes, owner: int, message: Message) -> None:
        recovered = recover(message.digest(self.context.domain_separator), signature)
        if recovered == 0 or recovered != owner:
            raise _InvalidError(
                Failure.INVALID_SIGNATURE,
                f"{message!r} is not signed by {owner:#042x} (recovered {recovered:#042x}); "
                "sign it with that key for this rollup, after looking nonce and indices up again",
            )

    def _collect(self, token: int, fee: int) -> None:
        """Adds to the fee word; `_check_fee` was made."""
        if fee:
            place = self._fee_place(token)
            self.fees[place] = (self.fees[place] or token << FEE_TOKEN_SHIFT) + fee

    def _fee_place(self, token: int) -> int:
        for place, word in enumerate(self.fees):
            if word == 0 or word >> FEE_TOKEN_SHIFT == token:
                return place
        return -1

    def _check_fee(self, token: int, fee: int) -> None:
        if fee and self._fee_place(token) < 0:
            raise _InvalidError(
                Failure.FEES_FULL,
                f"the batch takes fees in {len(self.fees)} other tokens than {token}; wait for the next batch",
            )

    @staticmethod
    def _check_nonce(index: int, record: Account | NFT) -> None:
        if record.nonce >= MAX_NONCE:
            raise _InvalidError(
                Failure.NONCE_EXHAUSTED, f"index {index} has used all its nonces ({MAX_NONCE}); use another one"
            )

    @staticmethod
    def _check_token(index: int, account: Account, token: int) -> None:
        if account.token != token:
            raise _InvalidError(
                Failure.WRONG_TOKEN, f"account {index} holds token {account.token}, not {token}; use one of that token"
            )

    @staticmethod
    def _check_owner(index: int, record: Account | Position, owner: int) -> None:
        if record.owner != owner:
            raise _InvalidError(
                Failure.WRONG_OWNER, f"index {index} belongs to {record.owner:#042x}, not {owner:#042x}; use their own"
            )

    @staticmethod
    def _check_limit(*values: int) -> None:
        for value in values:
            if value >= AMOUNT_LIMIT:
                raise _InvalidError(Failure.OVERFLOW, f"{value} is beyond 2^128 - 1; use a smaller amount")

    @staticmethod
    def _check_different(index: int, other: int) -> None:
        if index == other:
            raise _InvalidError(Failure.MALFORMED, f"account {index} is given twice; give two accounts")

    @staticmethod
    def _check_positive(*values: int) -> None:
        for value in values:
            if value == 0:
                raise _InvalidError(Failure.TOO_LITTLE, "an amount is 0; give more")

    def _burn(self, index: int, shares: int) -> tuple[Pool, int, int]:
        """Takes shares and their part of both reserves out of a pool. Returns the pool before and both parts."""
        pool = self._read(index, Pool)
        if shares > pool.shares:  # cannot be: a position's shares are part of its pool's
            raise _InvalidError(Failure.TOO_LITTLE, f"pool {index} has {pool.shares} shares, not {shares}; give fewer")
        part_a = shares * pool.reserve_a // pool.shares
        part_b = shares * pool.reserve_b // pool.shares
        return pool, part_a, part_b

    def _store_burnt(self, index: int, pool: Pool, part_a: int, part_b: int, shares: int) -> None:
        self.store(
            index,
            pool._replace(
                reserve_a=pool.reserve_a - part_a, reserve_b=pool.reserve_b - part_b, shares=pool.shares - shares
            ),
        )

    # ---------------------------------------------------------------- signed operations

    def _transfer(self, op: Transfer) -> None:
        self._in_time(op.expiry)
        sender = self._spend(op.account, op.amount, op.fee)
        recipient = self._receive(op.to, sender.token, op.amount)
        self._signed(op.signature, sender.owner, transfer_message(op, sender, recipient))
        self._collect(sender.token, op.fee)

    def _transfer_to_new(self, op: TransferToNew) -> None:
        self._in_time(op.expiry)
        self._check_address(op.owner)
        self._room(1)
        sender = self._spend(op.account, op.amount, op.fee)
        self._signed(op.signature, sender.owner, transfer_to_new_message(op, sender))
        self._new(Account(op.owner, sender.token, 0, op.amount))
        self._collect(sender.token, op.fee)

    def _withdrawal(self, op: Withdraw) -> None:
        self._in_time(op.expiry)
        account = self._spend(op.account, op.amount, op.fee)
        self._signed(op.signature, account.owner, withdraw_message(op, account))
        self._withdraw(account.owner, account.token, op.amount)
        self._collect(account.token, op.fee)

    def _swap(self, op: Swap) -> None:
        self._in_time(op.expiry)
        self._check_different(op.account, op.to)
        self._check_positive(op.amount)
        account = self._spend(op.account, op.amount, op.fee)
        pool = self._read(op.pool, Pool)
        if account.token == pool.token_a:
            reserve_in, reserve_out, token_out = pool.reserve_a, pool.reserve_b, pool.token_b
        elif account.token == pool.token_b:
            reserve_in, reserve_out, token_out = pool.reserve_b, pool.reserve_a, pool.token_a
        else:
            raise _InvalidError(
                Failure.WRONG_POOL, f"pool {op.pool} has no token {account.token}; swap in a pool of that token"
            )
        paid = op.amount * SWAP_FEE_NUMERATOR
        out = paid * reserve_out // (reserve_in * SWAP_FEE_DENOMINATOR + paid)
        self._check_positive(out)
        self._check_minimum(out, op.minimum)
        reserve_in += op.amount
        reserve_out -= out
        self._check_limit(reserve_in)
        is_a = account.token == pool.token_a
        reserve_a, reserve_b = (reserve_in, reserve_out) if is_a else (reserve_out, reserve_in)
        self.store(op.pool, Pool(pool.token_a, pool.token_b, reserve_a, reserve_b, pool.shares))
        to = self._receive(op.to, token_out, out)
        self._check_owner(op.to, to, account.owner)
        self._signed(op.signature, account.owner, swap_message(op, account, to))
        self._collect(account.token, op.fee)

    def _create_pool(self, op: CreatePool) -> None:
        self._in_time(op.expiry)
        self._check_different(op.account_a, op.account_b)
        self._check_positive(op.amount_a, op.amount_b)
        self._room(2)
        a = self._spend(op.account_a, op.amount_a, op.fee)
        b = self._give(op.account_b, op.amount_b, a.owner)
        if a.token == b.token:
            raise _InvalidError(Failure.WRONG_TOKEN, f"both accounts hold token {a.token}; a pool has two tokens")
        shares = isqrt(op.amount_a * op.amount_b)
        if shares <= LOCKED_SHARES:
            raise _InvalidError(
                Failure.TOO_LITTLE, f"the pool has {shares} shares, {LOCKED_SHARES} are locked; give more"
            )
        self._signed(op.signature, a.owner, create_pool_message(op, a, b))
        pool = self.next_index
        self._new(Pool(a.token, b.token, op.amount_a, op.amount_b, shares))
        self._new(Position(a.owner, pool, shares - LOCKED_SHARES))
        self._collect(a.token, op.fee)

    def _add_liquidity(self, op: AddLiquidity) -> None:
        self._in_time(op.expiry)
        self._check_different(op.account_a, op.account_b)
        self._check_positive(op.amount_a)
        if op.position == 0:
            self._room(1)
        pool = self._read(op.pool, Pool)
        self._check_positive(pool.reserve_a, pool.reserve_b, pool.shares)
        amount_b = -(-op.amount_a * pool.reserve_b // pool.reserve_a)
        minted = op.amount_a * pool.shares // pool.reserve_a
        if amount_b > op.maximum_b:
            raise _InvalidError(
                Failure.PRICE_LIMIT, f"{amount_b} of the other token is due, {op.maximum_b} at most is given; give more"
            )
        if amount_b < op.minimum_b:
            raise _InvalidError(
                Failure.PRICE_LIMIT, f"{amount_b} of the other token is due, at least {op.minimum_b} is given; ask less"
            )
        self._check_positive(minted)
        after = Pool(
            pool.token_a,
            pool.token_b,
            pool.reserve_a + op.amount_a,
            pool.reserve_b + amount_b,
            pool.shares + minted,
        )
        self._check_limit(after.reserve_a, after.reserve_b, after.shares)
        self.store(op.pool, after)
        a = self._spend(op.account_a, op.amount_a, op.fee)
        self._check_token(op.account_a, a, pool.token_a)
        b = self._give(op.account_b, amount_b, a.owner)
        self._check_token(op.account_b, b, pool.token_b)
        self._signed(op.signature, a.owner, add_liquidity_message(op, a, b))
        if op.position == 0:
            self._new(Position(a.owner, op.pool, minted))
        else:
            position = self._read(op.position, Position)
            self._check_owner(op.position, position, a.owner)
            if position.pool != op.pool:
                raise _InvalidError(
                    Failure.WRONG_POOL, f"position {op.position} is of pool {position.pool}, not {op.pool}; use its own"
                )
            self.store(op.position, position._replace(shares=position.shares + minted))
        self._collect(a.token, op.fee)

    def _remove_liquidity(self, op: RemoveLiquidity) -> None:
        self._in_time(op.expiry)
        self._check_different(op.account_a, op.account_b)
        self._check_positive(op.shares)
        position = self._read(op.position, Position)
        if op.shares > position.shares:
            raise _InvalidError(
                Failure.INSUFFICIENT_BALANCE,
                f"{op.shares} shares are given back, position {op.position} has {position.shares}; give fewer",
            )
        self.store(op.position, position._replace(shares=position.shares - op.shares))
        pool, part_a, part_b = self._burn(position.pool, op.shares)
        self._check_minimum(part_a, op.minimum_a)
        self._check_minimum(part_b, op.minimum_b)
        self._store_burnt(position.pool, pool, part_a, part_b, op.shares)
        a = self._read(op.account_a, Account)
        self._check_owner(op.account_a, a, position.owner)
        self._check_token(op.account_a, a, pool.token_a)
        self._check_nonce(op.account_a, a)
        self._check_fee(a.token, op.fee)
        if op.fee > a.balance + part_a:
            raise _InvalidError(
                Failure.INSUFFICIENT_BALANCE,
                f"the fee is {op.fee}, account {op.account_a} will hold {a.balance + part_a}; pay less",
            )
        self._check_limit(a.balance + part_a)
        self.store(op.account_a, Account(a.owner, a.token, a.nonce + 1, a.balance + part_a - op.fee))
        b = self._receive(op.account_b, pool.token_b, part_b)
        self._check_owner(op.account_b, b, position.owner)
        self._signed(op.signature, position.owner, remove_liquidity_message(op, a, b))
        self._collect(a.token, op.fee)

    def _mint_nft(self, op: MintNFT) -> None:
        self._in_time(op.expiry)
        self._room(1)
        account = self._spend(op.account, 0, op.fee)
        self._signed(op.signature, account.owner, mint_nft_message(op, account))
        self._new(NFT(account.owner, account.owner, 0, op.content))
        self._collect(account.token, op.fee)

    def _transfer_nft(self, op: TransferNFT) -> None:
        self._in_time(op.expiry)
        self._check_address(op.to)
        nft = self._hand_on(op.nft, op.to)
        account = self._read(op.account, Account)
        self._check_owner(op.account, account, nft.owner)
        if op.fee > account.balance:
            raise _InvalidError(
                Failure.INSUFFICIENT_BALANCE,
                f"the fee is {op.fee}, account {op.account} holds {account.balance}; pay less or deposit",
            )
        self._check_fee(account.token, op.fee)
        self.store(op.account, account._replace(balance=account.balance - op.fee))
        self._signed(op.signature, nft.owner, transfer_nft_message(op, nft, account))
        self._collect(account.token, op.fee)

    def _purchase_nft(self, op: PurchaseNFT) -> None:
        self._in_time(op.expiry)
        self._check_different(op.account, op.seller_account)
        account = self._spend(op.account, op.price, op.fee)
        nft = self._hand_on(op.nft, account.owner)
        seller = self._receive(op.seller_account, account.token, op.price)
        self._check_owner(op.seller_account, seller, nft.owner)
        self._signed(op.signature, account.owner, purchase_nft_message(op, nft, account))
        self._signed(op.seller_signature, nft.owner, sell_nft_message(op, nft, account))
        self._collect(account.token, op.fee)

    def _hand_on(self, index: int, owner: int) -> NFT:
        """Gives an NFT to an owner. Returns it as it was before."""
        nft = self._read(index, NFT)
        self._check_nonce(index, nft)
        self.store(index, nft._replace(owner=owner, nonce=nft.nonce + 1))
        return nft

    @staticmethod
    def _check_address(owner: int) -> None:
        if owner == 0:
            raise _InvalidError(Failure.MALFORMED, "the new owner is 0x0; give the address that shall own it")

    @staticmethod
    def _check_minimum(value: int, minimum: int) -> None:
        if value < minimum:
            raise _InvalidError(Failure.PRICE_LIMIT, f"{value} is paid out, at least {minimum} is asked for; ask less")

    # ---------------------------------------------------------------- the others

    def _nothing(self, op: Nothing) -> None:
        pass

    def _queue_entry(self, op: QueueEntry) -> None:
        if self.queue_cursor >= self.context.queue_end:
            return
        slot = self._entry()
        self.queue_cursor += 1
        number = int.from_bytes
        account, owner = number(slot[1:5]), number(slot[28:48])
        if slot[0] == Kind.DEPOSIT:
            self._deposit(account, number(slot[9:11]), number(slot[12:28]), owner)
        else:
            self._force_withdrawal(account, owner)

    def _entry(self) -> bytes:
        """The queue's entry at the cursor."""
        place = self.queue_cursor - self._queue_start
        if place >= len(self._queue):
            raise QueueError(
                f"the chunk takes queue entry {self.queue_cursor}, entries from {self._queue_start} on "
                f"were given, {len(self._queue)} of them; give all up to the batch's cursor {self.context.queue_end}"
            )
        slot = self._queue[place]
        if len(slot) != SLOT_BYTES or slot[0] not in (Kind.DEPOSIT, Kind.FORCED_WITHDRAWAL):
            raise QueueError(f"queue entry {self.queue_cursor} is 0x{slot.hex()}; give the 112 bytes of the L1 queue")
        return slot

    def _deposit(self, index: int, token: int, amount: int, owner: int) -> None:
        if 0 < index < self.capacity:
            account = self.load(index)
            if (
                type(account) is Account
                and (account.owner, account.token) == (owner, token)
                and account.balance + amount < AMOUNT_LIMIT
            ):
                self.store(index, account._replace(balance=account.balance + amount))
                return
        if self.next_index < self.capacity:
            self._new(Account(owner, token, 0, amount))
        else:
            self._withdraw(owner, token, amount)

    def _force_withdrawal(self, index: int, owner: int) -> None:
        record = self.load(index) if 0 < index < self.capacity else None
        if type(record) is Account and record.owner == owner:
            self.store(index, record._replace(balance=0))
            self._withdraw(owner, record.token, record.balance)
        elif type(record) is Position and record.owner == owner and record.shares:
            self.store(index, record._replace(shares=0))
            pool, part_a, part_b = self._burn(record.pool, record.shares)
            self._store_burnt(record.pool, pool, part_a, part_b, record.shares)
            self._withdraw(owner, pool.token_a, part_a)
            self._withdraw(owner, pool.token_b, part_b)


_RULES: Final[dict[OperationKind, Callable[[Any, Any], None]]] = {
    OperationKind.NOTHING: Execution._nothing,
    OperationKind.QUEUE_ENTRY: Execution._queue_entry,
    OperationKind.TRANSFER: Execution._transfer,
    OperationKind.TRANSFER_TO_NEW: Execution._transfer_to_new,
    OperationKind.WITHDRAWAL: Execution._withdrawal,
    OperationKind.SWAP: Execution._swap,
    OperationKind.CREATE_POOL: Execution._create_pool,
    OperationKind.ADD_LIQUIDITY: Execution._add_liquidity,
    OperationKind.REMOVE_LIQUIDITY: Execution._remove_liquidity,
    OperationKind.MINT_NFT: Execution._mint_nft,
    OperationKind.TRANSFER_NFT: Execution._transfer_nft,
    OperationKind.PURCHASE_NFT: Execution._purchase_nft,
}


class ChunkExecution(Execution):
    """Executes on a state in memory: changes are gathered, and nodes hashed once, when `finish` is called."""

    def __init__(
        self,
        state: RollupState,
        context: Context,
        queue: Sequence[bytes],
        known: dict[int, Record] | None = None,
    ) -> None:
        """known: records of the state that need not be looked for in the tree: those that chunks before have changed.
        What this one changes is added, so it fits the state that `finish` gives.
        """
        super().__init__(
            context,
            queue,
            levels=state.levels,
            next_index=state.next_index,
            queue_cursor=state.queue_cursor,
            withdrawal_count=state.withdrawal_count,
            fees=state.fees,
        )
        self._state = state
        self._known = {} if known is None else known
        self._changed: set[int] = set()
        self._pending: dict[int, Record] = {}
        self._kept_withdrawals: dict[int, Withdrawal] = {}
        self._pending_withdrawals: dict[int, Withdrawal] = {}

    def load(self, index: int) -> Record | None:
        return self._pending.get(index) or self._known.get(index) or self._state.record(index)

    def store(self, index: int, record: Record) -> None:
        self._pending[index] = record

    def store_withdrawal(self, index: int, withdrawal: Withdrawal) -> None:
        self._pending_withdrawals[index] = withdrawal

    def keep(self) -> None:
        self._known.update(self._pending)
        self._changed.update(self._pending)
        self._pending.clear()
        if self._pending_withdrawals:
            self._kept_withdrawals.update(self._pending_withdrawals)
            self._pending_withdrawals.clear()

    def undo(self) -> None:
        self._pending.clear()
        self._pending_withdrawals.clear()

    def finish(self) -> RollupState:
        """The state after all operations so far."""
        first, second, third, fourth = self.fees
        return RollupState(
            self._state.tree.set({index: (leaf(self._known[index]), self._known[index]) for index in self._changed}),
            self._state.withdrawals.set({index: (leaf(paid), paid) for index, paid in self._kept_withdrawals.items()}),
            self.next_index,
            self.queue_cursor,
            self.withdrawal_count,
            (first, second, third, fourth),
        )
