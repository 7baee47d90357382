"""`:delta` shows what is new since an agent's last reading, and `:mark` how far that was; from every process."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm_suffixes.reading import Delta, Mark
from vfs_core.errors import Denied, Invalid, IsADirectory, NotFound, ReadOnly, Unsupported
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.testing import SuffixTests

REPORT = "/shared/report.md"
NOTHING = "(no changes)\n"
HEAD = re.compile(r"# v(\d+) \(\d{4}-\d\d-\d\d \d\d:\d\d\)\n")


@pytest.fixture
def analyst(kernel: Kernel) -> Session:
    session = kernel.session("analyst")
    session.write(REPORT, "1\n2\n3\n4\n5\n")
    return session


@pytest.fixture
def trader(kernel: Kernel, analyst: Session) -> Session:
    return kernel.session("trader")


def delta(session: Session, query: str = "", path: str = REPORT) -> str:
    return session.read(f"{path}:delta{query}").text


def mark(session: Session, query: str = "") -> int:
    return int(session.read(f"{REPORT}:mark{query}").text)


class OfReport(SuffixTests):
    @pytest.fixture
    def context(self, analyst: Session) -> SuffixContext:
        return SuffixContext(analyst, "/memory/shared/report.md", {})


class TestDelta(OfReport):
    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        return Delta()


class TestMark(OfReport):
    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        return Mark()

    @pytest.fixture
    def good_input(self):
        return (b"1", b"now\n", b"0", b"", b" \n", b"001")

    @pytest.fixture
    def bad_input(self):
        return (
            *(
                b"\xff",
                b"2",
                b"-1",
                b"1.5",
                b"v1",
                b"NOW",
                b"1 2",
                "\u0661".encode(),
                b"9" * 30,
                b"9" * 10_000,
            ),
        )


# --- what is new ---------------------------------------------------------------------------------


def test_the_example_of_the_specification(analyst: Session, trader: Session):
    trader.write(f"{REPORT}:mark", "now")
    analyst.append(REPORT, "New finding\n")
    shown = delta(trader)
    assert HEAD.match(shown)
    assert HEAD.sub("", shown) == "--- v1\n+++ v2\n@@ -5 +5,2 @@\n 5\n+New finding\n"
    assert delta(trader) == NOTHING


def test_all_of_it_is_new_to_who_has_never_read_it(trader: Session):
    shown = delta(trader)
    assert "@@ -0,0 +1,5 @@\n+1\n+2\n" in shown
    assert mark(trader) == 1
    assert delta(trader) == NOTHING


def test_several_changes_are_one_difference(analyst: Session, trader: Session):
    delta(trader)
    for line in ("a", "b", "c"):
        analyst.append(REPORT, f"{line}\n")
    assert delta(trader).endswith("@@ -5 +5,4 @@\n 5\n+a\n+b\n+c\n")
    assert mark(trader) == 4


def test_each_agent_and_each_of_its_sessions_has_a_mark_of_its_own(analyst: Session, trader: Session):
    delta(trader)
    assert delta(analyst) != NOTHING
    assert delta(trader, "?session=a") != NOTHING
    assert delta(trader, "?session=a") == NOTHING
    assert (mark(trader), mark(trader, "?session=a"), mark(trader, "?session=b")) == (1, 1, 0)


@pytest.mark.parametrize("name", ["a/b", "a%20b", "x" * 65, "%E5%B1%80"])
def test_a_session_is_named_by_a_word(trader: Session, name: str):
    with pytest.raises(Invalid, match="a session's name is 1 to 64"):
        delta(trader, f"?session={name}")


def test_the_mark_goes_with_the_note_when_it_is_moved(analyst: Session, trader: Session):
    delta(trader)
    analyst.rename(REPORT, "/shared/moved.md")
    assert delta(trader, path="/shared/moved.md") == NOTHING
    analyst.write(REPORT, "another note")
    assert "+another note" in delta(trader)


def test_a_removed_and_restored_note_is_read_on(analyst: Session, trader: Session):
    delta(trader)
    analyst.delete(REPORT)
    with pytest.raises(NotFound):
        delta(trader)
    analyst.restore(REPORT)
    assert delta(trader) == NOTHING


def test_examining_it_is_not_reading(trader: Session):
    assert trader.stat(f"{REPORT}:delta").size == len(delta(trader))
    trader.write(f"{REPORT}:mark", "0")
    trader.stat(f"{REPORT}:delta")
    assert trader.exists(f"{REPORT}:delta")
    assert mark(trader) == 0


def test_reading_the_note_itself_moves_no_mark(trader: Session):
    trader.read(REPORT)
    assert mark(trader) == 0


def test_a_mark_is_set_to_a_version_to_now_and_to_nothing(analyst: Session, trader: Session):
    analyst.append(REPORT, "6\n")
    for written, kept in (("1", 1), ("now\n", 2), ("", 0), ("2", 2), ("0", 0)):
        trader.write(f"{REPORT}:mark", written)
        assert mark(trader) == kept
    trader.write(f"{REPORT}:mark", "1")
    assert "+6" in delta(trader)


def test_it_leaves_no_trace_in_the_past(analyst: Session, trader: Session):
    before = analyst.history(REPORT), analyst.audit(), analyst.stat(REPORT)
    delta(trader)
    trader.write(f"{REPORT}:mark", "now")
    assert (analyst.history(REPORT), analyst.audit(), analyst.stat(REPORT)) == before


def test_bytes_that_are_no_text_only_differ(analyst: Session, trader: Session):
    delta(trader)
    analyst.write(REPORT, b"\xff\x00")
    assert delta(trader).endswith("\nBinary contents differ: v1, v2\n")
    assert delta(trader) == NOTHING


def test_as_json(analyst: Session, trader: Session):
    first = json.loads(delta(trader, "?format=json"))
    assert first.pop("diff").startswith("--- v0\n+++ v1\n")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*\+00:00", first.pop("time"))
    path = "/memory/shared/report.md"
    assert first == {"path": path, "since": 0, "version": 1, "changed": True, "marked": True}
    second = json.loads(delta(trader, "?format=json"))
    assert (second["since"], second["version"], second["changed"], second["diff"]) == (1, 1, False, "")
    assert json.loads(trader.read(f"{REPORT}:mark?format=json").text) == {"path": path, "version": 1}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.text(alphabet="ab\n# v2()", max_size=12), st.just("read")), max_size=12))
def test_whoever_reads_every_delta_has_read_it_all(steps: list[str]):
    """Whatever notes say, also what looks like the heading of a delta."""
    with Kernel(None, ":memory:") as kernel:
        writer, reader = kernel.session("writer"), kernel.session("reader")
        writer.write(REPORT, "")
        seen = ""
        for step in (*steps, "read"):
            if step != "read":
                writer.write(REPORT, step)
                continue
            now = writer.read(REPORT).text
            assert (delta(reader) == NOTHING) == (now == seen)
            seen = now
            assert delta(reader) == NOTHING


# --- who may see what ----------------------------------------------------------------------------


def test_nothing_shows_of_drafts_between_two_publications(kernel: Kernel):
    owner, other = kernel.session("owner"), kernel.session("other")
    owner.write("/memory/n", "first\n")
    assert "+first" in delta(other, path="/memory/n")
    owner.set_mode("/memory/n", 0o600)
    owner.write("/memory/n", "a secret draft\n")
    with pytest.raises((NotFound, Denied)):
        delta(other, path="/memory/n")
    owner.write("/memory/n", "second\n")
    owner.set_mode("/memory/n", 0o644)
    shown = delta(other, path="/memory/n")
    assert "+second" in shown
    assert "secret" not in shown
    other.write("/memory/n:mark", "2")  # the version of the draft, which other may not see
    assert "secret" not in delta(other, path="/memory/n")


def test_who_may_read_may_mark_and_others_know_nothing(kernel: Kernel, analyst: Session, trader: Session):
    analyst.set_mode(REPORT, 0o644)
    trader.write(f"{REPORT}:mark", "1")
    analyst.write("/private/p", "x")
    for name in ("delta", "mark"):
        with pytest.raises(NotFound, match=r"^/memory/private/analyst/p: not found$"):
            trader.read(f"/memory/private/analyst/p:{name}")
    with pytest.raises(NotFound, match=r"^/memory/private/analyst/p: not found$"):
        trader.write("/memory/private/analyst/p:mark", "now")


def test_what_is_not_in_the_store_has_no_versions(kernel: Kernel, trader: Session):
    with pytest.raises(IsADirectory):
        delta(trader, path="/shared")
    kernel.provide("/live/**", "memory", {"root": "/memory/shared"})
    assert trader.read("/live/report.md").text
    with pytest.raises(Unsupported, match="served by a provider"):
        delta(trader, path="/live/report.md")


# --- where marks are -----------------------------------------------------------------------------


def test_marks_outlive_the_process_and_are_seen_by_others(analyst: Session, trader: Session, tmp_path: Path):
    code = (
        "import sys; from vfs_core.kernel import Kernel\n"
        "with Kernel(None, sys.argv[1]) as kernel:\n"
        "    print(kernel.session('trader').read('/shared/report.md:delta').text)"
    )

    def elsewhere() -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "avm.db")], capture_output=True, text=True, check=True
        )
        return done.stdout

    assert "+5" in elsewhere()
    assert delta(trader) == NOTHING
    analyst.append(REPORT, "6\n")
    assert "+6" in delta(trader)
    assert elsewhere() == f"{NOTHING}\n"


def test_processes_that_mark_for_the_first_time_at_once_lose_nothing(trader: Session, tmp_path: Path):
    code = (
        "import sys; from vfs_core.kernel import Kernel\n"
        "with Kernel(None, sys.argv[1]) as kernel:\n"
        "    session = kernel.session('trader')\n"
        "    input()\n"
        "    for number in range(10):\n"
        "        session.read(f'/shared/report.md:delta?session={sys.argv[2]}.{number}')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "avm.db")]
    running = [subprocess.Popen([*command, str(each)], stdin=subprocess.PIPE) for each in range(4)]
    for each in running:
        assert each.stdin is not None
        each.stdin.write(b"\n")
        each.stdin.flush()
    for each in running:
        each.communicate()
        assert each.returncode == 0
    assert [mark(trader, f"?session={each}.{number}") for each in range(4) for number in range(10)] == [
        1
    ] * 40


def test_a_symlink_is_read_as_what_it_leads_to(analyst: Session, trader: Session):
    analyst.symlink("report.md", "/shared/link")
    assert "+5" in delta(trader, path="/shared/link")
    assert delta(trader) == NOTHING


def test_the_file_is_as_closed_as_the_store_and_says_nothing_of_notes(trader: Session, tmp_path: Path):
    delta(trader)
    file = tmp_path / "avm.marks.db"
    assert file.stat().st_mode & 0o777 == (tmp_path / "avm.db").stat().st_mode & 0o777
    assert b"report" not in file.read_bytes()
    assert [each.name for each in tmp_path.iterdir() if "marks" in each.name] == ["avm.marks.db"]
    assert str(file) in trader.store.files()


def test_marks_end_where_a_backup_is_put_back(
    kernel: Kernel, analyst: Session, trader: Session, tmp_path: Path
):
    keeper = kernel.session()
    made = keeper.backup(tmp_path / "copy.db")
    analyst.append(REPORT, "of a past that is no more\n")
    delta(trader)
    keeper.restore_backup(made.path)
    analyst.append(REPORT, "of the present\n")
    assert "+of the present" in delta(trader)


@pytest.mark.parametrize("read", ["", "?format=json"])
def test_a_store_that_cannot_be_written_shows_the_same_again_and_says_so(tmp_path: Path, read: str):
    with Kernel(None, tmp_path / "avm.db") as kernel:
        session = kernel.session("trader")
        session.write(REPORT, "1\n")
        session.read(f"{REPORT}:delta")
        session.append(REPORT, "2\n")
        kernel.store.writable = False
        kernel.writable_store = lambda: kernel.store  # type: ignore[method-assign]  # as on a read-only mount
        first = delta(session, read)
        assert "+2" in first
        assert "not marked: the store is read-only" in first or '"marked": false' in first
        assert delta(session, read) == first
        with pytest.raises(ReadOnly):
            session.write(f"{REPORT}:mark", "now")


def test_a_damaged_file_of_marks_says_what_to_do(trader: Session, tmp_path: Path):
    delta(trader)
    (tmp_path / "avm.marks.db").write_bytes(b"no database" * 1000)
    with pytest.raises(Exception, match=r"avm\.marks\.db is damaged .*; remove it"):
        delta(trader)
    (tmp_path / "avm.marks.db").unlink()
    assert "+5" in delta(trader)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_marks_too(analyst: Session, trader: Session):
    delta(trader)
    child = os.fork()
    if child == 0:
        analyst.append(REPORT, "6\n")
        os._exit(0 if "+6" in delta(trader) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert delta(trader) == NOTHING
