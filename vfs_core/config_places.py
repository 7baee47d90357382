"""Where the configuration and the store are: environment variables and the XDG base directories."""

from __future__ import annotations

import os
from pathlib import Path

from vfs_core.errors import ConfigError, Problem


def default_config_path() -> Path:
    """`avm/config.yaml` in the XDG config directory. Raises ConfigError if there is no home directory."""
    return _needed(xdg("XDG_CONFIG_HOME", ".config"), "XDG_CONFIG_HOME") / "avm" / "config.yaml"


def default_store_path() -> Path:
    """`avm/avm.db` in the XDG data directory. Raises ConfigError if there is no home directory."""
    return _needed(xdg("XDG_DATA_HOME", ".local/share"), "XDG_DATA_HOME") / "avm" / "avm.db"


def find_config(explicit: str | Path | None = None) -> Path | None:
    """The configuration file to use: the given one, else `AVM_CONFIG`, else the XDG one if it exists.

    Raises ConfigError if one that was asked for does not exist, or if it cannot be seen whether the XDG
    one does: a configuration holds permissions and is never passed over in silence.
    """
    for source, name in (("--config", explicit), ("AVM_CONFIG", os.environ.get("AVM_CONFIG"))):
        if name is not None and (name != "" or source == "--config"):
            path = Path(os.path.expanduser(name))  # noqa: PTH111 - Path.expanduser raises for an unknown ~user
            if not _exists(path):
                what = f"there is no such file (named by {source})"
                raise ConfigError([Problem(str(path), "", what, "correct the path, or `avm init` makes one")])
            return path
    base = xdg("XDG_CONFIG_HOME", ".config")
    if base is None:
        return None
    path = base / "avm" / "config.yaml"
    return path if _exists(path) else None


def xdg(variable: str, below_home: str) -> Path | None:
    """An XDG base directory; as that specification says, a relative or empty variable is ignored."""
    given = os.environ.get(variable, "")
    if os.path.isabs(given):  # noqa: PTH117
        return Path(given)
    # Path.home raises where there is none, and both take an empty HOME for the root directory.
    home = "" if os.environ.get("HOME") == "" else os.path.expanduser("~")  # noqa: PTH111
    return Path(home, below_home) if os.path.isabs(home) else None  # noqa: PTH117


def _needed(directory: Path | None, variable: str) -> Path:
    if directory is None:
        what = "there is no home directory: HOME is not set and the user is not known to the system"
        raise ConfigError([Problem("environment", "", what, f"set HOME or {variable}")])
    return directory


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise ConfigError([unreadable(path, error)]) from None
    return True


def unreadable(path: Path, error: OSError | ValueError) -> Problem:
    """What to say of a file that cannot be read."""
    if isinstance(error, IsADirectoryError):
        return Problem(str(path), "", "this is a directory", "name the file in it: config.yaml")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return Problem(str(path), "", f"the file cannot be read: {reason}")
