// SPDX-License-Identifier: GPL-3.0
// Amount encodings (docs/protocol.md §3). May include circomlib only.
pragma circom 2.2.3;

include "circomlib/circuits/bitify.circom";

// mantissa · 10^exponent, the exponent given by its boolean bits, least significant first.
// exponentBits <= 5 keeps the result of a 35-bit mantissa below 2^138, far from the field's order.
template Decimal(exponentBits) {
    signal input mantissa;
    signal input exponent[exponentBits];
    signal output value;

    signal product[exponentBits + 1];
    product[0] <== mantissa;
    var power = 10;
    for (var i = 0; i < exponentBits; i++) {
        product[i + 1] <== product[i] * (1 + exponent[i] * (power - 1));
        power = power * power;
    }
    value <== product[exponentBits];
}

// Decodes a float40: exponent in the top 5 bits, mantissa in the low 35. Enforces encoded < 2^40.
template Float40() {
    signal input encoded;
    signal output value;

    component bits = Num2Bits(40);
    bits.in <== encoded;
    component decimal = Decimal(5);
    var mantissa = 0;
    for (var i = 0; i < 35; i++) {
        mantissa += bits.out[i] * (1 << i);
    }
    decimal.mantissa <== mantissa;
    for (var i = 0; i < 5; i++) {
        decimal.exponent[i] <== bits.out[35 + i];
    }
    value <== decimal.value;
}

// Decodes a fee8: exponent in the high nibble, mantissa in the low. Enforces encoded < 2^8.
template Fee8() {
    signal input encoded;
    signal output value;

    component bits = Num2Bits(8);
    bits.in <== encoded;
    component decimal = Decimal(4);
    decimal.mantissa <== bits.out[0] + 2 * bits.out[1] + 4 * bits.out[2] + 8 * bits.out[3];
    for (var i = 0; i < 4; i++) {
        decimal.exponent[i] <== bits.out[4 + i];
    }
    value <== decimal.value;
}
