"""NFTs (docs/optimistic.md §2): every step, and every step failing."""

from dataclasses import replace

import pytest

from layer2.optimistic.operations import MintNFT, PurchaseNFT, TransferNFT
from layer2.optimistic.records import NFT, Account
from layer2.optimistic.signing import sign_operation, sign_sale
from layer2.optimistic.transition import Failure
from tests.unit.optimistic.world import (
    ALICE,
    ALICE_ETH,
    ALICE_ETH_2,
    ALICE_GOLD,
    ALICE_NFT,
    BOB,
    BOB_ETH,
    BOB_NFT,
    BOB_USDC,
    CAPACITY,
    CAROL,
    CAROL_ETH,
    DAVE,
    DOMAIN,
    ETH,
    KEYS,
    LIMIT,
    MAX_NONCE,
    NEXT,
    NOW,
    OTHER_FEES,
    POOL,
    STATE,
    UNUSED,
    USDC,
    changes,
    edit,
    fails,
    run,
    sign,
    succeeds,
    with_room,
)

CONTENT = bytes(range(32))
MINT = MintNFT(ALICE_ETH, CONTENT, 10, NOW)
GIVE = TransferNFT(ALICE_NFT, DAVE, ALICE_ETH, 10, NOW)
BUY = PurchaseNFT(BOB_NFT, ALICE_ETH, BOB_ETH, 200, 10, NOW)

READS = {MINT: [ALICE_ETH, NEXT], GIVE: [ALICE_NFT, ALICE_ETH], BUY: [ALICE_ETH, BOB_NFT, BOB_ETH]}
ALL = list(READS)


def reads_to_payer(op):
    return READS[op][: READS[op].index(ALICE_ETH) + 1]


@pytest.mark.parametrize("op", ALL)
def test_expired(op):
    fails(replace(op, expiry=NOW - 1), Failure.EXPIRED, [])


@pytest.mark.parametrize("op", ALL)
@pytest.mark.parametrize("expiry", [NOW, NOW + 1])
def test_in_time(op, expiry):
    succeeds(replace(op, expiry=expiry), READS[op])


@pytest.mark.parametrize("op", ALL)
@pytest.mark.parametrize("account", [0, CAPACITY])
def test_a_payer_outside_the_tree_is_not_read(op, account):
    fails(replace(op, account=account), Failure.WRONG_RECORD, reads_to_payer(op)[:-1])


@pytest.mark.parametrize("op", ALL)
@pytest.mark.parametrize("account", [POOL, UNUSED])
def test_the_payer_is_no_account(op, account):
    fails(replace(op, account=account), Failure.WRONG_RECORD, [*reads_to_payer(op)[:-1], account])


@pytest.mark.parametrize("op", ALL)
def test_no_room_for_the_fee(op):
    state = replace(STATE, fees=OTHER_FEES)
    fails(op, Failure.FEES_FULL, reads_to_payer(op), state)
    assert succeeds(replace(op, fee=0), READS[op], state)[0].fees == OTHER_FEES


@pytest.mark.parametrize("op", [MINT, BUY])
def test_nonce_exhausted(op):
    fails(op, Failure.NONCE_EXHAUSTED, [ALICE_ETH], edit(STATE, ALICE_ETH, nonce=MAX_NONCE))
    after, _ = succeeds(op, READS[op], edit(STATE, ALICE_ETH, nonce=MAX_NONCE - 1))
    assert after.record(ALICE_ETH).nonce == MAX_NONCE


@pytest.mark.parametrize(("op", "due"), [(MINT, 10), (GIVE, 10), (BUY, 210)])
def test_too_little_balance(op, due):
    fails(op, Failure.INSUFFICIENT_BALANCE, reads_to_payer(op), edit(STATE, ALICE_ETH, balance=due - 1))
    after, _ = succeeds(op, READS[op], edit(STATE, ALICE_ETH, balance=due))
    assert after.record(ALICE_ETH).balance == 0


# -------------------------------------------------------------------- mint


def test_mint():
    after, outcome = succeeds(MINT, READS[MINT])
    assert changes(STATE, after) == {
        ALICE_ETH: Account(ALICE, ETH, 3, 1_000_000 - 10),
        NEXT: NFT(ALICE, ALICE, 0, CONTENT),
    }
    assert (outcome.created, after.next_index, after.fees) == ((NEXT,), NEXT + 1, (10, 0, 0, 0))


def test_mint_without_room():
    fails(MINT, Failure.TREE_FULL, [], with_room(0))
    succeeds(MINT, [ALICE_ETH, CAPACITY - 1], with_room(1))


def test_mint_with_a_wrong_signature():
    fails(replace(sign(MINT), content=bytes(32)), Failure.INVALID_SIGNATURE, [ALICE_ETH], is_signed=True)


def test_the_same_content_twice_is_two_nfts():
    middle, _ = succeeds(MINT, READS[MINT])
    after, outcome = succeeds(MINT, [ALICE_ETH, NEXT + 1], middle)
    assert outcome.created == (NEXT + 1,)
    assert after.record(NEXT) == after.record(NEXT + 1)


@pytest.mark.parametrize(("op", "index"), [(GIVE, ALICE_NFT), (BUY, BOB_NFT)])
def test_attack_counterfeit_at_the_same_index(op, index):
    """After a rollback somebody else has minted the same content there: what was signed was another artist's."""
    state = edit(STATE, index, creator=DAVE)
    assert state.record(index) != STATE.record(index)
    signed = sign(op)
    if op is BUY:
        signed = sign_sale(signed, state.record, DOMAIN, KEYS[BOB])
    fails(signed, Failure.INVALID_SIGNATURE, READS[op], state, is_signed=True)


def test_attack_counterfeit_that_the_seller_did_not_sell():
    """The buyer wants what is there now; the seller has signed for what was there before."""
    state = edit(STATE, BOB_NFT, creator=DAVE)
    both = sign(BUY, state)
    succeeds(BUY, READS[BUY], state)
    fails(
        sign_sale(both, STATE.record, DOMAIN, KEYS[BOB]), Failure.INVALID_SIGNATURE, READS[BUY], state, is_signed=True
    )


# -------------------------------------------------------------------- transfer


def test_transfer_nft():
    """The NFT's nonce is the one that is signed; the account's stays."""
    after, outcome = succeeds(GIVE, READS[GIVE])
    assert changes(STATE, after) == {
        ALICE_NFT: NFT(DAVE, CAROL, 4, b"\x09" * 32),
        ALICE_ETH: Account(ALICE, ETH, 2, 1_000_000 - 10),
    }
    assert (after.fees, outcome.created) == ((10, 0, 0, 0), ())


def test_transfer_nft_with_an_account_that_has_used_all_its_nonces():
    succeeds(GIVE, READS[GIVE], edit(STATE, ALICE_ETH, nonce=MAX_NONCE))


def test_transfer_nft_to_oneself():
    after, _ = succeeds(replace(GIVE, to=ALICE), READS[GIVE])
    assert after.record(ALICE_NFT) == NFT(ALICE, CAROL, 4, b"\x09" * 32)


def test_transfer_nft_to_nobody():
    fails(replace(GIVE, to=0), Failure.MALFORMED, [])


@pytest.mark.parametrize("nft", [0, CAPACITY])
def test_an_nft_outside_the_tree_is_not_read(nft):
    fails(replace(GIVE, nft=nft), Failure.WRONG_RECORD, [])
    fails(replace(BUY, nft=nft), Failure.WRONG_RECORD, [ALICE_ETH])


@pytest.mark.parametrize("nft", [CAROL_ETH, POOL, UNUSED])
def test_what_is_no_nft(nft):
    fails(replace(GIVE, nft=nft), Failure.WRONG_RECORD, [nft])
    fails(replace(BUY, nft=nft), Failure.WRONG_RECORD, [ALICE_ETH, nft])


def test_nft_that_has_used_all_its_nonces():
    fails(GIVE, Failure.NONCE_EXHAUSTED, [ALICE_NFT], edit(STATE, ALICE_NFT, nonce=MAX_NONCE))
    fails(BUY, Failure.NONCE_EXHAUSTED, [ALICE_ETH, BOB_NFT], edit(STATE, BOB_NFT, nonce=MAX_NONCE))
    succeeds(GIVE, READS[GIVE], edit(STATE, ALICE_NFT, nonce=MAX_NONCE - 1))
    succeeds(BUY, READS[BUY], edit(STATE, BOB_NFT, nonce=MAX_NONCE - 1))


def test_transfer_nft_with_somebody_elses_account_paying():
    fails(replace(GIVE, account=BOB_ETH), Failure.WRONG_OWNER, [ALICE_NFT, BOB_ETH])


def test_transfer_of_somebody_elses_nft():
    """Alice names Bob's account as payer, which belongs to the NFT's owner, and signs herself."""
    op = replace(GIVE, nft=BOB_NFT, account=BOB_ETH)
    op = sign_operation(op, STATE.record, DOMAIN, KEYS[ALICE])
    fails(op, Failure.INVALID_SIGNATURE, [BOB_NFT, BOB_ETH], is_signed=True)


def test_transfer_nft_replayed():
    """It came back to Alice in between."""
    op = sign(replace(GIVE, to=BOB, fee=0))
    after, _, _ = run(op)
    back = TransferNFT(ALICE_NFT, ALICE, BOB_ETH, 0, NOW)
    after, _ = succeeds(back, [ALICE_NFT, BOB_ETH], after)
    fails(op, Failure.INVALID_SIGNATURE, READS[GIVE], after, is_signed=True)


# -------------------------------------------------------------------- purchase


def test_purchase():
    after, _ = succeeds(BUY, READS[BUY])
    assert changes(STATE, after) == {
        ALICE_ETH: Account(ALICE, ETH, 3, 1_000_000 - 210),
        BOB_ETH: Account(BOB, ETH, 5, 1_200),
        BOB_NFT: NFT(ALICE, BOB, 1, b"\x0a" * 32),
    }
    assert after.fees == (10, 0, 0, 0)


def test_purchase_for_nothing():
    after, _ = succeeds(replace(BUY, price=0), READS[BUY])
    assert after.record(BOB_NFT).owner == ALICE


def test_purchase_from_oneself():
    op = replace(BUY, nft=ALICE_NFT, seller_account=ALICE_ETH_2)
    after, _ = succeeds(op, [ALICE_ETH, ALICE_NFT, ALICE_ETH_2])
    assert after.record(ALICE_NFT) == NFT(ALICE, CAROL, 4, b"\x09" * 32)


def test_purchase_from_the_same_account():
    fails(replace(BUY, nft=ALICE_NFT, seller_account=ALICE_ETH), Failure.MALFORMED, [])


@pytest.mark.parametrize("index", [0, CAPACITY])
def test_a_seller_outside_the_tree_is_not_read(index):
    fails(replace(BUY, seller_account=index), Failure.WRONG_RECORD, [ALICE_ETH, BOB_NFT])


@pytest.mark.parametrize("index", [POOL, UNUSED])
def test_the_seller_has_no_account(index):
    fails(replace(BUY, seller_account=index), Failure.WRONG_RECORD, [ALICE_ETH, BOB_NFT, index])


def test_the_seller_takes_another_token():
    fails(replace(BUY, seller_account=BOB_USDC), Failure.WRONG_TOKEN, [ALICE_ETH, BOB_NFT, BOB_USDC])


def test_the_price_goes_to_the_nfts_owner_only():
    fails(replace(BUY, seller_account=CAROL_ETH), Failure.WRONG_OWNER, [ALICE_ETH, BOB_NFT, CAROL_ETH])
    fails(replace(BUY, seller_account=ALICE_ETH_2), Failure.WRONG_OWNER, [ALICE_ETH, BOB_NFT, ALICE_ETH_2])


def test_the_seller_would_overflow():
    fails(BUY, Failure.OVERFLOW, READS[BUY], edit(STATE, BOB_ETH, balance=LIMIT - 200))
    succeeds(BUY, READS[BUY], edit(STATE, BOB_ETH, balance=LIMIT - 201))


def test_purchase_without_the_buyers_signature():
    op = sign_sale(BUY, STATE.record, DOMAIN, KEYS[BOB])
    op = sign_operation(op, STATE.record, DOMAIN, KEYS[BOB])
    fails(op, Failure.INVALID_SIGNATURE, READS[BUY], is_signed=True)


def test_purchase_without_the_sellers_signature():
    op = sign_operation(BUY, STATE.record, DOMAIN, KEYS[ALICE])
    fails(op, Failure.INVALID_SIGNATURE, READS[BUY], is_signed=True)
    fails(sign_sale(op, STATE.record, DOMAIN, KEYS[ALICE]), Failure.INVALID_SIGNATURE, READS[BUY], is_signed=True)


def test_purchase_with_exchanged_signatures():
    op = sign(BUY)
    swapped = replace(op, signature=op.seller_signature, seller_signature=op.signature)
    fails(swapped, Failure.INVALID_SIGNATURE, READS[BUY], is_signed=True)


def test_an_offer_holds_for_any_buyer_but_one_sale():
    """The seller's signature names no buyer; the NFT's nonce ends it."""
    offer = sign_sale(BUY, STATE.record, DOMAIN, KEYS[BOB]).seller_signature
    op = replace(BUY, account=ALICE_ETH_2, seller_signature=offer)
    op = sign_operation(op, STATE.record, DOMAIN, KEYS[ALICE])
    after, (outcome,), _ = run(op)
    assert outcome.is_valid
    returned, _ = succeeds(TransferNFT(BOB_NFT, BOB, ALICE_GOLD, 0, NOW), [BOB_NFT, ALICE_GOLD], after)
    again = sign_operation(replace(BUY, seller_signature=offer), returned.record, DOMAIN, KEYS[ALICE])
    fails(again, Failure.INVALID_SIGNATURE, READS[BUY], returned, is_signed=True)


def test_an_offer_in_another_token_is_another_offer():
    """The token is that of both accounts: an offer for 200 of one does not sell for 200 of another."""
    state = edit(edit(STATE, ALICE_ETH, token=USDC), BOB_ETH, token=USDC)
    offer = sign_sale(BUY, STATE.record, DOMAIN, KEYS[BOB]).seller_signature
    op = sign_operation(replace(BUY, seller_signature=offer), state.record, DOMAIN, KEYS[ALICE])
    fails(op, Failure.INVALID_SIGNATURE, READS[BUY], state, is_signed=True)
