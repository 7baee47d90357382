"""What other processes do while something is measured. Each task talks in lines of JSON (harness.Child)."""

from __future__ import annotations

import json
import mmap
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import note_of
from benchmarks.reference import Raw
from vfs_core.config import Config, StorageSettings
from vfs_core.kernel import Kernel
from vfs_core.semantic import SemanticIndex


def open_kernel(db: str | Path, durability: str = "full") -> Kernel:
    """A kernel on a store, without a configuration file."""
    assert durability in ("full", "normal")
    settings = StorageSettings(durability="full" if durability == "full" else "normal")
    return Kernel(Config(storage=settings), db)


def say(what: object = None) -> None:
    print(json.dumps(what), flush=True)


def listen() -> Any:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def pace(db: str, paths: list[str], rate: int) -> None:
    """Write other notes at a steady rate, while told to: each message is a number of seconds."""
    with open_kernel(db, "normal") as kernel:
        session = kernel.session("bench")
        session.write(paths[0], note_of(0))
        say("ready")
        while True:
            seconds = listen()
            start, done = time.perf_counter(), 0
            while (now := time.perf_counter() - start) < seconds:
                while done < now * rate:
                    session.write(paths[done % len(paths)], note_of(done))
                    done += 1
                time.sleep(0.0005)
            say(done)


def contend(db: str, durability: str, wait: str, me: int, writers: int, count: int, words: str) -> None:
    """Write own notes as fast as it goes; whoever ends first makes everybody note how far they are."""
    fd = os.open(words, os.O_RDWR)
    shared = memoryview(mmap.mmap(fd, 0)).cast("Q")
    paths = [f"/memory/shared/of-{me}/note-{number:03}.md" for number in range(100)]
    bodies = [note_of(me * 1000 + number) for number in range(50)]
    kernel, raw = None, None
    if wait == "avm":
        kernel = open_kernel(db, durability)
        write: Callable[[str, bytes], object] = kernel.session("bench").write
    else:
        raw = Raw(Path(db), durability.upper(), wait)
        write = raw.write
    write(paths[0], bodies[0])  # what is opened and imported late is so by now
    say("ready")
    listen()
    start = time.perf_counter()
    for number in range(count):
        write(paths[number % 100], bodies[number % 50])
        shared[1 + me] = number + 1
    if not shared[0]:
        shared[0] = 1
        for other in range(writers):
            shared[64 + other] = shared[1 + other]
    say({"seconds": time.perf_counter() - start, "count": count})
    if kernel is not None:
        kernel.close()
    if raw is not None:
        raw.close()


def announce_words(db: str) -> None:
    """For each message, write a note that contains it; answer when it is committed, by the shared clock."""
    with open_kernel(db, "normal") as kernel:
        session = kernel.session("bench")
        session.exists("/memory")
        say("ready")
        number = 0
        while True:
            word = listen()
            number += 1
            session.write(f"/memory/shared/new/{number:05}.md", f"{note_of(number, 300).decode()} {word}")
            say(time.monotonic())


def announce_texts(db: str) -> None:
    """For each message, write a note that says it; answer with its path and when it was committed."""
    with open_kernel(db, "normal") as kernel:
        session = kernel.session("bench")
        session.exists("/memory")
        say("ready")
        number = 0
        while True:
            text = listen()
            number += 1
            path = f"/memory/shared/told/{number:05}.md"
            session.write(path, text)
            say([path, time.monotonic()])


def embed(db: str) -> None:
    """Embed what waits, while told to: each message is a number of seconds."""
    with open_kernel(db, "normal") as kernel:
        runner = kernel.semantic()
        assert runner is not None
        index = runner.follower
        assert isinstance(index, SemanticIndex)
        index.context.embedder.encode(["the model is loaded by now"], "document")
        say("ready")
        while True:
            say(index.embed(runner, listen()))


def main() -> None:
    random.seed(1)
    tasks: dict[str, Callable[..., None]] = {
        "pace": pace,
        "contend": contend,
        "announce_words": announce_words,
        "announce_texts": announce_texts,
        "embed": embed,
    }
    tasks[sys.argv[1]](**json.loads(sys.argv[2]))


if __name__ == "__main__":
    main()
