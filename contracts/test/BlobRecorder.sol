// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Remembers the blobs of transactions: what a rollup sees of them.
contract BlobRecorder {
    error NoBlob();

    /// @notice Versioned hashes of the last transaction's first two blobs.
    bytes32[2] public blobs;

    function record() external {
        if (blobhash(0) == 0) revert NoBlob();
        blobs = [blobhash(0), blobhash(1)];
    }
}
