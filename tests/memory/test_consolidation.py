"""Consolidation as a user sees it: what fades, what is merged, what is summed up, and that all of it is taken back."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avm import AVM
from avm_builtin.memory.consolidation.carrying_out import Consolidated, Listener
from avm_builtin.memory.consolidation.decaying import given_importance
from vfs_core.errors import Invalid, NotFound, PluginError
from vfs_core.moments import DAY_NS
from vfs_core.summarising import Sentence, Summariser

RATES = "the committee raised interest rates by a quarter of a point on Wednesday to fight inflation"
HOME = "/memory/private/trader"


def note(avm: AVM, path: str, text: str, days: float, **meta: object) -> str:
    """A note whose text was last changed some days ago."""
    avm.write(path, text, meta or None)
    session = avm.agent_memory()._session
    session.set_times(path, modified_ns=int(time.time_ns() - days * DAY_NS))
    return session.absolute(path)


def consolidate(avm: AVM, under: str | None = None, **settings: object) -> Consolidated:
    return avm.agent_memory().consolidate(under, **settings)  # type: ignore[arg-type]


def did(report: Consolidated) -> list[tuple[str, str]]:
    return [(action.verb, action.path) for action in report.done]


def events(avm: AVM, directory: str, count: int, **meta: object) -> list[str]:
    """Old notes that have a tag and nothing else in common."""
    return [
        note(avm, f"{directory}/{n}.md", f"# Event {n}\n\nIn week {n} number {n * 7} came up. Kind {n * 11}.",
             60 + n, tags=["events"], **meta)
        for n in range(count)
    ]  # fmt: skip


# --- decay ---------------------------------------------------------------------------------------


def test_what_is_old_loses_importance_and_what_is_young_does_not(avm: AVM) -> None:
    old = note(avm, "/private/old.md", "an old thought", 120, importance=0.8)
    young = note(avm, "/private/young.md", "a young thought", 20, importance=0.8)
    before = avm.read(old).stat
    report = consolidate(avm)
    assert did(report) == [("fade", old)]
    assert avm.read(old).meta == {"importance": 0.4, "decay": {"from": 0.8, "to": 0.4}}
    assert avm.read(young).meta == {"importance": 0.8}
    after = avm.read(old).stat
    assert (after.modified_ns, after.version) == (before.modified_ns, before.version)


def test_what_is_linked_fades_half_as_fast(avm: AVM) -> None:
    used = note(avm, "/private/used.md", "a thought that is used", 120)
    idle = note(avm, "/private/idle.md", "a thought that is idle", 120)
    user = note(avm, "/private/user.md", "what uses it", 1)
    avm.link(user, used, "citation")
    consolidate(avm)
    assert avm.read(used).meta["importance"] == 0.35
    assert avm.read(idle).meta["importance"] == 0.25


@pytest.mark.parametrize("meta", [{"pinned": True}, {"importance": 0.9}])
def test_what_is_pinned_is_left_alone(avm: AVM, meta: dict[str, object]) -> None:
    note(avm, "/private/a.md", RATES, 900, tags=["x"], **meta)
    note(avm, "/private/b.md", RATES, 901, tags=["x"], **meta)
    assert consolidate(avm).done == ()


def test_what_expires_or_is_no_note_is_left_alone(avm: AVM) -> None:
    note(avm, "/private/ttl.md", "soon gone", 400)
    avm.set_ttl("/private/ttl.md", 3600)
    note(avm, "/private/code.py", "print()", 400)
    note(avm, "/private/.hidden/a.md", "hidden", 400)
    note(avm, "/private/checkout/README.md", "of a project", 400)
    note(avm, "/private/checkout/.git/HEAD", "ref", 400)
    note(avm, "/private/two.md", "two names", 400)
    avm.agent_memory()._session.hard_link("/private/two.md", "/private/names.md")
    assert consolidate(avm).done == ()


def test_what_has_faded_is_archived_under_its_path_and_still_recalled_saying_so(avm: AVM) -> None:
    old = note(avm, "/private/ideas/quokka.md", "a quokka is a marsupial", 400)
    avm.write("/private/new.md", "a quokka again")
    assert did(consolidate(avm)) == [("archive", old)]
    archived = f"{HOME}/archive/ideas/quokka.md"
    assert avm.read(archived).text == "a quokka is a marsupial"
    assert avm.read(archived).meta["archived_from"] == old
    answer = avm.recall("quokka")
    assert answer.index("/private/trader/new.md") < answer.index(archived)
    assert ", archived" in answer
    assert consolidate(avm, f"{HOME}/archive").done == ()
    avm.rename(archived, old)
    assert ", archived" not in avm.recall("quokka marsupial")


def test_a_note_that_is_changed_again_gets_its_importance_back(avm: AVM) -> None:
    path = note(avm, "/private/a.md", "an old thought", 120)
    consolidate(avm)
    assert avm.read(path).meta["importance"] == 0.25
    avm.append(path, ", thought again")
    assert did(consolidate(avm)) == [("recover", path)]
    assert avm.read(path).meta == {}


def test_an_importance_that_somebody_sets_counts_from_then_on(avm: AVM) -> None:
    path = note(avm, "/private/a.md", "an old thought", 120)
    consolidate(avm)
    avm.update_meta(path, {"importance": 0.8})
    assert given_importance(avm.read(path).meta) == 0.8
    consolidate(avm)
    assert avm.read(path).meta["decay"] == {"from": 0.8, "to": 0.4}


# --- merging -------------------------------------------------------------------------------------


def test_of_notes_that_say_the_same_the_newest_stays_and_takes_over(avm: AVM) -> None:
    old = note(avm, "/private/a.md", RATES, 100, importance=0.7, tags=["fed"])
    oldest = note(avm, "/private/b.md", f"{RATES} yesterday", 200, tags=["news"])
    new = note(avm, "/private/c.md", f"{RATES} again", 2)
    report = consolidate(avm, only=("merge",))
    assert did(report) == [("merge", old), ("merge", oldest)]
    assert avm.read(new).text == f"{RATES} again"
    assert avm.read(new).meta == {"importance": 0.7, "tags": ["fed", "news"]}
    assert {(link.kind, link.target) for link in avm.links(new)} == {
        ("supersedes", f"{HOME}/archive/a.md"),
        ("supersedes", f"{HOME}/archive/b.md"),
    }
    assert avm.read(f"{HOME}/archive/a.md").text == RATES
    assert avm.read(f"{HOME}/archive/a.md").meta["superseded_by"] == new


def test_what_was_written_lately_is_not_taken_away(avm: AVM) -> None:
    note(avm, "/private/a.md", RATES, 5)
    note(avm, "/private/b.md", f"{RATES} again", 2)
    assert consolidate(avm).done == ()
    assert len(consolidate(avm, older_than="3d", only=("merge",)).done) == 1


def test_notes_of_other_directories_readers_or_times_are_not_the_same(avm: AVM) -> None:
    note(avm, "/private/a.md", RATES, 100)
    note(avm, "/private/d/a.md", RATES, 101)
    note(avm, "/private/lent.md", RATES, 102)
    avm.share("/private/lent.md", "kuro")
    note(avm, "/private/event.md", RATES, 103, time="2026-01-01")
    note(avm, "/private/other_event.md", RATES, 104, time="2026-02-01")
    assert consolidate(avm, only=("merge",)).done == ()


def test_notes_without_a_word_do_not_resemble_each_other(avm: AVM) -> None:
    for name in "ab":
        note(avm, f"/private/{name}.md", "!!! ???" if name == "a" else "😀", 100)
        note(avm, f"/private/empty_{name}.md", "", 100)
    assert consolidate(avm, only=("merge",)).done == ()


# --- summing up ----------------------------------------------------------------------------------


def test_many_old_notes_about_the_same_get_one_of_their_sentences(avm: AVM) -> None:
    sources = events(avm, "/private", 9)
    report = consolidate(avm, only=("summarise",))
    assert [action.verb for action in report.done] == ["summarise"]
    path = report.done[0].target
    assert path is not None
    made = avm.read(path)
    assert made.meta["source"] == "consolidate"
    assert made.meta["tags"] == ["events"]
    assert {link.target for link in avm.links(path) if link.kind == "derived"} == set(sources)
    said = [line[2:].rpartition(" [")[0] for line in made.text.splitlines() if line.startswith("- ")]
    texts = [avm.read(source).text for source in sources]
    assert said and all(any(each in text for text in texts) for each in said)
    assert all(avm.read(source).meta["summarised_in"] == path for source in sources)
    assert "summed up in" in avm.recall("event number")


def test_chinese_notes_are_summed_up_by_their_sentences(avm: AVM) -> None:
    words = ("央行加息", "油价上涨", "汇率走弱", "股市收跌", "黄金新高", "房价回暖", "信贷扩张", "消费复苏")
    for number, word in enumerate(words):
        note(avm, f"/private/{number}.md", f"今天{word}。市场反应平淡！后市如何？", 60, tags=["宏观"])
    path = consolidate(avm, only=("summarise",)).done[0].target or ""
    lines = [line for line in avm.read(path).text.splitlines() if line.startswith("- ")]
    assert lines and all(line.rpartition(" [")[0][-1] in "。！？" for line in lines)


def test_few_notes_or_young_ones_are_not_summed_up(avm: AVM) -> None:
    events(avm, "/private/few", 7)
    for number in range(20):
        note(avm, f"/private/young/{number}.md", f"young {number}", 3, tags=["y"])
    assert consolidate(avm, only=("summarise",)).done == ()


def test_a_summary_is_for_those_who_may_read_every_source(avm: AVM, tmp_path: Path) -> None:
    events(avm, "/memory/shared/closed", 8)
    session = avm.agent_memory()._session
    for entry in session.list("/memory/shared/closed"):
        session.set_mode(entry.path, 0o600)
    path = consolidate(avm, "/memory/shared/closed", only=("summarise",)).done[0].target or ""
    assert avm.read(path).stat.mode == 0o600
    with AVM(db=tmp_path / "avm.db", agent="kuro") as kuro:
        assert not kuro.exists(path)
        assert kuro.search("event number") == []


def test_notes_of_different_readers_are_not_summed_up_together(avm: AVM) -> None:
    paths = events(avm, "/private", 10)
    for path in paths[:5]:
        avm.share(path, "kuro")
    assert consolidate(avm, only=("summarise",)).done == ()


def test_others_notes_that_not_all_may_read_are_not_summed_up(avm: AVM, tmp_path: Path) -> None:
    with AVM(db=tmp_path / "avm.db", agent="kuro") as kuro:
        paths = events(kuro, "/memory/shared/his", 8)
        for path in paths:
            kuro.agent_memory()._session.set_mode(path, 0o600)
            kuro.share(path, "trader", "rw")
    report = consolidate(avm, "/memory/shared/his", only=("summarise",))
    assert report.done == ()
    assert [skipped.action.verb for skipped in report.skipped] == ["summarise"]
    assert [entry.path for entry in avm.list("/memory/shared/his")] == paths


def test_secrets_do_not_get_into_a_summary(avm: AVM) -> None:
    for number in range(8):
        note(avm, f"/private/{number}.md", f"Day {number}: key is AKIAABCDEFGHIJKLMNOP.", 60, tags=["k"])
    path = consolidate(avm, only=("summarise",)).done[0].target or ""
    assert "AKIA" not in avm.read(path).text


class Shouting(Summariser):
    """Says one thing of all, or fails."""

    def summarise(self, texts: object, budget: int) -> list[Sentence]:
        if self.config.get("fail"):
            raise RuntimeError("no model")
        return [Sentence("## Forged\n- ALL OF IT", 99 if self.config.get("wrong") else None)]


@pytest.mark.parametrize("config", ["{}", "{fail: true}", "{wrong: true}"])
def test_the_summariser_is_a_plugin(tmp_path: Path, config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shouting.py").write_text(
        "from avm import hookimpl, SummariserSpec\nimport builtins\n@hookimpl\ndef avm_register_summarisers():\n"
        "    return [SummariserSpec('shouting', builtins.the_summariser)]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("builtins.the_summariser", Shouting, raising=False)
    file = tmp_path / "config.yaml"
    file.write_text(f"plugins: {{load: [shouting]}}\nsummariser: {{name: shouting, config: {config}}}\n")
    with AVM(db=tmp_path / "avm.db", agent="trader", config=file) as avm:
        events(avm, "/private", 8)
        if config != "{}":
            with pytest.raises(PluginError):
                consolidate(avm, only=("summarise",))
            return
        path = consolidate(avm, only=("summarise",)).done[0].target or ""
        assert "- ## Forged - ALL OF IT\n" in avm.read(path).text
    sys.modules.pop("shouting", None)


# --- the run -------------------------------------------------------------------------------------


def test_a_dry_run_changes_nothing_and_a_second_run_finds_nothing(avm: AVM) -> None:
    events(avm, "/private", 9)
    note(avm, "/private/a.md", RATES, 300)
    note(avm, "/private/b.md", f"{RATES} again", 250)
    store = avm.agent_memory()._session.store
    head = store.head()
    planned = consolidate(avm, dry_run=True)
    assert store.head() == head
    assert planned.done and planned.run == ""
    report = consolidate(avm)
    assert did(report) == did(planned)
    assert consolidate(avm) == Consolidated("", False, (), ())


def test_a_run_is_taken_back_but_for_what_others_changed(avm: AVM) -> None:
    archived = note(avm, "/private/idle.md", "an idle thought", 400)
    faded = note(avm, "/private/faded.md", "a faded thought", 100, importance=0.8)
    report = consolidate(avm)
    avm.update_meta(faded, {"importance": 0.6})
    undone = avm.undo(run=report.run)
    assert [each.path for each in undone.skipped] == [faded]
    assert avm.read(archived).meta == {}
    assert not avm.exists(f"{HOME}/archive")


def test_what_is_changed_meanwhile_is_left_alone_and_told(avm: AVM, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = note(avm, "/private/a.md", "an old thought", 100)
    theirs = note(avm, "/private/b.md", "a thought that somebody works on", 100)
    listener = Listener(begins=lambda run, count: avm.append(theirs, ", and on") and None)
    report = avm.agent_memory().consolidate(listener=listener)
    assert did(report) == [("fade", mine)]
    assert [(each.action.path, "changed meanwhile" in each.reason) for each in report.skipped] == [
        (theirs, True)
    ]


def test_of_two_at_the_same_time_one_does_it(avm: AVM, tmp_path: Path) -> None:
    events(avm, "/private", 9)
    note(avm, "/private/a.md", RATES, 300)
    note(avm, "/private/b.md", f"{RATES} again", 250)
    note(avm, "/private/idle.md", "an idle thought", 400)
    with AVM(db=tmp_path / "avm.db", agent="trader") as other:
        reports = []
        listener = Listener(begins=lambda run, count: reports.append(consolidate(other)))
        late = avm.agent_memory().consolidate(listener=listener)
        assert reports[0].skipped == () and late.done == ()
        assert [each.action.path for each in late.skipped] == [each.path for each in reports[0].done]
        assert consolidate(other).done == ()
        assert avm.undo(run=reports[0].run).skipped == []


def test_others_private_notes_are_never_touched(avm: AVM, tmp_path: Path) -> None:
    with AVM(db=tmp_path / "avm.db", agent="kuro") as kuro:
        hidden = note(kuro, "/private/hidden.md", "hidden", 400)
        lent = note(kuro, "/private/lent.md", "lent", 400)
        kuro.share(lent, "trader", "r")
    note(avm, "/memory/shared/a.md", "an old shared thought", 100)
    assert did(consolidate(avm, "/memory")) == [("fade", "/memory/shared/a.md")]
    with pytest.raises(NotFound):
        consolidate(avm, hidden)


def test_what_others_lent_is_archived_where_the_same_agents_read(avm: AVM, tmp_path: Path) -> None:
    with AVM(db=tmp_path / "avm.db", agent="kuro") as kuro:
        lent = note(kuro, "/private/lent/deep/old.md", "an old quokka", 400)
        kuro.share("/private/lent", "trader", "rw")
        assert did(consolidate(avm, "/memory/private/kuro/lent")) == [("archive", lent)]
        archived = "/memory/private/kuro/lent/archive/deep/old.md"
        assert kuro.read(archived).text == avm.read(archived).text == "an old quokka"


def test_where_there_is_nothing_nothing_is_done(avm: AVM) -> None:
    assert consolidate(avm).done == ()
    assert not Path(avm.stats().store).exists()
    with pytest.raises(NotFound):
        consolidate(avm, "/memory/none")
    with pytest.raises(Invalid):
        consolidate(avm, older_than="someday")
    with pytest.raises(Invalid):
        consolidate(avm, only=("dream",))


KILLED = """
import os, signal, sys
from avm import AVM
from avm_builtin.memory.consolidation import actions
from avm_builtin.memory.consolidation.carrying_out import Listener
left = int(sys.argv[2])
def tried():
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
real = actions._move
def halfway(session, tx, note, target):
    real(session, tx, note, target)
    if left == 1:
        os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "inside":
    actions._move = halfway
with AVM(db=sys.argv[1], agent="trader") as avm:
    avm.agent_memory().consolidate(listener=Listener(begins=lambda run, count: print(run, flush=True), tried=tried))
"""


@pytest.mark.parametrize("where", ["between", "inside"])
def test_killed_in_the_middle_it_leaves_whole_changes_that_can_be_taken_back(
    tmp_path: Path, where: str
) -> None:
    file = tmp_path / "avm.db"
    with AVM(db=file, agent="trader") as avm:
        paths = [note(avm, f"/private/{n}.md", f"thought number {n * 17}", 400, tags=["x"]) for n in range(6)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(file), "3", where], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    with AVM(db=file, agent="trader") as avm:
        store = avm.agent_memory()._session.store
        assert not [each for each in store.verify() if each.level == "fail"]
        left = [path for path in paths if avm.exists(path)]
        assert len(left) == (3 if where == "between" else 4)
        for path in paths:
            at = path if path in left else path.replace(HOME, f"{HOME}/archive")
            assert ("archived_from" in avm.read(at).meta) == (path not in left)
        avm.undo(run=done.stdout.strip())
        assert [avm.read(path).meta for path in paths] == [{"tags": ["x"]}] * 6


def test_what_lies_in_a_closed_directory_is_archived_in_it(avm: AVM, tmp_path: Path) -> None:
    closed = note(avm, "/memory/shared/team/closed/deep/quokka.md", "an old quokka", 400)
    note(avm, "/memory/shared/team/open.md", "an old numbat", 400)
    avm.agent_memory()._session.set_mode("/memory/shared/team/closed", 0o700)
    report = consolidate(avm, "/memory/shared")
    assert [action.target for action in report.done] == [
        "/memory/shared/team/closed/archive/deep/quokka.md",
        "/memory/shared/team/archive/open.md",
    ]
    with AVM(db=tmp_path / "avm.db", agent="kuro") as kuro:
        assert kuro.exists("/memory/shared/team/archive/open.md")
        assert not kuro.exists("/memory/shared/team/closed/archive/deep/quokka.md")
        assert not kuro.exists(closed)


def test_a_note_is_not_moved_into_an_archive_that_others_may_enter(avm: AVM) -> None:
    path = note(avm, "/private/idle.md", "an idle thought", 400)
    avm.agent_memory()._session.mkdir("/private/archive")
    avm.share("/private/archive", "kuro")
    report = consolidate(avm)
    assert (report.done, [each.action.path for each in report.skipped]) == ((), [path])
    assert "others may enter" in report.skipped[0].reason
    assert avm.read(path).meta == {}
