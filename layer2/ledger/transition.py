"""The state transition of docs/protocol.md §4: the reference that the circuits are tested against.

`apply` executes one operation as a node that makes a batch does, `replay` one read from posted data.
Both return a Step with all that a proof needs. Every operation touches two leaves, A at `account` and
then B at `to`, either of which may stay as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from layer2.crypto.eddsa import IDENTITY, Point, Signature, on_curve, verify
from layer2.crypto.field import R
from layer2.ledger.account import Account
from layer2.ledger.amounts import decode_fee8
from layer2.ledger.constants import BALANCE_LIMIT, MAX_NONCE, TIMESTAMP_BITS, Kind
from layer2.ledger.errors import InvalidStepError, LedgerError, OperationError, ReplayError
from layer2.ledger.operations import NO_KEY, NO_SIGNATURE, Operation, SignedOperation
from layer2.ledger.state import State
from layer2.ledger.tree import Path

Item = SignedOperation | Operation
"""What a batch is made of: signed operations, and queue entries or padding."""


class Failure(StrEnum):
    """Why a signed operation is not valid. Checks run in this order, the first that fails is named."""

    UNUSED_FIELD = "unused field"
    UNKNOWN_ACCOUNT = "unknown account"
    TOKEN_MISMATCH = "token mismatch"
    AMOUNT_NOT_REPRESENTABLE = "amount not representable"
    NONCE_EXHAUSTED = "nonce exhausted"
    NONCE_MISMATCH = "nonce mismatch"
    EXPIRED = "expired"
    INSUFFICIENT_BALANCE = "insufficient balance"
    UNKNOWN_RECIPIENT = "unknown recipient"
    RECIPIENT_TOKEN_MISMATCH = "recipient token mismatch"
    RECIPIENT_OWNER_MISMATCH = "recipient owner mismatch"
    RECIPIENT_KEY_MISMATCH = "recipient key mismatch"
    RECIPIENT_OVERFLOW = "recipient overflow"
    TREE_FULL = "tree full"
    OWNER_ZERO = "owner zero"
    OWNER_MISMATCH = "owner mismatch"
    INVALID_KEY = "invalid key"
    INVALID_SIGNATURE = "invalid signature"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failure and its sentence: what was wrong, with which value, what to do."""

    failure: Failure
    reason: str


@dataclass(frozen=True, slots=True)
class Context:
    """What operations are executed under: the rollup's `domain` (§4.1) and the batch's `timestamp` in seconds.

    Raises LedgerError for a value out of range.
    """

    domain: int
    timestamp: int

    def __post_init__(self) -> None:
        for name, value, limit in (
            ("domain", self.domain, R),
            ("timestamp", self.timestamp, 1 << TIMESTAMP_BITS),
        ):
            if type(value) is not int or not 0 <= value < limit:
                raise LedgerError(f"{name} {value!r} is not an integer in [0, {limit}); correct it")


@dataclass(frozen=True, slots=True)
class LeafUpdate:
    """One leaf before and after. `path` belongs to the root before the update, and so also to the one after.

    A leaf that an operation has no use for is index 0, empty before and after.
    """

    index: int
    before: Account | None
    after: Account | None
    path: Path


@dataclass(frozen=True, slots=True)
class StepWitness:
    """Everything private that a proof of one step needs.

    account_a leads from root_before to middle_root, account_b from there to root_after. account_a is at the
    operation's `account`; index 0 when that is 0 or lies beyond the tree (a queue entry can name any number).
    account_b is at the recipient, the new account, or index 0. In a self-transfer both are the same index
    and account_b.before is account_a.after. `signer` is the key that the signature must hold under. For
    operations that are not signed, signature, signer, nonce, expiry, recipient_owner and recipient_key are
    NO_SIGNATURE, the neutral element, zeros and NO_KEY.
    """

    root_before: int
    account_a: LeafUpdate
    middle_root: int
    account_b: LeafUpdate
    root_after: int
    next_index_before: int
    next_index_after: int
    signature: Signature
    signer: Point
    nonce: int
    expiry: int
    recipient_owner: int
    recipient_key: Point


@dataclass(frozen=True, slots=True)
class Step:
    """What one item did. When `valid` is False the state is as before, `failure` and `reason` say why, and
    `operation` is the one given. Otherwise `operation` has its outcomes filled in and `fee` is what was paid
    in smallest units of `operation.token`.
    """

    item: Item
    state_after: State
    operation: Operation
    valid: bool
    reason: str | None
    failure: Failure | None
    fee: int
    proof_witness: StepWitness | None

    @property
    def witness(self) -> StepWitness:
        """The witness of a valid step. Raises InvalidStepError for another: there is nothing to prove."""
        if self.proof_witness is None:
            raise InvalidStepError(f"an operation that is not valid has no witness: {self.reason}; leave it out")
        return self.proof_witness


def apply(state: State, item: Item, context: Context) -> Step:
    """Execute one item on a state (which stays as it is); total for every item.

    Signed operations are checked completely, signature last. Queue entries and padding always succeed;
    outcome fields they carry are ignored and computed anew.
    Raises OperationError only for what is no item: an operation of kinds 3 to 6 without a signature,
    a queue entry that the contract cannot have queued, padding that is not zero.
    """
    if isinstance(item, SignedOperation):
        operation = item.operation.without_outcomes()
        refusal = _refuse(state, operation, item, context)
        if refusal is not None:
            return reject(state, item, refusal)
        return _execute_signed(state, item, operation)
    if not isinstance(item, Operation):
        raise OperationError(f"{item!r} is neither an Operation nor a SignedOperation; decode it first")
    if item.is_signed:
        raise OperationError(f"kind {int(item.kind)} needs a signature; give a SignedOperation, or use replay")
    unused = item.unused_field()
    if unused is not None:
        raise OperationError(
            f"{item.kind.name} carries {unused} = {getattr(item, unused)}, a field it does not use; set it to 0"
        )
    return _UNSIGNED[item.kind](state, item)


def replay(state: State, item: Item, *, fill_token: bool = False) -> Step:
    """Execute an operation of a batch that L1 has accepted, without signature, nonce and expiry (§8).

    `item` is as posted, with its outcomes. With `fill_token` a transfer takes its sender's token, because
    12-byte transfers do not carry it. A SignedOperation is executed just the same, unchecked in these three
    respects, and its values stand in the witness.
    Raises ReplayError when §4 gives another outcome than posted, or none: data or node is wrong.
    """
    signed = item if isinstance(item, SignedOperation) else None
    operation = item.operation if isinstance(item, SignedOperation) else item
    if not operation.is_signed:
        try:
            step = apply(state, operation, Context(0, 0))
        except OperationError as error:
            raise ReplayError(f"posted operation {operation} cannot have been proven: {error}") from error
    else:
        sender = state.account(operation.account)
        if fill_token and operation.kind is Kind.TRANSFER and sender is not None:
            operation = replace(operation, token=sender.token)
        bare = operation.without_outcomes()
        refusal = _refuse(state, bare, None, None)
        if refusal is not None:
            raise ReplayError(
                f"posted operation {operation} cannot have been proven: {refusal.reason}; check node and data"
            )
        step = _execute_signed(state, signed or item, bare)
    if step.operation != operation:
        raise ReplayError(f"posted operation {operation} has the outcome {step.operation}; check node and data")
    return step


def reject(state: State, item: Item, refusal: Refusal) -> Step:
    """The step of an item that is refused: the state stays as it is."""
    operation = item.operation if isinstance(item, SignedOperation) else item
    return Step(item, state, operation, False, refusal.reason, refusal.failure, 0, None)


def refuse_by_kind(state: State, signed: SignedOperation) -> Refusal | None:
    """The first rule of its kind that a signed operation breaks on this state: recipient, new owner, owner, key or
    room in the tree. None when it breaks none, or there is no such account: account, token, nonce, expiry, balance
    and signature are not looked at.
    """
    sender = state.account(signed.operation.account)
    if sender is None:
        return None
    return _REFUSALS[signed.operation.kind](state, signed.operation, sender, signed)


# -------------------------------------------------------------------- signed operations


def _refuse(state: State, op: Operation, signed: SignedOperation | None, context: Context | None) -> Refusal | None:
    """The first rule of §4 that the operation breaks. Without `signed` and `context`, nonce, expiry, the
    recipient's owner and key and the signature are not checked."""
    unused = op.unused_field()
    if unused is not None:
        return Refusal(
            Failure.UNUSED_FIELD,
            f"{op.kind.name} carries {unused} = {getattr(op, unused)}, a field it does not use; set it to 0",
        )
    sender = state.account(op.account)
    if sender is None:
        return Refusal(Failure.UNKNOWN_ACCOUNT, f"there is no account {op.account}; deposit to open one")
    if op.token != sender.token:
        return Refusal(
            Failure.TOKEN_MISMATCH,
            f"account {op.account} holds token {sender.token}, not {op.token}; use an account of that token",
        )
    if sender.nonce >= MAX_NONCE:
        return Refusal(
            Failure.NONCE_EXHAUSTED,
            f"account {op.account} has used all its nonces ({MAX_NONCE}); force a withdrawal on L1",
        )
    if signed is not None and context is not None:
        if signed.nonce != sender.nonce:
            return Refusal(
                Failure.NONCE_MISMATCH,
                f"signed with nonce {signed.nonce}, account {op.account} is at {sender.nonce}; sign again with that",
            )
        if context.timestamp > signed.expiry:
            return Refusal(
                Failure.EXPIRED,
                f"expired at {signed.expiry}, the batch has timestamp {context.timestamp}; sign with a later expiry",
            )
    total = op.amount + decode_fee8(op.fee)
    if total > sender.balance:
        return Refusal(
            Failure.INSUFFICIENT_BALANCE,
            f"amount and fee are {total}, account {op.account} holds {sender.balance}; spend less or deposit",
        )
    refusal = _REFUSALS[op.kind](state, op, sender, signed)
    if refusal is not None or signed is None or context is None:
        return refusal
    if not verify(sender.key, signed.message(context.domain), signed.signature):
        return Refusal(
            Failure.INVALID_SIGNATURE,
            f"not signed by the key of account {op.account} for this rollup; sign with that key",
        )
    return None


def _refuse_transfer(state: State, op: Operation, sender: Account, signed: SignedOperation | None) -> Refusal | None:
    recipient = state.account(op.to)
    if recipient is None:
        return Refusal(Failure.UNKNOWN_RECIPIENT, f"there is no account {op.to} to pay; use a transfer to new")
    if recipient.token != op.token:
        return Refusal(
            Failure.RECIPIENT_TOKEN_MISMATCH,
            f"account {op.to} holds token {recipient.token}, not {op.token}; pay an account of that token",
        )
    if signed is not None and recipient.owner != signed.recipient_owner:
        return Refusal(
            Failure.RECIPIENT_OWNER_MISMATCH,
            f"account {op.to} belongs to {recipient.owner:#042x}, "
            f"the signature names {signed.recipient_owner:#042x}; look the recipient up and sign again",
        )
    if signed is not None and recipient.key != signed.recipient_key:
        return Refusal(
            Failure.RECIPIENT_KEY_MISMATCH,
            f"account {op.to} is controlled by key ({recipient.key.x}, {recipient.key.y}), the signature names "
            f"({signed.recipient_key.x}, {signed.recipient_key.y}); look the recipient up and sign again",
        )
    # In a self-transfer the recipient's balance is what the sender has left, so it cannot overflow.
    if op.to != op.account and recipient.balance + op.amount >= BALANCE_LIMIT:
        return Refusal(
            Failure.RECIPIENT_OVERFLOW,
            f"account {op.to} holds {recipient.balance} and cannot take {op.amount} more; pay another account",
        )
    return None


def _refuse_transfer_to_new(
    state: State, op: Operation, sender: Account, signed: SignedOperation | None
) -> Refusal | None:
    if state.is_full:
        return Refusal(Failure.TREE_FULL, f"all {state.capacity} indices are taken; pay an existing account")
    if op.owner == 0:
        return Refusal(Failure.OWNER_ZERO, "the new account's owner is 0x0; give the address that shall own it")
    return _refuse_key(state, op, sender, signed)


def _refuse_withdrawal(state: State, op: Operation, sender: Account, signed: SignedOperation | None) -> Refusal | None:
    if op.owner != sender.owner:
        return Refusal(
            Failure.OWNER_MISMATCH,
            f"account {op.account} belongs to {sender.owner:#042x}, not {op.owner:#042x}; withdraw to its owner",
        )
    return None


def _refuse_key(state: State, op: Operation, sender: Account, signed: SignedOperation | None) -> Refusal | None:
    if not on_curve(op.key):
        return Refusal(
            Failure.INVALID_KEY,
            f"({op.key_x}, {op.key_y}) is not a point of BabyJubJub with coordinates below r; give a public key",
        )
    return None


_REFUSALS: Final[dict[Kind, Callable[[State, Operation, Account, SignedOperation | None], Refusal | None]]] = {
    Kind.TRANSFER: _refuse_transfer,
    Kind.TRANSFER_TO_NEW: _refuse_transfer_to_new,
    Kind.WITHDRAWAL: _refuse_withdrawal,
    Kind.KEY_CHANGE: _refuse_key,
}


def _execute_signed(state: State, item: Item, op: Operation) -> Step:
    """The effects of a signed operation that `_refuse` let pass."""
    sender = state.account(op.account)
    assert sender is not None
    fee = decode_fee8(op.fee)
    key = op.key if op.kind is Kind.KEY_CHANGE else sender.key
    debited = Account(sender.owner, key, sender.token, sender.nonce + 1, sender.balance - op.amount - fee)
    middle = state.put(op.account, debited)
    update: tuple[int, Account] | None = None
    if op.kind is Kind.TRANSFER:
        recipient = middle.account(op.to)
        assert recipient is not None
        update = op.to, _with_balance(recipient, recipient.balance + op.amount)
    elif op.kind is Kind.TRANSFER_TO_NEW:
        update = state.next_index, Account(op.owner, op.key, op.token, 0, op.amount)
        op = replace(op, to=state.next_index)
    return _record(state, item, op, middle, update, fee)


# -------------------------------------------------------------------- queue entries and padding


def _padding(state: State, item: Operation) -> Step:
    return _record(state, item, item, state, None, 0)


def _deposit(state: State, item: Operation) -> Step:
    op = item.without_outcomes()
    op.elements()  # refuses a key that is no pair of field elements, as the contract does
    wanted = state.account(op.account)
    if wanted is not None and (wanted.owner, wanted.token, wanted.key) == (op.owner, op.token, op.key):
        if wanted.balance + op.amount >= BALANCE_LIMIT:
            raise OperationError(
                f"deposit of {op.amount} to account {op.account} with {wanted.balance} exceeds 2^128 - 1; "
                "custody (docs/protocol.md §6.4) cannot have queued it"
            )
        middle = state.put(op.account, _with_balance(wanted, wanted.balance + op.amount))
        return _record(state, item, replace(op, to=op.account), middle, None, 0)
    if state.is_full:
        return _record(state, item, op, state, None, 0)
    new = Account(op.owner, op.key, op.token, 0, op.amount)
    return _record(state, item, replace(op, to=state.next_index), state, (state.next_index, new), 0)


def _forced_withdrawal(state: State, item: Operation) -> Step:
    op = item.without_outcomes()
    account = state.account(op.account)
    if account is None or account.owner != op.owner:
        return _record(state, item, op, state, None, 0)
    middle = state.put(op.account, _with_balance(account, 0))
    return _record(state, item, replace(op, token=account.token, amount=account.balance), middle, None, 0)


_UNSIGNED: Final[dict[Kind, Callable[[State, Operation], Step]]] = {
    Kind.PADDING: _padding,
    Kind.DEPOSIT: _deposit,
    Kind.FORCED_WITHDRAWAL: _forced_withdrawal,
}


# -------------------------------------------------------------------- steps


def _with_balance(account: Account, balance: int) -> Account:
    return Account(account.owner, account.key, account.token, account.nonce, balance)


def _record(
    state: State, item: Item, op: Operation, middle: State, update: tuple[int, Account] | None, fee: int
) -> Step:
    """The step from `state` over `middle` (leaf A written) to the state with `update` as leaf B."""
    index_a = op.account if op.account < state.capacity else 0
    before_a = state.account(index_a)
    index_b = 0 if update is None else update[0]
    after = middle if update is None else middle.put(*update)
    signed = item if isinstance(item, SignedOperation) else None
    witness = StepWitness(
        root_before=state.root,
        account_a=LeafUpdate(index_a, before_a, middle.account(index_a), state.path(index_a)),
        middle_root=middle.root,
        account_b=LeafUpdate(index_b, middle.account(index_b), after.account(index_b), middle.path(index_b)),
        root_after=after.root,
        next_index_before=state.next_index,
        next_index_after=after.next_index,
        signature=NO_SIGNATURE if signed is None else signed.signature,
        signer=IDENTITY if before_a is None or not op.is_signed else before_a.key,
        nonce=0 if signed is None else signed.nonce,
        expiry=0 if signed is None else signed.expiry,
        recipient_owner=0 if signed is None else signed.recipient_owner,
        recipient_key=NO_KEY if signed is None else signed.recipient_key,
    )
    return Step(item, after, op, True, None, None, fee, witness)
