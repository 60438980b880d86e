"""Puts a rollup on a chain: registry, verifier with its keys, rollup, and on local chains a token to try it with.

May import `layer2.chain`, `layer2.ledger` and `layer2.zk.keys`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address

from layer2.chain.artifacts import artifact
from layer2.chain.coder import coder
from layer2.chain.connection import LOCAL_CHAIN_IDS, Chain, Receipt
from layer2.chain.deployment import Deployed, Deployment, Token, code_hash, verify
from layer2.chain.errors import DeploymentError, InsufficientFundsError
from layer2.chain.sending import GAS_MARGIN_PERCENT, fees, send, send_raw
from layer2.chain.signer import Signer, UnsignedTransaction
from layer2.zk.keys import VerifyingKeys

MAX_TIME = 2**32 - 1
"""Longest of a rollup's times, in seconds."""

MAX_QUOTA = 256
"""Largest queue quota."""

MAX_QUOTA_SEGMENTS = 128
"""In at most so many segments of operations the quota has to fit."""


@dataclass(frozen=True)
class RollupConfig:
    """What never changes after deployment; seconds, and for the quota queue entries (docs/protocol.md §6.1, §6.2).

    Raises DeploymentError for what the contract's constructor refuses: times of 2³² seconds or more, or negative ones,
    a batch age of zero, a quota that is not between 1 and 256, a freeze deadline below the inclusion deadline or the
    batch age. `deploy` refuses a quota above 128 for circuits that take one operation at a time.
    """

    inclusion_deadline: int = 24 * 3600
    queue_quota: int = 20
    priority_timeout: int = 3 * 24 * 3600
    max_batch_age: int = 2 * 3600
    freeze_deadline: int = 14 * 24 * 3600

    def __post_init__(self) -> None:
        for name, low, high in (
            ("inclusion_deadline", 0, MAX_TIME),
            ("queue_quota", 1, MAX_QUOTA),
            ("priority_timeout", 0, MAX_TIME),
            ("max_batch_age", 1, MAX_TIME),
            ("freeze_deadline", max(self.inclusion_deadline, self.max_batch_age), MAX_TIME),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise DeploymentError(f"{name} is {value}: the contract takes {low} to {high}")


def deploy(
    chain: Chain,
    signer: Signer,
    keys: VerifyingKeys,
    config: RollupConfig,
    *,
    operator: str | None = None,
    with_test_token: bool | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Deployed[Deployment]:
    """Deploy everything and check the result.

    operator: who has priority in submitting batches, by default the signer. with_test_token: a 6-decimals token that
    anyone may mint, by default on local chains only.
    Raises DeploymentError for development keys or a test token on any other chain and for a quota that is too large for
    the circuits, ChainError when a transaction fails.
    """
    chain_id = chain.chain_id()
    is_local = chain_id in LOCAL_CHAIN_IDS
    if keys.is_development and not is_local:
        raise DeploymentError(
            f"development keys on chain {chain_id}: anybody can forge proofs with them and take all funds. "
            "Make real keys with `ape run ceremony`, or deploy on a local chain"
        )
    if with_test_token and not is_local:
        raise DeploymentError(f"a test token that anyone may mint on chain {chain_id}: leave it out")
    size = keys.circuits.operations.size
    if config.queue_quota > MAX_QUOTA_SEGMENTS * size:
        raise DeploymentError(
            f"queue_quota is {config.queue_quota}: with circuits of {size} operations the contract takes 1 to "
            f"{MAX_QUOTA_SEGMENTS * size}"
        )
    if with_test_token is None:
        with_test_token = is_local
    operator = to_checksum_address(operator or signer.address)
    gas: dict[str, int] = {}

    def create(name: str, *arguments: Any) -> tuple[str, Receipt]:
        progress(f"deploying {name}")
        address, receipt = deploy_contract(chain, signer, name, *arguments)
        gas[name] = receipt.gas_used
        return address, receipt

    registry, _ = create("TokenRegistry")
    verifier, _ = create("BatchVerifier", *keys.constructor_arguments)
    hasher, _ = create("Poseidon4")
    settings = (
        config.inclusion_deadline,
        config.queue_quota,
        config.priority_timeout,
        config.max_batch_age,
        config.freeze_deadline,
    )
    rollup, receipt = create("ZKRollup", registry, verifier, hasher, operator, settings)
    tokens: tuple[Token, ...] = ()
    if with_test_token:
        address, _ = create("TestUSDC")
        send(chain, signer, registry, coder("TokenRegistry").encode("register", address))
        tokens = (Token(1, address, "USDC", 6),)
    circuits = keys.circuits
    deployment = Deployment(
        chain_id=chain_id,
        block=receipt.block.number,
        rollup=rollup,
        registry=registry,
        verifier=verifier,
        hasher=hasher,
        operator=operator,
        levels=circuits.levels,
        transfers=circuits.transfers.size,
        operations=circuits.operations.size,
        fee_tokens=circuits.transfers.tokens,
        inclusion_deadline=config.inclusion_deadline,
        queue_quota=config.queue_quota,
        priority_timeout=config.priority_timeout,
        max_batch_age=config.max_batch_age,
        freeze_deadline=config.freeze_deadline,
        verifying_keys=keys_hash(keys),
        development_keys=keys.is_development,
        rollup_code=code_hash(chain.code(rollup)),
        registry_code=code_hash(chain.code(registry)),
        verifier_code=code_hash(chain.code(verifier)),
        hasher_code=code_hash(chain.code(hasher)),
        tokens=tokens,
    )
    verify(chain, deployment)
    return Deployed(deployment, gas)


def keys_hash(keys: VerifyingKeys) -> str:
    """SHA-256 of the verifying keys' file form, in hex."""
    return hashlib.sha256(keys.to_json().encode()).hexdigest()


def deploy_contract(chain: Chain, signer: Signer, name: str, *arguments: Any, value: int = 0) -> tuple[str, Receipt]:
    """Deploy one of the project's contracts, with `value` wei; returns its address and the receipt.

    Raises RevertedError when the constructor refuses, InsufficientFundsError, ChainError.
    """
    code = artifact(name).bytecode + encode(coder(name).constructor_types, arguments)
    gas = chain.estimate_deployment_gas(code, signer.address, value)
    gas += gas * GAS_MARGIN_PERCENT // 100
    priority, maximum = fees(chain)
    cost = value + gas * maximum
    if chain.balance(signer.address) < cost:
        raise InsufficientFundsError(
            f"{signer.address} cannot pay {cost} wei for the deployment of {name}: send it ETH"
        )
    nonce = chain.nonce(signer.address, pending=True)
    unsigned = UnsignedTransaction(chain.chain_id(), nonce, None, code, value, gas, maximum, priority)
    receipt = send_raw(chain, signer.sign_transaction(unsigned), None, code, signer.address, value)
    assert receipt.contract is not None
    return receipt.contract, receipt
