// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SSTORE2} from "solady/src/utils/SSTORE2.sol";

import {IBatchVerifier} from "../interfaces/IBatchVerifier.sol";

/// @title BatchVerifier
/// @notice Groth16 over BN254 with one pairing check for all proofs (`docs/protocol.md` §6.3): a random linear
/// combination of their equations. A proof costs one pairing and two scalar multiplications; the rest is paid once a
/// batch.
/// @dev The equation of proof i is e(Aᵢ, Bᵢ) = e(α, β)·e(vkxᵢ, γ)·e(Cᵢ, δ) with vkx = IC₀ + z·IC₁ + D·IC₂ + y·IC₃.
/// Raising it to ρᵢ and multiplying all of them gives one product of pairings that is 1. A batch in which some
/// equation fails passes for at most a 2⁻¹²⁸ share of the coefficients, and these come from a hash over the whole
/// batch.
contract BatchVerifier is IBatchVerifier {
    /// @dev Bytes of a statement.
    uint256 private constant _STATEMENT = 384;

    /// @dev Bytes of a pair of points for the pairing precompile.
    uint256 private constant _PAIR = 192;

    /// @dev Orders of BN254's scalar field and of its base field.
    uint256 private constant _R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    uint256 private constant _Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583;

    /// @dev Precompiled contracts.
    uint256 private constant _ADD = 6;
    uint256 private constant _MUL = 7;
    uint256 private constant _PAIRING = 8;

    /// @dev Most tokens in which a segment can have fees.
    uint256 private constant _MAX_TOKENS = 64;

    /// @inheritdoc IBatchVerifier
    uint256 public immutable levels;

    /// @inheritdoc IBatchVerifier
    uint256 public immutable transfers;

    /// @inheritdoc IBatchVerifier
    uint256 public immutable operations;

    /// @inheritdoc IBatchVerifier
    uint256 public immutable tokens;

    /// @dev The contract whose code is the ABI encoding of the verifying keys.
    address private immutable _key;

    /// @param key The verifying keys.
    /// @param sizes What their circuits were made for.
    constructor(VerifyingKey memory key, Sizes memory sizes) {
        // Counts take 2 bytes in the data; element 3 of the data vector and account indices are 32 bits wide at 16
        // levels. Every segment costs gas for each token: see ZKRollup's quota.
        if (
            sizes.levels == 0 || sizes.levels > 16 || sizes.transfers == 0 || sizes.transfers > type(uint16).max
                || sizes.operations == 0 || sizes.operations > type(uint16).max || sizes.tokens == 0
                || sizes.tokens > _MAX_TOKENS
        ) revert InvalidSizes();
        levels = sizes.levels;
        transfers = sizes.transfers;
        operations = sizes.operations;
        tokens = sizes.tokens;

        // A key without phase 2 has δ = γ, and then anybody can make proofs: A = α, B = β, C = −vkx.
        bytes32 gamma = keccak256(abi.encode(key.gamma));
        if (
            keccak256(abi.encode(key.transfers.delta)) == gamma || keccak256(abi.encode(key.operations.delta)) == gamma
        ) revert InvalidVerifyingKey();

        // Each point at least once.
        _checkPair(key.alpha, key.gamma);
        _checkPair(key.alpha, key.transfers.delta);
        _checkPair(key.alpha, key.operations.delta);
        for (uint256 i; i < 4; ++i) {
            _checkPair(key.transfers.ic[i], key.beta);
            _checkPair(key.operations.ic[i], key.beta);
        }
        _key = SSTORE2.write(abi.encode(key));
    }

    /// @inheritdoc IBatchVerifier
    function verify(bytes calldata statements) external view returns (bytes32 seed) {
        uint256 count = statements.length / _STATEMENT;
        if (count == 0 || statements.length != count * _STATEMENT) revert InvalidProof();

        bytes memory key = SSTORE2.read(_key);
        bool ok;
        // Assembly: precompiles take flat memory. Everything is written above the free memory pointer, which is not
        // moved; no memory is allocated afterwards. Sums of memory addresses cannot overflow: memory costs gas.
        //
        // Memory at `work`:
        //   0x000  ecMul's input: x, y, scalar
        //   0x060  seed, i: the preimage of a coefficient
        //   0x0a0  vkx: sum (x, y), addend (x, y)
        //   0x120  transfers circuit: sum of ρC (x, y), addend (x, y), Σρ, Σρz, ΣρD, Σρy
        //   0x220  operations circuit: the same
        //   0x320  the pairing's input. The statements are hashed here before it is written.
        assembly ("memory-safe") {
            let work := mload(0x40)
            let pairs := add(work, 0x320)
            calldatacopy(pairs, statements.offset, statements.length)
            seed := keccak256(pairs, statements.length)
            // Zeros: calldata ends before calldatasize().
            calldatacopy(work, calldatasize(), 0x320)
            mstore(add(work, 0x60), seed)

            ok := 1
            let pair := pairs
            let statement := statements.offset
            for { let i := 0 } lt(i, count) { i := add(i, 1) } {
                let circuit := calldataload(statement)
                let z := calldataload(add(statement, 0x20))
                let digest := calldataload(add(statement, 0x40))
                let y := calldataload(add(statement, 0x60))
                ok := and(ok, and(lt(circuit, 2), and(lt(z, _R), and(lt(digest, _R), lt(y, _R)))))

                // ρ₀ = 1: one of the equations need not be scaled.
                let rho := 1
                if i {
                    mstore(add(work, 0x80), i)
                    rho := shr(128, shl(128, keccak256(add(work, 0x60), 0x40)))
                }

                // A wrong circuit must not lead out of the table; `ok` is 0 by now.
                let sums := add(add(work, 0x120), shl(8, and(circuit, 1)))
                let sum := add(sums, 0x80)
                mstore(sum, add(mload(sum), rho))
                sum := add(sums, 0xa0)
                mstore(sum, addmod(mload(sum), mulmod(rho, z, _R), _R))
                sum := add(sums, 0xc0)
                mstore(sum, addmod(mload(sum), mulmod(rho, digest, _R), _R))
                sum := add(sums, 0xe0)
                mstore(sum, addmod(mload(sum), mulmod(rho, y, _R), _R))

                // (ρA, B) joins the pairing. The pairing checks A (if not multiplied) and B.
                calldatacopy(pair, add(statement, 0x80), 0xc0)
                if i {
                    calldatacopy(work, add(statement, 0x80), 0x40)
                    mstore(add(work, 0x40), rho)
                    ok := and(ok, staticcall(gas(), _MUL, work, 0x60, pair, 0x40))
                }

                // ρC joins its circuit's sum.
                calldatacopy(work, add(statement, 0x140), 0x40)
                mstore(add(work, 0x40), rho)
                ok := and(ok, staticcall(gas(), _MUL, work, 0x60, add(sums, 0x40), 0x40))
                ok := and(ok, staticcall(gas(), _ADD, sums, 0x80, sums, 0x40))

                pair := add(pair, _PAIR)
                statement := add(statement, _STATEMENT)
            }

            // Layout of the keys, from `alpha`: α 0x00, β 0x40, γ 0xc0, and per circuit, from 0x140 and 0x2c0: δ
            // 0x00, IC 0x80.
            let alpha := add(key, 0x20)

            // (−Σρ·α, β). Σρ < count·2¹²⁸ < r. A scalar of r gives the point at infinity, as 0 would.
            mcopy(work, alpha, 0x40)
            mstore(add(work, 0x40), sub(_R, add(mload(add(work, 0x1a0)), mload(add(work, 0x2a0)))))
            ok := and(ok, staticcall(gas(), _MUL, work, 0x60, pair, 0x40))
            mcopy(add(pair, 0x40), add(alpha, 0x40), 0x80)
            let vkx := add(pair, _PAIR)
            pair := add(vkx, _PAIR)

            let sums := add(work, 0x120)
            for { let circuitKey := add(alpha, 0x140) } lt(circuitKey, add(alpha, 0x440)) {
                circuitKey := add(circuitKey, 0x180)
                sums := add(sums, 0x100)
            } {
                // Σρ = 0: no proof of this circuit, or all its ρ are 0 and so are its terms.
                if mload(add(sums, 0x80)) {
                    // −(Σρ·IC₀ + Σρz·IC₁ + ΣρD·IC₂ + Σρy·IC₃) joins vkx.
                    for { let j := 0 } lt(j, 4) { j := add(j, 1) } {
                        mcopy(work, add(circuitKey, add(0x80, shl(6, j))), 0x40)
                        mstore(add(work, 0x40), sub(_R, mload(add(sums, add(0x80, shl(5, j))))))
                        ok := and(ok, staticcall(gas(), _MUL, work, 0x60, add(work, 0xe0), 0x40))
                        ok := and(ok, staticcall(gas(), _ADD, add(work, 0xa0), 0x80, add(work, 0xa0), 0x40))
                    }
                    // (−ΣρC, δ). The sum may be infinity, whose y is 0.
                    mstore(pair, mload(sums))
                    mstore(add(pair, 0x20), mod(sub(_Q, mload(add(sums, 0x20))), _Q))
                    mcopy(add(pair, 0x40), circuitKey, 0x80)
                    pair := add(pair, _PAIR)
                }
            }

            // (−Σρ·vkx, γ)
            mcopy(vkx, add(work, 0xa0), 0x40)
            mcopy(add(vkx, 0x40), add(alpha, 0xc0), 0x80)

            ok := and(ok, staticcall(gas(), _PAIRING, pairs, sub(pair, pairs), work, 0x20))
            ok := and(ok, eq(mload(work), 1))
        }
        if (!ok) revert InvalidProof();
    }

    /// @dev Checks that two points are points of their groups and not infinity: e(P, Q)·e(−P, Q) has to be 1, and the
    /// precompile fails for anything that is not a point. For P = infinity, written (0, 0), it fails because of −P:
    /// q − 0 is not below q.
    function _checkPair(uint256[2] memory p, uint256[2][2] memory q) private view {
        bool isInfinity = (q[0][0] | q[0][1] | q[1][0] | q[1][1]) == 0;
        if (isInfinity || p[1] >= _Q) revert InvalidVerifyingKey();
        (bool success, bytes memory result) = address(uint160(_PAIRING)).staticcall(
            abi.encodePacked(
                abi.encode(p[0], p[1], q[0][0], q[0][1], q[1][0], q[1][1]),
                abi.encode(p[0], _Q - p[1], q[0][0], q[0][1], q[1][0], q[1][1])
            )
        );
        if (!success || result.length != 32) revert InvalidVerifyingKey();
    }
}
