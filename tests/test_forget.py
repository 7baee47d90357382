"""Forgetting leaves nothing in any file, and harms nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vfs_core.errors import Denied, NotFound, NotOwner
from vfs_core.kernel import Kernel
from vfs_core.past import Retention
from vfs_core.scanning import BLOCK, Needles, scan
from vfs_core.session import Session

NOTE = "/private/geheimplan-xyzzy.md"
WORDS = (
    "quetzalcoatlus",
    "zyzzyvas",
    "Geheimtitel",
    "geheimplan",
    "unterschlupf",
    "etikettchen",
    "隐蔽行动",
    "麒麟计划",
)
"""What only the forgotten note said, was called or tagged."""
TOKENS = (
    "quetzalcoatlus",
    "zyzzyva",
    "geheimtitel",
    "geheimplan",
    "unterschlupf",
    "etikettchen",
    "隐蔽",
    "蔽行",
    "麒麟",
    "麟计",
)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(db=tmp_path / "data" / "avm.db") as kernel:
        yield kernel


@pytest.fixture
def session(kernel: Kernel) -> Session:
    session = kernel.session()
    session.write_many(
        [(f"/memory/other{number}.md", f"harmless note {number} 中东局势") for number in range(200)]
    )
    return session


def live(session: Session) -> None:
    """A note with a past: versions, chunks, moves, tags, links, a share, a stay in the trash."""
    session.write(NOTE, "quetzalcoatlus one\n隐蔽行动\n", {"title": "Geheimtitel", "tags": ["etikettchen"]})
    for number in range(30):
        session.write(NOTE, f"quetzalcoatlus {number}\n麒麟计划 {number}\n")
    session.write(NOTE, "zyzzyvas in a long text\n" * 5000)
    session.append(NOTE, "and zyzzyvas again\n")
    session.write(NOTE, "quetzalcoatlus short again\n")
    session.link(NOTE, "/memory/other1.md", "citation")
    session.share(NOTE, "kuro", "r")
    assert session.search("quetzalcoatlus")
    session.rename(NOTE, "/private/unterschlupf.md")
    session.delete("/private/unterschlupf.md")
    session.restore("/private/unterschlupf.md")
    session.rename("/private/unterschlupf.md", NOTE)
    assert session.search("麒麟") == [] and session.search("quetzalcoatlus")
    session.read(NOTE)


def left(session: Session, words: tuple[str, ...] = (*WORDS, *TOKENS)) -> list[tuple[str, str]]:
    """The words that still stand in a file of the store, whatever their case; looked for by another process."""
    code = (
        "import pathlib, sys\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).rglob('*')):\n"
        "    data = path.read_bytes() if path.is_file() else b''\n"
        "    for word in sys.argv[2:]:\n"
        "        if word.encode() in data or word.lower().encode() in data.lower(): print(path.name, word)\n"
    )
    directory = str(Path(session.store.location).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, directory, *words], capture_output=True, text=True, check=True
    )
    return [tuple(line.split(" ", 1)) for line in done.stdout.splitlines()]


def failed(session: Session) -> list[str]:
    return [finding.message for finding in session.store.verify() if finding.level == "fail"]


def test_nothing_of_a_forgotten_note_is_left_in_any_file(session: Session) -> None:
    live(session)
    before = {path: session.read(path).data for path in ("/memory/other1.md", "/memory/other199.md")}
    assert {word for _, word in left(session)} >= {"quetzalcoatlus", "zyzzyvas", "麒麟计划"}, (
        "else this proves nothing"
    )
    done = session.forget_for_good(NOTE)
    assert left(session) == []
    assert (done.nodes, done.scrubbed, done.copies) == (1, True, ())
    assert session.traces(done.texts) == []
    assert failed(session) == []
    assert not session.exists(NOTE)
    assert session.search("quetzalcoatlus") == []
    assert len(session.search("harmless", 300)) == 200
    assert {path: session.read(path).data for path in before} == before
    assert session.links("/memory/other1.md") == []
    assert session.trash() == []
    assert left(session) == []


def test_the_chain_verifies_with_the_rows_redacted(session: Session) -> None:
    live(session)
    node = session.stat(NOTE).id
    head = session.store.head()
    session.forget_for_good(NOTE)
    assert session.store.chain_at(head.sequence) == head.chain
    rows = [row for row in session.store.changes(limit=10_000) if row.node == node]
    assert len(rows) > 30
    assert {(row.path, row.old_path, row.details, row.content_hash) for row in rows} == {
        ("", None, None, None)
    }
    journal = next(finding for finding in session.store.verify() if finding.subject == "journal")
    assert f"{len(rows):,} redacted" in journal.message


def test_what_is_in_the_trash_is_forgotten_too(session: Session) -> None:
    live(session)
    session.delete(NOTE)
    session.write(NOTE, "zyzzyvas anew")
    session.delete(NOTE)
    assert session.forget_for_good(NOTE).nodes == 2
    assert left(session) == []
    assert failed(session) == []


def test_a_directory_is_forgotten_with_all_in_it(session: Session) -> None:
    for number in range(20):
        session.write(f"/private/unterschlupf/in/{number}.md", f"quetzalcoatlus {number}")
    session.write("/private/kept.md", "kept")
    session.forget_for_good("/private/unterschlupf")
    assert left(session) == []
    assert session.read("/private/kept.md").text == "kept"
    assert failed(session) == []


def test_only_the_owner_has_a_note_forgotten(kernel: Kernel, session: Session) -> None:
    akashi, kuro = kernel.session("akashi"), kernel.session("kuro")
    akashi.write("/memory/shared/note", "akashi's")
    akashi.write("/private/note", "akashi's")
    kuro.write("/memory/d/kuros", "x")
    akashi.write("/memory/d/akashis", "x")
    for path in ("/memory/shared/note", "/memory/d"):
        with pytest.raises(NotOwner):
            kuro.forget_for_good(path)
    for path in ("/memory/private/akashi/note", "/memory/nothing"):
        with pytest.raises(NotFound):
            kuro.forget_for_good(path)
    assert akashi.read("/memory/d/akashis").text == akashi.read("/memory/d/kuros").text == "x"
    assert akashi.trash() == kuro.trash() == []


def test_backups_that_still_hold_it_are_named(session: Session, tmp_path: Path) -> None:
    before = session.backup(tmp_path / "before.db")
    live(session)
    holding = session.backup(tmp_path / "holding.db")
    done = session.forget_for_good(NOTE)
    assert [copy.location for copy in done.copies] == [str(holding.path)]
    assert {trace.file for trace in session.traces(["quetzalcoatlus"])} == {str(holding.path)}
    assert before.head.sequence < holding.head.sequence


def test_what_other_notes_say_too_is_no_trace(session: Session) -> None:
    session.write("/private/a", "harmless note 7\nquetzalcoatlus\n")
    done = session.forget_for_good("/private/a")
    assert "harmless note 7" in done.texts
    assert session.traces(done.texts) == []
    assert session.traces(["harmless note 8", "nowhere at all"]) == []


def test_other_processes_read_and_write_on(session: Session) -> None:
    live(session)
    code = (
        "import sys\nfrom vfs_core.kernel import Kernel\n"
        "with Kernel(db=sys.argv[1]) as kernel:\n"
        "    session = kernel.session('other')\n"
        "    print('ready', flush=True)\n"
        "    for number in range(400):\n"
        "        session.write('/memory/theirs', str(number))\n"
        "        assert session.read('/memory/theirs').text == str(number)\n"
        "        if number % 50 == 0: assert session.search('harmless', 300)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, session.store.location], stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    session.forget_for_good(NOTE)
    assert other.wait(60) == 0
    other.stdout.close()
    assert session.scrub()
    assert left(session) == []
    assert failed(session) == []
    assert session.read("/memory/theirs").text == "399"


FORGETTING = """
import sys
from vfs_core.kernel import Kernel
with Kernel(db=sys.argv[1]) as kernel:
    session = kernel.session()
    for number in range(8):
        path = f"/private/geheimplan-{sys.argv[2]}-{number}.md"
        session.write(path, f"quetzalcoatlus {number}", {"tags": ["etikettchen"]})
        session.write(f"/private/kept-{sys.argv[2]}-{number}.md", "harmless")
        session.write(path, f"zyzzyvas {number}")
        while not (found := session.search("zyzzyvas", 300)):
            assert found.behind, "an index that is up to date has what was written"
        session.forget_for_good(path)
"""


def test_several_processes_forget_at_once(session: Session) -> None:
    others = [
        subprocess.Popen([sys.executable, "-c", FORGETTING, session.store.location, str(number)])
        for number in range(3)
    ]
    assert [other.wait(120) for other in others] == [0, 0, 0]
    if "forgotten" in {finding.subject for finding in session.store.verify()}:  # they kept each other from it
        assert session.scrub()
    assert left(session) == []
    assert failed(session) == []
    assert len(session.search("harmless", 300)) == 224


def test_hot_caches_of_other_processes_forget(kernel: Kernel, session: Session) -> None:
    live(session)
    with Kernel(db=kernel.location) as second:
        other = second.session("kuro")
        path = NOTE.replace("/private", f"/memory/private/{session.principal.agent}")
        for _ in range(3):
            other.read(path)
        session.forget_for_good(NOTE)
        with pytest.raises(NotFound):
            other.read(path)


def test_a_forgotten_path_can_be_used_again(session: Session) -> None:
    session.write("/memory/x", "quetzalcoatlus")
    node = session.stat("/memory/x").id
    session.forget_for_good("/memory/x")
    assert session.write("/memory/x", "new").version == 1
    assert session.stat("/memory/x").id > node
    assert [version.version for version in session.history("/memory/x")] == [1]


def test_what_retention_purged_is_forgotten_by_its_path_and_by_its_number(session: Session) -> None:
    for path in ("/private/unterschlupf.md", "/private/geheimplan.md"):
        session.write(path, "quetzalcoatlus", {"title": "Geheimtitel"})
        session.write(path, "zyzzyvas", {"title": "b", "tags": ["etikettchen"]})
    node = session.stat("/private/geheimplan.md").id
    for path in ("/private/unterschlupf.md", "/private/geheimplan.md"):
        session.delete(path)
    session.store.purge(session.origin, Retention(0, 1, 0))
    assert {word for _, word in left(session)} >= {"Geheimtitel", "geheimplan", "unterschlupf", "etikettchen"}
    session.forget_for_good("/private/unterschlupf.md")
    session.forget_for_good(f"@{node}")
    assert left(session) == []
    assert failed(session) == []
    with pytest.raises(NotFound):
        session.forget_for_good(f"@{node}")


def test_a_directory_s_name_is_not_left_in_the_past_of_what_was_in_it(session: Session) -> None:
    session.write("/private/unterschlupf/out.md", "harmless")
    session.write("/private/unterschlupf/quetzalcoatlus.md", "zyzzyvas")
    session.rename("/private/unterschlupf", "/private/above/geheimplan")
    session.rename("/private/above", "/private/over")
    session.write("/private/over/geheimplan/out.md", "harmless again")
    session.rename("/private/over/geheimplan/out.md", "/private/kept.md")
    session.delete("/private/over/geheimplan/quetzalcoatlus.md")
    session.forget_for_good("/private/over/geheimplan")
    assert left(session) == []
    assert failed(session) == []
    assert [version.version for version in session.history("/private/kept.md")] == [2, 1]
    assert session.as_of("/private/kept.md", version=1).text == "harmless"


def test_what_others_have_in_the_trash_at_a_path_hinders_nobody(kernel: Kernel, session: Session) -> None:
    akashi, kuro = kernel.session("akashi"), kernel.session("kuro")
    kuro.write("/shared/x", "kuro's")
    akashi.delete("/shared/x")
    with pytest.raises(NotOwner):
        akashi.forget_for_good("/shared/x")
    akashi.write("/shared/x", "quetzalcoatlus")
    assert akashi.forget_for_good("/shared/x").nodes == 1
    assert left(session) == []
    assert [each.path for each in kuro.trash()] == ["/memory/shared/x"]


def test_forgetting_what_is_in_the_trash_needs_what_deleting_it_needed(tmp_path: Path) -> None:
    rules = "permissions:\n  - {pattern: /memory/kept/*, access: ro}\n  - {pattern: /memory/*, access: rw}\n"
    config = tmp_path / "config.yaml"
    config.write_text("storage: {}\n")
    db = tmp_path / "data" / "avm.db"
    with Kernel(db=db, config=config) as kernel:
        akashi = kernel.session("akashi")
        akashi.write("/memory/kept/note", "quetzalcoatlus")
        akashi.delete("/memory/kept/note")
    config.write_text(rules)
    with Kernel(db=db, config=config) as kernel:
        with pytest.raises(Denied):
            kernel.session("akashi").forget_for_good("/memory/kept/note")
        assert [each.path for each in kernel.session("akashi").trash()] == ["/memory/kept/note"]


def test_who_may_not_know_of_a_deleted_note_finds_nothing(kernel: Kernel, session: Session) -> None:
    akashi, kuro = kernel.session("akashi"), kernel.session("kuro")
    akashi.write("/private/note", "akashi's")
    node = akashi.stat("/private/note").id
    akashi.delete("/private/note")
    said = set()
    for path in ("/memory/private/akashi/note", f"@{node}", "@99999999", "/memory/private/akashi/nothing"):
        with pytest.raises(NotFound) as refused:
            kuro.forget_for_good(path)
        said.add(str(refused.value).partition(":")[2])
    assert len(said) == 1
    assert akashi.restore("/private/note")


DYING = """
import os, signal, sys
from vfs_core.kernel import Kernel
with Kernel(db=sys.argv[1]) as kernel:
    session = kernel.session()
    if sys.argv[2] == "before scrubbing":
        type(session.store).scrub = lambda self: os.kill(os.getpid(), signal.SIGKILL)
    print("ready", flush=True)
    session.forget_for_good(sys.argv[3])
"""


@pytest.mark.parametrize("delay", ["before scrubbing", 0.0, 0.005, 0.01, 0.02, 0.04])
def test_a_process_killed_in_the_midst_leaves_a_store_that_tells_and_can_be_finished(
    session: Session, delay: str | float
) -> None:
    live(session)
    with subprocess.Popen(
        [sys.executable, "-c", DYING, session.store.location, str(delay), NOTE], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        if isinstance(delay, float):
            time.sleep(delay)
            child.kill()
        code = child.wait(60)
    assert code in ((-signal.SIGKILL, 0) if isinstance(delay, float) else (-signal.SIGKILL,))
    findings = {finding.subject: finding for finding in session.store.verify()}
    assert not [finding for finding in findings.values() if finding.level == "fail"]
    if session.exists(NOTE):
        assert "forgotten" not in findings, "nothing has been erased yet"
        session.forget_for_good(NOTE)
    elif code:
        assert findings["forgotten"].cure == "avm forget --scrub"
        assert delay != "before scrubbing" or left(session), "else this proves nothing"
        assert session.scrub()
    assert left(session) == []
    assert "forgotten" not in {finding.subject for finding in session.store.verify()}
    assert failed(session) == []


def test_a_reader_that_holds_the_wal_is_reported_and_scrubbing_again_finishes(session: Session) -> None:
    live(session)
    code = (
        "import sys, apsw\n"
        "connection = apsw.Connection(sys.argv[1], flags=apsw.SQLITE_OPEN_READWRITE)\n"
        "connection.execute('BEGIN')\n"
        "connection.execute('SELECT count(*) FROM node').fetchall()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, session.store.location], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdout is not None and reader.stdin is not None
        reader.stdout.readline()
        done = session.forget_for_good(NOTE)
        assert not done.scrubbed and "reads the store" in done.why
        assert not session.exists(NOTE)
        assert "forgotten" in {finding.subject for finding in session.store.verify()}
        reader.stdin.close()
        reader.wait(10)
    assert session.scrub()
    assert left(session) == []
    assert "forgotten" not in {finding.subject for finding in session.store.verify()}


def test_what_has_expired_is_forgotten_though_nobody_has_come_upon_it_since(
    kernel: Kernel, session: Session
) -> None:
    akashi, kuro = kernel.session("akashi"), kernel.session("kuro")
    akashi.write("/private/geheimplan.md", "quetzalcoatlus")
    akashi.set_expiry("/private/geheimplan.md", 1)
    with pytest.raises(NotFound):
        kuro.forget_for_good("/memory/private/akashi/geheimplan.md")
    done = akashi.forget_for_good("/private/geheimplan.md")
    assert "quetzalcoatlus" in done.texts
    assert left(session) == []
    assert failed(session) == []


def test_a_restored_backup_brings_back_what_was_forgotten_since_and_it_can_be_forgotten_again(
    session: Session, tmp_path: Path
) -> None:
    live(session)
    holding = session.backup(tmp_path / "holding.db")
    session.forget_for_good(NOTE)
    session.restore_backup(holding.path)
    assert "quetzalcoatlus" in session.read(NOTE).text
    done = session.forget_for_good(NOTE)
    assert str(holding.path) in {copy.location for copy in done.copies}
    assert left(session) == []


def test_odd_names_are_forgotten(session: Session) -> None:
    for name in ("geheimplan%_'\"x.md", "麒麟计划 [x]*?.md", "geheimplan\n.md"):
        session.write(f"/private/{name}/quetzalcoatlus", "zyzzyvas")
        session.rename(f"/private/{name}/quetzalcoatlus", "/private/kept")
        session.forget_for_good(f"/private/{name}")
        session.forget_for_good("/private/kept")
    assert left(session) == []
    assert failed(session) == []


# --- proof -----------------------------------------------------------------------------------------


def test_what_is_left_is_found_whatever_its_case_and_word_by_word(session: Session, tmp_path: Path) -> None:
    session.write(
        "/private/x", "Only QUETZALCOATLUS says the harmless word\n隐蔽行动", {"title": "Straßenplan"}
    )
    holding = session.backup(tmp_path / "holding.db")
    done = session.forget_for_good("/private/x")
    found = session.traces(done.texts)
    assert {trace.file for trace in found} == {str(holding.path)}
    assert {trace.text for trace in found} >= {"QUETZALCOATLUS", "隐蔽", "隐蔽行动", "Straßenplan"}
    assert "harmless" not in {trace.text for trace in found}, "others say it too"
    assert session.traces(["only quetzalcoatlus SAYS"]) != []


def test_words_of_the_store_itself_are_no_traces(session: Session) -> None:
    session.write("/private/x", "journal sequence visibility document directory citation content_sequence")
    session.write("/memory/other", "x")
    session.link("/memory/other", "/memory/other1.md", "citation")
    assert session.traces(session.forget_for_good("/private/x").texts) == []


def test_exports_and_what_interrupted_backups_left_are_searched_and_what_cannot_be_is_told(
    session: Session, tmp_path: Path
) -> None:
    directory = Path(session.store.location).parent
    exported = tmp_path / "exported" / "deep" / "note.md"
    remains = directory / ".restoring-abc" / "copy.db"
    for path in (exported, remains):
        path.parent.mkdir(parents=True)
        path.write_text("says quetzalcoatlus")
    with session.transaction() as transaction:
        transaction.record_copy("export", str(tmp_path / "exported"), session.store.head().sequence)
    assert {trace.file for trace in session.traces(["quetzalcoatlus"])} == {str(exported), str(remains)}


@pytest.mark.parametrize("others", [0, 1000])
def test_texts_are_found_across_blocks_and_among_many(tmp_path: Path, others: int) -> None:
    file = tmp_path / "file"
    texts = ["quetzalcoatlus", "麒麟", "geheim", "the end of all"]
    noise = [f"nowhere {number * 7919} to be found" for number in range(others)]
    for before in (0, 1, 3, 5, 7, BLOCK - 9, BLOCK - 3, BLOCK - 1, BLOCK, 2 * BLOCK + 1):
        for text in texts:
            file.write_bytes(bytes(before) + text.upper().encode() + b"\0" * 11)
            assert scan(str(file), [*noise, *texts]) == {text}
    assert Needles(["ΣΊΣΥΦΟΣ"]).within("σίσυφοσ".encode()) == {"ΣΊΣΥΦΟΣ"}


def test_all_names_of_a_note_are_forgotten(session: Session) -> None:
    session.write("/private/unterschlupf/x", "quetzalcoatlus")
    session.hard_link("/private/unterschlupf/x", "/memory/geheimplan")
    session.hard_link("/private/unterschlupf/x", "/private/geheimtitel")
    session.forget_for_good("/private/geheimtitel")
    assert not session.exists("/memory/geheimplan")
    session.write("/private/unterschlupf/y", "zyzzyvas")
    session.hard_link("/private/unterschlupf/y", "/memory/geheimplan")
    session.forget_for_good("/private/unterschlupf")
    assert left(session) == []
    assert failed(session) == []


def test_a_name_that_its_owner_may_not_remove_is_not_told_and_nothing_is_forgotten(
    kernel: Kernel, session: Session
) -> None:
    akashi, kuro = kernel.session("akashi"), kernel.session("kuro")
    akashi.write("/memory/d/x", "x")
    kuro.mkdir("/memory/kuros")
    kuro.hard_link("/memory/d/x", "/memory/kuros/hidden-name")
    kuro.set_mode("/memory/kuros", 0o700)
    with pytest.raises(NotOwner) as caught:
        akashi.forget_for_good("/memory/d/x")
    assert "hidden-name" not in str(caught.value)
    assert akashi.read("/memory/d/x").text == "x"
