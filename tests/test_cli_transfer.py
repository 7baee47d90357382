"""Export and import: what comes out goes in again, nothing is overwritten, nothing is written elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm_builtin.frontends.cli.progress import Progress
from avm_builtin.frontends.cli.transfer.intake import Intake, free_path
from avm_builtin.frontends.cli.transfer.lines import Record
from avm_builtin.frontends.cli.transfer.outcome import Outcome
from vfs_core.kernel import Kernel
from vfs_core.path import split_suffix

Avm = Callable[..., Any]
"""The fixture `avm` (conftest.py)."""


NOTES = {
    "/memory/a.md": b"alpha\n",
    "/memory/d/e/deep": b"\x00\xff binary",
    "/memory/新闻/局势.md": "中东局势紧张\n".encode(),
    "/memory/empty": b"",
    "/elsewhere/x": b"x",
}


@pytest.fixture
def filled() -> None:
    with Kernel() as kernel:
        session = kernel.session("bob")
        session.write_many(list(NOTES.items()))
        session.write("/private/own", "mine", {"title": "T"})
        session.mkdir("/memory/nothing-in-it")
        session.update_meta("/memory/a.md", {"tags": ["x", "y"], "n": {"k": [1, None]}})
        session.link("/memory/a.md", "/memory/empty", "citation", 0.5)
        session.link("/memory/empty", "/memory/a.md", "related", 2.0)
        session.set_mode("/memory/d/e/deep", 0o640)


def state(db: str | Path | None = None) -> dict[str, Any]:
    """All that an export carries, as bob sees it."""
    with Kernel(db=db) as kernel:
        session = kernel.session("bob")
        found: dict[str, Any] = {}
        for each in session.walk("/"):
            assert each.stat is not None
            if each.stat.is_directory:
                found[each.path] = each.stat.mode
            else:
                node = session.read(each.path)
                found[each.path] = (node.data, node.meta, node.stat.mode, session.links(each.path))
        return found


# --- JSON lines ----------------------------------------------------------------------------------


def test_json_lines_bring_everything_into_another_store(avm: Avm, filled: None, tmp_path: Path) -> None:
    lines, other = tmp_path / "all.jsonl", tmp_path / "other.db"
    assert avm("export", lines, "-a", "bob").err == "6 notes exported\n"
    assert lines.stat().st_mode & 0o777 == 0o600
    assert avm("import", lines, "-a", "bob", "--db", other).err == "6 notes imported\n"
    assert state(other) == state()
    again = avm("import", lines, "-a", "bob", "--db", other)
    assert again == (0, "", "0 notes imported, 6 unchanged\n")
    assert state(other) == state()


def test_json_lines_are_a_stream(avm: Avm, filled: None, tmp_path: Path) -> None:
    stream = avm("export", "-", "/memory/d", "-a", "bob").out
    assert [json.loads(line)["path"] for line in stream.splitlines()] == [
        "/memory/d", "/memory/d/e", "/memory/d/e/deep",
    ]  # fmt: skip
    other = tmp_path / "other.db"
    avm("import", "-", "/restored", "-a", "bob", "--db", other, stdin=stream.encode())
    assert (
        avm("read", "/restored/memory/d/e/deep", "-a", "bob", "--db", other, "--json").out.count("base64")
        == 1
    )


def test_an_export_holds_only_what_its_agent_may_take_out(avm: Avm, filled: None) -> None:
    assert "/memory/private/bob/own" in avm("export", "-", "-a", "bob").out
    assert "bob/own" not in avm("export", "-", "-a", "alice").out


def test_a_file_of_lines_is_not_replaced_unless_told(avm: Avm, filled: None, tmp_path: Path) -> None:
    lines = tmp_path / "all.jsonl"
    lines.write_text("precious")
    assert avm("export", lines).code == 5
    assert lines.read_text() == "precious"
    assert avm("export", lines, "--force").code == 0
    assert lines.read_text() != "precious"
    assert list(tmp_path.iterdir()) == [lines]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "'path'"),
        (b'{"path": "x", "content": ""}', "'path'"),
        (b'{"path": "/memory/x"}', "'content'"),
        (b'{"path": "/memory/x", "content": "", "base64": ""}', "'content'"),
        (b'{"path": "/memory/x", "base64": "?"}', "not valid"),
        (b'{"path": "/memory/x", "content": "\\ud800"}', "not valid"),
        (b'{"path": "/memory/x", "content": "", "meta": 1}', "'meta'"),
        (b'{"path": "/memory/x", "content": "", "mode": 420}', "'mode'"),
        (b'{"path": "/memory/x", "content": "", "links": [1]}', "'links'"),
        (b'{"path": "/memory/x", "content": "", "meta": {"tags": [1]}}', "tag"),
        (b'{"path": "/memory/\\u0000", "content": ""}', "NUL"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_line_that_is_wrong_is_named_and_the_others_come_in(avm: Avm, line: bytes, complaint: str) -> None:
    done = avm("import", "-", stdin=line + b'\n{"path": "/memory/good", "content": "yes"}\n')
    assert done.code == 2
    assert complaint in done.err
    assert avm("ls").out == "good\nprivate\nshared\n"


def test_force_makes_metadata_what_the_lines_say(avm: Avm, filled: None) -> None:
    lines = avm("export", "-", "/memory/a.md", "-a", "bob").out.encode()
    avm("write", "a.md", "-a", "bob", "--content", "other", "--meta", "later=1", "--tag", "z")
    before = state()["/memory/a.md"]
    assert avm("import", "-", "-a", "bob", stdin=lines).code == 5
    assert state()["/memory/a.md"] == before
    assert avm("import", "-", "-a", "bob", "--force", stdin=lines).code == 0
    data, meta, _, _ = state()["/memory/a.md"]
    assert (data, meta) == (b"alpha\n", {"tags": ["x", "y"], "n": {"k": [1, None]}})


def test_a_note_written_while_others_are_read_in_is_left_alone(tmp_path: Path) -> None:
    with Kernel() as kernel, Progress("notes") as progress:
        outcome = Outcome(progress)
        intake = Intake(kernel.session("bob"), outcome, force=False)
        for name in ("a", "b"):
            intake.take(Record(f"/memory/{name}", b"imported"))
        kernel.session("alice").write("/memory/a", "meanwhile")
        intake.finish()
        assert (outcome.written, outcome.kept, outcome.code) == (1, ["/memory/a"], 5)
        assert kernel.session("bob").read("/memory/a").text == "meanwhile"


def test_what_may_be_known_of_but_not_read_is_not_exported(avm: Avm, filled: None, tmp_path: Path) -> None:
    with Kernel() as kernel:
        kernel.session("bob").set_mode("/memory/a.md", 0o602)
    assert "a.md" in avm("ls", "-a", "alice").out
    done = avm("export", "-", "/memory", "-a", "alice")
    assert (done.code, "a.md" in done.out) == (0, False)


# --- trees ---------------------------------------------------------------------------------------


def test_a_tree_holds_what_is_below_memory_and_comes_in_again(avm: Avm, filled: None, tmp_path: Path) -> None:
    tree, other = tmp_path / "tree", tmp_path / "other.db"
    assert avm("export", tree, "-a", "bob").err == "5 notes exported\n"
    files = {
        f"/memory/{each.relative_to(tree)}": each.read_bytes() for each in tree.rglob("*") if each.is_file()
    }
    assert files == {
        **{path: data for path, data in NOTES.items() if path.startswith("/memory/")},
        "/memory/private/bob/own": b"mine",
    }
    assert avm("import", tree, "-a", "bob", "--db", other).err == "5 notes imported\n"
    assert {k: v[0] for k, v in state(other).items() if isinstance(v, tuple)} == files


def test_what_leaves_is_no_more_readable_than_it_was(avm: Avm, filled: None, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        avm("export", tmp_path / "tree", "-a", "bob")
    finally:
        os.umask(before)
    modes = {
        str(each.relative_to(tmp_path)): each.stat().st_mode & 0o777
        for each in [tmp_path / "tree", *(tmp_path / "tree").rglob("*")]
    }
    assert modes["tree"] == 0o700
    assert modes["tree/private/bob"] == 0o700
    assert modes["tree/private/bob/own"] == 0o600
    assert modes["tree/d/e/deep"] == 0o640
    assert modes["tree/a.md"] == 0o666


def test_files_that_differ_are_left_alone_unless_told(avm: Avm, filled: None, tmp_path: Path) -> None:
    avm("export", tmp_path)
    mine = tmp_path / "a.md"
    mine.write_text("my own work")
    (tmp_path / "unrelated").write_text("stays")
    done = avm("export", tmp_path)
    assert done.code == 5
    assert (
        done.err
        == f"{mine}: something else is there; --force replaces it\n0 notes exported, 2 unchanged, 1 left alone\n"
    )
    assert mine.read_text() == "my own work"
    assert avm("export", tmp_path, "--force").code == 0
    assert mine.read_bytes() == NOTES["/memory/a.md"]
    assert (tmp_path / "unrelated").read_text() == "stays"
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".avm")]


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_symbolic_links_lead_nowhere(avm: Avm, filled: None, tmp_path: Path, force: tuple[str, ...]) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    (outside / "e").mkdir(parents=True)
    (outside / "victim").write_text("untouched")
    tree.mkdir()
    (tree / "d").symlink_to(outside)
    (tree / "a.md").symlink_to(outside / "victim")
    (tree / "empty").symlink_to(outside / "made")
    (outside / "same").write_bytes(NOTES["/memory/新闻/局势.md"])
    (tree / "新闻").mkdir()
    (tree / "新闻" / "局势.md").symlink_to(outside / "same")
    done = avm("export", tree, *force, "-a", "bob")
    assert done.code in (1, 5)
    assert (tree / "新闻" / "局势.md").is_symlink() is not bool(force)
    assert ("局势.md: something else" in done.err) is not bool(force)
    assert "symbolic link, d, is in the way" in done.err
    assert sorted(each.name for each in outside.rglob("*")) == ["e", "same", "victim"]
    assert (outside / "victim").read_text() == "untouched"


def test_what_is_in_the_way_is_named_and_the_rest_goes_on(avm: Avm, filled: None, tmp_path: Path) -> None:
    (tmp_path / "a.md").mkdir()
    (tmp_path / "d").write_text("a file")
    os.mkfifo(tmp_path / "empty")
    done = avm("export", tmp_path, "--force", "--json", "-a", "bob")
    result = json.loads(done.out)
    assert done.code == 1
    assert sorted(Path(each["what"]).name for each in result["failed"]) == ["a.md", "d", "deep", "e"]
    assert (tmp_path / "新闻" / "局势.md").read_bytes() == NOTES["/memory/新闻/局势.md"]
    assert (tmp_path / "empty").read_bytes() == b""


def test_one_note_can_be_exported(avm: Avm, filled: None, tmp_path: Path) -> None:
    assert avm("export", tmp_path / "one", "d/e/deep", "-a", "bob").err == "1 note exported\n"
    assert (tmp_path / "one" / "deep").read_bytes() == NOTES["/memory/d/e/deep"]


def test_nothing_is_made_for_an_export_of_nothing(avm: Avm, filled: None, tmp_path: Path) -> None:
    assert avm("export", tmp_path / "none", "/memory/nothing/here").code == 3
    assert avm("export", tmp_path / "none", "/memory/private/bob", "-a", "alice").code == 3
    assert avm("export", tmp_path / "none.jsonl", "/memory/nothing").code == 3
    assert list(tmp_path.iterdir()) == []


# --- importing files -----------------------------------------------------------------------------


def test_a_directory_comes_in_without_links_devices_and_git(avm: Avm, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "note").write_text("hello")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    done = avm("import", tmp_path)
    assert done.code == 0
    assert done.err.count("a symbolic link") == 2
    assert "neither a file nor a directory" in done.err
    assert avm("ls", "-R").out == "private\nshared\nsub\nsub/note\n"
    assert "1 note imported, 1 unchanged" in avm("import", tmp_path, "--git").err
    assert avm("read", ".git/HEAD").out == "ref"


def test_names_that_avm_cannot_hold_get_others_and_it_is_said(avm: Avm, tmp_path: Path) -> None:
    (tmp_path / "x:tags").write_text("1")
    (tmp_path / "y:meta").mkdir()
    (tmp_path / "y:meta" / "a:b").write_text("2")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).write_text("3")
    done = avm("import", tmp_path, "--json")
    assert done.code == 0
    assert {each["to"] for each in json.loads(done.out)["renamed"]} == {
        "caf%E9", "/memory/x_tags", "/memory/y_meta/a:b",
    }  # fmt: skip
    assert avm("cat", "x_tags", "y_meta/a:b", "caf%E9").out == "123"


def test_notes_that_differ_are_left_alone_unless_told(avm: Avm, tmp_path: Path) -> None:
    avm("write", "a", "--content", "theirs")
    (tmp_path / "a").write_text("ours")
    (tmp_path / "b").write_text("new")
    done = avm("import", tmp_path)
    assert done.code == 5
    assert avm("cat", "a", "b").out == "theirsnew"
    assert avm("import", tmp_path, "--force").code == 0
    assert avm("cat", "a", "b").out == "oursnew"


def test_one_note_that_may_not_be_written_does_not_keep_out_the_others(avm: Avm, tmp_path: Path) -> None:
    (tmp_path / "private" / "zed").mkdir(parents=True)
    (tmp_path / "private" / "zed" / "x").write_text("intruder")
    for name in ("a", "z"):
        (tmp_path / name).write_text(name)
    done = avm("import", tmp_path, "-a", "bob")
    assert done.code == 3
    assert "/memory/private/zed/x: not found" in done.err
    assert avm("cat", "a", "z").out == "az"


def test_many_files_come_in_and_a_single_one_too(avm: Avm, tmp_path: Path) -> None:
    for number in range(450):
        (tmp_path / f"{number:03}").write_text(str(number))
    assert avm("import", tmp_path, "many").err == "450 notes imported\n"
    assert avm("import", tmp_path / "007", "one").err == "1 note imported\n"
    assert avm("cat", "many/449", "one/007").out == "4497"


@settings(max_examples=300, deadline=None)
@given(st.text("ab:/?tagsmeta", min_size=1, max_size=30))
def test_a_free_path_names_no_virtual_node_and_stays_as_long(text: str) -> None:
    suffixes = frozenset({"tags", "meta"})
    path = "/" + "/".join(part for part in text.split("/") if part)
    free = free_path(path, suffixes)
    assert not [name for name in free.split("/") if split_suffix(name, suffixes)]
    assert len(free) == len(path)
    assert free_path(free, suffixes) == free


# --- progress ------------------------------------------------------------------------------------


def test_progress_is_shown_on_a_terminal_after_a_second_and_wiped(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("avm_builtin.frontends.cli.progress.on_terminal", lambda stream: True)
    monkeypatch.setattr("time.monotonic", lambda: now)
    with Progress("notes", 2000) as bar:
        bar.add(500)
        assert capfd.readouterr().err == ""
        now = 1.1
        bar.add(500)
        assert capfd.readouterr().err == f"\r\x1b[K[{'#' * 15}{' ' * 15}] 1,000 of 2,000 notes"
    assert capfd.readouterr().err == "\r\x1b[K"


def test_progress_is_not_shown_where_nobody_looks(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Progress("notes") as bar:
        monkeypatch.setattr("time.monotonic", lambda: 1e9)
        bar.add()
    assert capfd.readouterr().err == ""
