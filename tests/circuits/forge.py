"""A prover without scruples: makes circuit inputs for operations whether the rules allow them or not.

Where the ledger would refuse, the tests still need inputs in which everything but the one broken rule is
consistent: signature, paths, root after, fee sums, D and y. So this module repeats the circuits' arithmetic, without
their checks, and shares nothing with `layer2.zk` but the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from layer2.crypto.eddsa import B8, Point, PrivateKey
from layer2.crypto.field import R
from layer2.crypto.poseidon import poseidon
from layer2.ledger.tree import StateTree, root_of_path
from layer2.zk.params import CircuitParams

Fields = dict[str, Any]
"""Inputs of a witness generator by signal name."""

DOMAIN = 0x5EED
TIMESTAMP = 1_800_000_000
Z = 987654321987654321987654321
OWNERS = [0xA11CE << 100, 0xB0B << 110, 0xCA401 << 90, (1 << 160) - 1]
KEYS = [PrivateKey.from_seed(bytes([number]) * 32) for number in range(1, 6)]


@dataclass(frozen=True)
class Leaf:
    """An account whose fields may be out of range."""

    owner: int
    key: Point
    token: int
    nonce: int
    balance: int

    def value(self) -> int:
        packed = self.balance + (self.nonce << 128) + (self.token << 160)
        return poseidon([packed % R, self.owner, *self.key])


UNUSED = Leaf(0, B8, 0, 0, 0)
"""Stands where a witness has room for an account and there is none."""


def decode_float(encoded: int, mantissa_bits: int) -> int:
    return (encoded & ((1 << mantissa_bits) - 1)) * 10 ** (encoded >> mantissa_bits)


def message(
    domain: int, kind: int, f: Fields, to: int, amount: int, nonce: int, owner: int, key: tuple[int, int]
) -> int:
    """M of docs/protocol.md §4.1, with fields of any width. owner and key: whom the money goes to."""
    account = f["from"] if "from" in f else f["account"]
    p1 = amount + (kind << 128) + (account << 136) + (to << 168) + (nonce << 200)
    p2 = owner + (f["token"] << 160) + (f["feeByte"] << 176) + (f["expiry"] << 184)
    return poseidon([domain, p1 % R, p2 % R, *key])


class World:
    """A state and the steps taken from it. Every method that takes a step returns the step's fields, already appended.

    `overrides` replace single fields before the message is signed; a signature can be overridden too.
    """

    def __init__(self, levels: int, slot_tokens: list[int], timestamp: int = TIMESTAMP) -> None:
        self.levels = levels
        self.slot_tokens = slot_tokens
        self.timestamp = timestamp
        self.tree = StateTree(levels)
        self.leaves: dict[int, Leaf] = {}
        self.next_index = 1
        self.steps: list[Fields] = []
        self.root_before = self.tree.root
        self.next_index_before = 1

    def put(self, index: int, leaf: Leaf) -> World:
        """Places an account before the first step."""
        assert not self.steps
        self._set(index, leaf)
        self.next_index = max(self.next_index, index + 1)
        self.root_before = self.tree.root
        self.next_index_before = self.next_index
        return self

    def leaf(self, index: int) -> Leaf:
        return self.leaves.get(index, UNUSED)

    def transfer(
        self, sender: int, recipient: int, amount: int, fee: int, key: PrivateKey | None, **overrides: Any
    ) -> Fields:
        """A step of Transfers. amount and fee are encoded (float40, fee8). Without a key nothing is signed."""
        a = self.leaf(sender)
        f: Fields = {
            "from": sender,
            "to": recipient,
            "amountFloat": amount,
            "feeByte": fee,
            "expiry": self.timestamp + 60,
            "r8": (0, 1),
            "s": 0,
            "inSlot": self._slot(a.token, fee),
            "token": a.token,
            "senderOwner": a.owner,
            "senderKey": a.key,
            "senderNonce": a.nonce,
            "senderBalance": a.balance,
            "senderSiblings": self.tree.path(sender),
        }
        value, fee_value = decode_float(amount, 35), decode_float(fee, 4)
        if sender in self.leaves:
            self._set(sender, replace(a, nonce=a.nonce + 1, balance=a.balance - value - fee_value))
        b = self.leaf(recipient)
        f |= {
            "recipientOwner": b.owner,
            "recipientKey": b.key,
            "recipientNonce": b.nonce,
            "recipientBalance": b.balance,
            "recipientSiblings": self.tree.path(recipient),
        }
        if recipient in self.leaves:
            self._set(recipient, replace(b, balance=b.balance + value))
        f |= overrides
        if key is not None and "s" not in overrides:
            signed = message(DOMAIN, 3, f, f["to"], value, f["senderNonce"], f["recipientOwner"], f["recipientKey"])
            f["r8"], f["s"] = key.sign(signed)
        self.steps.append(f)
        return f

    def padding_transfer(self, **overrides: Any) -> Fields:
        return self.transfer(0, 0, 0, 0, None, **overrides)

    def operation(
        self,
        kind: int,
        account: int = 0,
        *,
        target: int | None = None,
        token: int | None = None,
        fee: int = 0,
        amount: int = 0,
        owner: int = 0,
        key: tuple[int, int] = (0, 0),
        signer: PrivateKey | None = None,
        **overrides: Any,
    ) -> Fields:
        """A step of Operations. Outcomes (token and amount of a forced withdrawal, where B is) follow the rules unless
        given; token is the account's unless given."""
        a = self.leaf(account)
        exists = account in self.leaves
        owns = exists and a.owner == owner
        if kind == 2:
            token = (a.token if owns else 0) if token is None else token
            amount = (a.balance if owns else 0) if amount == 0 else amount
        token = (a.token if kind else 0) if token is None else token
        matches = kind == 1 and owns and a.token == token and a.key == tuple(key)
        creates = kind == 4 or (kind == 1 and not matches and self.next_index < 4**self.levels)
        if target is None:
            target = self.next_index if creates else 0
        f: Fields = {
            "isKind": [int(kind == k) for k in range(7)],
            "account": account,
            "token": token,
            "feeByte": fee,
            "amount": amount,
            "owner": owner,
            "key": key,
            "expiry": self.timestamp + 60,
            "r8": (0, 1),
            "s": 0,
            "inSlot": self._slot(token, fee),
            "accountExists": int(exists),
            "accountOwner": a.owner,
            "accountKey": a.key,
            "accountToken": a.token,
            "accountNonce": a.nonce,
            "accountBalance": a.balance,
            "accountSiblings": self.tree.path(account),
        } | {name: value for name, value in overrides.items() if not name.startswith("target")}
        after_a = account_after(f)
        if f["accountExists"]:
            self._set(account, after_a)
        b = self.leaf(target)
        f |= {
            "targetIndex": target,
            "targetOwner": b.owner,
            "targetKey": b.key,
            "targetNonce": b.nonce,
            "targetBalance": b.balance,
            "targetSiblings": self.tree.path(target),
        }
        f |= overrides
        if kind == 3 or creates:
            self._set(f["targetIndex"], target_after(f))
        if creates:
            self.next_index += 1
        if signer is not None and "s" not in overrides:
            to = f["targetIndex"] if kind == 3 else 0
            signed_owner = f["targetOwner"] if kind == 3 else f["owner"]
            signed = message(DOMAIN, kind, f, to, f["amount"], f["accountNonce"], signed_owner, payee_key(f))
            f["r8"], f["s"] = signer.sign(signed)
        self.steps.append(f)
        return f

    def inputs(self, params: CircuitParams, **overrides: Any) -> Fields:
        """All inputs of the segment of the steps so far, padded; `overrides` replace segment-wide inputs."""
        while len(self.steps) < params.size:
            if params.kind == "transfers":
                self.padding_transfer()
            else:
                self.operation(0)
        names = self.steps[0].keys()
        inputs: Fields = {name: [step[name] for step in self.steps] for name in names}
        inputs |= {
            "domain": DOMAIN,
            "timestamp": self.timestamp,
            "rootBefore": self.root_before,
            "slotToken": self.slot_tokens,
        }
        if params.kind == "operations":
            inputs["nextIndexBefore"] = self.next_index_before
        return bind(params, inputs | overrides)

    def _slot(self, token: int, fee: int) -> list[int]:
        chosen = self.slot_tokens.index(token) if fee & 15 and token in self.slot_tokens else None
        return [int(j == chosen) for j in range(len(self.slot_tokens))]

    def _set(self, index: int, leaf: Leaf) -> None:
        self.leaves[index] = leaf
        self.tree = self.tree.set(index, leaf.value())


def _matches(f: Fields) -> bool:
    holder = f["accountOwner"], f["accountToken"], *f["accountKey"]
    return bool(f["isKind"][1] and f["accountExists"] and holder == (f["owner"], f["token"], *f["key"]))


def payee_key(f: Fields) -> Point:
    """The key of who gets the money, by the circuit's formula: the slot's, in a transfer plus the recipient's."""
    x, y = f["key"]
    if f["isKind"][3]:
        x, y = (x + f["targetKey"][0]) % R, (y + f["targetKey"][1]) % R
    return Point(x, y)


def account_after(f: Fields) -> Leaf:
    """Leaf A after an operation, by the circuit's formula."""
    signed = sum(f["isKind"][3:])
    factor = int(_matches(f)) - f["isKind"][2] - signed
    balance = f["accountBalance"] + factor * f["amount"] - decode_float(f["feeByte"], 4)
    key = f["key"] if f["isKind"][6] else f["accountKey"]
    return Leaf(f["accountOwner"], Point(*key), f["accountToken"], f["accountNonce"] + signed, balance)


def target_after(f: Fields) -> Leaf:
    """Leaf B after an operation, by the circuit's formula."""
    if f["isKind"][3]:
        owner, balance = f["owner"] + f["targetOwner"], f["targetBalance"] + f["amount"]
        return Leaf(owner, payee_key(f), f["token"], f["targetNonce"], balance)
    return Leaf(f["owner"], payee_key(f), f["token"], 0, f["amount"])


def _creates(f: Fields, next_index: int, levels: int) -> int:
    return int(bool(f["isKind"][4] or (f["isKind"][1] and not _matches(f) and next_index != 4**levels)))


def bind(params: CircuitParams, inputs: Fields) -> Fields:
    """The inputs with z, and with the D and y that the circuit computes from them."""
    size, levels, tokens = params.size, params.levels, params.tokens
    shared = ("domain", "timestamp", "rootBefore", "slotToken", "nextIndexBefore", "z", "D", "y")
    steps = [{k: v[i] for k, v in inputs.items() if k not in shared} for i in range(size)]
    last = steps[-1]
    sums = [
        slot_token * 2**128 + sum(f["inSlot"][j] * decode_float(f["feeByte"], 4) for f in steps)
        for j, slot_token in enumerate(inputs["slotToken"])
    ]
    if params.kind == "transfers":
        after = Leaf(
            last["recipientOwner"],
            Point(*last["recipientKey"]),
            last["token"],
            last["recipientNonce"],
            last["recipientBalance"] + decode_float(last["amountFloat"], 35),
        )
        leaf = after.value() if last["from"] else 0
        root = root_of_path(last["to"] % 4**levels, leaf, last["recipientSiblings"])
        w = params.index_bytes
        packed = [
            f["feeByte"] + (f["amountFloat"] << 8) + (f["to"] << 48) + (f["from"] << (48 + 8 * w)) for f in steps
        ] + [0]
        d3 = inputs["timestamp"]
        elements = [(packed[i] << (8 * (2 * w + 6))) + packed[i + 1] for i in range(0, size, 2)]
    else:
        next_index = inputs["nextIndexBefore"]
        elements = []
        created = 0
        for f in steps:
            created = _creates(f, next_index, levels)
            next_index += created
            kind = sum(k * f["isKind"][k] for k in range(7))
            to = f["targetIndex"] + (f["account"] if _matches(f) else 0)
            packed_slot = f["amount"] + (f["feeByte"] << 128) + (f["token"] << 136) + (to << 152)
            elements += [packed_slot + (f["account"] << 184) + (kind << 216), f["owner"], *f["key"]]
        leaf = target_after(last).value() if last["isKind"][3] or created else 0
        root = root_of_path(last["targetIndex"] % 4**levels, leaf, last["targetSiblings"])
        d3 = inputs["timestamp"] + (inputs["nextIndexBefore"] << 40) + (next_index << 80)
    data = [value % R for value in (inputs["domain"], inputs["rootBefore"], root, d3, *sums, *elements)]
    assert len(data) == params.data_length == 4 + tokens + len(elements)
    digest = 0
    for start in range(0, len(data), 11):
        block = data[start : start + 11]
        digest = poseidon([digest, *block, *[0] * (11 - len(block))])
    y = sum(value * pow(Z, power, R) for power, value in enumerate(data)) % R
    return {name: _reduced(value) for name, value in (inputs | {"z": Z, "D": digest, "y": y}).items()}


def _reduced(value: Any) -> Any:
    """Field elements for the integers in nested sequences: a balance below zero becomes r less that much."""
    return value % R if isinstance(value, int) else [_reduced(item) for item in value]
