"""What can be wrong with a chain, a deployment or a transaction. Each message names the value and the remedy."""

from collections.abc import Mapping
from typing import Any


class ChainError(Exception):
    """Anything that goes wrong between this program and Ethereum."""


class ChainUnreachableError(ChainError):
    """The node does not answer, or answers with nonsense. Trying again later may help."""


class WrongChainError(ChainError):
    """The node follows another chain than expected."""


class NoContractError(ChainError):
    """There is no contract, or another one, where a deployment says there is one."""


class DeploymentError(ChainError):
    """A deployment file is missing, malformed or does not describe what is on chain."""


class ArtifactError(ChainError):
    """The compiled contracts are missing."""


class DataMissingError(ChainError):
    """L1 data that must exist is not to be had from this node."""


class RevertedError(ChainError):
    """A contract refuses a call or transaction. `name` is the custom error's name, "" when there is none, `arguments`
    are its values by name."""

    def __init__(self, what: str, name: str, detail: str, arguments: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{what} was refused by the contract: {detail}")
        self.name = name
        self.detail = detail
        self.arguments = dict(arguments or {})


class InsufficientFundsError(ChainError):
    """The sender cannot pay for the transaction."""


class ReorgError(ChainError):
    """The chain changed while it was read. Trying again helps."""
