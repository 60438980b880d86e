"""EIP-712 for tests of contracts: hashed by eth-account, signed by Ape's test accounts."""

from collections.abc import Sequence
from typing import Any

from ape.api import AccountAPI
from ape.contracts import ContractInstance
from eth_abi import encode
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from tests.support.optimistic import private_key


def typed_digest(
    contract: ContractInstance, protocol: str, kind: str, fields: str, values: Sequence[Any], /, **domain: Any
) -> bytes:
    """The hash of a message of type `kind(fields)`. protocol: the domain's name. domain: its fields that are others."""
    types = [dict(zip(("type", "name"), item.split(), strict=True)) for item in fields.split(",")]
    message = dict(zip((item["name"] for item in types), values, strict=True))
    own = {
        "name": protocol,
        "version": "1",
        "chainId": contract.provider.chain_id,
        "verifyingContract": contract.address,
    }
    signable = encode_typed_data(own | domain, {kind: types}, message)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def struct_hash(name: str, fields: str, values: Sequence[Any]) -> bytes:
    """`hashStruct` of a value of type `name(fields)`."""
    types = [item.split()[0] for item in fields.split(",")]
    return keccak(keccak(text=f"{name}({fields})") + encode(types, values))


def sign(account: AccountAPI, hashed: bytes) -> bytes:
    """The 65 bytes r, s, v, with the key of one of Ape's test accounts."""
    return bytes(EthAccount.unsafe_sign_hash(hashed, private_key(account)).signature)
