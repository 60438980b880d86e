"""Deployment files: where a rollup is, and what is to be found there. `deploy/<chain id>.json`.

Files of local chains are not committed: such chains vanish. May import `layer2.chain` and `layer2.ledger`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

from eth_utils.address import is_checksum_address, to_checksum_address
from eth_utils.crypto import keccak

from layer2.chain.coder import coder
from layer2.chain.connection import Chain
from layer2.chain.errors import DeploymentError, NoContractError, WrongChainError
from layer2.ledger.operations import domain
from layer2.toolchain import PROJECT

FOLDER: Final = PROJECT / "deploy"
"""Where `ape run deploy` writes and the other commands look."""

_ADDRESSES: Final = frozenset(
    {
        "rollup",
        "registry",
        "verifier",
        "hasher",
        "state_transition",
        "cell_verifier",
        "operator",
        "hub",
        "state_channel",
        "address",
    }
)


@dataclass(frozen=True)
class Token:
    """A listed token that was deployed together with the rollup."""

    id: int
    address: str
    symbol: str
    decimals: int


@dataclass(frozen=True)
class DeploymentFile:
    """What the deployment files of all kinds share: dataclasses with a field `tokens`."""

    FORMAT: ClassVar[int | str]
    """Tells the kinds apart."""
    REMEDY: ClassVar[str] = "deploy again or restore it"
    """What to do about a file of another format."""

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({"format": self.FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "the deployment file") -> Self:
        """The inverse of `to_json`. Raises DeploymentError, naming `where` and the field, for anything else."""
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise DeploymentError(f"{where} is not JSON ({error}): deploy again or restore it") from error
        if not isinstance(raw, dict) or raw.pop("format", None) != cls.FORMAT:
            raise DeploymentError(f"{where} is not of format {cls.FORMAT!r}: {cls.REMEDY}")
        listed = raw.pop("tokens", [])
        values = _typed(cls, raw, where, {"tokens"})
        if not isinstance(listed, list):
            raise DeploymentError(f"{where}: tokens is no list; deploy again or restore it")
        values["tokens"] = tuple(Token(**_typed(Token, token, f"{where}, tokens", set())) for token in listed)
        return cls(**values)


D = TypeVar("D", bound=DeploymentFile)


@dataclass(frozen=True)
class Deployed(Generic[D]):
    """What a deployment made: its description, and gas by contract."""

    deployment: D
    gas: dict[str, int]


@dataclass(frozen=True)
class Deployment(DeploymentFile):
    """Everything a client needs to know of one rollup; addresses in EIP-55 form, hashes in 0x hex, times in seconds.

    block: the block of the rollup's deployment. verifying_keys: SHA-256 of the verifying keys' file. *_code:
    keccak256 of the code at the address.
    """

    FORMAT = 1

    chain_id: int
    block: int
    rollup: str
    registry: str
    verifier: str
    hasher: str
    operator: str
    levels: int
    transfers: int
    operations: int
    fee_tokens: int
    inclusion_deadline: int
    queue_quota: int
    priority_timeout: int
    max_batch_age: int
    freeze_deadline: int
    verifying_keys: str
    development_keys: bool
    rollup_code: str
    registry_code: str
    verifier_code: str
    hasher_code: str
    tokens: tuple[Token, ...] = ()

    @property
    def domain(self) -> int:
        """The domain that signatures and proofs of this rollup carry (docs/protocol.md §4.1)."""
        return domain(self.chain_id, self.rollup)


def path_of(chain_id: int, folder: Path = FOLDER) -> Path:
    """The file of a chain's deployment."""
    return folder / f"{chain_id}.json"


def write(deployment: Deployment, path: Path | None = None) -> Path:
    """Write the file of a deployment, by default `deploy/<chain id>.json`, whole or not at all. Returns its path."""
    return write_file(deployment.to_json(), path or path_of(deployment.chain_id))


def read(path: Path) -> Deployment:
    """The deployment in a file. Raises DeploymentError when it is missing or malformed."""
    return Deployment.from_json(read_file(path, "ape run deploy"), str(path))


def write_file(text: str, path: Path) -> Path:
    """Write a deployment file, whole or not at all. Returns its path. Raises DeploymentError when it cannot."""
    draft = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text)
        draft.replace(path)
    except OSError as error:
        raise DeploymentError(f"{path} cannot be written ({error.strerror}); it should hold: {text}") from error
    return path


def read_file(path: Path, command: str) -> str:
    """A deployment file's text. Raises DeploymentError, naming the command that makes it, when it cannot be read."""
    try:
        return path.read_text()
    except FileNotFoundError as error:
        raise DeploymentError(
            f"there is no deployment file {path}: run `{command}` on this chain, or name another file"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DeploymentError(f"deployment file {path} cannot be read ({error}): check the file") from error


def verify(chain: Chain, deployment: Deployment) -> None:
    """Check that what the file describes is on the chain.

    Raises WrongChainError, NoContractError when code is missing or another, DeploymentError for a parameter that
    differs.
    """
    verify_code(chain, deployment, ("rollup", "registry", "verifier", "hasher"))
    views = [
        ("ZKRollup", deployment.rollup, "domain", deployment.domain),
        ("ZKRollup", deployment.rollup, "registry", deployment.registry),
        ("ZKRollup", deployment.rollup, "verifier", deployment.verifier),
        ("ZKRollup", deployment.rollup, "hasher", deployment.hasher),
        ("ZKRollup", deployment.rollup, "operator", deployment.operator),
        ("ZKRollup", deployment.rollup, "inclusionDeadline", deployment.inclusion_deadline),
        ("ZKRollup", deployment.rollup, "queueQuota", deployment.queue_quota),
        ("ZKRollup", deployment.rollup, "priorityTimeout", deployment.priority_timeout),
        ("ZKRollup", deployment.rollup, "maxBatchAge", deployment.max_batch_age),
        ("ZKRollup", deployment.rollup, "freezeDeadline", deployment.freeze_deadline),
        ("BatchVerifier", deployment.verifier, "levels", deployment.levels),
        ("BatchVerifier", deployment.verifier, "transfers", deployment.transfers),
        ("BatchVerifier", deployment.verifier, "operations", deployment.operations),
        ("BatchVerifier", deployment.verifier, "tokens", deployment.fee_tokens),
    ]
    verify_views(chain, views)


def verify_code(chain: Chain, deployment: Any, contracts: Sequence[str]) -> None:
    """Check that the chain is the deployment's and has the code of these contracts.

    deployment: has `chain_id`, and for each contract a field of its name and one with `_code` appended. Raises
    WrongChainError, or NoContractError when code is missing or another.
    """
    actual = chain.chain_id()
    if actual != deployment.chain_id:
        raise WrongChainError(
            f"the node at {chain.name} follows chain {actual}, the deployment is on chain {deployment.chain_id}: "
            "connect to the right node or name another deployment file"
        )
    for field in contracts:
        what = field.replace("_", " ")
        address: str = getattr(deployment, field)
        code = chain.code(address)
        if not code:
            raise NoContractError(
                f"there is no {what} at {address} on chain {actual}: the chain was restarted or the file is old; "
                "deploy again"
            )
        if code_hash(code) != getattr(deployment, f"{field}_code"):
            raise NoContractError(
                f"the {what} at {address} has code {code_hash(code)}, the deployment file says "
                f"{getattr(deployment, f'{field}_code')}: the file is of another deployment"
            )


def verify_views(chain: Chain, views: Iterable[tuple[str, str, str, Any]]) -> None:
    """Check (contract, address, view, expected answer) each. Raises DeploymentError for the first that differs."""
    for contract, address, view, expected in views:
        (value,) = coder(contract).decode_result(view, chain.call(address, coder(contract).encode(view)))
        if isinstance(value, str):
            value = to_checksum_address(value)
        if value != expected:
            raise DeploymentError(
                f"{contract} at {address} has {view} = {value}, the deployment file says {expected}: restore the file"
            )


def code_hash(code: bytes) -> str:
    """keccak256 of a contract's code in hex."""
    return f"0x{keccak(code).hex()}"


def _typed(kind: Any, raw: Any, where: str, left_out: set[str]) -> dict[str, Any]:
    """`raw` with exactly the fields of the dataclass `kind` but those left out, each of its type."""
    expected = {field.name: field.type for field in fields(kind) if field.name not in left_out}
    if not isinstance(raw, dict) or set(raw) != set(expected):
        names = sorted(set(raw) ^ set(expected)) if isinstance(raw, dict) else sorted(expected)
        raise DeploymentError(f"{where} lacks or should not have {', '.join(names)}: deploy again or restore it")
    for name, type_ in expected.items():
        if type(raw[name]) is not type_:
            raise DeploymentError(f"{where}: {name} = {raw[name]!r} is not of type {type_}; deploy again or restore it")
        if name in _ADDRESSES and not is_checksum_address(raw[name]):
            raise DeploymentError(f"{where}: {name} = {raw[name]!r} is not an EIP-55 address; restore the file")
    return raw
