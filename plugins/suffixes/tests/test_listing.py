"""`:list`, `:changes`, `:stats` and `:search`: what they show, how the query chooses, and that they show no more."""

import json
import re

import pytest

from avm_suffixes.listing import Changes, List, Stats
from avm_suffixes.searching import Search
from vfs_core.errors import Denied, Invalid, NotADirectory, NotFound
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.shortcuts import shortcut_of
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.testing import SuffixTests


@pytest.fixture
def session(kernel: Kernel) -> Session:
    opened = kernel.session("akashi")
    opened.write("/memory/lesson.md", "# Risk management\n\nRSI above 70\n", {"tags": ["work", "rsi"]})
    opened.write(
        "/memory/market/nvda.md", "NVDA: RSI at 72, 局势紧张", {"title": "NVDA\twatch", "tags": ["work"]}
    )
    opened.write("/memory/market/a b.md", "\n\n  \n")
    opened.write("/memory/market/raw.bin", b"\0\1\2")
    opened.write("/private/diary.md", "my RSI secret", {"tags": ["work"]})
    return opened


@pytest.fixture
def other(kernel: Kernel, session: Session) -> Session:
    return kernel.session("kuro")


def lines(session: Session, path: str) -> list[list[str]]:
    return [line.split("\t") for line in session.read(path).text.splitlines()]


def names(session: Session, path: str) -> list[str]:
    return [line[1] for line in lines(session, path) if len(line) > 1]


class OnMemory(SuffixTests):
    @pytest.fixture
    def context(self, session: Session) -> SuffixContext:
        return SuffixContext(session, "/memory", {})


class TestList(OnMemory):
    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        return List()


class TestChanges(OnMemory):
    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        return Changes()


class TestStats(OnMemory):
    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        return Stats()


class TestSearch(SuffixTests):
    @pytest.fixture
    def suffix(self) -> BaseSuffix:
        return Search()

    @pytest.fixture
    def context(self, session: Session) -> SuffixContext:
        return SuffixContext(session, "/memory", {"q": "RSI"})


# --- :list ---------------------------------------------------------------------------------------


def test_a_line_each_with_shortcut_name_and_title_or_first_line(session: Session):
    shown = [
        (shortcut, path.rpartition("/")[2])
        for path, shortcut in (
            (path, shortcut_of(session.stat(path).id)) for path in ("/memory/lesson.md", "/memory/market")
        )
    ]
    assert lines(session, "/memory:list")[:2] == [
        [shown[0][0], "lesson.md", "Risk management"],
        [shown[1][0], "market/", ""],
    ]
    assert [(name, title) for _, name, title in lines(session, "/memory/market/:list")] == [
        ("a b.md", ""),
        ("nvda.md", "NVDA watch"),
        ("raw.bin", ""),
    ]


def test_every_shortcut_leads_to_what_stands_beside_it(session: Session):
    for shortcut, name, _ in lines(session, "/memory:list"):
        assert session.absolute(shortcut) == f"/memory/{name.rstrip('/')}"


def test_names_stay_on_their_line_and_in_their_column(session: Session):
    session.write("/memory/odd/a\tb\nc", "x\ty\u2028z")
    (line,) = session.read("/memory/odd:list").text.splitlines()
    assert line.split("\t")[1:] == [r"a\tb\nc", "x y"]
    assert json.loads(session.read("/memory/odd:list?format=json").text)["entries"][0]["name"] == "a\tb\nc"


def test_long_titles_are_cut(session: Session):
    session.write("/memory/long/x", "局" * 1000)
    assert lines(session, "/memory/long:list")[0][2] == "局" * 79 + "…"


def test_pages_join_to_the_whole(session: Session):
    for number in range(7):
        session.write(f"/memory/many/{number}", "x")
    whole = session.read("/memory/many:list").text
    pages, offset = "", 0
    while True:
        page = session.read(f"/memory/many:list?limit=3&offset={offset}").text
        more = re.search(r"^# more with offset=(\d+)\n", page, re.MULTILINE)
        pages += page[: more.start()] if more else page
        if more is None:
            break
        offset = int(more[1])
    assert pages == whole
    assert session.read("/memory/many:list?offset=7").data == b""
    assert json.loads(session.read("/memory/many:list?limit=3&format=json").text)["next"] == 3


def test_a_query_and_a_tag_look_at_all_below(session: Session):
    assert set(names(session, "/memory:list?q=RSI")) == {
        "lesson.md", "market/nvda.md", "private/akashi/diary.md",
    }  # fmt: skip
    assert names(session, "/memory/market:list?q=%E5%B1%80%E5%8A%BF") == ["nvda.md"]
    assert names(session, "/memory/market:list?q=局势") == ["nvda.md"]
    assert set(names(session, "/memory:list?tag=work")) == {
        "lesson.md", "market/nvda.md", "private/akashi/diary.md",
    }  # fmt: skip
    assert names(session, "/memory:list?tag=rsi&q=RSI") == ["lesson.md"]
    assert names(session, "/memory:list?tag=none") == []
    assert names(session, "/:list?q=RSI&limit=1") != []


def test_the_root_and_directories_of_providers_can_be_listed(kernel: Kernel, session: Session):
    kernel.provide("/live/here/**", "memory", {"root": "/memory/market"})
    assert "live/" in names(session, "/:list")
    assert ["-", "here/", ""] in lines(session, "/live:list")
    (shortcut,) = {line[0] for line in lines(session, "/live/here:list") if line[1] == "nvda.md"}
    assert session.read(f"{shortcut}:path").text == "/memory/market/nvda.md\n"  # the node's own


# --- :changes ------------------------------------------------------------------------------------


def test_what_changed_last_stands_first(session: Session):
    session.append("/memory/lesson.md", "more\n")
    found = lines(session, "/memory:changes")
    assert [line[1:] for line in found][:2] == [
        ["2", "akashi", "/memory/lesson.md"],
        ["1", "akashi", "/memory/private/akashi/diary.md"],
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", line[0]) for line in found)
    assert lines(session, "/memory:changes?limit=1") == found[:1]
    assert {line[3] for line in lines(session, "/memory/market:changes")} == {
        "/memory/market/nvda.md", "/memory/market/a b.md", "/memory/market/raw.bin",
    }  # fmt: skip


def test_the_author_of_a_change_is_who_made_it(session: Session, other: Session):
    other.append("/memory/lesson.md", "more\n")
    assert lines(session, "/memory:changes?limit=1")[0][2] == "kuro"


@pytest.mark.parametrize(
    ("query", "found"),
    [("minutes=5", True), ("since=1h", True), ("since=2999-01-01", False), ("since=2020-01-01", True)],
)
def test_changes_of_a_period(session: Session, query: str, found: bool):
    assert bool(lines(session, f"/memory:changes?{query}")) == found


# --- :stats --------------------------------------------------------------------------------------


def test_what_there_is_is_counted(session: Session, other: Session):
    assert dict(lines(session, "/memory:stats")) == {
        "path": "/memory", "agent": "akashi", "notes": "5", "private": "1", "directories": "3",
    }  # fmt: skip
    assert dict(lines(other, "/:stats"))["notes"] == "4"
    assert json.loads(other.read("/memory:stats?format=json").text)["private"] == 0


# --- :search -------------------------------------------------------------------------------------


def test_two_phases_first_paths_with_snippets_then_what_was_chosen(session: Session):
    text = session.read("/memory:search?q=NVDA").text
    match = re.fullmatch(r"\[(0\.\d\d)\] (/memory/market/nvda\.md)\n    (NVDA: RSI at 72, 局势紧张)\n", text)
    assert match
    assert session.read(match[2]).text == match[3]
    (hit,) = json.loads(session.read("/memory:search?q=NVDA&format=json").text)
    assert (hit["path"], f"{hit['score']:.2f}", hit["snippet"]) == (match[2], match[1], match[3])


@pytest.mark.parametrize(
    "query", ["局势", "%E5%B1%80%E5%8A%BF", "RSI+at", "a%2Fb+NVDA", "a/b/NVDA", "NVDA:meta"]
)
def test_queries_follow_the_rules_of_urls(session: Session, query: str):
    assert "/memory/market/nvda.md" in session.read(f"/memory:search?q={query}").text


def test_it_stays_below_its_directory_and_within_its_limit(session: Session):
    assert session.read("/memory/market:search?q=RSI").text.count("[") == 1
    assert session.read("/:search?q=RSI&limit=2").text.count("[0.") == 2
    assert session.read("/memory:search?q=nothingofthis").data == b""


# --- what is refused, and what must not show -----------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        *((f"/memory:list?limit={bad}", "limit is a whole number from 1") for bad in ("0", "-1", "x", "1.5", "")),
        *((f"/memory:list?offset={bad}", "offset is a whole number from 0") for bad in ("-1", "x", "٣", "1e3")),
        *((f"/memory:changes?minutes={bad}", "minutes is a whole number") for bad in ("0", "x", "-5", "9" * 12)),
        *((f"/memory:changes?since={bad}", "is neither a time such as") for bad in ("x", "", "2026-13-01")),
        ("/memory:changes?since=1h&minutes=5", "one of the two"),
        ("/memory:search", r"write \?q=WORDS"),
        ("/memory:search?q=", r"write \?q=WORDS"),
        ("/memory:list?q=", r"write \?q=WORDS"),
        ("/memory:list?tag=", r"write \?tag=WORDS"),
        ("/memory:recall?max_tokens=5", r"write \?q=WORDS"),
        ("/memory:recall?q=x&max_tokens=0", "max_tokens is a whole number from 1"),
        ("/memory:recall?q=x&strategy=odd", "a strategy is one of"),
        ("/memory:search?q=x&mode=odd", "mode is one of"),
        ("/memory:list?query=x", "has no option 'query'; it has limit, offset, q, tag, format"),
        ("/memory:stats?format=xml", "format is text or json, not 'xml'"),
    ],
)  # fmt: skip
def test_a_bad_query_is_refused_with_what_is_right(session: Session, reference: str, why: str):
    with pytest.raises(Invalid, match=why):
        session.read(reference)


@pytest.mark.parametrize("name", ["list", "changes", "stats", "search?q=x", "recall?q=x"])
def test_they_are_for_directories(session: Session, name: str):
    with pytest.raises(NotADirectory, match="is for directories"):
        session.read(f"/memory/lesson.md:{name}")


QUERIES = (
    *("list", "list?q=RSI", "list?q=secret", "list?tag=work", "changes", "changes?minutes=60", "stats"),
    *(
        "search?q=secret",
        "search?q=RSI",
        "search?q=diary&mode=hybrid",
        "recall?q=RSI",
        "recall?q=secret+diary",
    ),
)


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_of_a_private_note_shows(session: Session, other: Session, name: str, form: str):
    """What others see is byte for byte what they would see if it were not there."""
    query = f"{name}{'&' if '?' in name else '?'}format={form}"
    shown = {path: other.read(f"{path}:{query}").text for path in ("/", "/memory", "/memory/private")}
    assert "diary" not in "".join(shown.values()).replace("query=diary", "")
    assert "my RSI" not in "".join(shown.values())
    session.forget_for_good("/private/diary.md")
    session.delete("/private", recursive=True)
    for path, text in shown.items():
        assert _timeless(other.read(f"{path}:{query}").text) == _timeless(text), path
    with pytest.raises(NotFound, match=r"^/memory/private/akashi: not found$"):
        other.read(f"/memory/private/akashi:{query}")


def _timeless(text: str) -> str:
    """Scores and times of directories change with what is there; that is not what is looked for."""
    return re.sub(r"0\.\d+|\d{4}-\d\d-\d\dT[^\"\s]*", "", text)


def test_a_title_shows_only_to_who_may_read(session: Session, other: Session):
    session.set_mode("/memory/lesson.md", 0o700)
    session.share("/memory/lesson.md", "ann")
    assert "Risk" not in other.read("/memory:list").text
    session.set_mode("/memory/market/nvda.md", 0o622)
    assert "watch" not in other.read("/memory/market:list").text


def test_a_directory_that_may_not_be_listed_is_not(session: Session, other: Session):
    session.mkdir("/memory/closed")
    session.write("/memory/closed/x", "RSI")
    session.set_mode("/memory/closed", 0o711)
    for name in ("list", "changes", "stats"):
        with pytest.raises((NotFound, Denied)):
            other.read(f"/memory/closed:{name}")
