"""Followers of plugins run: at the end of a process that has changed something, and when they are asked for."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from vfs_core import kernel as kernels
from vfs_core.config import Config
from vfs_core.errors import PluginError
from vfs_core.follower import Follower, Progress
from vfs_core.journal import Cursor
from vfs_core.kernel import Kernel
from vfs_core.plugins import Registry
from vfs_core.reactor import FollowerContext, by_reactor
from vfs_core.specs import FollowerSpec
from vfs_core.storage import Store
from vfs_core.types import Change


class Counting(Follower):
    """Keeps in a file how many rows it has seen; answers each note by one beside it, as its author."""

    name = "counting"

    def __init__(self, context: FollowerContext) -> None:
        assert context.side.path is not None
        self._file = Path(f"{context.side.path}.counting.json")
        self._act_for = context.act_for

    def cursor(self) -> Cursor | None:
        if not self._file.exists():
            return None
        uuid, sequence, chain = json.loads(self._file.read_text())
        return Cursor(uuid, sequence, bytes.fromhex(chain))

    def apply(self, changes: Sequence[Change], store: Store, cursor: Cursor) -> None:
        for change in changes:
            if change.operation == "write" and not by_reactor(change):
                self._act_for(change.agent).write(f"{change.path}.answer", "seen")
        self._commit(cursor)

    def rebuild(self, store: Store, cursor: Cursor, progress: Progress | None = None) -> None:
        self._commit(cursor)

    def _commit(self, cursor: Cursor) -> None:
        self._file.write_text(json.dumps([cursor.store_uuid, cursor.sequence, cursor.chain.hex()]))

    def discard(self) -> None:
        self._file.unlink(missing_ok=True)

    def close(self) -> None:
        pass


class Failing(Counting):
    """Fails whenever it is to work."""

    name = "failing"

    def rebuild(self, store: Store, cursor: Cursor, progress: Progress | None = None) -> None:
        raise ZeroDivisionError("on purpose")


class Nameless(Counting):
    """Is registered under another name."""

    name = "other"


@pytest.fixture
def register(monkeypatch):
    """Registers followers as a plugin would."""

    def add(*specs: FollowerSpec) -> None:
        class Adding(Registry):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments)
                for spec in specs:
                    self._add("follower", spec, FollowerSpec, SimpleNamespace(name="x", supplies=[]))

        monkeypatch.setattr(kernels, "Registry", Adding)

    return add


def test_a_follower_works_when_a_process_that_changed_something_ends(tmp_path, register):
    register(FollowerSpec("counting", Counting))
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        kernel.session("ana").write("/memory/a.md", "x")
    assert (tmp_path / "avm.counting.json").exists()
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        kernel.session("bob").write("/memory/b.md", "x")
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        session = kernel.session("ana")
        assert session.read("/memory/b.md.answer").text == "seen"
        row = kernel.session("bob").audit("/memory/b.md.answer", limit=1)[0]
        assert (row.agent, row.door) == ("bob", "follower:counting")
        assert kernel.catch_up("counting") == 0
        assert not session.exists("/memory/b.md.answer.answer")


def test_one_that_is_only_read_waits(tmp_path, register):
    register(FollowerSpec("counting", Counting, at_close=False))
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        kernel.session("ana").write("/memory/a.md", "x")
    assert not (tmp_path / "avm.counting.json").exists()
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        assert kernel.catch_up("counting") == 0
    assert (tmp_path / "avm.counting.json").exists()


def test_what_only_reads_leaves_it_alone(tmp_path, register):
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        kernel.session("ana").write("/memory/a.md", "x")
    register(FollowerSpec("counting", Counting))
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        kernel.session("ana").read("/memory/a.md")
    assert not (tmp_path / "avm.counting.json").exists()


def test_one_that_fails_keeps_nobody_from_closing_and_is_named(tmp_path, register, caplog):
    register(
        FollowerSpec("failing", Failing),
        FollowerSpec("counting", Counting),
        FollowerSpec("gone", "no.such:Thing"),
    )
    with caplog.at_level(logging.WARNING, "avm"), Kernel(Config(), tmp_path / "avm.db") as kernel:
        kernel.session("ana").write("/memory/a.md", "x")
    assert "the follower 'failing' failed: ZeroDivisionError: on purpose" in caplog.text
    assert "the follower 'gone' of the plugin 'x' cannot be used" in caplog.text
    assert (tmp_path / "avm.counting.json").exists()


def test_one_that_cannot_be_made_says_why(tmp_path, register):
    register(FollowerSpec("broken", int), FollowerSpec("nameless", Nameless))
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        kernel.writable_store()
        with pytest.raises(PluginError, match="'broken' cannot be made: TypeError"):
            kernel.follower("broken")
        with pytest.raises(PluginError, match="is not a Follower of this name"):
            kernel.follower("nameless")


def test_without_the_plugin_there_is_nothing_to_wait_for(tmp_path):
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        assert kernel.catch_up("no-such-follower") == 0


def test_a_large_store_is_not_begun_with_at_the_end(tmp_path, register):
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        kernel.session("ana").write_many([(f"/memory/n{each}.md", "x") for each in range(1100)])
    register(FollowerSpec("counting", Counting))
    file = tmp_path / "avm.counting.json"
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        kernel.session("ana").write("/memory/a.md", "x")
    assert not file.exists()
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        for runner in kernel.followers():
            runner.catch_up()
    assert file.exists()
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        kernel.session("ana").write_many([(f"/memory/m{each}.md", "x") for each in range(1100)])
    assert json.loads(file.read_text())[1] > 2000
