// SPDX-License-Identifier: GPL-3.0
// Segment of up to m operations of any kinds (docs/protocol.md §5).
pragma circom 2.2.3;

include "lib/account.circom";
include "lib/binding.circom";
include "lib/operation.circom";

// levels: of the state tree, 1 … 16. m: operations, at least 1. tokens: fee slots, at least 1.
// Public: z, D, y. All other inputs are private; the data vector binds them to what is posted.
template Operations(levels, m, tokens) {
    assert(levels >= 1 && levels <= 16);

    signal input z;
    signal input D;
    signal input y;

    signal input domain;
    signal input timestamp;
    signal input rootBefore;
    signal input nextIndexBefore;
    signal input slotToken[tokens];

    signal input isKind[m][7];
    signal input account[m];
    signal input token[m];
    signal input feeByte[m];
    signal input amount[m];
    signal input owner[m];
    signal input key[m][2];
    signal input expiry[m];
    signal input r8[m][2];
    signal input s[m];
    signal input inSlot[m][tokens];

    signal input accountExists[m];
    signal input accountOwner[m];
    signal input accountKey[m][2];
    signal input accountToken[m];
    signal input accountNonce[m];
    signal input accountBalance[m];
    signal input accountSiblings[m][levels][3];
    signal input targetIndex[m];
    signal input targetOwner[m];
    signal input targetKey[m][2];
    signal input targetNonce[m];
    signal input targetBalance[m];
    signal input targetSiblings[m][levels][3];

    component timestampRange = Range(40);
    timestampRange.in <== timestamp;
    component nextIndexRange = Range(2 * levels + 1);
    nextIndexRange.in <== nextIndexBefore;
    component slotTokenRange[tokens];
    for (var j = 0; j < tokens; j++) {
        slotTokenRange[j] = Range(16);
        slotTokenRange[j].in <== slotToken[j];
    }

    component operation[m];
    var feeSum[tokens];
    for (var i = 0; i < m; i++) {
        operation[i] = Operation(levels, tokens);
        operation[i].domain <== domain;
        operation[i].timestamp <== timestamp;
        operation[i].slotToken <== slotToken;
        operation[i].rootBefore <== i == 0 ? rootBefore : operation[i - 1].rootAfter;
        operation[i].nextIndexBefore <== i == 0 ? nextIndexBefore : operation[i - 1].nextIndexAfter;
        operation[i].isKind <== isKind[i];
        operation[i].account <== account[i];
        operation[i].token <== token[i];
        operation[i].feeByte <== feeByte[i];
        operation[i].amount <== amount[i];
        operation[i].owner <== owner[i];
        operation[i].key <== key[i];
        operation[i].expiry <== expiry[i];
        operation[i].r8 <== r8[i];
        operation[i].s <== s[i];
        operation[i].inSlot <== inSlot[i];
        operation[i].accountExists <== accountExists[i];
        operation[i].accountOwner <== accountOwner[i];
        operation[i].accountKey <== accountKey[i];
        operation[i].accountToken <== accountToken[i];
        operation[i].accountNonce <== accountNonce[i];
        operation[i].accountBalance <== accountBalance[i];
        operation[i].accountSiblings <== accountSiblings[i];
        operation[i].targetIndex <== targetIndex[i];
        operation[i].targetOwner <== targetOwner[i];
        operation[i].targetKey <== targetKey[i];
        operation[i].targetNonce <== targetNonce[i];
        operation[i].targetBalance <== targetBalance[i];
        operation[i].targetSiblings <== targetSiblings[i];
        for (var j = 0; j < tokens; j++) {
            feeSum[j] += operation[i].contribution[j];
        }
    }

    component binding = DataBinding(4 + tokens + 4 * m);
    binding.z <== z;
    binding.D <== D;
    binding.y <== y;
    binding.data[0] <== domain;
    binding.data[1] <== rootBefore;
    binding.data[2] <== operation[m - 1].rootAfter;
    binding.data[3] <== timestamp + nextIndexBefore * (1 << 40) + operation[m - 1].nextIndexAfter * (1 << 80);
    for (var j = 0; j < tokens; j++) {
        binding.data[4 + j] <== feeSum[j] + slotToken[j] * (1 << 128);
    }
    for (var i = 0; i < m; i++) {
        for (var e = 0; e < 4; e++) {
            binding.data[4 + tokens + 4 * i + e] <== operation[i].elements[e];
        }
    }
}
