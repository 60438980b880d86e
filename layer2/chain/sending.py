"""Builds, signs and sends transactions for callers that wait for the result (wallet, deployment).

The relayer, which must survive being killed at any point, stores what it signs first: see `actors.outbox`.
May import `layer2.chain` only.
"""

from collections.abc import Sequence

from layer2.chain.connection import Chain, Receipt
from layer2.chain.errors import ChainError, InsufficientFundsError
from layer2.chain.sidecar import Sidecar, transaction_hash
from layer2.chain.signer import Signer, UnsignedTransaction

GAS_MARGIN_PERCENT = 15
"""How much more gas than estimated a transaction may use: state can change between estimate and inclusion."""


def build(
    chain: Chain,
    sender: str,
    to: str,
    data: bytes,
    *,
    value: int = 0,
    blobs: Sequence[bytes] = (),
    nonce: int | None = None,
    bump: int = 0,
) -> UnsignedTransaction:
    """A transaction with gas and fees for the chain's present state, which carries `blobs`.

    bump: how often the same was sent before; each time raises the fees by as much as nodes ask for a replacement.
    Raises RevertedError when the contract would refuse it, InsufficientFundsError when the sender cannot pay,
    BlobError when a blob is malformed.
    """
    sidecar = Sidecar.of(blobs) if blobs else None
    hashes = sidecar.versioned_hashes if sidecar else ()
    gas = chain.estimate_gas(to, data, sender, value, hashes)
    gas += gas * GAS_MARGIN_PERCENT // 100
    blob_fee = 0
    if sidecar is None:
        priority, maximum = fees(chain, bump)
    else:
        priority, maximum, blob_fee = blob_fees(chain, bump)
    cost = value + gas * maximum + (sidecar.gas * blob_fee if sidecar else 0)
    balance = chain.balance(sender)
    if balance < cost:
        raise InsufficientFundsError(
            f"{sender} holds {balance} wei and the transaction may cost {cost} wei: send it some ETH"
        )
    if nonce is None:
        nonce = chain.nonce(sender, pending=True)
    return UnsignedTransaction(chain.chain_id(), nonce, to, data, value, gas, maximum, priority, sidecar, blob_fee)


def fees(chain: Chain, bump: int = 0) -> tuple[int, int]:
    """(priority fee, maximum fee) in wei per gas: room for the base fee to double, a quarter more per `bump`."""
    priority = max(chain.priority_fee(), 1)
    maximum = 2 * chain.head().base_fee + priority
    return priority * 5**bump // 4**bump + bump, maximum * 5**bump // 4**bump + bump


def blob_fees(chain: Chain, bump: int = 0) -> tuple[int, int, int]:
    """(priority fee, maximum fee, maximum blob fee) in wei per gas and per blob gas, for a transaction with blobs.

    Room for both base fees to double, and twice as much per `bump`: nodes replace blobs for twice all three fees only.
    """
    priority, maximum = fees(chain)
    return priority << bump, maximum << bump, 2 * max(chain.blob_base_fee(), 1) << bump


def send(chain: Chain, signer: Signer, to: str, data: bytes, *, value: int = 0, blobs: Sequence[bytes] = ()) -> Receipt:
    """Send a transaction, with these blobs if any, and wait until it is mined.

    Raises RevertedError when the contract refuses it (before it is sent where that shows in time), BlobError for a
    malformed blob, ChainError when it fails for another reason.
    """
    transaction = build(chain, signer.address, to, data, value=value, blobs=blobs)
    hashes = transaction.sidecar.versioned_hashes if transaction.sidecar else ()
    return send_raw(chain, signer.sign_transaction(transaction), to, data, signer.address, value, hashes)


def send_raw(
    chain: Chain,
    raw: bytes,
    to: str | None,
    data: bytes,
    sender: str,
    value: int = 0,
    blobs: Sequence[bytes] = (),
) -> Receipt:
    """Broadcast a signed transaction, with blobs of these versioned hashes, and wait for its receipt.

    Errors as in `send`.
    """
    chain.broadcast(raw)
    receipt = chain.wait(transaction_hash(raw))
    if receipt.ok:
        return receipt
    if to is not None:
        chain.call(to, data, sender, value, blobs)  # says why, if it would still fail now
    raise ChainError(
        f"transaction 0x{receipt.hash.hex()} failed: look at its trace, and send it again if that is right"
    )
