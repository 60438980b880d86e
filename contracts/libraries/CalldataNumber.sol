// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title CalldataNumber
/// @notice Reads numbers from computed places in calldata.
library CalldataNumber {
    /// @notice The big-endian number in `size` bytes of calldata, 1 to 32, `offset` bytes after `place`.
    /// @dev The caller has checked that these bytes are part of what it means to read.
    function read(uint256 place, uint256 offset, uint256 size) internal pure returns (uint256 result) {
        // Assembly: a slice of calldata would check bounds for each field, which the caller has checked for all at once.
        // Places in calldata are far below 2^256.
        assembly ("memory-safe") {
            result := shr(sub(256, shl(3, size)), calldataload(add(place, offset)))
        }
    }
}
