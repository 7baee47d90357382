"""Calls with a deadline: who hangs is left behind, counted, and not called again while too many hang."""

import os
import threading
import time

import pytest

from vfs_core import calling
from vfs_core.calling import Workers, deadline_in
from vfs_core.errors import PluginError, TimedOut

SOON = 0.05


@pytest.fixture
def workers() -> Workers:
    return Workers()


def later(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


def test_what_is_returned_and_what_is_raised_reach_the_caller(workers):
    assert workers.call("it", lambda: 3, later()) == 3
    raised: list[BaseException] = [KeyError("x")]

    def fail() -> None:
        raise raised[0]

    with pytest.raises(KeyError) as caught:
        workers.call("it", fail, later())
    assert caught.value is raised[0]
    for raised[0] in (SystemExit(2), KeyboardInterrupt()):
        with pytest.raises(PluginError, match=f"it failed: {type(raised[0]).__name__}"):
            workers.call("it", fail, later())


def test_threads_are_used_again(workers):
    names = {workers.call("it", threading.get_ident, later()) for _ in range(50)}
    assert len(names) <= 2 and threading.get_ident() not in names
    assert workers.call("it", threading.get_ident, later(), inline=True) == threading.get_ident()


def test_who_hangs_is_left_behind_and_tripped_and_called_again_when_it_is_back(workers):
    go_on = threading.Event()
    for _ in range(calling.HANGING_MOST):
        with pytest.raises(TimedOut, match=r"^it has not answered within 0\.0"):
            workers.call("it", go_on.wait, later(SOON))
    with pytest.raises(PluginError, match=r"^it is not called: 4 calls of it hang, the first for 0 s"):
        workers.call("it", lambda: 1, later())
    assert workers.call("another", lambda: 2, later()) == 2
    go_on.set()
    for _ in range(500):
        try:
            assert workers.call("it", lambda: 1, later()) == 1
            break
        except PluginError:
            time.sleep(0.01)
    else:
        pytest.fail("it is never called again")


def test_no_more_hang_in_all_than_so_many(workers, monkeypatch):
    monkeypatch.setattr(calling, "HANGING_MOST_IN_ALL", 3)
    go_on = threading.Event()
    owners = [f"owner {number}" for number in range(3)]
    for owner in owners:
        with pytest.raises(TimedOut):
            workers.call(owner, go_on.wait, later(SOON))
    with pytest.raises(
        PluginError, match="another is not called: 3 calls of handlers hang, which is too many"
    ):
        workers.call("another", lambda: 1, later())
    go_on.set()


def test_a_call_within_a_call_has_no_more_time_and_they_end_somewhere(workers):
    outer = later(5)
    assert workers.call("it", lambda: deadline_in(100), outer) == outer
    assert deadline_in(100) > outer

    def again() -> int:
        return workers.call("it", again, deadline_in(100))

    with pytest.raises(PluginError, match="it is not called: 16 handlers wait for each other already"):
        again()


def test_many_callers_at_once_each_get_their_own(workers):
    got: list[tuple[int, int]] = []

    def ask(number: int) -> None:
        for _ in range(50):
            got.append((number, workers.call(number, lambda: number, later())))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 600 and all(asked == answered for asked, answered in got)


def test_a_forked_child_has_threads_of_its_own(workers):
    go_on = threading.Event()
    workers.call("it", lambda: 1, later())
    for _ in range(calling.HANGING_MOST):
        with pytest.raises(TimedOut):
            workers.call("it", go_on.wait, later(SOON))
    child = os.fork()
    if not child:
        status = 1
        try:
            workers.after_fork()
            status = 0 if workers.call("it", lambda: 7, later()) == 7 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    go_on.set()
