"""A development chain of one's own: Anvil in a process. For tests, and for commands that need a chain for a moment.

May import `layer2.chain` and `layer2.toolchain`.
"""

import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from layer2.chain.connection import Chain, connect
from layer2.chain.errors import ChainError, ChainUnreachableError
from layer2.chain.signer import LocalSigner
from layer2.toolchain import find_program

KEYS: Final = (
    # Anvil's well-known accounts, from the mnemonic "test test test test test test test test test test test junk".
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
)

_SECONDS_TO_START: Final = 30


def signer(number: int) -> LocalSigner:
    """One of Anvil's accounts, each with 10,000 ETH."""
    return LocalSigner(KEYS[number])


class Anvil:
    """A running chain; a context manager that ends it.

    log: where its output goes. options: of its command line. hardfork: which rules it follows. Raises ChainError when
    it does not start, ToolMissingError when there is no Anvil.
    """

    def __init__(self, log: Path, *options: str, hardfork: str = "prague") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.chain: Chain
        command = [str(find_program("anvil")), "--port", str(self.port), "--hardfork", hardfork, *options]
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        end = time.monotonic() + _SECONDS_TO_START
        while self._process.poll() is None and time.monotonic() < end:
            try:
                self.chain = connect(self.url)
                return
            except ChainUnreachableError:
                time.sleep(0.1)
        self.stop()
        raise ChainError(
            f"anvil does not start: {log.read_text()[-500:] or 'it says nothing; look at the machine load'}"
        )

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def request(self, method: str, *parameters: Any) -> Any:
        """A JSON-RPC call. Raises ChainError with the node's words when it refuses."""
        answer = self.chain.web3.provider.make_request(method, list(parameters))  # type: ignore[arg-type]
        if "error" in answer:
            raise ChainError(f"{method}: {answer['error']}")
        return answer["result"]
