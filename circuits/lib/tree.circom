// SPDX-License-Identifier: GPL-3.0
// The state tree (docs/protocol.md §2): arity 4, Poseidon nodes. May include circomlib only.
pragma circom 2.2.3;

include "circomlib/circuits/bitify.circom";
include "circomlib/circuits/poseidon.circom";

// Selects a child position by two bits: isAt[p] = 1 exactly when position = low + 2·high = p.
// The caller must have made both bits boolean.
template ChildPosition() {
    signal input low;
    signal input high;
    signal output isAt[4];

    isAt[3] <== low * high;
    isAt[2] <== high - isAt[3];
    isAt[1] <== low - isAt[3];
    isAt[0] <== 1 - low - high + isAt[3];
}

// One level of the tree: two nodes that differ in one child only, whose position is low + 2·high.
// siblings are the other three children in child order; both nodes share them, so nothing else can change.
template TreeLevel() {
    signal input low;
    signal input high;
    signal input before;
    signal input after;
    signal input siblings[3];
    signal output nodeBefore;
    signal output nodeAfter;

    component position = ChildPosition();
    position.low <== low;
    position.high <== high;

    // child₀ is `before` at position 0, else siblings[0]; child₃ mirrors it; child₁ is siblings[0] when `before` stands
    // left of it. The four children are the siblings and `before` in some order, so their sum gives child₂.
    signal fromLeft <== position.isAt[0] * (before - siblings[0]);
    signal fromRight <== position.isAt[3] * (before - siblings[2]);
    signal shifted <== position.isAt[0] * (siblings[0] - siblings[1]);
    signal placed <== position.isAt[1] * (before - siblings[1]);

    var child[4];
    child[0] = siblings[0] + fromLeft;
    child[3] = siblings[2] + fromRight;
    child[1] = siblings[1] + shifted + placed;
    child[2] = siblings[0] + siblings[1] + siblings[2] + before - child[0] - child[1] - child[3];

    signal change[4];
    change[0] <== position.isAt[0] * (after - before);
    change[1] <== position.isAt[1] * (after - before);
    change[3] <== position.isAt[3] * (after - before);
    change[2] <== after - before - change[0] - change[1] - change[3];

    component hashBefore = Poseidon(4);
    component hashAfter = Poseidon(4);
    for (var c = 0; c < 4; c++) {
        hashBefore.inputs[c] <== child[c];
        hashAfter.inputs[c] <== child[c] + change[c];
    }
    nodeBefore <== hashBefore.out;
    nodeAfter <== hashAfter.out;
}

// Replaces one leaf: rootBefore holds leafBefore at the index given by 2·levels boolean bits (least significant first)
// and rootAfter is the same tree with leafAfter in its place. siblings[0] are those of the leaf.
template LeafUpdate(levels) {
    signal input indexBits[2 * levels];
    signal input leafBefore;
    signal input leafAfter;
    signal input siblings[levels][3];
    signal output rootBefore;
    signal output rootAfter;

    component level[levels];
    for (var k = 0; k < levels; k++) {
        level[k] = TreeLevel();
        level[k].low <== indexBits[2 * k];
        level[k].high <== indexBits[2 * k + 1];
        level[k].before <== k == 0 ? leafBefore : level[k - 1].nodeBefore;
        level[k].after <== k == 0 ? leafAfter : level[k - 1].nodeAfter;
        level[k].siblings <== siblings[k];
    }
    rootBefore <== level[levels - 1].nodeBefore;
    rootAfter <== level[levels - 1].nodeAfter;
}
