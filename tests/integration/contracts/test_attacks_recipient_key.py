"""An account's owner alone does not decide who can spend: the key does."""

from layer2.ledger.operations import Operation, sign_operation
from layer2.ledger.transition import Context, Failure, apply
from tests.support.rollup import FOREVER, key_of


def test_attack_deposit_into_an_account_of_ones_own_with_somebody_elses_key(rollup, bob, mallory):
    """Mallory opens (owner Bob, key Mallory) with dust; Bob's deposit to it, with his key, opens another account."""
    rollup.deposit(mallory, 0, 1, owner=bob, key=key_of(mallory).public_key)
    bait = rollup.state.next_index
    rollup.process()
    rollup.deposit(bob, 0, 10**18, account=bait)
    rollup.process()
    assert rollup.state.account(bait).balance == 1
    own = rollup.state.account(bait + 1)
    assert (own.owner, own.key, own.balance) == (int(bob.address, 16), key_of(bob).public_key, 10**18)


def test_attack_operator_repoints_an_index_that_has_the_same_owner(rollup, alice, bob, mallory):
    """Alice pays the account that Bob's deposit shall open; the operator puts another one of owner Bob there first."""
    fresh, purse = rollup.state.next_index, 3
    operation = Operation.transfer(purse, fresh, 0, 10**15)

    def signed_for(key):
        nonce = rollup.state.account(purse).nonce
        return sign_operation(key_of(alice), rollup.domain, operation, nonce, FOREVER, int(bob.address, 16), key)

    rollup.deposit(mallory, 0, 1, owner=bob, key=key_of(mallory).public_key)
    rollup.process()
    pay = signed_for(key_of(bob).public_key)
    assert apply(rollup.state, pay, Context(rollup.domain, 0)).failure is Failure.RECIPIENT_KEY_MISMATCH
    # What it takes to pay that account is a signature that names Mallory's key.
    rollup.process(signed_for(key_of(mallory).public_key))
    assert rollup.state.account(fresh).balance == 10**15 + 1
