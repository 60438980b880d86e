// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SSTORE2} from "solady/src/utils/SSTORE2.sol";

import {ICellVerifier} from "../interfaces/ICellVerifier.sol";

/// @title CellVerifier
/// @notice KZG openings of EIP-4844 blobs: a cell with one multi-scalar multiplication and one pairing (EIP-2537), an
/// element with the point-evaluation precompile.
/// @dev A blob's element j is f(w^brp₁₂(j)), with w of order 4096, brpₙ the reversal of n bits and f the polynomial
/// that the commitment C is for. So cell i holds f on the coset h·⟨w₆₄⟩ with h = w^brp₆(i) and w₆₄ = w⁶⁴, in
/// bit-reversed order. With I the polynomial of degree below 64 through the cell's elements, the proof is
/// π = [(f(τ) − I(τ)) / (τ⁶⁴ − h⁶⁴)]₁, and what is checked is e(C − [I(τ)]₁ + h⁶⁴·π, [1]₂) = e(π, [τ⁶⁴]₂). The first
/// point is negated here, so that the product of both pairings must be 1.
contract CellVerifier is ICellVerifier {
    /// @dev Order of BLS12-381's scalar field.
    uint256 private constant _R = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;


    /// @dev (p − 1) / 2, p the order of the base field: its upper 128 bits and the others.
    uint256 private constant _HALF_HIGH = 0x0d0088f51cbff34d258dd3db21a5d66b;
    uint256 private constant _HALF_LOW = 0xb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555;

    /// @dev w = 7^((r − 1) / 4096), its inverse, and w₆₄ = w⁶⁴.
    uint256 private constant _W = 39033254847818212395286706435128746857159659164139250548781411570340225835782;
    uint256 private constant _W_INVERSE = 25829815649260311651249373569448671287036547786131478959351418120540316250978;
    uint256 private constant _W64 = 31519469946562159605140591558550197856588417350474800936898404023113662197331;

    /// @dev w₆₄ to the powers of −1, −4 and −16, of orders 64, 16 and 4; and 1 / 64.
    uint256 private constant _ROOT_64 = 45254319123522011116259460062854627366454101350769349111320208945036885998124;
    uint256 private constant _ROOT_16 = 26753076894533791554649012143113393549300550745003194222677083919072199473480;
    uint256 private constant _ROOT_4 = 52435875175126190475982595682112313518914282969839895044333406231173219221505;
    uint256 private constant _INVERSE_64 = 51616564625514843753206369562745560121476637617706893481625476532752040853505;

    /// @dev Precompiled contracts.
    address private constant _POINT_EVALUATION = address(0x0a);
    address private constant _G1_ADD = address(0x0b);
    uint256 private constant _G1_MSM = 0x0c;
    uint256 private constant _PAIRING = 0x0f;

    /// @dev keccak256 of [τ⁰]₁ … [τ⁶³]₁, [1]₂, [τ⁶⁴]₂ of Ethereum's KZG ceremony: `generated/kzg_setup.hex`.
    bytes32 private constant _SETUP_HASH = 0x33f9e970468a1623d3ad9496578c222a75ab102de5d3ea7f374d4de2d51085e4;

    /// @dev The contract whose code these points are.
    address private immutable _setup;

    /// @param setup The points; see `_SETUP_HASH`.
    constructor(bytes memory setup) {
        bytes32 setupHash = keccak256(setup);
        if (setupHash != _SETUP_HASH) revert WrongSetup(setupHash, _SETUP_HASH);
        _setup = SSTORE2.write(setup);

        // On a chain that has blobs and lacks one of these, no batch in a blob could ever be disputed.
        bytes memory infinity = abi.encodePacked(uint8(0xc0), new bytes(47));
        uint256 hash = (uint256(sha256(infinity)) & type(uint248).max) | (1 << 248);
        _checkPrecompile(
            _POINT_EVALUATION, abi.encodePacked(hash, new bytes(64), infinity, infinity), abi.encode(4096, _R)
        );
        _checkPrecompile(_G1_ADD, new bytes(256), new bytes(128));
        _checkPrecompile(address(uint160(_G1_MSM)), new bytes(160), new bytes(128));
        _checkPrecompile(address(uint160(_PAIRING)), new bytes(384), abi.encode(1));
    }

    /// @inheritdoc ICellVerifier
    function verifyCell(
        bytes32 versionedHash,
        bytes calldata commitment,
        bytes calldata proof,
        uint256 index,
        uint256[64] calldata elements
    ) external view {
        if (proof.length != 128 || index >= 64) revert InvalidOpening();
        (bytes16 head, bytes32 tail) = _compress(commitment);
        // The multiplication below checks the commitment's encoding, and both points' subgroup.
        // EIP-4844: a version byte of 1, and the hash without its first byte.
        uint256 hash = uint256(sha256(abi.encodePacked(head, tail)));
        if (bytes32((hash & type(uint248).max) | (1 << 248)) != versionedHash) revert InvalidOpening();

        address setup = _setup;
        bool ok;
        // Assembly: 64 elements through an inverse number-theoretic transform, and precompiles that take flat memory.
        // Everything is written above the free memory pointer, which is not moved; no memory is allocated afterwards.
        // Sums of memory addresses cannot overflow: memory costs gas.
        //
        // Memory at `values`:
        //   0x0000  64 elements, then coefficients
        //   0x0800  the setup: 64 points of G1, two of G2
        //   0x2a00  the multiplication's input: 66 times point (0x80), scalar (0x20); later the pairing's
        assembly ("memory-safe") {
            // Two levels of butterflies at once: quadruples that are `quarter` bytes apart, in blocks of four times
            // that. `root` has the order of the number of elements in a block. Sums that are not reduced are below 2r,
            // which is below 2^256.
            function levels(values, quarter, root) {
                let twiddle := 1
                let end := add(values, 0x800)
                let size := shl(2, quarter)
                for { let start := values } lt(start, add(values, quarter)) { start := add(start, 0x20) } {
                    let square := mulmod(twiddle, twiddle, _R)
                    let cube := mulmod(square, twiddle, _R)
                    for { let place0 := start } lt(place0, end) { place0 := add(place0, size) } {
                        let place1 := add(place0, quarter)
                        let place2 := add(place1, quarter)
                        let place3 := add(place2, quarter)
                        let a := mload(place0)
                        let b := mulmod(mload(place1), square, _R)
                        let c := mulmod(mload(place2), twiddle, _R)
                        let d := mulmod(mload(place3), cube, _R)
                        let u := add(a, b)
                        let v := add(c, d)
                        mstore(place0, addmod(u, v, _R))
                        mstore(place2, addmod(u, sub(shl(1, _R), v), _R))
                        u := add(a, sub(_R, b))
                        v := mulmod(add(c, sub(_R, d)), _ROOT_4, _R)
                        mstore(place1, addmod(u, v, _R))
                        mstore(place3, addmod(u, sub(_R, v), _R))
                    }
                    twiddle := mulmod(twiddle, root, _R)
                }
            }

            let values := mload(0x40)
            let points := add(values, 0x800)
            let input := add(values, 0x2a00)
            calldatacopy(values, elements, 0x800)
            ok := 1
            for { let value := values } lt(value, points) { value := add(value, 0x20) } {
                ok := and(ok, lt(mload(value), _R))
            }

            // Bit-reversed in, natural order out: coefficients of I(h·X), times 64.
            levels(values, 0x20, _ROOT_4)
            levels(values, 0x80, _ROOT_16)
            levels(values, 0x200, _ROOT_64)

            // 1 / h = w^−brp₆(index), and h⁶⁴ = w₆₄^brp₆(index).
            let inverse := 1
            let h64 := 1
            {
                let w := _W_INVERSE
                let w64 := _W64
                for { let bit := 0x20 } bit { bit := shr(1, bit) } {
                    if and(index, bit) {
                        inverse := mulmod(inverse, w, _R)
                        h64 := mulmod(h64, w64, _R)
                    }
                    w := mulmod(w, w, _R)
                    w64 := mulmod(w64, w64, _R)
                }
            }

            // [I(τ)]₁ − C − h⁶⁴·π
            extcodecopy(setup, points, 1, 0x2200)
            calldatacopy(input, commitment.offset, 0x80)
            mstore(add(input, 0x80), sub(_R, 1))
            calldatacopy(add(input, 0xa0), proof.offset, 0x80)
            mstore(add(input, 0x120), sub(_R, h64))
            let term := add(input, 0x140)
            let factor := _INVERSE_64
            let point := points
            for { let value := values } lt(value, points) { value := add(value, 0x20) } {
                mcopy(term, point, 0x80)
                mstore(add(term, 0x80), mulmod(mload(value), factor, _R))
                factor := mulmod(factor, inverse, _R)
                point := add(point, 0x80)
                term := add(term, 0xa0)
            }
            ok := and(ok, staticcall(gas(), _G1_MSM, input, 0x2940, input, 0x80))
            ok := and(ok, eq(returndatasize(), 0x80))

            // e([I(τ)]₁ − C − h⁶⁴·π, [1]₂) · e(π, [τ⁶⁴]₂) = 1
            mcopy(add(input, 0x80), point, 0x100)
            calldatacopy(add(input, 0x180), proof.offset, 0x80)
            mcopy(add(input, 0x200), add(point, 0x100), 0x100)
            ok := and(ok, staticcall(gas(), _PAIRING, input, 0x300, input, 0x20))
            ok := and(ok, and(eq(returndatasize(), 0x20), eq(mload(input), 1)))
        }
        if (!ok) revert InvalidOpening();
    }

    /// @inheritdoc ICellVerifier
    function verifyElement(
        bytes32 versionedHash,
        bytes calldata commitment,
        bytes calldata proof,
        uint256 index,
        uint256 element
    ) external view {
        if (proof.length != 48 || index >= 4096) revert InvalidOpening();
        (bytes16 head, bytes32 tail) = _compress(commitment);
        // Adding infinity: the precompile refuses coordinates that are not canonical and points off the curve.
        (bool ok, bytes memory result) = _G1_ADD.staticcall(abi.encodePacked(commitment, new bytes(128)));
        if (!ok || result.length != 128) revert InvalidOpening();

        // w^brp₁₂(index)
        uint256 point = 1;
        uint256 w = _W;
        for (uint256 bit = 1 << 11; bit != 0; bit >>= 1) {
            if ((index & bit) != 0) point = mulmod(point, w, _R);
            w = mulmod(w, w, _R);
        }
        // The precompile checks the versioned hash, that the element is canonical, and the proof.
        (ok, result) = _POINT_EVALUATION.staticcall(abi.encodePacked(versionedHash, point, element, head, tail, proof));
        if (!ok || result.length != 64) revert InvalidOpening();
    }

    /// @dev Refuses a chain whose precompiled contract does not give the answer.
    function _checkPrecompile(address precompile, bytes memory input, bytes memory answer) private view {
        (bool ok, bytes memory result) = precompile.staticcall(input);
        if (!ok || keccak256(result) != keccak256(answer)) revert PrecompileMissing(precompile);
    }

    /// @dev The 48 bytes of a point that has 128 uncompressed. That these are on the curve and canonical is for the caller
    /// to check: other bytes have compressed forms of points that they are not.
    function _compress(bytes calldata point) private pure returns (bytes16 head, bytes32 tail) {
        if (point.length != 128) revert InvalidOpening();
        (uint256 xHigh, uint256 xLow, uint256 yHigh, uint256 yLow) =
            abi.decode(point, (uint256, uint256, uint256, uint256));
        // The three upper bits: compressed; infinity; y is the larger of y and p − y.
        uint256 flags = 0x80;
        if ((xHigh | xLow | yHigh | yLow) == 0) flags = 0xc0;
        else if (yHigh > _HALF_HIGH || (yHigh == _HALF_HIGH && yLow > _HALF_LOW)) flags = 0xa0;
        head = bytes16(uint128((flags << 120) | xHigh));
        tail = bytes32(xLow);
    }
}
