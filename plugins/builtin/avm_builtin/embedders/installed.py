"""What is installed, found out without importing it, and what its package manager says that its files are."""

from __future__ import annotations

import base64
import hashlib
from importlib import metadata, util
from pathlib import Path

from vfs_core.errors import MissingExtra, PluginError

_BLOCK = 1 << 20


def missing(*modules: str) -> list[str]:
    """Those of the top-level modules that are not installed."""
    return [name for name in modules if util.find_spec(name) is None]


def package_directory(module: str, embedder: str, install: str) -> Path:
    """Where the files of a package are. Raises MissingExtra saying what to type if it is not installed."""
    spec = util.find_spec(module)
    if spec is None or spec.origin is None:
        raise MissingExtra(
            f"the embedder {embedder!r} needs {module}, which is not installed; type: {install}"
        )
    return Path(spec.origin).parent


def recorded_sha256(distribution: str, file: Path) -> str:
    """The SHA-256 of an installed file, in hexadecimal.

    pip has checked and recorded it when it installed the package, which spares reading 70 MB at each start;
    where another package manager recorded nothing, the file is read.
    """
    for each in metadata.files(distribution) or ():
        if each.name == file.name and each.hash is not None and each.hash.mode == "sha256":
            return base64.urlsafe_b64decode(each.hash.value + "=" * (-len(each.hash.value) % 4)).hex()
    return sha256(file)


def sha256(file: Path) -> str:
    """The SHA-256 of a file as it is now, in hexadecimal."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def check_sha256(file: Path, expected: str, install: str) -> None:
    """Raise PluginError unless the file is the one that was meant; `install` brings the right one."""
    found = sha256(file)
    if found != expected:
        raise PluginError(
            f"{file} is not the model that it should be: its SHA-256 is {found}, not {expected}; "
            f"type: {install}"
        )
