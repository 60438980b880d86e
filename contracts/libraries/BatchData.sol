// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Slot} from "./Slot.sol";

/// @title BatchData
/// @notice Reads the bytes of a batch (`docs/protocol.md` §5.3) and binds them to a proof's public inputs (§5.2).
library BatchData {
    /// @dev What the format depends on; see `IBatchVerifier.Sizes`.
    /// @param transfers Most transfers in a segment.
    /// @param operations Most operations in a segment.
    /// @param tokens Most fee entries in a segment.
    /// @param transferSize Bytes of a transfer: two indices, 5 bytes of amount and 1 of fee.
    struct Format {
        uint256 transfers;
        uint256 operations;
        uint256 tokens;
        uint256 transferSize;
    }

    /// @dev A segment. Places are positions in calldata.
    /// @param circuit 0 for transfers, 1 for operations.
    /// @param count Number of operations.
    /// @param root Root after the segment.
    /// @param nextIndex `nextIndex` after the segment; 0 in a segment of transfers.
    /// @param feeCount Number of fee entries.
    /// @param fees Place of the fee entries, `FEE_SIZE` bytes each.
    /// @param operations Place of the operations.
    /// @param end Place where the segment ends.
    struct Segment {
        uint256 circuit;
        uint256 count;
        uint256 root;
        uint256 nextIndex;
        uint256 feeCount;
        uint256 fees;
        uint256 operations;
        uint256 end;
    }

    /// @dev Circuits by number.
    uint256 internal constant TRANSFERS = 0;
    uint256 internal constant OPERATIONS = 1;

    /// @dev Bytes of the timestamp in front of the segments.
    uint256 internal constant TIMESTAMP_SIZE = 5;

    /// @dev Bytes of a fee entry: token (2) ‖ sum (16).
    uint256 internal constant FEE_SIZE = 18;

    /// @dev Order of BN254's scalar field.
    uint256 internal constant R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

    /// @notice The data ends before the segment that starts at `offset` does.
    error DataTruncated(uint256 offset, uint256 length);

    /// @notice Bytes follow the last segment: there is one segment for each proof.
    error TrailingData(uint256 end, uint256 length);

    /// @notice There is no circuit with this number.
    error UnknownCircuit(uint256 circuit);

    /// @notice A segment has no operations, or more than its circuit takes.
    error WrongCount(uint256 count, uint256 max);

    /// @notice A segment has more fee entries than its circuit has.
    error TooManyFees(uint256 count, uint256 max);

    /// @notice There is no operation of this kind.
    error UnknownKind(uint256 kind);

    /// @notice A number is not below the order of the field.
    error NotAFieldElement(uint256 value);

    /// @notice The timestamp that the data begins with.
    function timestamp(bytes calldata data) internal pure returns (uint256 result) {
        if (data.length < TIMESTAMP_SIZE) revert DataTruncated(0, data.length);
        assembly ("memory-safe") {
            result := shr(216, calldataload(data.offset))
        }
    }

    /// @notice A place of the batch's data in calldata for an offset in the data.
    function place(bytes calldata data, uint256 offset) internal pure returns (uint256 result) {
        assembly ("memory-safe") {
            result := add(data.offset, offset)
        }
    }

    /// @notice Reads and checks a segment up to its operations.
    /// @param data The batch's data.
    /// @param start Place where the segment starts.
    /// @param format What the format depends on.
    /// @param segment Where the result goes.
    function read(bytes calldata data, uint256 start, Format memory format, Segment memory segment) internal pure {
        // Unchecked: places are below 2^64, since calldata costs gas, and what is added is below 2^32.
        unchecked {
            uint256 begin = place(data, 0);
            uint256 limit = begin + data.length;
            if (start >= limit) revert DataTruncated(start - begin, data.length);
            uint256 circuit = _load(start, 1);
            if (circuit > OPERATIONS) revert UnknownCircuit(circuit);
            bool isOperations = circuit == OPERATIONS;
            uint256 fees = start + (isOperations ? 41 : 36);
            if (fees > limit) revert DataTruncated(start - begin, data.length);

            uint256 count = _load(start + 1, 2);
            uint256 max = isOperations ? format.operations : format.transfers;
            if (count == 0 || count > max) revert WrongCount(count, max);
            uint256 root = _load(start + 3, 32);
            if (root >= R) revert NotAFieldElement(root);
            uint256 feeCount = _load(fees - 1, 1);
            if (feeCount > format.tokens) revert TooManyFees(feeCount, format.tokens);
            uint256 operations = fees + feeCount * FEE_SIZE;
            uint256 end = operations + count * (isOperations ? Slot.SIZE : format.transferSize);
            if (end > limit) revert DataTruncated(start - begin, data.length);

            segment.circuit = circuit;
            segment.count = count;
            segment.root = root;
            segment.nextIndex = isOperations ? _load(start + 35, 5) : 0;
            segment.feeCount = feeCount;
            segment.fees = fees;
            segment.operations = operations;
            segment.end = end;
        }
    }

    /// @notice A fee entry.
    /// @param entry Place of the entry.
    function fee(uint256 entry) internal pure returns (uint16 token, uint128 sum) {
        token = uint16(_load(entry, 2));
        sum = uint128(_load(entry + 2, 16));
    }

    /// @notice Makes the memory that `bind` works in: D, the data vector up to the fees, and room for the operations as
    /// posted and one word of zeros after them.
    function newVector(Format memory format) internal pure returns (uint256[] memory) {
        uint256 transferBytes = format.transfers * format.transferSize;
        uint256 slotBytes = format.operations * Slot.SIZE;
        uint256 room = transferBytes > slotBytes ? transferBytes : slotBytes;
        return new uint256[](5 + format.tokens + (room + 31) / 32 + 1);
    }

    /// @notice Computes a segment's public inputs z and y from its data.
    /// @param segment A segment that `read` has checked.
    /// @param format What the format depends on.
    /// @param vector What `newVector` made; the caller has filled in D, d₀, d₁, d₂ and d₃.
    /// @return z The point at which the data vector's polynomial is evaluated.
    /// @return y Its value there.
    function bind(Segment memory segment, Format memory format, uint256[] memory vector)
        internal
        pure
        returns (uint256 z, uint256 y)
    {
        (uint256 operations, uint256 end) = _fill(segment, format, vector);
        assembly ("memory-safe") {
            let words := add(vector, 0x20)
            z := keccak256(words, sub(end, words))
        }
        z %= R;
        y = segment.circuit == OPERATIONS
            ? _evaluateSlots(operations, end, z)
            : _evaluateTransfers(operations, segment.count, format.transferSize, z);
        // d₀ to the last fee, in front of the operations; the word at `vector + 0x20` is D.
        assembly ("memory-safe") {
            let first := add(vector, 0x40)
            for { let word := operations } gt(word, first) {} {
                word := sub(word, 0x20)
                y := addmod(mulmod(y, z, R), mload(word), R)
            }
        }
    }

    /// @dev Writes fees and operations into the vector.
    /// @return operations Where in memory the operations begin.
    /// @return end Where they end. A word of zeros follows.
    function _fill(Segment memory segment, Format memory format, uint256[] memory vector)
        private
        pure
        returns (uint256 operations, uint256 end)
    {
        uint256 length = segment.end - segment.operations;
        uint256 tokens = format.tokens;
        // Assembly: copies from calldata to computed places. `vector` has room for all that is written: `read` has
        // limited fees and operations to what `newVector` allowed for. Places in memory and calldata are far below
        // 2^256.
        assembly ("memory-safe") {
            // Token (2) ‖ sum (16) becomes sum + token·2¹²⁸; unused entries are zero.
            let target := add(vector, 0xc0)
            operations := add(target, shl(5, tokens))
            let entry := mload(add(segment, 0xa0))
            for { let used := add(target, shl(5, mload(add(segment, 0x80)))) } lt(target, used) {
                target := add(target, 0x20)
                entry := add(entry, 18)
            } { mstore(target, shr(112, calldataload(entry))) }
            for {} lt(target, operations) { target := add(target, 0x20) } { mstore(target, 0) }

            end := add(operations, length)
            calldatacopy(operations, mload(add(segment, 0xc0)), length)
            mstore(end, 0)
        }
    }

    /// @dev Σ tᵢzⁱ over pairs of transfers in memory, by Horner's rule from the last to the first. After an odd
    /// number of transfers zeros follow, which make the last pair's second half.
    function _evaluateTransfers(uint256 operations, uint256 count, uint256 transferSize, uint256 z)
        private
        pure
        returns (uint256 y)
    {
        // Assembly: this loop runs over most of a batch's data. A pair is 16 to 28 bytes, at the top of the word read.
        assembly ("memory-safe") {
            let step := shl(1, transferSize)
            let shift := sub(256, shl(3, step))
            for { let word := add(operations, mul(shr(1, add(count, 1)), step)) } gt(word, operations) {} {
                word := sub(word, step)
                y := addmod(mulmod(y, z, R), shr(shift, mload(word)), R)
            }
        }
    }

    /// @dev Σ dᵢzⁱ over the elements of slots in memory, four each, by Horner's rule from the last to the first. The
    /// first two elements of a slot are below 2²²⁴; the key's coordinates have to be checked.
    function _evaluateSlots(uint256 operations, uint256 end, uint256 z) private pure returns (uint256 y) {
        uint256 overflow;
        // Assembly: this loop runs over most of a batch's data.
        assembly ("memory-safe") {
            for { let word := end } gt(word, operations) {} {
                word := sub(word, 112)
                let keyY := mload(add(word, 80))
                let keyX := mload(add(word, 48))
                if iszero(lt(keyY, R)) { overflow := keyY }
                if iszero(lt(keyX, R)) { overflow := keyX }
                y := addmod(mulmod(y, z, R), keyY, R)
                y := addmod(mulmod(y, z, R), keyX, R)
                y := addmod(mulmod(y, z, R), shr(96, mload(add(word, 28))), R)
                y := addmod(mulmod(y, z, R), shr(32, mload(word)), R)
            }
        }
        if (overflow != 0) revert NotAFieldElement(overflow);
    }

    /// @dev The big-endian number in `size` bytes of calldata, 1 to 32.
    function _load(uint256 source, uint256 size) private pure returns (uint256 result) {
        assembly ("memory-safe") {
            result := shr(sub(256, shl(3, size)), calldataload(source))
        }
    }
}
