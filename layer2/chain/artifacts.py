"""ABIs and bytecode of the compiled contracts, from Ape's build folder, and names for custom errors.

May import `layer2.toolchain` and web3's ABI coder only.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from layer2.chain.errors import ArtifactError
from layer2.toolchain import PROJECT

BUILD_FILE: Final = PROJECT / ".build" / "__local__.json"
"""Where `ape compile` puts all contract types."""

Abi = list[dict[str, Any]]
"""A contract's JSON ABI, as solc writes it and web3 takes it."""

_ERROR_SOURCES: Final = (
    "ZKRollup",
    "BatchVerifier",
    "OptimisticRollup",
    "StateTransition",
    "CellVerifier",
    "TokenRegistry",
    "PaymentChannel",
    "PaymentChannelHub",
    "StateChannel",
    "StateChannel",
    "TestUSDC",
)
# Errors of Solidity itself and of Solady's token transfers, which our ABIs do not list.
_COMMON_ERRORS: Final = (
    ("Error", ("string",)),
    ("Panic", ("uint256",)),
    ("TransferFromFailed", ()),
    ("TransferFailed", ()),
    ("ETHTransferFailed", ()),
)


@dataclass(frozen=True)
class Artifact:
    """A compiled contract: its JSON ABI and the bytecode that deploys it (without constructor arguments)."""

    name: str
    abi: Abi
    bytecode: bytes


@cache
def artifact(name: str, build_file: Path = BUILD_FILE) -> Artifact:
    """The compiled contract `name`. Raises ArtifactError when it has not been compiled."""
    try:
        contract = json.loads(build_file.read_text())["contractTypes"][name]
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"contract {name} is not in {build_file}: run `ape compile`") from error
    bytecode = (contract.get("deploymentBytecode") or {}).get("bytecode") or "0x"
    return Artifact(name, contract["abi"], bytes.fromhex(bytecode[2:]))


@dataclass(frozen=True)
class ContractError:
    """A decoded custom error: its name, a readable form with its arguments, and these by name."""

    name: str
    text: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def decode_error(data: bytes) -> ContractError:
    """What a contract reverted with. Total: unknown or empty data give an empty name and say so."""
    if len(data) < 4:
        return ContractError("", "reverted without a reason")
    known = _errors().get(data[:4])
    if known is None:
        return ContractError("", f"reverted with unknown error 0x{data[:4].hex()}")
    name, names, types = known
    try:
        values = decode(types, data[4:])
    except DecodingError:
        return ContractError(name, f"{name}(malformed arguments 0x{data[4:].hex()})")
    shown = (f"0x{value.hex()}" if isinstance(value, bytes) else str(value) for value in values)
    arguments = ", ".join(f"{label}={value}" if label else value for label, value in zip(names, shown, strict=True))
    return ContractError(name, f"{name}({arguments})", dict(zip(names, values, strict=True)))


@cache
def _errors() -> dict[bytes, tuple[str, list[str], list[str]]]:
    found: dict[bytes, tuple[str, list[str], list[str]]] = {}
    for name, plain_types in _COMMON_ERRORS:
        signature = f"{name}({','.join(plain_types)})"
        found[keccak(text=signature)[:4]] = (name, [""] * len(plain_types), list(plain_types))
    for source in _ERROR_SOURCES:
        for entry in artifact(source).abi:
            if entry["type"] == "error":
                types = [argument["type"] for argument in entry["inputs"]]
                selector = keccak(text=f"{entry['name']}({','.join(types)})")[:4]
                found[selector] = (entry["name"], [argument["name"] for argument in entry["inputs"]], types)
    return found
