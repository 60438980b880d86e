"""Computes a circuit's full witness from its inputs, with the .wasm that circom made, inside this process.

Formats: circom 2's WASM interface and iden3's "wtnsfile" binary format, little-endian. May import
`layer2.toolchain` and `layer2.crypto.field` only.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import cast

from wasmtime import (
    Engine,
    Func,
    Global,
    Linker,
    Memory,
    Module,
    Store,
    Table,
    Trap,
    WasmtimeError,
    wat2wasm,
)

from layer2.crypto.field import R
from layer2.toolchain import PROJECT

MODULE_CACHE = PROJECT / "build" / "wasm"
"""Where compiled modules are kept; anything in it may be deleted at any time."""

_VALUE_BYTES = 32
_PAGE = 1 << 16

# The circuit's module takes and gives field elements word by word, and a call a word from Python would cost seconds. So
# this module makes the calls, between the circuit and a memory of its own that Python reads and writes in one piece. It
# also is the runtime that the circuit imports: failure messages collect in a memory. Python
# functions in that place would not do, since wasmtime keeps their exceptions in a variable that all threads share.
_HELPER = """
(module
  (type $none (func))
  (type $take (func (param i32)))
  (type $give (func (result i32)))
  (type $index (func (param i32) (result i32)))
  (type $pair (func (param i32 i32)))
  (type $triple (func (param i32 i32 i32)))
  (table (export "circuit") 5 5 funcref)
  (memory (export "memory") 1)
  (memory (export "messages") 1 1)
  (global $code (export "code") (mut i32) (i32.const 0))
  (global $length (export "length") (mut i32) (i32.const 0))
  (func (export "exceptionHandler") (type $take)
    (global.set $code (local.get 0))
    (unreachable))
  (func (export "printErrorMessage") (type $none)
    (local $character i32)
    (loop $characters
      (local.set $character (call_indirect (type $give) (i32.const 0)))
      (if (i32.lt_u (global.get $length) (i32.const 65536))
        (then
          (i32.store8 1 (global.get $length) (local.get $character))
          (global.set $length (i32.add (global.get $length) (i32.const 1)))))
      (br_if $characters (local.get $character))))
  (func (export "writeBufferMessage") (type $none))
  (func (export "showSharedRWMemory") (type $none))
  (func (export "set") (param $high i32) (param $low i32) (param $count i32)
    (local $i i32) (local $j i32) (local $at i32)
    (block $done
      (loop $values
        (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
        (local.set $j (i32.const 0))
        (loop $words
          (call_indirect (type $pair) (local.get $j) (i32.load 0 (local.get $at)) (i32.const 1))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))
          (local.set $j (i32.add (local.get $j) (i32.const 1)))
          (br_if $words (i32.lt_u (local.get $j) (i32.const 8))))
        (call_indirect (type $triple) (local.get $high) (local.get $low) (local.get $i) (i32.const 2))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $values))))
  (func (export "get") (param $count i32)
    (local $i i32) (local $j i32) (local $at i32)
    (block $done
      (loop $values
        (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
        (call_indirect (type $take) (local.get $i) (i32.const 3))
        (local.set $j (i32.const 0))
        (loop $words
          (i32.store 0 (local.get $at) (call_indirect (type $index) (local.get $j) (i32.const 4)))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))
          (local.set $j (i32.add (local.get $j) (i32.const 1)))
          (br_if $words (i32.lt_u (local.get $j) (i32.const 8))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $values)))))
"""
_TABLE = ("getMessageChar", "writeSharedRWMemory", "setInputSignal", "getWitness", "readSharedRWMemory")
"""The circuit's functions in the helper's table."""
_RUNTIME = ("exceptionHandler", "printErrorMessage", "writeBufferMessage", "showSharedRWMemory")
"""What the circuit imports. The text of circom's log() is dropped."""

# Codes of circom's runtime.exceptionHandler.
_EXCEPTIONS = {
    1: "signal not found",
    2: "too many signals set",
    3: "signal already set",
    4: "a constraint or assertion does not hold",
    5: "not enough memory",
    6: "an array of input signals is exceeded",
}


class WitnessError(Exception):
    """No witness: the inputs are not the circuit's, or do not satisfy it. The message says which or where."""


class WitnessCalculator:
    """Computes witnesses of one circuit; may be used from several threads at once.

    wasm_path: the circuit's .wasm; the .sym file beside it, if there, lets errors name a missing input.
    cache: folder for the compiled module, which is found again by content.
    Raises WitnessError if the file is missing, is not circom 2's, or is for another field.
    """

    def __init__(self, wasm_path: Path | str, cache: Path = MODULE_CACHE) -> None:
        self.path = Path(wasm_path)
        try:
            wasm = self.path.read_bytes()
        except FileNotFoundError:
            raise WitnessError(f"{self.path} is missing: run `make circuits`") from None
        try:
            self._module = _compiled(wasm, cache)
        except WasmtimeError as error:
            raise WitnessError(f"{self.path} is not a WASM module ({error}): run `make circuits`") from None
        self._check()

    def calculate(self, inputs: Mapping[str, object]) -> bytes:
        """The full witness as the content of a .wtns file.

        inputs: for each input signal by name an int in 0 … r−1, or nested sequences of ints for an array, in order of
        its dimensions. Raises WitnessError naming inputs that are missing, unknown, of another size or out of range,
        or the template and line of the check that fails.
        """
        flat = {name: _flatten(name, values) for name, values in inputs.items()}
        run = _Run(self._module)
        self._check_names(run, flat)
        run.call("init", 0)
        for name, values in flat.items():
            run.write(b"".join(value.to_bytes(_VALUE_BYTES, "little") for value in values))
            high, low = _signal_hash(name)
            run.copy("set", high, low, len(values))
        count = run.call("getWitnessSize")
        run.reserve(count * _VALUE_BYTES)
        run.copy("get", count)
        return _wtns(run.read(count * _VALUE_BYTES), count)

    def _check(self) -> None:
        names = {export.name for export in self._module.exports}
        if not {"getVersion", "getFieldNumLen32", "getInputSignalSize", "getRawPrime"} <= names:
            raise WitnessError(f"{self.path} is not a circuit that circom 2.0.7 or later made: run `make circuits`")
        run = _Run(self._module)
        words = run.call("getFieldNumLen32")
        run.call("getRawPrime")
        prime = sum((run.call("readSharedRWMemory", i) & 0xFFFFFFFF) << 32 * i for i in range(words))
        if prime != R:
            raise WitnessError(f"{self.path} is for the field of order {prime}, not BN254's {R}: run `make circuits`")

    def _check_names(self, run: _Run, flat: Mapping[str, Sequence[int]]) -> None:
        for name, values in flat.items():
            size = run.input_size(name)
            if size <= 0:
                raise WitnessError(f"{self.path.name} has no input {name!r}: leave it out")
            if size != len(values):
                raise WitnessError(f"input {name!r} has {len(values)} values, the circuit takes {size}")
        given, needed = sum(map(len, flat.values())), run.call("getInputSize")
        if given != needed:
            missing = [name for name in self._main_signals() if name not in flat and run.input_size(name) > 0]
            names = ", ".join(missing) if missing else "their names are in the circuit's source"
            raise WitnessError(f"{needed - given} of {needed} input values are missing: {names}")

    def _main_signals(self) -> list[str]:
        """Names of the main component's own signals, from the .sym file; empty without one."""
        symbols = self.path.with_suffix(".sym")
        if not symbols.exists():
            return []
        names: dict[str, None] = {}
        for line in symbols.read_text().splitlines():
            path = line.split(",", 3)[3].split(".")
            if len(path) == 2:
                names[path[1].split("[")[0]] = None
        return list(names)


class _Run:
    """One instance of the circuit's module. It belongs to one thread."""

    def __init__(self, module: Module) -> None:
        engine, helper = _runtime()
        self.store = Store(engine)
        self._helper = Linker(engine).instantiate(self.store, helper).exports(self.store)
        linker = Linker(engine)
        for name in _RUNTIME:
            linker.define(self.store, "runtime", name, self._helper[name])
        try:
            self._circuit = linker.instantiate(self.store, module).exports(self.store)
        except (WasmtimeError, Trap) as error:
            raise WitnessError(f"the circuit's module does not start ({error}): run `make circuits`") from None
        table = cast(Table, self._helper["circuit"])
        for index, name in enumerate(_TABLE):
            table.set(self.store, index, cast(Func, self._circuit[name]))
        self._memory = cast(Memory, self._helper["memory"])

    def call(self, name: str, *arguments: int) -> int:
        """A function of the circuit's module."""
        return self._call(self._circuit, name, *arguments)

    def copy(self, name: str, *arguments: int) -> None:
        """A function of the helper."""
        self._call(self._helper, name, *arguments)

    def input_size(self, name: str) -> int:
        """Number of values of an input signal; none, or a negative number, if no input has that name."""
        return self.call("getInputSignalSize", *_signal_hash(name))

    def reserve(self, size: int) -> None:
        """Makes the memory at least `size` bytes large."""
        missing = size - self._memory.data_len(self.store)
        if missing > 0:
            self._memory.grow(self.store, -(-missing // _PAGE))

    def write(self, data: bytes) -> None:
        self.reserve(len(data))
        self._memory.write(self.store, data, 0)

    def read(self, size: int) -> bytes:
        return bytes(self._memory.read(self.store, 0, size))

    def _call(self, exports: Mapping[str, object], name: str, *arguments: int) -> int:
        try:
            return cast(int, cast(Func, exports[name])(self.store, *arguments))
        except (WasmtimeError, Trap) as error:
            code = self._global("code")
            if not code:
                raise WitnessError(f"the circuit's {name} stopped: {error}") from None
        text = bytes(cast(Memory, self._helper["messages"]).read(self.store, 0, self._global("length")))
        where = "; ".join(line.strip() for line in text.decode(errors="replace").split("\0") if line.strip())
        what = _EXCEPTIONS.get(code, f"error {code}")
        raise WitnessError(f"the inputs do not satisfy the circuit: {what}{': ' if where else ''}{where}")

    def _global(self, name: str) -> int:
        return cast(int, cast(Global, self._helper[name]).value(self.store))


def _flatten(name: str, values: object) -> list[int]:
    """All ints of nested sequences in order."""
    if isinstance(values, int):
        if not 0 <= values < R:
            raise WitnessError(f"input {name!r} is {values}: give a number from 0 to r - 1 ({R - 1})")
        return [int(values)]
    if isinstance(values, Sequence) and not isinstance(values, (str, bytes)):
        return [value for item in values for value in _flatten(name, item)]
    raise WitnessError(f"input {name!r} holds {values!r}: give ints or nested sequences of ints")


def _signal_hash(name: str) -> tuple[int, int]:
    """64-bit FNV-1a of an input's name as two signed words, high first: how circom's module knows its inputs."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    high, low = struct.unpack(">ii", value.to_bytes(8))
    return high, low


def _wtns(values: bytes, count: int) -> bytes:
    """A .wtns file of format version 2 over BN254's scalar field."""
    header = struct.pack("<I", _VALUE_BYTES) + R.to_bytes(_VALUE_BYTES, "little") + struct.pack("<I", count)
    start = b"wtns" + struct.pack("<II", 2, 2)
    return b"".join((start, struct.pack("<IQ", 1, len(header)), header, struct.pack("<IQ", 2, len(values)), values))


_LOCK = threading.Lock()


@cache
def _runtime_unlocked() -> tuple[Engine, Module]:
    engine = Engine()
    return engine, Module(engine, bytes(wat2wasm(_HELPER)))


def _runtime() -> tuple[Engine, Module]:
    """The process's one engine and the compiled helper."""
    with _LOCK:
        return _runtime_unlocked()


def _compiled(wasm: bytes, cache: Path) -> Module:
    """The compiled module, from the cache if it is there and whole."""
    engine, _ = _runtime()
    identity = hashlib.sha256(version("wasmtime").encode() + b"\0" + wasm).hexdigest()
    path = cache / f"{identity[:32]}.cwasm"
    # Machine code: a damaged file must not run, so its own hash goes before it.
    stored = path.read_bytes() if path.exists() else b""
    if stored and hashlib.sha256(stored[32:]).digest() == stored[:32]:
        try:
            return Module.deserialize(engine, stored[32:])
        except WasmtimeError:  # made on another kind of processor
            path.unlink(missing_ok=True)
    module = Module(engine, wasm)
    code = bytes(module.serialize())
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=cache, delete=False) as file:
        file.write(hashlib.sha256(code).digest() + code)
    os.replace(file.name, path)
    return module
