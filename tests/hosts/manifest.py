"""What stands below some folders, down to modes, owners and attributes, and how two such lists differ."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields

_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "device",
    stat.S_IFCHR: "device",
}


@dataclass(frozen=True, slots=True)
class Row:
    """All of one name that a careful program keeps: everything but the times."""

    type: str  # file, folder, link, pipe, socket, device
    mode: int  # the permission bits, with set-user-ID and the like
    uid: int
    gid: int
    target: str  # of a link
    sha256: str  # of a file's content, lower-case hex
    xattrs: tuple[tuple[str, bytes], ...]  # sorted; ACLs are among them: system.posix_acl_access
    links: int  # hard links; 1 for a folder, whose number depends on the file system

    def __str__(self) -> str:
        words = [self.type, f"{self.mode:04o} {self.uid}:{self.gid}"]
        if self.target:
            words.append(f"-> {self.target}")
        if self.links > 1:
            words.append(f"{self.links} links")
        words += [f"{name}={value!r}" for name, value in self.xattrs]
        return " ".join(words)


def manifest(paths: Iterable[str], at: Callable[[str], str]) -> dict[str, Row]:
    """Every file, folder and link below these paths, and they themselves, by path; what is not there has no row.

    Links are not followed. A folder where another file system is mounted is listed without its content.

    Args:
        paths: absolute ones.
        at: where such a path is found by this process.
    """
    found: dict[str, Row] = {}
    for path in paths:
        top = at(path)
        if os.path.lexists(top):
            _walk(path, top, os.lstat(top).st_dev, found)
    return found


def _walk(path: str, real: str, device: int, found: dict[str, Row]) -> None:
    status = os.lstat(real)
    found[path] = _row(real, status)
    if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
        for name in sorted(os.listdir(real)):
            _walk(f"{path.rstrip('/')}/{name}", f"{real}/{name}", device, found)


def _row(real: str, status: os.stat_result) -> Row:
    kind = _TYPES[stat.S_IFMT(status.st_mode)]
    sha256 = ""
    if kind == "file":
        with open(real, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Row(
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        target=os.readlink(real) if kind == "link" else "",
        sha256=sha256,
        xattrs=tuple((name, os.getxattr(real, name, follow_symlinks=False)) for name in _names(real)),
        links=1 if kind == "folder" else status.st_nlink,
    )


def _names(real: str) -> list[str]:
    return sorted(os.listxattr(real, follow_symlinks=False))


def differences(before: Mapping[str, Row], after: Mapping[str, Row]) -> list[str]:
    """One line for every name that came, went or changed, sorted by path; empty where all is equal.

    added /etc/a: file 0644 0:0
    removed /etc/b: link 0777 0:0 -> a
    changed /etc/c: mode 0644 -> 0600, content 01ba4719 -> e3b0c442
    """
    return [line for path in sorted({*before, *after}) for line in _line(path, before.get(path), after.get(path))]


def _line(path: str, old: Row | None, new: Row | None) -> Iterator[str]:
    if old is None:
        yield f"added {path}: {new}"
    elif new is None:
        yield f"removed {path}: {old}"
    elif old != new:
        yield f"changed {path}: {', '.join(_changes(old, new))}"


def _changes(old: Row, new: Row) -> Iterator[str]:
    for field in fields(Row):
        was, now = getattr(old, field.name), getattr(new, field.name)
        if was == now:
            continue
        match field.name:
            case "mode":
                yield f"mode {was:04o} -> {now:04o}"
            case "sha256":
                yield f"content {was[:8] or '-'} -> {now[:8] or '-'}"
            case "xattrs":
                yield f"xattrs {dict(was)} -> {dict(now)}"
            case name:
                yield f"{name} {was or '-'} -> {now or '-'}" if name == "target" else f"{name} {was} -> {now}"
