"""Compiles Circom sources with the pinned compiler, cached by content.

May import `layer2.toolchain` only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from layer2.toolchain import PROJECT

CIRCUITS = PROJECT / "circuits"


class CompileError(Exception):
    """The compiler refused a circuit; the message is the compiler's."""


@dataclass(frozen=True)
class Compiled:
    """The files of one compiled circuit; wasm is the witness calculator."""

    folder: Path

    @property
    def r1cs(self) -> Path:
        return self.folder / "circuit.r1cs"

    @property
    def sym(self) -> Path:
        return self.folder / "circuit.sym"

    @property
    def wasm(self) -> Path:
        return self.folder / "circuit.wasm"


def source_hash(main_source: str, flags: Sequence[str] = (), circuits: Path = CIRCUITS) -> str:
    """SHA-256 (hex) of everything that decides the result: main file, all of circuits/, flags, locked packages."""
    digest = hashlib.sha256()
    parts = [main_source.encode(), " ".join(flags).encode(), (PROJECT / "package-lock.json").read_bytes()]
    for path in sorted(circuits.rglob("*.circom")):
        parts += [path.relative_to(circuits).as_posix().encode(), path.read_bytes()]
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def compile_circuit(
    main_source: str,
    cache: Path,
    *,
    flags: Sequence[str] = ("--O2",),
    wasm: bool = True,
    circuits: Path = CIRCUITS,
) -> Compiled:
    """Compiles a main component to .r1cs, .sym and (unless wasm is False) .wasm.

    The source's includes resolve from the project's root ("circuits/…") and from node_modules ("circomlib/…").
    `cache` is a folder where the result is kept under its source hash and found again the next time. `circuits`
    takes the place of the project's folder circuits/ (it must be named "circuits"). Safe to call from
    several processes. Raises CompileError with the compiler's message.
    """
    flags = (*flags, *(("--wasm",) if wasm else ()))
    folder = cache / source_hash(main_source, flags, circuits)[:32]
    if folder.is_dir():
        return Compiled(folder)
    cache.mkdir(parents=True, exist_ok=True)
    # The compiler is a WASM program that sees files below its working directory only, so it works in a folder of
    # links next to the result.
    work = Path(tempfile.mkdtemp(prefix="work-", dir=cache))
    try:
        shutil.copytree(circuits, work / "circuits")
        shutil.copytree(PROJECT / "node_modules" / "circomlib" / "circuits", work / "circomlib" / "circuits")
        (work / "circuit.circom").write_text(main_source)
        (work / "out").mkdir()
        program = PROJECT / "node_modules" / ".bin" / "circom2"
        if not program.exists():
            raise CompileError(f"{program} is missing: run `make setup`")
        command = [str(program), "circuit.circom", "--r1cs", "--sym", *flags, "-l", ".", "-o", "out"]
        run = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise CompileError(f"{main_source}\n{run.stdout}{run.stderr}")
        if wasm:
            os.replace(work / "out" / "circuit_js" / "circuit.wasm", work / "out" / "circuit.wasm")
            shutil.rmtree(work / "out" / "circuit_js")
        try:
            os.rename(work / "out", folder)
        except OSError:  # another process was faster with the same result
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(work)
    return Compiled(folder)
