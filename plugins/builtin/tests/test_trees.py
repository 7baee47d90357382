"""Remembered hash trees say what hashing everything anew says, whatever was rolled back or written by others."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm_builtin.storage.sqlite import trees
from avm_builtin.storage.sqlite.store import SqliteStore
from vfs_core.content import CHUNK, content_hash, root_hash
from vfs_core.storage import Store, StoreContext, allow_all
from vfs_core.testing.store_help import AKASHI, put

A = "/memory/a"


@given(
    st.lists(st.tuples(st.integers(1, 90), st.lists(st.integers(0, 89), max_size=4)), min_size=1, max_size=12)
)
def test_a_tree_that_is_changed_is_the_tree_made_anew(steps: list[tuple[int, list[int]]]) -> None:
    tree, leaves, made = trees._Tree(), [], 0
    for count, changed in steps:
        before = len(leaves)
        leaves = leaves[:count] + [b""] * (count - before)
        given_leaves = {}
        for position in {*changed, min(before, count) - 1, *range(before, count), count - 1}:
            if 0 <= position < count:
                made += 1
                given_leaves[position] = leaves[position] = made.to_bytes(32, "big")
        tree.update(count, given_leaves)
        assert (tree.count, tree.root) == (count, root_hash(leaves))


@pytest.fixture
def location(tmp_path: Path) -> str:
    return str(tmp_path / "avm.db")


@pytest.fixture
def stores(location: str) -> Iterator[list[Store]]:
    opened: list[Store] = [SqliteStore.open(StoreContext(location, AKASHI)) for _ in range(2)]
    yield opened
    for store in opened:
        store.close()


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_by_two_connections_some_of_them_rolled_back(stores: list[Store], seed: int) -> None:
    dice = random.Random(seed)
    content = dice.randbytes(80 * CHUNK + 5)
    put(stores[0], A, content)
    for _ in range(60):
        store, fails = dice.choice(stores), dice.random() < 0.3
        offset, data = dice.randrange(120 * CHUNK), dice.randbytes(dice.choice((1, 100, 3 * CHUNK)))
        kind = dice.choice(("range", "range", "range", "cut", "append"))
        if kind == "cut":
            offset = dice.randrange(64 * CHUNK, 200 * CHUNK)
        try:
            with store.transaction(AKASHI, allow_all) as transaction:
                if kind == "range":
                    made = transaction.write_range(A, offset, data)
                    changed = content.ljust(offset, b"\0")[:offset] + data + content[offset + len(data) :]
                elif kind == "cut":
                    made = transaction.truncate(A, offset)
                    changed = content[:offset].ljust(offset, b"\0")
                else:
                    made, changed = transaction.append(A, data), content + data
                assert made.content_hash == content_hash(changed)
                if fails:
                    raise RuntimeError
        except RuntimeError:
            continue
        content = changed
    assert [store.read(A).data for store in stores] == [content] * 2
    assert [finding.message for finding in stores[0].verify() if finding.level == "fail"] == []
