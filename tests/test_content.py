"""The hash of a content that is mostly holes is that of the same content written out."""

from hypothesis import given
from hypothesis import strategies as st

from vfs_core.content import leaf_hash, root_hash, sparse_root

ZERO = leaf_hash(b"zero")


@given(
    st.integers(1, 200),
    st.dictionaries(st.integers(0, 199), st.binary(min_size=32, max_size=32), max_size=40),
)
def test_a_sparse_root_is_the_root_of_all_leaves(count: int, given_leaves: dict[int, bytes]) -> None:
    leaves = {position: leaf for position, leaf in given_leaves.items() if position < count}
    whole = [leaves.get(position, ZERO) for position in range(count)]
    assert sparse_root(count, leaves, ZERO) == root_hash(whole)


def test_a_hole_of_a_tebibyte_is_hashed_at_once() -> None:
    assert len(sparse_root(2**26, {5: ZERO, 2**26 - 1: b"x" * 32}, ZERO)) == 32
