"""Two parties, and a third one between them: updates, conditional payments, closings, and what they never sign."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from layer2.actors.errors import RefusedError
from layer2.channels.errors import ChannelError, MalformedError
from layer2.channels.messages import Proposal, Refusal, Signature
from layer2.channels.party import Party
from layer2.channels.states import FinalState, Lock, SignedState, State, StateChannelConfig, secret_hash
from tests.support.channel_world import HOUR, UNIT, ChannelWorld, balances, talk


@pytest.fixture
def config(world: ChannelWorld) -> StateChannelConfig:
    """A channel of Alice and Bob, who deposited 100 each."""
    return world.open_state()


@pytest.fixture
def alice(world: ChannelWorld, config: StateChannelConfig) -> Iterator[Party]:
    with world.party(world.alice) as party:
        party.step()
        yield party


@pytest.fixture
def bob(world: ChannelWorld, config: StateChannelConfig) -> Iterator[Party]:
    with world.party(world.bob) as party:
        party.step()
        yield party


def refused(party: Party, message: Proposal | Signature, code: str) -> Refusal:
    """A party refuses a message, and what it has stays."""
    before = party.waiting(message.outcome.channel_id)
    answer = party.receive(message)
    assert isinstance(answer, Refusal), answer
    assert answer.code == code, answer
    assert party.waiting(message.outcome.channel_id) == before
    return answer


# -------------------------------------------------------------------- updates


def test_payments_both_ways(world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party) -> None:
    talk(alice.pay(config.id, 30), bob, alice)
    talk(bob.pay(config.id, 50), alice, bob)
    talk(alice.pay(config.id, 5), bob, alice)
    for party in (alice, bob):
        assert balances(party, config) == (115, 85)
        best = party.best(config.id)
        assert best.state.version == 3
        best.check(config, world.channels.state_domain)
    assert alice.best(config.id) == bob.best(config.id)
    assert (alice.balance(config.id), bob.balance(config.id)) == (115, 85)


def test_digests_are_the_contracts(world: ChannelWorld, config: StateChannelConfig) -> None:
    view, separator = world.channels.state_view, world.channels.state_domain.separator
    locks = (Lock(3, 10**10, True, b"\1" * 32), Lock(4, 2**40 - 1, False, b"\2" * 32))
    state = State(config.id, 7, 10, 20, 9, 14, locks)
    final = FinalState(config.id, 8, 1, 2, 3, 0)
    assert view("channelIdOf", config.arguments) == config.id
    assert view("stateDigest", state.arguments) == state.message.digest(separator)
    assert view("finalDigest", final.arguments) == final.message.digest(separator)


def test_what_cannot_be_paid(config: StateChannelConfig, alice: Party, bob: Party) -> None:
    for amount in (0, -1, 101):
        with pytest.raises(ChannelError, match=f"{amount} cannot be paid out of a balance of 100"):
            alice.pay(config.id, amount)
    with pytest.raises(ChannelError, match="is no party of a channel 0x00"):
        alice.pay(bytes(32), 1)
    talk(alice.pay(config.id, 100), bob, alice)
    with pytest.raises(ChannelError, match="out of a balance of 0"):
        alice.pay(config.id, 1)


def test_later_deposits_are_the_depositors(
    world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party
) -> None:
    talk(alice.pay(config.id, 30), bob, alice)
    bob.deposit(config.id, 7)
    bob.run_until_idle()
    alice.step()
    assert balances(alice, config) == (70, 137)
    talk(alice.pay(config.id, 1), bob, alice)
    assert bob.best(config.id).state == State(config.id, 2, 100, 107, 69, 138)


def test_opens_with_a_token(world: ChannelWorld, alice: Party) -> None:
    config = alice.open(world.bob.address, 5 * UNIT, token=world.usdc, challenge_period=HOUR)
    alice.run_until_idle()
    assert alice.balance(config.id) == 5 * UNIT
    with pytest.raises(ChannelError, match="holds 995000000 of token"):
        alice.open(world.bob.address, 996 * UNIT, token=world.usdc, challenge_period=HOUR)
    with pytest.raises(MalformedError, match="challengePeriod 3599 is not"):
        alice.open(world.bob.address, 1, challenge_period=HOUR - 1)


def test_both_propose_at_once(config: StateChannelConfig, alice: Party, bob: Party) -> None:
    """A goes first: B drops what it proposed, which binds nobody, and proposes it again."""
    from_alice, from_bob = alice.pay(config.id, 30), bob.pay(config.id, 50)
    busy = refused(alice, from_bob, "busy")
    talk(from_alice, bob, alice)
    assert balances(alice, config) == (70, 130)
    with pytest.raises(RefusedError, match="has proposed something itself"):
        bob.receive(busy)
    talk(bob.pay(config.id, 50), alice, bob)
    assert balances(bob, config) == balances(alice, config) == (120, 80)


def test_a_refused_proposal_binds_nobody(config: StateChannelConfig, alice: Party, bob: Party) -> None:
    too_far = alice._now() + 7 * 24 * HOUR
    proposal = alice.lock(config.id, 10, b"\1" * 32, too_far)
    with pytest.raises(ChannelError, match="another proposal waits"):
        alice.pay(config.id, 1)
    bob.rules = replace(bob.rules, longest_lock=HOUR)
    with pytest.raises(RefusedError, match=r"refuses: the lock's deadline \d+ is past or too far ahead"):
        talk(proposal, bob, alice)
    talk(alice.pay(config.id, 1), bob, alice)
    assert bob.best(config.id).state.version == 1


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_lost_messages(config: StateChannelConfig, alice: Party, bob: Party, lost: int) -> None:
    """Whatever gets lost, sending again what may be missing completes the update; no state is signed twice over."""
    message, to, back = alice.pay(config.id, 30), bob, alice
    for _ in range(lost):
        message, to, back = to.receive(message), back, to
    # The message is lost. Both send again what the other one may not have.
    for one, other in ((alice, bob), (bob, alice), (alice, bob)):
        talk(one.waiting(config.id), other, one)
    assert alice.best(config.id) == bob.best(config.id)
    assert balances(alice, config) == (70, 130)
    talk(bob.pay(config.id, 1), alice, bob)
    assert balances(bob, config) == balances(alice, config) == (71, 129)


def test_messages_again_change_nothing(config: StateChannelConfig, alice: Party, bob: Party) -> None:
    proposal = alice.pay(config.id, 30)
    first = bob.receive(proposal)
    assert bob.receive(proposal) == first
    second = alice.receive(first)
    assert alice.receive(first) is None
    assert bob.receive(second) is None
    assert bob.receive(second) is None
    assert isinstance(bob.receive(proposal), Signature)
    assert alice.best(config.id) == bob.best(config.id)


# -------------------------------------------------------------------- what is never signed


def test_attack_two_states_of_one_version(
    world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party
) -> None:
    """Bob has signed version 1; whatever Alice says, he signs no other one."""
    first = bob.receive(alice.pay(config.id, 30))
    other = State(config.id, 1, 100, 100, 0, 200)  # even if it gives him everything
    assert bob.receive(Proposal(other)) == first
    signed = world.signed(other)
    refused(bob, Signature(other, signed.signature_a), "already_signed")
    with pytest.raises(ChannelError, match="version 1 was signed with another content"):
        bob._store.put_signed(other, signed.signature_b)
    with pytest.raises(ChannelError, match="version 1 has another content: wait for the other signature"):
        bob.pay(config.id, 1)


def test_attack_version_two_before_one(
    world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party
) -> None:
    """Bob signs version 2 only with version 1 of both in hand: else Alice could keep hers, and he would close with an
    old state."""
    bob.receive(alice.pay(config.id, 30))  # Alice keeps her signature
    state = State(config.id, 2, 100, 100, 0, 200)
    assert bob.receive(Proposal(state)).outcome.version == 1
    refused(bob, Signature(state, world.signed(state).signature_a), "missing_version")
    bob.close(config.id)
    bob.run_until_idle()
    assert bob.entry(config.id).facts.closing.closer_version == 0
    # All that Alice can show is version 1, which costs him nothing.
    first = bob._store.pending(config.id).state
    world.send(world.carol, world.channels.challenge_call(config, world.signed(first)), world.deployment.state_channel)
    world.anvil.warp(25 * HOUR)
    bob.run_until_idle()
    assert bob.entry(config.id).facts.outcome.penalised == ""
    assert (bob.entry(config.id).facts.outcome.amount_a, bob.entry(config.id).facts.outcome.amount_b) == (70, 130)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"balance_a": 101, "balance_b": 99}, "loss"),
        ({"version": 2}, "missing_version"),
        ({"version": 0, "deposits_a": 0, "deposits_b": 0, "balance_a": 0, "balance_b": 0}, "old_version"),
        ({"deposits_a": 101, "balance_a": 101}, "deposits"),
        ({"deposits_b": 101, "balance_b": 101}, "deposits"),
        ({"deposits_b": 90, "balance_b": 90, "version": 1}, None),
        ({"balance_b": 90, "locks": (Lock(10, 2**40 - 1, False, b"\1" * 32),)}, "deadline"),
        ({"balance_a": 90, "locks": (Lock(10, 1, False, b"\1" * 32),)}, "deadline"),
        ({"balance_b": 90, "locks": (Lock(10, 2, True, b"\1" * 32),)}, "loss"),
        ({"balance_a": 90, "locks": (Lock(10, 2, True, b"\1" * 32),)}, "loss"),
    ],
)
def test_what_bob_does_not_sign(
    config: StateChannelConfig, bob: Party, state: dict[str, object], code: str | None
) -> None:
    values = {"version": 1, "deposits_a": 100, "deposits_b": 100, "balance_a": 100, "balance_b": 100} | state
    if code is None:  # what is not counted yet is Bob's anyway
        assert isinstance(bob.receive(Proposal(State(config.id, **values))), Signature)
    else:
        refused(bob, Proposal(State(config.id, **values)), code)


def test_wrong_signatures(world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party) -> None:
    proposal = alice.pay(config.id, 30)
    answer = bob.receive(proposal)
    for signature in (
        world.signed(proposal.outcome, b=world.carol).signature_b,
        world.signed(proposal.outcome).signature_a,
        bytes(65),
        answer.signature[:64] + b"\0",
    ):
        refused(alice, Signature(proposal.outcome, signature), "wrong_signature")
    assert isinstance(alice.receive(answer), Signature)


def test_unknown_channels_and_strangers(world: ChannelWorld, alice: Party) -> None:
    foreign = world.open_state(world.bob, world.carol)
    alice.step()
    for key in (bytes(32), foreign.id):
        answer = alice.receive(Proposal(State(key, 1, 0, 0, 0, 0)))
        assert answer.code == "unknown_channel"
    with pytest.raises(RefusedError, match="refuses: so there"):
        alice.receive(Refusal(bytes(32), bytes(32), "no", "so there"))


def test_attack_money_moved_into_a_lock_that_runs_out(
    world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party
) -> None:
    """Bob knows the secret, but could be too late to show it: a new lock counts nothing in what he is offered."""
    hash_ = bob.new_secret()
    deadline = alice._now() + 20
    state = State(config.id, 1, 100, 100, 100, 0, (Lock(100, deadline, False, hash_),))
    refused(bob, Proposal(state), "loss")


def test_attack_one_secret_for_two_locks(config: StateChannelConfig, alice: Party, bob: Party) -> None:
    hash_ = bob.new_secret()
    locks = (Lock(10, alice._now() + HOUR, False, hash_), Lock(20, alice._now() + HOUR, False, hash_))
    refused(bob, Proposal(State(config.id, 1, 100, 100, 70, 100, locks)), "same_hash")


# -------------------------------------------------------------------- conditional payments


def test_a_lock_is_paid(config: StateChannelConfig, alice: Party, bob: Party) -> None:
    hash_ = bob.new_secret()
    talk(alice.lock(config.id, 40, hash_, alice._now() + 2 * HOUR), bob, alice)
    assert balances(bob, config) == (60, 100)
    with pytest.raises(ChannelError, match=r"the secret of lock \w* is not known"):
        alice.settle_lock(config.id, hash_)
    assert bob.due() == [(config.id, hash_)]
    talk(bob.unlock(config.id, hash_), alice, bob)
    assert balances(alice, config) == balances(bob, config) == (60, 140)
    assert secret_hash(alice._store.secret(hash_)) == hash_


def test_the_secret_alone_is_not_enough_after_the_deadline(
    world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party
) -> None:
    """At the deadline it still is."""
    hash_ = bob.new_secret()
    deadline = alice._now() + 2 * HOUR
    talk(alice.lock(config.id, 40, hash_, deadline), bob, alice)
    unlock = bob.unlock(config.id, hash_)
    world.anvil.request("evm_setNextBlockTimestamp", deadline + 1)
    snapshot = world.anvil.snapshot()
    world.anvil.mine()
    refused(alice, unlock, "loss")
    world.anvil.revert(snapshot)
    world.anvil.request("evm_setNextBlockTimestamp", deadline)
    world.anvil.mine()
    assert isinstance(alice.receive(unlock), Signature)


def test_attack_a_lock_is_taken_without_its_secret(config: StateChannelConfig, alice: Party, bob: Party) -> None:
    hash_ = bob.new_secret()
    talk(alice.lock(config.id, 40, hash_, alice._now() + 2 * HOUR), bob, alice)
    refused(alice, Proposal(State(config.id, 2, 100, 100, 60, 140)), "loss")
    refused(alice, Proposal(State(config.id, 2, 100, 100, 60, 140), (b"\5" * 32,)), "loss")
    assert alice._store.secret(secret_hash(b"\5" * 32)) is None  # of no lock: not kept


def test_attack_a_lock_is_taken_back_from_who_knows_the_secret(
    config: StateChannelConfig, alice: Party, bob: Party
) -> None:
    hash_ = bob.new_secret()
    talk(alice.lock(config.id, 40, hash_, alice._now() + 2 * HOUR), bob, alice)
    refused(bob, Proposal(State(config.id, 2, 100, 100, 100, 100)), "loss")
    talk(bob.cancel(config.id, hash_), alice, bob)  # but Bob may give it back
    assert balances(alice, config) == (100, 100)


def test_a_lock_goes_back_after_its_deadline(
    world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party
) -> None:
    """Only when the last block that Bob has read is later than the deadline: the secret could be in one before."""
    hash_ = bob.new_secret()
    deadline = alice._now() + 2 * HOUR
    talk(alice.lock(config.id, 40, hash_, deadline), bob, alice)
    bob.rules = replace(bob.rules, reveal=0)
    world.anvil.request("evm_setNextBlockTimestamp", deadline)
    world.anvil.mine()
    bob.follower.sync()
    cancel = alice.cancel(config.id, hash_)
    refused(bob, cancel, "loss")
    world.anvil.request("evm_setNextBlockTimestamp", deadline + 1)
    world.anvil.mine()
    refused(bob, cancel, "loss")
    bob.follower.sync()
    talk(cancel, bob, alice)
    assert balances(bob, config) == (100, 100)


def test_locks_that_cannot_be(config: StateChannelConfig, alice: Party, bob: Party) -> None:
    now = alice._now()
    for deadline in (now, now + 7 * 24 * HOUR + 1):
        with pytest.raises(ChannelError, match=f"the deadline {deadline} is past or too far ahead"):
            alice.lock(config.id, 1, b"\1" * 32, deadline)
    for number in range(16):
        talk(alice.lock(config.id, 1, bytes([number]) * 32, now + HOUR), bob, alice)
    with pytest.raises(ChannelError, match="there are 16 locks already"):
        alice.lock(config.id, 1, b"\x20" * 32, now + HOUR)
    with pytest.raises(ChannelError, match="a hash of its own"):
        alice.lock(config.id, 1, bytes([3]) * 32, now + HOUR)
    with pytest.raises(ChannelError, match="no lock 0x2020"):
        alice.cancel(config.id, b"\x20" * 32)
    with pytest.raises(ChannelError, match="16 locks are open"):
        alice.propose_final(config.id)


# -------------------------------------------------------------------- over a middle party


@pytest.fixture
def second(world: ChannelWorld, bob: Party) -> StateChannelConfig:
    """A channel of Bob, who stands in the middle, and Carol."""
    config = world.open_state(world.bob, world.carol)
    bob.step()
    return config


@pytest.fixture
def carol(world: ChannelWorld, second: StateChannelConfig) -> Iterator[Party]:
    with world.party(world.carol) as party:
        party.step()
        yield party


def hops(
    config: StateChannelConfig, second: StateChannelConfig, alice: Party, bob: Party, carol: Party, fee: int = 2
) -> bytes:
    """Alice pays Carol 40 less Bob's fee, if Carol shows a secret. Returns its hash."""
    hash_ = carol.new_secret()
    talk(alice.lock(config.id, 40, hash_, alice._now() + 6 * HOUR), bob, alice)
    talk(bob.forward(config.id, hash_, second.id, fee), carol, bob)
    return hash_


def test_two_hops(
    config: StateChannelConfig, second: StateChannelConfig, alice: Party, bob: Party, carol: Party
) -> None:
    hash_ = hops(config, second, alice, bob, carol)
    (lock,) = carol.state(second.id).locks
    assert (lock.amount, lock.deadline) == (38, alice.state(config.id).locks[0].deadline - 2 * HOUR)
    talk(carol.unlock(second.id, hash_), bob, carol)
    assert balances(carol, second) == (62, 138)
    assert bob.due() == [(config.id, hash_)]
    talk(bob.unlock(config.id, hash_), alice, bob)
    assert balances(alice, config) == (60, 140)


def test_two_hops_over_l1(
    world: ChannelWorld,
    config: StateChannelConfig,
    second: StateChannelConfig,
    alice: Party,
    bob: Party,
    carol: Party,
) -> None:
    """Nobody answers Carol: she shows the secret on L1 before the deadline, and both hops are paid by it."""
    hash_ = hops(config, second, alice, bob, carol)
    world.anvil.warp(3 * HOUR + 60)
    (report, *_) = carol.run_until_idle()
    assert [move.purpose for move in report.started] == ["reveal secret"]
    bob.step()
    assert bob.due() == [(config.id, hash_)]
    talk(bob.settle_lock(second.id, hash_), carol, bob)
    talk(bob.unlock(config.id, hash_), alice, bob)
    assert (balances(alice, config), balances(carol, second)) == ((60, 140), (62, 138))
    assert not carol.step().started


def test_two_hops_that_come_to_nothing(
    config: StateChannelConfig, second: StateChannelConfig, alice: Party, bob: Party, carol: Party
) -> None:
    hash_ = hops(config, second, alice, bob, carol)
    with pytest.raises(ChannelError, match="is paid on over another channel: cancel it there first"):
        bob.cancel(config.id, hash_)
    talk(carol.cancel(second.id, hash_), bob, carol)
    talk(bob.cancel(config.id, hash_), alice, bob)
    assert (balances(alice, config), balances(carol, second)) == ((100, 100), (100, 100))


def test_attack_the_first_hop_is_taken_back_while_the_second_is_open(
    config: StateChannelConfig, second: StateChannelConfig, alice: Party, bob: Party, carol: Party
) -> None:
    """Bob does not know the secret yet, but will have to pay for it."""
    hops(config, second, alice, bob, carol)
    refused(bob, Proposal(State(config.id, 2, 100, 100, 100, 100)), "loss")


def test_attack_the_first_hop_is_taken_back_while_the_second_is_proposed(
    config: StateChannelConfig, second: StateChannelConfig, alice: Party, bob: Party, carol: Party
) -> None:
    hash_ = carol.new_secret()
    talk(alice.lock(config.id, 40, hash_, alice._now() + 6 * HOUR), bob, alice)
    proposal = bob.forward(config.id, hash_, second.id)
    refused(bob, Proposal(State(config.id, 2, 100, 100, 100, 100)), "loss")
    talk(proposal, carol, bob)
    assert bob._pays_on(bob.state(config.id).locks[0], config.id)


def test_what_cannot_be_paid_on(
    config: StateChannelConfig, second: StateChannelConfig, alice: Party, bob: Party, carol: Party
) -> None:
    hash_ = carol.new_secret()
    with pytest.raises(ChannelError, match=r"no lock 0x\w* pays"):
        bob.forward(config.id, hash_, second.id)
    answer = bob.receive(alice.lock(config.id, 40, hash_, alice._now() + 2 * HOUR + 1))
    with pytest.raises(ChannelError, match=r"no lock 0x\w* pays"):
        bob.forward(config.id, hash_, second.id)  # Alice has not signed yet
    talk(alice.receive(answer), bob, alice)
    with pytest.raises(ChannelError, match="leaves nothing of 40"):
        bob.forward(config.id, hash_, second.id, 40)
    with pytest.raises(ChannelError, match="over another channel than it comes from"):
        bob.forward(config.id, hash_, config.id)
    with pytest.raises(ChannelError, match=r"no lock 0x\w* pays"):
        alice.forward(config.id, hash_, second.id)
    give_up = bob.cancel(config.id, hash_)
    with pytest.raises(ChannelError, match="is under way: finish it first"):
        bob.forward(config.id, hash_, second.id)
    talk(give_up, alice, bob)


def test_too_little_time_to_pay_on(
    config: StateChannelConfig, second: StateChannelConfig, alice: Party, bob: Party, carol: Party
) -> None:
    hash_ = carol.new_secret()
    talk(alice.lock(config.id, 40, hash_, alice._now() + 2 * HOUR), bob, alice)
    with pytest.raises(ChannelError, match="is past or too far ahead"):
        bob.forward(config.id, hash_, second.id)


# -------------------------------------------------------------------- closing


def test_closing_together(world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party) -> None:
    talk(alice.pay(config.id, 30), bob, alice)
    before = world.chain.balance(world.bob.address)
    talk(alice.propose_final(config.id), bob, alice)
    for party in (alice, bob):
        with pytest.raises(RefusedError, match="signs nothing more"):
            party.pay(config.id, 1)
    alice.run_until_idle()
    assert alice.entry(config.id).facts.outcome.amount_a == 70
    bob.run_until_idle()
    assert world.owed(world.alice) == world.owed(world.bob) == 0
    assert world.chain.balance(world.bob.address) > before - 10**15


def test_the_asked_one_can_close_together_as_well(
    world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party
) -> None:
    talk(alice.propose_final(config.id), bob, alice)
    bob.close(config.id)
    bob.run_until_idle()
    assert bob.entry(config.id).facts.outcome.version == 1
    alice.run_until_idle()


def test_a_final_state_that_is_not_answered(
    world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party
) -> None:
    """Bob has signed it, and Alice keeps quiet: he closes alone, with the same."""
    talk(alice.pay(config.id, 30), bob, alice)
    bob.receive(alice.propose_final(config.id))
    refused(bob, Proposal(State(config.id, 2, 100, 100, 0, 200)), "closing")
    bob.close(config.id)
    bob.run_until_idle()
    assert bob.entry(config.id).facts.closing.closer_version == 1


def test_final_states_that_bob_does_not_sign(config: StateChannelConfig, alice: Party, bob: Party) -> None:
    good = FinalState(config.id, 0, 100, 100, 100, 100)
    refused(bob, Proposal(replace(good, balance_a=101, balance_b=99)), "loss")
    refused(bob, Proposal(replace(good, balance_a=99, balance_b=101)), "loss")
    refused(bob, Proposal(replace(good, deposits_a=101, balance_a=101)), "deposits")
    bob.receive(alice.pay(config.id, 1))
    refused(bob, Proposal(good), "pending")


def test_closing_alone(world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party) -> None:
    talk(alice.pay(config.id, 30), bob, alice)
    alice.close(config.id)
    with pytest.raises(RefusedError, match="signs nothing more"):
        alice.pay(config.id, 1)
    refused(alice, Proposal(State(config.id, 2, 100, 100, 200, 0)), "closing")
    alice.run_until_idle()
    bob.step()
    refused(bob, Proposal(State(config.id, 2, 100, 100, 0, 200)), "not_open")
    world.anvil.warp(24 * HOUR + 1)
    alice.run_until_idle()
    outcome = alice.entry(config.id).facts.outcome
    assert (outcome.version, outcome.amount_a, outcome.amount_b) == (1, 70, 130)
    bob.run_until_idle()
    assert world.owed(world.alice) == world.owed(world.bob) == 0
    with pytest.raises(ChannelError, match="is closed already"):
        bob.close(config.id)


@pytest.mark.parametrize(("later", "penalised"), [(1, False), (2, True)])
def test_attack_an_old_state_is_answered(
    world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party, later: int, penalised: bool
) -> None:
    """Alice closes with version 1; Bob answers with what they had agreed on since."""
    talk(alice.pay(config.id, 1), bob, alice)
    old = alice.best(config.id)
    for _ in range(later):
        talk(alice.pay(config.id, 40), bob, alice)
    world.send(world.alice, world.channels.start_close_call(config, old), world.deployment.state_channel)
    assert [move.purpose for move in bob.step().started] == ["challenge"]
    bob.run_until_idle()
    world.anvil.warp(24 * HOUR + 1)
    bob.run_until_idle()
    outcome = bob.entry(config.id).facts.outcome
    assert outcome.penalised == (world.alice.address if penalised else "")
    assert outcome.amount_b == (200 if penalised else 141)


def test_locks_when_a_channel_closes(world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party) -> None:
    """Bob shows his secret at once; the other lock is waited for."""
    deadline = alice._now() + 30 * HOUR
    mine, other = bob.new_secret(), b"\1" * 32
    talk(alice.lock(config.id, 40, mine, deadline), bob, alice)
    talk(alice.lock(config.id, 5, other, deadline), bob, alice)
    alice.close(config.id)
    alice.run_until_idle()
    reports = bob.run_until_idle()
    assert [move.purpose for report in reports for move in report.settled] == ["reveal secret"]
    world.anvil.warp(24 * HOUR + 1)
    assert not alice.run_until_idle()[-1].started
    assert alice.entry(config.id).facts.status == "closing"
    world.anvil.request("evm_setNextBlockTimestamp", deadline + 1)
    world.anvil.mine()
    alice.run_until_idle()
    outcome = alice.entry(config.id).facts.outcome
    assert (outcome.amount_a, outcome.amount_b) == (60, 140)


def test_who_was_away_is_told(world: ChannelWorld, config: StateChannelConfig, alice: Party, bob: Party) -> None:
    talk(alice.pay(config.id, 1), bob, alice)
    initial = SignedState(State.initial(config.id), b"", b"")
    world.send(world.alice, world.channels.start_close_call(config, initial), world.deployment.state_channel)
    world.anvil.warp(24 * HOUR + 1)
    report = bob.step()
    assert report.warnings[0].startswith(
        f"channel 0x{config.id.hex()} is closed with version 0, and this party was away"
    )
    bob.run_until_idle()
    assert bob.entry(config.id).facts.outcome.amount_a == 100
