"""Runs the module of `layer2.crypto.assembly` in this process: Poseidon and BabyJubJub for the rest of the package.

Nothing is checked here: callers give integers in [0, r), and points on the curve. May be used from several threads at
once: each gets an instance of its own. May import `field`, `assembly`, `poseidon_constants` and wasmtime only.
"""

import ctypes
import struct
import threading
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Final, cast

from wasmtime import Config, Engine, Func, Instance, Memory, Module, Store, _ffi

from layer2.crypto.assembly import CALL_AT, ELEMENT, FREE_AT, MONTGOMERY, VALUES_AT, module
from layer2.crypto.field import R
from layer2.crypto.poseidon_constants import PARTIAL_ROUNDS, schedule

_NIBBLES: Final = int.from_bytes(b"\x88" * ELEMENT)
_BYTES: Final = int.from_bytes(b"\x80" * ELEMENT)
_CALL: Final = struct.Struct("<4IQ")

_CONFIG: Final = Config()
_CONFIG.wasm_wide_arithmetic = True
_ENGINE: Final = Engine(_CONFIG)
_MODULE: Final = Module(_ENGINE, module())


class _Machine(threading.local):
    """One thread's instance of the module."""

    def __init__(self) -> None:
        self._store = Store(_ENGINE)
        self._exports = Instance(self._store, _MODULE, []).exports(self._store)
        pointer = cast(Memory, self._exports["memory"]).get_buffer_ptr(self._store)
        self.memory = memoryview(pointer).cast("B")
        self._context = self._store._context()
        self._trap = ctypes.POINTER(_ffi.wasm_trap_t)()
        self._functions = {
            name: ctypes.byref(cast(Func, self._exports[name])._func) for name in ("hash", "climb", "combine")
        }
        self._constants_at: dict[int, int] = {}
        self._free = FREE_AT

    def run(self, name: str) -> None:
        """Calls a function without parameters and results.

        Not by `Func.__call__`, which looks up the function's type at each call: 15 µs, half of a hash.
        """
        error = _ffi.wasmtime_func_call(
            self._context, self._functions[name], None, 0, None, 0, ctypes.byref(self._trap)
        )
        if error or self._trap:
            self._trap = ctypes.POINTER(_ffi.wasm_trap_t)()
            raise RuntimeError(f"the WebAssembly function {name} stopped; this is a defect of layer2.crypto.assembly")

    def select(self, size: int, levels: int = 0, index: int = 0) -> None:
        """Says which Poseidon to run, and what to climb; its constants are put into memory at the first call."""
        at = self._constants_at.get(size)
        if at is None:
            data = _constants(size)
            at = self._constants_at[size] = self._free
            self._free += len(data)
            self.memory[at : self._free] = data
        _CALL.pack_into(self.memory, CALL_AT, at, size + 1, PARTIAL_ROUNDS[size - 1], levels, index)


def poseidon(inputs: Sequence[int]) -> int:
    """The hash of 1 to 12 integers."""
    _machine.select(len(inputs))
    _write(inputs)
    _machine.run("hash")
    return _read(VALUES_AT)


def climb(index: int, leaf: int, levels: Sequence[tuple[int, int, int, int]]) -> list[int]:
    """The nodes above a leaf of a tree of arity 4, lowest first: the hash of four children at each level.

    levels: 1 to 16 of them, lowest first, each with the values of the node's children, of which that on the path,
    which has the number (index >> 2·level) & 3, does not matter.
    """
    _machine.select(4, len(levels), index)
    _write([leaf, *chain.from_iterable(levels)])
    _machine.run("climb")
    start = VALUES_AT + ELEMENT
    return [_read(at) for at in range(start, start + len(levels) * 4 * ELEMENT, 4 * ELEMENT)]


def combine(x: int, y: int, m: int, s: int) -> tuple[int, int, int]:
    """m·P + s·B8 for the point P = (x, y), 0 ≤ m < 8·l and 0 ≤ s < l, as X, Y, Z: its coordinates are X/Z and Y/Z.

    On the curve -x² + y² = 1 - (D/A)·x²·y², for B8 as for the other two.
    """
    _write([x, y, m + _NIBBLES, s + _BYTES])
    _machine.run("combine")
    return _read(VALUES_AT), _read(VALUES_AT + ELEMENT), _read(VALUES_AT + 2 * ELEMENT)


def _write(values: Sequence[int]) -> None:
    data = b"".join([value.to_bytes(ELEMENT, "little") for value in values])
    _machine.memory[VALUES_AT : VALUES_AT + len(data)] = data


def _read(at: int) -> int:
    return int.from_bytes(_machine.memory[at : at + ELEMENT], "little")


@cache
def _constants(size: int) -> bytes:
    return b"".join((number * MONTGOMERY % R).to_bytes(ELEMENT, "little") for number in schedule(size))


_machine: Final = _Machine()
