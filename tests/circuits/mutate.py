"""Breaks the circuits one constraint at a time and reports each break that no test notices.

    python tests/circuits/mutate.py [--only PART] [--list]

A break is a `===` removed or a range widened by one bit. (A `<==` turned into `<--` is noticed by the test that
looks for `<--`.) Each is compiled at the tests' small sizes and given to the attacks and the tests of soundness, until
one fails. Not a test itself: all breaks together take most of an hour.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from layer2.toolchain import PROJECT
from layer2.zk.circom import CIRCUITS

FOLDER = Path(__file__).parent.relative_to(PROJECT)
SOUNDNESS = f"{FOLDER}/test_soundness.py"
TRANSFERS = [
    f"{FOLDER}/test_attacks_transfers.py",
    f"{SOUNDNESS}::test_no_wire_can_change_alone[transfer]",
    f"{SOUNDNESS}::test_inputs_determine_every_wire[transfer]",
    f"{SOUNDNESS}::test_no_component_can_come_from_another_witness[Transfers: signers]",
]
OPERATIONS = [
    f"{FOLDER}/test_attacks_operations.py",
    f"{SOUNDNESS}::test_no_wire_can_change_alone[TRANSFER_TO_NEW]",
    f"{SOUNDNESS}::test_inputs_determine_every_wire[TRANSFER_TO_NEW]",
    f"{SOUNDNESS}::test_no_component_can_come_from_another_witness[TRANSFER_TO_NEW: signers]",
]


@dataclass(frozen=True)
class Break:
    """One changed line of a source below circuits/."""

    file: str
    line: int
    before: str
    after: str

    @property
    def tests(self) -> list[str]:
        return OPERATIONS if "operation" in self.file else TRANSFERS


def breaks() -> Iterator[Break]:
    """All breaks, the removed constraints first."""
    found: list[list[Break]] = [[], []]
    for path in sorted(CIRCUITS.rglob("*.circom")):
        file = path.relative_to(CIRCUITS).as_posix()
        for number, text in enumerate(path.read_text().splitlines(), 1):
            code = text.split("//")[0]
            if "===" in code:
                found[0].append(Break(file, number, text, re.sub(r"\S.*===.*", "", text)))
            elif widths := re.search(r"= (Range|Num2Bits)\(([^)]+)\)", code):
                wider = f"= {widths[1]}({widths[2]} + 1)"
                found[1].append(Break(file, number, text, text.replace(widths[0], wider)))
    for group in found:
        yield from group


def noticed(change: Break) -> bool:
    """Whether the circuits with the break fail to compile or fail a test."""
    with tempfile.TemporaryDirectory(prefix="break-") as folder:
        sources = Path(folder) / "circuits"
        shutil.copytree(CIRCUITS, sources, ignore=shutil.ignore_patterns("tools"))
        path = sources / change.file
        lines = path.read_text().splitlines()
        lines[change.line - 1] = change.after
        path.write_text("\n".join(lines) + "\n")
        environment = os.environ | {"CIRCUITS_UNDER_TEST": str(sources)}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:ape_test",
            *change.tests,
        ]
        run = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if run.returncode not in (0, 1):
        raise SystemExit(f"{change}: the tests did not run\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return run.returncode == 1


def main() -> None:
    """Runs the breaks and exits with 1 if one stays unnoticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only breaks whose 'file:line: after' contains this")
    parser.add_argument("--list", action="store_true", help="list the breaks and stop")
    arguments = parser.parse_args()
    unnoticed = 0
    for change in breaks():
        label = f"{change.file}:{change.line}: {change.before.strip()}"
        if arguments.only not in label:
            continue
        if arguments.list:
            print(label)
            continue
        result = noticed(change)
        unnoticed += not result
        print("noticed  " if result else "UNNOTICED", label, flush=True)
    raise SystemExit(unnoticed > 0)


if __name__ == "__main__":
    main()
