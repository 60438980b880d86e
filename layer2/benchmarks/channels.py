"""Gas of payments through channels, beside what x402 publishes for its batch settlement contract.

x402 measures one call inside of a transaction that has touched the same storage before; so does this, with the calls
of one transaction of `GasMeter`. What users pay is the other column: whole transactions, one after the other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from coincurve import PrivateKey

from layer2.chain.coder import coder
from layer2.chain.connection import Chain, Receipt
from layer2.chain.deploying import deploy_contract
from layer2.chain.sending import send
from layer2.channels.states import (
    MAX_LOCKS,
    FinalState,
    Lock,
    State,
    StateChannelConfig,
    secret_hash,
    state_channel_domain,
)
from layer2.crypto.keccak import keccak256
from layer2.scenarios.devchain import DevChain
from layer2.scenarios.people import Person

X402: Final[Mapping[str, int]] = {
    "deposit of a token into a new channel": 84_770,
    "claim": 40_252,
    "claim of ten channels": 192_043,
    "settle a token": 31_204,
}
"""What the snapshots of x402's batch settlement contract say."""

_ETHER: Final = "0x" + 20 * "00"
_DEPOSIT: Final = 1000 * 10**6
_VOUCHER: Final = 100 * 10**6
_DAY: Final = 24 * 3600
_CHANNELS: Final = 10


@dataclass(frozen=True)
class ActionGas:
    """Gas of an action. x402: as published, alike: measured in the same way, whole: as a transaction, calldata and
    intrinsic gas included; None where there is none."""

    name: str
    x402: int | None
    alike: int | None
    whole: int


@dataclass(frozen=True)
class _Channel:
    """The settings of a channel of the hub, as the contract takes them."""

    payer: str
    payee: str
    token: str
    signer: str
    salt: bytes

    @property
    def config(self) -> tuple[Any, ...]:
        return (self.payer, self.payee, self.token, self.signer, _DAY, self.salt)


@dataclass(frozen=True)
class _Call:
    """A call to a contract that a transaction, or the meter, makes."""

    to: str
    data: bytes
    value: int = 0


def _signature(person: Person, digest: bytes) -> bytes:
    """65 bytes, as the contracts take them."""
    signature = PrivateKey(person.key).sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([27 + signature[64]])


class _Parties:
    """Two parties of state channels of ETH, and what they have agreed upon: A has deposited all, and half is B's."""

    def __init__(self, chain: Chain, contract: str, party_a: Person, party_b: Person) -> None:
        self._chain = chain
        self._contract = contract
        self._domain = state_channel_domain(chain.chain_id(), contract)
        self._persons = (party_a, party_b)
        self._code = coder("StateChannel")

    def config(self, number: int) -> StateChannelConfig:
        """Settings of another channel for each number."""
        party_a, party_b = (person.address for person in self._persons)
        return StateChannelConfig(party_a, party_b, _ETHER, _DAY, keccak256(number.to_bytes(32)))

    def locks(self, count: int, deadline: int) -> tuple[Lock, ...]:
        """Locks of 1 wei for B, each with a secret of its own."""
        return tuple(Lock(1, deadline, False, secret_hash(secret.to_bytes(32))) for secret in range(count))

    def deposit(self, config: StateChannelConfig) -> _Call:
        """For A."""
        return _Call(self._contract, self._code.encode("deposit", config.arguments, True, _DEPOSIT), _DEPOSIT)

    def close(self, config: StateChannelConfig) -> _Call:
        """With a final state."""
        outcome = FinalState(self._id(config), 1, _DEPOSIT, 0, _DEPOSIT // 2, _DEPOSIT // 2)
        signatures = self._sign(outcome.message.digest(self._domain.separator))
        data = self._code.encode("closeCooperatively", config.arguments, outcome.arguments, *signatures)
        return _Call(self._contract, data)

    def bring(self, function: str, config: StateChannelConfig, version: int, locks: tuple[Lock, ...]) -> _Call:
        """Puts a state on the table. function: startClose or challenge."""
        state = self._state(config, version, locks)
        signatures = self._sign(state.message.digest(self._domain.separator))
        arguments = config.arguments, state.arguments, state.lock_arguments, *signatures
        return _Call(self._contract, self._code.encode(function, *arguments))

    def reveal(self, secret: int) -> _Call:
        """The secret of a lock."""
        return _Call(self._contract, self._code.encode("revealSecret", secret.to_bytes(32)))

    def finish(self, config: StateChannelConfig, version: int, locks: tuple[Lock, ...]) -> _Call:
        """With the state on the table."""
        state = self._state(config, version, locks)
        arguments = config.arguments, state.arguments, state.lock_arguments
        return _Call(self._contract, self._code.encode("finishClose", *arguments))

    def _state(self, config: StateChannelConfig, version: int, locks: tuple[Lock, ...]) -> State:
        half = _DEPOSIT // 2
        return State(self._id(config), version, _DEPOSIT, 0, half, half - len(locks), locks)

    def _id(self, config: StateChannelConfig) -> bytes:
        answer = self._chain.call(self._contract, self._code.encode("channelIdOf", config.arguments))
        return bytes(self._code.decode_result("channelIdOf", answer)[0])

    def _sign(self, digest: bytes) -> list[bytes]:
        return [_signature(person, digest) for person in self._persons]


class ChannelsBench:
    """Measures on contracts of its own."""

    def __init__(self, chain: Chain, say: Callable[[str], None] = lambda line: None) -> None:
        """chain: Anvil. say: gets progress lines. Deploys a hub, a token and a meter, and gives everybody money."""
        self._chain = chain
        self._say = say
        dev = DevChain(chain)
        self._dev = dev
        self._payer, self._payee = Person.named("payer"), Person.named("payee")
        for person in (self._payer, self._payee):
            dev.set_balance(person.address, 10**24)
        self._hub, self._token, self._meter = (
            deploy_contract(chain, self._payer.signer, name)[0]
            for name in ("PaymentChannelHub", "TestUSDC", "GasMeter")
        )
        for holder in (self._payer.address, self._meter):
            self._send(_Call(self._token, coder("TestUSDC").encode("mint", holder, 10**30)))
        approval = _Call(self._token, coder("TestUSDC").encode("approve", self._hub, 2**256 - 1))
        self._send(approval)
        self._measure(approval)

    def run(self) -> tuple[ActionGas, ...]:
        """Measure. Raises ChainError when a transaction is refused."""
        self._say("channels: hub, token")
        alike = self._alike()
        rows = [ActionGas(name, X402.get(name), alike.get(name), gas) for name, gas in self._whole(self._token)]
        self._say("channels: hub, ETH")
        rows += [
            ActionGas(name, None, None, gas)
            for name, gas in self._whole(_ETHER)
            if name.startswith(("deposit", "settle"))
        ]
        self._say("channels: one contract a channel")
        rows += self._single()
        self._say("channels: two parties, both ways")
        rows += self._states()
        return tuple(rows)

    # ---------------------------------------------------------------- the hub, in one transaction

    def _alike(self) -> dict[str, int]:
        """Gas of the last call of a transaction, by the action's name."""
        channels = [self._channel(self._token, number) for number in range(_CHANNELS)]
        deposits = [self._deposit(channel) for channel in channels]
        claim, settle = self._claim(channels[0], _VOUCHER), self._settle(self._token)
        last = [
            [deposits[0]],
            [deposits[0], claim],
            [*deposits, self._claim_many(channels, _VOUCHER)],
            [deposits[0], claim, settle],
        ]
        found = {}
        for name, calls in zip(X402, last, strict=True):
            with self._dev.undone():
                found[name] = self._measure(*calls)[-1]
        return found

    # ---------------------------------------------------------------- the hub, in whole transactions

    def _whole(self, token: str) -> list[tuple[str, int]]:
        """Actions in an order in which each is possible."""
        rows = []
        unit = "ETH" if token == _ETHER else "a token"
        channel = self._channel(token, 0)
        with self._dev.undone():
            rows.append((f"deposit of {unit} into a new channel", self._send(self._deposit(channel))))
            rows.append((f"deposit of {unit} into a channel", self._send(self._deposit(channel))))
            rows.append(("claim", self._send(self._claim(channel, 1))))
            rows.append(("claim of a payee that was paid before", self._send(self._claim(channel, 2))))
            many = [self._channel(token, number) for number in range(1, _CHANNELS + 1)]
            for one in many:
                self._send(self._deposit(one))
            rows.append(("claim of ten channels", self._send(self._claim_many(many, _VOUCHER))))
            rows.append((f"settle {unit}", self._send(self._settle(token))))
            # A voucher of the amount that has been claimed is not needed.
            close = coder("PaymentChannelHub").encode("close", many[0].config, _VOUCHER, b"", b"")
            rows.append(("close, by the payee", self._send(_Call(self._hub, close), self._payee)))
            for function, name in (("startWithdrawal", "start a withdrawal"), ("finishWithdrawal", "finish it")):
                self._dev.pass_time(_DAY + 1)
                call = _Call(self._hub, coder("PaymentChannelHub").encode(function, many[1].config))
                rows.append((name, self._send(call)))
        return [(name, receipt.gas_used) for name, receipt in rows]

    # ---------------------------------------------------------------- one contract a channel

    def _single(self) -> list[ActionGas]:
        """The textbook's channel: deployed, claimed from twice, closed."""
        code = coder("PaymentChannel")
        with self._dev.undone():
            expiration = self._dev.now + _DAY
            channel, deployment = deploy_contract(
                self._chain, self._payer.signer, "PaymentChannel", self._payee.address, expiration, value=_DEPOSIT
            )
            gas = [deployment.gas_used]
            for amount in (1, 2):
                packed = bytes.fromhex(channel[2:]) + amount.to_bytes(32) + self._chain.chain_id().to_bytes(32)
                signed = keccak256(b"\x19Ethereum Signed Message:\n32" + keccak256(packed))
                call = _Call(channel, code.encode("claimPayment", amount, self._sign(signed)))
                gas.append(self._send(call, self._payee).gas_used)
            gas.append(self._send(_Call(channel, code.encode("closeChannel")), self._payee).gas_used)
        names = ("deployment", "first claim", "claim", "close")
        return [ActionGas(f"PaymentChannel: {n}", None, None, used) for n, used in zip(names, gas, strict=True)]

    # ---------------------------------------------------------------- state channels

    def _states(self) -> list[ActionGas]:
        """State channels of ETH: opened, closed together, closed alone without locks and with all there can be."""
        with self._dev.undone():
            contract = deploy_contract(self._chain, self._payer.signer, "StateChannel")[0]
            parties = _Parties(self._chain, contract, self._payer, self._payee)

            def gas(call: _Call) -> int:
                return self._send(call).gas_used

            first, again = parties.config(0), parties.config(1)
            rows = [("deposit into a new channel", gas(parties.deposit(first)))]
            rows.append(("deposit into a channel", gas(parties.deposit(first))))
            rows.append(("close together", gas(parties.close(first))))
            gas(parties.deposit(again))
            rows.append(("close together, parties that were paid before", gas(parties.close(again))))
            for number, (count, name) in enumerate(((0, ""), (MAX_LOCKS, f", {MAX_LOCKS} locks")), start=2):
                config = parties.config(number)
                locks = parties.locks(count, self._dev.now + _DAY)
                gas(parties.deposit(config))
                rows.append((f"start closing{name}", gas(parties.bring("startClose", config, 1, locks))))
                rows.append((f"challenge{name}", gas(parties.bring("challenge", config, 2, locks))))
                revealed = [gas(parties.reveal(secret)) for secret in range(count)]
                rows += [("reveal a secret", revealed[0])] if revealed else []
                self._dev.pass_time(_DAY + 1)
                rows.append((f"finish{name}", gas(parties.finish(config, 2, locks))))
            caught = parties.config(4)
            gas(parties.deposit(caught))
            gas(parties.bring("startClose", caught, 1, ()))
            gas(parties.bring("challenge", caught, 3, ()))
            self._dev.pass_time(_DAY + 1)
            rows.append(("finish with a penalty", gas(parties.finish(caught, 3, ()))))
        return [ActionGas(f"StateChannel: {name}", None, None, used) for name, used in rows]

    # ---------------------------------------------------------------- calls

    def _channel(self, token: str, number: int) -> _Channel:
        salt = keccak256(number.to_bytes(32))
        return _Channel(self._payer.address, self._payee.address, token, self._payer.address, salt)

    def _deposit(self, channel: _Channel) -> _Call:
        data = coder("PaymentChannelHub").encode("deposit", channel.config, _DEPOSIT)
        return _Call(self._hub, data, _DEPOSIT if channel.token == _ETHER else 0)

    def _claim(self, channel: _Channel, amount: int) -> _Call:
        data = coder("PaymentChannelHub").encode("claim", channel.config, amount, self._voucher(channel, amount))
        return _Call(self._hub, data)

    def _claim_many(self, channels: Sequence[_Channel], amount: int) -> _Call:
        claims = [(channel.config, amount, self._voucher(channel, amount)) for channel in channels]
        return _Call(self._hub, coder("PaymentChannelHub").encode("claimMany", claims))

    def _settle(self, token: str) -> _Call:
        return _Call(self._hub, coder("PaymentChannelHub").encode("settle", self._payee.address, token))

    def _voucher(self, channel: _Channel, amount: int) -> bytes:
        """The payer's signature of what the contract says is to be signed."""
        code = coder("PaymentChannelHub")

        def ask(function: str, *arguments: Any) -> bytes:
            answer = self._chain.call(self._hub, code.encode(function, *arguments))
            return bytes(code.decode_result(function, answer)[0])

        return self._sign(ask("voucherDigest", ask("channelIdOf", channel.config), amount))

    def _sign(self, digest: bytes) -> bytes:
        return _signature(self._payer, digest)

    def _measure(self, *calls: _Call) -> tuple[int, ...]:
        """Gas of each call of one transaction of the meter."""
        code = coder("GasMeter")
        data = code.encode("run", [(call.to, call.value, call.data) for call in calls])
        receipt = self._send(_Call(self._meter, data, sum(call.value for call in calls)))
        logs = self._chain.logs(self._meter, receipt.block.number, receipt.block.number)
        event = code.decode_log(logs[-1])
        assert event is not None
        return tuple(event.arguments["used"])

    def _send(self, call: _Call, sender: Person | None = None) -> Receipt:
        return send(self._chain, (sender or self._payer).signer, call.to, call.data, value=call.value)
