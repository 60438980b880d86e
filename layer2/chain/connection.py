"""A node's JSON-RPC answers as plain values, and its failures as clear exceptions.

May import `layer2.chain.errors`, `layer2.chain.artifacts` and web3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import requests
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.exceptions import (
    BlockNotFound,
    ContractLogicError,
    TimeExhausted,
    TransactionNotFound,
    Web3Exception,
    Web3RPCError,
)
from web3.types import TxParams, Wei

from layer2.chain.artifacts import decode_error
from layer2.chain.errors import (
    ChainError,
    ChainUnreachableError,
    DataMissingError,
    InsufficientFundsError,
    RevertedError,
    WrongChainError,
)

LOCAL_CHAIN_IDS: Final = frozenset({1337, 31337})
"""Chain ids of development chains: whoever runs one can do anything on it anyway."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class BlockRef:
    """A block by number and hash: the same number can have another hash after a reorg."""

    number: int
    hash: bytes


@dataclass(frozen=True)
class Block:
    """A block's header, as far as it matters here. timestamp and base_fee in seconds and wei."""

    number: int
    hash: bytes
    timestamp: int
    base_fee: int

    @property
    def ref(self) -> BlockRef:
        """Number and hash."""
        return BlockRef(self.number, self.hash)


@dataclass(frozen=True)
class Log:
    """An event's log with its place in the chain."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block: BlockRef
    transaction: bytes
    index: int


@dataclass(frozen=True)
class Transaction:
    """A transaction that a node knows: in a block when `block` is not None."""

    hash: bytes
    sender: str
    to: str | None
    input: bytes
    nonce: int
    block: BlockRef | None


@dataclass(frozen=True)
class Receipt:
    """What became of a mined transaction; `contract` is the address of the one it created, if it did."""

    hash: bytes
    ok: bool
    gas_used: int
    block: BlockRef
    contract: str | None = None


def connect(url: str, chain_id: int | None = None) -> "Chain":
    """The chain behind an HTTP JSON-RPC address.

    Raises ChainUnreachableError when nothing answers there, WrongChainError for another id than `chain_id`.
    """
    chain = Chain(Web3(HTTPProvider(url, request_kwargs={"timeout": 30})), url)
    chain.require(chain_id)
    return chain


class Chain:
    """What this project asks of a node. Every method raises ChainUnreachableError when the node does not answer."""

    def __init__(self, web3: Web3, name: str = "") -> None:
        """`web3` is connected; `name` (its address) stands in error messages."""
        self.web3 = web3
        self.name = name or str(getattr(web3.provider, "endpoint_uri", "the node"))

    def require(self, chain_id: int | None) -> None:
        """Check that the node answers and, unless None is given, follows the chain with this id.

        Raises ChainUnreachableError or WrongChainError.
        """
        actual = self.chain_id()
        if chain_id is not None and actual != chain_id:
            raise WrongChainError(
                f"the node at {self.name} follows chain {actual}, not {chain_id}: "
                "give the node of the chain that the deployment file is for"
            )

    def chain_id(self) -> int:
        """The chain's id."""
        return int(self._ask("eth_chainId", lambda: self.web3.eth.chain_id))

    def head(self) -> Block:
        """The latest block."""
        return self._block("latest")

    def block(self, number: int) -> Block | None:
        """The block with this number, None when the chain has none."""
        try:
            return self._block(number)
        except DataMissingError:
            return None

    def logs(
        self,
        address: str | Sequence[str],
        first: int,
        last: int,
        topics: Sequence[bytes | Sequence[bytes] | None] = (),
    ) -> list[Log]:
        """The logs of a contract, or of several, in blocks `first` to `last`, in order.

        `topics` filters as eth_getLogs does.
        """
        wanted = [
            None if t is None else HexBytes(t) if isinstance(t, bytes) else [HexBytes(x) for x in t] for t in topics
        ]
        addresses = [to_checksum_address(one) for one in ([address] if isinstance(address, str) else address)]
        query = {"address": addresses, "fromBlock": first, "toBlock": last, "topics": wanted}
        raw = self._ask("eth_getLogs", lambda: self.web3.eth.get_logs(cast(Any, query)))
        found = [
            Log(
                to_checksum_address(entry["address"]),
                tuple(bytes(topic) for topic in entry["topics"]),
                bytes(entry["data"]),
                BlockRef(entry["blockNumber"], bytes(entry["blockHash"])),
                bytes(entry["transactionHash"]),
                entry["logIndex"],
            )
            for entry in raw
        ]
        return sorted(found, key=lambda log: (log.block.number, log.index))

    def transaction(self, hash_: bytes) -> Transaction | None:
        """The transaction with this hash, mined or waiting; None when the node does not know it."""
        try:
            raw = self._ask("eth_getTransactionByHash", lambda: self.web3.eth.get_transaction(HexBytes(hash_)))
        except DataMissingError:
            return None
        number, block_hash = raw.get("blockNumber"), raw.get("blockHash")
        block = None if number is None or block_hash is None else BlockRef(int(number), bytes(block_hash))
        to = raw.get("to")
        return Transaction(
            bytes(raw["hash"]),
            to_checksum_address(raw["from"]),
            None if not to else to_checksum_address(to),
            bytes(HexBytes(raw["input"])),
            int(raw["nonce"]),
            block,
        )

    def receipt(self, hash_: bytes) -> Receipt | None:
        """The receipt of a transaction, None while it is not mined."""
        try:
            raw = self._ask("eth_getTransactionReceipt", lambda: self.web3.eth.get_transaction_receipt(HexBytes(hash_)))
        except DataMissingError:
            return None
        block = BlockRef(raw["blockNumber"], bytes(raw["blockHash"]))
        created = raw.get("contractAddress")
        contract = None if not created else str(to_checksum_address(created))
        return Receipt(bytes(raw["transactionHash"]), raw["status"] == 1, int(raw["gasUsed"]), block, contract)

    def wait(self, hash_: bytes, timeout: float = 120) -> Receipt:
        """The receipt, once the transaction is mined. Raises ChainError when that takes longer than `timeout` s."""
        try:
            self._ask("receipt", lambda: self.web3.eth.wait_for_transaction_receipt(HexBytes(hash_), timeout, 0.05))
        except TimeExhausted as error:
            raise ChainError(
                f"transaction 0x{hash_.hex()} is not mined after {timeout} s: look it up later, or raise its fee"
            ) from error
        receipt = self.receipt(hash_)
        if receipt is None:
            raise ChainError(f"transaction 0x{hash_.hex()} left the chain again: send it again")
        return receipt

    def nonce(self, address: str, pending: bool = False) -> int:
        """How many transactions of this account are mined (or known, when `pending`)."""
        which: Any = "pending" if pending else "latest"
        account = to_checksum_address(address)
        return int(self._ask("eth_getTransactionCount", lambda: self.web3.eth.get_transaction_count(account, which)))

    def balance(self, address: str) -> int:
        """An account's ETH in wei."""
        return int(self._ask("eth_getBalance", lambda: self.web3.eth.get_balance(to_checksum_address(address))))

    def code(self, address: str) -> bytes:
        """The code at an address, empty when there is none."""
        return bytes(self._ask("eth_getCode", lambda: self.web3.eth.get_code(to_checksum_address(address))))

    def priority_fee(self) -> int:
        """The tip per gas that the node suggests, in wei."""
        return int(self._ask("eth_maxPriorityFeePerGas", lambda: self.web3.eth.max_priority_fee))

    def blob_base_fee(self) -> int:
        """The price of blob gas in the next block, in wei."""
        return int(self._ask("eth_blobBaseFee", lambda: self.web3.eth.blob_base_fee))

    def call(
        self, to: str, data: bytes, sender: str | None = None, value: int = 0, blobs: Sequence[bytes] = ()
    ) -> bytes:
        """The answer of a contract; `blobs` are the versioned hashes of those that the call carries.

        Raises RevertedError when it refuses.
        """
        transaction = _transaction(to, data, sender, value, blobs)
        return bytes(self._ask("eth_call", lambda: self.web3.eth.call(transaction)))

    def estimate_gas(self, to: str, data: bytes, sender: str, value: int = 0, blobs: Sequence[bytes] = ()) -> int:
        """Gas that the transaction would use now; `blobs` are the versioned hashes of those that it carries.

        Raises RevertedError when the contract would refuse it, InsufficientFundsError when the sender cannot pay.
        """
        transaction = _transaction(to, data, sender, value, blobs)
        return int(self._ask("eth_estimateGas", lambda: self.web3.eth.estimate_gas(transaction)))

    def estimate_deployment_gas(self, code: bytes, sender: str, value: int = 0) -> int:
        """Gas that a contract's creation would use now; errors as in `estimate_gas`."""
        transaction: TxParams = {"data": HexBytes(code), "from": to_checksum_address(sender), "value": Wei(value)}
        return int(self._ask("eth_estimateGas", lambda: self.web3.eth.estimate_gas(transaction)))

    def request(self, method: str, *parameters: Any) -> Any:
        """The answer to any JSON-RPC request. Raises ChainError with the node's words when it refuses."""
        return self._ask(method, lambda: self.web3.manager.request_blocking(cast(Any, method), list(parameters)))

    def broadcast(self, raw: bytes) -> None:
        """Hand a signed transaction to the node. A transaction it knows already is no error.

        Raises InsufficientFundsError, or ChainError with the node's words when it refuses the transaction.
        """
        try:
            self._ask("eth_sendRawTransaction", lambda: self.web3.eth.send_raw_transaction(raw))
        except ChainError as error:
            if not any(phrase in str(error).lower() for phrase in ("already known", "already imported")):
                raise

    def _block(self, which: int | str) -> Block:
        raw = self._ask("eth_getBlockByNumber", lambda: self.web3.eth.get_block(cast(Any, which)))
        return Block(
            int(raw["number"]), bytes(raw["hash"]), int(raw["timestamp"]), int(raw.get("baseFeePerGas", Wei(0)))
        )

    def _ask(self, method: str, request: Callable[[], _T]) -> _T:
        try:
            return request()
        except (BlockNotFound, TransactionNotFound) as error:
            raise DataMissingError(f"the node at {self.name} has no such block or transaction: {error}") from error
        except ContractLogicError as error:
            decoded = decode_error(_revert_data(error))
            detail = decoded.text if decoded.name else str(error.message or decoded.text)
            raise RevertedError(method, decoded.name, detail, decoded.arguments) from error
        except Web3RPCError as error:
            data = _rpc_revert_data(error)
            if data:
                decoded = decode_error(data)
                raise RevertedError(method, decoded.name, decoded.text, decoded.arguments) from error
            words = str(error.message or error)
            if "insufficient funds" in words.lower() or "insufficient balance" in words.lower():
                raise InsufficientFundsError(
                    f"the sender cannot pay for {method}: {words}; send it some ETH"
                ) from error
            raise ChainError(f"the node at {self.name} refuses {method}: {words}") from error
        except TimeExhausted:
            raise
        except (requests.RequestException, ConnectionError, OSError, Web3Exception) as error:
            raise ChainUnreachableError(
                f"the node at {self.name} does not answer {method} ({type(error).__name__}): "
                "check the address and that the node runs"
            ) from error


def _transaction(to: str, data: bytes, sender: str | None, value: int, blobs: Sequence[bytes]) -> TxParams:
    transaction: TxParams = {"to": to_checksum_address(to), "data": HexBytes(data), "value": Wei(value)}
    if sender is not None:
        transaction["from"] = to_checksum_address(sender)
    if blobs:
        transaction["blobVersionedHashes"] = [HexBytes(hash_) for hash_ in blobs]
    return transaction


def _revert_data(error: ContractLogicError) -> bytes:
    data: Any = error.data
    if isinstance(data, dict):
        data = data.get("data")
    return bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") else b""


def _rpc_revert_data(error: Web3RPCError) -> bytes:
    response = error.rpc_response or {}
    problem = response.get("error")
    data: Any = problem.get("data") if isinstance(problem, dict) else None
    if isinstance(data, dict):
        data = data.get("data")
    return bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") and len(data) >= 10 else b""
