"""Who plays: people with a key that is the same on every chain. May import `layer2.chain`, `layer2.optimistic`."""

from dataclasses import dataclass, field

from layer2.chain.signer import LocalSigner
from layer2.crypto.eip712 import address_of
from layer2.crypto.keccak import keccak256
from layer2.optimistic.records import Account
from layer2.optimistic.state import RollupState


@dataclass(frozen=True)
class Person:
    """Somebody with an L1 account, whose key signs on the rollup as well. owner: the address as an integer."""

    name: str
    key: bytes = field(repr=False)
    signer: LocalSigner
    owner: int

    @classmethod
    def named(cls, name: str) -> "Person":
        """The person of this name: always the same key, which everybody can compute."""
        key = keccak256(f"layer2 scenario: {name}".encode())
        return cls(name, key, LocalSigner(key), address_of(key))

    @property
    def address(self) -> str:
        """EIP-55 address."""
        return self.signer.address

    def account(self, state: RollupState, token: int) -> int:
        """The index of the person's first account of a token. Raises LookupError when there is none."""
        for index, record in state.records():
            if isinstance(record, Account) and (record.owner, record.token) == (self.owner, token):
                return index
        raise LookupError(f"{self.name} has no account of token {token}: deposit first")
