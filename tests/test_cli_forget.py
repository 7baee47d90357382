"""`avm forget`: what it asks, tells, proves, and by which exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Avm = Callable[..., Any]
"""The fixture `avm` (conftest.py)."""


@pytest.fixture
def note(avm: Avm) -> str:
    """A note with a past, among others."""
    avm("write", "other.md", "--content", "harmless")
    for text in ("quetzalcoatlus first", "quetzalcoatlus second"):
        assert avm("write", "/private/geheimplan.md", "--content", text, "--tag", "etikettchen").code == 0
    return "/private/geheimplan.md"


def test_it_asks_erases_proves_and_the_record_still_verifies(avm: Avm, note: str) -> None:
    assert avm("forget", note, stdin=b"n\n").code != 0
    assert "second" in avm("read", note).out
    done = avm("forget", note, "--verify", stdin=b"y\n")
    assert done.code == 0
    assert "forgot 1 node" in done.err and "nothing is left of it" in done.err
    assert avm("read", note).code == 3
    assert avm("search", "quetzalcoatlus").code == 6
    for words in (("history", note), ("restore", note), ("undo", note), ("read", note, "--version", "1")):
        assert avm(*words).code == 3, words
    assert "geheimplan" not in avm("audit", "log").out + avm("trash").out + avm("tag").out
    assert "etikettchen" not in avm("tag").out
    assert avm("audit", "verify").code == 0
    assert avm("doctor").code == 0
    assert avm("forget", note, "--yes").code == 3


def test_a_backup_that_holds_it_is_named_and_found(avm: Avm, note: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert avm("backup", copy).code == 0
    done = avm("forget", note, "--yes", "--verify", "--json")
    assert done.code == 8
    assert done.json["copies"] == [str(copy)]
    assert done.json["scrubbed"] and done.json["nodes"] == 1 and done.json["rows"] >= 2
    assert {left["file"] for left in done.json["left"]} == {str(copy)}
    assert f"left in {copy}" in avm("forget", "--text", "QUETZALCOATLUS").err
    copy.unlink()
    assert avm("forget", "--text", "quetzalcoatlus").code == 0


def test_what_is_in_the_trash_goes_by_path_and_by_number(avm: Avm, note: str) -> None:
    avm("rm", note)
    number = avm("trash", "--json").json[0]["id"]
    assert avm("forget", f"@{number}", "--yes").code == 0
    assert avm("trash").out == ""
    assert avm("forget", "--text", "quetzalcoatlus").code == 0
    assert avm("forget", "--scrub").code == 0


def test_who_may_not_look_at_the_bytes_erases_nothing_by_asking_to(avm: Avm, note: str) -> None:
    avm("write", "/private/x", "--content", "quetzalcoatlus", "--agent", "akashi")
    done = avm("forget", "/private/x", "--yes", "--verify", "--agent", "akashi")
    assert done.code == 4
    assert avm("read", "/private/x", "--agent", "akashi").code == 0
    assert avm("forget", "/private/x", "--yes", "--agent", "akashi").code == 0


@pytest.mark.parametrize("words", [(), ("x", "--scrub"), ("x", "--text", "y")])
def test_one_thing_at_a_time(avm: Avm, words: tuple[str, ...]) -> None:
    assert avm("forget", *words).code == 2
