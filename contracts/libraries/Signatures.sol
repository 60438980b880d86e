// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {LibCall} from "solady/src/utils/LibCall.sol";

/// @title Signatures
/// @notice Whether an account signed a hash: by its key, or as a contract (ERC-1271).
library Signatures {
    /// @dev Most gas that a contract may use to look at a signature, so that it cannot stop a call that looks at many.
    uint256 internal constant CONTRACT_GAS = 200_000;

    /// @dev The key comes first: what it signed stays valid when the account gets code (EIP-7702). A contract's answer
    /// can change with time.
    /// @param signer Whose signature it has to be; never valid for zero.
    /// @param hash What was signed.
    /// @param signature Of a key 65 bytes with low s, or what the contract asks for.
    function isValid(address signer, bytes32 hash, bytes calldata signature) internal view returns (bool) {
        if (signer == address(0)) return false;
        (address recovered,,) = ECDSA.tryRecoverCalldata(hash, signature);
        if (recovered == signer) return true;
        if (signer.code.length == 0) return false;

        (bool success,, bytes memory answer) = LibCall.tryStaticCall(
            signer, CONTRACT_GAS, 32, abi.encodeCall(IERC1271.isValidSignature, (hash, signature))
        );
        return success && answer.length == 32 && bytes32(answer) == bytes32(IERC1271.isValidSignature.selector);
    }
}
