"""`retrieve`: by words and meaning, and along links; the modes of search by each door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avm import AVM
from avm.errors import Invalid, MissingExtra

Avm = Callable[..., Any]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "avm.db"


def test_what_hits_are_linked_to_follows_behind_them(db: Path) -> None:
    with AVM(db=db, agent="me") as memory:
        for name, text in (("a", "the quokka"), ("b", "linked once"), ("c", "linked twice"), ("d", "alone")):
            memory.write(f"/memory/{name}.md", text)
        memory.link("/memory/a.md", "/memory/b.md")
        memory.link("/memory/b.md", "/memory/c.md", weight=0.5)
        paths = [[hit.path for hit in memory.retrieve("quokka", expand=steps)] for steps in range(3)]
        assert paths == [["/memory/a.md"], ["/memory/a.md", "/memory/b.md"],
                         ["/memory/a.md", "/memory/b.md", "/memory/c.md"]]  # fmt: skip
        scores = [hit.score for hit in memory.agent_memory().retrieve("quokka", expand=2)]
        assert scores == sorted(scores, reverse=True)
        with pytest.raises(Invalid, match="0 to 10 steps"):
            memory.retrieve("quokka", expand=11)


def test_links_lead_to_nothing_that_one_may_not_read(db: Path) -> None:
    with AVM(db=db, agent="me") as memory, AVM(db=db, agent="other") as other:
        memory.write("/memory/a.md", "the quokka")
        memory.write("/private/mine.md", "secret")
        memory.link("/memory/a.md", "/private/mine.md")
        assert [hit.path for hit in other.retrieve("quokka", expand=3)] == ["/memory/a.md"]


def test_searches_can_be_limited_by_author_and_time(db: Path) -> None:
    with AVM(db=db, agent="me") as memory:
        memory.write("/memory/a.md", "quokka", {"author": "Ana", "time": "2026-03-20"})
        memory.write("/memory/b.md", "quokka", {"author": "Ben", "time": "2026-04-20"})
        assert [hit.path for hit in memory.search("quokka", author="ana")] == ["/memory/a.md"]
        assert [hit.path for hit in memory.search("quokka", since="2026-04-01")] == ["/memory/b.md"]
        assert [hit.path for hit in memory.search("quokka", until="2026-03-20")] == ["/memory/a.md"]
        assert memory.search("quokka", since="2026-03-21", until="2026-04-19") == []


def test_without_a_model_words_do_and_meaning_says_what_is_missing(db: Path) -> None:
    with AVM(db=db, agent="me") as memory:
        memory.write("/memory/a.md", "the quokka")
        assert [hit.path for hit in memory.search("quokka", mode="hybrid")] == ["/memory/a.md"]
        with pytest.raises(MissingExtra, match="found by what it means"):
            memory.semantic("marsupial")


def test_the_command_line_has_them_too(avm: Avm) -> None:
    avm("write", "a.md", "--content", "the quokka", "--meta", "author=Ana")
    avm("write", "b.md", "--content", "its friend")
    avm("link", "a.md", "b.md")
    assert "/memory/b.md" in avm("retrieve", "quokka", "--expand", "1").out
    assert avm("search", "quokka", "--author", "ben").code == 6
    assert avm("search", "quokka", "--author", "Ana", "--mode", "hybrid").code == 0
    assert avm("semantic", "marsupial").code != 0
    assert avm("reindex", "--json").json == {"indexed": 2, "embedded": 0}
    assert "embedder" in avm("stats").out


def test_the_command_line_searches_by_meaning(avm: Avm, models: None) -> None:
    avm("write", "news.md", "--content", "中东局势紧张")
    avm("write", "cat.md", "--content", "The cat sleeps on the sofa.")
    assert avm("reindex", "--json").json == {"indexed": 2, "embedded": 2}
    found = avm("semantic", "伊朗军事冲突", "--limit", "1")
    assert found.out.splitlines()[0].endswith("/memory/news.md")
    assert avm("stats", "--json").json["embedded"] == 2
