"""What stands at a path, and putting something else there in one step.

1. A path is walked folder by folder from the root, and no link on it is followed: one that was put there meanwhile
   makes it fail, and leads nowhere.
2. Something else appears under a name in one step: whoever reads it sees the old or the new, never a mix.
3. Nothing is put in the place of something else than `expected`.
4. Owner, mode and extended attributes are those asked for before it appears.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from trustmend.change.disk import Disk
from trustmend.errors import ChangedError
from trustmend.host import MAX_FILE_BYTES

PREFIX: Final = ".trustmend-"
"""Temporary names begin so: no program takes them for a store (Debian wants *.crt, OpenSSL wants hash links)."""
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_OF_CONTENT: Final = frozenset({"security.ima", "security.evm"})  # digests of the old content


@dataclass(frozen=True)
class State:
    """What stands at a path: nothing (`absent`), a `file`, a `link`, a `folder` or some `other` thing.

    `mode` has no file type; the extended attributes are (name, value). `size` is in bytes.
    """

    kind: str
    sha256: str | None = None  # of a file's content
    target: str | None = None  # of a link
    mode: int = 0
    uid: int = 0
    gid: int = 0
    xattrs: tuple[tuple[str, bytes], ...] = ()
    size: int = 0

    def same(self, other: State) -> bool:
        """The same thing with the same content, whoever owns it."""
        return (self.kind, self.sha256, self.target) == (other.kind, other.sha256, other.target)

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it."""
        found: dict[str, Any] = {"kind": self.kind}
        if self.kind != "absent":
            found |= {"mode": self.mode, "uid": self.uid, "gid": self.gid}
        if self.sha256 is not None:
            found |= {"sha256": self.sha256, "size": self.size}
        if self.target is not None:
            found["target"] = base64.b64encode(os.fsencode(self.target)).decode("ascii")
        if self.xattrs:
            found["xattrs"] = {name: base64.b64encode(value).decode("ascii") for name, value in self.xattrs}
        return found

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> State:
        """The reverse of `to_json`. Raises KeyError, ValueError or TypeError for what it never wrote."""
        target = row.get("target")
        return State(
            str(row["kind"]),
            None if row.get("sha256") is None else str(row["sha256"]),
            None if target is None else os.fsdecode(base64.b64decode(target)),
            int(row.get("mode", 0)),
            int(row.get("uid", 0)),
            int(row.get("gid", 0)),
            tuple((str(name), base64.b64decode(value)) for name, value in row.get("xattrs", {}).items()),
            int(row.get("size", 0)),
        )


ABSENT: Final = State("absent")


class Files:
    """The files below one root, by absolute paths of that root whose folders hold no link.

    `root` is the machine's own path of it. All methods raise OSError as the system does.
    """

    def __init__(self, root: str, disk: Disk) -> None:
        self.root = root
        self.disk = disk

    def folder(self, path: str) -> int:
        """A descriptor of the folder; the caller closes it. ELOOP or ENOTDIR for a link on the way."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in path.split("/"):
            if part in ("", "."):
                continue
            if part == "..":
                os.close(descriptor)
                raise OSError(errno.EINVAL, "a path with `..`", path)
            try:
                inner = os.open(part, _FOLDER_FLAGS, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = inner
        return descriptor

    def look(self, path: str) -> State:
        """What stands there; of a file with its content's SHA-256."""
        return self.read(path)[0]

    def read(self, path: str) -> tuple[State, bytes]:
        """What stands there, and a file's content."""
        above, name = os.path.split(path)
        try:
            folder = self.folder(above)
        except FileNotFoundError:
            return ABSENT, b""
        try:
            return _read_at(folder, name)
        finally:
            os.close(folder)

    def names(self, path: str) -> list[str]:
        """The sorted names in a folder."""
        folder = self.folder(path)
        try:
            return sorted(os.listdir(folder))
        finally:
            os.close(folder)

    def owner(self, path: str) -> tuple[int, int]:
        """Who can put things at `path`: (0, 0) if root alone, else user and group of the first folder of another's.

        A group beside root's that may write a folder is not looked at: what is done there follows no link.

        Raises:
            PermissionError: a folder that anybody can write, without the sticky bit.
        """
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in [*filter(None, os.path.dirname(path).split("/")), ""]:
                status = os.fstat(descriptor)
                if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
                    raise PermissionError(errno.EPERM, "it lies in a folder that anybody can write", path)
                if status.st_uid != 0:
                    return status.st_uid, status.st_gid
                if part:
                    inner = os.open(part, _FOLDER_FLAGS, dir_fd=descriptor)
                    os.close(descriptor)
                    descriptor = inner
            return 0, 0
        finally:
            os.close(descriptor)

    def free(self, path: str) -> int:
        """Bytes that this process may still write into the folder of `path`."""
        folder = self.folder(os.path.dirname(path))
        try:
            room = os.fstatvfs(folder)
            return room.f_bavail * room.f_frsize
        finally:
            os.close(folder)

    def put(self, path: str, wanted: State, content: bytes, expected: State, temporary: str) -> State:
        """Make `path` what `wanted` says, if it still is what `expected` says.

        Args:
            path: where.
            wanted: a file (its SHA-256 and size are those of `content`), a link, a folder, or absent.
            content: of a file.
            expected: what must stand there now, by kind, content and target.
            temporary: a bare name in the same folder that is free; it is gone afterwards.

        Returns:
            What stands there now.

        Raises:
            ChangedError: something else stands there; nothing was done.
            OSError: as the system says it, and then the old thing still stands there; or from the last sync of the
                folder, and then the new one does.
        """
        above, name = os.path.split(path)
        folder = self.folder(above)
        try:
            self._check(folder, name, path, expected)
            if wanted.kind == "absent":
                self._remove(folder, name, expected)
            elif wanted.kind == "folder":
                self._make_folder(folder, name, wanted)
            else:
                try:
                    self._prepare(folder, temporary, wanted, content)
                    self._check(folder, name, path, expected)
                    self.disk.rename(temporary, name, dir_fd=folder)
                except BaseException:
                    self._discard(folder, temporary)
                    raise
            self.disk.fsync(folder)
            return _look_at(folder, name)
        finally:
            os.close(folder)

    def clear(self, path: str, prefix: str) -> None:
        """Remove the temporary files in a folder whose name begins with `prefix`."""
        try:
            folder = self.folder(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            for name in os.listdir(folder):
                if name.startswith(prefix):
                    self.disk.unlink(name, dir_fd=folder)
        finally:
            os.close(folder)

    def _check(self, folder: int, name: str, path: str, expected: State) -> None:
        if not _look_at(folder, name).same(expected):
            raise ChangedError(path)

    def _remove(self, folder: int, name: str, expected: State) -> None:
        if expected.kind == "folder":
            self.disk.rmdir(name, dir_fd=folder)
        elif expected.kind != "absent":
            self.disk.unlink(name, dir_fd=folder)

    def _make_folder(self, folder: int, name: str, wanted: State) -> None:
        self.disk.mkdir(name, 0o700, dir_fd=folder)
        inner = os.open(name, _FOLDER_FLAGS, dir_fd=folder)
        try:
            self.disk.fchown(inner, wanted.uid, wanted.gid)
            self.disk.fchmod(inner, wanted.mode)
            self.disk.fsync(inner)
        except BaseException:
            self.disk.rmdir(name, dir_fd=folder)
            raise
        finally:
            os.close(inner)

    def _prepare(self, folder: int, temporary: str, wanted: State, content: bytes) -> None:
        """The new thing under its temporary name, whole and on the medium."""
        if wanted.kind == "link":
            self.disk.symlink(wanted.target or "", temporary, dir_fd=folder)
            self.disk.lchown(temporary, wanted.uid, wanted.gid, dir_fd=folder)
            return
        descriptor = self.disk.create(temporary, dir_fd=folder)
        try:
            self.disk.write(descriptor, content)
            self.disk.fchown(descriptor, wanted.uid, wanted.gid)
            for attribute, value in wanted.xattrs:
                self._set_attribute(descriptor, attribute, value)
            self.disk.fchmod(descriptor, wanted.mode)
            self.disk.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _set_attribute(self, descriptor: int, attribute: str, value: bytes) -> None:
        """Set it, unless the folder has given the file the same already (an SELinux label, an inherited ACL)."""
        try:
            if os.getxattr(descriptor, attribute) == value:
                return
        except OSError:
            pass
        self.disk.setxattr(descriptor, attribute, value)

    def _discard(self, folder: int, temporary: str) -> None:
        with contextlib.suppress(OSError):  # it was never made, or the next recover clears it
            self.disk.unlink(temporary, dir_fd=folder)


def of_content(content: bytes, like: State) -> State:
    """The state of a file with this content and the owner, mode and attributes of `like`."""
    return replace(
        like,
        kind="file",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        xattrs=tuple((n, v) for n, v in like.xattrs if n not in _OF_CONTENT),
    )


def _look_at(folder: int, name: str) -> State:
    return _read_at(folder, name)[0]


def _read_at(folder: int, name: str) -> tuple[State, bytes]:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return ABSENT, b""
    if stat.S_ISREG(status.st_mode):
        return _read_file(folder, name)
    link = stat.S_ISLNK(status.st_mode)
    kind = "link" if link else "folder" if stat.S_ISDIR(status.st_mode) else "other"
    target = os.readlink(name, dir_fd=folder) if link else None
    found = State(kind, None, target, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    return found, b""


def _read_file(folder: int, name: str) -> tuple[State, bytes]:
    descriptor = os.open(name, _FILE_FLAGS, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is no longer a file", name)
        if status.st_size > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, "is too large for a trust store", name)
        parts = []
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
        content = b"".join(parts)
        found = State(
            "file",
            hashlib.sha256(content).hexdigest(),
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            xattrs=_attributes(descriptor),
            size=len(content),
        )
        return found, content
    finally:
        os.close(descriptor)


def _attributes(descriptor: int) -> tuple[tuple[str, bytes], ...]:
    try:
        names = sorted(os.listxattr(descriptor))
        return tuple((name, os.getxattr(descriptor, name)) for name in names)
    except OSError as problem:
        if problem.errno in (errno.ENOTSUP, errno.ENODATA):
            return ()
        raise
