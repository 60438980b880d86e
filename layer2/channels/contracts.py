"""The contracts of channels as Python sees them: typed views, calls to send, permits, tokens.

May import `layer2.chain`, `layer2.wallet.units` and what is signed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address

from layer2.chain.coder import Coder, Event, coder
from layer2.chain.connection import Chain, Log
from layer2.chain.permit import Permit, sign_permit
from layer2.chain.sending import send
from layer2.chain.signer import Signer
from layer2.channels.deployment import HUB, STATE_CHANNEL, ChannelsDeployment, verify
from layer2.channels.signing import ETH, Domain
from layer2.channels.states import FinalState, SignedState, State, StateChannelConfig
from layer2.channels.vouchers import ChannelConfig, SignedClose, SignedVoucher
from layer2.wallet.units import TokenInfo, WalletError, unlisted_token


@dataclass(frozen=True)
class HubChannel:
    """What the hub has of a channel, in smallest units and seconds since 1970.

    balance: what can still be claimed. released: all that ever left it. withdrawable_after: 0 if no withdrawal is
    pending. closings: how often it was closed by both.
    """

    balance: int = 0
    released: int = 0
    withdrawable_after: int = 0
    closings: int = 0

    @property
    def deposited(self) -> int:
        """All that was ever deposited: no voucher may state more."""
        return self.balance + self.released


class Channels:
    """One deployment of hub and state channels on a connected chain."""

    def __init__(self, chain: Chain, deployment: ChannelsDeployment) -> None:
        """Nothing is asked of the chain yet; `open_channels` also verifies the deployment."""
        self.chain = chain
        self.deployment = deployment
        self.hub = deployment.hub
        self.state_channel = deployment.state_channel
        self.hub_coder: Coder = coder(HUB)
        self.state_coder: Coder = coder(STATE_CHANNEL)
        self._erc20 = coder("TestUSDC")

    @property
    def hub_domain(self) -> Domain:
        """The domain of vouchers."""
        return self.deployment.hub_domain

    @property
    def state_domain(self) -> Domain:
        """The domain of states."""
        return self.deployment.state_channel_domain

    @property
    def name(self) -> str:
        """What databases are bound to."""
        d = self.deployment
        return f"channels {d.hub} and {d.state_channel} on chain {d.chain_id}, deployed in block {d.block}"

    # ---------------------------------------------------------------- views

    def hub_view(self, function: str, *arguments: Any) -> Any:
        """What a view of the hub answers: the value if it is a single one, else a tuple."""
        return self._view(self.hub_coder, self.hub, function, *arguments)

    def state_view(self, function: str, *arguments: Any) -> Any:
        """The same of the state channels."""
        return self._view(self.state_coder, self.state_channel, function, *arguments)

    def hub_channel(self, channel_id: bytes) -> HubChannel:
        """A channel of the hub at the head of the chain (two calls: not one snapshot); zeros when there is none."""
        return HubChannel(*self.hub_view("channels", channel_id), *self.hub_view("closings", channel_id))

    def owed(self, contract: str, account: str, token: str) -> int:
        """What `settle` of the hub or of the state channels would pay an account."""
        known = self.hub_coder if contract == self.hub else self.state_coder
        return int(self._view(known, contract, "owed", to_checksum_address(account), token))

    def _view(self, contract: Coder, address: str, function: str, *arguments: Any) -> Any:
        answer = self.chain.call(address, contract.encode(function, *arguments))
        values = contract.decode_result(function, answer)
        return values[0] if len(values) == 1 else values

    # ---------------------------------------------------------------- tokens

    def token(self, name: str) -> TokenInfo:
        """A token by "ETH", the symbol in the deployment file, or its address; see `unlisted_token`. Raises WalletError
        for anything else."""
        if name.upper() == "ETH" or name == ETH:
            return TokenInfo(0, None, "ETH", 18)
        for known in self.deployment.tokens:
            if name in (known.symbol, known.symbol.lower(), known.address):
                return TokenInfo(0, known.address, known.symbol, known.decimals)
        if not name.startswith("0x"):
            known_ones = ", ".join(["ETH", *(known.symbol for known in self.deployment.tokens)])
            raise WalletError(f"token {name!r} is unknown: give one of {known_ones}, or a token's address")
        try:
            address = to_checksum_address(name)
        except ValueError as error:
            raise WalletError(f"token {name!r} is not an address: give 0x and 40 hex digits") from error
        if not self.chain.code(address):
            raise WalletError(f"there is no token at {address}: check the address")
        return unlisted_token(0, address, address, lambda view: self._token(address, view))

    def held(self, account: str, token: str) -> int:
        """What an account holds of a token outside of the channels, in smallest units."""
        if token == ETH:
            return self.chain.balance(account)
        return int(self._token(token, "balanceOf", account))

    def allow(self, signer: Signer, contract: str, token: str, amount: int) -> Permit | None:
        """Let a contract take this much of the signer's tokens: by a permit, which the deposit then carries, or, if the
        token has none, by a transaction unless it is allowed already. Raises ChainError when that fails."""
        permit = sign_permit(self.chain, signer, token, contract, amount)
        if permit is None and int(self._token(token, "allowance", signer.address, contract)) < amount:
            send(self.chain, signer, token, self._erc20.encode("approve", contract, amount))
        return permit

    def _token(self, address: str, function: str, *arguments: Any) -> Any:
        return self._view(self._erc20, address, function, *arguments)

    # ---------------------------------------------------------------- calls to the hub

    def deposit_call(self, config: ChannelConfig, amount: int, permit: Permit | None = None) -> bytes:
        """Input of `deposit` or `depositWithPermit`; ETH goes along as value."""
        if permit is None:
            return self.hub_coder.encode("deposit", config.arguments, amount)
        return self.hub_coder.encode("depositWithPermit", config.arguments, amount, *permit.arguments)

    def claim_call(self, claims: Sequence[tuple[ChannelConfig, SignedVoucher]]) -> bytes:
        """Input of `claimMany`."""
        items = [(config.arguments, voucher.amount, voucher.signature) for config, voucher in claims]
        return self.hub_coder.encode("claimMany", items)

    def claims_of(self, input_: bytes) -> list[tuple[bytes, int]]:
        """(channel id, amount) of each voucher in the input of `claimMany`."""
        (items,) = self.hub_coder.decode_input("claimMany", input_)
        return [(ChannelConfig.of(config).id, amount) for config, amount, _ in items]

    def close_call(self, config: ChannelConfig, amount: int, voucher_signature: bytes, payee_signature: bytes) -> bytes:
        """Input of `close`; no bytes for a signature that is not needed."""
        return self.hub_coder.encode("close", config.arguments, amount, voucher_signature, payee_signature)

    def signed_close_call(self, config: ChannelConfig, signed: SignedClose) -> bytes:
        """The same with what a payee has signed."""
        return self.close_call(config, signed.close.amount, signed.voucher_signature, signed.signature)

    def withdrawal_call(self, step: str, config: ChannelConfig) -> bytes:
        """Input of `startWithdrawal`, `finishWithdrawal` or `cancelWithdrawal`; `step` is the first word."""
        return self.hub_coder.encode(f"{step}Withdrawal", config.arguments)

    def settle_call(self, account: str, token: str) -> bytes:
        """Input of `settle`, of both contracts."""
        return self.hub_coder.encode("settle", account, token)

    # ---------------------------------------------------------------- calls to the state channels

    def state_deposit_call(
        self, config: StateChannelConfig, to_a: bool, amount: int, permit: Permit | None = None
    ) -> bytes:
        """Input of `deposit` or `depositWithPermit`; ETH goes along as value."""
        if permit is None:
            return self.state_coder.encode("deposit", config.arguments, to_a, amount)
        return self.state_coder.encode("depositWithPermit", config.arguments, to_a, amount, *permit.arguments)

    def start_close_call(self, config: StateChannelConfig, signed: SignedState) -> bytes:
        """Input of `startClose`."""
        return self._put_call("startClose", config, signed)

    def challenge_call(self, config: StateChannelConfig, signed: SignedState) -> bytes:
        """Input of `challenge`."""
        return self._put_call("challenge", config, signed)

    def _put_call(self, function: str, config: StateChannelConfig, signed: SignedState) -> bytes:
        state = signed.state
        return self.state_coder.encode(
            function,
            config.arguments,
            state.arguments,
            state.lock_arguments,
            signed.signature_a,
            signed.signature_b,
        )

    def finish_close_call(self, config: StateChannelConfig, state: State) -> bytes:
        """Input of `finishClose`."""
        return self.state_coder.encode("finishClose", config.arguments, state.arguments, state.lock_arguments)

    def close_cooperatively_call(
        self, config: StateChannelConfig, outcome: FinalState, signature_a: bytes, signature_b: bytes
    ) -> bytes:
        """Input of `closeCooperatively`."""
        return self.state_coder.encode(
            "closeCooperatively", config.arguments, outcome.arguments, signature_a, signature_b
        )

    def reveal_call(self, secret: bytes) -> bytes:
        """Input of `revealSecret`."""
        return self.state_coder.encode("revealSecret", secret)

    # ---------------------------------------------------------------- what L1 says

    def event(self, log: Log) -> Event | None:
        """The event in a log of one of the two contracts, None for another log."""
        return (self.hub_coder if log.address == self.hub else self.state_coder).decode_log(log)


def open_channels(chain: Chain, deployment: ChannelsDeployment) -> Channels:
    """The contracts of a deployment file, after checking that they are what the file says; raises as `verify`."""
    verify(chain, deployment)
    return Channels(chain, deployment)
