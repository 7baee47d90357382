"""A writer that stops in the middle of a change (a debugger, SIGSTOP) makes others wait for a while, then say so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from avm import AVM
from avm_builtin.storage.sqlite import connection
from vfs_core.errors import StoreBusy

_HOLDER = """
import sys, time
from vfs_core.kernel import Kernel
with Kernel(None, sys.argv[1]) as kernel:
    session = kernel.session("holder")
    session.write("/memory/shared/mine.md", "before")
    with session.transaction() as tx:
        tx.write("/memory/shared/mine.md", b"in between")
        print("holding", flush=True)
        sys.stdin.readline()
    session.write("/memory/shared/mine.md", "after")
"""


@pytest.mark.parametrize("meetings", [1, 3])
def test_who_waits_for_a_stopped_writer_is_told_and_goes_on_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meetings: int
) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.3)
    db = tmp_path / "avm.db"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(db)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == "holding\n"
        os.kill(holder.pid, signal.SIGSTOP)
        with AVM(db=db, agent="other") as memory:
            for _ in range(meetings):  # the second time it queues from the beginning
                with pytest.raises(StoreBusy, match=r"avm\.db has been locked by another writer"):
                    memory.write("/memory/shared/theirs.md", "x")
            assert memory.read("/memory/shared/mine.md").text == "before"
            os.kill(holder.pid, signal.SIGCONT)
            holder.stdin.write("\n")
            holder.stdin.flush()
            assert holder.wait(60) == 0
            memory.write("/memory/shared/theirs.md", "x")
            assert memory.read("/memory/shared/mine.md").text == "after"
