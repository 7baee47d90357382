"""What the bell says is never less than what has changed, for every process that has the file."""

import json
import os
import stat
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vfs_core.bell import EPOCH, EPOCH_THRESHOLD, FIRST_SLOT, HEAD, SILENT, SIZE, SLOTS, WORDS, Bell, slot_of

UUID = "6f1cf0b1-7a56-4c6e-9a52-ffffffffffff"
OTHER = "ffffffff-ffff-4fff-bfff-fffffffffffe"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "avm.bell")


def is_fresh(bell: Bell, node: int, tag: int) -> bool:
    """What a hot read asks."""
    return bell.words[slot_of(node)] <= tag and bell.words[EPOCH] <= tag


def slots(bell: Bell) -> list[int]:
    return list(bell.words[FIRST_SLOT:WORDS])


# --- announcing ----------------------------------------------------------------------------------


def test_what_is_announced_is_stale_and_the_rest_is_fresh():
    bell = Bell.private()
    bell.announce(7, [3, 9])
    assert [is_fresh(bell, node, 6) for node in (3, 9, 4)] == [False, False, True]
    assert is_fresh(bell, 3, 7)
    assert bell.head == 7


def test_everything_is_stale_where_everything_may_have_changed():
    bell = Bell.private()
    bell.announce(7, (), everything=True)
    assert not is_fresh(bell, 3, 6)
    assert is_fresh(bell, 3, 7)
    assert slots(bell) == [0] * SLOTS


def test_a_change_of_many_nodes_moves_the_epoch_instead_of_their_slots():
    bell = Bell.private()
    bell.announce(300, range(1, EPOCH_THRESHOLD + 1))
    assert bell.words[EPOCH] == 0
    assert slots(bell).count(300) == EPOCH_THRESHOLD
    bell.announce(900, range(1, EPOCH_THRESHOLD + 2))
    assert bell.words[EPOCH] == 900
    assert slots(bell).count(900) == 0
    assert not is_fresh(bell, 4000, 899)


def test_a_node_has_the_same_slot_wherever_it_is_asked_and_neighbours_do_not_share_one():
    code = "from vfs_core.bell import slot_of; print([slot_of(n) for n in (1, 4095, 4096, 2**63 - 1)])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [slot_of(node) for node in (1, 4095, 4096, 2**63 - 1)]
    assert {slot_of(node) for node in range(SLOTS)} == set(range(FIRST_SLOT, WORDS))


changes = st.lists(st.sets(st.integers(1, 2**40), max_size=3) | st.just("everything"), max_size=20)


@settings(max_examples=200, deadline=None)
@given(changes, st.lists(st.integers(1, 2**40), min_size=1, max_size=5))
def test_nothing_that_changed_since_it_was_read_is_ever_fresh(happened: list, others: list[int]):
    bell = Bell.private()
    nodes = set(others).union(*(each for each in happened if each != "everything"))
    changed = dict.fromkeys(nodes, 0)
    for sequence, each in enumerate(happened, 1):
        bell.announce(sequence, () if each == "everything" else each, everything=each == "everything")
        changed.update(dict.fromkeys(nodes if each == "everything" else each, sequence))
        for node in nodes:
            for tag in range(sequence + 1):
                assert not (is_fresh(bell, node, tag) and changed[node] > tag)
        crowded = [slot_of(node) for node in nodes]
        for node in nodes:  # and what did not change stays fresh, unless it shares a slot
            if crowded.count(slot_of(node)) == 1:
                assert is_fresh(bell, node, changed[node])


# --- sharing -------------------------------------------------------------------------------------


def test_all_who_open_the_file_see_the_same_words(path: str):
    first = Bell.open(path, UUID, writable=True)
    second = Bell.open(path, UUID, writable=True)
    reader = Bell.open(path, UUID, writable=False)
    first.announce(5, [1])
    assert second.head == reader.head == 5
    second.announce(6, [2])
    assert [is_fresh(each, 2, 5) for each in (first, second, reader)] == [False] * 3


def test_another_process_hears_at_once(path: str):
    bell = Bell.open(path, UUID, writable=True)
    code = f"""
from vfs_core.bell import Bell
bell = Bell.open({path!r}, {UUID!r}, writable=True)
print(bell.head)
bell.announce(42, [7])
"""
    bell.announce(41, [1])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "41\n"
    assert bell.head == 42
    assert not is_fresh(bell, 7, 41)


def test_a_new_file_has_its_size_and_the_mode_of_the_database_whatever_the_umask(path: str):
    before = os.umask(0o077)
    try:
        Bell.open(path, UUID, writable=True, mode=0o664).close()
    finally:
        os.umask(before)
    assert os.stat(path).st_size == SIZE
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o664


def test_the_file_is_never_replaced_or_cut(path: str):
    Bell.open(path, UUID, writable=True).announce(9, [1])
    before = os.stat(path)
    for each in (UUID, OTHER, UUID):
        Bell.open(path, each, writable=True).close()
        Bell.open(path, each, writable=False).close()
    after = os.stat(path)
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)


def test_ringing_touches_the_file_and_no_word_that_counts(path: str):
    bell = Bell.open(path, UUID, writable=True)
    bell.announce(9, [1, 2])
    counted = [bell.words[HEAD], bell.words[EPOCH], *slots(bell)]
    os.utime(path, ns=(0, 0))
    bell.announce(10, [3])
    assert os.stat(path).st_mtime_ns == 0, "a store through the map wakes nobody: that is why there is ring()"
    bell.heal(9)
    bell.ring()
    assert abs(os.stat(path).st_mtime_ns - time.time_ns()) < 60e9
    counted[2 + slot_of(3) - FIRST_SLOT] = 9
    assert [bell.words[HEAD], bell.words[EPOCH], *slots(bell)] == counted
    Bell.open(path, UUID, writable=True).close()
    assert [bell.words[HEAD], bell.words[EPOCH], *slots(bell)] == counted


def test_who_may_only_read_cannot_write_the_words(path: str):
    Bell.open(path, UUID, writable=True).announce(5, [1])
    reader = Bell.open(path, UUID, writable=False)
    assert (reader.writable, reader.head) == (False, 5)
    with pytest.raises(TypeError):
        reader.announce(6, [1])


# --- silence -------------------------------------------------------------------------------------


def assert_is_silent(bell: Bell) -> None:
    assert not bell.writable
    assert bell.words[EPOCH] == SILENT
    assert not any(is_fresh(bell, node, 2**63 - 1) for node in (1, 2, 5000))
    bell.ring()
    bell.close()


def test_without_a_file_that_can_be_mapped_nothing_is_ever_fresh(path: str, tmp_path: Path):
    assert_is_silent(Bell.silent())
    assert_is_silent(Bell.open(path, UUID, writable=False))
    assert not Path(path).exists(), "who may only read makes no file"
    assert_is_silent(Bell.open(str(tmp_path), UUID, writable=True))
    assert_is_silent(Bell.open(str(tmp_path / "no" / "such" / "x.bell"), UUID, writable=True))


def test_a_file_that_is_too_short_to_read_is_silence_and_a_writer_completes_it(path: str):
    Path(path).write_bytes(b"x" * 100)
    assert_is_silent(Bell.open(path, UUID, writable=False))
    bell = Bell.open(path, UUID, writable=True)
    assert os.stat(path).st_size == SIZE
    assert is_fresh(bell, 1, 1)


def test_who_may_only_read_keeps_silent_about_another_store(path: str):
    Bell.open(path, OTHER, writable=True).announce(5, [1])
    assert_is_silent(Bell.open(path, UUID, writable=False))
    assert Bell.open(path, OTHER, writable=False).head == 5, "and has not taken the file over"


# --- another store in the place of the first -----------------------------------------------------


@pytest.mark.parametrize("successor", [OTHER, str(uuid.UUID(int=1))])
def test_a_restored_store_takes_the_file_over_and_all_that_was_cached_is_stale(path: str, successor: str):
    old = Bell.open(path, UUID, writable=True)
    old.announce(100, [1, 2])
    old.announce(101, [3])
    new = Bell.open(path, successor, writable=True)
    assert not any(is_fresh(old, node, 101) for node in (1, 2, 3, 4))
    assert_is_silent(Bell.open(path, UUID, writable=False))
    assert Bell.open(path, successor, writable=False).words[EPOCH] == new.words[EPOCH]


def test_taking_over_moves_the_epoch_just_above_the_last_sequence(path: str):
    """Not above the header, which holds a uuid: with such an epoch nothing would be cached again for ever."""
    Bell.open(path, UUID, writable=True).announce(101, [3])
    assert Bell.open(path, OTHER, writable=True).words[EPOCH] == 102


def test_reopening_the_same_store_keeps_what_is_fresh(path: str):
    Bell.open(path, UUID, writable=True).announce(100, [1])
    again = Bell.open(path, UUID, writable=True)
    assert is_fresh(again, 1, 100)
    assert again.words[EPOCH] == 1


# --- healing -------------------------------------------------------------------------------------


def test_healing_lowers_what_is_above_the_journal_and_nothing_else():
    bell = Bell.private()
    bell.announce(10, [1])
    bell.announce(11, (), everything=True)
    bell.announce(20, [2, 3])
    bell.announce(21, (), everything=True)
    assert bell.is_ahead(12)
    bell.heal(12)
    assert (bell.head, bell.words[EPOCH]) == (12, 12)
    assert [bell.words[slot_of(node)] for node in (1, 2, 3, 4)] == [10, 12, 12, 0]
    assert not bell.is_ahead(12)


def test_healing_a_bell_that_is_right_changes_nothing():
    bell = Bell.private()
    bell.announce(10, [1])
    before = list(bell.words)
    bell.heal(10)
    assert list(bell.words) == before


def test_a_closed_bell_can_be_closed_again_and_its_words_stay_readable(path: str):
    bell = Bell.open(path, UUID, writable=True)
    bell.announce(3, [1])
    bell.close()
    bell.close()
    bell.ring()
    assert bell.head == 3
    assert not is_fresh(bell, 4, 3)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="says what is mapped on Linux only")
def test_a_closed_bell_keeps_no_space_once_its_file_is_gone(path: str):
    bell = Bell.open(path, UUID, writable=True)
    assert path in Path("/proc/self/maps").read_text()
    bell.close()
    assert path not in Path("/proc/self/maps").read_text()
