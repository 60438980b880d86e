// SPDX-License-Identifier: GPL-3.0
// Segment of up to n plain transfers (docs/protocol.md §5).
pragma circom 2.2.3;

include "lib/account.circom";
include "lib/binding.circom";
include "lib/transfer.circom";

// levels: of the state tree, 1 … 16. n: transfers, at least 1. tokens: fee slots, at least 1.
// Public: z, D, y. All other inputs are private; the data vector binds them to what is posted.
template Transfers(levels, n, tokens) {
    assert(levels >= 1 && levels <= 16);

    signal input z;
    signal input D;
    signal input y;

    signal input domain;
    signal input timestamp;
    signal input rootBefore;
    signal input slotToken[tokens];

    signal input from[n];
    signal input to[n];
    signal input amountFloat[n];
    signal input feeByte[n];
    signal input expiry[n];
    signal input r8[n][2];
    signal input s[n];
    signal input inSlot[n][tokens];

    signal input token[n];
    signal input senderOwner[n];
    signal input senderKey[n][2];
    signal input senderNonce[n];
    signal input senderBalance[n];
    signal input senderSiblings[n][levels][3];
    signal input recipientOwner[n];
    signal input recipientKey[n][2];
    signal input recipientNonce[n];
    signal input recipientBalance[n];
    signal input recipientSiblings[n][levels][3];

    component timestampRange = Range(40);
    timestampRange.in <== timestamp;
    component slotTokenRange[tokens];
    for (var j = 0; j < tokens; j++) {
        slotTokenRange[j] = Range(16);
        slotTokenRange[j].in <== slotToken[j];
    }

    component transfer[n];
    var feeSum[tokens];
    for (var i = 0; i < n; i++) {
        transfer[i] = Transfer(levels, tokens);
        transfer[i].domain <== domain;
        transfer[i].timestamp <== timestamp;
        transfer[i].slotToken <== slotToken;
        transfer[i].rootBefore <== i == 0 ? rootBefore : transfer[i - 1].rootAfter;
        transfer[i].from <== from[i];
        transfer[i].to <== to[i];
        transfer[i].amountFloat <== amountFloat[i];
        transfer[i].feeByte <== feeByte[i];
        transfer[i].expiry <== expiry[i];
        transfer[i].r8 <== r8[i];
        transfer[i].s <== s[i];
        transfer[i].inSlot <== inSlot[i];
        transfer[i].token <== token[i];
        transfer[i].senderOwner <== senderOwner[i];
        transfer[i].senderKey <== senderKey[i];
        transfer[i].senderNonce <== senderNonce[i];
        transfer[i].senderBalance <== senderBalance[i];
        transfer[i].senderSiblings <== senderSiblings[i];
        transfer[i].recipientOwner <== recipientOwner[i];
        transfer[i].recipientKey <== recipientKey[i];
        transfer[i].recipientNonce <== recipientNonce[i];
        transfer[i].recipientBalance <== recipientBalance[i];
        transfer[i].recipientSiblings <== recipientSiblings[i];
        for (var j = 0; j < tokens; j++) {
            feeSum[j] += transfer[i].contribution[j];
        }
    }

    var pairs = (n + 1) \ 2;
    var width = 48 + 16 * ((2 * levels + 7) \ 8);
    component binding = DataBinding(4 + tokens + pairs);
    binding.z <== z;
    binding.D <== D;
    binding.y <== y;
    binding.data[0] <== domain;
    binding.data[1] <== rootBefore;
    binding.data[2] <== transfer[n - 1].rootAfter;
    binding.data[3] <== timestamp;
    for (var j = 0; j < tokens; j++) {
        binding.data[4 + j] <== feeSum[j] + slotToken[j] * (1 << 128);
    }
    for (var p = 0; p < pairs; p++) {
        var second = 2 * p + 1 < n ? transfer[2 * p + 1].packed : 0;
        binding.data[4 + tokens + p] <== transfer[2 * p].packed * (1 << width) + second;
    }
}
