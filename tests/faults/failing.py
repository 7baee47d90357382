"""A disk that fails when told to: an SQLite VFS over the real one."""

from __future__ import annotations

import os

import apsw


class FailingDisk(apsw.VFS):
    """The default VFS while it is in use, as a context manager; writes, or syncs, fail while `errno` is set."""

    def __init__(self, operation: str) -> None:
        """`operation`: `write` or `sync`."""
        self.operation = operation
        self.errno = 0
        self.after = 0
        self.base = apsw.vfs_names()[0]
        super().__init__(f"failing-{id(self):x}", base=self.base, makedefault=True)

    def __enter__(self) -> FailingDisk:
        return self

    def __exit__(self, *exception: object) -> None:
        apsw.set_default_vfs(self.base)
        self.unregister()

    def fail(self, errno: int, after: int = 0) -> None:
        """Fail from now on (0: work again), once so many operations more have worked."""
        self.errno, self.after = errno, after

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)

    def xGetLastError(self) -> tuple[int, str]:
        return (self.errno, os.strerror(self.errno)) if self.errno else super().xGetLastError()

    def reach(self, operation: str) -> None:
        """Raise if this operation is to fail now."""
        if not self.errno or operation != self.operation:
            return
        if self.after:
            self.after -= 1
            return
        if operation == "sync":
            raise _error(apsw.SQLITE_IOERR_FSYNC)
        raise _error(apsw.SQLITE_IOERR_WRITE)


def _error(code: int) -> apsw.IOError:
    error = apsw.IOError("disk I/O error")
    error.extendedresult = code
    return error


class _File(apsw.VFSFile):
    def __init__(self, vfs: FailingDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(vfs.base, name, flags)  # type: ignore[arg-type]  # the stub forgets files without a name
        self._vfs = vfs

    def xWrite(self, data: bytes, offset: int) -> None:
        self._vfs.reach("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._vfs.reach("sync")
        super().xSync(flags)
