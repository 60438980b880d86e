"""Commands as a user types them: `ape run …`, in this process, which is faster, or in one of its own."""

import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from click.testing import CliRunner

from layer2.toolchain import PROJECT

APE: Final = Path(sys.executable).with_name("ape")

# Another package named "tests" may be installed, and would be found first.
_RUN_SUPPORT: Final = """
import importlib, sys, types
tests = sys.modules["tests"] = types.ModuleType("tests")
tests.__path__ = [sys.argv[1]]
importlib.import_module("tests.support." + sys.argv[2]).main(*sys.argv[3:])
"""


def command(name: str) -> click.Command:
    """What `ape run NAME` runs."""
    return runpy.run_path(str(PROJECT / "scripts" / f"{name}.py"))["cli"]


def run(name: str, *arguments: str, code: int = 0) -> str:
    """The output of a command that ends with an exit code; nothing but that is raised."""
    done = CliRunner().invoke(command(name), arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    assert done.exit_code == code, done.output
    return done.output


def run_process(*arguments: str, code: int = 0) -> str:
    """As `run`, in a process of its own; there never is a stack trace."""
    done = subprocess.run([APE, "run", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    assert "Traceback" not in output
    return output


@dataclass
class Service:
    """A command that serves. said: what it printed until it listened at `url`."""

    process: "subprocess.Popen[str]"
    url: str
    said: str

    def end(self) -> str:
        """End it as a user does; it ends well. Returns the rest of its output."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0
        assert self.process.stdout is not None
        return self.process.stdout.read()


@contextmanager
def serving(*arguments: str) -> Iterator[Service]:
    """`ape run …` that listens somewhere, once it does; killed at the end if it still runs."""
    process = subprocess.Popen(
        [APE, "run", *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "listening on" in line:
                break
        found = re.search(r"listening on (\S+);", said)
        assert found, f"it does not listen, but says: {said}"
        yield Service(process, found[1], said)
    finally:
        process.kill()
        process.wait()


def support_program(module: str, *arguments: str) -> list[str]:
    """The command line that runs `main` of a module of `tests.support` in a process of its own."""
    return [sys.executable, "-c", _RUN_SUPPORT, str(PROJECT / "tests"), module, *arguments]
