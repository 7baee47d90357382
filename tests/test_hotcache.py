"""The cache of hot reads: bounded, keeps what is used, and never holds on to what is stale."""

from hypothesis import given, settings
from hypothesis import strategies as st

from vfs_core.bell import EPOCH, Bell
from vfs_core.hotcache import LARGEST, HotCache
from vfs_core.types import Kind, Node, Stat


def node(id: int, data: bytes = b"text") -> Node:
    return Node(f"/n{id}", data, Stat(id, Kind.FILE, 0o600, "a", "a", len(data), 1, 0, 0, 0))


def get(cache: HotCache, path: str) -> Node | None:
    """A hot read, as a session does it."""
    entry = cache.young.get(path)
    if entry is not None and entry.words[entry.slot] <= entry.tag and entry.words[EPOCH] <= entry.tag:
        return entry.node
    return cache.promote(path)


def test_what_was_read_is_kept_with_the_moment_of_reading():
    bell, cache = Bell.private(), HotCache(100, 1 << 20)
    bell.announce(5, [1])
    cache.put("/n1", node(1), 5, bell.words)
    assert get(cache, "/n1") == node(1)
    assert get(cache, "/n2") is None


def test_a_change_of_the_node_or_of_everything_makes_it_stale():
    for announcement in ({"nodes": [1]}, {"nodes": (), "everything": True}):
        bell, cache = Bell.private(), HotCache(100, 1 << 20)
        cache.put("/n1", node(1), 5, bell.words)
        bell.announce(6, **announcement)
        assert get(cache, "/n1") is None
        cache.put("/n1", node(1, b"new"), 6, bell.words)
        assert get(cache, "/n1") == node(1, b"new")


def test_a_change_of_another_node_does_not():
    bell, cache = Bell.private(), HotCache(100, 1 << 20)
    cache.put("/n1", node(1), 5, bell.words)
    bell.announce(6, [2])
    assert get(cache, "/n1") == node(1)


def test_what_was_read_before_the_announcement_of_its_change_is_never_served():
    """The tag is where the journal stood when it was read, not where it stands when it is kept."""
    bell, cache = Bell.private(), HotCache(100, 1 << 20)
    bell.announce(6, [1])
    cache.put("/n1", node(1), 5, bell.words)
    assert get(cache, "/n1") is None


def test_a_silent_bell_keeps_nothing_fresh():
    cache = HotCache(100, 1 << 20)
    cache.put("/n1", node(1), 5, Bell.silent().words)
    assert get(cache, "/n1") is None


def test_what_is_large_is_not_kept():
    bell, cache = Bell.private(), HotCache(100, 1 << 30)
    cache.put("/small", node(1, bytes(LARGEST)), 5, bell.words)
    cache.put("/large", node(2, bytes(LARGEST + 1)), 5, bell.words)
    assert get(cache, "/small") is not None
    assert get(cache, "/large") is None


def test_what_is_used_survives_and_what_is_not_goes():
    bell, cache = Bell.private(), HotCache(10, 1 << 20)
    cache.put("/hot", node(1), 0, bell.words)
    cache.put("/cold", node(2), 0, bell.words)
    for id in range(3, 100):
        cache.put(f"/n{id}", node(id), 0, bell.words)
        assert get(cache, "/hot") == node(1)
    assert get(cache, "/cold") is None


def test_a_stale_entry_of_the_old_generation_is_dropped_not_promoted():
    bell, cache = Bell.private(), HotCache(4, 1 << 20)
    cache.put("/n1", node(1), 0, bell.words)
    for id in (2, 3):
        cache.put(f"/n{id}", node(id), 0, bell.words)
    assert "/n1" not in cache.young
    bell.announce(1, [1])
    assert cache.promote("/n1") is None
    assert "/n1" not in cache.young
    assert cache.promote("/n1") is None


def test_after_clearing_nothing_is_left_in_either_generation():
    bell, cache = Bell.private(), HotCache(4, 1 << 20)
    for id in range(5):
        cache.put(f"/n{id}", node(id), 0, bell.words)
    cache.clear()
    assert [get(cache, f"/n{id}") for id in range(5)] == [None] * 5


def held(cache: HotCache) -> list[Node]:
    return [entry.node for entry in (*cache.young.values(), *cache.old.values())]


def test_entries_are_bounded():
    bell, cache = Bell.private(), HotCache(20, 1 << 30)
    for id in range(1000):
        cache.put(f"/n{id}", node(id), 0, bell.words)
        assert len(held(cache)) <= 20
    assert len(held(cache)) >= 10


def test_bytes_are_bounded_but_for_one_node_in_each_generation():
    limit = 100_000
    bell, cache = Bell.private(), HotCache(10_000, limit)
    for id in range(300):
        cache.put(f"/n{id}", node(id, bytes(id * 37 % 5000)), 0, bell.words)
        assert sum(len(each.data) for each in held(cache)) <= limit + 2 * 5000


steps = st.lists(
    st.tuples(st.sampled_from(["read", "change", "change all", "clear"]), st.integers(1, 6)), max_size=60
)


@settings(max_examples=300, deadline=None)
@given(steps, st.integers(0, 6))
def test_a_hot_read_is_always_what_a_cold_read_would_be(happened: list[tuple[str, int]], entries: int):
    bell, cache = Bell.private(), HotCache(entries, 1 << 20)
    present, sequence = dict.fromkeys(range(1, 7), 0), 0
    for what, id in happened:
        path = f"/n{id}"
        if what == "read":
            hot = get(cache, path)
            current = node(id, b"%d" % present[id])
            assert hot in (None, current)
            if hot is None:
                cache.put(path, current, sequence, bell.words)
        elif what == "clear":
            cache.clear()
        else:
            sequence += 1
            changed = [id] if what == "change" else list(present)
            bell.announce(sequence, changed if what == "change" else (), everything=what != "change")
            present.update(dict.fromkeys(changed, sequence))


def test_what_is_read_once_is_not_kept_and_what_is_read_again_is():
    cache = HotCache(8, 1 << 20)
    assert [cache.meet("/n1"), cache.meet("/n1"), cache.meet("/n2")] == [False, True, False]
    for number in range(1000):
        cache.meet(f"/other{number}")
    assert len(cache._met) <= 8  # a walk over everything takes no memory
