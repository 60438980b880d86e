"""Access to circomlibjs, the reference that the Python cryptography is compared with."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layer2.toolchain import find_program

Circomlib = Callable[[list[dict[str, Any]]], list[Any]]


@pytest.fixture(scope="session")
def circomlib() -> Circomlib:
    """Answers a list of questions (see circomlib.mjs) in one run of Node."""
    script = Path(__file__).with_name("circomlib.mjs")

    def ask(questions: list[dict[str, Any]]) -> list[Any]:
        run = subprocess.run(
            [find_program("node"), str(script)], input=json.dumps(questions), capture_output=True, text=True, check=True
        )
        answers: list[Any] = json.loads(run.stdout)
        return answers

    return ask
