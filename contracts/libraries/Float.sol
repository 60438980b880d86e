// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Float
/// @notice The decimal floats of amounts and fees (`docs/protocol.md` §3). Any bits have a value.
library Float {
    /// @notice The value of a float40: exponent in the top 5 bits, mantissa in the low 35.
    /// @param encoded 40 bits.
    /// @return At most (2³⁵−1)·10³¹, which is below 2¹³⁸.
    function decode40(uint256 encoded) internal pure returns (uint256) {
        // Unchecked: see the bound.
        unchecked {
            return (encoded & (2 ** 35 - 1)) * 10 ** (encoded >> 35);
        }
    }

    /// @notice The value of a fee8: exponent in the high nibble, mantissa in the low.
    /// @param encoded 8 bits.
    /// @return At most 15·10¹⁵, which is below 2⁵⁴.
    function decode8(uint256 encoded) internal pure returns (uint256) {
        // Unchecked: see the bound.
        unchecked {
            return (encoded & 15) * 10 ** (encoded >> 4);
        }
    }
}
