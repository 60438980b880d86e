// SPDX-License-Identifier: GPL-3.0
// One operation of any kind (docs/protocol.md §4; §5, segment Operations).
pragma circom 2.2.3;

include "circomlib/circuits/bitify.circom";
include "circomlib/circuits/comparators.circom";
include "circomlib/circuits/poseidon.circom";
include "account.circom";
include "amounts.circom";
include "fees.circom";
include "message.circom";
include "signature.circom";
include "tree.circom";

// Every operation opens two leaves. A is leaf(account). B is the recipient of a transfer, the leaf at nextIndex when an
// account is created, and otherwise leaf 0, which is never used. A used leaf is a Poseidon hash and so not 0; an unused one is
// 0: whether a leaf exists is therefore proved by opening it, in both directions, and no outcome is the prover's choice.
//
// Inputs named account… and target… are the two accounts before the operation; where a leaf is unused they are free, but must
// pass their range checks. isKind is one-hot over kinds 0 … 6. key is the slot's.
// elements are the slot's four elements of the data vector.
// Requires: timestamp < 2^40; slotToken[j] < 2^16; domain is the rollup's.
template Operation(levels, tokens) {
    var PADDING = 0;
    var DEPOSIT = 1;
    var FORCED_WITHDRAWAL = 2;
    var TRANSFER = 3;
    var TRANSFER_TO_NEW = 4;
    var WITHDRAWAL = 5;
    var KEY_CHANGE = 6;
    var KINDS = 7;

    signal input domain;
    signal input timestamp;
    signal input slotToken[tokens];
    signal input rootBefore;
    signal input nextIndexBefore;

    signal input isKind[KINDS];
    signal input account;
    signal input token;
    signal input feeByte;
    signal input amount;
    signal input owner;
    signal input key[2];
    signal input expiry;
    signal input r8[2];
    signal input s;
    signal input inSlot[tokens];

    signal input accountExists;
    signal input accountOwner;
    signal input accountKey[2];
    signal input accountToken;
    signal input accountNonce;
    signal input accountBalance;
    signal input accountSiblings[levels][3];
    signal input targetIndex;
    signal input targetOwner;
    signal input targetKey[2];
    signal input targetNonce;
    signal input targetBalance;
    signal input targetSiblings[levels][3];

    signal output elements[4];
    signal output contribution[tokens];
    signal output rootAfter;
    signal output nextIndexAfter;

    // Kind
    var kind = 0;
    var kinds = 0;
    for (var k = 0; k < KINDS; k++) {
        isKind[k] * (isKind[k] - 1) === 0;
        kind += k * isKind[k];
        kinds += isKind[k];
    }
    kinds === 1;
    signal isSigned <== isKind[TRANSFER] + isKind[TRANSFER_TO_NEW] + isKind[WITHDRAWAL] + isKind[KEY_CHANGE];

    // Ranges of what is posted (key coordinates are any field elements)
    component accountBits = Num2Bits(2 * levels);
    accountBits.in <== account;
    component targetBits = Num2Bits(2 * levels);
    targetBits.in <== targetIndex;
    component tokenRange = Range(16);
    tokenRange.in <== token;
    component fee = Fee8();
    fee.encoded <== feeByte;
    component amountRange = Range(128);
    amountRange.in <== amount;
    component ownerRange = Range(160);
    ownerRange.in <== owner;

    // The two accounts before. B's token is always the slot's: a transfer's recipient must hold the sender's token.
    accountExists * (accountExists - 1) === 0;
    component accountOwnerRange = Range(160);
    accountOwnerRange.in <== accountOwner;
    component accountTokenRange = Range(16);
    accountTokenRange.in <== accountToken;
    component accountNonceRange = NonceRange();
    accountNonceRange.nonce <== accountNonce;
    component accountBalanceRange = Range(128);
    accountBalanceRange.in <== accountBalance;
    component targetOwnerRange = Range(160);
    targetOwnerRange.in <== targetOwner;
    component targetNonceRange = Range(32);
    targetNonceRange.in <== targetNonce;
    component targetBalanceRange = Range(128);
    targetBalanceRange.in <== targetBalance;

    // L1 operations: outcomes
    component ownerEqual = IsEqual();
    ownerEqual.in[0] <== accountOwner;
    ownerEqual.in[1] <== owner;
    component tokenEqual = IsEqual();
    tokenEqual.in[0] <== accountToken;
    tokenEqual.in[1] <== token;
    component keyEqual[2];
    for (var c = 0; c < 2; c++) {
        keyEqual[c] = IsEqual();
        keyEqual[c].in[0] <== accountKey[c];
        keyEqual[c].in[1] <== key[c];
    }
    component isFull = IsEqual();
    isFull.in[0] <== nextIndexBefore;
    isFull.in[1] <== 1 << (2 * levels);
    signal ownsAccount <== accountExists * ownerEqual.out;
    signal accountMatches <== ownsAccount * tokenEqual.out;
    signal keyMatches <== keyEqual[0].out * keyEqual[1].out;
    signal holderMatches <== accountMatches * keyMatches;
    signal depositMatches <== isKind[DEPOSIT] * holderMatches;
    signal depositCreates <== (isKind[DEPOSIT] - depositMatches) * (1 - isFull.out);
    signal isForced <== isKind[FORCED_WITHDRAWAL] * ownsAccount;
    signal creates <== depositCreates + isKind[TRANSFER_TO_NEW];

    // Index of B, and `to`
    signal newIndex <== creates * nextIndexBefore;
    (1 - isKind[TRANSFER]) * targetIndex === newIndex;
    signal matchedIndex <== depositMatches * account;
    signal signedTo <== isKind[TRANSFER] * targetIndex;
    var to = targetIndex + matchedIndex;
    nextIndexAfter <== nextIndexBefore + creates;

    // token and amount: the account's where the account decides, chosen in a deposit (token) or where the kind has one (amount)
    signal decidedToken <== (isSigned + isForced) * accountToken;
    (1 - isKind[DEPOSIT]) * token === decidedToken;
    signal forcedAmount <== isForced * accountBalance;
    (isKind[PADDING] + isKind[FORCED_WITHDRAWAL] + isKind[KEY_CHANGE]) * amount === forcedAmount;

    // Fields that a kind does not use are zero
    isKind[PADDING] * account === 0;
    (1 - isSigned) * feeByte === 0;
    (isKind[PADDING] + isKind[TRANSFER] + isKind[KEY_CHANGE]) * owner === 0;
    var noKey = isKind[PADDING] + isKind[FORCED_WITHDRAWAL] + isKind[TRANSFER] + isKind[WITHDRAWAL];
    noKey * key[0] === 0;
    noKey * key[1] === 0;

    // owner: the account's in a withdrawal, not zero for a new account by transfer. New keys by signature are on the curve.
    isKind[WITHDRAWAL] * (1 - ownerEqual.out) === 0;
    component ownerIsZero = IsZero();
    ownerIsZero.in <== owner;
    isKind[TRANSFER_TO_NEW] * ownerIsZero.out === 0;
    component keyDefect = CurveDefect();
    keyDefect.point <== key;
    (isKind[TRANSFER_TO_NEW] + isKind[KEY_CHANGE]) * keyDefect.defect === 0;

    // Signed operations: account, nonce, expiry, signature. Without one, the key is replaced by the base point, so that an
    // account with an unusable key cannot make the circuit unsatisfiable.
    isSigned * (1 - accountExists) === 0;
    isSigned * accountNonceRange.isMaximum === 0;
    component expiryRange = Range(40);
    expiryRange.in <== expiry;
    component timeLeftRange = Range(40);
    timeLeftRange.in <== expiry - timestamp;
    // Owner and key that money goes to: the slot's, which are zero in a transfer, or there the recipient's. Sums select.
    signal recipientOwner <== isKind[TRANSFER] * targetOwner;
    signal signedKey[2];
    for (var c = 0; c < 2; c++) {
        signedKey[c] <== key[c] + isKind[TRANSFER] * targetKey[c];
    }
    component message = OperationMessage();
    message.domain <== domain;
    message.kind <== kind;
    message.account <== account;
    message.to <== signedTo;
    message.amount <== amount;
    message.nonce <== accountNonce;
    message.owner <== owner + recipientOwner;
    message.token <== token;
    message.fee <== feeByte;
    message.expiry <== expiry;
    message.key <== signedKey;
    var BASE8[2] = basePoint();
    component signature = Signature();
    signature.enabled <== isSigned;
    for (var c = 0; c < 2; c++) {
        signature.key[c] <== BASE8[c] + isSigned * (accountKey[c] - BASE8[c]);
    }
    signature.r8 <== r8;
    signature.s <== s;
    signature.message <== message.message;

    // Leaf A after. The range also enforces amount + fee <= balance.
    signal accountChange <== (depositMatches - isKind[FORCED_WITHDRAWAL] - isSigned) * amount;
    signal accountBalanceAfter <== accountBalance + accountChange - fee.value;
    component accountBalanceAfterRange = Range(128);
    accountBalanceAfterRange.in <== accountBalanceAfter;
    component accountBefore = AccountLeaf();
    component accountAfter = AccountLeaf();
    accountBefore.owner <== accountOwner;
    accountBefore.key <== accountKey;
    accountBefore.token <== accountToken;
    accountBefore.nonce <== accountNonce;
    accountBefore.balance <== accountBalance;
    accountAfter.owner <== accountOwner;
    for (var c = 0; c < 2; c++) {
        accountAfter.key[c] <== accountKey[c] + isKind[KEY_CHANGE] * (key[c] - accountKey[c]);
    }
    accountAfter.token <== accountToken;
    accountAfter.nonce <== accountNonce + isSigned;
    accountAfter.balance <== accountBalanceAfter;
    component accountUpdate = LeafUpdate(levels);
    accountUpdate.indexBits <== accountBits.out;
    accountUpdate.leafBefore <== accountExists * accountBefore.leaf;
    accountUpdate.leafAfter <== accountExists * accountAfter.leaf;
    accountUpdate.siblings <== accountSiblings;
    accountUpdate.rootBefore === rootBefore;

    // Leaf B before: used in a transfer only. After: the same with a larger balance, or the new account. The slot's owner and key
    // are zero in a transfer, so sums select.
    signal targetBalanceBefore <== isKind[TRANSFER] * targetBalance;
    signal targetBalanceAfter <== targetBalanceBefore + amount;
    component targetBalanceAfterRange = Range(128);
    targetBalanceAfterRange.in <== targetBalanceAfter;
    component targetBefore = AccountLeaf();
    component targetAfter = AccountLeaf();
    targetBefore.owner <== targetOwner;
    targetBefore.key <== targetKey;
    targetBefore.token <== token;
    targetBefore.nonce <== targetNonce;
    targetBefore.balance <== targetBalance;
    targetAfter.owner <== owner + recipientOwner;
    for (var c = 0; c < 2; c++) {
        targetAfter.key[c] <== signedKey[c];
    }
    targetAfter.token <== token;
    targetAfter.nonce <== isKind[TRANSFER] * targetNonce;
    targetAfter.balance <== targetBalanceAfter;
    component targetUpdate = LeafUpdate(levels);
    targetUpdate.indexBits <== targetBits.out;
    targetUpdate.leafBefore <== isKind[TRANSFER] * targetBefore.leaf;
    targetUpdate.leafAfter <== (isKind[TRANSFER] + creates) * targetAfter.leaf;
    targetUpdate.siblings <== targetSiblings;
    targetUpdate.rootBefore === accountUpdate.rootAfter;
    rootAfter <== targetUpdate.rootAfter;

    // The fee
    component feeSlot = FeeSlot(tokens);
    feeSlot.token <== token;
    feeSlot.fee <== fee.value;
    feeSlot.slotToken <== slotToken;
    feeSlot.inSlot <== inSlot;
    contribution <== feeSlot.contribution;

    // The slot's elements
    elements[0] <== amount + feeByte * (1 << 128) + token * (1 << 136) + to * (1 << 152) + account * (1 << 184)
        + kind * (1 << 216);
    elements[1] <== owner;
    elements[2] <== key[0];
    elements[3] <== key[1];
}
