// SPDX-License-Identifier: GPL-3.0
// Accounts (docs/protocol.md §2). May include circomlib only.
pragma circom 2.2.3;

include "circomlib/circuits/bitify.circom";
include "circomlib/circuits/comparators.circom";
include "circomlib/circuits/poseidon.circom";

// The value of a used leaf. The caller must have checked the widths of balance (128), nonce (32) and token (16):
// without them one packed value could be read in several ways.
template AccountLeaf() {
    signal input owner;
    signal input key[2];
    signal input token;
    signal input nonce;
    signal input balance;
    signal output leaf;

    component hash = Poseidon(4);
    hash.inputs[0] <== balance + nonce * (1 << 128) + token * (1 << 160);
    hash.inputs[1] <== owner;
    hash.inputs[2] <== key[0];
    hash.inputs[3] <== key[1];
    leaf <== hash.out;
}

// Enforces in < 2^bits.
template Range(bits) {
    signal input in;

    component check = Num2Bits(bits);
    check.in <== in;
}

// Enforces nonce < 2^32 and tells whether it is 2^32 - 1, from where it cannot grow.
template NonceRange() {
    signal input nonce;
    signal output isMaximum;

    component range = Range(32);
    range.in <== nonce;
    component equal = IsEqual();
    equal.in[0] <== nonce;
    equal.in[1] <== (1 << 32) - 1;
    isMaximum <== equal.out;
}
