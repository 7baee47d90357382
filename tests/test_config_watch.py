"""A configuration that changes while a kernel lives is in force a moment later; a wrong one is told and left."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from avm.errors import Denied, NotFound
from vfs_core import config_watch
from vfs_core.kernel import Kernel


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(config_watch, "INTERVAL", 0.01)


def replace(file: Path, text: str) -> None:
    """As editors do."""
    other = file.with_suffix(".new")
    other.write_text(text)
    other.replace(file)


def in_time(there: Callable[[], bool]) -> bool:
    for _ in range(1000):
        if there():
            return True
        time.sleep(0.01)
    return False


def may_write(session) -> bool:
    try:
        session.write("/memory/team/a", "x")
    except Denied:
        return False
    return True


READ_ONLY = "permissions:\n  - {pattern: /memory/team/**, access: ro}\n"


def test_a_change_is_in_force_in_open_sessions_and_a_wrong_one_is_told_once(tmp_path, caplog):
    file = tmp_path / "config.yaml"
    file.write_text("{}\n")
    with Kernel(file, tmp_path / "avm.db", lasting=True) as kernel:
        session = kernel.session("akashi")
        assert may_write(session)
        replace(file, READ_ONLY)
        assert in_time(lambda: not may_write(session))
        with caplog.at_level(logging.WARNING, "avm"):
            replace(file, "permissions: 7\n")
            assert in_time(lambda: bool(caplog.messages))
            time.sleep(0.1)
        (message,) = caplog.messages
        assert "is not taken over, what it said before holds" in message and "permissions" in message
        assert not may_write(session)
        file.unlink()  # a file that is gone opens nothing
        time.sleep(0.1)
        assert not may_write(session)
        replace(file, "{}\n")
        assert in_time(lambda: may_write(session))


def test_what_was_read_often_is_judged_anew(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("{}\n")
    with Kernel(file, tmp_path / "avm.db", lasting=True) as kernel:
        session = kernel.session("akashi")
        session.write("/memory/team/a", "x")
        for _ in range(10):
            session.read("/memory/team/a")
        replace(file, READ_ONLY.replace("ro", "none"))

        def hidden() -> bool:
            try:
                session.read("/memory/team/a")
            except (Denied, NotFound):
                return True
            return False

        assert in_time(hidden)


def test_a_kernel_for_one_command_watches_nothing_and_a_forked_child_watches_too(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("{}\n")
    assert Kernel(file, tmp_path / "avm.db")._watch is None
    with Kernel(file, tmp_path / "avm.db", lasting=True) as kernel:
        session = kernel.session("akashi")
        child = os.fork()
        if not child:
            status = 1
            try:
                replace(file, READ_ONLY)
                status = 0 if in_time(lambda: not may_write(session)) else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
