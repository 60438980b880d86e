// SPDX-License-Identifier: GPL-3.0
// EdDSA-Poseidon over BabyJubJub (docs/protocol.md §1). May include circomlib only.
pragma circom 2.2.3;

include "circomlib/circuits/babyjub.circom";
include "circomlib/circuits/eddsaposeidon.circom";

// The base point's coordinates.
function basePoint() {
    return [
        5299619240641551281634865583518297030282874472190772894086521144482721001553,
        16950150798460657717958625567821834550301663161624707787222815936182638968203
    ];
}

// How far a point is from the curve: a·x² + y² - 1 - d·x²·y², zero exactly on it.
template CurveDefect() {
    signal input point[2];
    signal output defect;

    signal xx <== point[0] * point[0];
    signal yy <== point[1] * point[1];
    defect <== 168700 * xx + yy - 1 - 168696 * xx * yy;
}

// Verifies a signature of `message` under `key` when enabled (boolean). Key and R8 must lie on the curve in any case:
// circomlib's verifier, which does the rest (S < l, 8·key not neutral, S·B8 = R8 + 8·h·key), is unsound off it.
template Signature() {
    signal input enabled;
    signal input key[2];
    signal input r8[2];
    signal input s;
    signal input message;

    component keyDefect = CurveDefect();
    keyDefect.point <== key;
    keyDefect.defect === 0;
    component r8Defect = CurveDefect();
    r8Defect.point <== r8;
    r8Defect.defect === 0;

    component verifier = EdDSAPoseidonVerifier();
    verifier.enabled <== enabled;
    verifier.Ax <== key[0];
    verifier.Ay <== key[1];
    verifier.R8x <== r8[0];
    verifier.R8y <== r8[1];
    verifier.S <== s;
    verifier.M <== message;
}
