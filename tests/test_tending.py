"""A kernel that has changed something lets go, once a day, of the past that the configuration does not keep."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from vfs_core.kernel import Kernel

DAY = 86_400 * 10**9


def kernel(directory: Path, settings: str) -> Kernel:
    config = directory / "config.yaml"
    config.write_text(f"history: {settings}\n")
    return Kernel(config, directory / "avm.db")


def later(patch: pytest.MonkeyPatch, days: float) -> None:
    now = time.time_ns()
    patch.setattr(time, "time_ns", lambda: now + int(days * DAY))


def test_old_contents_and_old_trash_go_when_a_later_change_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = "{days: 5, versions: 2, trash_days: 1}"
    with kernel(tmp_path, settings) as first:
        session = first.session()
        for number in range(6):
            session.write("/memory/note", str(number))
        session.write("/memory/gone", "x")
        session.delete("/memory/gone")
    later(monkeypatch, 2)
    with kernel(tmp_path, settings) as second:
        assert len(second.session().trash()) == 1
        second.session().write("/memory/other", "x")
    with kernel(tmp_path, settings) as third:
        session = third.session()
        assert session.trash() == []
        assert session.as_of("/memory/note", version=1).text == "0"
        later(monkeypatch, 8)
        session.write("/memory/other", "y")
    with kernel(tmp_path, settings) as fourth:
        session = fourth.session()
        kept = [version.version for version in session.history("/memory/note")]
        assert kept == [6, 5, 4, 3, 2, 1]
        assert session.as_of("/memory/note", version=5).text == "4"
        with pytest.raises(Exception, match="not kept any more"):
            session.as_of("/memory/note", version=4)
        assert [each.subject for each in session.store.verify() if each.level == "fail"] == []


def test_reading_purges_nothing_and_a_change_purges_once_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with kernel(tmp_path, "{trash_days: 0}") as first:
        first.session().write("/memory/x", "x")
    later(monkeypatch, 2)
    with kernel(tmp_path, "{trash_days: 0}") as second:
        head = second.session().store.head()
        second.session().read("/memory/x")
    with kernel(tmp_path, "{trash_days: 0}") as third:
        assert third.session().store.head() == head
        third.session().delete("/memory/x")
        assert third.tend()
        assert third.session().trash() == []
        head = third.session().store.head()
        assert third.tend()
        assert third.session().store.head() == head
