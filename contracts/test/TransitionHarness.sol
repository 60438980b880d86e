// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Measures what a call costs without its transaction.
contract GasMeter {
    /// @return used Gas that the call used, itself included.
    /// @return result What it returned.
    function measure(address target, bytes calldata data) external view returns (uint256 used, bytes memory result) {
        bool isDone;
        bytes memory input = data;
        used = gasleft();
        (isDone, result) = target.staticcall(input);
        used -= gasleft();
        require(isDone, "the call fails");
    }
}
