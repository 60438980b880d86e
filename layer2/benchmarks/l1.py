"""What the same transfers cost as transactions on L1: bytes and gas, by sending them to a development chain."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import rlp
from coincurve import PrivateKey

from layer2.chain.coder import coder
from layer2.chain.sending import fees
from layer2.crypto.keccak import keccak256
from layer2.scenarios.devchain import DevChain
from layer2.scenarios.people import Person

_GAS_LIMIT = 100_000
_PURSE = 10**20


@dataclass(frozen=True)
class TokenTransfer:
    """An ERC-20 transfer on L1. amount: smallest units, at least 1."""

    payer: Person
    payee: Person
    amount: int


@dataclass(frozen=True)
class OnLayer1:
    """Signed transactions on L1: bytes of their encoding, and gas, of all of them."""

    count: int
    data_bytes: int
    gas: int


def transfers_on_layer1(dev: DevChain, token: str, transfers: Sequence[TokenTransfer]) -> OnLayer1:
    """Sends the transfers one by one as transactions of the test token `token`; afterwards nothing has happened.

    Payers get what they need, and everybody has held the token before, which is the cheaper case.
    Raises ChainError when one of them fails.
    """
    chain = dev.chain
    people = list({person.address: person for one in transfers for person in (one.payer, one.payee)}.values())
    chain_id = chain.chain_id()
    priority, maximum = fees(chain)
    nonces = {person.address: chain.nonce(person.address) for person in people}

    def sign(person: Person, function: str, to: Person, amount: int) -> bytes:
        call = coder("TestUSDC").encode(function, to.address, amount)
        nonce = nonces[person.address]
        nonces[person.address] += 1
        # Room for the base fee to rise for some blocks.
        return _sign(person.key, [chain_id, nonce, priority, 10 * maximum, _GAS_LIMIT, token, 0, call])

    with dev.undone():
        for person in people:
            dev.set_balance(person.address, _PURSE)
        spent = Counter({person.address: 1 for person in people})
        for one in transfers:
            spent[one.payer.address] += one.amount
        dev.mine_all([sign(person, "mint", person, spent[person.address]) for person in people])
        raws = [sign(one.payer, "transfer", one.payee, one.amount) for one in transfers]
        gas = dev.mine_all(raws)
    return OnLayer1(len(raws), sum(map(len, raws)), gas)


def _sign(key: bytes, fields: list[int | str | bytes]) -> bytes:
    """A raw EIP-1559 transaction without an access list. Much faster than eth-account, which checks everything."""
    body: list[object] = [bytes.fromhex(field[2:]) if isinstance(field, str) else field for field in fields] + [[]]
    signature = PrivateKey(key).sign_recoverable(keccak256(b"\x02" + rlp.encode(body)), hasher=None)
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    return b"\x02" + bytes(rlp.encode([*body, signature[64], r, s]))
