"""What the commands do beside talking to actors."""

import errno
import os
import threading
from pathlib import Path

import pytest

from layer2.channels import running


def test_what_was_paid_for_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it is not stored: a payment counts as answered only then."""
    synced: list[int] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(number) or sync(number))
    running.store(tmp_path / "answer", b"rain\n")
    assert ((tmp_path / "answer").read_bytes(), len(synced)) == (b"rain\n", 1)

    def broken(number: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="broken"):
        running.store(tmp_path / "answer", b"rain\n")


def test_what_is_no_file_cannot_be_on_the_disk(tmp_path: Path) -> None:
    running.store(Path("/dev/null"), b"rain\n")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()), daemon=True)
    reader.start()
    running.store(pipe, b"rain\n")
    reader.join(10)
    assert heard == [b"rain\n"]
