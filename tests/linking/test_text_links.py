"""What a note says becomes its links, and stays in step with it."""

import pytest

from vfs_core.errors import Invalid
from vfs_core.reactor import LINKS
from vfs_core.types import Link

NOTE = "/memory/market/nvda.md"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("[[risk]]", "/memory/market/risk.md"),
        ("[[Risk]]", "/memory/market/risk.md"),
        ("[[risk.md]]", "/memory/market/risk.md"),
        ("[x](risk.md)", "/memory/market/risk.md"),
        ("[x](./risk.md)", "/memory/market/risk.md"),
        ("[x](risk)", "/memory/market/risk.md"),
        ("[x](../lessons/stop_loss.md#why)", "/memory/lessons/stop_loss.md"),
        ("[[stop loss]]", "/memory/lessons/stop_loss.md"),
        ("[[Never lose much]]", "/memory/lessons/stop_loss.md"),
        ("[[lessons/stop_loss|rule]]", "/memory/lessons/stop_loss.md"),
        ("[[/memory/lessons/stop_loss.md]]", "/memory/lessons/stop_loss.md"),
        ("[x](/shared/plan.md)", "/memory/shared/plan.md"),
        ("[x](/private/mine.md)", "/memory/private/ana/mine.md"),
    ],
)
def test_a_mention_leads_to(ana, mentioned, text, target):
    ana.write("/memory/market/risk.md", "x")
    ana.write("/memory/lessons/stop_loss.md", "x", {"title": "Never lose much"})
    ana.write("/memory/shared/plan.md", "x")
    ana.write("/private/mine.md", "x")
    ana.write(NOTE, text)
    assert mentioned(ana, NOTE) == [target]


@pytest.mark.parametrize(
    "text",
    ["[[nothing]]", "[[nvda]]", "[x](..)", "[x](../lessons)", "[[a:meta]]", "[x](/../../x)", "[[@abc]]"],
)
def test_what_leads_nowhere_is_no_link(ana, mentioned, text):
    ana.write("/memory/lessons/a.md", "x")
    ana.write(NOTE, text)
    assert mentioned(ana, NOTE) == []


def test_a_link_comes_when_its_target_does(ana, mentioned):
    ana.write(NOTE, "[[risk]] [x](later.md) [y](/memory/moved.md) [[The Title]]")
    assert mentioned(ana, NOTE) == []
    ana.write("/memory/lessons/risk.md", "x")
    assert mentioned(ana, NOTE) == ["/memory/lessons/risk.md"]
    ana.write("/memory/market/later.md", "x")
    ana.write("/memory/other.md", "x")
    ana.rename("/memory/other.md", "/memory/moved.md")
    ana.write("/memory/t.md", "x")
    ana.update_meta("/memory/t.md", {"title": "The title"})
    assert mentioned(ana, NOTE) == [
        "/memory/lessons/risk.md", "/memory/market/later.md", "/memory/moved.md", "/memory/t.md",
    ]  # fmt: skip


def test_a_link_goes_with_its_mention(ana, mentioned):
    ana.write("/memory/a.md", "x")
    ana.write("/memory/b.md", "x")
    ana.write(NOTE, "[[a]] [[b]]")
    assert mentioned(ana, NOTE) == ["/memory/a.md", "/memory/b.md"]
    ana.write(NOTE, "[[b]]")
    assert mentioned(ana, NOTE) == ["/memory/b.md"]
    ana.append(NOTE, " [[a]]")
    assert mentioned(ana, NOTE) == ["/memory/a.md", "/memory/b.md"]
    ana.write(NOTE, "")
    assert mentioned(ana, NOTE) == []


def test_links_that_somebody_made_stay(ana):
    ana.write("/memory/a.md", "x")
    ana.write(NOTE, "[[a]]")
    ana.link(NOTE, "/memory/a.md")
    ana.link(NOTE, "/memory/a.md", "citation", 0.5)
    ana.write(NOTE, "nothing")
    assert ana.links(NOTE) == [
        Link(NOTE, "citation", "/memory/a.md", 0.5), Link(NOTE, "related", "/memory/a.md"),
    ]  # fmt: skip


def test_mentions_are_made_by_writing_alone(ana, mentioned):
    ana.write("/memory/a.md", "x")
    ana.write(NOTE, "[[a]]")
    with pytest.raises(Invalid, match="follow from what a note says"):
        ana.link("/memory/a.md", NOTE, "mention")
    with pytest.raises(Invalid, match="follow from what a note says"):
        ana.unlink(NOTE, "/memory/a.md", "mention")
    assert mentioned(ana, NOTE) == ["/memory/a.md"]
    assert ana.unlink(NOTE, "/memory/a.md") == 0
    ana.link(NOTE, "/memory/a.md", "citation")
    assert ana.unlink(NOTE, "/memory/a.md") == 1
    assert mentioned(ana, NOTE) == ["/memory/a.md"]


def test_what_is_read_of_links_can_be_written(ana):
    ana.write("/memory/a.md", "x")
    ana.write(NOTE, "[[a]]")
    ana.link(NOTE, "/memory/a.md", "citation")
    before = ana.read(f"{NOTE}:links").text
    assert before == "citation\t/memory/a.md\t1\nmention\t/memory/a.md\t1\n"
    ana.write(f"{NOTE}:links", before)
    assert ana.read(f"{NOTE}:links").text == before


def test_renames_keep_links(ana, mentioned):
    ana.write("/memory/a.md", "x")
    ana.write(NOTE, "[[a]]")
    assert mentioned(ana, NOTE) == ["/memory/a.md"]
    ana.rename("/memory/a.md", "/memory/z.md")
    ana.rename("/memory/market", "/memory/shares")
    note = "/memory/shares/nvda.md"
    assert mentioned(ana, note) == ["/memory/z.md"]
    ana.append(note, " more")
    ana.write("/memory/a.md", "another")
    assert mentioned(ana, note) == ["/memory/z.md"]


def test_a_target_that_is_replaced_is_found_again(ana, mentioned):
    """As editors do: the new text under another name, then moved over the old one."""
    ana.write("/memory/a.md", "x")
    ana.write(NOTE, "[[a]]")
    assert mentioned(ana, NOTE) == ["/memory/a.md"]
    ana.write("/memory/a.md.tmp", "y")
    ana.rename("/memory/a.md.tmp", "/memory/a.md", replace=True)
    assert mentioned(ana, NOTE) == ["/memory/a.md"]
    ana.write("/memory/market/tmp", "[[a]]!")
    ana.rename("/memory/market/tmp", NOTE, replace=True)
    assert mentioned(ana, NOTE) == ["/memory/a.md"]


def test_what_is_deleted_comes_back_with_its_links(ana, mentioned):
    ana.write("/memory/a.md", "x")
    ana.write(NOTE, "[[a]]")
    assert mentioned(ana, NOTE) == ["/memory/a.md"]
    ana.delete("/memory/a.md")
    assert mentioned(ana, NOTE) == []
    ana.restore("/memory/a.md")
    assert mentioned(ana, NOTE) == ["/memory/a.md"]
    ana.delete(NOTE)
    assert mentioned(ana, "/memory/a.md") == []
    ana.restore(NOTE)
    assert mentioned(ana, NOTE) == ["/memory/a.md"]


def test_what_is_not_mentioned_any_more_does_not_come_back(ana, mentioned):
    ana.write("/memory/a.md", "x")
    ana.write(NOTE, "[[a]]")
    assert mentioned(ana, NOTE) == ["/memory/a.md"]
    ana.delete("/memory/a.md")
    ana.write(NOTE, "nothing")
    assert mentioned(ana, NOTE) == []
    ana.restore("/memory/a.md")
    assert mentioned(ana, NOTE) == []


def test_the_nearest_of_a_name_is_meant(ana, mentioned):
    ana.write("/memory/a/b/note.md", "[[readme]]")
    for path in (
        "/memory/readme.md",
        "/memory/a/c/readme.md",
        "/memory/a/readme.md",
        "/memory/a/b/x/readme.md",
    ):
        ana.write(path, "x")
    assert mentioned(ana, "/memory/a/b/note.md") == ["/memory/a/b/x/readme.md"]
    ana.write("/memory/a/d/note.md", "[[readme]]")
    assert mentioned(ana, "/memory/a/d/note.md") == ["/memory/a/readme.md"]
    ana.write("/memory/e/note.md", "[[readme]]")
    assert mentioned(ana, "/memory/e/note.md") == ["/memory/readme.md"]


def test_the_nearest_is_meant_whenever_it_came(ana, mentioned):
    ana.write("/memory/a/note.md", "[[readme]] [[b/readme]]")
    ana.write("/memory/c/readme.md", "x")
    assert mentioned(ana, "/memory/a/note.md") == ["/memory/c/readme.md"]
    ana.write("/memory/a/readme.md", "x")
    assert mentioned(ana, "/memory/a/note.md") == ["/memory/a/readme.md"]
    ana.write("/memory/a/b/readme.md", "x")
    assert mentioned(ana, "/memory/a/note.md") == ["/memory/a/b/readme.md", "/memory/a/readme.md"]
    ana.delete("/memory/a/readme.md")
    ana.delete("/memory/a/b/readme.md")
    assert mentioned(ana, "/memory/a/note.md") == ["/memory/c/readme.md"]


def test_code_and_other_files_are_not_read(ana, mentioned):
    ana.write("/memory/a.md", "x")
    for name in ("x.py", "x.json", "x.html"):
        ana.write(f"/memory/{name}", "[[a]]")
        assert mentioned(ana, f"/memory/{name}") == []
    ana.write("/memory/binary", b"\0[[a]]")
    assert mentioned(ana, "/memory/binary") == []
    for name in ("x.MD", "x.txt", "x"):
        ana.write(f"/memory/{name}", "[[a]]")
        assert mentioned(ana, f"/memory/{name}") == ["/memory/a.md"]


def test_undo_takes_back_what_was_written_and_not_the_answer_to_it(ana, mentioned):
    ana.write("/memory/a.md", "x")
    ana.write(NOTE, "first")
    ana.write(NOTE, "[[a]]")
    assert mentioned(ana, NOTE) == ["/memory/a.md"]
    report = ana.undo(NOTE)
    assert [each.operation for each in report.undone] == ["write"]
    assert ana.read(NOTE).text == "first"
    assert mentioned(ana, NOTE) == []


def test_it_is_told_in_the_journal_who_made_a_link(ana, bob, mentioned):
    ana.write("/memory/a.md", "x")
    bob.write(NOTE, "[[a]]")
    assert mentioned(ana, NOTE) == ["/memory/a.md"]
    row = ana.audit(NOTE, limit=1)[0]
    assert (row.operation, row.agent, row.door) == ("link", "bob", "follower:links")


def test_doing_it_again_changes_nothing(ana, kernel, mentioned):
    for each in range(20):
        ana.write(f"/memory/n{each}.md", f"[[n{each + 1}]] [[n{each + 2}]] [[nowhere]]")
    links = {each: mentioned(ana, f"/memory/n{each}.md") for each in range(20)}
    head = ana.store.head().sequence
    runner = kernel.follower(LINKS)
    runner.rebuild()
    assert ana.store.head().sequence == head
    runner.discard()
    assert {each: mentioned(ana, f"/memory/n{each}.md") for each in range(20)} == links
    assert ana.store.head().sequence == head
    assert runner.behind() == 0


def test_what_was_renamed_is_still_meant_after_the_side_file_was_lost(ana, kernel, mentioned):
    ana.write("/memory/a.md", "x")
    ana.write("/memory/b.md", "x")
    ana.write(NOTE, "[[a]] [[b]]")
    assert mentioned(ana, NOTE) == ["/memory/a.md", "/memory/b.md"]
    ana.rename("/memory/a.md", "/memory/z.md")
    kernel.follower(LINKS).discard()
    assert mentioned(ana, NOTE) == ["/memory/b.md", "/memory/z.md"]
    ana.write(NOTE, "[[a]]")
    assert mentioned(ana, NOTE) == ["/memory/z.md"]
    ana.write(NOTE, "")
    kernel.follower(LINKS).discard()
    assert mentioned(ana, NOTE) == []


def test_an_export_has_only_links_that_somebody_made(ana, tmp_path, mentioned, capsys, kernel):
    from avm_builtin.frontends.cli.app import main

    ana.write("/memory/a.md", "x")
    ana.write("/memory/b.md", "[[a]]")
    ana.link("/memory/b.md", "/memory/a.md", "citation")
    assert len(ana.links("/memory/b.md")) == 2
    for ending in ("jsonl", "tar.gz"):
        assert main(["--db", kernel.location, "-a", "ana", "export", str(tmp_path / f"x.{ending}")]) == 0
        other = str(tmp_path / f"{ending}.db")
        assert main(["--db", other, "-a", "ana", "import", str(tmp_path / f"x.{ending}")]) == 0
        capsys.readouterr()
        assert main(["--db", other, "-a", "ana", "links", "b.md"]) == 0
        assert capsys.readouterr().out == "citation\t/memory/a.md\t1\nmention\t/memory/a.md\t1\n"


def test_a_digest_tells_of_links_that_somebody_made(ana, mentioned):
    from vfs_core import activity

    ana.write("/memory/a.md", "x")
    ana.write(NOTE, "[[a]]")
    assert mentioned(ana, NOTE) == ["/memory/a.md"]
    ana.link(NOTE, "/memory/a.md", "citation")
    assert [link.kind for link in activity.linked_since(ana, 0, 10)] == ["citation"]
