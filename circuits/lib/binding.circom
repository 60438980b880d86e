// SPDX-License-Identifier: GPL-3.0
// Data binding (docs/protocol.md §5.2). May include circomlib only.
pragma circom 2.2.3;

include "circomlib/circuits/poseidon.circom";

// The sponge: s = 0, then s = Poseidon₁₂(s, block) for each block of 11 elements, zero-padded. digest is the last s.
template DataDigest(length) {
    signal input data[length];
    signal output digest;

    var blocks = (length + 10) \ 11;
    component hash[blocks];
    for (var b = 0; b < blocks; b++) {
        hash[b] = Poseidon(12);
        hash[b].inputs[0] <== b == 0 ? 0 : hash[b - 1].out;
        for (var i = 0; i < 11; i++) {
            hash[b].inputs[i + 1] <== 11 * b + i < length ? data[11 * b + i] : 0;
        }
    }
    digest <== hash[blocks - 1].out;
}

// value = Σ data[i]·point^i, by Horner's rule.
template Evaluation(length) {
    signal input data[length];
    signal input point;
    signal output value;

    signal partial[length];
    partial[length - 1] <== data[length - 1];
    for (var i = length - 2; i >= 0; i--) {
        partial[i] <== partial[i + 1] * point + data[i];
    }
    value <== partial[0];
}

// Enforces D = digest of data and y = data evaluated at z.
template DataBinding(length) {
    signal input data[length];
    signal input z;
    signal input D;
    signal input y;

    component digest = DataDigest(length);
    digest.data <== data;
    digest.digest === D;
    component evaluation = Evaluation(length);
    evaluation.data <== data;
    evaluation.point <== z;
    evaluation.value === y;
}
