"""The door to the host: every read of a file, the environment and the clock, and every start of a program.

Paths that cross this door are the *root's own* absolute paths ("/etc/ssl"), str with surrogateescape. With
`--root DIR` they are looked up below DIR, links included: an absolute link means DIR's "/", and `..` ends at it.
Promises:
1. Nothing here writes.
2. Opening never blocks: O_NONBLOCK, and only regular files are read.
3. No link leads out of the root.
4. Nothing is ever executed from a foreign root.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from trustmend.errors import ReadError

MAX_FILE_BYTES = 64 * 1024 * 1024
"""No trust store is larger (the whole of the web's roots is 0.3 MB); a larger file is reported, not read."""
MAX_PROGRAM_BYTES = 2 * 1024**3
"""The largest program or archive of which parts are read."""
_MAX_LINKS = 40  # as the Linux kernel
_HEAD_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW


@dataclass(frozen=True)
class FileBytes:
    """A regular file's content and what `fstat` said of it when it was read."""

    content: bytes
    status: os.stat_result


@dataclass(frozen=True)
class Finished:
    """A program that ended: its exit code and output, as bytes."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class Host:
    """A host as seen from one root. Equal hosts see the same; tests give a `root`, an `environ` and a `now`.

    `environ` is the environment of the shell that started the audit; empty for a foreign root, whose programs
    never see it.
    """

    root: str = "/"
    environ: Mapping[str, str] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    name: str = ""

    @staticmethod
    def of(root: str | None) -> Host:
        """The real host, or the system below the folder `root`.

        Raises:
            ReadError: `root` is no folder.
        """
        if root is not None and not os.path.isdir(root):
            raise ReadError(f"`{root}` is not a folder", hint="--root takes the folder of an unpacked system")
        if root is None or os.path.samestat(os.stat(root), os.stat("/")):
            return Host("/", dict(os.environ), name=os.uname().nodename)
        real = os.path.realpath(root)
        if not _same_folder(root, real):
            # A container's /proc/PID/root: whatever that link says, it leads to the root of another mount namespace.
            real = os.path.abspath(root)
        guest = Host(real)
        try:
            name = guest.read("/etc/hostname", limit=256).content.decode("ascii", "replace").strip()
        except OSError:
            name = ""
        return Host(real, name=name or os.path.basename(real))

    @property
    def foreign(self) -> bool:
        """True for another root than the machine's own."""
        return self.root != "/"

    def system_name(self) -> str:
        """The operating system's name for people (os-release(5), PRETTY_NAME), or "Linux"."""
        for path in ("/etc/os-release", "/usr/lib/os-release"):
            try:
                text = self.read(path, limit=65536).content.decode("utf-8", "replace")
            except OSError:
                continue
            for line in text.splitlines():
                if line.startswith("PRETTY_NAME="):
                    return line.partition("=")[2].strip("\"'")
        return "Linux"

    def outside(self, path: str) -> str:
        """The machine's path of an already resolved path of this root."""
        return path if self.root == "/" else self.root + path

    def resolve(self, path: str) -> str:
        """`path` with all links followed, inside this root; the last part need not exist.

        Raises:
            OSError: ELOOP for links in a circle, EACCES where a folder on the way may not be searched.
        """
        if self.root == "/":
            real = os.path.realpath(path)
            if os.path.islink(real):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            return real
        done: list[str] = []
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                done = done[:-1]
                continue
            try:
                target = os.readlink("/".join([self.root, *done, part]))
            except OSError as problem:
                if problem.errno not in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):
                    raise
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                done = []
            todo.extend(part for part in reversed(target.split("/")) if part not in ("", "."))
        return "/" + "/".join(done)

    def stat(self, path: str) -> os.stat_result:
        """`stat` of what `path` leads to. Raises OSError."""
        return os.stat(self.outside(self.resolve(path)) if self.foreign else path)

    def is_file(self, path: str) -> bool:
        """`path` leads to a regular file."""
        try:
            return stat.S_ISREG(self.stat(path).st_mode)
        except OSError:
            return False

    def is_dir(self, path: str) -> bool:
        """`path` leads to a folder."""
        try:
            return stat.S_ISDIR(self.stat(path).st_mode)
        except OSError:
            return False

    def exists(self, path: str) -> bool:
        """There is something at `path`, be it a link that leads nowhere."""
        try:
            if self.foreign:
                head, _, tail = path.rstrip("/").rpartition("/")
                os.lstat(self.outside(self.resolve(head or "/")).rstrip("/") + "/" + tail)
            else:
                os.lstat(path)
        except OSError:
            return False
        return True

    def names(self, path: str) -> list[str]:
        """The sorted names in a folder, without an order of the file system's. Raises OSError."""
        return sorted(os.listdir(self.outside(self.resolve(path)) if self.foreign else path))

    def listed(self, path: str) -> list[str]:
        """`names`, or nothing where there is no such folder or it may not be read."""
        try:
            return self.names(path)
        except OSError:
            return []

    def entries(self, real: str) -> os._ScandirIterator[str]:
        """The entries of a folder whose path is already resolved; for walks, which follow no link. Raises OSError."""
        return os.scandir(self.outside(real))

    def head(self, real: str, size: int) -> bytes:
        """The first `size` bytes of a file whose path is already resolved, in one read; for walks.

        Raises:
            OSError: as `open` says it; ELOOP where a link has taken the file's place.
        """
        descriptor = os.open(self.outside(real), _HEAD_FLAGS)
        try:
            return os.read(descriptor, size)
        finally:
            os.close(descriptor)

    def absolute(self, path: str) -> str:
        """`path` from this process's folder; below a foreign root, which has no such folder, from its "/"."""
        if path.startswith("/"):
            return os.path.normpath("/" + path.lstrip("/")) if ".." not in path.split("/") else path
        return os.path.normpath("/" + path) if self.foreign else os.path.join(os.getcwd(), path)

    def read(self, path: str, *, limit: int = MAX_FILE_BYTES) -> FileBytes:
        """The content of the regular file that `path` leads to.

        Args:
            path: of this root.
            limit: the largest size read, in bytes.

        Raises:
            OSError: as `open` and `read` say it; EINVAL with words of ours for a device, a pipe or a socket,
                EISDIR for a folder, EFBIG over the limit.
        """
        target = self.outside(self.resolve(path)) if self.foreign else path
        descriptor = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                if stat.S_ISDIR(status.st_mode):
                    raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
                raise OSError(errno.EINVAL, f"is a {_type_name(status.st_mode)}, not a file", path)
            if status.st_size > limit:
                size = f"{status.st_size / 1e6:.0f} MB"
                raise OSError(errno.EFBIG, f"is too large for a trust store ({size})", path)
            parts = []
            room = limit + 1  # files of /proc say size 0, and a file may grow while it is read
            while room > 0 and (part := os.read(descriptor, min(room, 1 << 20))):
                parts.append(part)
                room -= len(part)
            if room <= 0:
                raise OSError(errno.EFBIG, "is too large for a trust store", path)
            return FileBytes(parts[0] if len(parts) == 1 else b"".join(parts), status)
        finally:
            os.close(descriptor)

    def opened(self, path: str, *, limit: int = MAX_PROGRAM_BYTES) -> io.FileIO:
        """The regular file that `path` leads to, open for reading at any place; the caller closes it.

        For programs and archives, of which only parts are wanted. It is no memory map: reading a file that somebody
        cuts short meanwhile then ends early, and does not end this process.

        Raises:
            OSError: as `open` says it; EINVAL for what is no regular file, EFBIG over the limit.
        """
        target = self.outside(self.resolve(path)) if self.foreign else path
        descriptor = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, f"is a {_type_name(status.st_mode)}, not a file", path)
            if status.st_size > limit:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
            return io.FileIO(descriptor, "rb")
        except OSError:
            os.close(descriptor)
            raise

    def run(
        self,
        argv: Sequence[str],
        *,
        environ: Mapping[str, str],
        timeout_s: float,
        stdin: bytes = b"",
        chroot: bool = False,
        inherit: Sequence[int] = (),
    ) -> Finished:
        """Start a program of this machine with exactly this environment and wait for its end.

        Args:
            argv: the program's absolute path and its arguments; no shell reads them.
            environ: all that it sees of an environment.
            timeout_s: seconds; it is killed then.
            stdin: what it may read.
            chroot: it is a program of a foreign root, and runs inside it (chroot(2)).
            inherit: descriptors that it keeps open, such as a lock that shall hold for as long as it runs.

        Raises:
            ReadError: a foreign root without `chroot`, no such program, or out of time.
        """
        if self.foreign and not chroot:
            raise ReadError("nothing is started from a foreign root")
        enter = ["/usr/sbin/chroot", self.root] if self.foreign else []
        try:
            done = subprocess.run(  # nothing is inherited: see `environ`
                [*enter, *argv],
                env=dict(environ),
                cwd="/",
                input=stdin,
                capture_output=True,
                timeout=timeout_s,
                check=False,
                pass_fds=tuple(inherit),
            )
        except OSError as problem:
            raise ReadError(f"`{argv[0]}` could not be started: {problem.strerror}") from problem
        except subprocess.TimeoutExpired as problem:
            raise ReadError(f"`{argv[0]}` did not end within {timeout_s:.0f} s") from problem
        return Finished(tuple(argv), done.returncode, done.stdout, done.stderr)

    def safe_to_run(self, path: str) -> bool:
        """Whether this process may start the program at `path`: as root only what nobody else can write.

        The file and every folder above it, links followed, must belong to root and be writable by root alone.
        """
        try:
            real = self.resolve(path)
            if os.geteuid() != 0:
                return os.access(self.outside(real), os.X_OK)
            while True:
                status = os.stat(self.outside(real))
                if status.st_uid != 0 or (status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX):
                    return False
                if real == "/":
                    return True
                real = os.path.dirname(real)
        except OSError:
            return False


def _same_folder(one: str, other: str) -> bool:
    try:
        return os.path.samestat(os.stat(one), os.stat(other))
    except OSError:
        return False


def _type_name(mode: int) -> str:
    for test, name in (
        (stat.S_ISFIFO, "named pipe"),
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISCHR, "device"),
        (stat.S_ISBLK, "device"),
    ):
        if test(mode):
            return name
    return "special file"
