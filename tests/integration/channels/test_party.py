"""Two parties, and a third one between them: updates, conditional payments, closings, and what they never sign."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from layer2.actors.errors import RefusedError
from layer2.chain.coder import coder
from layer2.chain.deploying import deploy_contract
from layer2.chain.errors import ChainUnreachableError
from layer2.channels.errors import ChannelError, MalformedError
from layer2.channels.messages import Proposal, Refusal, Signature
from layer2.channels.party import Party
from layer2.channels.party_running import Correspondent
from layer2.channels.signing import ETH
from layer2.channels.states import FinalState, Lock, SignedState, State, StateChannelConfig, secret_hash
from tests.support.channel_world import ETHER, HOUR, SALT, UNIT, ChannelWorld, balances, talk


@pytest.fixture
def config(world: ChannelWorld) -> StateChannelConfig:
    """A channel of Alice and Bob, who deposited 100 each."""
    return world.open_state()


@pytest.fixture
def ann(world: ChannelWorld, config: StateChannelConfig) -> Iterator[Party]:
    with world.party(world.alice) as party:
        party.step()
        yield party


@pytest.fixture
def ben(world: ChannelWorld, config: StateChannelConfig) -> Iterator[Party]:
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


def test_payments_both_ways(world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party) -> None:
    talk(ann.pay(config.id, 30), ben, ann)
    talk(ben.pay(config.id, 50), ann, ben)
    talk(ann.pay(config.id, 5), ben, ann)
    for party in (ann, ben):
        assert balances(party, config) == (115, 85)
        best = party.best(config.id)
        assert best.state.version == 3
        best.check(config, world.channels.state_domain)
    assert ann.best(config.id) == ben.best(config.id)
    assert (ann.balance(config.id), ben.balance(config.id)) == (115, 85)


def test_digests_are_the_contracts(world: ChannelWorld, config: StateChannelConfig) -> None:
    view, separator = world.channels.state_view, world.channels.state_domain.separator
    locks = (Lock(3, 10**10, True, b"\1" * 32), Lock(4, 2**40 - 1, False, b"\2" * 32))
    state = State(config.id, 7, 10, 20, 9, 14, locks)
    final = FinalState(config.id, 8, 1, 2, 3, 0)
    assert view("channelIdOf", config.arguments) == config.id
    assert view("stateDigest", state.arguments) == state.message.digest(separator)
    assert view("finalDigest", final.arguments) == final.message.digest(separator)


def test_what_cannot_be_paid(config: StateChannelConfig, ann: Party, ben: Party) -> None:
    for amount in (0, -1, 101):
        with pytest.raises(ChannelError, match=f"{amount} cannot be paid out of a balance of 100"):
            ann.pay(config.id, amount)
    with pytest.raises(ChannelError, match="is no party of a channel 0x00"):
        ann.pay(bytes(32), 1)
    talk(ann.pay(config.id, 100), ben, ann)
    with pytest.raises(ChannelError, match="out of a balance of 0"):
        ann.pay(config.id, 1)


def test_later_deposits_are_the_depositors(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    talk(ann.pay(config.id, 30), ben, ann)
    ben.deposit(config.id, 7)
    ben.run_until_idle()
    ann.step()
    assert balances(ann, config) == (70, 137)
    talk(ann.pay(config.id, 1), ben, ann)
    assert ben.best(config.id).state == State(config.id, 2, 100, 107, 69, 138)


def test_opens_with_a_token(world: ChannelWorld, ann: Party) -> None:
    config = ann.open(world.bob.address, 5 * UNIT, token=world.usdc, challenge_period=HOUR)
    ann.run_until_idle()
    assert ann.balance(config.id) == 5 * UNIT
    with pytest.raises(ChannelError, match="holds 995000000 of token"):
        ann.open(world.bob.address, 996 * UNIT, token=world.usdc, challenge_period=HOUR)
    with pytest.raises(MalformedError, match="challengePeriod 3599 is not"):
        ann.open(world.bob.address, 1, challenge_period=HOUR - 1)


def test_both_propose_at_once(config: StateChannelConfig, ann: Party, ben: Party) -> None:
    """A goes first: B drops what it proposed, which binds nobody, and proposes it again."""
    from_alice, from_bob = ann.pay(config.id, 30), ben.pay(config.id, 50)
    busy = refused(ann, from_bob, "busy")
    talk(from_alice, ben, ann)
    assert balances(ann, config) == (70, 130)
    with pytest.raises(RefusedError, match="has proposed something itself"):
        ben.receive(busy)
    talk(ben.pay(config.id, 50), ann, ben)
    assert balances(ben, config) == balances(ann, config) == (120, 80)


def test_a_refused_proposal_binds_nobody(config: StateChannelConfig, ann: Party, ben: Party) -> None:
    too_far = ann._now() + 7 * 24 * HOUR
    proposal = ann.lock(config.id, 10, b"\1" * 32, too_far)
    with pytest.raises(ChannelError, match="another proposal waits"):
        ann.pay(config.id, 1)
    ben.rules = replace(ben.rules, longest_lock=HOUR)
    with pytest.raises(RefusedError, match=r"refuses: the lock's deadline \d+ is past or too far ahead"):
        talk(proposal, ben, ann)
    talk(ann.pay(config.id, 1), ben, ann)
    assert ben.best(config.id).state.version == 1


def test_attack_a_reason_that_a_terminal_obeys(config: StateChannelConfig, ann: Party) -> None:
    digest = ann.pay(config.id, 1).outcome.struct_hash
    with pytest.raises(RefusedError) as caught:
        ann.receive(Refusal(config.id, digest, "loss", "no\x1b[2J\nversion 9 is signed by both"))
    assert str(caught.value).endswith("refuses: no?[2J?version 9 is signed by both")


def test_a_proposal_is_withdrawn(config: StateChannelConfig, ann: Party, ben: Party) -> None:
    """Before the other party has heard of it: as if it had never been."""
    with pytest.raises(ChannelError, match="there is nothing to withdraw"):
        ann.withdraw_proposal(config.id)
    ann.pay(config.id, 30)
    ann.withdraw_proposal(config.id)
    assert ann.waiting(config.id) is None
    ann.propose_final(config.id)
    ann.withdraw_proposal(config.id)
    answer = ben.receive(ann.pay(config.id, 20))
    with pytest.raises(ChannelError, match="there is nothing to withdraw"):
        ben.withdraw_proposal(config.id)  # it has signed what Alice proposed
    talk(answer, ann, ben)
    assert balances(ann, config) == balances(ben, config) == (80, 120)


def test_a_proposal_is_withdrawn_too_late(config: StateChannelConfig, ann: Party, ben: Party) -> None:
    """Bob has signed it. That does not bind Alice, but he can sign nothing else of this version."""
    answer = ben.receive(ann.pay(config.id, 30))
    ann.withdraw_proposal(config.id)
    refused(ann, answer, "loss")
    assert ben.receive(ann.pay(config.id, 20)) == answer
    ann.withdraw_proposal(config.id)
    talk(ann.pay(config.id, 30), ben, ann)
    assert balances(ann, config) == balances(ben, config) == (70, 130)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_lost_messages(config: StateChannelConfig, ann: Party, ben: Party, lost: int) -> None:
    """Whatever gets lost, sending again what may be missing completes the update; no state is signed twice over."""
    message, to, back = ann.pay(config.id, 30), ben, ann
    for _ in range(lost):
        message, to, back = to.receive(message), back, to
    # The message is lost. Both send again what the other one may not have.
    for one, other in ((ann, ben), (ben, ann), (ann, ben)):
        talk(one.waiting(config.id), other, one)
    assert ann.best(config.id) == ben.best(config.id)
    assert balances(ann, config) == (70, 130)
    talk(ben.pay(config.id, 1), ann, ben)
    assert balances(ben, config) == balances(ann, config) == (71, 129)


def test_messages_again_change_nothing(config: StateChannelConfig, ann: Party, ben: Party) -> None:
    proposal = ann.pay(config.id, 30)
    first = ben.receive(proposal)
    assert ben.receive(proposal) == first
    second = ann.receive(first)
    assert ann.receive(first) is None
    assert ben.receive(second) is None
    assert ben.receive(second) is None
    assert isinstance(ben.receive(proposal), Signature)
    assert ann.best(config.id) == ben.best(config.id)


# -------------------------------------------------------------------- what is never signed


def test_attack_two_states_of_one_version(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    """Bob has signed version 1; whatever Alice says, he signs no other one."""
    first = ben.receive(ann.pay(config.id, 30))
    other = State(config.id, 1, 100, 100, 0, 200)  # even if it gives him everything
    assert ben.receive(Proposal(other)) == first
    signed = world.signed(other)
    refused(ben, Signature(other, signed.signature_a), "already_signed")
    with pytest.raises(ChannelError, match="version 1 was signed with another content"):
        ben._store.put_signed(other, signed.signature_b)
    with pytest.raises(ChannelError, match="version 1 has another content: wait for the other signature"):
        ben.pay(config.id, 1)


def test_attack_version_two_before_one(world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party) -> None:
    """Bob signs version 2 only with version 1 of both in hand: else Alice could keep hers, and he would close with an
    old state."""
    ben.receive(ann.pay(config.id, 30))  # Alice keeps her signature
    state = State(config.id, 2, 100, 100, 0, 200)
    assert ben.receive(Proposal(state)).outcome.version == 1
    refused(ben, Signature(state, world.signed(state).signature_a), "missing_version")
    ben.close(config.id)
    ben.run_until_idle()
    assert ben.entry(config.id).facts.closing.closer_version == 0
    # All that Alice can show is version 1, which costs him nothing.
    first = ben._store.pending(config.id).state
    world.send(world.carol, world.channels.challenge_call(config, world.signed(first)), world.deployment.state_channel)
    world.anvil.warp(25 * HOUR)
    ben.run_until_idle()
    assert ben.entry(config.id).facts.outcome.penalised == ""
    assert (ben.entry(config.id).facts.outcome.amount_a, ben.entry(config.id).facts.outcome.amount_b) == (70, 130)


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
    config: StateChannelConfig, ben: Party, state: dict[str, object], code: str | None
) -> None:
    values = {"version": 1, "deposits_a": 100, "deposits_b": 100, "balance_a": 100, "balance_b": 100} | state
    if code is None:  # what is not counted yet is Bob's anyway
        assert isinstance(ben.receive(Proposal(State(config.id, **values))), Signature)
    else:
        refused(ben, Proposal(State(config.id, **values)), code)


def test_wrong_signatures(world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party) -> None:
    proposal = ann.pay(config.id, 30)
    answer = ben.receive(proposal)
    for signature in (
        world.signed(proposal.outcome, b=world.carol).signature_b,
        world.signed(proposal.outcome).signature_a,
        bytes(65),
        answer.signature[:64] + b"\0",
    ):
        refused(ann, Signature(proposal.outcome, signature), "wrong_signature")
    assert isinstance(ann.receive(answer), Signature)


def test_attack_closed_while_bob_was_away(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    """Whoever has just started signs nothing by what the chain was once."""
    proposal = ann.pay(config.id, 30)
    ben.follower.synced = None
    refused(ben, proposal, "not_synced")
    with pytest.raises(RefusedError, match="has not read L1 for too long"):
        ben.pay(config.id, 1)
    initial = SignedState(State.initial(config.id), b"", b"")
    world.send(world.alice, world.channels.start_close_call(config, initial), world.deployment.state_channel)
    ben.step()
    refused(ben, proposal, "not_open")


def test_unknown_channels_and_strangers(world: ChannelWorld, ann: Party) -> None:
    foreign = world.open_state(world.bob, world.carol)
    ann.step()
    for key in (bytes(32), foreign.id):
        answer = ann.receive(Proposal(State(key, 1, 0, 0, 0, 0)))
        assert answer.code == "unknown_channel"
    with pytest.raises(RefusedError, match="refuses: so there"):
        ann.receive(Refusal(bytes(32), bytes(32), "no", "so there"))


def test_attack_money_moved_into_a_lock_that_runs_out(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    """Bob knows the secret, but could be too late to show it: a new lock counts nothing in what he is offered."""
    hash_ = ben.new_secret(1)
    deadline = ann._now() + 20
    state = State(config.id, 1, 100, 100, 100, 0, (Lock(100, deadline, False, hash_),))
    refused(ben, Proposal(state), "loss")


def test_attack_one_secret_for_two_locks(config: StateChannelConfig, ann: Party, ben: Party) -> None:
    hash_ = ben.new_secret(1)
    locks = (Lock(10, ann._now() + HOUR, False, hash_), Lock(20, ann._now() + HOUR, False, hash_))
    refused(ben, Proposal(State(config.id, 1, 100, 100, 70, 100, locks)), "same_hash")


# -------------------------------------------------------------------- conditional payments


def test_a_lock_is_paid(config: StateChannelConfig, ann: Party, ben: Party) -> None:
    hash_ = ben.new_secret(1)
    talk(ann.lock(config.id, 40, hash_, ann._now() + 2 * HOUR), ben, ann)
    assert balances(ben, config) == (60, 100)
    with pytest.raises(ChannelError, match=r"the secret of lock \w* is not known"):
        ann.settle_lock(config.id, hash_)
    assert ben.due() == [(config.id, hash_)]
    talk(ben.unlock(config.id, hash_), ann, ben)
    assert balances(ann, config) == balances(ben, config) == (60, 140)
    assert secret_hash(ann._store.secret(hash_)) == hash_


def test_the_secret_alone_is_not_enough_after_the_deadline(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    """At the deadline it still is."""
    hash_ = ben.new_secret(1)
    deadline = ann._now() + 2 * HOUR
    talk(ann.lock(config.id, 40, hash_, deadline), ben, ann)
    unlock = ben.unlock(config.id, hash_)
    world.anvil.request("evm_setNextBlockTimestamp", deadline + 1)
    snapshot = world.anvil.snapshot()
    world.anvil.mine()
    refused(ann, unlock, "loss")
    world.anvil.revert(snapshot)
    world.anvil.request("evm_setNextBlockTimestamp", deadline)
    world.anvil.mine()
    assert isinstance(ann.receive(unlock), Signature)


def test_attack_a_lock_is_taken_without_its_secret(config: StateChannelConfig, ann: Party, ben: Party) -> None:
    hash_ = ben.new_secret(1)
    talk(ann.lock(config.id, 40, hash_, ann._now() + 2 * HOUR), ben, ann)
    refused(ann, Proposal(State(config.id, 2, 100, 100, 60, 140)), "loss")
    refused(ann, Proposal(State(config.id, 2, 100, 100, 60, 140), (b"\5" * 32,)), "loss")
    assert ann._store.secret(secret_hash(b"\5" * 32)) is None  # of no lock: not kept


def test_attack_a_lock_is_taken_back_from_who_knows_the_secret(
    config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    hash_ = ben.new_secret(1)
    talk(ann.lock(config.id, 40, hash_, ann._now() + 2 * HOUR), ben, ann)
    refused(ben, Proposal(State(config.id, 2, 100, 100, 100, 100)), "loss")
    talk(ben.cancel(config.id, hash_), ann, ben)  # but Bob may give it back
    assert balances(ann, config) == (100, 100)


def test_a_lock_goes_back_after_its_deadline(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    """Only when the last block that Bob has read is later than the deadline: the secret could be in one before."""
    hash_ = ben.new_secret(1)
    deadline = ann._now() + 2 * HOUR
    talk(ann.lock(config.id, 40, hash_, deadline), ben, ann)
    ben.rules = replace(ben.rules, reveal=0)
    world.anvil.request("evm_setNextBlockTimestamp", deadline)
    world.anvil.mine()
    ben.follower.sync()
    cancel = ann.cancel(config.id, hash_)
    refused(ben, cancel, "loss")
    world.anvil.request("evm_setNextBlockTimestamp", deadline + 1)
    world.anvil.mine()
    refused(ben, cancel, "loss")
    ben.follower.sync()
    talk(cancel, ben, ann)
    assert balances(ben, config) == (100, 100)


def test_locks_that_cannot_be(config: StateChannelConfig, ann: Party, ben: Party) -> None:
    now = ann._now()
    for deadline in (now, now + 7 * 24 * HOUR + 1):
        with pytest.raises(ChannelError, match=f"the deadline {deadline} is past or too far ahead"):
            ann.lock(config.id, 1, b"\1" * 32, deadline)
    for number in range(16):
        talk(ann.lock(config.id, 1, bytes([number]) * 32, now + HOUR), ben, ann)
    with pytest.raises(ChannelError, match="there are 16 locks already"):
        ann.lock(config.id, 1, b"\x20" * 32, now + HOUR)
    with pytest.raises(ChannelError, match="a hash of its own"):
        ann.lock(config.id, 1, bytes([3]) * 32, now + HOUR)
    with pytest.raises(ChannelError, match="no lock 0x2020"):
        ann.cancel(config.id, b"\x20" * 32)
    with pytest.raises(ChannelError, match="16 locks are open"):
        ann.propose_final(config.id)


def test_attack_a_secret_is_bought_for_less(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    """Alice is in the middle: another has locked 40 for her, with the hash that Bob gave out for 40. She locks less for
    him, or in another token, and he would reveal the secret before the deadline."""
    hash_ = ben.new_secret(40)
    deadline = ann._now() + 2 * HOUR
    refused(ben, ann.lock(config.id, 39, hash_, deadline), "underpaid")
    tokens = world.open_state(world.alice, world.bob, (0, 0), token=world.usdc)
    call = world.channels.state_deposit_call(tokens, True, 100)
    world.send(world.alice, coder("TestUSDC").encode("approve", world.deployment.state_channel, 100), world.usdc)
    world.send(world.alice, call, world.deployment.state_channel)
    ann.step()
    ben.step()
    refused(ben, ann.lock(tokens.id, 40, hash_, deadline), "underpaid")


def test_attack_secrets_that_cost_more_to_reveal(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    """Alice locks 1 wei for Bob and tells him the secret: he would pay for revealing it, as often as she likes."""
    secret = b"\7" * 32
    talk(ann.lock(config.id, 1, secret_hash(secret), ann._now() + HOUR), ben, ann)
    refused(ben, Proposal(State(config.id, 2, 100, 100, 200, 0), (secret,)), "loss")
    assert ben.due() == []
    assert not ben.step().started


def test_the_price_of_a_secret(config: StateChannelConfig, ann: Party, ben: Party) -> None:
    hash_ = ben.new_secret(40)
    talk(ann.lock(config.id, 40, hash_, ann._now() + 2 * HOUR), ben, ann)
    assert ben.due() == [(config.id, hash_)]
    for amount in (0, 2**128):
        with pytest.raises(ChannelError, match=f"a secret cannot be sold for {amount}"):
            ben.new_secret(amount)


def test_attack_a_lock_that_leaves_no_time_to_reveal(config: StateChannelConfig, ann: Party, ben: Party) -> None:
    """Bob would reveal at once; whoever keeps his transaction waiting would have the secret for nothing."""
    hash_ = ben.new_secret(40)
    now = ann._now()
    refused(ben, Proposal(State(config.id, 1, 100, 100, 60, 100, (Lock(40, now + HOUR, False, hash_),))), "deadline")
    talk(ann.lock(config.id, 40, hash_, now + HOUR + 1), ben, ann)
    assert ben.state(config.id).locks


def test_attack_a_secret_is_shown_too_late(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    """When so little time is left, the secret goes to L1: the other party could take it, and wait for the deadline."""
    hash_ = ben.new_secret(40)
    deadline = ann._now() + 2 * HOUR
    talk(ann.lock(config.id, 40, hash_, deadline), ben, ann)
    world.anvil.request("evm_setNextBlockTimestamp", deadline - HOUR - 1)
    world.anvil.mine()
    assert ben.due() == [(config.id, hash_)]
    world.anvil.request("evm_setNextBlockTimestamp", deadline - HOUR)
    world.anvil.mine()
    assert ben.due() == []
    with pytest.raises(ChannelError, match=f"ends at {deadline}: too late to show its secret"):
        ben.unlock(config.id, hash_)
    ben.run_until_idle()
    assert ben.due() == [(config.id, hash_)]
    talk(ben.unlock(config.id, hash_), ann, ben)
    assert balances(ann, config) == (60, 140)


# -------------------------------------------------------------------- over a middle party


@pytest.fixture
def second(world: ChannelWorld, ben: Party) -> StateChannelConfig:
    """A channel of Bob, who stands in the middle, and Carol."""
    config = world.open_state(world.bob, world.carol)
    ben.step()
    return config


@pytest.fixture
def cleo(world: ChannelWorld, second: StateChannelConfig) -> Iterator[Party]:
    with world.party(world.carol) as party:
        party.step()
        yield party


def hops(
    config: StateChannelConfig, second: StateChannelConfig, ann: Party, ben: Party, cleo: Party, fee: int = 2
) -> bytes:
    """Alice pays Carol 40 less Bob's fee, if Carol shows a secret. Returns its hash."""
    hash_ = cleo.new_secret(30)
    talk(ann.lock(config.id, 40, hash_, ann._now() + 6 * HOUR), ben, ann)
    talk(ben.forward(config.id, hash_, second.id, fee), cleo, ben)
    return hash_


def test_two_hops(config: StateChannelConfig, second: StateChannelConfig, ann: Party, ben: Party, cleo: Party) -> None:
    hash_ = hops(config, second, ann, ben, cleo)
    (lock,) = cleo.state(second.id).locks
    assert (lock.amount, lock.deadline) == (38, ann.state(config.id).locks[0].deadline - 2 * HOUR)
    talk(cleo.unlock(second.id, hash_), ben, cleo)
    assert balances(cleo, second) == (62, 138)
    assert ben.due() == [(config.id, hash_)]
    talk(ben.unlock(config.id, hash_), ann, ben)
    assert balances(ann, config) == (60, 140)


def test_two_hops_over_l1(
    world: ChannelWorld,
    config: StateChannelConfig,
    second: StateChannelConfig,
    ann: Party,
    ben: Party,
    cleo: Party,
) -> None:
    """Nobody answers Carol: she shows the secret on L1 before the deadline, and both hops are paid by it."""
    hash_ = hops(config, second, ann, ben, cleo)
    world.anvil.warp(3 * HOUR + 60)
    (report, *_) = cleo.run_until_idle()
    assert [move.purpose for move in report.started] == ["reveal secret"]
    ben.step()
    assert ben.due() == [(config.id, hash_)]
    talk(ben.settle_lock(second.id, hash_), cleo, ben)
    talk(ben.unlock(config.id, hash_), ann, ben)
    assert (balances(ann, config), balances(cleo, second)) == ((60, 140), (62, 138))
    assert not cleo.step().started


def test_two_hops_that_come_to_nothing(
    config: StateChannelConfig, second: StateChannelConfig, ann: Party, ben: Party, cleo: Party
) -> None:
    hash_ = hops(config, second, ann, ben, cleo)
    with pytest.raises(ChannelError, match="is paid on over another channel: cancel it there first"):
        ben.cancel(config.id, hash_)
    talk(cleo.cancel(second.id, hash_), ben, cleo)
    talk(ben.cancel(config.id, hash_), ann, ben)
    assert (balances(ann, config), balances(cleo, second)) == ((100, 100), (100, 100))


def test_attack_the_first_hop_is_taken_back_while_the_second_is_open(
    config: StateChannelConfig, second: StateChannelConfig, ann: Party, ben: Party, cleo: Party
) -> None:
    """Bob does not know the secret yet, but will have to pay for it."""
    hops(config, second, ann, ben, cleo)
    refused(ben, Proposal(State(config.id, 2, 100, 100, 100, 100)), "loss")


def test_attack_the_first_hop_is_taken_back_while_the_second_is_proposed(
    config: StateChannelConfig, second: StateChannelConfig, ann: Party, ben: Party, cleo: Party
) -> None:
    hash_ = cleo.new_secret(30)
    talk(ann.lock(config.id, 40, hash_, ann._now() + 6 * HOUR), ben, ann)
    proposal = ben.forward(config.id, hash_, second.id)
    refused(ben, Proposal(State(config.id, 2, 100, 100, 100, 100)), "loss")
    talk(proposal, cleo, ben)
    assert ben._pays_on(ben.state(config.id).locks[0], config.id)


def test_what_cannot_be_paid_on(
    config: StateChannelConfig, second: StateChannelConfig, ann: Party, ben: Party, cleo: Party
) -> None:
    hash_ = cleo.new_secret(30)
    with pytest.raises(ChannelError, match=r"no lock 0x\w* pays"):
        ben.forward(config.id, hash_, second.id)
    answer = ben.receive(ann.lock(config.id, 40, hash_, ann._now() + 2 * HOUR + 1))
    with pytest.raises(ChannelError, match=r"no lock 0x\w* pays"):
        ben.forward(config.id, hash_, second.id)  # Alice has not signed yet
    talk(ann.receive(answer), ben, ann)
    with pytest.raises(ChannelError, match="leaves nothing of 40"):
        ben.forward(config.id, hash_, second.id, 40)
    with pytest.raises(ChannelError, match="over another channel than it comes from"):
        ben.forward(config.id, hash_, config.id)
    with pytest.raises(ChannelError, match=r"no lock 0x\w* pays"):
        ann.forward(config.id, hash_, second.id)
    give_up = ben.cancel(config.id, hash_)
    with pytest.raises(ChannelError, match="is under way: finish it first"):
        ben.forward(config.id, hash_, second.id)
    talk(give_up, ann, ben)


def test_attack_one_lock_pays_for_two(
    world: ChannelWorld,
    config: StateChannelConfig,
    second: StateChannelConfig,
    ann: Party,
    ben: Party,
    cleo: Party,
) -> None:
    """Bob pays on over one channel, and is asked to do it again over another: whether Carol has been paid or not."""
    third = world.open_state(world.bob, world.carol, salt=b"\3" * 32)
    ben.step()
    cleo.step()
    hash_ = hops(config, second, ann, ben, cleo)
    with pytest.raises(ChannelError, match="is paid on or due already"):
        ben.forward(config.id, hash_, third.id)
    talk(cleo.unlock(second.id, hash_), ben, cleo)
    with pytest.raises(ChannelError, match="is paid on or due already"):
        ben.forward(config.id, hash_, third.id)


def test_attack_paid_on_in_another_token(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    """40 wei do not pay for 40 of a token."""
    tokens = world.open_state(world.carol, world.bob, (0, 0), token=world.usdc)
    world.send(world.bob, coder("TestUSDC").encode("approve", world.deployment.state_channel, 100), world.usdc)
    world.send(world.bob, world.channels.state_deposit_call(tokens, False, 100), world.deployment.state_channel)
    ben.step()
    hash_ = b"\1" * 32
    talk(ann.lock(config.id, 40, hash_, ann._now() + 6 * HOUR), ben, ann)
    with pytest.raises(ChannelError, match=f"the lock is of token {ETH}, and channel 0x{tokens.id.hex()} of"):
        ben.forward(config.id, hash_, tokens.id)


def test_too_little_time_to_pay_on(
    config: StateChannelConfig, second: StateChannelConfig, ann: Party, ben: Party, cleo: Party
) -> None:
    hash_ = cleo.new_secret(30)
    talk(ann.lock(config.id, 40, hash_, ann._now() + 2 * HOUR), ben, ann)
    with pytest.raises(ChannelError, match="is past or too far ahead"):
        ben.forward(config.id, hash_, second.id)


# -------------------------------------------------------------------- closing


def test_closing_together(world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party) -> None:
    talk(ann.pay(config.id, 30), ben, ann)
    before = world.chain.balance(world.bob.address)
    talk(ann.propose_final(config.id), ben, ann)
    for party in (ann, ben):
        with pytest.raises(RefusedError, match="signs nothing more"):
            party.pay(config.id, 1)
    ann.run_until_idle()
    assert ann.entry(config.id).facts.outcome.amount_a == 70
    ben.run_until_idle()
    assert world.owed(world.alice) == world.owed(world.bob) == 0
    assert world.chain.balance(world.bob.address) > before - 10**15


def test_the_asked_one_can_close_together_as_well(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    talk(ann.propose_final(config.id), ben, ann)
    ben.close(config.id)
    ben.run_until_idle()
    assert ben.entry(config.id).facts.outcome.version == 1
    ann.run_until_idle()


def test_a_final_state_that_is_not_answered(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    """Bob has signed it, and Alice keeps quiet: he closes alone, with the same."""
    talk(ann.pay(config.id, 30), ben, ann)
    ben.receive(ann.propose_final(config.id))
    refused(ben, Proposal(State(config.id, 2, 100, 100, 0, 200)), "closing")
    ben.close(config.id)
    ben.run_until_idle()
    assert ben.entry(config.id).facts.closing.closer_version == 1


def test_final_states_that_bob_does_not_sign(config: StateChannelConfig, ann: Party, ben: Party) -> None:
    good = FinalState(config.id, 0, 100, 100, 100, 100)
    refused(ben, Proposal(replace(good, balance_a=101, balance_b=99)), "loss")
    refused(ben, Proposal(replace(good, balance_a=99, balance_b=101)), "loss")
    refused(ben, Proposal(replace(good, deposits_a=101, balance_a=101)), "deposits")
    ben.receive(ann.pay(config.id, 1))
    refused(ben, Proposal(good), "pending")


def test_closing_alone(world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party) -> None:
    talk(ann.pay(config.id, 30), ben, ann)
    ann.close(config.id)
    with pytest.raises(RefusedError, match="signs nothing more"):
        ann.pay(config.id, 1)
    refused(ann, Proposal(State(config.id, 2, 100, 100, 200, 0)), "closing")
    ann.run_until_idle()
    ben.step()
    refused(ben, Proposal(State(config.id, 2, 100, 100, 0, 200)), "not_open")
    world.anvil.warp(24 * HOUR + 1)
    ann.run_until_idle()
    outcome = ann.entry(config.id).facts.outcome
    assert (outcome.version, outcome.amount_a, outcome.amount_b) == (1, 70, 130)
    ben.run_until_idle()
    assert world.owed(world.alice) == world.owed(world.bob) == 0
    with pytest.raises(ChannelError, match="is closed already"):
        ben.close(config.id)


@pytest.mark.parametrize(("later", "penalised"), [(1, False), (2, True)])
def test_attack_an_old_state_is_answered(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party, later: int, penalised: bool
) -> None:
    """Alice closes with version 1; Bob answers with what they had agreed on since."""
    talk(ann.pay(config.id, 1), ben, ann)
    old = ann.best(config.id)
    for _ in range(later):
        talk(ann.pay(config.id, 40), ben, ann)
    world.send(world.alice, world.channels.start_close_call(config, old), world.deployment.state_channel)
    assert [move.purpose for move in ben.step().started] == ["challenge"]
    ben.run_until_idle()
    world.anvil.warp(24 * HOUR + 1)
    ben.run_until_idle()
    outcome = ben.entry(config.id).facts.outcome
    assert outcome.penalised == (world.alice.address if penalised else "")
    assert outcome.amount_b == (200 if penalised else 141)


def test_locks_when_a_channel_closes(world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party) -> None:
    """Bob shows his secret at once; the other lock is waited for."""
    deadline = ann._now() + 30 * HOUR
    mine, other = ben.new_secret(1), b"\1" * 32
    talk(ann.lock(config.id, 40, mine, deadline), ben, ann)
    talk(ann.lock(config.id, 5, other, deadline), ben, ann)
    ann.close(config.id)
    ann.run_until_idle()
    reports = ben.run_until_idle()
    assert [move.purpose for report in reports for move in report.settled] == ["reveal secret"]
    world.anvil.warp(24 * HOUR + 1)
    assert not ann.run_until_idle()[-1].started
    assert ann.entry(config.id).facts.status == "closing"
    world.anvil.request("evm_setNextBlockTimestamp", deadline + 1)
    world.anvil.mine()
    ann.run_until_idle()
    outcome = ann.entry(config.id).facts.outcome
    assert (outcome.amount_a, outcome.amount_b) == (60, 140)


def test_attack_a_strangers_token_is_not_called(world: ChannelWorld, ann: Party) -> None:
    """Anybody can open a channel for Alice in a token of their own, and close it: she does not pay for what that does,
    nor for finishing, unless she wants it closed."""
    contract = world.deployment.state_channel
    token, _ = deploy_contract(world.chain, world.carol, "SpoiltToken", 0)
    world.send(world.carol, coder("SpoiltToken").encode("mint", world.carol.address, 10), token)
    config = StateChannelConfig(world.carol.address, world.alice.address, token, HOUR, SALT)
    world.send(world.carol, world.channels.state_deposit_call(config, False, 10), contract)
    initial = SignedState(State.initial(config.id), b"", b"")
    world.send(world.carol, world.channels.start_close_call(config, initial), contract)
    ann.step()
    world.anvil.warp(HOUR + 1)
    assert not [move for report in ann.run_until_idle() for move in report.settled]
    ann.close(config.id)
    moves = [move.purpose for report in ann.run_until_idle() for move in report.settled]
    assert moves == ["finish close", "settle"]
    assert world.channels.held(world.alice.address, token) == 10


@pytest.mark.parametrize(
    ("hers", "dust", "moves"), [(0, 0, []), (5, 5, []), (6, 5, ["finish close", "settle"])], ids=["0", "5", "6"]
)
def test_attack_a_stranger_has_its_channels_finished(
    world: ChannelWorld, ann: Party, hers: int, dust: int, moves: list[str]
) -> None:
    """Carol opens a channel with Alice, has her sign that nothing changes, and closes: nearly all in it is Carol's."""
    ann.rules = replace(ann.rules, dust=dust)
    ann.run_until_idle()
    config = world.open_state(world.carol, world.alice, (100, hers))
    ann.step()
    state = State(config.id, 1, 100, hers, 100, hers)
    assert isinstance(ann.receive(Proposal(state)), Signature)
    initial = SignedState(State.initial(config.id), b"", b"")
    world.send(world.carol, world.channels.start_close_call(config, initial), world.deployment.state_channel)
    ann.step()
    world.anvil.warp(25 * HOUR)
    assert [move.purpose for report in ann.run_until_idle() for move in report.settled] == moves


@pytest.mark.parametrize("is_a", [True, False])
def test_what_a_closing_gives(world: ChannelWorld, config: StateChannelConfig, is_a: bool) -> None:
    """As the contract counts it: later deposits, locks that are paid and returned, a penalty."""
    paid, lost = b"\1" * 32, b"\2" * 32
    locks = tuple(
        Lock(amount, world.time + HOUR, to_a, secret_hash(secret))
        for amount, to_a, secret in ((1, True, paid), (2, True, lost), (4, False, paid), (8, False, lost))
    )
    state = State(config.id, 1, 100, 90, 80, 95, locks)
    before = world.anvil.snapshot()
    for closing, answer in ((world.signed(state), None), (None, replace(state, version=2))):
        initial = SignedState(State.initial(config.id), b"", b"")
        contract = world.deployment.state_channel
        world.send(world.alice, world.channels.start_close_call(config, closing or initial), contract)
        if answer is not None:
            world.send(world.bob, world.channels.challenge_call(config, world.signed(answer)), contract)
        world.send(world.carol, world.channels.reveal_call(paid), contract)
        world.anvil.warp(25 * HOUR)
        with world.party(world.alice if is_a else world.bob) as party:
            party.follower.sync()
            entry = party.entry(config.id)
            share = party._share(entry, entry.facts.closing)
            world.send(world.carol, world.channels.finish_close_call(config, entry.facts.closing.state), contract)
            party.follower.sync()
            outcome = party.entry(config.id).facts.outcome
        assert share == (outcome.amount_a if is_a else outcome.amount_b)
        world.anvil.revert(before)
        before = world.anvil.snapshot()


@pytest.mark.parametrize("error", [ChannelError("still busy"), ChainUnreachableError("no answer")])
def test_what_is_wanted_need_not_wait_for_what_is_due(
    ann: Party, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    said: list[str] = []

    def fail() -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(ann, "step", fail)
        Correspondent(ann, ann._store, said.append).look()
    assert said == [f"warning: not everything is done that is due: {error}"]


def test_a_deposit_that_cannot_be_paid_for(world: ChannelWorld, config: StateChannelConfig, ann: Party) -> None:
    """The amount is there, and nothing for the gas: no letter waits for more."""
    world.anvil.request("anvil_setBalance", ann.address, hex(ETHER))
    with pytest.raises(ChannelError, match=f"cannot pay for this deposit and its gas: .* holds {ETHER} wei"):
        ann.deposit(config.id, ETHER)
    assert not ann.step().warnings


def test_attack_what_cannot_be_paid_for_stops_nothing_else(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    """Alice's deposit is not sent yet when her ETH runs out, and Bob closes with an old state."""
    ann.deposit(config.id, ETHER)
    world.anvil.request("anvil_setBalance", ann.address, hex(ETHER // 2))
    talk(ann.pay(config.id, 1), ben, ann)
    initial = SignedState(State.initial(config.id), b"", b"")
    world.send(world.bob, world.channels.start_close_call(config, initial), world.deployment.state_channel)
    reports = ann.run_until_idle()
    assert [move.purpose for report in reports for move in report.settled] == ["challenge"]
    for report in reports:
        assert [move.purpose for move in report.unpaid] == ["deposit"]
        assert report.warnings == [
            f"{ann.address} cannot pay for deposit ({config.id.hex()}), which sends {ETHER} wei and takes gas: send it "
            "some ETH"
        ]
    world.anvil.request("anvil_setBalance", ann.address, hex(2 * ETHER))
    (refused_move,) = [move for report in ann.run_until_idle() for move in report.settled]
    assert (refused_move.purpose, "ChannelIsClosing" in refused_move.reason) == ("deposit", True)


def test_what_is_urgent_is_paid_for_first(
    world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party
) -> None:
    """A deposit into another channel waits before it, and takes all that there is."""
    talk(ann.pay(config.id, 1), ben, ann)
    ann.open(world.carol.address, ETHER, challenge_period=HOUR)
    initial = SignedState(State.initial(config.id), b"", b"")
    world.send(world.bob, world.channels.start_close_call(config, initial), world.deployment.state_channel)
    world.anvil.automine(False)
    ann.step()
    world.anvil.automine(True)
    world.anvil.mine()
    moves = [move for report in ann.run_until_idle() for move in report.settled]
    nonces = {move.purpose: ann._store.letters(move.purpose, move.reference)[0].attempts[0].nonce for move in moves}
    assert nonces["challenge"] < nonces["deposit"]


def test_who_was_away_is_told(world: ChannelWorld, config: StateChannelConfig, ann: Party, ben: Party) -> None:
    talk(ann.pay(config.id, 1), ben, ann)
    initial = SignedState(State.initial(config.id), b"", b"")
    world.send(world.alice, world.channels.start_close_call(config, initial), world.deployment.state_channel)
    world.anvil.warp(24 * HOUR + 1)
    report = ben.step()
    assert report.warnings[0].startswith(
        f"channel 0x{config.id.hex()} is closed with version 0, and this party was away"
    )
    ben.run_until_idle()
    assert ben.entry(config.id).facts.outcome.amount_a == 100
