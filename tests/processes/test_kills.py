"""Processes are killed at random, again and again: nothing acknowledged is lost, nothing is stale or damaged.

What the processes do is in workers/killing.py: they write, follow the journal (search) and read by the bell.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vfs_core.kernel import Kernel
from vfs_core.session import Session

if TYPE_CHECKING:
    from conftest import Crew

PLACE = "/memory/shared"
WORDS = [
    f"{one}{two}" for one in ("quo", "wal", "pla", "emu", "din") for two in ("kka", "laby", "typus", "go")
]

Held = dict[str, tuple[str, bool]]
"""Files by path: their text, and whether they are shared."""


def _replay(lines: list[Any]) -> tuple[Held, Held, list[str], str]:
    """What a writer left without its last step, and with it; its acknowledged log lines, and the one in doubt."""
    held: Held = {}
    logged: list[str] = []
    after = dict(held)
    doubt = ""
    for line in lines:
        if line[0] == "done":
            held = after
            logged += [doubt] if doubt else []
            doubt = ""
            continue
        assert line[0] == "try", line
        after, doubt = dict(held), ""
        _, what, path, *rest = line
        if what == "log":
            doubt = rest[0]
        elif what == "write":
            after[path] = (rest[0], held.get(path, ("", False))[1])
        elif what == "append":
            after[path] = (held[path][0] + rest[0], held[path][1])
        elif what == "rename":
            after[rest[0]] = after.pop(path)
        elif what == "delete":
            del after[path]
        else:
            after[path] = (held[path][0], True)
    return held, after, logged, doubt


def _found(session: Session, home: str, shared: set[str]) -> Held:
    found: Held = {}
    for directory in (home, f"{home}/moved"):
        for entry in session.list(directory) if session.exists(directory) else []:
            if not entry.is_directory:
                found[entry.path] = (session.read(entry.path).text, entry.path in shared)
    return found


def _answers(db: str, queries: int) -> list[list[tuple[str, float]]]:
    generator = random.Random(queries)
    with Kernel(None, db) as kernel:
        session = kernel.session("owner")
        return [
            [(hit.path, round(hit.score, 9)) for hit in session.search(" ".join(words), limit=50)]
            for words in (generator.sample(WORDS, generator.randint(1, 3)) for _ in range(queries))
        ]


def _kill(crew: Crew, tmp_path: Path, kills: int, queries: int, seed: int, sabotage: bool = False) -> None:
    db, directory = str(tmp_path / "avm.db"), tmp_path / "notes"
    directory.mkdir()
    told = crew.launch(
        "killing", "massacre", db=db, directory=str(directory), kills=kills, seed=seed, sabotage=sabotage
    ).result(3000)
    assert told == {"killed": kills, "wrong": [], "stale": []}

    notes = {
        path.stem: path.read_bytes().split(b"\n")[:-1] for path in directory.glob("*.notes")
    }  # whole lines
    parsed = {name: [json.loads(line) for line in lines] for name, lines in notes.items()}
    stale = {name: lines for name, lines in parsed.items() if name.startswith("read-") and lines}
    assert not stale

    acknowledged = 0
    with Kernel(None, db) as kernel:
        session = kernel.session("owner")
        shared = set(kernel.store.shared_with("friend"))
        log = session.read(f"{PLACE}/log.md").text.splitlines(keepends=True)
        assert len(set(log)) == len(log)
        for name, lines in parsed.items():
            if not name.startswith("write-"):
                continue
            acknowledged += sum(line[0] == "done" for line in lines)
            before, after, logged, doubt = _replay(lines)
            assert _found(session, f"{PLACE}/{name}", shared) in (before, after), name
            mine = [line for line in log if line.split(" ")[0] == name]
            assert mine in (logged, [*logged, doubt]), name
        assert {finding.level for finding in kernel.store.verify()} == {"ok"}
    assert acknowledged > 2 * kills, "too little was done for this to mean anything"

    followed = _answers(db, queries)
    for side in tmp_path.glob("avm.index.db*"):
        side.unlink()
    assert sum(map(len, followed)) > queries
    assert _answers(db, queries) == followed


def test_nothing_is_lost_over_200_kills(crew: Crew, tmp_path: Path) -> None:
    _kill(crew, tmp_path, 200, 100, 1)


@pytest.mark.soak
def test_nothing_is_lost_over_1000_kills(crew: Crew, tmp_path: Path) -> None:
    _kill(crew, tmp_path, 1000, 1000, 2)


def test_it_is_noticed_when_a_writer_acknowledges_too_soon(crew: Crew, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="write-"):
        _kill(crew, tmp_path, 40, 10, 3, sabotage=True)
