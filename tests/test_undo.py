"""Undo takes back what was done, leaves alone what others did since, and is a change like any other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vfs_core import undoing
from vfs_core.errors import Conflict, Denied, Invalid, NotFound
from vfs_core.kernel import Kernel
from vfs_core.session import Session

NOTE = "/memory/note.md"


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(db=tmp_path / "avm.db") as kernel:
        yield kernel


@pytest.fixture
def akashi(kernel: Kernel) -> Session:
    return kernel.session("akashi")


@pytest.fixture
def kuro(kernel: Kernel) -> Session:
    return kernel.session("kuro")


def later() -> int:
    """A moment after everything so far and before everything to come."""
    time.sleep(0.002)
    moment = time.time_ns()
    time.sleep(0.002)
    return moment


def text(session: Session, path: str = NOTE) -> str:
    return session.read(path).text


def test_undoing_goes_back_change_by_change_to_nothing(akashi: Session) -> None:
    akashi.write(NOTE, "one", {"title": "first"})
    akashi.write(NOTE, "two", {"title": "second", "tags": ["x"]})
    akashi.append(NOTE, " and more")
    akashi.undo(NOTE)
    assert text(akashi) == "two"
    akashi.undo(NOTE)
    assert (text(akashi), akashi.read(NOTE).meta) == ("one", {"title": "first"})
    akashi.undo(NOTE)
    assert not akashi.exists(NOTE)
    with pytest.raises(NotFound):
        akashi.undo(NOTE)
    assert akashi.store.verify()


def test_several_steps_at_once(akashi: Session) -> None:
    for word in ("one", "two", "three", "four"):
        akashi.write(NOTE, word)
    report = akashi.undo(NOTE, steps=3)
    assert (text(akashi), len(report.undone), report.skipped) == ("one", 3, [])


def test_an_undone_change_is_kept_and_can_be_written_again(akashi: Session) -> None:
    akashi.write(NOTE, "one")
    akashi.write(NOTE, "two")
    akashi.undo(NOTE)
    assert akashi.as_of(NOTE, version=2).text == "two"
    akashi.write(NOTE, "three")
    akashi.undo(NOTE)
    assert text(akashi) == "one"


def test_what_was_deleted_moved_tagged_linked_shared_and_closed_is_as_before(akashi: Session) -> None:
    other = "/memory/other.md"
    akashi.write(NOTE, "one")
    akashi.write(other, "other")
    akashi.link(NOTE, other, "citation", 0.5)
    start = later()
    akashi.update_meta(NOTE, {"tags": ["x"]})
    akashi.set_mode(NOTE, 0o600)
    akashi.share(NOTE, "kuro", "rw")
    akashi.link(NOTE, other, "citation", 0.9)
    akashi.unlink(NOTE, other)
    akashi.rename(NOTE, "/memory/in/moved.md")
    akashi.delete("/memory/in", recursive=True)
    report = akashi.undo("/memory", since=start)
    assert report.skipped == []
    node = akashi.read(NOTE)
    assert (node.text, node.tags, node.stat.mode, akashi.shares(NOTE)) == ("one", (), 0o666, {})
    assert [(link.kind, link.weight) for link in akashi.links(NOTE)] == [("citation", 0.5)]
    assert not akashi.exists("/memory/in")


def test_a_tree_goes_back_to_a_moment(akashi: Session) -> None:
    akashi.write("/memory/p/a", "a")
    akashi.write("/memory/p/b", "b")
    akashi.write("/memory/elsewhere", "1")
    start = later()
    akashi.write("/memory/p/a", "A")
    akashi.delete("/memory/p/b")
    akashi.write("/memory/p/new/c", "c")
    akashi.write("/memory/elsewhere", "2")
    akashi.undo("/memory/p", since=start)
    assert [entry.name for entry in akashi.list("/memory/p")] == ["a", "b"]
    assert (text(akashi, "/memory/p/a"), text(akashi, "/memory/elsewhere")) == ("a", "2")


def test_what_one_agent_did_goes_and_what_others_did_since_stays(akashi: Session, kuro: Session) -> None:
    akashi.write(NOTE, "one")
    akashi.write("/memory/other", "one")
    start = later()
    kuro.write(NOTE, "kuro")
    kuro.write("/memory/other", "kuro")
    akashi.write("/memory/other", "akashi since")
    kuro.write("/memory/kuros", "kuro")
    report = akashi.undo(agent="kuro", since=start)
    assert text(akashi) == "one"
    assert text(akashi, "/memory/other") == "akashi since"
    assert not akashi.exists("/memory/kuros")
    assert [(each.path, "changed since" in each.reason) for each in report.skipped] == [
        ("/memory/other", True)
    ]


def test_one_note_that_others_have_changed_since_is_a_conflict_and_stays(
    akashi: Session, kuro: Session
) -> None:
    akashi.write(NOTE, "one")
    akashi.update_meta(NOTE, {"title": "akashi"})
    kuro.update_meta(NOTE, {"title": "kuro"})
    akashi.undo(NOTE)  # kuro's title
    assert akashi.read(NOTE).meta == {"title": "akashi"}
    akashi.rename(NOTE, "/memory/moved")
    akashi.undo("/memory/moved")
    assert text(akashi) == "one"


def test_a_dry_run_says_and_does_nothing(akashi: Session) -> None:
    akashi.write(NOTE, "one")
    akashi.write(NOTE, "two")
    head = akashi.store.head()
    report = akashi.undo(NOTE, dry_run=True)
    assert [each.operation for each in report.undone] == ["write"]
    assert akashi.store.head() == head


def test_undoing_needs_the_rights_of_what_it_does(akashi: Session, kuro: Session) -> None:
    akashi.write(NOTE, "one")
    akashi.write(NOTE, "two")
    akashi.set_mode(NOTE, 0o644)
    with pytest.raises(Denied):
        kuro.undo(NOTE)
    akashi.write("/private/mine", "one")
    with pytest.raises(NotFound):
        kuro.undo("/memory/private/akashi/mine")
    report = kuro.undo(agent="akashi", since=0)
    assert all("private" not in each.path for each in (*report.undone, *report.skipped))
    assert text(akashi) == "two"


def test_nobody_undoes_into_a_draft_that_was_never_theirs_to_see(akashi: Session, kuro: Session) -> None:
    akashi.write("/private/note", "secret draft")
    akashi.write("/private/note", "fit to print")
    akashi.rename("/private/note", NOTE)
    akashi.set_mode(NOTE, 0o666)
    report = kuro.undo(agent="akashi", since=0)
    assert text(akashi) == "fit to print"
    assert "secret" not in "".join(each.reason for each in report.skipped)
    akashi.undo(NOTE, steps=3)
    assert text(akashi, "/private/note") == "secret draft"


def test_a_clock_that_went_back_harms_nothing(akashi: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    akashi.write(NOTE, "one")
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 10**12)
    akashi.write(NOTE, "two")
    assert [version.version for version in akashi.history(NOTE)] == [2, 1]
    assert akashi.as_of(NOTE, time=now - 10**12).text == "two"
    akashi.undo(NOTE)
    assert text(akashi) == "one"


def test_what_makes_no_sense_is_refused(akashi: Session) -> None:
    akashi.write(NOTE, "one")
    for arguments in ({}, {"agent": "kuro"}, {"since": 0}, {"path": NOTE, "steps": 0}):
        with pytest.raises(Invalid):
            akashi.undo(**arguments)
    with pytest.raises(Invalid):
        akashi.undo(NOTE, since="the other day")
    assert Conflict.errno


# --- runs ----------------------------------------------------------------------------------------


def run_of_two_changes(session: Session) -> str:
    run = undoing.new_run(session)
    for number, path in enumerate((NOTE, "/memory/made/b.md")):
        with session.transaction() as tx:
            tx.part_of = run
            tx.write(path, f"by the run {number}".encode())
    return run


def test_a_run_is_taken_back_and_nothing_else(akashi: Session, kuro: Session) -> None:
    akashi.write(NOTE, "before")
    run = run_of_two_changes(akashi)
    akashi.write("/memory/after.md", "after")
    kuro.write("/memory/theirs.md", "theirs")
    dry = akashi.undo(run=run, dry_run=True)
    assert text(akashi) == "by the run 0"
    report = akashi.undo(run=run)
    assert report == dry
    assert [each.operation for each in report.undone] == ["write", "mkdir", "write"]
    assert text(akashi) == "before"
    assert not akashi.exists("/memory/made")
    assert akashi.exists("/memory/after.md") and akashi.exists("/memory/theirs.md")
    with pytest.raises(NotFound):
        akashi.undo(run=run)


def test_what_others_changed_since_a_run_stays(akashi: Session, kuro: Session) -> None:
    akashi.write(NOTE, "before")
    run = run_of_two_changes(akashi)
    kuro.append(NOTE, ", and kuro")
    report = akashi.undo(run=run)
    assert text(akashi) == "by the run 0, and kuro"
    assert [each.path for each in report.skipped] == [NOTE]


def test_a_run_that_is_none_is_refused(akashi: Session) -> None:
    akashi.write(NOTE, "x")
    for wrong in ("", "x", "-abc", "9" * 40 + "-abcdef", "1-abcdef; --"):
        with pytest.raises(Invalid):
            akashi.undo(run=wrong)
    with pytest.raises(NotFound):
        akashi.undo(run="1-abcdef")
    with pytest.raises(Invalid):
        akashi.undo(NOTE, run="1-abcdef")
