// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Slot
/// @notice Layer 2 operations in bytes, and the hash chain over those that Layer 1 queued.
/// @dev A slot is kind (1) ‖ account (4) ‖ to (4) ‖ token (2) ‖ fee (1) ‖ amount (16) ‖ owner (20) ‖ keyX (32) ‖ keyY
/// (32).
library Slot {
    /// @dev Bytes of a slot.
    uint256 internal constant SIZE = 112;

    /// @dev Kinds of operations.
    uint8 internal constant PADDING = 0;
    uint8 internal constant DEPOSIT = 1;
    uint8 internal constant FORCED_WITHDRAWAL = 2;
    uint8 internal constant TRANSFER = 3;
    uint8 internal constant TRANSFER_TO_NEW = 4;
    uint8 internal constant WITHDRAWAL = 5;
    uint8 internal constant KEY_CHANGE = 6;

    /// @dev The bits of a slot's first word that hold the outcome of a deposit: `to`, bytes 5 to 8.
    uint256 private constant _DEPOSIT_OUTCOME = uint256(type(uint32).max) << 184;

    /// @dev The bits of a slot's first word that hold the outcome of a forced withdrawal: `token`, bytes 9 and 10, and
    /// `amount`, bytes 12 to 27.
    uint256 private constant _FORCED_OUTCOME = (uint256(type(uint16).max) << 168) | (uint256(type(uint128).max) << 32);

    /// @notice Adds an operation to the chain.
    /// @param previous The chain so far, 0 at the start.
    /// @return The chain with the operation, whose outcome fields and fee are zero.
    function chain(
        bytes32 previous,
        uint8 kind,
        uint32 account,
        uint16 token,
        uint128 amount,
        address owner,
        uint256[2] memory key
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(previous, kind, account, uint32(0), token, uint8(0), amount, owner, key[0], key[1])
        );
    }

    /// @notice Adds an operation as a batch carries it, outcome and all, to the chain.
    /// @param previous The chain so far.
    /// @param slot Where the slot begins in calldata. The caller has checked that it is all there.
    /// @param kind The slot's kind: a deposit or a forced withdrawal.
    /// @return next The chain with the operation as it was queued: the outcome fields are zeroed.
    function chainCalldata(bytes32 previous, uint256 slot, uint8 kind) internal pure returns (bytes32 next) {
        uint256 outcome = kind == DEPOSIT ? _DEPOSIT_OUTCOME : _FORCED_OUTCOME;
        // Assembly: hashes 144 bytes in free memory without allocating them or copying twice.
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, previous)
            calldatacopy(add(buffer, 0x20), slot, 112)
            mstore(add(buffer, 0x20), and(mload(add(buffer, 0x20)), not(outcome)))
            next := keccak256(buffer, 144)
        }
    }

    /// @notice The kind of the slot at a place in calldata.
    function kindOf(uint256 slot) internal pure returns (uint8 result) {
        assembly ("memory-safe") {
            result := byte(0, calldataload(slot))
        }
    }

    /// @notice The resulting account or recipient of the slot at a place in calldata.
    function recipientOf(uint256 slot) internal pure returns (uint32 result) {
        assembly ("memory-safe") {
            result := shr(224, calldataload(add(slot, 5)))
        }
    }

    /// @notice Token, amount and owner of the slot at a place in calldata.
    function payoutOf(uint256 slot) internal pure returns (uint16 token, uint128 amount, address owner) {
        assembly ("memory-safe") {
            token := shr(240, calldataload(add(slot, 9)))
            amount := shr(128, calldataload(add(slot, 12)))
            owner := shr(96, calldataload(add(slot, 28)))
        }
    }
}
