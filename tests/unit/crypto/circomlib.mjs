// The reference: answers a JSON list of questions on stdin with circomlibjs, all numbers as decimal strings.
//   {poseidon: [inputs]}                       -> hash
//   {multiply: [x, y, scalar]}                 -> [x, y]
//   {onCurve: [x, y]}                          -> boolean
//   {verify: [ax, ay, r8x, r8y, s, message]}   -> boolean
//   {sign: [hexSeed, message]}                 -> [ax, ay, r8x, r8y, s] of circomlib's own key derivation
import { readFileSync } from "node:fs";
import { buildBabyjub, buildEddsa, buildPoseidon } from "circomlibjs";

const babyjub = await buildBabyjub();
const eddsa = await buildEddsa();
const poseidon = await buildPoseidon();
const F = babyjub.F;
const point = (x, y) => [F.e(x), F.e(y)];
const text = (element) => F.toObject(element).toString();

const answers = {
    poseidon: (inputs) => text(poseidon(inputs.map(BigInt))),
    multiply: ([x, y, scalar]) => babyjub.mulPointEscalar(point(x, y), BigInt(scalar)).map(text),
    onCurve: ([x, y]) => babyjub.inCurve(point(x, y)),
    verify: ([ax, ay, rx, ry, s, message]) =>
        eddsa.verifyPoseidon(F.e(message), { R8: point(rx, ry), S: BigInt(s) }, point(ax, ay)),
    sign: ([seed, message]) => {
        const secret = Buffer.from(seed, "hex");
        const signature = eddsa.signPoseidon(secret, F.e(message));
        return [...eddsa.prv2pub(secret).map(text), ...signature.R8.map(text), signature.S.toString()];
    },
};

const questions = JSON.parse(readFileSync(0, "utf8"));
const result = questions.map((question) => {
    const [[name, value]] = Object.entries(question);
    return answers[name](value);
});
process.stdout.write(JSON.stringify(result), () => process.exit(0));
