// SPDX-License-Identifier: GPL-3.0
// Fee sums per token (docs/protocol.md §5.1, elements d₄ …). May include circomlib only.
pragma circom 2.2.3;

include "circomlib/circuits/comparators.circom";

// Assigns one fee to one of the segment's `tokens` fee slots. A fee other than zero picks exactly one slot, which must be of
// the fee's token; a zero fee picks none. contribution[j] is what slot j's sum grows by.
template FeeSlot(tokens) {
    signal input token;
    signal input fee;
    signal input slotToken[tokens];
    signal input inSlot[tokens];
    signal output contribution[tokens];

    component isZero = IsZero();
    isZero.in <== fee;
    var chosen = 0;
    for (var j = 0; j < tokens; j++) {
        inSlot[j] * (inSlot[j] - 1) === 0;
        inSlot[j] * (slotToken[j] - token) === 0;
        contribution[j] <== inSlot[j] * fee;
        chosen += inSlot[j];
    }
    chosen === 1 - isZero.out;
}
