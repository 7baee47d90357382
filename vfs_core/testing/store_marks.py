"""The store suite on marks: how far readers have read."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

from vfs_core.storage import Store
from vfs_core.testing.store_contents import in_threads
from vfs_core.testing.store_help import StoreFixtures, picture


class StoreMarkTests(StoreFixtures):
    """A mark is a reader's own, of one node, and no change of the memory."""

    def test_a_mark_is_of_a_reader_and_a_node(self, store: Store, second: Store) -> None:
        assert store.mark("akashi", 7) == 0
        store.set_mark("akashi", 7, 3)
        store.set_mark("akashi", 8, 4)
        store.set_mark("akashi/one", 7, 1)
        for each in (store, second):
            assert each.mark("akashi", 7) == 3
            assert each.mark("akashi", 8) == 4
            assert each.mark("akashi/one", 7) == 1
            assert each.mark("kuro", 7) == 0

    def test_it_moves_both_ways_and_is_dropped_by_zero(self, store: Store, second: Store) -> None:
        for version in (5, 2, 0, 2**62):
            store.set_mark("akashi", 7, version)
            assert second.mark("akashi", 7) == version

    def test_forward_never_moves_it_back(self, store: Store, second: Store) -> None:
        for version, kept in ((5, 5), (2, 5), (9, 9), (0, 9)):
            store.set_mark("akashi", 7, version, forward=True)
            assert second.mark("akashi", 7) == kept

    def test_it_is_no_change_of_the_memory(self, store: Store) -> None:
        before, words = picture(store), list(store.bell.words)
        store.set_mark("akashi", 7, 3)
        assert picture(store) == before
        assert list(store.bell.words) == words

    def test_the_last_of_many_threads_is_kept(self, store: Store, second: Store) -> None:
        def work(number: int) -> None:
            for version in range(1, 6):
                (store, second)[number % 2].set_mark(f"agent{number}", 7, version)
                store.set_mark("all", 7, 10 * version + number, forward=True)

        in_threads(4, work)
        assert [store.mark(f"agent{number}", 7) for number in range(4)] == [5] * 4
        assert second.mark("all", 7) == 53
