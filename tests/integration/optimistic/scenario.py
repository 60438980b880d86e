"""A batch with something of everything, for tests that spoil it.

Before it: Alice has ETH (account 1) and USDC (2), Bob ETH (3) and USDC (4); a pool of both tokens (5) with Alice's
position (6); Bob's NFT (7). Two queue entries wait: a deposit to account 3, a forced withdrawal of account 4.

The batch: chunk 0 takes the queue, chunk 1 has a transfer, a withdrawal, a swap with a fee and an invalid transfer,
chunk 2 a purchase of the NFT, chunk 3 garbage.
"""

from typing import Any

from layer2.optimistic.operations import CreatePool, MintNFT, PurchaseNFT, Swap, Transfer, Withdraw
from tests.support.optimistic import FOREVER, Draft, Rollup

A_ETH, A_USDC, B_ETH, B_USDC, POOL, POSITION, NFT = range(1, 8)
EXPIRES_IN = 1000
"""Seconds after the batch in which one of its transfers expires."""


def prepare(rollup: Rollup, usdc: int, alice: Any, bob: Any, sequencer: Any) -> None:
    """Everything before the batch."""
    for who in (alice, bob):
        rollup.deposit(who, 0, 10**18)
        rollup.deposit(who, usdc, 10**9)
    rollup.post(rollup.make(queue=4), sequencer)
    pool = rollup.sign(alice, CreatePool(A_ETH, A_USDC, 10**9, 10**8, 0, FOREVER))
    nft = rollup.sign(bob, MintNFT(B_ETH, b"\x09" * 32, 0, FOREVER))
    rollup.post(rollup.make(pool, nft), sequencer)
    rollup.deposit(bob, 0, 77, account=B_ETH)
    rollup.force_withdraw(bob, B_USDC)


def chunks(rollup: Rollup, alice: Any, bob: Any) -> list[bytes]:
    """The batch's operations."""
    state = rollup.state
    made: list[bytes] = []

    def add(data: bytes, *, new: bool = False) -> None:
        nonlocal state
        if new:
            made.append(b"")
        made[-1] += data
        state = rollup.make(chunks=made, queue=2).states[-1]

    def signed(who: Any, operation: Any, **other: Any) -> bytes:
        return rollup.sign(who, operation, state=state, **other).encode()

    add(b"\x01\x01\x00\x01", new=True)
    soon = rollup.now + EXPIRES_IN
    add(signed(alice, Transfer(A_ETH, B_ETH, 1000, 10, soon)), new=True)
    add(signed(alice, Withdraw(A_ETH, 12345, 20, FOREVER)))
    add(signed(alice, Swap(A_USDC, A_ETH, POOL, 10**6, 1, 30, FOREVER)))
    add(signed(bob, Transfer(B_USDC, A_USDC, 10**6, 0, FOREVER)))
    sale = PurchaseNFT(NFT, A_ETH, B_ETH, 5000, 40, FOREVER)
    add(signed(alice, sale, seller=bob), new=True)
    add(b"\x02\xff\x00garbage", new=True)
    return made


def make(rollup: Rollup, alice: Any, bob: Any) -> Draft:
    """The batch, honest."""
    return rollup.make(chunks=chunks(rollup, alice, bob), queue=2)
