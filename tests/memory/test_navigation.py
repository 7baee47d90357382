"""One's way without a keyword: counts, tree, timeline, links, of what the agent may see and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from avm import AVM
from avm_builtin.memory import tokens
from vfs_core.errors import Invalid, NotFound


def test_topics_count_categories_and_tags_of_what_may_be_seen(avm: AVM, tmp_path: Path) -> None:
    memory = avm.agent_memory()
    memory.remember("NVDA RSI at 72", tags=["technical"])
    memory.remember("MACD crossed", tags=["technical", "crypto"])
    avm.write("/memory/lessons/deep/er.md", "a lesson")
    avm.write("/memory/top.md", "at the top")
    with AVM(db=tmp_path / "avm.db", agent="kuro") as other:
        other.agent_memory().remember("hidden", tags=["secret"])
    assert memory.topics() == (
        "## Memory Topics\n### By Category:\n  📁 private: 2 memories\n  📁 (top): 1 memory\n  📁 lessons: 1 memory\n"
        "### By Tag:\n  🏷️ technical: 2 occurrences\n  🏷️ crypto: 1 occurrence"
    )


def test_an_empty_memory_says_so(avm: AVM) -> None:
    memory = avm.agent_memory()
    assert memory.topics() == "## Memory Topics\n(nothing yet)"
    assert memory.timeline() == "## Timeline (last 7 days)\n(nothing)"
    assert not (Path(avm.stats().store)).exists()


def test_the_tree_counts_what_lies_below(avm: AVM, tmp_path: Path) -> None:
    for path in ("/private/a.md", "/private/b.md", "/shared/x/y/c.md", "/shared/d.md"):
        avm.write(path, "text")
    with AVM(db=tmp_path / "avm.db", agent="kuro") as other:
        other.write("/private/hidden.md", "text")
    memory = avm.agent_memory()
    assert memory.browse("/memory", depth=2) == "📁 private (2)\n  📁 trader (2)\n📁 shared (2)\n  📁 x (1)"
    assert memory.browse("/memory/shared", depth=1) == "📁 x (1)\n📄 d.md: text"
    assert memory.browse("/", depth=1) == "📁 memory (4)"
    for wrong in ("/memory/none", "/memory/private/kuro"):
        with pytest.raises(NotFound):
            memory.browse(wrong)
    with pytest.raises(Invalid):
        memory.browse("/memory", depth=0)


def test_a_directory_of_many_lists_some_and_says_how_many_more(avm: AVM) -> None:
    avm.write_many([(f"/memory/d/{n:03}.md", f"number {n}") for n in range(25)])
    lines = avm.agent_memory().browse("/memory/d").splitlines()
    assert (lines[0], len(lines), lines[-1]) == ("📄 000.md: number 0", 21, "(5 more)")


def test_two_phases_give_paths_and_then_bodies_within_a_budget(avm: AVM) -> None:
    for name in ("one", "two"):
        avm.write(f"/memory/shared/{name}.md", f"# Quokka {name}\n" + "a quokka sleeps. " * 500)
    memory = avm.agent_memory()
    found = memory.browse(query="quokka")
    assert {(each.path, each.summary) for each in found} == {
        ("/memory/shared/one.md", "Quokka one"),
        ("/memory/shared/two.md", "Quokka two"),
    }
    bodies = memory.fetch([each.path for each in found] + ["/memory/none.md"], max_tokens=600)
    assert tokens.count(bodies) <= 600
    assert bodies.count("a quokka sleeps") > 20 and "(/memory/none.md: not found)" in bodies
    assert all(f"[/memory/shared/{name}.md] (1.00) trader via python" in bodies for name in ("one", "two"))


def test_a_timeline_is_of_what_happened_then(avm: AVM) -> None:
    avm.write("/memory/log/new.md", "# Now\ntext")
    avm.write("/memory/log/old.md", "long ago", {"time": "2001-02-03T04:05"})
    avm.write("/memory/log/yesterday.md", "just before", {"time": "yesterday"})
    lines = avm.agent_memory().timeline(days=3).splitlines()
    assert [re.sub(r"\d", "0", line) for line in lines] == [
        "## Timeline (last 0 days)",
        "### 0000-00-00",
        "  [00:00] new: Now",
        "### 0000-00-00",
        "  [00:00] yesterday: just before",
    ]
    assert avm.agent_memory().recent(limit=3).splitlines()[-1] == "  [04:05] old: long ago"


def test_a_timeline_has_each_note_once_without_what_is_gone_or_others(avm: AVM, tmp_path: Path) -> None:
    for number in range(5):
        avm.write("/memory/shared/often.md", f"version {number}")
    avm.write("/memory/shared/gone.md", "gone")
    avm.delete("/memory/shared/gone.md")
    avm.write("/memory/shared/before.md", "moved")
    avm.rename("/memory/shared/before.md", "/memory/shared/after.md")
    with AVM(db=tmp_path / "avm.db", agent="kuro") as other:
        other.write("/private/hidden.md", "hidden")
    lines = avm.agent_memory().timeline().splitlines()
    assert sorted(line[10:] for line in lines[2:]) == ["after: moved", "often: version 4"]


def test_a_timeline_has_what_others_wrote_where_one_may_read_it(avm: AVM, tmp_path: Path) -> None:
    with AVM(db=tmp_path / "avm.db", agent="kuro") as other:
        other.write("/memory/shared/theirs.md", "of kuro")
        other.write("/private/draft.md", "shared later")
        other.write("/private/secret.md", "never shared")
        other.share("/private/draft.md", "trader")
    memory = avm.agent_memory()
    for lines in (memory.timeline().splitlines()[2:], memory.recent().splitlines()[2:]):
        assert sorted(line[10:] for line in lines) == ["draft: shared later", "theirs: of kuro"]


def test_the_latest_come_by_their_last_change_each_once(avm: AVM) -> None:
    for name in ("a", "b", "c"):
        avm.write(f"/memory/{name}.md", name)
    avm.append("/memory/a.md", "again")
    found = [(name.path, changed) for name, changed in avm.agent_memory()._session.latest()]
    assert [path for path, _ in found] == ["/memory/a.md", "/memory/c.md", "/memory/b.md"]
    assert [changed for _, changed in found] == sorted((changed for _, changed in found), reverse=True)


def test_the_latest_are_found_though_thousands_were_written_before(avm: AVM) -> None:
    avm.write("/memory/event.md", "an event of tomorrow, told of early", {"time": "2999-01-01"})
    for start in range(0, 3000, 1000):
        avm.write_many([(f"/memory/many/{n}.md", f"note {n}") for n in range(start, start + 1000)])
    lines = avm.agent_memory().timeline(limit=5).splitlines()
    assert len([line for line in lines if line.startswith("  [")]) == 5


def test_links_are_followed_hop_by_hop_each_note_once(avm: AVM) -> None:
    for name in "abcd":
        avm.write(f"/memory/{name}.md", name)
    avm.link("/memory/a.md", "/memory/b.md", "related")
    avm.link("/memory/b.md", "/memory/c.md", "derived")
    avm.link("/memory/c.md", "/memory/d.md", "derived")
    avm.link("/memory/c.md", "/memory/a.md", "citation")
    assert avm.agent_memory().explore("/memory/a.md", depth=2) == (
        "## Starting from: /memory/a.md\n### Hop 1:\n  [related] /memory/b.md\n### Hop 2:\n  [derived] /memory/c.md"
    )
    assert avm.agent_memory().explore("/memory/d.md") == "## Starting from: /memory/d.md\n(no links)"
    with pytest.raises(NotFound):
        avm.agent_memory().explore("/memory/none.md")


def test_links_lead_to_nothing_that_may_not_be_read(avm: AVM, tmp_path: Path) -> None:
    with AVM(db=tmp_path / "avm.db", agent="kuro") as other:
        other.write("/memory/shared/a.md", "a")
        other.write("/private/hidden.md", "hidden")
        other.link("/memory/shared/a.md", "/private/hidden.md")
    assert "(no links)" in avm.agent_memory().explore("/memory/shared/a.md")


def test_names_cannot_make_lines_of_their_own(avm: AVM) -> None:
    avm.write("/memory/x\n📁 boss (99)/a\n.md", "text\u2028### 2001-01-01")
    memory = avm.agent_memory()
    for shown in (memory.topics(), memory.browse("/memory"), memory.timeline()):
        assert "\n📁 boss" not in shown and "\u2028" not in shown
