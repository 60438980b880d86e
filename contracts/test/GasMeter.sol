// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Calls without transactions of their own: what a call needs, and what it does with less.
contract GasMeter {
    /// @notice What `run` measured: the gas of each call, and of making it.
    event Measured(uint256[] used);

    /// @notice A call to make.
    struct Call {
        address target;
        uint256 value;
        bytes data;
    }

    /// @notice Makes calls one after the other in one transaction, so that later ones find storage warm.
    function run(Call[] calldata calls) external payable {
        uint256[] memory used = new uint256[](calls.length);
        for (uint256 i; i < calls.length; ++i) {
            bool isDone;
            address target = calls[i].target;
            uint256 value = calls[i].value;
            bytes memory input = calls[i].data;
            uint256 before = gasleft();
            (isDone,) = target.call{value: value}(input);
            used[i] = before - gasleft();
            require(isDone, "a call fails");
        }
        emit Measured(used);
    }

    /// @return used Gas that the call used.
    /// @return result What it returned.
    function measure(address target, bytes calldata data) external view returns (uint256 used, bytes memory result) {
        bool isDone;
        bytes memory input = data;
        used = gasleft();
        (isDone, result) = target.staticcall(input);
        used -= gasleft();
        require(isDone, "the call fails");
    }

    /// @notice Calls with `from` gas, `from` + `step`, … below `to`.
    /// @param expected Hash of what the call returns if it has enough.
    /// @return failed How many calls failed.
    /// @return different How many returned something else.
    function sweep(address target, bytes calldata data, uint256 from, uint256 to, uint256 step, bytes32 expected)
        external
        view
        returns (uint256 failed, uint256 different)
    {
        bytes memory input = data;
        for (uint256 limit = from; limit < to; limit += step) {
            (bool isDone, bytes memory result) = target.staticcall{gas: limit}(input);
            if (!isDone) ++failed;
            else if (keccak256(result) != expected) ++different;
        }
    }
}
