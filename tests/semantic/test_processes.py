"""Processes that embed together, are killed, fork or end: nothing is lost, done twice, or left hanging."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from opening import embed, found, index_of, open_kernel
from words_plugin import DIARY

from vfs_core.index_check import index_errors
from vfs_core.kernel import Kernel

WORKER = Path(__file__).with_name("workers") / "embedding.py"


def start(task: str, **arguments: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WORKER), task, json.dumps(arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], code: int = 0) -> list[Any]:
    out, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert errors == ""
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "avm.db"


def fill(db: Path, count: int, text: str = "walrus {}") -> None:
    with open_kernel(db, model="slow-words") as kernel:
        session = kernel.session("owner")
        session.write_many([(f"/memory/shared/{number}.md", text.format(number)) for number in range(count)])


def is_whole(kernel: Kernel) -> None:
    """Every note is found with the score that an index made anew gives it."""
    session = kernel.session("owner")
    embed(kernel)
    runner = kernel.semantic()
    assert runner is not None
    assert not index_errors(runner)
    followed = [dict(found(session, query)) for query in ("walrus ice", "局势")]
    notes = [entry for entry in session.list("/memory/shared") if not entry.is_directory]
    assert all(len(each) == len(notes) for each in followed)
    runner.rebuild_anew()
    embed(kernel)
    for query, before in zip(("walrus ice", "局势"), followed, strict=True):
        assert dict(found(session, query)) == pytest.approx(before, abs=1e-3)
    assert {finding.level for finding in kernel.store.verify()} == {"ok"}


def killed(db: Path, backend: str, kills: int) -> None:
    dice = random.Random(kills)
    for round in range(kills):
        processes = [
            start("embed_forever", db=str(db), backend=backend, seed=2 * round + n) for n in range(2)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == '"begun"\n'
        time.sleep(dice.random() * 0.6)
        for process in processes:
            process.kill()
            out, errors = process.communicate()
            assert (process.returncode, out, errors) == (-signal.SIGKILL, "", "")
    with open_kernel(db, backend, "slow-words", seconds=0) as kernel:
        is_whole(kernel)
        leftover = [path.name for path in db.parent.iterdir() if path.name.endswith(".new")]
        assert leftover == []


@pytest.mark.parametrize("backend", ["sqlite", "flat"])
def test_nothing_is_wrong_after_some_kills(db: Path, backend: str) -> None:
    killed(db, backend, 6)


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["sqlite", "flat", "hnsw"])
def test_nothing_is_wrong_after_many_kills(db: Path, backend: str) -> None:
    killed(db, backend, 150)


def test_two_processes_embed_every_text_once(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(db, 300)
    diary = tmp_path / "diary"
    monkeypatch.setenv(DIARY, str(diary))
    processes = [start("embed_all", db=str(db), backend="sqlite", seconds=0.02) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == '"begun"\n'
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert ended(process) == [["done", 0]]
    counts = Counter(diary.read_text().splitlines())
    assert len(counts) == 300
    assert set(counts.values()) == {1}
    with open_kernel(db, model="slow-words") as kernel:
        assert len(found(kernel.session("owner"), "walrus")) == 300


def test_another_process_embeds_at_once_when_the_one_that_did_is_killed(db: Path) -> None:
    fill(db, 400)
    process = start("in_the_background", db=str(db), way="")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate()
    with open_kernel(db, model="slow-words", seconds=0) as kernel:
        embed(kernel)


def test_a_child_does_not_keep_what_its_killed_parent_held(db: Path) -> None:
    fill(db, 400)
    process = start("die_with_a_child", db=str(db))
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        process.wait(30)
        with open_kernel(db, model="slow-words", seconds=0) as kernel:
            embed(kernel)
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize(("way", "code"), [("", 0), ("close", 0), ("exception", 3), ("forget", 0)])
def test_a_process_ends_while_its_background_embeds(db: Path, way: str, code: int) -> None:
    fill(db, 2000)
    process = start("in_the_background", db=str(db), way=way)
    begun = time.monotonic()
    said = ended(process, code)
    assert said[0][0] == "waiting"
    assert 0 < said[0][1] < 2000
    assert time.monotonic() - begun < 30
    with open_kernel(db, model="slow-words", seconds=0) as kernel:
        assert 0 < index_of(kernel).waiting() < 2000
        embed(kernel)


def test_a_fork_among_embedding_goes_on_in_both(db: Path) -> None:
    fill(db, 300)
    said = ended(start("fork_in_the_background", db=str(db)))
    assert said == [[[0] * 5, 0, 301]]
    with open_kernel(db, model="slow-words", seconds=0) as kernel:
        is_whole(kernel)


def test_a_background_that_ended_by_an_error_is_begun_again(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vfs_core.errors import StoreBusy

    fill(db, 50)
    with open_kernel(db, model="slow-words", lasting=True, seconds=0) as kernel:
        index = index_of(kernel)

        def fail(*_: object) -> int:
            raise StoreBusy("just now")

        with monkeypatch.context() as patch:
            patch.setattr(index, "embed", fail)
            kernel.embed_in_background()
            time.sleep(0.5)
        kernel.embed_in_background()
        deadline = time.monotonic() + 20
        while (index.waiting() or index.cursor() is None) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert index.waiting() == 0
        assert len(found(kernel.session("owner"), "walrus")) == 50
