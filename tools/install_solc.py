"""Put the Solidity compiler where py-solc-x looks for it: the native one where it can be downloaded,
otherwise the npm package behind ``tools/solc.mjs``.

Both are builds of one commit. That they give the same bytecode is checked, not believed: a native
compiler is taken only if its SHA-256 is the published one, it reports the expected commit and it
compiles a probe contract to the very bytes that the npm package makes of it.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import requests
import solcx.install

from layer2.toolchain import PROJECT, SOLC_FOLDER, SOLC_VERSION

NPM_COMPILER = PROJECT / "tools" / "solc.mjs"
TARGET = SOLC_FOLDER / f"solc-v{SOLC_VERSION}"
CONNECT_SECONDS, READ_SECONDS = 5, 60

PROBE = """
// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

contract Probe {
    struct Entry { uint128 amount; address owner; bytes data; }
    mapping(uint256 index => Entry) private _entries;
    uint256 public transient depth;
    event Stored(uint256 indexed index, bytes32 digest);
    error TooLong(uint256 length);

    function store(uint256 index, uint128 amount, bytes calldata data) external returns (bytes32 digest) {
        if (data.length > 1024) revert TooLong(data.length);
        _entries[index] = Entry(amount, msg.sender, data);
        for (uint256 i = 0; i < data.length; ++i) {
            digest = keccak256(abi.encode(digest, data[i], amount * (i + 1) % 7));
        }
        assembly ("memory-safe") { tstore(depth.slot, add(tload(depth.slot), 1)) }
        emit Stored(index, digest);
    }
}
"""


class UnusableCompilerError(Exception):
    """The native compiler cannot be had, or is not the one wanted; the message says why."""


def bytecode(compiler: Path) -> str:
    """The probe's creation bytecode (hex) with the settings of ``ape-config.yaml``."""
    request = {
        "language": "Solidity",
        "sources": {"Probe.sol": {"content": PROBE}},
        "settings": {
            "optimizer": {"enabled": True, "runs": 1_000_000},
            "viaIR": True,
            "evmVersion": "prague",
            "outputSelection": {"*": {"*": ["evm.bytecode.object"]}},
        },
    }
    done = subprocess.run(
        [compiler, "--standard-json"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UnusableCompilerError(f"{compiler} failed: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    if "contracts" not in answer:
        raise UnusableCompilerError(f"{compiler} compiled nothing: {answer.get('errors')}")
    result: str = answer["contracts"]["Probe.sol"]["Probe"]["evm"]["bytecode"]["object"]
    return result


def commit(compiler: Path) -> str:
    """The version with its commit, such as ``0.8.37+commit.f401782d``."""
    return solcx.wrapper.get_version_str_from_solc_binary(compiler)


def check_same(native: Path, npm: Path) -> None:
    """Raise UnusableCompilerError unless both compilers are of one commit and compile alike."""
    try:
        native_commit = commit(native)
    except (OSError, subprocess.CalledProcessError, solcx.exceptions.SolcError) as error:
        raise UnusableCompilerError(f"it does not run on this machine ({error})") from error
    if native_commit != commit(npm):
        raise UnusableCompilerError(f"it is {native_commit}, expected {commit(npm)}")
    if bytecode(native) != bytecode(npm):
        raise UnusableCompilerError("its bytecode differs from the npm compiler's")


def download(target: Path) -> None:
    """Download the native compiler to ``target``; raises UnusableCompilerError."""
    if platform.machine() not in ("x86_64", "AMD64") and sys.platform != "darwin":
        raise UnusableCompilerError(f"there is none for {platform.machine()}")

    def fetch(name: str) -> requests.Response:
        url = solcx.install.BINARY_DOWNLOAD_BASE.format(solcx.install._get_os_name(), name)
        answer = requests.get(url, timeout=(CONNECT_SECONDS, READ_SECONDS))
        answer.raise_for_status()
        return answer

    try:
        builds = {build["path"]: build for build in fetch("list.json").json()["builds"]}
        [build] = [b for b in builds.values() if b["longVersion"].startswith(f"{SOLC_VERSION}+")]
        content = fetch(build["path"]).content
    except (requests.RequestException, KeyError, ValueError, OSError) as error:
        raise UnusableCompilerError(f"it cannot be downloaded ({type(error).__name__})") from error
    digest = "0x" + hashlib.sha256(content).hexdigest()
    if digest != build["sha256"]:
        raise UnusableCompilerError(f"its SHA-256 is {digest}, published is {build['sha256']}")
    target.write_bytes(content)
    target.chmod(0o755)


def installed() -> bool:
    """Whether a compiler of the right version is in place and runs."""
    if not TARGET.exists():
        return False
    try:
        return commit(TARGET).startswith(f"{SOLC_VERSION}+")
    except (OSError, subprocess.CalledProcessError, solcx.exceptions.SolcError):
        return False


def install() -> str:
    """Install one of the two compilers; returns the line to show."""
    SOLC_FOLDER.mkdir(parents=True, exist_ok=True)
    candidate = SOLC_FOLDER / f"download-{os.getpid()}"
    try:
        download(candidate)
        check_same(candidate, NPM_COMPILER)
        candidate.replace(TARGET)
        return f"solc {SOLC_VERSION}: native, same bytecode as the npm compiler"
    except UnusableCompilerError as error:
        # A relative link, made beside and renamed over, so that TARGET is whole at any moment.
        candidate.unlink(missing_ok=True)
        candidate.symlink_to(os.path.relpath(NPM_COMPILER, SOLC_FOLDER))
        bytecode(candidate)
        candidate.replace(TARGET)
        return f"solc {SOLC_VERSION}: npm package (not the native one: {error})"


if __name__ == "__main__":
    if installed():
        print(f"[setup] solc {SOLC_VERSION}: up to date")
    else:
        print(f"[setup] solc {SOLC_VERSION}: installing", flush=True)
        print(f"[setup] {install()}")
