"""The system calls that change a disk, in one place: tests make each of them fail in turn.

Every method does what its namesake in `os` does and raises OSError as that does. Paths are bare names relative to an
open folder (`dir_fd`), so that no link on the way to it can be swapped for another in between.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trustmend.host import Finished, Host

NEW_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Disk:
    """The real one."""

    def create(self, name: str, *, dir_fd: int, mode: int = 0o600) -> int:
        """A descriptor of a new, empty file; nothing may stand there."""
        return os.open(name, NEW_FLAGS, mode, dir_fd=dir_fd)

    def append(self, name: str, *, dir_fd: int, mode: int = 0o600) -> int:
        """A descriptor that writes at the end of a file, which is made where it is missing; no link is followed."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, mode, dir_fd=dir_fd)

    def write(self, descriptor: int, content: bytes) -> None:
        """All of `content`."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file to `size` bytes."""
        os.ftruncate(descriptor, size)

    def fsync(self, descriptor: int) -> None:
        """Wait until a file or folder is on the medium."""
        os.fsync(descriptor)

    def fchown(self, descriptor: int, uid: int, gid: int) -> None:
        """Set owner and group."""
        os.fchown(descriptor, uid, gid)

    def fchmod(self, descriptor: int, mode: int) -> None:
        """Set the mode."""
        os.fchmod(descriptor, mode)

    def setxattr(self, descriptor: int, name: str, value: bytes) -> None:
        """Set one extended attribute."""
        os.setxattr(descriptor, name, value)

    def rename(self, old: str, new: str, *, dir_fd: int) -> None:
        """Give a name in a folder to what stands at another in it, in one step."""
        os.rename(old, new, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    def symlink(self, target: str, name: str, *, dir_fd: int) -> None:
        """Make a symbolic link."""
        os.symlink(target, name, dir_fd=dir_fd)

    def lchown(self, name: str, uid: int, gid: int, *, dir_fd: int) -> None:
        """Set owner and group of a link itself."""
        os.chown(name, uid, gid, dir_fd=dir_fd, follow_symlinks=False)

    def unlink(self, name: str, *, dir_fd: int) -> None:
        """Remove a file or link."""
        os.unlink(name, dir_fd=dir_fd)

    def mkdir(self, name: str, mode: int, *, dir_fd: int) -> None:
        """Make a folder."""
        os.mkdir(name, mode, dir_fd=dir_fd)

    def rmdir(self, name: str, *, dir_fd: int) -> None:
        """Remove an empty folder."""
        os.rmdir(name, dir_fd=dir_fd)

    def run(
        self,
        host: Host,
        argv: Sequence[str],
        *,
        environ: Mapping[str, str],
        timeout_s: float,
        chroot: bool = False,
        inherit: Sequence[int] = (),
    ) -> Finished:
        """Start a program and wait for its end; see `Host.run`. Raises ReadError."""
        return host.run(argv, environ=environ, timeout_s=timeout_s, chroot=chroot, inherit=inherit)
