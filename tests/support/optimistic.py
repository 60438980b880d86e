"""An optimistic rollup to test, on Ape's chain, with real state transition and cell verifier.

    rollup = Rollup.deploy(project, deployer, registry, parts)
    rollup.deposit(alice, 0, 10**18)
    posted = rollup.post(rollup.make(queue=1), sequencer)               # an honest batch
    draft = rollup.make(rollup.sign(alice, Transfer(...)))
    posted = rollup.post(draft.with_(state_root=bytes(32)), sequencer)  # a fraudulent one
    rollup.prove(posted, prover)                                        # finds the first wrong chunk by itself

`rollup.state` is the true state at the contract's tip. What a test does to the chain is undone afterwards; `copy` does
the same for this object.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, replace
from functools import cache
from typing import Any, Self

from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from eth_account import Account as EthAccount

from layer2.chain.coder import coder
from layer2.chain.sidecar import Sidecar
from layer2.chain.signer import ApeSigner, UnsignedTransaction
from layer2.ledger.operations import Operation as QueueOperation
from layer2.optimistic import blobs
from layer2.optimistic.batches import BatchHeader, Claim, queue_chain
from layer2.optimistic.chunks import Chunk, calldata_commitment, encode_blob, encode_calldata, execute_batch, pack
from layer2.optimistic.evidence import (
    Evidence,
    PostedBatch,
    check_batch,
    make_evidence,
    open_blob,
    open_calldata,
)
from layer2.optimistic.operations import Operation, PurchaseNFT, QueueEntry
from layer2.optimistic.records import leaf
from layer2.optimistic.signing import sign_operation, sign_sale
from layer2.optimistic.state import RollupState
from layer2.optimistic.transition import Context
from tests.support.reverts import call

HOUR = 3600
DAY = 24 * HOUR
STAKE = 10**18
FOREVER = 2**32 - 1
"""An expiry that no batch is later than."""
BURNED = "0x000000000000000000000000000000000000dEaD"
NO_KEY = (0, 0)


@dataclass(frozen=True)
class Config:
    """`IOptimisticRollup.Config`, small where it can be."""

    levels: int = 8
    inclusion_deadline: int = DAY
    queue_quota: int = 3
    freeze_deadline: int = 14 * DAY
    priority_timeout: int = 2 * HOUR
    max_batch_age: int = HOUR
    challenge_period: int = 7 * DAY
    reward_delay: int = DAY
    minimum_stake: int = STAKE


@dataclass(frozen=True)
class Draft:
    """What a sequencer submits, be it true or not.

    states: the true states before each chunk and after the last one. parent_hash: None for the tip's at the time.
    """

    state_root: bytes
    claim: Claim
    chunks: tuple[Chunk, ...]
    states: tuple[RollupState, ...]
    parent_hash: bytes | None = None

    @property
    def transactions(self) -> bytes:
        return encode_calldata(self.chunks)

    @property
    def blob(self) -> bytes:
        return encode_blob(self.chunks)

    def with_(self, **changes: Any) -> "Draft":
        """With parts replaced; those of the claim by their own names."""
        own = {name: changes.pop(name) for name in ("state_root", "parent_hash") if name in changes}
        return replace(self, claim=replace(self.claim, **changes), **own)

    def with_chunk(self, index: int, **changes: Any) -> "Draft":
        """With parts of one chunk replaced."""
        chunks = list(self.chunks)
        chunks[index] = replace(chunks[index], **changes)
        return replace(self, chunks=tuple(chunks))


@dataclass(frozen=True)
class Posted:
    """A batch that the contract took. state: the true one after its operations."""

    batch: PostedBatch
    state: RollupState
    receipt: ReceiptAPI | None

    @property
    def id(self) -> int:
        return self.batch.batch_id

    @property
    def header(self) -> BatchHeader:
        return self.batch.header

    @property
    def hash(self) -> bytes:
        return self.header.hash

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The header, for an ABI encoder."""
        return astuple(self.header)

    @property
    def end(self) -> int:
        """The last second at which it can be disputed, with the default challenge period."""
        return self.header.timestamp + Config.challenge_period


@dataclass
class Rollup:
    """A deployed rollup and what a node knows of it."""

    contract: ContractInstance
    transition: ContractInstance
    verifier: ContractInstance
    config: Config
    domain: bytes
    queue: list[bytes] = field(default_factory=list)
    """All entries of the L1 queue."""
    posted: list[Posted] = field(default_factory=list)
    """The batches by number; those above the contract's tip were rolled back."""

    @classmethod
    def deploy(
        cls,
        project: Any,
        deployer: AccountAPI,
        registry: ContractInstance,
        parts: tuple[ContractInstance, ContractInstance],
        operator: Any = "0x" + "00" * 20,
        config: Config | None = None,
    ) -> Self:
        """Deploys a rollup; parts: state transition and cell verifier."""
        config = config or Config()
        contract = deployer.deploy(project.OptimisticRollup, registry, *parts, operator, astuple(config))
        block = contract.provider.get_block("latest")
        header = BatchHeader.genesis(block.timestamp, block.number)
        rollup = cls(contract, *parts, config, bytes(contract.domainSeparator()))
        genesis = PostedBatch(0, header, header, b"", (), rollup.domain)
        rollup.posted.append(Posted(genesis, RollupState.genesis(config.levels), None))
        return rollup

    def copy(self) -> "Rollup":
        return replace(self, queue=list(self.queue), posted=list(self.posted))

    @property
    def tip(self) -> Posted:
        return self.posted[self.contract.currentBatchId()]

    @property
    def state(self) -> RollupState:
        """The true state after the tip."""
        return self.tip.state

    @property
    def now(self) -> int:
        """The last block's time."""
        return int(self.contract.provider.get_block("latest").timestamp)

    @property
    def block(self) -> int:
        """The last block's number."""
        return int(self.contract.provider.get_block("latest").number)

    def at(self, timestamp: int) -> None:
        """The next block has this time."""
        self.contract.provider.make_request("evm_setNextBlockTimestamp", [timestamp])

    def mine(self, timestamp: int) -> None:
        """A block of this time, so that calls see it."""
        self.at(timestamp)
        self.contract.provider.make_request("evm_mine", [])

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What the block does, on the chain and here, is undone at its end."""
        provider = self.contract.provider
        snapshot = provider.make_request("evm_snapshot", [])
        queue, posted = list(self.queue), list(self.posted)
        yield
        assert provider.make_request("evm_revert", [snapshot]) is True
        self.queue[:], self.posted[:] = queue, posted

    def in_one_block(self, *transactions: tuple[AccountAPI, bytes, int]) -> list[bool]:
        """Sends (sender, input, value) to the rollup, all in one block; whether each succeeded."""
        provider = self.contract.provider
        web3 = provider.web3
        provider.make_request("evm_setAutomine", [False])
        nonces: dict[str, int] = {}
        hashes = []
        for place, (sender, data, value) in enumerate(transactions):
            nonce = nonces.setdefault(sender.address, web3.eth.get_transaction_count(sender.address))
            nonces[sender.address] += 1
            fields = {
                "type": 2,
                "chainId": web3.eth.chain_id,
                "nonce": nonce,
                "to": self.contract.address,
                "data": data,
                "value": value,
                "gas": 3_000_000,
                # Miners take the best paid first: the order is that of the arguments.
                "maxFeePerGas": 10**11,
                "maxPriorityFeePerGas": (100 - place) * 10**8,
            }
            signed = EthAccount.from_key(private_key(sender)).sign_transaction(fields)
            hashes.append(web3.eth.send_raw_transaction(signed.raw_transaction))
        provider.make_request("evm_mine", [])
        provider.make_request("evm_setAutomine", [True])
        receipts = [web3.eth.get_transaction_receipt(hash_) for hash_ in hashes]
        assert len({receipt["blockNumber"] for receipt in receipts}) == 1
        assert [receipt["transactionIndex"] for receipt in receipts] == list(range(len(receipts)))
        return [bool(receipt["status"]) for receipt in receipts]

    def encode(self, function: str, *arguments: Any) -> bytes:
        """The input of a transaction."""
        return coder("OptimisticRollup").encode(function, *arguments)

    def observe(self) -> tuple[Any, ...]:
        """All that batches and disputes change."""
        c = self.contract
        last = c.currentBatchId()
        return (
            last,
            c.confirmedBatchId(),
            c.queueCursor(),
            c.operatorLastSeen(),
            c.tipHash(),
            c.batches(last + 1),
            c.balance,
        )

    # L1 operations

    def deposit(
        self, sender: AccountAPI, token: int, amount: int, *, owner: Any = None, account: int = 0
    ) -> ReceiptAPI:
        """Deposits and remembers the queue entry."""
        owner = owner or sender
        value = amount if token == 0 else 0
        receipt = self.contract.deposit(token, amount, owner, account, NO_KEY, value=value, sender=sender)
        arrived = int(receipt.events[-1].amount)
        self.queue.append(QueueOperation.deposit(token, arrived, _number(owner), NO_KEY, account).to_slot())
        return receipt

    def force_withdraw(self, sender: AccountAPI, account: int) -> ReceiptAPI:
        """Queues a forced withdrawal and remembers it."""
        receipt = self.contract.forceWithdraw(account, sender=sender)
        self.queue.append(self.forced_entry(sender, account))
        return receipt

    def forced_entry(self, sender: Any, account: int) -> bytes:
        """The queue entry of a forced withdrawal."""
        return QueueOperation.forced_withdrawal(account, _number(sender)).to_slot()

    # Batches

    def sign(self, signer: AccountAPI, operation: Any, *, state: RollupState | None = None, seller: Any = None) -> Any:
        """The operation signed by an account (and a seller) for a state, the tip's unless given."""
        record = (state or self.state).record
        if isinstance(operation, PurchaseNFT):
            operation = sign_sale(operation, record, self.domain, private_key(seller))
        return sign_operation(operation, record, self.domain, private_key(signer))

    def make(
        self,
        *operations: Operation,
        queue: int = 0,
        executed_at: int | None = None,
        chunks: Sequence[bytes] | None = None,
        parent: Posted | None = None,
    ) -> Draft:
        """An honest batch on the tip: so many queue entries, then operations; or chunks of bytes.

        Its time is the last block's unless given.
        """
        parent = parent or self.tip
        executed_at = self.now if executed_at is None else executed_at
        cursor = parent.header.queue_cursor + queue
        if chunks is None:
            chunks = pack(operation.encode() for operation in (*[QueueEntry()] * queue, *operations))
        entries = self.queue[parent.header.queue_cursor :]
        executed = execute_batch(parent.state, Context(self.domain, executed_at, cursor), chunks, entries)
        after = executed[-1].after
        return Draft(
            after.state_root,
            Claim.of(after, executed_at, len(chunks), queue_chain(self.queue[:cursor])),
            tuple(one.chunk for one in executed),
            (*(one.before for one in executed), after),
            parent.hash,
        )

    def with_cursor(self, draft: Draft, cursor: int) -> Draft:
        """The draft, which claims to have taken the queue up to a cursor."""
        return draft.with_(queue_cursor=cursor, queue_chain=queue_chain(self.queue[:cursor]))

    def arguments(self, draft: Draft, *, blob: bool = False) -> tuple[bytes, bytes, tuple[Any, ...], bytes]:
        """Those of `submitBatch`."""
        parent = draft.parent_hash if draft.parent_hash is not None else self.tip.hash
        return draft.state_root, parent, astuple(draft.claim), b"" if blob else draft.transactions

    def calldata(self, draft: Draft, *, blob: bool = False) -> bytes:
        """The input of the transaction."""
        return coder("OptimisticRollup").encode("submitBatch", *self.arguments(draft, blob=blob))

    def post(self, draft: Draft, sender: AccountAPI, *, blob: bool = False) -> Posted:
        """Submits a batch and remembers it; checks that the contract stores the header's hash."""
        if blob:
            receipt = self.send_blob(self.calldata(draft, blob=True), sender, draft.blob)
        else:
            receipt = self.contract.submitBatch(*self.arguments(draft), sender=sender)
        return self.remember(draft, sender, receipt, draft.blob if blob else None)

    def remember(self, draft: Draft, sender: AccountAPI, receipt: ReceiptAPI, blob: bytes | None) -> Posted:
        """Takes note of a batch that a transaction submitted; checks that its event has the header."""
        (event,) = receipt.events
        assert event.event_name == "BatchSubmitted"
        posted = replace(
            self.note(draft, sender, int(event.batchId), blob, receipt.block_number),
            receipt=receipt,
        )
        (log,) = self.contract.provider.web3.eth.get_transaction_receipt(receipt.txn_hash)["logs"]
        assert bytes(log["data"]) == posted.header.encode()
        self.posted[posted.id] = posted
        return posted

    def note(
        self, draft: Draft, sender: AccountAPI, batch_id: int, blob: bytes | None = None, block: int | None = None
    ) -> Posted:
        """Takes note of a batch that was submitted in a block, the last one unless given; checks its hash."""
        found = self.contract.provider.get_block("latest" if block is None else block)
        header = self.header(draft, sender, found.timestamp, found.number, blob, self.posted[batch_id - 1].hash)
        assert bytes(self.contract.batches(batch_id)[0]) == header.hash
        parent = self.posted[batch_id - 1].header
        data = draft.transactions if blob is None else blob
        entries = tuple(self.queue[parent.queue_cursor :])
        posted = Posted(PostedBatch(batch_id, header, parent, data, entries, self.domain), draft.states[-1], None)
        self.posted[batch_id:] = [posted]
        return posted

    def header(
        self,
        draft: Draft,
        sender: AccountAPI,
        timestamp: int,
        block_number: int,
        blob: bytes | None = None,
        parent_hash: bytes | None = None,
    ) -> BatchHeader:
        """The header that a batch has if it is taken in this block."""
        claim = draft.claim
        return BatchHeader(
            state_root=draft.state_root,
            parent_hash=parent_hash or draft.parent_hash or self.tip.hash,
            timestamp=timestamp,
            block_number=block_number,
            sequencer=str(sender.address).lower(),
            executed_at=claim.executed_at,
            is_blob=blob is not None,
            chunks=claim.chunks,
            data_commitment=calldata_commitment(draft.chunks) if blob is None else blobs.blob_hash(blob),
            withdrawal_root=claim.withdrawal_root,
            withdrawal_count=claim.withdrawal_count,
            next_index=claim.next_index,
            queue_cursor=claim.queue_cursor,
            fees=claim.fees,
        )

    def send_blob(self, data: bytes, sender: AccountAPI, *given: bytes) -> ReceiptAPI:
        """Sends a transaction with blobs to the rollup."""
        provider = self.contract.provider
        unsigned = UnsignedTransaction(
            chain_id=provider.chain_id,
            nonce=provider.get_nonce(sender.address),
            to=self.contract.address,
            data=data,
            value=0,
            gas=5_000_000,
            max_fee=10**11,
            priority_fee=10**9,
            sidecar=_sidecar(given),
            max_blob_fee=10**11,
        )
        # Ape's own sending has no place for blobs.
        hash_ = provider.web3.eth.send_raw_transaction(ApeSigner(sender).sign_transaction(unsigned))
        return provider.get_receipt("0x" + bytes(hash_).hex())

    # Disputes

    def evidence(self, posted: Posted, chunk: int | None = None) -> Evidence:
        """The proof against a batch's chunk, with the true state before: the first wrong chunk unless given."""
        parent = self.posted[posted.id - 1].state
        if chunk is None:
            checked = check_batch(parent, posted.batch)
            assert checked.wrong_chunk is not None, "the batch is right"
            return make_evidence(posted.batch, checked.wrong_chunk, checked.before)
        before = check_up_to(parent, posted.batch, chunk)
        return make_evidence(posted.batch, chunk, before)

    def prove(self, posted: Posted, sender: AccountAPI, chunk: int | None = None) -> ReceiptAPI:
        """Sends the fraud proof."""
        return self.contract.submitFraudProof(*self.evidence(posted, chunk).arguments(), sender=sender)

    def prove_from_claim(self, posted: Posted, sender: AccountAPI) -> ReceiptAPI:
        """Proves a batch of one empty chunk on a wrong batch, from the state that this claims."""
        opening = open_blob if posted.header.is_blob else open_calldata
        evidence = Evidence(
            posted.id,
            posted.header,
            posted.batch.parent,
            0,
            posted.batch.parent.words,
            opening(posted.batch.data, 0),
            b"",
            b"",
        )
        return self.contract.submitFraudProof(*evidence.arguments(), sender=sender)

    def evidence_against(self, draft: Draft, header: BatchHeader, chunk: int = 0) -> Evidence:
        """The proof against a batch on the tip that is not there yet."""
        tip = self.tip
        entries = tuple(self.queue[tip.header.queue_cursor :])
        data = draft.blob if header.is_blob else draft.transactions
        batch = PostedBatch(tip.id + 1, header, tip.header, data, entries, self.domain)
        return make_evidence(batch, chunk, draft.states[chunk])

    def proof_input(self, evidence: Evidence) -> bytes:
        """The input of `submitFraudProof`."""
        return self.encode("submitFraudProof", *evidence.arguments())

    def call_proof(self, evidence: Evidence, gas: int = 16_700_000, batch_hash: bytes | None = None) -> None:
        """Tries a fraud proof without a transaction: raises what it would revert with."""
        own_hash, arguments = evidence.arguments()
        data = coder("OptimisticRollup").encode("submitFraudProof", batch_hash or own_hash, arguments)
        call(self.contract, data, gas=gas)

    def call(self, function: str, *arguments: Any, sender: AccountAPI | None = None, value: int = 0) -> bytes:
        """Tries any function: raises what a transaction would revert with."""
        data = self.encode(function, *arguments)
        if not value:
            return call(self.contract, data, sender)
        assert sender is not None, "value is somebody's"
        transaction = {"from": sender.address, "to": self.contract.address, "data": data, "value": value}
        return bytes(self.contract.provider.web3.eth.call(transaction))

    # The rest

    def bond(self, *sequencers: AccountAPI) -> None:
        for sequencer in sequencers:
            self.contract.bond(value=self.config.minimum_stake, sender=sequencer)

    def confirm(self, posted: Posted, sender: AccountAPI) -> ReceiptAPI:
        """Confirms a batch, in the first second in which that can be done if that is still to come."""
        first = posted.header.timestamp + self.config.challenge_period + 1
        if self.now < first:
            self.at(first)
        return self.contract.confirmBatch(posted.id, astuple(posted.header), sender=sender)

    def claim_withdrawal(self, posted: Posted, index: int, sender: AccountAPI) -> ReceiptAPI:
        """Claims a withdrawal against a confirmed batch."""
        return self.contract.claimWithdrawal(*self.withdrawal_proof(posted, index), sender=sender)

    def withdrawal_proof(self, posted: Posted, index: int) -> tuple[Any, ...]:
        """The arguments of `claimWithdrawal`."""
        paid = posted.state.withdrawal(index)
        path = posted.state.withdrawal_path(index)
        return posted.id, astuple(posted.header), index, _address(paid.owner), paid.token, paid.amount, path


def check_up_to(parent: RollupState, batch: PostedBatch, chunk: int) -> RollupState:
    """The true state before a chunk, whatever the batch commits to."""
    chunks = batch.header.decode_data(batch.data)[:chunk]
    if not chunks:
        return parent.without_fees()
    executed = execute_batch(parent, batch.context, [one.operations for one in chunks], batch.queue)
    return executed[-1].after


def private_key(account: AccountAPI) -> bytes:
    """The key of one of Ape's test accounts."""
    return bytes.fromhex(account.private_key.removeprefix("0x"))


@cache
def _sidecar(given: tuple[bytes, ...]) -> Sidecar:
    return Sidecar.of(given)


def _number(owner: Any) -> int:
    return int(getattr(owner, "address", owner), 16)


def _address(number: int) -> str:
    return f"0x{number:040x}"


def edited(state: RollupState, index: int, **fields: Any) -> RollupState:
    """The state with some fields of one record replaced."""
    record = state.record(index)
    assert record is not None
    changed = record._replace(**fields)
    return replace(state, tree=state.tree.set({index: (leaf(changed), changed)}))
