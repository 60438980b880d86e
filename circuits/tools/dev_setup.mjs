// SPDX-License-Identifier: GPL-3.0
// Makes Groth16 DEVELOPMENT keys: `node circuits/tools/dev_setup.mjs circuit.r1cs circuit.zkey`.
//
// INSECURE BY DESIGN: the secrets (tau, alpha, beta, delta) come from a public text, so anybody can forge proofs for these
// keys. They exist because a powers-of-tau file needs a download and snarkjs's phase 2 takes minutes to hours; knowing the
// secrets, the same key is a matter of seconds and the result is the same on every machine. Real keys: `ape run ceremony`.
//
// Output is snarkjs's .zkey format (Groth16, BN254), so every tool that reads those works with it. tau, alpha and beta are the same for
// all circuits, gamma is 1 as in snarkjs, delta depends on the circuit. Formulas: Groth16, https://eprint.iacr.org/2016/260,
// with snarkjs's layout of H (odd Lagrange polynomials of the doubled domain).
//
// All field and curve arithmetic is ffjavascript's WebAssembly, called on addresses in its memory.

import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { buildBn128 } = createRequire(require.resolve("snarkjs"))("ffjavascript");

export const SEED = "layer2 development keys, INSECURE: everybody knows tau";

const WINDOW = 15; // bits of a window of the fixed-base tables
const WINDOWS = Math.ceil(254 / WINDOW);
const DIGITS = 1 << WINDOW;
const FR = 32; // bytes of a scalar, and of a base field element
const SCRATCH = 1 << 25; // bytes that functions of the curve may use for themselves
const R1CS_MAGIC = 0x73633172;

/** Reports progress on standard error, a line every two seconds at the most. */
function reporter(name) {
    let last = Date.now();
    return (what, done, total) => {
        if (done < total && Date.now() - last < 2000) return;
        last = Date.now();
        process.stderr.write(`${name}: ${what} ${Math.floor((100 * done) / total)} %\n`);
    };
}

/** Memory of the WebAssembly instance, handed out and never returned. */
class Arena {
    constructor(curve) {
        this.memory = curve.tm.memory;
        this.next = curve.tm.u32[0];
    }

    alloc(bytes) {
        const address = (this.next + 7) & ~7;
        this.next = address + bytes;
        const missing = this.next + SCRATCH - this.memory.buffer.byteLength;
        if (missing > 0) this.memory.grow(Math.ceil(missing / 65536));
        // Batch functions take their scratch memory from where this word points to.
        new Uint32Array(this.memory.buffer)[0] = (this.next + 7) & ~7;
        return address;
    }

    bytes(address, length) {
        return new Uint8Array(this.memory.buffer, address, length);
    }

    put(data) {
        const address = this.alloc(data.length);
        this.bytes(address, data.length).set(data);
        return address;
    }
}

/** Reads header and constraints of an .r1cs file over the field of order r. Throws an Error that names what is wrong with it. */
function readR1cs(path, r) {
    const file = readFileSync(path);
    if (file.length < 12 || file.readUInt32LE(0) !== R1CS_MAGIC) throw new Error(`${path} is no .r1cs file`);
    const cut = new Error(`${path} is cut short at byte ${file.length}: compile the circuit again`);
    const sections = new Map();
    for (let at = 12, left = file.readUInt32LE(8); left > 0; left--) {
        if (at + 12 > file.length) throw cut;
        const size = Number(file.readBigUInt64LE(at + 4));
        if (at + 12 + size > file.length) throw cut;
        sections.set(file.readUInt32LE(at), file.subarray(at + 12, at + 12 + size));
        at += 12 + size;
    }
    const header = sections.get(1);
    if (!header || !sections.get(2)) throw new Error(`${path} has no header or no constraints: compile the circuit again`);
    if (header.readUInt32LE(0) !== FR || !header.subarray(4, 4 + FR).equals(toBytes(r))) {
        throw new Error(`${path} is not over BN254's scalar field: compile the circuit for bn128`);
    }
    const [wires, outputs, inputs] = [0, 4, 8].map((offset) => header.readUInt32LE(4 + FR + offset));
    return {
        hash: createHash("sha256").update(file).digest(),
        constraints: header.readUInt32LE(4 + FR + 24),
        wires,
        publics: outputs + inputs,
        matrix: sections.get(2),
    };
}

/** Scalars, points and tables over one curve instance. */
class Maker {
    constructor(curve, report) {
        this.f = curve.tm.instance.exports;
        this.arena = new Arena(curve);
        this.report = report;
        // ffjavascript's own functions stop working when memory grows, so what they tell is asked first.
        this.r = curve.Fr.p;
        this.roots = curve.Fr.w.map((root) => curve.Fr.toObject(root));
        this.generators = [new Uint8Array(curve.G1.g), new Uint8Array(curve.G2.g)];
        this.one = this.scalar(1n);
    }

    /** Address of a scalar in Montgomery form. */
    scalar(value) {
        const address = this.arena.put(toBytes(value));
        this.f.frm_toMontgomery(address, address);
        return address;
    }

    /** Zeroed room for `count` scalars. */
    scalars(count) {
        const address = this.arena.alloc(count * FR);
        this.arena.bytes(address, count * FR).fill(0);
        return address;
    }

    /** Lagrange polynomials L_{first + i·step}(tau), i < count, of the domain with 2^power elements. */
    lagrange(tau, power, first, step, count) {
        const { r } = this;
        const n = 1n << BigInt(power);
        const root = this.roots[power];
        const factor = (mod(pow(tau, n, r) - 1n, r) * inverse(n, r)) % r;
        const stepRoot = pow(root, BigInt(step), r);
        const numerators = this.scalars(count);
        const denominators = this.scalars(count);
        const inverses = this.scalars(count);
        let point = pow(root, BigInt(first), r);
        for (let i = 0; i < count; i++) {
            this.arena.bytes(numerators + i * FR, FR).set(toBytes((factor * point) % r));
            this.arena.bytes(denominators + i * FR, FR).set(toBytes(mod(tau - point, r)));
            point = (point * stepRoot) % r;
        }
        this.f.frm_batchToMontgomery(numerators, count, numerators);
        this.f.frm_batchToMontgomery(denominators, count, denominators);
        this.f.frm_batchInverse(denominators, FR, count, inverses, FR);
        for (let i = 0; i < count; i++) this.f.frm_mul(numerators + i * FR, inverses + i * FR, numerators + i * FR);
        return numerators;
    }

    /** Multiplies `count` scalars in place by the one at `factor`. */
    scale(scalars, count, factor) {
        for (let i = 0; i < count; i++) this.f.frm_mul(scalars + i * FR, factor, scalars + i * FR);
    }

    /** A fixed-base table: entry (w, d) is d·2^(w·WINDOW)·generator in affine form; d = 0 is not used. */
    table(group, generator) {
        const { g, affine, jacobian } = this.group(group);
        const table = this.arena.alloc(WINDOWS * DIGITS * affine);
        const row = this.arena.alloc(DIGITS * jacobian);
        const base = this.arena.put(generator);
        for (let w = 0; w < WINDOWS; w++) {
            const start = table + w * DIGITS * affine;
            g("toAffine")(base, start + affine);
            g("zero")(row);
            for (let d = 1; d < DIGITS; d++) {
                g("addMixed")(row + (d - 1) * jacobian, start + affine, row + d * jacobian);
            }
            g("batchToAffine")(row, DIGITS, start);
            g("addMixed")(row + (DIGITS - 1) * jacobian, start + affine, base);
            this.report(`table ${group}`, w + 1, WINDOWS);
        }
        return table;
    }

    /** What differs between G1 and G2: functions by name, bytes of affine and Jacobian points. */
    group(name) {
        const prefix = name === "G1" ? "g1m_" : "g2m_";
        const coordinate = name === "G1" ? FR : 2 * FR;
        return { g: (f) => this.f[prefix + f], affine: 2 * coordinate, jacobian: 3 * coordinate };
    }

    /** The points scalarᵢ·generator in affine Montgomery form, as .zkey files hold them. */
    points(what, group, table, scalars, count) {
        const { g, affine, jacobian } = this.group(group);
        const [addMixed, zero, batchToAffine] = ["addMixed", "zero", "batchToAffine"].map(g);
        const result = Buffer.alloc(count * affine);
        const chunk = Math.min(count, 4096);
        const plain = this.arena.alloc(chunk * FR);
        const sums = this.arena.alloc(chunk * jacobian);
        const out = this.arena.alloc(chunk * affine);
        const words = new Uint32Array(this.arena.memory.buffer);
        for (let start = 0; start < count; start += chunk) {
            const size = Math.min(chunk, count - start);
            this.f.frm_batchFromMontgomery(scalars + start * FR, size, plain);
            for (let i = 0; i < size; i++) {
                const sum = sums + i * jacobian;
                zero(sum);
                for (let w = 0; w < WINDOWS; w++) {
                    const d = digit(words, (plain + i * FR) >>> 2, w * WINDOW);
                    if (d) addMixed(sum, table + (w * DIGITS + d) * affine, sum);
                }
            }
            batchToAffine(sums, size, out);
            result.set(this.arena.bytes(out, size * affine), start * affine);
            this.report(`points ${what}`, start + size, count);
        }
        return result;
    }

    /** One point. */
    point(group, table, scalar) {
        return this.points(group, group, table, scalar, 1);
    }
}

/** WINDOW bits of a 256-bit number of eight 32-bit words, from bit `bit` on. */
function digit(words, first, bit) {
    const word = first + (bit >>> 5);
    const shift = bit & 31;
    let value = words[word] >>> shift;
    if (shift + WINDOW > 32 && bit + 32 - shift < 256) value |= words[word + 1] << (32 - shift);
    return value & (DIGITS - 1);
}

const mod = (a, r) => ((a % r) + r) % r;

function pow(base, exponent, r) {
    let result = 1n;
    for (let b = base, e = exponent; e > 0n; e >>= 1n) {
        if (e & 1n) result = (result * b) % r;
        b = (b * b) % r;
    }
    return result;
}

const inverse = (a, r) => pow(a, r - 2n, r);

function toBytes(value) {
    const bytes = Buffer.alloc(FR);
    for (let i = 0, v = value; i < 4; i++, v >>= 64n) bytes.writeBigUInt64LE(v & 0xffffffffffffffffn, 8 * i);
    return bytes;
}

/** A secret that everybody can compute. */
function secret(label, r, ...more) {
    const hash = createHash("sha512").update(`${SEED}: ${label}`);
    for (const part of more) hash.update(part);
    return mod(BigInt("0x" + hash.digest("hex")), r - 1n) + 1n;
}

/**
 * Evaluates the circuit's polynomials at tau: a, b, c (scalars, one a wire), and the coefficient section of the .zkey.
 * Entries of A and B are kept times R² (Montgomery, twice), as snarkjs stores them.
 */
function evaluateMatrices(maker, r1cs, lagrange) {
    const { f, arena } = maker;
    const [a, b, c] = [0, 1, 2].map(() => maker.scalars(r1cs.wires));
    const data = arena.put(r1cs.matrix);
    const factor = arena.alloc(FR);
    const entry = arena.alloc(FR); // entries of the file are not aligned, scalars must be
    // Views are made when all memory is allocated: they are lost when it grows.
    const view = new DataView(arena.memory.buffer);
    const bytes = new Uint8Array(arena.memory.buffer);
    let entries = 0;
    for (let constraint = 0, at = data; constraint < r1cs.constraints; constraint++) {
        for (const matrix of [0, 1, 2]) {
            const terms = view.getUint32(at, true);
            at += 4 + terms * (4 + FR);
            if (matrix < 2) entries += terms;
        }
    }
    const size = 12 + FR;
    const coefficients = Buffer.alloc(4 + (entries + r1cs.publics + 1) * size);
    coefficients.writeUInt32LE(entries + r1cs.publics + 1, 0);
    let out = 4;
    const write = (matrix, constraint, wire, value) => {
        coefficients.writeUInt32LE(matrix, out);
        coefficients.writeUInt32LE(constraint, out + 4);
        coefficients.writeUInt32LE(wire, out + 8);
        f.frm_toMontgomery(value, factor);
        coefficients.set(arena.bytes(factor, FR), out + 12);
        out += size;
    };
    let at = data;
    for (let constraint = 0; constraint < r1cs.constraints; constraint++) {
        const point = lagrange + constraint * FR;
        for (const [matrix, target] of [a, b, c].entries()) {
            const terms = view.getUint32(at, true);
            at += 4;
            for (let t = 0; t < terms; t++, at += 4 + FR) {
                const wire = view.getUint32(at, true);
                bytes.copyWithin(entry, at + 4, at + 4 + FR);
                f.frm_toMontgomery(entry, entry);
                if (matrix < 2) write(matrix, constraint, wire, entry);
                f.frm_mul(entry, point, entry);
                f.frm_add(target + wire * FR, entry, target + wire * FR);
            }
        }
        maker.report("constraints", constraint + 1, r1cs.constraints);
    }
    // One constraint wire·0 = 0 for each public wire makes their polynomials independent (as snarkjs does).
    for (let wire = 0; wire <= r1cs.publics; wire++) {
        const constraint = r1cs.constraints + wire;
        f.frm_add(a + wire * FR, lagrange + constraint * FR, a + wire * FR);
        write(0, constraint, wire, maker.one);
    }
    return { a, b, c, coefficients };
}

/** Writes the key's sections to a file, which appears complete or not at all. */
function writeZkey(path, sections) {
    const temporary = `${path}.tmp`;
    const fd = openSync(temporary, "w");
    const header = Buffer.alloc(12);
    header.write("zkey", 0, "latin1");
    header.writeUInt32LE(1, 4);
    header.writeUInt32LE(sections.length, 8);
    writeSync(fd, header);
    for (const [type, ...parts] of sections) {
        const start = Buffer.alloc(12);
        start.writeUInt32LE(type, 0);
        start.writeBigUInt64LE(BigInt(parts.reduce((sum, part) => sum + part.length, 0)), 4);
        for (const part of [start, ...parts]) {
            for (let done = 0; done < part.length; ) done += writeSync(fd, part, done, Math.min(part.length - done, 1 << 28));
        }
    }
    closeSync(fd);
    renameSync(temporary, path);
}

function u32(value) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
}

/** Makes the development key of a circuit. */
async function setup(r1csPath, zkeyPath, name) {
    const curve = await buildBn128(true);
    const r1cs = readR1cs(r1csPath, curve.r);
    const maker = new Maker(curve, reporter(name));
    const { r } = maker;

    // The smallest domain, as snarkjs computes it.
    const power = Math.floor(Math.log2(r1cs.constraints + r1cs.publics)) + 1;
    const domain = 2 ** power;
    const [tau, alpha, beta] = ["tau", "alpha", "beta"].map((label) => secret(label, r));
    const delta = secret("delta", r, r1cs.hash);
    const [alphaAt, betaAt, deltaAt] = [alpha, beta, delta].map((value) => maker.scalar(value));
    const deltaInverse = maker.scalar(inverse(delta, r));

    const lagrange = maker.lagrange(tau, power, 0, 1, domain);
    const { a, b, c, coefficients } = evaluateMatrices(maker, r1cs, lagrange);
    // c becomes beta·a + alpha·b + c, over delta for private wires (gamma is 1).
    const term = maker.scalars(1);
    for (let wire = 0; wire < r1cs.wires; wire++) {
        const at = c + wire * FR;
        maker.f.frm_mul(a + wire * FR, betaAt, term);
        maker.f.frm_add(at, term, at);
        maker.f.frm_mul(b + wire * FR, alphaAt, term);
        maker.f.frm_add(at, term, at);
        if (wire > r1cs.publics) maker.f.frm_mul(at, deltaInverse, at);
    }
    const h = maker.lagrange(tau, power + 1, 1, 2, domain);
    maker.scale(h, domain, deltaInverse);

    const [g1, g2] = [maker.table("G1", maker.generators[0]), maker.table("G2", maker.generators[1])];
    const publics = r1cs.publics + 1;
    const header = [
        u32(FR), toBytes(curve.q), u32(FR), toBytes(r), u32(r1cs.wires), u32(r1cs.publics), u32(domain),
        maker.point("G1", g1, alphaAt), maker.point("G1", g1, betaAt), maker.point("G2", g2, betaAt),
        maker.point("G2", g2, maker.one), maker.point("G1", g1, deltaAt), maker.point("G2", g2, deltaAt),
    ];
    const circuitHash = createHash("sha512").update(SEED).update(r1cs.hash).digest();
    writeZkey(zkeyPath, [
        [1, u32(1)],
        [2, ...header],
        [3, maker.points("IC", "G1", g1, c, publics)],
        [4, coefficients],
        [5, maker.points("A", "G1", g1, a, r1cs.wires)],
        [6, maker.points("B1", "G1", g1, b, r1cs.wires)],
        [7, maker.points("B2", "G2", g2, b, r1cs.wires)],
        [8, maker.points("C", "G1", g1, c + publics * FR, r1cs.wires - publics)],
        [9, maker.points("H", "G1", g1, h, domain)],
        [10, circuitHash, u32(0)],
    ]);
}

const [r1csPath, zkeyPath, name = "keys"] = process.argv.slice(2);
if (!r1csPath || !zkeyPath) {
    process.stderr.write("usage: node circuits/tools/dev_setup.mjs CIRCUIT.r1cs OUT.zkey [NAME]\n");
    process.exit(2);
}
try {
    await setup(r1csPath, zkeyPath, name);
} catch (error) {
    process.stderr.write(`dev_setup: ${error.message}\n`);
    process.exit(1);
}
