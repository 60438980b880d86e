// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Custody} from "../bridge/Custody.sol";
import {IBatchVerifier} from "../interfaces/IBatchVerifier.sol";
import {ICustody} from "../interfaces/ICustody.sol";
import {IPoseidon4} from "../interfaces/IPoseidon4.sol";
import {ITokenRegistry} from "../interfaces/ITokenRegistry.sol";
import {IZKRollup} from "../interfaces/IZKRollup.sol";
import {AccountTree} from "../libraries/AccountTree.sol";
import {BabyJubJub} from "../libraries/BabyJubJub.sol";
import {BatchData} from "../libraries/BatchData.sol";
import {GenesisRoot} from "../libraries/GenesisRoot.sol";
import {Slot} from "../libraries/Slot.sol";

/// @title ZKRollup
/// @notice Keeps the state root and replaces it by that of a batch whose proofs hold. There is no administrator: the
/// operator has nothing but the right to submit first, which ends while it keeps the queue waiting.
contract ZKRollup is IZKRollup, Custody {
    /// @dev What batches change, in one storage slot.
    /// @param batchId Number of the last batch.
    /// @param queueCursor How many queued operations batches have consumed.
    /// @param nextIndex Lowest account index that is not in use.
    /// @param timestamp Timestamp of the last batch.
    /// @param operatorLastSeen When the operator's last batch was accepted, or the time of deployment.
    struct Tip {
        uint64 batchId;
        uint64 queueCursor;
        uint40 nextIndex;
        uint40 timestamp;
        uint40 operatorLastSeen;
    }

    /// @dev Fees of a batch in one token.
    struct FeeSum {
        uint256 token;
        uint256 sum;
    }

    /// @dev What a batch's data says, for the verifier and for the payouts.
    /// @param statements What the verifier has to check.
    /// @param slots For each segment the place of its first slot and, shifted by 128 bits, the place after its last
    /// one; 0 for a segment of transfers.
    /// @param fees The fees, a sum for each token.
    struct Contents {
        bytes statements;
        uint256[] slots;
        FeeSum[] fees;
    }

    /// @dev Bytes of a statement for the verifier.
    uint256 private constant _STATEMENT = 384;

    /// @dev Place of the data's first byte in canonical calldata: selector, four words, length.
    uint256 private constant _DATA_PLACE = 4 + 4 * 32 + 32;

    /// @inheritdoc IZKRollup
    IBatchVerifier public immutable verifier;

    /// @dev How many segments the queue entries of a quota may fill: 59,000 gas each, and 26,000 an entry that pays out.
    uint256 private constant _MAX_QUOTA_SEGMENTS = 128;

    /// @inheritdoc IZKRollup
    IPoseidon4 public immutable hasher;

    /// @inheritdoc IZKRollup
    address public immutable operator;

    /// @inheritdoc IZKRollup
    uint256 public immutable priorityTimeout;

    /// @inheritdoc IZKRollup
    uint256 public immutable maxBatchAge;

    /// @dev The verifier's sizes: see `BatchData.Format`.
    uint256 private immutable _transfers;
    uint256 private immutable _operations;
    uint256 private immutable _tokens;
    uint256 private immutable _transferSize;
    uint256 private immutable _levels;
    uint256 private immutable _capacity;

    /// @dev The domain on the chain of deployment, and that chain.
    uint256 private immutable _domain;
    uint256 private immutable _chainId;

    /// @inheritdoc IZKRollup
    bytes32 public stateRoot;

    Tip private _tip;

    /// @inheritdoc IZKRollup
    mapping(uint256 batchId => bytes32 batchHash) public batchHashes;

    /// @param registry_ The list of tokens.
    /// @param verifier_ The contract that checks proofs.
    /// @param hasher_ The contract that hashes for escapes: circomlibjs's code and nothing else.
    /// @param operator_ Who has priority in submitting batches.
    /// @param config What never changes.
    constructor(
        ITokenRegistry registry_,
        IBatchVerifier verifier_,
        IPoseidon4 hasher_,
        address operator_,
        Config memory config
    ) Custody(registry_, config.inclusionDeadline, config.queueQuota, config.freezeDeadline) {
        // A false hasher would be found out only when the rollup is frozen, and then everything could be stolen.
        bytes32 code = address(hasher_).codehash;
        if (code != AccountTree.HASHER_CODE_HASH) revert WrongHasher(address(hasher_), code);
        if (operator_ == address(0)) revert ZeroOperator();
        if (config.maxBatchAge == 0) revert ZeroMaxBatchAge();
        _checkTime(config.maxBatchAge);
        _checkTime(config.priorityTimeout);
        // Otherwise a batch could be accepted whose timestamp lets anyone freeze at once.
        _checkFreezeDeadline(config.maxBatchAge);
        verifier = verifier_;
        hasher = hasher_;
        operator = operator_;
        priorityTimeout = config.priorityTimeout;
        maxBatchAge = config.maxBatchAge;

        uint256 levels = verifier_.levels();
        _transfers = verifier_.transfers();
        _operations = verifier_.operations();
        _tokens = verifier_.tokens();
        _levels = levels;
        // Otherwise a batch of the quota may not fit in a transaction, and the rollup stops once so many are overdue.
        uint256 maxQuota = _MAX_QUOTA_SEGMENTS * _operations;
        if (config.queueQuota > maxQuota) revert InvalidQuota(config.queueQuota, maxQuota);
        _transferSize = 2 * ((2 * levels + 7) / 8) + 6;
        _capacity = 4 ** levels;
        _chainId = block.chainid;
        _domain = _computeDomain();

        bytes32 root = GenesisRoot.ofLevels(levels);
        stateRoot = root;
        uint40 time = uint40(block.timestamp);
        _tip = Tip({batchId: 0, queueCursor: 0, nextIndex: 1, timestamp: time, operatorLastSeen: time});
        batchHashes[0] = keccak256(abi.encode(Batch(root, 0, 0, time, true)));
    }

    /* BATCHES */

    /// @inheritdoc IZKRollup
    function submitBatch(bytes32 newRoot, bytes32 parentHash, bytes calldata data, ZKProof[] calldata proofs) external {
        // Checks
        _checkNotFrozen();
        Tip memory tip = _tip;
        _checkCaller();
        _checkCalldata(data, proofs);
        bytes32 currentHash = batchHashes[tip.batchId];
        if (parentHash != currentHash) revert StaleParent(parentHash, currentHash);
        if (proofs.length == 0) revert EmptyBatch();
        tip.timestamp = _checkTimestamp(BatchData.timestamp(data), tip.timestamp);
        Contents memory contents = _readSegments(newRoot, data, proofs, tip);
        bytes32 seed = verifier.verify(contents.statements);

        // Effects
        tip.batchId += 1;
        // Only the operator's batches: others would lock each other out, and a stranger could keep its clock running.
        if (msg.sender == operator) tip.operatorLastSeen = uint40(block.timestamp);
        bytes32 batchHash = keccak256(abi.encode(Batch(newRoot, parentHash, seed, tip.timestamp, true)));
        _tip = tip;
        stateRoot = newRoot;
        batchHashes[tip.batchId] = batchHash;

        emit BatchSubmitted(tip.batchId, batchHash, parentHash, newRoot, msg.sender, tip.timestamp);
        _creditPayouts(contents);
        emit BatchVerified(tip.batchId, batchHash, newRoot, tip.nextIndex, tip.queueCursor);
    }

    /* FREEZE AND ESCAPE */

    /// @inheritdoc IZKRollup
    function freeze() external nonReentrant {
        _freeze(stateRoot, _tip.queueCursor, _tip.timestamp);
    }

    /// @inheritdoc IZKRollup
    function escape(uint32 index, AccountTree.Account calldata account, uint256[3][] calldata siblings)
        external
        nonReentrant
    {
        // Checks
        _checkFrozen();
        // An index beyond the tree would have the path, and be another name, of one within.
        if (index >= _capacity) revert AccountOutOfRange(index, _capacity);
        if (account.balance == 0) revert NothingToEscape(index);
        // With all levels, leaves are leaves: an inner node has the form of an account.
        if (siblings.length != _levels) revert InvalidEscapeProof();
        if (AccountTree.rootOf(hasher, index, account, siblings) != finalRoot) revert InvalidEscapeProof();

        // Effects
        _markEscaped(index);
        _credit(account.owner, account.token, account.balance);

        emit Escaped(index, account.owner, account.token, account.balance);
    }

    /* VIEWS */

    /// @inheritdoc IZKRollup
    /// @dev A chain that splits off with another chain id gets another domain.
    function domain() public view returns (uint256) {
        return block.chainid == _chainId ? _domain : _computeDomain();
    }

    /// @inheritdoc IZKRollup
    function nextIndex() external view returns (uint64) {
        return _tip.nextIndex;
    }

    /// @inheritdoc IZKRollup
    function currentBatchId() external view returns (uint64) {
        return _tip.batchId;
    }

    /// @inheritdoc IZKRollup
    function batchTimestamp() external view returns (uint64) {
        return _tip.timestamp;
    }

    /// @inheritdoc IZKRollup
    function operatorLastSeen() external view returns (uint64) {
        return _tip.operatorLastSeen;
    }

    /// @inheritdoc IZKRollup
    function priorityUntil() public view returns (uint256) {
        uint256 idle = _tip.operatorLastSeen + priorityTimeout;
        uint256 overdue = _headDeadline(_tip.queueCursor);
        return idle < overdue ? idle : overdue;
    }

    /// @inheritdoc IZKRollup
    function tipHash() external view returns (bytes32) {
        return batchHashes[_tip.batchId];
    }

    /// @inheritdoc ICustody
    function queueCursor() public view override(ICustody, Custody) returns (uint64) {
        return _tip.queueCursor;
    }

    /* CUSTODY'S QUESTIONS */

    /// @inheritdoc Custody
    function _isValidKey(uint256[2] calldata key) internal pure override returns (bool) {
        return BabyJubJub.isOnCurve(key[0], key[1]);
    }

    /// @inheritdoc Custody
    function _accountCapacity() internal view override returns (uint256) {
        return _capacity;
    }

    /* CHECKS OF A BATCH */

    /// @dev Rules 1 and 2 of §6.2.
    function _checkCaller() private view {
        // Code also rules out accounts that delegate to a contract (EIP-7702): it could call from inside.
        if (msg.sender != tx.origin || msg.sender.code.length != 0) revert NotDirectCall(msg.sender);
        if (msg.sender == operator) return;
        uint256 until = priorityUntil();
        if (block.timestamp <= until) revert OperatorHasPriority(msg.sender, until);
    }

    /// @dev Only the canonical encoding: `data` and `proofs` one after the other, zeros as padding, nothing else.
    /// Otherwise decoders could differ on what a batch says.
    function _checkCalldata(bytes calldata data, ZKProof[] calldata proofs) private pure {
        uint256 dataPlace;
        uint256 proofsPlace;
        uint256 padding;
        assembly ("memory-safe") {
            dataPlace := data.offset
            proofsPlace := proofs.offset
            // The bytes after the data up to a whole word: none when the length is a multiple of 32.
            let rest := and(data.length, 31)
            if rest { padding := shl(shl(3, rest), calldataload(sub(add(data.offset, data.length), rest))) }
        }
        uint256 padded = (data.length + 31) / 32 * 32;
        if (
            padding != 0 || dataPlace != _DATA_PLACE || proofsPlace != _DATA_PLACE + padded + 32
                || msg.data.length != proofsPlace + proofs.length * 288
        ) revert NonCanonicalCalldata();
    }

    /// @dev Rule 3 of §6.2, its second half.
    function _checkTimestamp(uint256 timestamp, uint256 previous) private view returns (uint40) {
        uint256 earliest = block.timestamp > maxBatchAge ? block.timestamp - maxBatchAge : 0;
        if (earliest < previous) earliest = previous;
        if (timestamp < earliest || timestamp > block.timestamp) {
            revert TimestampOutOfRange(timestamp, earliest, block.timestamp);
        }
        return uint40(timestamp);
    }

    /// @dev Rules 4 and 5 of §6.2.
    /// @param tip The tip, with the batch's timestamp; gets the batch's `nextIndex` and `queueCursor`.
    function _readSegments(bytes32 newRoot, bytes calldata data, ZKProof[] calldata proofs, Tip memory tip)
        private
        view
        returns (Contents memory contents)
    {
        BatchData.Format memory format = _format();
        BatchData.Segment memory segment;
        uint256[] memory vector = BatchData.newVector(format);
        contents.statements = new bytes(proofs.length * _STATEMENT);
        contents.slots = new uint256[](proofs.length);

        vector[1] = domain();
        vector[3] = uint256(stateRoot);
        uint256 cursor = tip.queueCursor;
        bytes32 chain;
        segment.end = BatchData.place(data, BatchData.TIMESTAMP_SIZE);

        for (uint256 i; i < proofs.length; ++i) {
            BatchData.read(data, segment.end, format, segment);
            uint256 digest = proofs[i].publicInputs[0];
            if (digest >= BatchData.R) revert BatchData.NotAFieldElement(digest);

            // D, d₀ … d₃; the root before is the root after of the segment before.
            vector[0] = digest;
            vector[2] = vector[3];
            vector[3] = segment.root;
            vector[4] = tip.timestamp;
            if (segment.circuit == BatchData.OPERATIONS) {
                vector[4] |= (uint256(tip.nextIndex) << 40) | (segment.nextIndex << 80);
                tip.nextIndex = uint40(segment.nextIndex);
                contents.slots[i] = segment.operations | (segment.end << 128);
                (cursor, chain) = _consume(segment, cursor, chain);
            }
            if (segment.feeCount != 0) contents.fees = _addFees(contents.fees, segment);
            (uint256 z, uint256 y) = BatchData.bind(segment, format, vector);
            _writeStatement(contents.statements, i, segment.circuit, z, y, proofs[i]);
        }

        uint256 end = BatchData.place(data, data.length);
        if (segment.end != end) revert BatchData.TrailingData(data.length - (end - segment.end), data.length);
        if (vector[3] != uint256(newRoot)) revert StateRootMismatch(newRoot, bytes32(vector[3]));
        if (cursor != tip.queueCursor && chain != queueEntries[cursor - 1].chain) {
            revert QueueMismatch(tip.queueCursor, cursor);
        }
        if (_isQueueNeglected(tip.queueCursor, cursor)) {
            revert QueueNeglected(cursor, cursor - tip.queueCursor, queueQuota);
        }
        tip.queueCursor = uint64(cursor);
    }

    /// @dev Takes the queued operations of a segment.
    /// @param cursor How many have been consumed so far.
    /// @param chain The chain over these; 0 if it has not been read yet.
    function _consume(BatchData.Segment memory segment, uint256 cursor, bytes32 chain)
        private
        view
        returns (uint256, bytes32)
    {
        for (uint256 slot = segment.operations; slot < segment.end; slot += Slot.SIZE) {
            uint8 kind = Slot.kindOf(slot);
            if (kind > Slot.KEY_CHANGE) revert BatchData.UnknownKind(kind);
            if (kind != Slot.DEPOSIT && kind != Slot.FORCED_WITHDRAWAL) continue;
            if (cursor == queueTail) revert QueueExhausted(cursor);
            if (chain == 0) chain = _chainBefore(cursor);
            chain = Slot.chainCalldata(chain, slot, kind);
            ++cursor;
        }
        return (cursor, chain);
    }

    /// @dev Writes statement `i`: circuit ‖ z ‖ D ‖ y ‖ A ‖ B ‖ C.
    function _writeStatement(
        bytes memory statements,
        uint256 i,
        uint256 circuit,
        uint256 z,
        uint256 y,
        ZKProof calldata proof
    ) private pure {
        // Assembly: two copies instead of nine. `statements` has room for statement `i`, as it is one of
        // `proofs.length`.
        assembly ("memory-safe") {
            let target := add(add(statements, 0x20), mul(i, 384))
            mstore(target, circuit)
            mstore(add(target, 0x20), z)
            calldatacopy(add(target, 0x40), add(proof, 0x100), 0x20)
            mstore(add(target, 0x60), y)
            calldatacopy(add(target, 0x80), proof, 0x100)
        }
    }

    /// @dev Adds a segment's fees to the sums of their tokens. Batches take fees in a few tokens, so a list is faster
    /// than anything else.
    function _addFees(FeeSum[] memory sums, BatchData.Segment memory segment) private pure returns (FeeSum[] memory) {
        for (uint256 entry = segment.fees; entry < segment.operations; entry += BatchData.FEE_SIZE) {
            (uint16 token, uint128 sum) = BatchData.fee(entry);
            uint256 i;
            while (i < sums.length && sums[i].token != token) ++i;
            if (i == sums.length) sums = _extended(sums, token);
            sums[i].sum += sum;
        }
        return sums;
    }

    /// @dev The list with a zero sum for another token at its end.
    function _extended(FeeSum[] memory sums, uint256 token) private pure returns (FeeSum[] memory longer) {
        longer = new FeeSum[](sums.length + 1);
        for (uint256 i; i < sums.length; ++i) longer[i] = sums[i];
        longer[sums.length].token = token;
    }

    /* EFFECTS OF A BATCH */

    /// @dev Credits what left Layer 2 to the owners, and the fees to the caller.
    function _creditPayouts(Contents memory contents) private {
        uint256[] memory slots = contents.slots;
        for (uint256 i; i < slots.length; ++i) {
            uint256 end = slots[i] >> 128;
            for (uint256 slot = uint128(slots[i]); slot < end; slot += Slot.SIZE) _creditSlot(slot);
        }
        FeeSum[] memory fees = contents.fees;
        for (uint256 i; i < fees.length; ++i) _credit(msg.sender, uint16(fees[i].token), fees[i].sum);
    }

    /// @dev Credits the amount of an operation that takes it off Layer 2: a withdrawal, forced or not, or a deposit
    /// that found the tree full.
    function _creditSlot(uint256 slot) private {
        uint8 kind = Slot.kindOf(slot);
        bool isRefund = kind == Slot.DEPOSIT && Slot.recipientOf(slot) == 0;
        if (!isRefund && kind != Slot.FORCED_WITHDRAWAL && kind != Slot.WITHDRAWAL) return;
        (uint16 token, uint128 amount, address owner) = Slot.payoutOf(slot);
        _credit(owner, token, amount);
    }

    /* PRIVATE */

    /// @dev The domain of §4.1.
    function _computeDomain() private view returns (uint256) {
        return uint256(keccak256(abi.encode(keccak256("layer2.zk.v1"), block.chainid, address(this)))) % BatchData.R;
    }

    /// @dev The format of this rollup's batches.
    function _format() private view returns (BatchData.Format memory) {
        return BatchData.Format(_transfers, _operations, _tokens, _transferSize);
    }
}
