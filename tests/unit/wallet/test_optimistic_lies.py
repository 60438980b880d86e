"""A sequencer that says one thing when the wallet checks and another when it signs gets nothing that is good for it.

The judge is the state transition on the state as it really is.
"""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from layer2.chain.local import KEYS, signer
from layer2.crypto.eip712 import sign
from layer2.node.sequencer_client import Accepted, OwnAccount, RemoteRecord
from layer2.optimistic.operations import PurchaseNFT, SignedOperation
from layer2.optimistic.records import NFT, Account, Pool, Position, Record
from layer2.optimistic.signing import domain_separator, sell_nft_message, sign_operation
from layer2.optimistic.state import RollupState
from layer2.optimistic.transition import Context, Outcome, execute_chunk
from layer2.wallet.offers import Offer
from layer2.wallet.optimistic import OptimisticWallet
from layer2.wallet.units import TokenInfo, WalletError

CHAIN, ROLLUP, NOW = 31337, "0x" + "11" * 20, 1000
DOMAIN = domain_separator(CHAIN, ROLLUP)
ETH, USDC = TokenInfo(0, None, "ETH", 18), TokenInfo(1, "0x" + "22" * 20, "USDC", 6)
ALICE, BOB, MALLORY = (int(signer(number).address, 16) for number in range(3))
ALICES, MALLORYS = bytes.fromhex(KEYS[0][2:]), bytes.fromhex(KEYS[2][2:])


@dataclass
class Liar:
    """A sequencer with a state of its own, which tells of some records something else, once for each that is listed."""

    state: RollupState
    lies: dict[int, list[Record]] = field(default_factory=dict)
    accounts: list[int] = field(default_factory=lambda: [1])
    account_lies: dict[int, Account] = field(default_factory=dict)
    taken: SignedOperation | None = None

    def record(self, index: int) -> RemoteRecord | None:
        told = self.lies.get(index)
        record = told.pop(0) if told else self.state.record(index)
        return None if record is None else RemoteRecord(index, record, None)

    def accounts_of(self, owner: int) -> list[OwnAccount]:
        return [OwnAccount(i, self.account_lies.get(i) or self.state.record(i), None) for i in self.accounts]

    def send(self, operation: SignedOperation) -> Accepted:
        self.taken = operation
        return Accepted("0x", (), ())

    def execute(self, operation: SignedOperation | None = None) -> Outcome:
        """What the rollup makes of what the wallet signed, or of another operation."""
        operation = operation or self.taken
        assert operation is not None
        _, (outcome,) = execute_chunk(self.state, Context(DOMAIN, NOW, 0), operation.encode(), ())
        return outcome


def wallet(liar: Liar) -> OptimisticWallet:
    chain = SimpleNamespace(head=lambda: SimpleNamespace(timestamp=NOW))
    deployment = SimpleNamespace(chain_id=CHAIN, domain_separator=DOMAIN, tokens=())
    rollup: Any = SimpleNamespace(address=ROLLUP, deployment=deployment, chain=chain)
    service: Any = liar
    return OptimisticWallet(rollup, signer(0), service, clock=lambda: NOW)


def account(owner: int, token: TokenInfo = ETH, balance: int = 10**18) -> Account:
    return Account(owner, token.id, 0, balance)


def test_what_is_true_is_good() -> None:
    liar = Liar(RollupState.of(8, [account(ALICE), account(BOB)]))
    wallet(liar).transfer(ETH, 2, 10**17, owner=BOB)
    assert liar.execute().is_valid


def test_attack_another_payee_when_it_signs() -> None:
    """Account 2 is said to be Bob's, who must be paid; it is Mallory's."""
    liar = Liar(RollupState.of(8, [account(ALICE), account(MALLORY)]), {2: [account(BOB)]})
    wallet(liar).transfer(ETH, 2, 10**17, owner=BOB)
    assert not liar.execute().is_valid


def test_attack_another_token_when_it_signs() -> None:
    """1 USDC of an account that holds ETH: 10⁶ or 10¹⁸ units, as it is told the second time."""
    liar = Liar(RollupState.of(8, [account(ALICE), account(MALLORY)]), {2: [account(MALLORY, USDC)]})
    liar.account_lies = {1: account(ALICE, USDC, 10**9)}
    wallet(liar).transfer(USDC, 2, 10**6)
    assert not liar.execute().is_valid


@pytest.mark.parametrize("truths", [0, 1, 2])
def test_attack_a_counterfeit_when_it_signs(truths: int) -> None:
    """The offer is of Bob's work; at its index is Mallory's, whose sale she has signed, too."""
    works = NFT(MALLORY, BOB, 0, b"\x17" * 32)
    counterfeit = works._replace(creator=MALLORY)
    liar = Liar(RollupState.of(8, [account(ALICE), account(MALLORY), counterfeit]), {3: [works] * (3 - truths)})
    terms = PurchaseNFT(3, 1, 2, 10**17, 0, NOW + 60)
    claimed, real = (
        sign(sell_nft_message(terms, nft, account(ALICE)), DOMAIN, MALLORYS) for nft in (works, counterfeit)
    )
    offer = Offer(CHAIN, int(ROLLUP, 16), 3, works.content, BOB, 0, MALLORY, 2, 0, terms.price, terms.expiry, claimed)
    wallet(liar).buy_nft(offer, ETH, terms.price)
    assert isinstance(liar.taken, PurchaseNFT)
    assert not liar.execute().is_valid
    assert not liar.execute(replace(liar.taken, seller_signature=real)).is_valid


def test_attack_paid_in_junk() -> None:
    """Alice offers an NFT for USDC; the account to be paid into is really of a worthless token."""
    junk = TokenInfo(9, None, "USDC", 6)
    work = NFT(ALICE, ALICE, 0, b"\x18" * 32)
    liar = Liar(RollupState.of(8, [account(ALICE, junk, 0), account(MALLORY, junk, 10**9), work]))
    liar.account_lies = {1: account(ALICE, USDC, 0)}
    offer = wallet(liar).offer_nft(3, USDC, 25 * 10**6)
    bought = PurchaseNFT(3, 2, 1, offer.price, 0, offer.expiry, seller_signature=offer.signature)
    assert not liar.execute(sign_operation(bought, liar.state.record, DOMAIN, MALLORYS)).is_valid


def test_attack_an_account_of_somebody_else_is_no_own_one() -> None:
    liar = Liar(RollupState.of(8, [account(MALLORY)]))
    with pytest.raises(WalletError, match="has no ETH account on this rollup"):
        wallet(liar).withdraw(ETH, 1)
    assert wallet(liar).accounts() == []


def test_attack_an_offer_in_another_token() -> None:
    """Agreed were 25 USDC, the file says 25 ETH."""
    work = NFT(MALLORY, MALLORY, 0, b"\x18" * 32)
    liar = Liar(RollupState.of(8, [account(ALICE, ETH, 10**20), account(MALLORY), work]))
    terms = PurchaseNFT(3, 1, 2, 25 * 10**18, 0, NOW + 60)
    signature = sign(sell_nft_message(terms, work, account(ALICE)), DOMAIN, MALLORYS)
    offer = Offer(
        CHAIN, int(ROLLUP, 16), 3, work.content, MALLORY, 0, MALLORY, 2, 0, terms.price, terms.expiry, signature
    )
    for token, price in ((USDC, 25 * 10**6), (USDC, 25 * 10**18), (ETH, 24 * 10**18)):
        with pytest.raises(WalletError, match="the offer asks for 25 ETH, not "):
            wallet(liar).buy_nft(offer, token, price)
    assert liar.taken is None
    wallet(liar).buy_nft(offer, ETH, 25 * 10**18)
    assert liar.execute().is_valid


# -------------------------------------------------------------------- pools

HONEST = Pool(0, 1, 10**18, 200 * 10**6, 10**12)
"""1 ETH and 200 USDC."""


def of_pool(pool: Pool) -> Liar:
    records = [account(ALICE, ETH, 10**19), account(ALICE, USDC, 10**12), pool, Position(ALICE, 3, 10**11)]
    return Liar(RollupState.of(8, records), accounts=[1, 2])


@pytest.mark.parametrize("times", [400, 100, 99, 2])
def test_attack_a_pool_out_of_shape(times: int) -> None:
    """Somebody moved the price there just before, or the sequencer says so: who named amounts gives and takes these."""
    for skewed in (
        HONEST._replace(reserve_a=10**18 * 10 // times, reserve_b=20 * 10**6 * times),
        HONEST._replace(reserve_a=10**17 * times, reserve_b=2000 * 10**6 // times),
    ):
        liar = of_pool(skewed)
        with pytest.raises(WalletError, match=r"USDC belong to 0.1 ETH in pool 3 now, not 20 USDC"):
            wallet(liar).add_liquidity(3, ETH, 10**17, USDC, 20 * 10**6)
        with pytest.raises(WalletError, match=r"shares of pool 3 are .* now, less than 0.1 ETH and 20 USDC"):
            wallet(liar).remove_liquidity(4, ETH, 10**17, USDC, 20 * 10**6)
        assert liar.taken is None
        # The pool is as the user thinks only in what the sequencer says: the limits are signed.
        for deed in ("add", "remove"):
            liar = of_pool(skewed)
            liar.lies = {3: [HONEST]}
            if deed == "add":
                wallet(liar).add_liquidity(3, ETH, 10**17, USDC, 20 * 10**6)
            else:
                wallet(liar).remove_liquidity(4, ETH, 10**17, USDC, 20 * 10**6)
            assert not liar.execute().is_valid


def test_a_pool_within_the_slippage() -> None:
    liar = of_pool(HONEST._replace(reserve_b=202 * 10**6))
    traded = wallet(liar).add_liquidity(3, ETH, 10**17, USDC, 20 * 10**6)
    assert traded.gives == {0: 10**17, 1: 20_200_000}
    assert liar.execute().is_valid
    traded = wallet(liar).remove_liquidity(4, ETH, 101 * 10**15, USDC, 20 * 10**6)
    assert traded.gets == {0: 10**17, 1: 20_200_000}
    assert liar.execute().is_valid


def test_tokens_are_those_that_were_named() -> None:
    other = TokenInfo(2, None, "USDC", 18)
    for token_a, token_b in ((ETH, other), (USDC, ETH), (other, USDC)):
        with pytest.raises(WalletError, match="in this order: look at it with `wallet show`"):
            wallet(of_pool(HONEST)).add_liquidity(3, token_a, 10**6, token_b, 10**6)
        with pytest.raises(WalletError, match="in this order: look at it with `wallet show`"):
            wallet(of_pool(HONEST)).remove_liquidity(4, token_a, 10**6, token_b, 10**6)
    with pytest.raises(WalletError, match="pool 3 is not of ETH and USDC: name one that is"):
        wallet(of_pool(HONEST)).swap(ETH, 10**17, other, 3)
