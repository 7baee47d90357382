"""Kept results: as long as their time to live, within bounds, asked for once, and never from before a change."""

import threading
import time

import pytest

from vfs_core import result_cache
from vfs_core.errors import NotFound, TimedOut
from vfs_core.providers import synthetic_stat
from vfs_core.result_cache import ResultCache
from vfs_core.types import Kind, Node

LONG = 3600.0


class Clock:
    """Both clocks, to be set by a test."""

    def __init__(self) -> None:
        self.since_start, self.now = 1000.0, 1_700_000_000.0

    def monotonic(self) -> float:
        return self.since_start

    def time(self) -> float:
        return self.now


class Source:
    """Counts how often it is asked."""

    def __init__(self, size: int = 1) -> None:
        self.asked = 0
        self.size = size
        self.meta = "{}"
        self.may_keep = True

    def __call__(self) -> tuple[Node, bool]:
        self.asked += 1
        data = str(self.asked).encode().rjust(self.size)
        return Node("/x", data, synthetic_stat(Kind.FILE, len(data)), self.meta), self.may_keep


def get(cache: ResultCache, source, request="/x", rule=0, ttl=LONG) -> bytes:
    return cache.get(rule, request, ttl, time.monotonic() + 30, source).data


def test_a_result_is_given_until_its_time_is_over_by_either_clock(monkeypatch):
    clock, source, cache = Clock(), Source(), ResultCache()
    monkeypatch.setattr(result_cache, "time", clock)

    def ask() -> bytes:
        return cache.get(0, "/x", 60.0, 0, source).data

    assert [ask(), ask()] == [b"1", b"1"]
    clock.since_start += 59
    clock.now += 59
    assert ask() == b"1"
    clock.since_start += 1  # 60 s
    assert ask() == b"2"
    clock.now += 61  # it slept: only one clock went on
    assert ask() == b"3"
    clock.now -= 100  # somebody set the other one back
    assert ask() == b"4"


def test_requests_and_rules_have_results_of_their_own():
    cache, source = ResultCache(), Source()
    assert [get(cache, source, "/x"), get(cache, source, "/y"), get(cache, source, "/x", rule=1)] == [
        b"1",
        b"2",
        b"3",
    ]
    assert [get(cache, source, "/x"), get(cache, source, "/y"), get(cache, source, "/x", rule=1)] == [
        b"1",
        b"2",
        b"3",
    ]


def test_a_change_makes_everything_of_its_rule_old_and_of_no_other():
    cache, source = ResultCache(), Source()
    get(cache, source), get(cache, source, rule=1)
    cache.change(0)
    assert [get(cache, source), get(cache, source, rule=1)] == [b"3", b"2"]


def test_what_was_asked_for_before_a_change_is_not_given_after_it():
    cache, source = ResultCache(), Source()
    asking, go_on = threading.Event(), threading.Event()

    def slow() -> tuple[Node, bool]:
        node = source()
        asking.set()
        go_on.wait(30)
        return node

    thread = threading.Thread(target=get, args=(cache, slow))
    thread.start()
    asking.wait(30)
    cache.change(0)
    assert get(cache, source) == b"2"  # it does not wait for the old one either
    go_on.set()
    thread.join()
    assert get(cache, source) == b"2"


def test_errors_are_not_kept():
    cache, source = ResultCache(), Source()

    def fail() -> tuple[Node, bool]:
        raise NotFound("not yet")

    with pytest.raises(NotFound):
        get(cache, fail)
    assert get(cache, source) == b"1"


@pytest.mark.parametrize("fails", [False, True])
def test_however_many_wait_it_is_asked_once(fails: bool):
    cache, source = ResultCache(), Source()
    go_on, waiting = threading.Event(), threading.Barrier(9)
    answers: list[object] = []

    def slow() -> tuple[Node, bool]:
        node = source()
        go_on.wait(30)
        if fails:
            raise NotFound("nothing")
        return node

    def ask() -> None:
        waiting.wait(30)
        try:
            answers.append(get(cache, slow))
        except NotFound:
            answers.append("not found")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    waiting.wait(30)
    for _ in range(1000):
        if source.asked:
            break
        time.sleep(0.01)
    time.sleep(0.1)  # for the others to arrive; who comes later finds it kept, or asks anew after a failure
    go_on.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {"not found" if fails else b"1"} and len(answers) == 8
    if not fails:
        assert source.asked == 1


def test_who_waits_for_another_has_a_deadline_and_outlives_its_interruption():
    cache, source = ResultCache(), Source()
    asking, go_on = threading.Event(), threading.Event()

    def interrupted() -> tuple[Node, bool]:
        asking.set()
        go_on.wait(30)
        raise KeyboardInterrupt

    def ask() -> None:
        with pytest.raises(KeyboardInterrupt):
            get(cache, interrupted)

    first = threading.Thread(target=ask)
    first.start()
    asking.wait(30)
    with pytest.raises(TimedOut, match="somebody else asks for the same"):
        cache.get(0, "/x", LONG, time.monotonic() + 0.05, source)
    answers: list[bytes] = []
    second = threading.Thread(target=lambda: answers.append(get(cache, source)))
    second.start()
    time.sleep(0.05)
    go_on.set()
    first.join()
    second.join()
    assert answers == [b"1"]


def test_it_holds_no_more_than_it_may():
    source = Source()
    few = ResultCache(entries=3)
    for number in range(10):
        get(few, source, f"/{number}")
    before = source.asked
    get(few, source, "/9"), get(few, source, "/7")
    assert source.asked == before
    get(few, source, "/6")
    assert source.asked == before + 1

    small = ResultCache(size=10 * 1024)
    large = Source(4000)
    get(small, large), get(small, large)
    assert large.asked == 2  # more than a quarter of all: not kept
    middling = Source(1000)
    for number in range(20):
        get(small, middling, f"/{number}")
    assert small._bytes <= 10 * 1024 and 3 <= len(small._kept) <= 5
    small = ResultCache(size=10 * 1024)
    source = Source()
    source.meta = '{"x": "' + "y" * 1000 + '"}'
    for number in range(20):
        get(small, source, f"/{number}")
    assert len(small._kept) <= 5


def test_what_may_not_be_kept_is_given_to_nobody_else():
    cache, source = ResultCache(), Source()
    source.may_keep = False
    assert [get(cache, source), get(cache, source)] == [b"1", b"2"]
