"""A development chain of one's own: Anvil in a process, with control over mining, time and reorgs."""

import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from layer2.chain.connection import Chain, connect
from layer2.chain.errors import ChainUnreachableError
from layer2.chain.signer import LocalSigner
from layer2.toolchain import find_program

KEYS = (
    # Anvil's well-known accounts, from the mnemonic "test test test test test test test test test test test junk".
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
)


def signer(number: int) -> LocalSigner:
    """One of Anvil's accounts, each with 10,000 ETH."""
    return LocalSigner(KEYS[number])


class Anvil:
    """A running chain; a context manager that ends it."""

    def __init__(self, log: Path, *options: str, hardfork: str = "prague") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [str(find_program("anvil")), "--port", str(self.port), "--hardfork", hardfork, *options]
        self._process = subprocess.Popen(command, stdout=log.open("wb"), stderr=subprocess.STDOUT)
        self.chain: Chain
        for _ in range(300):
            try:
                self.chain = connect(self.url)
                break
            except ChainUnreachableError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.1)
        else:
            self.stop()
        if not hasattr(self, "chain"):
            raise RuntimeError(f"anvil does not start: {log.read_text()}")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Anvil":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def request(self, method: str, *parameters: Any) -> Any:
        """A JSON-RPC call. Raises AssertionError with the node's words when it refuses."""
        answer = self.chain.web3.provider.make_request(method, list(parameters))
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def snapshot(self) -> str:
        return str(self.request("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Back to a snapshot: its later blocks are gone, as in a reorg."""
        assert self.request("evm_revert", snapshot) is True

    def mine(self, blocks: int = 1) -> None:
        self.request("anvil_mine", hex(blocks))

    def automine(self, on: bool) -> None:
        self.request("evm_setAutomine", on)

    def drop_all(self) -> None:
        """Empty the mempool."""
        self.request("anvil_dropAllTransactions")

    def warp(self, seconds: int) -> None:
        """Let time pass, and mine a block."""
        self.request("evm_increaseTime", hex(seconds))
        self.mine()
