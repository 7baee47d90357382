"""What `avm doctor` looks at: the installation, the configuration, the plugins, the store and its index."""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat as stat_bits
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from avm_builtin.frontends.cli.commands.config import examine
from avm_builtin.frontends.cli.errors import describe
from avm_builtin.frontends.cli.output import counted
from avm_builtin.frontends.cli.state import App
from vfs_core.errors import PluginError, VfsError
from vfs_core.storage import Finding

OK, WARN, FAIL = "ok", "warn", "fail"
_DISTRIBUTION = "avm"
_EVERYTHING = "all"
"""The extra that is all others together."""
_SIDE_FILES = ("-wal", "-shm")


def findings(app: App) -> Iterator[Finding]:
    """Everything that is known, in the order in which it builds on each other."""
    yield from _installation()
    yield _sqlite()
    usable = True
    for finding in _configuration(app):
        usable = usable and finding.level != FAIL
        yield finding
    yield from _plugins(app)
    if usable:
        yield from _store(app)
    else:
        yield Finding("store", WARN, "not looked at, because the configuration cannot be used")
    yield _embedder(app, usable)
    yield from _extras()


# --- the installation ----------------------------------------------------------------------------


def _installation() -> Iterator[Finding]:
    version = metadata.version(_DISTRIBUTION)
    found = sorted(
        {str(Path(str(each.locate_file("")))) for each in metadata.distributions(name=_DISTRIBUTION)}
    )
    if len(found) > 1:
        yield Finding("version", WARN, f"avm {version}, and {len(found)} are installed: {', '.join(found)}",
                      "pip uninstall avm, until one is left")  # fmt: skip
    else:
        yield Finding("version", OK, f"avm {version}")
    yield _shadowing()
    yield Finding("python", OK, f"{platform.python_version()} at {sys.executable}")


def _shadowing() -> Finding:
    """Whether typing `avm` runs what is running now."""
    ours = Path(sys.executable).parent
    first = shutil.which("avm")
    if first is None:
        return Finding("command", WARN, "no avm is on the PATH", f'export PATH="{ours}:$PATH"')
    if Path(first).parent.resolve() != ours.resolve() and Path(first).resolve().parent != ours.resolve():
        return Finding("command", WARN, f"typing avm runs {first}, and this is {ours / 'avm'}",
                       f'export PATH="{ours}:$PATH"')  # fmt: skip
    return Finding("command", OK, first)


def _sqlite() -> Finding:
    try:
        import apsw
    except ImportError as error:
        return Finding("sqlite", FAIL, f"apsw cannot be imported: {error}", "pip install -U 'apsw>=3.51.3'")
    from avm_builtin.storage.sqlite.connection import MINIMUM_SQLITE

    seen = f"SQLite {apsw.sqlite_lib_version()}, apsw {apsw.apsw_version()}"
    if apsw.SQLITE_VERSION_NUMBER < MINIMUM_SQLITE:
        return Finding("sqlite", FAIL, f"{seen}: it can lose commits", "pip install -U 'apsw>=3.51.3'")
    return Finding("sqlite", OK, seen)


def _extras() -> Iterator[Finding]:
    """The optional parts, by extra, and what to type for those that are missing."""
    wanted: dict[str, list[str]] = {}
    for requirement in metadata.requires(_DISTRIBUTION) or ():
        name = re.match(r"[A-Za-z0-9_.-]+", requirement)
        marker = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", requirement)
        if name and marker and marker.group(1) != _EVERYTHING:
            wanted.setdefault(marker.group(1), []).append(name.group())
    for extra, names in wanted.items():
        missing = [name for name in names if not _installed(name)]
        if missing:
            message = f"not installed (optional): {', '.join(missing)}"
            yield Finding(f"extra {extra}", OK, message, f"pip install 'avm[{extra}]'")
        else:
            yield Finding(f"extra {extra}", OK, "installed")


def _embedder(app: App, usable: bool) -> Finding:
    """Which model search by meaning uses, why, and what to type for a better one."""
    if not usable:
        return Finding("embedder", WARN, "not looked at, because the configuration cannot be used")
    name = app.kernel.config.embedding.model
    try:
        embedder = app.kernel.embedder()
    except PluginError as error:
        return Finding("embedder", FAIL, f"{name}: {describe(error)}")
    return Finding("embedder", OK, f"{name}: {embedder.reason}", embedder.advice)


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


# --- configuration and plugins -------------------------------------------------------------------


def _configuration(app: App) -> Iterator[Finding]:
    path, problems, fatal = examine(app)
    for problem in problems:
        where = f"{problem.where}: {problem.key}" if problem.key else problem.where
        yield Finding("config", FAIL if fatal else WARN, f"{where}: {problem.what}", problem.cure)
    if not problems:
        yield Finding("config", OK, "none, the defaults hold" if path is None else f"{path} is right")


def _plugins(app: App) -> Iterator[Finding]:
    found = app.registry.plugins()
    for each in found:
        if each.failure:
            yield Finding(f"plugin {each.name}", FAIL, f"{each.failure} ({each.source})",
                          f"mend or uninstall it, or put {each.name!r} under plugins.disable")  # fmt: skip
    working = sum(not each.failure and not each.disabled for each in found)
    yield Finding("plugins", OK, f"{working} of {len(found)} work")


# --- the store -----------------------------------------------------------------------------------


def _store(app: App) -> Iterator[Finding]:
    try:
        kernel = app.kernel
        if not kernel.has_store:
            yield Finding("store", OK, f"none yet at {kernel.location}; the first write makes it", "avm init")
            yield from _parent(Path(kernel.location))
            return
        store = kernel.store
        yield from _rights(Path(store.location))
        if store.writable:
            yield Finding("store", OK, f"{store.location} can be written")
        else:
            yield Finding("store", WARN, f"{store.location} is read-only here", store.read_only_reason)
        yield from store.verify()
        behind = kernel.search().behind()
        if behind and not store.writable:
            yield Finding("index", WARN, f"{counted(behind, 'change')} behind, and this process cannot write it",
                          "search once as who owns the store")  # fmt: skip
        else:
            state = (
                f"{counted(behind, 'change')} behind; the next search takes them in"
                if behind
                else "up to date"
            )
            yield Finding("index", OK, f"{kernel.config.search.backend}, {state}")
        if advice := kernel.search_backend().advice():
            yield Finding("index", WARN, *advice.split(": ", 1))
        yield from _index(app)
    except (VfsError, OSError) as error:
        yield Finding("store", FAIL, describe(error), "")


def _index(app: App) -> Iterator[Finding]:
    """Whether the indexes have what the store has, where this process may bring them up to it."""
    from vfs_core.index_check import index_errors

    for runner in app.kernel.derived() if app.kernel.store.writable else ():
        name = "index" if runner is app.kernel.search() else "index of meanings"
        missing, surplus = index_errors(runner)
        if missing:
            message = f"lacks {counted(len(missing), 'note')} of the store"
            yield Finding(name, FAIL, message, "avm doctor --mend")
        if surplus:
            message = f"has {counted(len(surplus), 'note')} that the store has not"
            yield Finding(name, FAIL, message, "avm doctor --mend")


def _parent(location: Path) -> Iterator[Finding]:
    """Whether the first write could make the store."""
    above = location.parent
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        yield Finding("paths", FAIL, f"{above} cannot be written, so no store can be made in it",
                      "name a store elsewhere with --db, or under storage.path")  # fmt: skip


def _rights(location: Path) -> Iterator[Finding]:
    """Who else may open the files. Modes that somebody has set on purpose are only told."""
    if not location.exists():
        return
    directory = location.parent
    mode = stat_bits.S_IMODE(directory.stat().st_mode)
    files = [location, *(Path(f"{location}{ending}") for ending in _SIDE_FILES)]
    open_files = [each for each in files if each.exists() and stat_bits.S_IMODE(each.stat().st_mode) & 0o077]
    if open_files and mode & 0o011:
        names = ", ".join(each.name for each in open_files)
        yield Finding("rights", WARN, f"other users of this machine may open {names} in {directory} (mode {mode:04o})",
                      f"chmod 700 {directory}, unless that is meant")  # fmt: skip
    else:
        yield Finding("rights", OK, f"only its owner can open the store ({directory} has mode {mode:04o})")
    for each in files:
        if each.exists() and each.stat().st_uid != location.stat().st_uid:
            yield Finding("rights", WARN, f"{each} belongs to another user than {location.name}",
                          f"chown --reference={location} {each}")  # fmt: skip
