"""Where the project's own tools are: the Solidity compiler, Anvil and the npm programs.

`make setup` puts a line into the virtual environment that calls :func:`activate` at the start of every
Python of it, so plain ``ape compile``, ``ape test`` and ``ape run`` work without any environment variable.
Imports the standard library only, and little of it, because every start pays for it.
"""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
"""The checkout this package was installed from."""

SOLC_VERSION = "0.8.37"
"""The only compiler version; a test holds ``ape-config.yaml`` and ``package.json`` to it."""

SOLC_FOLDER = PROJECT / ".cache" / "solc"
"""Where py-solc-x finds the compiler (``solc-v0.8.37``), put there by ``tools/setup.py``."""

NPM_PROGRAMS = PROJECT / "node_modules" / ".bin"


class ToolMissingError(Exception):
    """A program that the project needs is not there; the message says how to get it."""


def activate() -> None:
    """Point py-solc-x at the project's compiler and let the npm programs be found.

    What the user has set or has on the PATH already goes first.
    """
    os.environ.setdefault("SOLCX_BINARY_PATH", str(SOLC_FOLDER))
    path = os.environ.get("PATH", os.defpath)
    if str(NPM_PROGRAMS) not in path.split(os.pathsep):
        os.environ["PATH"] = f"{path}{os.pathsep}{NPM_PROGRAMS}"


def find_program(name: str) -> Path:
    """The program ``name``, from the PATH or else from the project's npm packages.

    Raises:
        ToolMissingError: it is in neither place.
    """
    import shutil

    found = shutil.which(name) or shutil.which(name, path=str(NPM_PROGRAMS))
    if found is None:
        remedy = "install Foundry" if name == "anvil" else "run `make setup`"
        raise ToolMissingError(f"The program {name!r} is neither on the PATH nor in {NPM_PROGRAMS}: {remedy}.")
    return Path(found)
