"""Builds circuits and their development keys: `python -m layer2.zk.build`.

For each circuit, in build/circuits/NAME/: circuit.r1cs, circuit.wasm, circuit.sym (circom), circuit.zkey
(circuits/tools/dev_setup.mjs) and verification_key.json (snarkjs). Everything is kept under a hash of what it is made
from, so only changes cost time. For the default circuits it also writes contracts/zk/generated/, which is committed.
May import of this package what names circuits and keys.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from layer2.toolchain import PROJECT, ToolMissingError, find_program
from layer2.zk.batch import Circuits
from layer2.zk.circom import CompileError, compile_circuit
from layer2.zk.keys import VerifyingKeys
from layer2.zk.params import (
    DEFAULT_OPERATIONS,
    DEFAULT_TRANSFERS,
    TEST_OPERATIONS,
    TEST_TRANSFERS,
    CircuitParams,
)

BUILD = PROJECT / "build" / "circuits"
GENERATED = PROJECT / "contracts" / "zk" / "generated"
POSEIDON_CONTRACT = PROJECT / "circuits" / "tools" / "poseidon_contract.mjs"
DEV_SETUP = PROJECT / "circuits" / "tools" / "dev_setup.mjs"

DEFAULT_CIRCUITS = Circuits(DEFAULT_TRANSFERS, DEFAULT_OPERATIONS)
TEST_CIRCUITS = Circuits(TEST_TRANSFERS, TEST_OPERATIONS)


class BuildError(Exception):
    """Something could not be built; the message says what and how to go on."""


@dataclass(frozen=True)
class Artifacts:
    """The files of one built circuit, in `folder`."""

    folder: Path

    @classmethod
    def of(cls, params: CircuitParams, build: Path = BUILD) -> Artifacts:
        """Those of a circuit that has been built. Raises BuildError, naming the command, if it has not."""
        artifacts = cls(build / params.name)
        for path in (artifacts.zkey, artifacts.wasm, artifacts.verification_key):
            if not path.is_file():
                command = "make test-circuits" if params in (TEST_TRANSFERS, TEST_OPERATIONS) else "make circuits"
                raise BuildError(f"{path} is missing: run `{command}`")
        return artifacts

    @property
    def r1cs(self) -> Path:
        """The constraint system."""
        return self.folder / "circuit.r1cs"

    @property
    def wasm(self) -> Path:
        """The witness calculator."""
        return self.folder / "circuit.wasm"

    @property
    def sym(self) -> Path:
        """Names of the wires."""
        return self.folder / "circuit.sym"

    @property
    def zkey(self) -> Path:
        """The proving key."""
        return self.folder / "circuit.zkey"

    @property
    def verification_key(self) -> Path:
        """The verifying key, as snarkjs writes it."""
        return self.folder / "verification_key.json"


def build_circuit(params: CircuitParams, build: Path = BUILD) -> Artifacts:
    """Compiles one circuit and makes its development keys, unless that has been done.

    Raises BuildError when a tool fails or is missing.
    """
    started = time.monotonic()
    try:
        compiled = compile_circuit(params.main_source, build / "by-hash")
    except CompileError as error:
        raise BuildError(f"{params.name} does not compile:\n{error}") from error
    artifacts = Artifacts(compiled.folder)
    stamp = artifacts.folder / "keys.sha256"
    wanted = _key_hash(artifacts.r1cs)
    if not stamp.is_file() or stamp.read_text() != wanted:
        _say(f"{params.name}: compiled, making development keys (insecure)")
        _run(params.name, ["node", str(DEV_SETUP), str(artifacts.r1cs), str(artifacts.zkey), params.name])
        temporary = artifacts.folder / "verification_key.tmp"
        _snarkjs(params.name, "verificationkey", artifacts.zkey, temporary)
        os.replace(temporary, artifacts.verification_key)
        stamp.write_text(wanted)
    _link(build / params.name, artifacts.folder)
    _say(f"{params.name}: ready after {time.monotonic() - started:.0f} s")
    return Artifacts(build / params.name)


def build_circuits(circuits: Sequence[CircuitParams], build: Path = BUILD) -> list[Artifacts]:
    """Builds several circuits, two at a time. Raises BuildError for the first that fails."""
    names = ", ".join(params.name for params in circuits)
    _say(f"circuits {names}: nothing to do if built before, else a minute or two")
    with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda params: build_circuit(params, build), circuits))


def verifying_keys(circuits: Circuits, build: Path = BUILD) -> VerifyingKeys:
    """The keys of two built circuits. Raises BuildError if they are not built."""
    paths = [Artifacts.of(params, build).verification_key for params in (circuits.transfers, circuits.operations)]
    return VerifyingKeys.from_snarkjs(circuits, *paths)


def generate(circuits: Circuits = DEFAULT_CIRCUITS, build: Path = BUILD) -> dict[str, str]:
    """Content of the files in contracts/zk/generated/, by name: snarkjs's verifiers and the keys of both circuits, and
    Poseidon as a contract."""
    files = {
        "verifying_keys.json": verifying_keys(circuits, build).to_json(),
        "Poseidon4.json": _run("Poseidon4", ["node", str(POSEIDON_CONTRACT)]),
    }
    for params in (circuits.transfers, circuits.operations):
        name = f"{params.kind.capitalize()}Verifier"
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "verifier.sol"
            _snarkjs(params.name, "solidityverifier", Artifacts.of(params, build).zkey, output)
            source = output.read_text()
        if source.count("contract Groth16Verifier") != 1:
            raise BuildError("snarkjs's Solidity template has changed: adapt layer2/zk/build.py")
        files[f"{name}.sol"] = source.replace("contract Groth16Verifier", f"contract {name}")
    return files


def write_generated(folder: Path = GENERATED) -> list[Path]:
    """Writes what `generate` makes; returns the files that changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, content in generate().items():
        path = folder / name
        if not path.is_file() or path.read_text() != content:
            temporary = path.with_suffix(".tmp")
            temporary.write_text(content)
            os.replace(temporary, path)
            changed.append(path)
    return changed


def _key_hash(r1cs: Path) -> str:
    digest = hashlib.sha256(DEV_SETUP.read_bytes())
    digest.update((PROJECT / "package-lock.json").read_bytes())
    digest.update(r1cs.read_bytes())
    return digest.hexdigest()


def _snarkjs(name: str, what: str, zkey: Path, output: Path) -> None:
    _run(name, [str(find_program("snarkjs")), "zkey", "export", what, str(zkey), str(output)], quiet=True)


def _run(name: str, command: list[str], *, quiet: bool = False) -> str:
    """Runs a program; returns its output. What it says on standard error is shown, of quiet ones if they fail."""
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if quiet else None,
            text=True,
            check=False,
        )
    except OSError as error:
        raise BuildError(f"{name}: {command[0]} cannot be started ({error.strerror}): run `make setup`") from error
    if result.returncode != 0:
        raise BuildError(f"{name}: `{' '.join(command)}` failed\n{result.stdout}")
    return result.stdout


def _link(link: Path, folder: Path) -> None:
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(folder, link.parent), target_is_directory=True)
    os.replace(temporary, link)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m layer2.zk.build", description=__doc__)
    parser.add_argument("--test", action="store_true", help="build the small circuits of the tests instead")
    options = parser.parse_args(arguments)
    circuits = TEST_CIRCUITS if options.test else DEFAULT_CIRCUITS
    try:
        build_circuits([circuits.operations, circuits.transfers])
        if not options.test:
            for path in write_generated():
                _say(f"{path.relative_to(PROJECT)}: written, commit it")
    except (BuildError, ToolMissingError) as error:
        _say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
