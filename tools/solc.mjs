#!/usr/bin/env node
// The npm package `solc` (the compiler as WebAssembly) behind the native compiler's command line, as far
// as py-solc-x uses it: `--version`, and `--standard-json [--base-path DIR]` from stdin to stdout.
// `solcjs --standard-json` itself is no substitute: it prints a line of its own before the JSON.
import { readFileSync } from "node:fs";
import { isAbsolute, join, relative } from "node:path";

// What the native compiler of this release says. Written down so that `--version`, which Ape asks many
// times, needs no compiler; `--standard-json` refuses to run with any other one.
const VERSION = "0.8.37+commit.f401782d";

function fail(message) {
  process.stderr.write(`tools/solc.mjs: ${message}\n`);
  process.exit(1);
}

function option(name) {
  const index = process.argv.indexOf(name);
  return index < 0 ? undefined : process.argv[index + 1];
}

/** Reads an import that the input did not bring along, from below `base` only. */
function readImport(base, path) {
  const file = join(base, path);
  const inside = relative(base, file);
  if (inside.startsWith("..") || isAbsolute(inside)) {
    return { error: `${path} lies outside of the base path ${base}` };
  }
  try {
    return { contents: readFileSync(file, "utf8") };
  } catch (error) {
    return { error: `cannot read ${file}: ${error.message}` };
  }
}

async function compile() {
  const { default: solc } = await import("solc");
  if (!solc.version().startsWith(VERSION)) {
    fail(`node_modules/solc is ${solc.version()}, expected ${VERSION}; run \`make setup\``);
  }
  const base = option("--base-path") ?? process.cwd();
  const input = readFileSync(0, "utf8");
  const output = solc.compile(input, { import: (path) => readImport(base, path) });
  process.stdout.write(output + "\n");
}

if (process.argv.includes("--version")) {
  process.stdout.write(
    "solc, the solidity compiler commandline interface\n" +
      `Version: ${VERSION}.Emscripten.clang (npm package solc)\n`,
  );
} else if (process.argv.includes("--standard-json")) {
  await compile();
} else {
  fail("only --version and --standard-json [--base-path DIR] are supported");
}
