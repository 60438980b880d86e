// SPDX-License-Identifier: GPL-3.0
// One plain transfer (docs/protocol.md §4, kind 3; §5, segment Transfers).
pragma circom 2.2.3;

include "circomlib/circuits/bitify.circom";
include "circomlib/circuits/comparators.circom";
include "account.circom";
include "amounts.circom";
include "fees.circom";
include "message.circom";
include "signature.circom";
include "tree.circom";

// from = 0 is padding: everything posted must then be zero, both leaves are the never-used leaf 0 and stay empty. The account
// signals are then free, but must pass their range checks.
// packed is the element of the data vector: from ‖ to ‖ amount ‖ fee in bytes of the widths of §5.
// Requires: timestamp < 2^40; slotToken[j] < 2^16; domain is the rollup's.
template Transfer(levels, tokens) {
    signal input domain;
    signal input timestamp;
    signal input slotToken[tokens];
    signal input rootBefore;

    signal input from;
    signal input to;
    signal input amountFloat;
    signal input feeByte;
    signal input expiry;
    signal input r8[2];
    signal input s;
    signal input inSlot[tokens];

    signal input token;
    signal input senderOwner;
    signal input senderKey[2];
    signal input senderNonce;
    signal input senderBalance;
    signal input senderSiblings[levels][3];
    signal input recipientOwner;
    signal input recipientKey[2];
    signal input recipientNonce;
    signal input recipientBalance;
    signal input recipientSiblings[levels][3];

    signal output packed;
    signal output contribution[tokens];
    signal output rootAfter;

    // What is posted
    component fromBits = Num2Bits(2 * levels);
    fromBits.in <== from;
    component toBits = Num2Bits(2 * levels);
    toBits.in <== to;
    component amount = Float40();
    amount.encoded <== amountFloat;
    component fee = Fee8();
    fee.encoded <== feeByte;

    var indexBytes = (2 * levels + 7) \ 8;
    var unpadded = feeByte + amountFloat * (1 << 8) + to * (1 << 48);
    packed <== unpadded + from * (1 << (48 + 8 * indexBytes));

    component isPadding = IsZero();
    isPadding.in <== from;
    isPadding.out * unpadded === 0;
    signal enabled <== 1 - isPadding.out;

    // The two accounts before
    component tokenRange = Range(16);
    tokenRange.in <== token;
    component senderOwnerRange = Range(160);
    senderOwnerRange.in <== senderOwner;
    component senderNonceRange = NonceRange();
    senderNonceRange.nonce <== senderNonce;
    senderNonceRange.isMaximum === 0;
    component senderBalanceRange = Range(128);
    senderBalanceRange.in <== senderBalance;
    component recipientOwnerRange = Range(160);
    recipientOwnerRange.in <== recipientOwner;
    component recipientNonceRange = Range(32);
    recipientNonceRange.in <== recipientNonce;
    component recipientBalanceRange = Range(128);
    recipientBalanceRange.in <== recipientBalance;

    // The two balances after. amount < 2^138 and fee < 2^54, so nothing wraps around the field; the first range also
    // gives amount < 2^128, as the message requires.
    signal senderBalanceAfter <== senderBalance - amount.value - fee.value;
    component senderBalanceAfterRange = Range(128);
    senderBalanceAfterRange.in <== senderBalanceAfter;
    signal recipientBalanceAfter <== recipientBalance + amount.value;
    component recipientBalanceAfterRange = Range(128);
    recipientBalanceAfterRange.in <== recipientBalanceAfter;

    // Signature and expiry
    component expiryRange = Range(40);
    expiryRange.in <== expiry;
    component timeLeftRange = Range(40);
    timeLeftRange.in <== expiry - timestamp;
    component message = OperationMessage();
    message.domain <== domain;
    message.kind <== 3;
    message.account <== from;
    message.to <== to;
    message.amount <== amount.value;
    message.nonce <== senderNonce;
    message.owner <== recipientOwner;
    message.token <== token;
    message.fee <== feeByte;
    message.expiry <== expiry;
    message.key <== recipientKey;
    component signature = Signature();
    signature.enabled <== enabled;
    signature.key <== senderKey;
    signature.r8 <== r8;
    signature.s <== s;
    signature.message <== message.message;

    // The sender's leaf, then, in the tree after that, the recipient's (possibly the same)
    component senderBefore = AccountLeaf();
    component senderAfter = AccountLeaf();
    senderBefore.owner <== senderOwner;
    senderBefore.key <== senderKey;
    senderBefore.token <== token;
    senderBefore.nonce <== senderNonce;
    senderBefore.balance <== senderBalance;
    senderAfter.owner <== senderOwner;
    senderAfter.key <== senderKey;
    senderAfter.token <== token;
    senderAfter.nonce <== senderNonce + 1;
    senderAfter.balance <== senderBalanceAfter;
    component senderUpdate = LeafUpdate(levels);
    senderUpdate.indexBits <== fromBits.out;
    senderUpdate.leafBefore <== enabled * senderBefore.leaf;
    senderUpdate.leafAfter <== enabled * senderAfter.leaf;
    senderUpdate.siblings <== senderSiblings;
    senderUpdate.rootBefore === rootBefore;

    component recipientBefore = AccountLeaf();
    component recipientAfter = AccountLeaf();
    recipientBefore.owner <== recipientOwner;
    recipientBefore.key <== recipientKey;
    recipientBefore.token <== token;
    recipientBefore.nonce <== recipientNonce;
    recipientBefore.balance <== recipientBalance;
    recipientAfter.owner <== recipientOwner;
    recipientAfter.key <== recipientKey;
    recipientAfter.token <== token;
    recipientAfter.nonce <== recipientNonce;
    recipientAfter.balance <== recipientBalanceAfter;
    component recipientUpdate = LeafUpdate(levels);
    recipientUpdate.indexBits <== toBits.out;
    recipientUpdate.leafBefore <== enabled * recipientBefore.leaf;
    recipientUpdate.leafAfter <== enabled * recipientAfter.leaf;
    recipientUpdate.siblings <== recipientSiblings;
    recipientUpdate.rootBefore === senderUpdate.rootAfter;
    rootAfter <== recipientUpdate.rootAfter;

    // The fee
    component feeSlot = FeeSlot(tokens);
    feeSlot.token <== token;
    feeSlot.fee <== fee.value;
    feeSlot.slotToken <== slotToken;
    feeSlot.inSlot <== inSlot;
    contribution <== feeSlot.contribution;
}
