"""Builds, signs and sends transactions for callers that wait for the result (wallet, deployment).

The relayer, which must survive being killed at any point, stores what it signs first: see `actors.outbox`.
May import `layer2.chain` only.
"""

from eth_utils.crypto import keccak

from layer2.chain.connection import Chain, Receipt
from layer2.chain.errors import ChainError, InsufficientFundsError
from layer2.chain.signer import Signer, UnsignedTransaction

GAS_MARGIN_PERCENT = 15
"""How much more gas than estimated a transaction may use: state can change between estimate and inclusion."""


def build(
    chain: Chain, sender: str, to: str, data: bytes, *, value: int = 0, nonce: int | None = None, bump: int = 0
) -> UnsignedTransaction:
    """A transaction with gas and fees for the chain's present state.

    bump: how often the same was sent before; each time raises the fees by a quarter, more than nodes ask for a
    replacement. Raises RevertedError when the contract would refuse it, InsufficientFundsError when
    the sender cannot pay.
    """
    gas = chain.estimate_gas(to, data, sender, value)
    gas += gas * GAS_MARGIN_PERCENT // 100
    priority, maximum = fees(chain, bump)
    cost = value + gas * maximum
    balance = chain.balance(sender)
    if balance < cost:
        raise InsufficientFundsError(
            f"{sender} holds {balance} wei and the transaction may cost {cost} wei: send it some ETH"
        )
    if nonce is None:
        nonce = chain.nonce(sender, pending=True)
    return UnsignedTransaction(chain.chain_id(), nonce, to, data, value, gas, maximum, priority)


def fees(chain: Chain, bump: int = 0) -> tuple[int, int]:
    """(priority fee, maximum fee) in wei per gas: room for the base fee to double, a quarter more per `bump`."""
    priority = max(chain.priority_fee(), 1)
    maximum = 2 * chain.head().base_fee + priority
    return priority * 5**bump // 4**bump + bump, maximum * 5**bump // 4**bump + bump


def send(chain: Chain, signer: Signer, to: str, data: bytes, *, value: int = 0) -> Receipt:
    """Send a transaction and wait until it is mined.

    Raises RevertedError when the contract refuses it (before it is sent where that shows in time), ChainError when
    it fails for another reason.
    """
    transaction = build(chain, signer.address, to, data, value=value)
    return send_raw(chain, signer.sign_transaction(transaction), to, data, signer.address, value)


def send_raw(chain: Chain, raw: bytes, to: str | None, data: bytes, sender: str, value: int = 0) -> Receipt:
    """Broadcast a signed transaction and wait for its receipt; errors as in `send`."""
    chain.broadcast(raw)
    receipt = chain.wait(keccak(raw))
    if receipt.ok:
        return receipt
    if to is not None:
        chain.call(to, data, sender, value)  # says why, if it would still fail now
    raise ChainError(
        f"transaction 0x{receipt.hash.hex()} failed: look at its trace, and send it again if that is right"
    )
