"""What the contracts of both rollups share: tokens, deposits, queue, payouts and refunds, as Python sees them.

May import `layer2.chain` and `layer2.ledger`.
"""

from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address

from layer2.chain.coder import Coder, Event, coder
from layer2.chain.connection import BlockRef, Chain, Log
from layer2.crypto.addresses import int_to_address
from layer2.crypto.eddsa import Point
from layer2.ledger.constants import Kind
from layer2.ledger.operations import Operation


@dataclass(frozen=True)
class QueuedOperation:
    """Entry `index` of the L1 queue."""

    index: int
    operation: Operation
    block: BlockRef


@dataclass(frozen=True)
class PayoutCredit:
    """Money that became claimable: `owner` as EIP-55 address."""

    owner: str
    token: int
    amount: int
    block: BlockRef


class CustodyContract:
    """One deployed rollup of either kind on a connected chain, with its token registry."""

    def __init__(self, chain: Chain, address: str, registry: str, name: str) -> None:
        """`name` is that of the rollup's contract. Nothing is asked of the chain yet."""
        self.chain = chain
        self.address = address
        self.registry = registry
        self.coder: Coder = coder(name)
        self._registry = coder("TokenRegistry")
        self._erc20 = coder("TestUSDC")

    # ---------------------------------------------------------------- views

    def view(self, function: str, *arguments: Any) -> Any:
        """What a view of the rollup answers: the value if it is a single one, else a tuple."""
        return self._view(self.coder, self.address, function, *arguments)

    def payout(self, owner: str, token: int) -> int:
        """What the owner can claim of a token now, in smallest units."""
        return int(self.view("payouts", to_checksum_address(owner), token))

    def token_address(self, token: int) -> str:
        """A token's contract. Raises RevertedError (UnknownToken) for an id that is not listed."""
        return to_checksum_address(self._view(self._registry, self.registry, "tokenOf", token))

    def token_id(self, address: str) -> int:
        """The id of a listed token. Raises RevertedError (TokenNotRegistered) for another contract."""
        return int(self._view(self._registry, self.registry, "idOf", to_checksum_address(address)))

    def token_view(self, token: int, function: str, *arguments: Any) -> Any:
        """The answer of an ERC-20 view of a listed token."""
        return self._view(self._erc20, self.token_address(token), function, *arguments)

    def _view(self, contract: Coder, address: str, function: str, *arguments: Any) -> Any:
        answer = self.chain.call(address, contract.encode(function, *arguments))
        values = contract.decode_result(function, answer)
        return values[0] if len(values) == 1 else values

    # ---------------------------------------------------------------- calls to send

    def deposit_call(self, token: int, amount: int, owner: str, account: int, key: Point) -> bytes:
        """Input of `deposit`; ETH (token 0) goes along as value."""
        return self.coder.encode("deposit", token, amount, owner, account, list(key))

    def force_withdraw_call(self, account: int) -> bytes:
        """Input of `forceWithdraw`."""
        return self.coder.encode("forceWithdraw", account)

    def withdraw_call(self, token: int, to: str) -> bytes:
        """Input of `withdraw`: the sender's own payout, to any address."""
        return self.coder.encode("withdraw", token, to)

    def withdraw_for_call(self, owner: str, token: int) -> bytes:
        """Input of `withdrawFor`: anybody's payout, to its owner."""
        return self.coder.encode("withdrawFor", owner, token)

    def refund_call(self, index: int, deposit: Operation) -> bytes:
        """Input of `refundDeposit`: after a freeze, a deposit of the queue, to its owner."""
        owner = int_to_address(deposit.owner)
        key = [deposit.key_x, deposit.key_y]
        return self.coder.encode("refundDeposit", index, deposit.account, deposit.token, deposit.amount, owner, key)

    # ---------------------------------------------------------------- what L1 says

    def event(self, log: Log) -> Event | None:
        """The rollup's event in a log, None for another log."""
        return self.coder.decode_log(log)

    def queued_operation(self, event: Event) -> QueuedOperation:
        """The queue entry of an `OperationQueued` event."""
        a = event.arguments
        operation = Operation(
            Kind(a["kind"]), a["account"], 0, a["token"], 0, a["amount"], int(a["owner"], 16), *a["key"]
        )
        return QueuedOperation(a["index"], operation, event.log.block)

    def payout_credit(self, event: Event) -> PayoutCredit:
        """The credit of a `PayoutCredited` event."""
        a = event.arguments
        return PayoutCredit(to_checksum_address(a["owner"]), a["token"], a["amount"], event.log.block)
