"""What a process has in mind of the vectors: an entry for each name of each part, who sees it, and its vector.

Entries of the base come first and are only ever struck out; what has changed since comes after them, with vectors
from the side file. A node that was touched is struck out and taken in anew, so a change costs what its node costs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw
import numpy as np

from avm_builtin.vectors.base import Opened
from avm_builtin.vectors.seen import Seen
from vfs_core.visibility import Visible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    Numbers = NDArray[np.int64]
    Codes = NDArray[np.int32]
    Mask = NDArray[np.bool_]

STORED = np.float16
"""How vectors are kept: the error of a product of two is some 1e-5."""
_MASKS = 16
_NODES = 400
_FRESH = """
SELECT c.id, c.node, n.directory, o.own, c.start, c.length, c.scale, c.vector
FROM chunk c JOIN name n ON n.node = c.node JOIN node o ON o.id = c.node
WHERE c.vector IS NOT NULL {} ORDER BY c.id
"""


class _Codes:
    """Small numbers for ids, in the order in which they come; 0 is nobody's."""

    def __init__(self) -> None:
        self.ids = [0]
        self._code: dict[int, int] = {}

    def of(self, id: int) -> int:
        """The number of an id."""
        code = self._code.get(id)
        if code is None:
            code = self._code[id] = len(self.ids)
            self.ids.append(id)
        return code

    def of_all(self, ids: Numbers) -> Codes:
        """The numbers of many ids."""
        distinct, places = np.unique(ids, return_inverse=True)
        codes: Codes = np.array([self.of(int(id)) for id in distinct], np.int32)[places]
        return codes

    def which(self, test: Collection[int]) -> Mask:
        """By number, whether the id is among those."""
        mask: Mask = np.array([id in test for id in self.ids], bool)
        mask[0] = False
        return mask


class Entries(NamedTuple):
    """Entries and vectors as of one moment: what comes later changes nothing in them.

    The columns have one item for each entry: `row` is the number of its vector, those of the base before those of the
    tail; `node` whose part it is, `start` and `length` where in the body, `scale` a number of the table of scales;
    `directory` a place in `directories`, `scales` their names. Of the base they are in the order of `row` and `node`.
    """

    row: Numbers
    node: Numbers
    start: Codes
    length: Codes
    scale: Codes
    directory: Codes
    directories: Sequence[int]
    scales: Mapping[int, str]
    base: Opened | None
    base_count: int
    """How many of the entries are of the base."""
    tail: Matrix

    @property
    def base_rows(self) -> int:
        """How many vectors the base has."""
        return self.base.vectors.count if self.base is not None else 0

    def of_nodes(self, nodes: Sequence[int]) -> Numbers:
        """The numbers of the entries of some nodes, those struck out among them."""
        wanted = np.unique(np.asarray(nodes, np.int64))
        if not len(wanted):
            return np.empty(0, np.int64)
        column = self.node[: self.base_count]
        firsts, lasts = np.searchsorted(column, wanted), np.searchsorted(column, wanted, "right")
        found = [
            np.arange(first, last)
            for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)
            if last > first
        ]
        late = self.node[self.base_count :]
        places = np.minimum(np.searchsorted(wanted, late), len(wanted) - 1)
        found.append(np.flatnonzero(wanted[places] == late) + self.base_count)
        return np.concatenate(found)


class State:
    """Entries and vectors as of a revision of the side file. Used under the lock of its index."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.revision = 0
        self.struck_out = 0
        """How many entries beside those of the base count no more."""
        self._base: Opened | None = None
        self._columns: dict[str, NDArray[Any]] = {
            "row": np.empty(0, np.int64), "node": np.empty(0, np.int64), "start": np.empty(0, np.int32),
            "length": np.empty(0, np.int32), "scale": np.empty(0, np.int32),
            "directory": np.empty(0, np.int32), "own": np.empty(0, np.int32),
        }  # fmt: skip
        self._base_count = 0
        self._count = 0
        self._tail: Matrix = np.empty((0, dimensions), np.float32)
        self._tail_count = 0
        self._directories = _Codes()
        self._owns = _Codes()
        self._within: dict[int, int] = {}
        self._scales: dict[int, str] = {}
        self._seen: dict[int, tuple[Visible, Seen]] = {}

    # --- what there is ---------------------------------------------------------------------------

    def entries(self) -> Entries:
        """What there is now."""
        columns = {name: self._column(name) for name in Entries._fields if name in self._columns}
        tail = self._tail[: self._tail_count]
        return Entries(
            **columns,
            directories=self._directories.ids,
            scales=self._scales,
            base=self._base,
            base_count=self._base_count,
            tail=tail,
        )

    @property
    def base_rows(self) -> int:
        """How many vectors the base has."""
        return self._base.vectors.count if self._base is not None else 0

    @property
    def tail_rows(self) -> int:
        """How many vectors there are beside the base, those of entries that were struck out among them."""
        return self._tail_count

    def seen(self, visible: Visible) -> Seen:
        """Which entries an agent sees: what is struck out, or of an unknown class, nobody does."""
        known = self._seen.get(id(visible))
        if known is not None and known[0] is visible:
            return known[1]
        if len(self._seen) >= _MASKS:
            self._seen.clear()
        seen = Seen(self._mask(visible), self._column("scale"), self._column("node"), self._column("start"))
        self._seen[id(visible)] = visible, seen
        return seen

    def _mask(self, visible: Visible) -> Mask:
        places, owners = self._column("directory"), self._column("own")
        within = np.array([self._within.get(id, -1) for id in self._directories.ids], np.int64)
        within[0] = -1
        alive = within >= 0
        is_open = np.array([each in visible.open for each in within.tolist()], bool) & alive
        mask: Mask = is_open[places] & self._owns.which(visible.readable)[owners]
        if visible.granted:
            mask |= alive[places] & self._owns.which(visible.granted)[owners]
        if visible.shared:
            owns = np.array(self._owns.ids, np.int64)
            pairs = np.array([a << 32 | b for a, b in visible.shared], np.int64)
            mask |= alive[places] & np.isin(within[places] << 32 | owns[owners], pairs)
        return mask

    def _column(self, name: str) -> NDArray[Any]:
        return self._columns[name][: self._count]

    # --- keeping up ------------------------------------------------------------------------------

    @classmethod
    def loaded(cls, dimensions: int, connection: apsw.Connection, base: Opened | None) -> State:
        """A state that begins with a base, or with everything from the side file. In a transaction of the caller."""
        state = cls(dimensions)
        if base is not None:
            state._begin(base)
            state._take_nodes(connection, base.revision)
        else:
            state._add(connection.execute(_FRESH.format("")))
        state._take_directories(connection, -1)
        state.revision = connection.execute("SELECT number FROM revision").get
        return state

    def catch_up(self, connection: apsw.Connection, revision: int) -> None:
        """Take in what has been touched up to a revision. In a transaction of the caller."""
        if revision != self.revision:
            self._take_nodes(connection, self.revision)
            self._take_directories(connection, self.revision)
            self._seen.clear()
            self.revision = revision

    def _begin(self, base: Opened) -> None:
        self._base, entries = base, base.entries
        self._base_count = self._count = len(entries)
        for name in ("row", "node", "start", "length", "scale"):
            self._columns[name] = np.ascontiguousarray(entries[name])
        self._columns["directory"] = self._directories.of_all(entries["directory"])
        self._columns["own"] = self._owns.of_all(entries["own"])

    def _take_nodes(self, connection: apsw.Connection, after: int) -> None:
        rows: Iterator[tuple[int]] = connection.execute(
            "SELECT node FROM touched WHERE revision > ?", (after,)
        )
        nodes = [node for (node,) in rows]
        if not nodes:
            return
        # A copy: answers that are being read have the old one.
        directory = self._column("directory").copy()
        struck = self.entries().of_nodes(nodes)
        self.struck_out += int(np.count_nonzero(directory[struck[struck >= self._base_count]]))
        directory[struck] = 0
        self._columns["directory"] = directory
        for start in range(0, len(nodes), _NODES):
            some = json.dumps(nodes[start : start + _NODES])
            where = "AND c.node IN (SELECT value FROM json_each(?))"
            self._add(connection.execute(_FRESH.format(where), (some,)))

    def _take_directories(self, connection: apsw.Connection, after: int) -> None:
        pairs: Iterator[tuple[int, int]] = connection.execute(
            "SELECT id, within FROM directory WHERE revision > ?", (after,)
        )
        self._within.update(pairs)
        names: Iterator[tuple[int, str]] = connection.execute("SELECT id, name FROM scale")
        self._scales = dict(names)

    def _add(self, rows: Iterable[tuple[int, int, int, int, int, int, int, bytes]]) -> None:
        """Take in entries with their vectors; several entries of one part share one."""
        vectors: list[bytes] = []
        fresh: list[tuple[int, ...]] = []
        last = None
        first_row = self.base_rows + self._tail_count
        for id, node, directory, own, start, length, scale, vector in rows:
            if id != last:
                last = id
                vectors.append(vector)
            row = first_row + len(vectors) - 1
            fresh.append(
                (row, node, start, length, scale, self._directories.of(directory), self._owns.of(own))
            )
        if not fresh:
            return
        matrix = np.frombuffer(b"".join(vectors), STORED).reshape(len(vectors), self.dimensions)
        self._tail = _with_room(self._tail, self._tail_count, len(matrix))
        self._tail[self._tail_count : self._tail_count + len(matrix)] = matrix
        self._tail_count += len(matrix)
        for (name, column), values in zip(self._columns.items(), zip(*fresh, strict=True), strict=True):
            self._columns[name] = _with_room(column, self._count, len(fresh))
            self._columns[name][self._count : self._count + len(fresh)] = values
        self._count += len(fresh)


def _with_room(array: NDArray[Any], used: int, more: int) -> NDArray[Any]:
    """The array, or a larger one that begins with what is used of it."""
    if used + more <= len(array):
        return array
    larger = np.empty((max(used + more, 2 * used), *array.shape[1:]), array.dtype)
    larger[:used] = array[:used]
    return larger
