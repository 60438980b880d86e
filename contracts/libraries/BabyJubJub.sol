// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title BabyJubJub
/// @notice The curve of Layer 2 keys: a·x² + y² = 1 + d·x²·y² over BN254's scalar field.
/// @dev Source of the constants: ERC-2494, in circomlib's form.
library BabyJubJub {
    /// @dev Order of BN254's scalar field.
    uint256 internal constant R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

    uint256 internal constant A = 168700;
    uint256 internal constant D = 168696;

    /// @notice Whether (x, y), both below the field's order, is a point of the curve.
    /// @dev Points of small order are on the curve: an account with such a key cannot sign, but its owner can force a
    /// withdrawal.
    function isOnCurve(uint256 x, uint256 y) internal pure returns (bool) {
        if (x >= R || y >= R) return false;
        uint256 xx = mulmod(x, x, R);
        uint256 yy = mulmod(y, y, R);
        return addmod(mulmod(A, xx, R), yy, R) == addmod(1, mulmod(D, mulmod(xx, yy, R), R), R);
    }
}
