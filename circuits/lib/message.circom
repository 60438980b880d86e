// SPDX-License-Identifier: GPL-3.0
// What is signed (docs/protocol.md §4.1). May include circomlib only.
pragma circom 2.2.3;

include "circomlib/circuits/poseidon.circom";

// M = Poseidon₅(domain, p1, p2, key). The caller must have checked every width: amount 128, kind 3, account and to 32,
// nonce 32, owner 160, token 16, fee 8 (the byte), expiry 40.
template OperationMessage() {
    signal input domain;
    signal input kind;
    signal input account;
    signal input to;
    signal input amount;
    signal input nonce;
    signal input owner;
    signal input token;
    signal input fee;
    signal input expiry;
    signal input key[2];
    signal output message;

    component hash = Poseidon(5);
    hash.inputs[0] <== domain;
    hash.inputs[1] <== amount + kind * (1 << 128) + account * (1 << 136) + to * (1 << 168) + nonce * (1 << 200);
    hash.inputs[2] <== owner + token * (1 << 160) + fee * (1 << 176) + expiry * (1 << 184);
    hash.inputs[3] <== key[0];
    hash.inputs[4] <== key[1];
    message <== hash.out;
}
