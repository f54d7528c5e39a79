"""The state folder: the changes made, with journals and backups, and the lock that lets one change work at a time.

1. Everything in it belongs to the effective user, and nobody else can write it or put another thing in its place;
   else nothing in it is believed: recover acts on a journal without asking.
2. Folders have mode 0700 and files 0600: backups of key stores hold private keys.
3. The lock is held by this process and by the programs that it has started, until the last of them ends.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from trustmend.certificate import printable
from trustmend.change.disk import Disk
from trustmend.errors import RefusedError
from trustmend.host import Host

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
LOCK_WAIT_S: Final = 30.0
"""How long a second change waits for the first."""


def default_folder() -> str:
    """Where root's and a user's changes are kept on this machine: /var/lib/trustmend, ~/.local/state/trustmend."""
    if os.geteuid() == 0:
        return "/var/lib/trustmend"  # platformdirs has no site state folder; FHS 3.0, section 5.8
    from platformdirs import user_state_dir

    return user_state_dir("trustmend", appauthor=False)


def folder_of(host: Host, chosen: str | None) -> str:
    """The state folder for the changes of `host`'s root: a foreign root has one of its own inside the machine's."""
    base = os.path.abspath(chosen) if chosen else default_folder()
    if not host.foreign:
        return base
    name = hashlib.sha256(os.fsencode(host.root)).hexdigest()[:12]
    return f"{base}/roots/{name}-{printable(os.path.basename(host.root))}"


@dataclass(frozen=True)
class StateFolder:
    """The folder at `path`; made at the first write."""

    path: str
    disk: Disk

    @property
    def changes(self) -> str:
        """The folder of all changes."""
        return f"{self.path}/changes"

    def exists(self) -> bool:
        """Whether there is one."""
        return os.path.lexists(self.path)

    def make(self) -> None:
        """Make what is missing of it, and check all that is there.

        Raises:
            RefusedError: it cannot be made, or is not this user's alone.
        """
        try:
            self._make(self.path)
            make_folder(self.disk, self.changes)
        except OSError as problem:
            raise RefusedError(
                f"the state folder `{printable(self.path)}` cannot be made: {problem.strerror}",
                hint="give another with --state-dir",
            ) from problem
        check_folder(self.path)
        check_folder(self.changes)

    def _make(self, path: str) -> None:
        if os.path.isdir(path):
            return
        above = os.path.dirname(path)
        if above != path:
            self._make(above)
        make_folder(self.disk, path)

    def names(self) -> list[str]:
        """The ids of all changes, oldest first (an id begins with its time). Raises RefusedError."""
        if not os.path.lexists(self.changes):
            return []
        check_folder(self.path)
        check_folder(self.changes)
        return sorted(name for name in os.listdir(self.changes) if not name.startswith("."))

    def new_id(self, now: datetime) -> str:
        """An id for a change that begins now: its time in UTC to the millisecond, and behind all others.

        The time is moved on where an id of that time or a later one is there: the clock may have been set back.
        """
        names = self.names()
        moment = now.astimezone(UTC)
        while names and _stamp(moment) <= names[-1][: len(_stamp(moment))]:
            try:
                moment = datetime.strptime(names[-1][:18], _STAMP + "%f").replace(tzinfo=UTC)
            except ValueError:
                break  # a name of somebody else's
            moment += timedelta(milliseconds=1)
        return f"{_stamp(moment)}-{secrets.token_hex(2)}"

    def lock(self, *, wait_s: float = LOCK_WAIT_S, waiting: Callable[[], None] | None = None) -> Lock:
        """The lock, held. Closing it, or the end of all processes that hold it, gives it back.

        Args:
            wait_s: seconds to wait for another's end.
            waiting: called once if there is something to wait for.

        Raises:
            RefusedError: another change is at work.
        """
        self.make()
        folder = os.open(self.path, _FOLDER_FLAGS)
        try:
            descriptor = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
        finally:
            os.close(folder)
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None:
                    waiting()
                    waiting = None
                if time.monotonic() >= until:
                    os.close(descriptor)
                    raise RefusedError(
                        "another change is at work on this host; nothing was changed",
                        hint="wait for its end, then start this again",
                    ) from None
                time.sleep(0.1)
            except BaseException:
                os.close(descriptor)
                raise
            else:
                return Lock(descriptor)


_STAMP: Final = "%Y%m%dT%H%M%S"


def _stamp(moment: datetime) -> str:
    return f"{moment:{_STAMP}}{moment.microsecond // 1000:03}Z"


@dataclass(frozen=True)
class Lock:
    """The held lock. `descriptor` is handed to programs that are started, so that it holds until they end, too."""

    descriptor: int

    def close(self) -> None:
        """Give it back."""
        os.close(self.descriptor)


def make_folder(disk: Disk, path: str) -> None:
    """A folder of mode 0700 at `path`, whose parent is there; nothing if it is there. Raises OSError."""
    above, name = os.path.split(path)
    folder = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        disk.mkdir(name, 0o700, dir_fd=folder)
        disk.fsync(folder)
    except FileExistsError:
        pass
    finally:
        os.close(folder)


def check_folder(path: str) -> None:
    """Refuse a folder that is another's, or that others can write or replace; for all folders above it as well.

    Raises:
        RefusedError: with what is wrong.
    """
    real = os.path.realpath(path)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise _not_ours(path, "it is no folder")
    _check_owner(path, status)
    here = real
    while here != "/":
        here = os.path.dirname(here)
        above = os.stat(here)
        loose = above.st_mode & (stat.S_IWOTH | stat.S_IWGRP) and not above.st_mode & stat.S_ISVTX
        own_group = above.st_mode & stat.S_IWGRP and not above.st_mode & stat.S_IWOTH and os.geteuid() != 0
        if above.st_uid not in (0, os.geteuid()) or (loose and not own_group):
            raise _not_ours(here, "others could put another folder in its place")


def _check_owner(path: str, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise _not_ours(path, "it belongs to another user")
    if status.st_mode & 0o022:
        raise _not_ours(path, "others can write it")


def _not_ours(path: str, why: str) -> RefusedError:
    return RefusedError(
        f"`{printable(path)}` is not used: {why}; nothing was changed",
        hint="whoever can write there could make this program do anything: look who did that, "
        "mend owner and mode, or give another folder with --state-dir",
    )


def read_file(path: str) -> bytes:
    """A file of the state folder: a plain file of this user's that nobody else can write.

    Raises:
        RefusedError: it is not.
        OSError: as the system says it.
    """
    try:
        descriptor = os.open(path, _FILE_FLAGS)
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            raise _not_ours(path, "it is a link") from problem
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise _not_ours(path, "it is no plain file")
        _check_owner(path, status)
        parts = []
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)
