"""`avm audit`: what it tells to whom, and that it never calls whole what is not."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest

from avm_builtin.frontends.cli.app import main
from vfs_core.kernel import Kernel
from vfs_core.session import Session


class Done(NamedTuple):
    code: int
    out: str
    err: str


Avm = Callable[..., Done]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "avm.db"


@pytest.fixture
def avm(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, db: Path) -> Avm:
    """Runs the command line."""

    def run(*arguments: str | Path, given: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        code = main([*(str(each) for each in arguments), "--db", str(db)])
        return Done(code, *capfd.readouterr())

    return run


@pytest.fixture
def session(db: Path) -> Iterator[Session]:
    with Kernel(db=db) as kernel:
        session = kernel.session("akashi")
        for number in range(5):
            session.write("/memory/plan.md", f"{number}")
        yield session


def change(db: Path, sql: str) -> None:
    connection = apsw.Connection(str(db))
    connection.execute(sql)
    connection.close()


def test_a_kept_head_is_looked_for_however_it_is_given(avm: Avm, session: Session, tmp_path: Path) -> None:
    printed = avm("audit", "head").out
    sequence, chain, uuid = printed.split()
    assert (int(sequence), uuid) == (session.store.head().sequence, session.store.uuid)
    kept = tmp_path / "head.txt"
    kept.write_text(printed)
    session.write("/memory/plan.md", "later")
    for head in (str(kept), printed.strip(), f"{sequence}:{chain}"):
        done = avm("audit", "verify", "--head", head)
        assert (done.code, done.out.splitlines()[1]) == (0, f"row {sequence} of the kept head is there")
    assert avm("audit", "verify", "--head", "-", given=printed).code == 0
    assert avm("audit", "verify", "--head", f"{sequence}:{'0' * 64}").code == 8


@pytest.mark.parametrize("given", ["", "12", "12 ab", "head of something", f"12 {'x' * 64}"])
def test_what_is_no_head_is_refused_before_anything_is_called_whole(
    avm: Avm, session: Session, tmp_path: Path, given: str
) -> None:
    (tmp_path / "head.txt").write_text(given)
    done = avm("audit", "verify", "--head", tmp_path / "head.txt")
    assert (done.code, done.out) == (2, "")
    assert avm("audit", "verify", "--head", tmp_path / "nowhere").code != 0


def test_what_is_redacted_is_counted_and_the_chain_whole(avm: Avm, session: Session) -> None:
    assert "redacted" not in avm("audit", "verify").out
    session.forget_for_good("/memory/plan.md")
    said = json.loads(avm("audit", "verify", "--json").out)
    assert said["whole"]
    assert "6 redacted" in said["said"][0]


DAMAGE = {
    "changed": "UPDATE journal SET path = '/memory/other' WHERE sequence = 7",
    "time": "UPDATE journal SET time_ns = time_ns + 1 WHERE sequence = 7",
    "taken out": "DELETE FROM journal WHERE sequence = 7",
    "added": "INSERT INTO journal SELECT sequence + 1, time_ns, operation, node, path, old_path, version, size, hash, "
    "agent, actor, door, details, salt, commitment, chain FROM journal ORDER BY sequence DESC LIMIT 1",
    "cut off": "DELETE FROM journal WHERE sequence > 8",
}


@pytest.mark.parametrize("how", DAMAGE)
def test_what_was_done_to_the_journal_shows(avm: Avm, session: Session, db: Path, how: str) -> None:
    head = avm("audit", "head").out.strip()
    assert avm("audit", "verify", "--head", head).code == 0
    change(db, DAMAGE[how])
    assert avm("audit", "verify", "--head", head).code == 8
    assert avm("audit", "verify").code == (0 if how == "cut off" else 8)


def test_a_journal_that_cannot_be_read_is_not_called_whole(
    avm: Avm, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avm_builtin.storage.sqlite import check

    def unreadable(connection: Any) -> Any:
        raise apsw.CorruptError("database disk image is malformed")

    monkeypatch.setattr(check, "chain", unreadable)
    done = avm("audit", "verify")
    assert done.code == 8
    assert "proves nothing" in done.out


def test_the_log_tells_only_of_what_may_be_read(avm: Avm, session: Session) -> None:
    session.write("/private/secret", "secret")
    session.write("/memory/closed", "closed")
    session.set_mode("/memory/closed", 0o600)
    session.write("/memory/d/inside", "inside")
    session.set_mode("/memory/d", 0o700)

    def paths(*more: str) -> set[str]:
        return {row["path"] for row in json.loads(avm("audit", "log", "--json", *more).out)}

    mine = paths("-a", "akashi")
    assert {"/memory/private/akashi/secret", "/memory/closed", "/memory/d/inside"} <= mine
    for other in (paths("-a", "kuro"), paths("-a", "kuro", "--by", "akashi")):
        assert "/memory/plan.md" in other
        assert not any("secret" in path or "closed" in path or "/d" in path for path in other)
    session.share("/private/secret", "kuro", "r")
    assert "/memory/private/akashi/secret" not in paths("-a", "kuro")  # nothing has happened to it since
    session.write("/private/secret", "no secret any more")
    assert "/memory/private/akashi/secret" in paths("-a", "kuro")
    assert paths("-a", "akashi", "/memory/d") == {"/memory/d", "/memory/d/inside"}
    assert len(json.loads(avm("audit", "log", "-n", "2", "--json").out)) <= 2
