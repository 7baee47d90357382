"""A link from a text tells nobody of a note that they may not know of, and is made only by who may make it."""

from pathlib import Path

import pytest

from vfs_core.reactor import LINKS

SECRET = "/memory/private/bob/secret.md"


def observed(session, path):
    """All that an agent can see of a note's links."""
    rows = [(row.operation, row.path, row.agent, row.details) for row in session.audit(limit=1000)]
    return (
        session.links(path),
        rows,
        session.stat(path)._replace(changed_ns=0, modified_ns=0, created_ns=0, accessed_ns=0, id=0),
    )


@pytest.mark.parametrize(
    "text", ["[[secret]]", f"[[{SECRET}]]", f"[x]({SECRET})", "[x](../private/bob/secret.md)"]
)
def test_mentioning_does_not_tell_what_is_there(ana, bob, text):
    bob.write("/memory/bobs.md", "x")
    ana.write("/memory/note.md", text)
    before = observed(ana, "/memory/note.md")
    bob.write(SECRET, "x")
    assert observed(ana, "/memory/note.md") == before
    ana.write("/memory/note2.md", text)
    assert ana.links("/memory/note2.md") == []
    assert {row.operation for row in ana.audit("/memory/note2.md")} == {"write"}
    assert bob.store.links(bob.stat(SECRET).id) == []


def test_what_others_wrote_leads_to_their_own_for_them_alone(ana, bob, mentioned):
    """Ana owns the note, and sees all of its past: but not that Bob's mention of his own note led anywhere."""
    ana.write("/memory/note.md", "x")
    bob.write(SECRET, "x")
    bob.write("/memory/note.md", "[x](/private/secret.md)")
    assert mentioned(bob, "/memory/note.md") == [SECRET]
    assert mentioned(ana, "/memory/note.md") == []
    assert all(row.operation != "link" for row in ana.audit())
    assert any(row.operation == "link" for row in bob.audit())
    bob.write("/memory/note.md", "gone")
    assert mentioned(bob, "/memory/note.md") == []
    assert all(row.operation != "unlink" for row in ana.audit())


def test_a_link_shows_where_both_ends_may_be_read(ana, bob, mentioned):
    bob.write(SECRET, "[[plan]]")
    bob.write("/memory/plan.md", "[x](/private/secret.md)")
    assert mentioned(bob, SECRET) == ["/memory/plan.md"]
    assert mentioned(bob, "/memory/plan.md") == [SECRET]
    assert ana.links("/memory/plan.md") == []
    bob.share(SECRET, "ana")
    assert mentioned(ana, "/memory/plan.md") == [SECRET]


def test_what_is_opened_to_its_mentioner_is_found(ana, bob, mentioned):
    ana.write("/memory/note.md", f"[x]({SECRET})")
    bob.write(SECRET, "x")
    assert mentioned(ana, "/memory/note.md") == []
    bob.share(SECRET, "ana")
    assert mentioned(ana, "/memory/note.md") == [SECRET]


def test_what_is_in_a_directory_that_is_opened_is_found(ana, bob, mentioned):
    ana.write("/memory/note.md", "[x](/memory/private/bob/d/e.md)")
    bob.write("/private/d/e.md", "x")
    assert mentioned(ana, "/memory/note.md") == []
    bob.share("/private/d", "ana")
    assert mentioned(ana, "/memory/note.md") == ["/memory/private/bob/d/e.md"]


def test_a_mention_stays_with_who_wrote_it(ana, bob, mentioned):
    ana.write("/memory/note.md", "[x](/private/mine.md)")
    bob.append("/memory/note.md", " and so on")
    bob.write("/private/mine.md", "bob's")
    ana.write("/private/mine.md", "ana's")
    assert mentioned(ana, "/memory/note.md") == ["/memory/private/ana/mine.md"]
    assert mentioned(bob, "/memory/note.md") == []
    bob.write("/memory/note.md", "nothing")
    bob.append("/memory/note.md", "[x](/private/mine.md)")
    ana.append("/memory/note.md", " and so on")
    assert mentioned(ana, "/memory/note.md") == []
    assert mentioned(bob, "/memory/note.md") == ["/memory/private/bob/mine.md"]


def test_names_are_looked_for_in_the_space_of_the_note(ana, bob, mentioned):
    ana.write("/private/plan.md", "x")
    ana.write("/memory/note.md", "[[plan]]")
    assert mentioned(ana, "/memory/note.md") == []
    ana.write("/private/note.md", "[[plan]] [[open]]")
    ana.write("/memory/open.md", "x")
    bob.write("/private/open.md", "x")
    bob.share("/private/open.md", "ana")
    assert mentioned(ana, "/private/note.md") == ["/memory/open.md", "/memory/private/ana/plan.md"]


def test_a_nearer_note_that_is_hidden_stands_in_nobodys_way(ana, bob, mentioned):
    ana.write("/memory/far/plan.md", "x")
    ana.write("/memory/here/note.md", "[[plan]]")
    bob.write("/memory/here/plan.md", "x")
    bob.set_mode("/memory/here/plan.md", 0o600)
    assert mentioned(ana, "/memory/here/note.md") == ["/memory/far/plan.md"]
    bob.write("/memory/here/bobs.md", "[[plan]]")
    assert mentioned(bob, "/memory/here/bobs.md") == ["/memory/here/plan.md"]


def test_who_may_not_write_the_note_any_more_makes_no_link(ana, bob, mentioned):
    ana.write("/memory/note.md", "x")
    bob.write("/memory/note.md", "[[later]]")
    assert mentioned(bob, "/memory/note.md") == []
    ana.set_mode("/memory/note.md", 0o644)
    ana.write("/memory/later.md", "x")
    assert mentioned(bob, "/memory/note.md") == []
    assert mentioned(ana, "/memory/note.md") == []
    ana.set_mode("/memory/note.md", 0o666)
    ana.update_meta("/memory/later.md", {"title": "Later"})
    ana.set_mode("/memory/later.md", 0o664)
    assert mentioned(ana, "/memory/note.md") == ["/memory/later.md"]


def test_forgetting_leaves_no_word_in_the_side_file(ana, kernel, mentioned):
    ana.write("/memory/Xylophonic.md", "x", {"title": "Quicksilver report"})
    ana.write("/memory/note.md", "[[Xylophonic]] [[Zanzibarish]]")
    ana.write("/memory/other.md", "[[note]]")
    assert mentioned(ana, "/memory/note.md") == ["/memory/Xylophonic.md"]
    files = kernel.follower(LINKS).follower.files()
    done = ana.forget_for_good("/memory/note.md")
    assert done.scrubbed
    assert kernel.session().traces(["Zanzibarish"]) == []
    ana.forget_for_good("/memory/Xylophonic.md")
    said = b"".join(Path(file).read_bytes().lower() for file in files if Path(file).exists())
    for word in (b"zanzibarish", b"xylophonic", b"quicksilver"):
        assert word not in said
