"""The files of indexes of other models beside this one's: which models have everything, and which are abandoned."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from avm_builtin.search.side import SideFile
from avm_builtin.vectors import tables
from vfs_core.errors import VfsError
from vfs_core.search import SideContext
from vfs_core.semantic import Model, files_of_all, remove_files

_ABANDONED_SECONDS = 7 * 86_400


def complete(side: SideContext, name: str) -> list[Model]:
    """Other models by which all of the store has been embedded, the latest first. `name` is this model's index."""
    found = []
    for files in _by_index(side, name):
        model = _complete_model(files[0], side) if files[0].endswith(".db") else None
        if model is not None:
            found.append((_touched(files), model))
    return [model for _, model in sorted(found, key=lambda each: -each[0])]


def remove_abandoned(side: SideContext, name: str) -> None:
    """Remove the files of models of which nothing has been written for a while."""
    for files in _by_index(side, name):
        if _touched(files) < time.time() - _ABANDONED_SECONDS:
            remove_files(files)


def _by_index(side: SideContext, name: str) -> list[list[str]]:
    """The files of each other index, its side file first if it is there."""

    def index_of(path: str) -> str:
        return Path(path).name.removeprefix(f"{Path(side.path or '').name}.").split(".db")[0]

    return [list(files) for index, files in groupby(files_of_all(side.path), index_of) if index != name]


def _touched(files: list[str]) -> float:
    """When any of the files was last written. What goes meanwhile is as old as can be."""
    times = [0.0]
    for path in files:
        with suppress(OSError):
            times.append(os.stat(path).st_mtime)
    return max(times)


def _complete_model(path: str, side: SideContext) -> Model | None:
    """The model of a side file, if that is of this store and complete."""
    file = SideFile(path, tables.SCHEMA, tables.APPLICATION, tables.VERSION, writable=False, mode=side.mode)
    try:
        with file.reading() as connection:
            return None if connection is None else tables.complete_model(connection, side.store_uuid)
    except VfsError:
        return None
    finally:
        file.close()
