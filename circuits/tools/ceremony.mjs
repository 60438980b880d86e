// SPDX-License-Identifier: GPL-3.0
// Runs one step of a Groth16 phase 2 ceremony with snarkjs, for layer2/zk/ceremony.py.
//
// The request is one JSON object on standard input, so that entropy never appears in a list of processes. The answer is one
// JSON object on standard output: `result`, the `info` lines, and `errors` (none when all went well).

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const snarkjs = require("snarkjs");

const hex = (hash) => (hash instanceof Uint8Array ? Buffer.from(hash).toString("hex") : null);

const steps = {
    powers: (r, log) => snarkjs.powersOfTau.verify(r.ptau, log),
    new: async (r, log) => hex(await snarkjs.zKey.newZKey(r.r1cs, r.ptau, r.output, log)),
    contribute: async (r, log) => hex(await snarkjs.zKey.contribute(r.zkey, r.output, r.name, r.entropy, log)),
    beacon: async (r, log) => hex(await snarkjs.zKey.beacon(r.zkey, r.output, r.name, r.value, r.iterations, log)),
    verify: (r, log) => snarkjs.zKey.verifyFromR1cs(r.r1cs, r.ptau, r.zkey, log),
    verificationKey: (r) => snarkjs.zKey.exportVerificationKey(r.zkey),
    solidity: (r) => {
        const folder = join(dirname(require.resolve("snarkjs")), "..", "templates");
        const groth16 = readFileSync(join(folder, "verifier_groth16.sol.ejs"), "utf8");
        return snarkjs.zKey.exportSolidityVerifier(r.zkey, { groth16 });
    },
};

const request = JSON.parse(readFileSync(0, "utf8"));
const answer = { result: null, info: [], errors: [] };
// Some of snarkjs's findings go to the console only.
console.log = (text) => answer.errors.push(String(text));
const log = {
    debug: () => {},
    info: (text) => answer.info.push(text),
    warn: (text) => answer.errors.push(text),
    error: (text) => answer.errors.push(text),
};
try {
    answer.result = await steps[request.step](request, log);
} catch (error) {
    answer.errors.push(String(error?.message ?? error));
}
process.stdout.write(JSON.stringify(answer), () => process.exit(0));
