"""What processes do that embed: see tests/semantic/test_processes.py."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
import traceback
import warnings
from typing import Any

from opening import MINUTE, found, index_of, open_kernel

from avm_builtin.vectors import renewing
from vfs_core.errors import VfsError

WORDS = ("walrus", "seal", "penguin", "ice", "sea", "boat", "局势", "天气")


def say(what: object) -> None:
    print(json.dumps(what), flush=True)


def embed_forever(db: str, backend: str, seed: int) -> None:
    """Write, embed, make bases and rebuild, until killed."""
    renewing.TAIL_MOST = 5
    dice = random.Random(seed)
    kernel = open_kernel(db, backend, "slow-words", seconds=0.001)
    session = kernel.session("owner")
    runner = kernel.semantic()
    assert runner is not None
    say("begun")
    while True:
        path = f"/memory/shared/{seed % 3}-{dice.randrange(40)}.md"
        try:
            session.write(path, " ".join(dice.choices(WORDS, k=4)))
            if dice.random() < 0.3:
                runner.catch_up(MINUTE)
                index_of(kernel).embed(runner, 5.0)
            if dice.random() < 0.05:
                runner.rebuild()
            if dice.random() < 0.1:
                found(session, "walrus ice")
        except VfsError as error:
            say([type(error).__name__, str(error)])
            sys.exit(1)


def embed_all(db: str, backend: str, seconds: float) -> None:
    """Embed all that waits, together with others, and say how much this process has."""
    kernel = open_kernel(db, backend, "slow-words", seconds=seconds)
    session = kernel.session("owner")
    say("begun")
    sys.stdin.readline()
    session.embed()
    kernel.close()
    say(["done", index_waiting(db, backend)])


def index_waiting(db: str, backend: str) -> int:
    with open_kernel(db, backend, "slow-words") as kernel:
        return index_of(kernel).waiting()


def in_the_background(db: str, way: str) -> None:
    """End while the background thread embeds: by returning, by an exception, by closing, or not at all."""
    kernel = open_kernel(db, "sqlite", "slow-words", lasting=True, seconds=0.05)
    session = kernel.session("owner")
    runner = kernel.semantic()
    assert runner is not None
    runner.catch_up(MINUTE)
    total = index_of(kernel).waiting()
    kernel.embed_in_background()
    while index_of(kernel).waiting() == total:
        time.sleep(0.02)
    say(["waiting", index_of(kernel).waiting()])
    if way == "close":
        kernel.close()
    if way == "exception":
        raise SystemExit(3)
    if way == "forget":
        session.forget_for_good("/memory/shared/7.md")
    say(["ended", time.monotonic()])


def fork_in_the_background(db: str) -> None:
    """Fork while the background thread embeds: both go on."""
    kernel = open_kernel(db, "sqlite", "slow-words", lasting=True, seconds=0.01)
    session = kernel.session("owner")
    kernel.embed_in_background()
    time.sleep(0.2)
    codes = []
    for _ in range(5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                threading.Timer(30, lambda: os._exit(9)).start()
                assert found(session, "walrus") is not None
                session.write("/memory/shared/by-child.md", "walrus")
                session.embed()
                assert found(session, "walrus")
                code = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(code)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        time.sleep(0.05)
    session.embed()
    say([codes, index_of(kernel).waiting(), len(found(session, "walrus"))])
    kernel.close()


def die_with_a_child(db: str) -> None:
    """Be killed while embedding, when a forked child lives on and has inherited whatever was open."""
    kernel = open_kernel(db, "sqlite", "slow-words", lasting=True, seconds=0.2)
    kernel.session("owner")
    kernel.embed_in_background()
    time.sleep(0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(1)
        time.sleep(20)
        os._exit(0)
    say(child)
    time.sleep(0.1)
    os.kill(os.getpid(), 9)


TASKS: dict[str, Any] = {
    each.__name__: each
    for each in (embed_forever, embed_all, in_the_background, fork_in_the_background, die_with_a_child)
}

if __name__ == "__main__":
    TASKS[sys.argv[1]](**json.loads(sys.argv[2]))
