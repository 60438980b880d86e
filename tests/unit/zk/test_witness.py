"""The witness calculator: right values, clear refusals, several threads."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from layer2.crypto.field import R
from layer2.toolchain import PROJECT
from layer2.zk.circom import Compiled, compile_circuit
from layer2.zk.r1cs import read_r1cs, read_symbols, read_witness
from layer2.zk.witness import WitnessCalculator, WitnessError

SOURCE = """pragma circom 2.2.3;
template Checked() {
    signal input low;
    signal input high;
    signal product;
    product <== low * high;
    product === 35;
}
template Example() {
    signal input a;
    signal input grid[2][3];
    signal output sum;
    signal terms[3];
    component checked = Checked();
    checked.low <== a;
    checked.high <== grid[0][0];
    var total = 0;
    for (var i = 0; i < 3; i++) {
        terms[i] <== grid[0][i] * grid[1][i];
        total += terms[i];
    }
    log("total", total);
    sum <== total;
}
component main = Example();
"""
INPUTS = {"a": 5, "grid": [[7, 2, 3], [R - 1, 5, 6]]}
SUM = R - 7 + 10 + 18


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_circuit(SOURCE, PROJECT / "build" / "circuits-test")


@pytest.fixture(scope="module")
def calculator(compiled: Compiled) -> WitnessCalculator:
    return WitnessCalculator(compiled.wasm)


def test_witness_satisfies_the_constraints(compiled: Compiled, calculator: WitnessCalculator) -> None:
    witness = read_witness(calculator.calculate(INPUTS))
    assert witness[0] == 1
    assert witness[read_symbols(compiled.sym)["main.sum"]] == SUM % R
    assert read_r1cs(compiled.r1cs).violated(witness) == []


def test_tuples_and_nested_lists_are_flattened_in_order(calculator: WitnessCalculator) -> None:
    assert calculator.calculate({"a": 5, "grid": (7, 2, 3, (R - 1, 5), 6)}) == calculator.calculate(INPUTS)


def test_unsatisfied_check_is_named_by_template_and_line(calculator: WitnessCalculator) -> None:
    with pytest.raises(WitnessError, match=r"does not hold: .*Checked_\d+ line: 7") as caught:
        calculator.calculate(INPUTS | {"a": 6})
    assert "Example" in str(caught.value)


def test_a_failure_leaves_the_calculator_usable(calculator: WitnessCalculator) -> None:
    with pytest.raises(WitnessError):
        calculator.calculate(INPUTS | {"a": 6})
    assert read_witness(calculator.calculate(INPUTS))[1] == SUM % R


def test_missing_inputs_are_named(calculator: WitnessCalculator) -> None:
    with pytest.raises(WitnessError, match=r"6 of 7 input values are missing: grid$"):
        calculator.calculate({"a": 5})
    with pytest.raises(WitnessError, match=r"7 of 7 input values are missing: a, grid$"):
        calculator.calculate({})


def test_missing_inputs_without_symbols_are_counted(compiled: Compiled, tmp_path: Path) -> None:
    wasm = tmp_path / "circuit.wasm"
    wasm.write_bytes(compiled.wasm.read_bytes())
    with pytest.raises(WitnessError, match="6 of 7 input values are missing: their names"):
        WitnessCalculator(wasm).calculate({"a": 5})


@pytest.mark.parametrize("name", ["b", "sum", "checked", "main.a", ""])
def test_unknown_inputs_are_named(calculator: WitnessCalculator, name: str) -> None:
    with pytest.raises(WitnessError, match=f"no input '{name}'"):
        calculator.calculate(INPUTS | {name: 1})


@pytest.mark.parametrize(("grid", "size"), [([1, 2, 3, 4, 5], 5), ([[1, 2, 3, 4], [5, 6, 7]], 7), ([], 0), (1, 1)])
def test_inputs_of_another_size_are_named(calculator: WitnessCalculator, grid: object, size: int) -> None:
    with pytest.raises(WitnessError, match=f"'grid' has {size} values, the circuit takes 6"):
        calculator.calculate({"a": 5, "grid": grid})


@pytest.mark.parametrize("value", [-1, R, 1 << 256])
def test_values_outside_the_field_are_refused(calculator: WitnessCalculator, value: int) -> None:
    with pytest.raises(WitnessError, match=f"'a' is {value}: give a number from 0"):
        calculator.calculate(INPUTS | {"a": value})


@pytest.mark.parametrize("value", ["5", b"5", 5.0, None, {"x": 5}])
def test_values_that_are_not_ints_are_refused(calculator: WitnessCalculator, value: object) -> None:
    with pytest.raises(WitnessError, match="'a' holds"):
        calculator.calculate(INPUTS | {"a": value})


def test_threads_do_not_disturb_each_other(calculator: WitnessCalculator) -> None:
    """Good and bad inputs at once: every thread gets its own result or its own error."""

    def run(number: int) -> object:
        try:
            inputs = {"a": 5, "grid": [[7 + number % 2, 0, 0], [number, 0, 0]]}
            return read_witness(calculator.calculate(inputs))[1]
        except WitnessError as error:
            return str(error).split(":")[0]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(64)))
    assert results == ["the inputs do not satisfy the circuit" if n % 2 else 7 * n for n in range(64)]


def test_compiled_module_is_cached_and_a_damaged_one_made_again(compiled: Compiled, tmp_path: Path) -> None:
    first = WitnessCalculator(compiled.wasm, tmp_path).calculate(INPUTS)
    (stored,) = tmp_path.iterdir()
    whole = stored.read_bytes()
    before = stored.stat().st_mtime_ns
    assert WitnessCalculator(compiled.wasm, tmp_path).calculate(INPUTS) == first
    assert stored.stat().st_mtime_ns == before
    for damaged in (whole[:-100], whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:], b"x", b""):
        stored.write_bytes(damaged)
        assert WitnessCalculator(compiled.wasm, tmp_path).calculate(INPUTS) == first
        assert stored.read_bytes()[:32] != damaged[:32] or stored.stat().st_size == len(whole)
        assert list(tmp_path.iterdir()) == [stored]


def test_files_that_are_no_circuit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WitnessError, match="is missing: run `make circuits`"):
        WitnessCalculator(tmp_path / "circuit.wasm")
    (tmp_path / "text.wasm").write_text("hello")
    with pytest.raises(WitnessError, match=r"text\.wasm is not a WASM module"):
        WitnessCalculator(tmp_path / "text.wasm", tmp_path)
    (tmp_path / "empty.wasm").write_bytes(b"\0asm\1\0\0\0")
    with pytest.raises(WitnessError, match=r"empty\.wasm is not a circuit"):
        WitnessCalculator(tmp_path / "empty.wasm", tmp_path)


def test_circuit_over_another_field_is_refused(compiled: Compiled, tmp_path: Path) -> None:
    prime = R.to_bytes(32, "little")
    wasm = compiled.wasm.read_bytes()
    assert prime in wasm
    (tmp_path / "other.wasm").write_bytes(wasm.replace(prime, (R - 2).to_bytes(32, "little")))
    with pytest.raises(WitnessError, match="for the field of order"):
        WitnessCalculator(tmp_path / "other.wasm", tmp_path)
