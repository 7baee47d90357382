"""Content: chunks, their hashes, and reverse deltas between versions.

The hash of a content is the root of a Merkle tree over its 16 KiB chunks, built as RFC 6962 section
2.1 builds its trees (left subtree a power of two), so that an append or a write in the middle
rehashes a logarithmic part of it. Leaves and inner nodes are told apart by BLAKE2b's person field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

CHUNK = 16 * 1024
"""Bytes in a chunk: the best of the sizes measured (shared/spec/evidence.md)."""

EMPTY_HASH = blake2b(digest_size=32, person=b"avm.empty").digest()


_LEAF = blake2b(digest_size=32, person=b"avm.leaf")
"""Copied for each leaf, which takes two thirds of the time of setting up another."""


def leaf_hash(chunk: bytes) -> bytes:
    """The hash of one chunk."""
    hashing = _LEAF.copy()
    hashing.update(chunk)
    return hashing.digest()


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """The Merkle root over the hashes of a content's chunks, in order."""
    if len(leaves) == 1:
        return leaves[0]
    if not leaves:
        return EMPTY_HASH
    level = list(leaves)
    while len(level) > 1:
        paired = [
            blake2b(level[i] + level[i + 1], digest_size=32, person=b"avm.inner").digest()
            for i in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def sparse_root(count: int, leaves: Mapping[int, bytes], default: bytes) -> bytes:
    """`root_hash` of `count` leaves of which those that are not in `leaves` are `default`.

    The cost goes with the leaves that are given, not with `count`: equal subtrees are hashed once for each level.
    """
    if count <= 2 * len(leaves):
        return root_hash([leaves.get(position, default) for position in range(count)])
    level = dict(leaves)
    while count > 1:
        above: dict[int, bytes] = {}
        for position in {each // 2 for each in level}:
            left = level.get(2 * position, default)
            if 2 * position + 1 < count:
                right = level.get(2 * position + 1, default)
                left = blake2b(left + right, digest_size=32, person=b"avm.inner").digest()
            above[position] = left
        if count % 2:  # the last one goes up as it is
            above[count // 2] = level.get(count - 1, default)
        default = blake2b(default + default, digest_size=32, person=b"avm.inner").digest()
        level, count = above, (count + 1) // 2
    return level.get(0, default) if level else default


def split_chunks(data: bytes) -> list[bytes]:
    """`data` in chunks of CHUNK bytes, the last one shorter."""
    return [data[i : i + CHUNK] for i in range(0, len(data), CHUNK)]


def content_hash(data: bytes) -> bytes:
    """The hash of a whole content (32 bytes)."""
    if len(data) <= CHUNK:
        return leaf_hash(data) if data else EMPTY_HASH
    return root_hash([leaf_hash(chunk) for chunk in split_chunks(data)])


# --- reverse deltas --------------------------------------------------------------------------------


def common_prefix(a: bytes, b: bytes) -> int:
    """How many bytes `a` and `b` share at the start (binary search over slices)."""
    low, high = 0, min(len(a), len(b))
    if a[:1] != b[:1]:
        return 0
    if a[:high] == b[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


def common_suffix(a: bytes, b: bytes, limit: int) -> int:
    """How many bytes, `limit` at most, `a` and `b` share at the end; neither is shorter than `limit`."""
    if not limit or a[-1] != b[-1]:
        return 0
    low, high, end, other_end = 0, limit, len(a), len(b)
    if a[end - high :] == b[other_end - high :]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if a[end - middle : end - low] == b[other_end - middle : other_end - low]:
            low = middle
        else:
            high = middle
    return low


def reverse_delta(old: bytes, new: bytes) -> tuple[int, int, bytes]:
    """`old` in terms of `new`: `(prefix, suffix, middle)`.

    `prefix` and `suffix` count the bytes that the two share at the start and at the end.
    """
    prefix = common_prefix(old, new)
    suffix = common_suffix(old, new, min(len(old), len(new)) - prefix)
    return prefix, suffix, old[prefix : len(old) - suffix]


def apply_delta(new: bytes, prefix: int, suffix: int, middle: bytes) -> bytes:
    """The old content that `reverse_delta` described."""
    return new[:prefix] + middle + (new[len(new) - suffix :] if suffix else b"")
