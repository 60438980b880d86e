"""Private and public inputs of the segment circuits, by signal name.

Where a step has no account, key or signature, the circuits leave the signals free but for their range checks; the
values used there are: an all-zero account with the base point as key, the neutral element as R8, S = 0, and the batch's
timestamp as expiry. May import `layer2.crypto`, `layer2.ledger`, and of this package params and segments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from layer2.crypto.eddsa import B8
from layer2.ledger.account import Account
from layer2.ledger.amounts import encode_float40
from layer2.ledger.constants import Kind
from layer2.ledger.operations import NO_SIGNATURE, Operation
from layer2.ledger.transition import Step
from layer2.zk.segments import Segment

SignalValue = int | list["SignalValue"]
"""A signal's value, nested as the signal's dimensions are."""
Inputs = dict[str, SignalValue]
"""Values of a circuit's input signals, for its witness calculator."""

NO_ACCOUNT = Account(owner=0, key=B8, token=0, nonce=0, balance=0)


def circuit_inputs(segment: Segment) -> Inputs:
    """All input signals of the segment's circuit, steps padded to its size."""
    z, d, y = segment.public_inputs
    params = segment.params
    slots = [entry.token for entry in segment.fees]
    slots += [0] * (params.tokens - len(slots))
    inputs: Inputs = {
        "z": z,
        "D": d,
        "y": y,
        "domain": segment.domain,
        "timestamp": segment.timestamp,
        "rootBefore": segment.root_before,
        "slotToken": cast(SignalValue, slots),
    }
    step_inputs: Callable[[Segment, Step | None, list[int]], Inputs]
    if params.kind == "transfers":
        step_inputs = _transfer_inputs
    else:
        step_inputs = _operation_inputs
        inputs["nextIndexBefore"] = segment.next_index_before
    padding = [None] * (params.size - len(segment.steps))
    steps = [step_inputs(segment, step, slots) for step in (*segment.steps, *padding)]
    return inputs | {name: [step[name] for step in steps] for name in steps[0]}


def _transfer_inputs(segment: Segment, step: Step | None, slots: list[int]) -> Inputs:
    operation, fields = _common(segment, step, slots)
    sender, recipient = _accounts(segment, step)
    fields |= {
        "from": operation.account,
        "to": operation.to,
        "amountFloat": encode_float40(operation.amount),
        "token": operation.token,
    }
    for name, (_, account, path) in (("sender", sender), ("recipient", recipient)):
        fields |= _account_fields(name, account, path)
    return fields


def _operation_inputs(segment: Segment, step: Step | None, slots: list[int]) -> Inputs:
    operation, fields = _common(segment, step, slots)
    (_, account, account_path), (target_index, target, target_path) = _accounts(segment, step)
    fields |= {
        "isKind": [int(operation.kind == kind) for kind in Kind],
        "account": operation.account,
        "token": operation.token,
        "amount": operation.amount,
        "owner": operation.owner,
        "key": list(operation.key),
        "accountExists": int(account is not None),
        "accountToken": 0 if account is None else account.token,
        "targetIndex": target_index,
    }
    fields |= _account_fields("account", account, account_path)
    # Only a transfer's recipient exists before the operation.
    fields |= _account_fields("target", target if operation.kind == Kind.TRANSFER else None, target_path)
    return fields


def _common(segment: Segment, step: Step | None, slots: list[int]) -> tuple[Operation, Inputs]:
    """The operation (padding for None) and the signals that both circuits have for it."""
    operation = Operation.padding() if step is None else step.operation
    fee = 0 if step is None else step.fee
    signed = step is not None and operation.is_signed
    signature = step.witness.signature if step is not None and signed else NO_SIGNATURE
    chosen = slots.index(operation.token) if fee else None
    return operation, {
        "feeByte": operation.fee,
        "expiry": step.witness.expiry if step is not None and signed else segment.timestamp,
        "r8": list(signature.r8),
        "s": signature.s,
        "inSlot": [int(number == chosen) for number in range(len(slots))],
    }


_Opened = tuple[int, Account | None, list[tuple[int, int, int]]]
"""Index, account before and path of one of the two leaves of a step."""


def _accounts(segment: Segment, step: Step | None) -> tuple[_Opened, _Opened]:
    if step is not None:
        a, b = step.witness.account_a, step.witness.account_b
        return (a.index, a.before, a.path), (b.index, b.before, b.path)
    empty: _Opened = (0, None, segment.steps[-1].state_after.path(0))
    return empty, empty


def _account_fields(name: str, account: Account | None, path: list[tuple[int, int, int]]) -> Inputs:
    account = account or NO_ACCOUNT
    return {
        f"{name}Owner": account.owner,
        f"{name}Key": list(account.key),
        f"{name}Nonce": account.nonce,
        f"{name}Balance": account.balance,
        f"{name}Siblings": [list(siblings) for siblings in path],
    }
