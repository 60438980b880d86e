"""The project's tools: one compiler version everywhere, found without environment variables."""

import functools
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import solcx.install

from layer2.toolchain import PROJECT, SOLC_FOLDER, SOLC_VERSION, ToolMissingError, activate, find_program

sys.path.insert(0, str(PROJECT / "tools"))
import install_solc

SHIM = PROJECT / "tools" / "solc.mjs"


def standard_json(compiler: Path, source: str, base_path: Path) -> dict:
    request = {
        "language": "Solidity",
        "sources": {"a.sol": {"content": f"pragma solidity {SOLC_VERSION};\n{source}"}},
        "settings": {"outputSelection": {"*": {"*": ["metadata"]}}},
    }
    done = subprocess.run(
        [compiler, "--base-path", base_path, "--standard-json"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_one_compiler_version_everywhere():
    config = (PROJECT / "ape-config.yaml").read_text()
    assert re.findall(r"^  version: (\S+)$", config, re.M) == [SOLC_VERSION]
    assert json.loads((PROJECT / "package.json").read_text())["dependencies"]["solc"] == SOLC_VERSION
    for source in (PROJECT / "contracts").rglob("*.sol"):
        for pragma in re.findall(r"^pragma solidity (.*);$", source.read_text(), re.M):
            if "generated" not in source.parts:
                assert pragma == SOLC_VERSION, source


def test_installed_compiler_is_the_pinned_build():
    assert install_solc.commit(SOLC_FOLDER / f"solc-v{SOLC_VERSION}") == install_solc.commit(SHIM)


def test_npm_compiler_names_itself_in_the_metadata_as_on_the_command_line():
    # The commit in the metadata is part of the bytecode: a wrong one would change every contract's hash.
    answer = standard_json(SHIM, "contract C {}", PROJECT)
    metadata = json.loads(answer["contracts"]["a.sol"]["C"]["metadata"])
    assert metadata["compiler"]["version"] == install_solc.commit(SHIM)


def test_npm_compiler_reads_imports_below_the_base_path_only(tmp_path):
    (tmp_path / "outside.sol").write_text(f"pragma solidity {SOLC_VERSION}; contract B {{}}")
    base = tmp_path / "base"
    base.mkdir()
    (base / "inside.sol").write_text(f"pragma solidity {SOLC_VERSION}; contract B {{}}")
    inside = standard_json(SHIM, 'import {B} from "inside.sol"; contract C is B {}', base)
    assert set(inside["contracts"]) == {"a.sol", "inside.sol"}
    outside = standard_json(SHIM, 'import {B} from "/../outside.sol"; contract C is B {}', base)
    messages = [error["message"] for error in outside["errors"] if error["severity"] == "error"]
    assert len(messages) == 1
    assert "lies outside of the base path" in messages[0]


def make_compiler(path: Path, filter_output: str) -> Path:
    """A compiler that is the npm one, its output piped through a sed expression."""
    path.write_text(f'#!/bin/sh\n"{SHIM}" "$@" | sed "{filter_output}"\n')
    path.chmod(0o755)
    return path


def test_native_compiler_is_taken_when_it_compiles_alike(tmp_path):
    install_solc.check_same(make_compiler(tmp_path / "solc", ""), SHIM)


@pytest.mark.parametrize(
    ("filter_output", "message"),
    [
        ("s/f401782d/00000000/", "expected 0.8.37"),
        (r"s/\"object\":\"6/\"object\":\"7/", "bytecode differs"),
        ("s/Version.*//", "does not run"),
    ],
)
def test_native_compiler_is_refused_when_it_is_another(tmp_path, filter_output, message):
    compiler = make_compiler(tmp_path / "solc", filter_output)
    with pytest.raises(install_solc.UnusableCompilerError, match=message):
        install_solc.check_same(compiler, SHIM)


def test_native_compiler_of_another_platform_is_refused(tmp_path):
    compiler = tmp_path / "solc"
    compiler.write_bytes(b"\x00not a program")
    compiler.chmod(0o755)
    with pytest.raises(install_solc.UnusableCompilerError, match="does not run on this machine"):
        install_solc.check_same(compiler, SHIM)


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """A server of native compilers: publishes one content with one digest; installs go to a folder of the test."""
    files = tmp_path / "published"
    files.mkdir()
    handler = functools.partial(SilentHandler, directory=files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(solcx.install, "BINARY_DOWNLOAD_BASE", f"http://127.0.0.1:{server.server_port}/{{1}}{{0:.0}}")
    monkeypatch.setattr(install_solc, "SOLC_FOLDER", tmp_path / "solc")
    monkeypatch.setattr(install_solc, "TARGET", tmp_path / "solc" / "target")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")

    def publish(content: bytes, digest: str) -> None:
        (files / "solc-native").write_bytes(content)
        build = {"path": "solc-native", "longVersion": install_solc.commit(SHIM), "sha256": digest}
        (files / "list.json").write_text(json.dumps({"builds": [build]}))

    yield publish
    server.shutdown()
    server.server_close()


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_native_compiler_is_installed_when_it_can_be_downloaded(publish, tmp_path):
    content = make_compiler(tmp_path / "native", "").read_bytes()
    publish(content, "0x" + hashlib.sha256(content).hexdigest())
    assert "native, same bytecode" in install_solc.install()
    assert install_solc.TARGET.read_bytes() == content
    assert install_solc.installed()


def test_native_compiler_with_another_digest_is_replaced_by_the_npm_one(publish, tmp_path):
    publish(make_compiler(tmp_path / "native", "").read_bytes(), "0x" + "00" * 32)
    assert "its SHA-256 is" in install_solc.install()
    assert install_solc.TARGET.resolve() == SHIM


def test_npm_compiler_is_installed_when_there_is_nothing_to_download(publish):
    assert "cannot be downloaded" in install_solc.install()
    assert install_solc.TARGET.resolve() == SHIM
    assert install_solc.installed()
    assert [path.name for path in install_solc.SOLC_FOLDER.iterdir()] == ["target"]


def test_activate_leaves_the_users_choices_first(monkeypatch):
    monkeypatch.setenv("SOLCX_BINARY_PATH", "/elsewhere")
    monkeypatch.setenv("PATH", "/users/bin")
    activate()
    activate()
    assert os.environ["SOLCX_BINARY_PATH"] == "/elsewhere"
    assert os.environ["PATH"].split(os.pathsep) == ["/users/bin", str(PROJECT / "node_modules/.bin")]


def test_ape_needs_no_environment():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os; print(os.environ['SOLCX_BINARY_PATH']); print(os.environ['PATH'])",
        ],
        env={"PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    solc, path = done.stdout.splitlines()
    assert solc == str(SOLC_FOLDER)
    assert path.endswith("node_modules/.bin")


def test_missing_program_is_named_with_its_remedy():
    with pytest.raises(ToolMissingError, match=r"'no-such-program' is neither.*make setup"):
        find_program("no-such-program")
    assert find_program("anvil").is_file()


def test_ape_sees_every_contract():
    # Ape reads the first 500 files below contracts/ and drops the others without a word.
    files = [path for path in (PROJECT / "contracts").rglob("*.*") if path.is_file()]
    assert len(files) < 400


def test_contract_names_are_unique():
    # Of two contracts with one name Ape keeps one, without a word.
    files: dict[str, Path] = {}
    for path in sorted((PROJECT / "contracts").rglob("*.sol")):
        code = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.S)
        for name in re.findall(r"^(?:abstract )?(?:contract|library|interface) (\w+)", code, re.M):
            assert name not in files, f"{name} is in {files.get(name)} and in {path}"
            files[name] = path
    assert files
