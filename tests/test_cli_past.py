"""The commands that look back, take back and bring back, as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Avm = Callable[..., Any]
"""The fixture `avm` (conftest.py)."""


@pytest.fixture
def note(avm: Avm) -> str:
    """A note of three versions by two agents."""
    avm("write", "plan.md", "--content", "one\n二\n", "-a", "akashi")
    avm("append", "plan.md", "--content", "three\n", "-a", "akashi")
    avm("write", "plan.md", "--content", "one\nTWO\nthree\n", "-a", "kuro")
    return "plan.md"


def test_history_lists_versions_newest_first_and_in_pages(avm: Avm, note: str) -> None:
    rows = [line.split("\t") for line in avm("history", note).out.splitlines()]
    assert [(row[0], row[2], row[3], row[4]) for row in rows] == [
        ("3", "kuro", "write", "14"),
        ("2", "akashi", "append", "14"),
        ("1", "akashi", "write", "8"),
    ]
    page = json.loads(avm("history", note, "-n", "1", "--before", "3", "--json").out)
    assert [(each["version"], each["author"]) for each in page] == [(2, "akashi")]


def test_read_shows_a_version_or_a_moment(avm: Avm, note: str) -> None:
    assert avm("read", note, "--version", "1").out == "one\n二\n"
    assert avm("read", note, "--as-of", "now").out == "one\nTWO\nthree\n"
    assert avm("read", note, "--as-of", "2020-01-01").code == 3
    assert avm("read", note, "--version", "9").code == 3
    assert avm("read", note, "--version", "1", "--as-of", "now").code == 2
    assert avm("read", note, "--as-of", "the other day").code == 2


def test_diff_and_blame_tell_what_changed_and_by_whom(avm: Avm, note: str) -> None:
    assert avm("diff", note).out.splitlines()[2:] == ["@@ -1,3 +1,3 @@", " one", "-二", "+TWO", " three"]
    assert "+二" in avm("diff", note, "0", "1").out
    lines = [line.split() for line in avm("blame", note).out.splitlines()]
    assert [(line[0], line[1], line[-1]) for line in lines] == [
        ("v1", "akashi", "one"),
        ("v3", "kuro", "TWO"),
        ("v2", "akashi", "three"),
    ]


def test_undo_takes_back_and_tells(avm: Avm, note: str) -> None:
    done = avm("undo", note, "-n")
    assert (done.code, done.out, done.err) == (0, "write\t/memory/plan.md\n", "would undo 1 change\n")
    avm("undo", note)
    assert avm("read", note).out == "one\n二\nthree\n"
    assert avm("undo").code == 2
    assert avm("undo", "nothing.md").code == 3


def test_undo_of_an_agent_reports_what_it_leaves(avm: Avm, note: str) -> None:
    avm("append", note, "--content", "since\n", "-a", "akashi")
    done = avm("undo", "--by", "kuro", "--since", "1h")
    assert done.code == 5
    assert "left alone: write /memory/plan.md: " in done.err
    avm("write", "other.md", "--content", "x", "-a", "kuro")
    report = json.loads(avm("undo", "--by", "kuro", "--since", "1h", "--json").out)
    assert [each["path"] for each in report["undone"]] == ["/memory/other.md"]
    assert avm("read", "other.md").code == 3


def test_what_was_removed_is_listed_and_restored(avm: Avm, note: str) -> None:
    avm("write", "dir/a.md", "--content", "a")
    avm("rm", "-r", "dir")
    assert [line.split("\t")[3] for line in avm("trash").out.splitlines()] == [
        "/memory/dir",
        "/memory/dir/a.md",
    ]
    assert avm("restore", "dir").err == "restored 2 names: /memory/dir\n"
    assert avm("read", "dir/a.md").out == "a"
    avm("rm", "dir/a.md")
    assert avm("restore", "dir/a.md", "--to", "b.md").code == 0
    assert avm("read", "b.md").out == "a"
    assert avm("restore", "dir/a.md").code == 3
    assert avm("trash").out == ""


def test_ls_shows_a_directory_as_it_was(avm: Avm, note: str) -> None:
    avm("write", "d/x", "--content", "x")
    names = avm("ls", "-R", "--as-of", "now").out.splitlines()
    assert names == ["d", "plan.md", "private", "shared", "d/x"]
    assert avm("ls", "--as-of", "2020-01-01").code == 3


def test_ttl_is_shown_set_and_taken_back(avm: Avm, note: str) -> None:
    assert avm("ttl", note).out == "never\n"
    assert avm("ttl", note, "2h").out in ("2h\n", "1h59m\n")
    assert avm("read", f"{note}:ttl").out in ("2h\n", "1h59m\n")
    assert avm("ttl", note, "never").out == "never\n"
    assert avm("ttl", note, "soon").code == 2
    avm("write", f"{note}:ttl", "--content", "0s")
    assert avm("read", note).code == 3
    assert avm("write", note, "--content", "new").code == 0


def test_another_sees_no_draft_of_what_was_published(avm: Avm) -> None:
    avm("write", "/private/n.md", "--content", "draft", "-a", "akashi")
    avm("write", "/private/n.md", "--content", "final", "-a", "akashi")
    avm("mv", "/private/n.md", "/memory/n.md", "-a", "akashi")
    avm("write", "/memory/n.md:shared", "--content", "kuro rw", "-a", "akashi")
    assert len(avm("history", "n.md", "-a", "kuro").out.splitlines()) == 1
    assert len(avm("history", "n.md", "-a", "akashi").out.splitlines()) == 2
    for attempt in (
        ("read", "n.md", "--version", "1"),
        ("diff", "n.md", "1", "2"),
        ("undo", "n.md", "--steps", "2"),
    ):
        done = avm(*attempt, "-a", "kuro")
        assert done.code != 0
        assert "draft" not in done.out + done.err
    assert "draft" not in avm("blame", "n.md", "-a", "kuro").out


def test_delta_mark_and_changes_tell_what_is_new(avm: Avm, note: str) -> None:
    first = avm("delta", note).out
    assert first.startswith("# v")
    assert avm("delta", note).out == "(no changes)\n"
    version = avm("mark", note).out
    assert avm("mark", note, "1").out == "1\n"
    assert avm("--json", "delta", note).out.startswith("{")
    assert avm("mark", note).out == version
    assert avm("mark", note, "--session", "one").out == "0\n"
    assert avm("mark", note, "soon").code == 2
    assert avm("delta", "missing").code == 3
    assert note in avm("changes").out
    assert avm("changes", "-n", "1").out.count("\n") == 1
    assert avm("changes", "--since", "2999-01-01").out == ""
