"""WebAssembly for Poseidon and BabyJubJub: the text of the module that `layer2.crypto.machine` runs.

WebAssembly because it is fast on every platform that wasmtime runs on: the wide arithmetic used here becomes the
processor's own multiplication with carries, about ten times as fast as Python's integers. A field element is four
64-bit words, lowest first, in Montgomery form: a is kept as a·2²⁵⁶ mod r. Every element in memory is below r, so equal
ones have equal words. Not constant time. May import `field` and `poseidon_constants` only.

Exported functions take nothing and return nothing: what they work on is in memory, at the addresses named below.
"""

from collections.abc import Iterable
from typing import Final

from layer2.crypto.field import BASE_X, BASE_Y, SQRT_MINUS_A, A, D, R
from layer2.crypto.poseidon_constants import FULL_ROUNDS, PARTIAL_ROUNDS

ELEMENT: Final = 32
"""Bytes of a field element."""
MAX_LEVELS: Final = 16
"""Levels that `climb` takes at most."""
MONTGOMERY: Final = 1 << 256

# ---------------------------------------------------------------- addresses

CALL_AT: Final = 0
"""Four u32: address of the constants, width and number of partial rounds of the Poseidon to run; levels to climb."""
INDEX_AT: Final = 16
"""u64: the index to climb from."""
VALUES_AT: Final = 32
"""Where callers put numbers and find results, as plain integers of 32 bytes, little-endian."""

_MAX_WIDTH: Final = len(PARTIAL_ROUNDS) + 1
_LEVEL: Final = 4 * ELEMENT
_POINT: Final = 4 * ELEMENT

_STATE: Final = VALUES_AT + ELEMENT + MAX_LEVELS * _LEVEL
_NEXT_STATE: Final = _STATE + _MAX_WIDTH * ELEMENT
_SCRATCH: Final = _NEXT_STATE + _MAX_WIDTH * ELEMENT
_SUM: Final = _SCRATCH + 6 * ELEMENT
_SUMMAND: Final = _SUM + _POINT
_TO_MONTGOMERY: Final = _SUMMAND + _POINT
_FROM_MONTGOMERY: Final = _TO_MONTGOMERY + ELEMENT
_TWICE_D: Final = _FROM_MONTGOMERY + ELEMENT
_IDENTITY: Final = _TWICE_D + ELEMENT
_ZERO: Final = _IDENTITY
_ONE: Final = _IDENTITY + ELEMENT
_BASE: Final = _IDENTITY + _POINT
_POINT_TABLE: Final = _BASE + _POINT
_BASE_TABLE: Final = _POINT_TABLE + (16 + 1) * _POINT
_HISTORY_END: Final = _BASE_TABLE + (256 + 1) * _POINT + 2 * (max(PARTIAL_ROUNDS) + _MAX_WIDTH) * ELEMENT
FREE_AT: Final = _HISTORY_END
"""From here on memory is the caller's: Poseidon's constants are there."""
MEMORY: Final = 6 << 16
"""Size of the memory in bytes: there is room for the constants of all sizes."""


def _constants() -> bytes:
    """What is at _TO_MONTGOMERY and after it. Points are (X, Y, Z, T) on -x² + y² = 1 + d'·x²·y², see `babyjub`."""
    d = -D * pow(A, -1, R)
    x = BASE_X * SQRT_MINUS_A
    forms = MONTGOMERY * MONTGOMERY, 1
    elements = 2 * d, *(0, 1, 1, 0), *(x, BASE_Y, 1, x * BASE_Y)
    return b"".join((v % R).to_bytes(ELEMENT, "little") for v in (*forms, *(v * MONTGOMERY for v in elements)))


# ---------------------------------------------------------------- writing WebAssembly


def _const64(value: int) -> str:
    return f"i64.const {value % (1 << 64):#x}"


def _call(function: str, *arguments: int | str) -> str:
    """A call; arguments are addresses or code."""
    code = (f"i32.const {each}" if isinstance(each, int) else each for each in arguments)
    return f"{' '.join(code)} call ${function}"


def _plus(address: str, offset: int) -> str:
    return f"local.get ${address} i32.const {offset} i32.add"


def _advance(name: str, by: int) -> str:
    return f"{_plus(name, by)} local.set ${name}"


def _advance_next(by: str) -> str:
    """Moves the address of Poseidon's next constant."""
    return f"global.get $next {by} i32.add global.set $next"


def _words(value: int) -> list[int]:
    return [value >> 64 * i & (1 << 64) - 1 for i in range(4)]


def _function(name: str, parameters: str, locals32: str, locals64: str, *body: str, export: bool = False) -> str:
    """A function; parameters and locals are names in one string, parameters are 32 bits wide."""
    head = f'(func ${name} (export "{name}")' if export else f"(func ${name}"
    declared = [f"(param ${each} i32)" for each in parameters.split()]
    declared += [f"(local ${each} i32)" for each in locals32.split()]
    declared += [f"(local ${each} i64)" for each in locals64.split()]
    return "\n  ".join((" ".join((head, *declared)), *body)) + ")"


def _repeat(counter: str, *body: str) -> str:
    """The body as often as the local `counter` says, at least once, counting it down to 0."""
    step = f"local.get ${counter} i32.const 1 i32.sub local.tee ${counter} br_if ${counter}"
    return "\n  ".join((f"(loop ${counter}", *body, step, ")"))


# ---------------------------------------------------------------- the field

_ARITHMETIC: Final = "a0 a1 a2 a3 b m carry over t0 t1 t2 t3 t4 t5 t6 t7 s0 s1 s2 s3"
"""Locals: a and b are factors, t the product and the number being reduced, s a number tried for the result."""


def _load(name: str, pointer: str) -> str:
    return " ".join(f"local.get ${pointer} i64.load offset={8 * i} local.set ${name}{i}" for i in range(4))


def _store(pointer: str, first: int = 4) -> str:
    return " ".join(f"local.get ${pointer} local.get $t{first + i} i64.store offset={8 * i}" for i in range(4))


def _multiply_add(target: str | None, a: str, b: str, *summands: str) -> str:
    """(carry, target) = a·b + summands, which fits 128 bits for two of them."""
    sums = (f"local.get ${each} i64.const 0 i64.add128" for each in summands)
    return " ".join((a, b, "i64.mul_wide_u", *sums, "local.set $carry", f"local.set ${target}" if target else "drop"))


def _reduce_word(i: int) -> list[str]:
    """Makes word i of t zero by adding a multiple of r; leaves in `carry` what has to go into word i + 4."""
    r = [_const64(word) for word in _words(R)]
    return [
        f"local.get $t{i} {_const64(-pow(R, -1, 1 << 64))} i64.mul local.set $m",
        _multiply_add(None, "local.get $m", r[0], f"t{i}"),
        *(_multiply_add(f"t{i + j}", "local.get $m", r[j], f"t{i + j}", "carry") for j in (1, 2, 3)),
    ]


def _add_carry(i: int) -> str:
    """(over, t_i) = t_i + carry + over."""
    return (
        f"local.get $t{i} i64.const 0 local.get $carry i64.const 0 i64.add128 local.get $over i64.const 0 i64.add128 "
        f"local.set $over local.set $t{i}"
    )


def _chain(operation: str, x: list[str], y: list[str], result: str) -> list[str]:
    """Four words of x + y (add128) or x - y (sub128), and `carry`: 0 or 1, or 0 or -1."""
    code = []
    for i in range(4):
        code.append(f"{x[i]} i64.const 0 {y[i]} i64.const 0 i64.{operation}")
        if i:
            code.append(f"local.get $carry {'i64.const 0' if operation == 'add128' else 'local.get $carry'} i64.add128")
        code.append(f"local.set $carry local.set ${result}{i}")
    return code


def _subtract_if_not_less(value: int, first: int = 4) -> list[str]:
    """Subtracts `value` from the four words of t from `first` on unless they are less."""
    t = [f"local.get $t{first + i}" for i in range(4)]
    code = _chain("sub128", t, [_const64(word) for word in _words(value)], "s")
    less = "local.get $carry i64.const 0 i64.ne"
    return code + [f"{t[i]} local.get $s{i} {less} select local.set $t{i + first}" for i in range(4)]


def _montgomery(b: Iterable[str]) -> list[str]:
    """(a·b + k·r)/2²⁵⁶ for some k < 2²⁵⁶ in t4 … t7; `b` is code for the words of b.

    Reduces after each word of b, so that five words of t are in use at a time (CIOS; Koç, Acar, Kaliski,
    "Analyzing and Comparing Montgomery Multiplication Algorithms", 1996). The carries into the fifth word
    need no sixth because r < 2²⁵⁴.
    """
    code = []
    for i, word in enumerate(b):
        code.append(f"{word} local.set $b")
        for j in range(4):
            summands = ([f"t{i + j}"] if i else []) + (["carry"] if j else [])
            code.append(_multiply_add(f"t{i + j}", "local.get $b", f"local.get $a{j}", *summands))
        code.append(f"local.get $carry local.set $t{i + 4}")
        code += _reduce_word(i)
        code.append(f"local.get $t{i + 4} local.get $carry i64.add local.set $t{i + 4}")
    return code


def _field() -> list[str]:
    product_words = [f"local.get $y i64.load offset={8 * i}" for i in range(4)]
    a_words = [f"local.get $a{i}" for i in range(4)]
    t_to_a = " ".join(f"local.get $t{i + 4} local.set $a{i}" for i in range(4))

    accumulate = ["i64.const 0 local.set $over"]
    for i in range(4):
        accumulate.append(f"{product_words[i]} local.set $b")
        for j in range(4):
            summands = [f"t{i + j}"] + (["carry"] if j else [])
            accumulate.append(_multiply_add(f"t{i + j}", "local.get $b", f"local.get $a{j}", *summands))
        accumulate.append(_add_carry(i + 4))
    reduce = ["i64.const 0 local.set $over"]
    for i in range(4):
        reduce += [*_reduce_word(i), _add_carry(i + 4)]

    x_words = [f"local.get $x i64.load offset={8 * i}" for i in range(4)]
    add = _chain("add128", x_words, product_words, "t")
    # A difference below 0 gets r added: the words of r, or zeros, by the mask that the borrow is.
    masked = [f"local.get $b {_const64(word)} i64.and" for word in _words(R)]
    difference = [f"local.get $t{i}" for i in range(4)]
    subtract = [
        *_chain("sub128", x_words, product_words, "t"),
        "local.get $carry local.set $b",
        *_chain("add128", difference, masked, "t"),
    ]

    return [
        _function(
            "multiply",
            "to x y",
            "",
            _ARITHMETIC,
            _load("a", "x"),
            *_montgomery(product_words),
            *_subtract_if_not_less(R),
            _store("to"),
        ),
        _function("add", "to x y", "", _ARITHMETIC, *add, *_subtract_if_not_less(R, 0), _store("to", 0)),
        _function("subtract", "to x y", "", _ARITHMETIC, *subtract, _store("to", 0)),
        # The fifth power of an element, in its place. With a factor below c·r and another below d·r a product is below
        # (c·d·r/2²⁵⁶ + 1)·r, and r/2²⁵⁶ < 0.19: all three are below 1.3·r, and only the last has to be below r.
        _function(
            "power5",
            "at",
            "",
            f"{_ARITHMETIC} x0 x1 x2 x3",
            _load("a", "at"),
            *(f"local.get $a{i} local.set $x{i}" for i in range(4)),
            *_montgomery(a_words),
            t_to_a,
            *_montgomery(a_words),
            t_to_a,
            *_montgomery(f"local.get $x{i}" for i in range(4)),
            *_subtract_if_not_less(R),
            _store("at"),
        ),
        # The sum of `count` products of elements, reduced once. For 13 of them the sum of all is below 13·r², what the
        # reduction leaves below (13·r/2²⁵⁶ + 1)·r < 4·r.
        _function(
            "dot",
            "to x y count",
            "",
            _ARITHMETIC,
            _repeat("count", _load("a", "x"), *accumulate, _advance("x", ELEMENT), _advance("y", ELEMENT)),
            *reduce,
            *_subtract_if_not_less(2 * R),
            *_subtract_if_not_less(R),
            _store("to"),
        ),
    ]


# ---------------------------------------------------------------- Poseidon


def _poseidon() -> list[str]:
    width = "global.get $width"
    row = f"{width} i32.const {ELEMENT} i32.mul"
    twice_n = "local.get $n i32.const 1 i32.shl"
    pairs = f"local.get $n i32.const {2 * ELEMENT} i32.mul"
    load_call = [
        f"i32.const {CALL_AT + 4 * i} i32.load global.set ${name}"
        for i, name in enumerate(("constants", "width", "rounds"))
    ]
    take = _call("multiply", "local.get $at", "local.get $from", _TO_MONTGOMERY)
    return [
        "(global $constants (mut i32) (i32.const 0))",
        "(global $width (mut i32) (i32.const 0))",
        "(global $rounds (mut i32) (i32.const 0))",
        "(global $next (mut i32) (i32.const 0))",
        # The `count` full rounds whose constants are at $next.
        _function(
            "full_rounds",
            "count",
            "at left",
            "",
            _repeat(
                "count",
                f"i32.const {_STATE} local.set $at {width} local.set $left",
                _repeat(
                    "left",
                    _call("add", "local.get $at", "local.get $at", "global.get $next"),
                    _call("power5", "local.get $at"),
                    _advance("at", ELEMENT),
                    _advance_next(f"i32.const {ELEMENT}"),
                ),
                f"i32.const {_NEXT_STATE} local.set $at {width} local.set $left",
                _repeat(
                    "left",
                    _call("dot", "local.get $at", "global.get $next", _STATE, width),
                    _advance("at", ELEMENT),
                    _advance_next(row),
                ),
                f"i32.const {_STATE} i32.const {_NEXT_STATE} {row} memory.copy",
            ),
        ),
        # The sum of up to 25 products.
        _function(
            "long_dot",
            "to x y count",
            "",
            "",
            f"local.get $count i32.const {_MAX_WIDTH} i32.gt_u",
            "(if (then",
            _call("dot", _SCRATCH, "local.get $x", "local.get $y", _MAX_WIDTH),
            _advance("x", _MAX_WIDTH * ELEMENT),
            _advance("y", _MAX_WIDTH * ELEMENT),
            f"local.get $count i32.const {_MAX_WIDTH} i32.sub local.set $count",
            _call("dot", "local.get $to", "local.get $x", "local.get $y", "local.get $count"),
            _call("add", "local.get $to", "local.get $to", _SCRATCH),
            ")(else",
            _call("dot", "local.get $to", "local.get $x", "local.get $y", "local.get $count"),
            "))",
        ),
        # All partial rounds, see `poseidon_constants.schedule`. The values of y and f grow downwards in memory: at
        # $at is y(k), after it f(k), y(k-1), f(k-1), …, in the order of the filter's coefficients.
        _function(
            "partial_rounds",
            "count",
            "n at from filter left",
            "",
            "global.get $next local.set $filter",
            f"{width} i32.const 1 i32.sub local.tee $n local.set $left",
            _advance_next(f"{pairs} i32.const {ELEMENT} i32.add"),
            f"i32.const {_HISTORY_END - ELEMENT} {pairs} i32.sub local.tee $at",
            f"i32.const 0 {pairs} i32.const {ELEMENT} i32.add memory.fill",
            f"i32.const {_STATE + ELEMENT} local.set $from",
            _repeat(
                "left",
                f"{_plus('at', ELEMENT)} local.get $from i32.const {ELEMENT} memory.copy",
                _advance("at", 2 * ELEMENT),
                _advance("from", ELEMENT),
            ),
            f"local.get $at {pairs} i32.sub local.set $at",
            f"i32.const {_STATE} local.set $from",
            _repeat(
                "count",
                _call("add", "local.get $at", "local.get $from", "global.get $next"),
                _call("power5", "local.get $at"),
                _advance_next(f"i32.const {ELEMENT}"),
                f"{_plus('at', -ELEMENT)} local.set $from",
                _call(
                    "long_dot",
                    "local.get $from",
                    "local.get $filter",
                    "local.get $at",
                    f"{twice_n} i32.const 1 i32.add",
                ),
                _advance("at", -2 * ELEMENT),
            ),
            f"i32.const {_STATE} local.get $from i32.const {ELEMENT} memory.copy",
            f"i32.const {_STATE + ELEMENT} local.set $at local.get $n local.set $left",
            _repeat(
                "left",
                _call("long_dot", "local.get $at", "global.get $next", "local.get $from", twice_n),
                _advance("at", ELEMENT),
                _advance_next(pairs),
            ),
        ),
        # The hash of the state but its first element, in that one.
        _function(
            "permute",
            "",
            "",
            "",
            f"i32.const {_STATE} i32.const 0 i32.const {ELEMENT} memory.fill",
            "global.get $constants global.set $next",
            _call("full_rounds", FULL_ROUNDS // 2),
            _call("partial_rounds", "global.get $rounds"),
            _call("full_rounds", FULL_ROUNDS // 2),
        ),
        # VALUES_AT: width - 1 inputs; then the hash.
        _function(
            "hash",
            "",
            "at from left",
            "",
            *load_call,
            f"i32.const {_STATE + ELEMENT} local.set $at i32.const {VALUES_AT} local.set $from",
            f"{width} i32.const 1 i32.sub local.set $left",
            _repeat("left", take, _advance("at", ELEMENT), _advance("from", ELEMENT)),
            _call("permute"),
            _call("multiply", VALUES_AT, _STATE, _FROM_MONTGOMERY),
            export=True,
        ),
        # VALUES_AT: a leaf; then for each level, lowest first, four children, of which the one on the path is not read.
        # Afterwards the first child of each level is the level's hash.
        _function(
            "climb",
            "",
            "at from left levels",
            "index",
            *load_call,
            f"i32.const {CALL_AT + 12} i32.load local.set $levels i32.const {INDEX_AT} i64.load local.set $index",
            f"i32.const {VALUES_AT} local.set $from",
            _call("multiply", _STATE, "local.get $from", _TO_MONTGOMERY),
            _advance("from", ELEMENT),
            _repeat(
                "levels",
                f"i32.const {_NEXT_STATE} i32.const {_STATE} i32.const {ELEMENT} memory.copy",
                f"i32.const {_STATE + ELEMENT} local.set $at i32.const 4 local.set $left",
                _repeat("left", take, _advance("at", ELEMENT), _advance("from", ELEMENT)),
                f"local.get $index i32.wrap_i64 i32.const 3 i32.and i32.const {ELEMENT} i32.mul "
                f"i32.const {_STATE + ELEMENT} i32.add i32.const {_NEXT_STATE} i32.const {ELEMENT} memory.copy",
                _call("permute"),
                _call("multiply", _plus("from", -_LEVEL), _STATE, _FROM_MONTGOMERY),
                "local.get $index i64.const 2 i64.shr_u local.set $index",
            ),
            export=True,
        ),
    ]


# ---------------------------------------------------------------- BabyJubJub


def _curve() -> list[str]:
    e, f, g, h, first, second = (_SCRATCH + i * ELEMENT for i in range(6))
    x, y, z, t = (_SUM + i * ELEMENT for i in range(4))
    products = [_call("multiply", *each) for each in ((x, e, f), (y, g, h), (z, f, g), (t, e, h))]
    entry = [_plus("entry", i * ELEMENT) for i in range(4)]
    opposite = [_plus("opposite", i * ELEMENT) for i in range(4)]
    return [
        # _SUM = 2·_SUM (Hisil and others, §3.3)
        _function(
            "double",
            "",
            "",
            "",
            _call("multiply", first, x, x),
            _call("multiply", second, y, y),
            _call("multiply", e, x, y),
            _call("add", e, e, e),
            _call("subtract", g, second, first),
            _call("add", h, first, second),
            _call("subtract", h, _ZERO, h),
            _call("multiply", f, z, z),
            _call("add", f, f, f),
            _call("subtract", f, g, f),
            *products,
        ),
        # The point _SUM as summand, (Y - X, Y + X, 2·Z, 2·d'·T).
        _function(
            "prepare",
            "entry",
            "",
            "",
            _call("subtract", entry[0], y, x),
            _call("add", entry[1], y, x),
            _call("add", entry[2], z, z),
            _call("multiply", entry[3], t, _TWICE_D),
        ),
        # _SUM = _SUM + a prepared point (§3.1, complete)
        _function(
            "sum",
            "entry",
            "",
            "",
            _call("subtract", first, y, x),
            _call("multiply", first, first, entry[0]),
            _call("add", second, y, x),
            _call("multiply", second, second, entry[1]),
            _call("multiply", g, t, entry[3]),
            _call("multiply", h, z, entry[2]),
            _call("subtract", e, second, first),
            _call("subtract", f, h, g),
            _call("add", g, h, g),
            _call("add", h, second, first),
            *products,
        ),
        # Prepared multiples -half … half of the point _SUM.
        _function(
            "table",
            "entry half",
            "opposite left",
            "",
            _call("prepare", _SUMMAND),
            f"i32.const {_SUM} i32.const {_IDENTITY} i32.const {_POINT} memory.copy",
            f"local.get $entry local.get $half i32.const {_POINT} i32.mul i32.add local.tee $entry local.set $opposite",
            "local.get $half i32.const 1 i32.add local.set $left",
            _repeat(
                "left",
                _call("prepare", "local.get $entry"),
                f"{opposite[0]} {entry[1]} i32.const {ELEMENT} memory.copy",
                f"{opposite[1]} {entry[0]} i32.const {ELEMENT} memory.copy",
                f"{opposite[2]} {entry[2]} i32.const {ELEMENT} memory.copy",
                _call("subtract", opposite[3], _ZERO, entry[3]),
                _call("sum", _SUMMAND),
                _advance("entry", _POINT),
                _advance("opposite", -_POINT),
            ),
        ),
        _function(
            "start",
            "",
            "",
            "",
            f"i32.const {_SUM} i32.const {_BASE} i32.const {_POINT} memory.copy",
            _call("table", _BASE_TABLE, 128),
        ),
        "(start $start)",
        # VALUES_AT: x and y of a point, scalars m and s; then X, Y and Z of m·point + s·base. The scalars have
        # 8·(16⁰ + … + 16⁶³) and 128·(256⁰ + … + 256³¹) added, so that from their nibbles and bytes, which number the
        # entries of the tables, 8 and 128 are to be subtracted to have digits.
        _function(
            "combine",
            "",
            "left byte",
            "",
            _call("multiply", x, VALUES_AT, _TO_MONTGOMERY),
            _call("multiply", y, VALUES_AT + ELEMENT, _TO_MONTGOMERY),
            f"i32.const {z} i32.const {_ONE} i32.const {ELEMENT} memory.copy",
            _call("multiply", t, x, y),
            _call("table", _POINT_TABLE, 8),
            f"i32.const {_SUM} i32.const {_IDENTITY} i32.const {_POINT} memory.copy",
            "i32.const 32 local.set $left",
            _repeat(
                "left",
                *[_call("double")] * 4,
                f"local.get $left i32.load8_u offset={VALUES_AT + 2 * ELEMENT - 1} local.tee $byte",
                f"i32.const 4 i32.shr_u i32.const {_POINT} i32.mul i32.const {_POINT_TABLE} i32.add call $sum",
                *[_call("double")] * 4,
                "local.get $byte i32.const 15 i32.and",
                f"i32.const {_POINT} i32.mul i32.const {_POINT_TABLE} i32.add call $sum",
                f"local.get $left i32.load8_u offset={VALUES_AT + 3 * ELEMENT - 1}",
                f"i32.const {_POINT} i32.mul i32.const {_BASE_TABLE} i32.add call $sum",
            ),
            *(_call("multiply", VALUES_AT + i * ELEMENT, _SUM + i * ELEMENT, _FROM_MONTGOMERY) for i in range(3)),
            export=True,
        ),
    ]


def module() -> str:
    """The module's text. Its exports are `memory` and the functions `hash`, `climb` and `combine`."""
    data = "".join(f"\\{byte:02x}" for byte in _constants())
    parts = (
        f'(memory (export "memory") {MEMORY >> 16} {MEMORY >> 16})',
        f'(data (i32.const {_TO_MONTGOMERY}) "{data}")',
        *_field(),
        *_poseidon(),
        *_curve(),
    )
    return "\n".join(("(module", *parts, ")"))
