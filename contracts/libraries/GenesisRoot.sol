// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title GenesisRoot
/// @notice Roots of empty account trees: Z₀ = 0, Zₖ₊₁ = Poseidon₄(Zₖ, Zₖ, Zₖ, Zₖ). Poseidon is dear on chain, so they
/// are written down; a test computes them anew.
library GenesisRoot {
    /// @notice The root of the empty tree of some levels, 1 to 16.
    function ofLevels(uint256 levels) internal pure returns (bytes32) {
        bytes32[16] memory roots = [
            bytes32(0x0532fd436e19c70e51209694d9c215250937921b8b79060488c1206db73e9946),
            bytes32(0x1ea8dbbca1ca3a574b1b871aad1e8bc47571c7e11a99a6fb25f3f19d4bfad32c),
            bytes32(0x1b98ec5a992cd3688e655aef8674386f4e84f0a442eaab4840427e359c214dd2),
            bytes32(0x0fd83a3939005974d559c13c652a31942ffd61cab9a038e04239af96cafaee14),
            bytes32(0x11eb54967ae25ce42205223461cda9dbb1a1811db38b71e404d1fd94c9627777),
            bytes32(0x1c682a99981cf10a215d2788721e0ca060ddc0932cbb04c903eee3bd899dcfc0),
            bytes32(0x2b3de1ae8e72d64a5cb03934061e3fd03789273f370e32d576ae54b4cbeca719),
            bytes32(0x1b64ed0dc55f80f1f3da256b451baf16110fc268311a13fe903f87945b734861),
            bytes32(0x06efb4c4a55b0225fd1088d357b2432f422b0593015c57980e373ecef9029c72),
            bytes32(0x262138dff44f5352d2d7ec48461c771444a6c00c761a3263735d0a99143a51f1),
            bytes32(0x07ea118d86ace14a8eaa26fc18b36fefe7d5f5b00e0eb9ebfd1c88f37131c178),
            bytes32(0x0c2a4af81a2cd78159ce2f3d7ee05367fc5b3c3e1becea2a86d1e66dd27ffb7f),
            bytes32(0x1a953a710c22f79c369c976fc9981ffdbfe236695297fec65886e645e6fa2884),
            bytes32(0x16b0c5e286286eb6c4774ad6292b4f0bdc5b36cb7890b27544268892ae255e0d),
            bytes32(0x2dd7186449cc82702fb8f2d7fa86e0095263f8afb521e1976f499e67a0d7cbb8),
            bytes32(0x151399c724e17408a7a43cdadba2fc000da9339c56e4d49c6cdee6c4356fbc68)
        ];
        return roots[levels - 1];
    }
}
