"""`--scan DIR`: finds trust stores by content, whatever the files are called, in two processes.

Promises: no link is followed, nothing but regular files is opened, and nothing is opened in a way that can block;
memory is bounded by the number of hits; no file is given twice, whatever its hard links and bind mounts; what
vanishes or may not be read is no error but a number.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
import struct
import sys
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Final

from trustmend.places import mounts
from trustmend.places.names import NOT_STORES, PROMISING
from trustmend.places.sniff import HEAD_BYTES, LONG_HEAD_BYTES, is_store

if TYPE_CHECKING:
    from trustmend.host import Host

_SPLIT: Final = 192
"""How many pieces of work the tree is cut into, at least, so that two processes end at about the same time."""
_MOST_PIECES: Final = 8192  # a pipe holds 65536 bytes and so this many numbers, twice over
_NUMBER: Final = struct.Struct("=I")
_HIT: Final = struct.Struct("=BQQI")  # kind, device or count, inode, length of the path that follows
_HITS_KEPT: Final = 1_000_000


class Scan:
    """The paths below one folder whose content is a trust store's, in no order. Iterate once.

    `unreadable` is the number of folders and files that could not be read and `files` the number looked at; both are
    whole when the iteration has ended. `progress` is called now and then with the number of files so far.
    """

    def __init__(
        self,
        host: Host,
        top: str,
        *,
        network: bool = False,
        leave: frozenset[str] = frozenset(),
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.unreadable = 0
        self.files = 0
        self._host = host
        self._progress = progress
        self._stops = mounts.left_out(host, network=network) | leave
        self._seen: set[tuple[int, int]] = set()
        self._hits = self._run(top)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._hits)

    def close(self) -> None:
        """End the search early, and its second process."""
        self._hits.close()

    def _run(self, top: str) -> Generator[str, None, None]:
        try:
            real = self._host.resolve(top)
        except OSError:
            self.unreadable += 1
            return
        if not self._host.is_dir(real):
            self.unreadable += not self._host.is_file(real)
            yield from self._new([found] if (found := _looked_at(self._host, *os.path.split(real), self)) else [])
            return
        pieces = [real.rstrip("/")]
        while pieces and len(pieces) < _SPLIT:
            # Breadth first: each round replaces the folders by their sub-folders and looks at their files.
            below: list[str] = []
            for folder in pieces:
                yield from self._new(_look_into(self._host, folder, self._stops, below, self))
            pieces = below
        yield from self._shared(pieces)

    def _shared(self, pieces: list[str]) -> Iterator[str]:
        """Walk all `pieces`, with a second process where one can be had."""
        helper = _Helper.start(self._host, self._stops, pieces)
        if helper is None:
            for piece in pieces:
                yield from self._walked(piece)
            return
        try:
            while (mine := helper.next_piece()) is not None:
                yield from self._walked(mine)
                yield from self._new(self._heard(helper.messages(wait=False)))
            while helper.reading >= 0:
                yield from self._new(self._heard(helper.messages(wait=True)))
        finally:
            helper.end()
        # What a helper had begun when it was killed is walked again; what it had found is known by its inode.
        for rest in helper.unfinished():
            yield from self._walked(rest)

    def _walked(self, piece: str) -> Iterator[str]:
        stack = [piece]
        while stack:
            yield from self._new(_look_into(self._host, stack.pop(), self._stops, stack, self))
            if self._progress is not None:
                self._progress(self.files)

    def _heard(self, messages: list[tuple[int, int, int, str]]) -> list[tuple[int, int, str]]:
        hits = []
        for kind, first, second, path in messages:
            if kind == _FOUND:
                hits.append((first, second, path))
            else:
                self.files += first
                self.unreadable += second
        return hits

    def _new(self, hits: list[tuple[int, int, str]]) -> Iterator[str]:
        for device, inode, path in hits:
            if (device, inode) not in self._seen:
                if len(self._seen) < _HITS_KEPT:
                    self._seen.add((device, inode))
                yield path


_FOUND: Final = 1
_COUNTS: Final = 2


class _Tally:
    """The helper's own numbers."""

    files = 0
    unreadable = 0


def _look_into(
    host: Host, folder: str, stops: frozenset[str], below: list[str], tally: Scan | _Tally
) -> list[tuple[int, int, str]]:
    """The stores among a folder's files, as (device, inode, path); its sub-folders are added to `below`."""
    hits = []
    try:
        with host.entries(folder or "/") as listing:
            for entry in listing:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    child = f"{folder}/{name}"
                    if child not in stops:
                        below.append(child)
                    continue
                tally.files += 1
                ending = name.rpartition(".")[2]
                if ending in NOT_STORES or not entry.is_file(follow_symlinks=False):
                    continue
                if ending.isdecimal() and ".so." in name:  # a shared library with its version
                    continue
                hit = _looked_at(host, folder, name, tally)
                if hit is not None:
                    hits.append(hit)
    except OSError as problem:
        if problem.errno not in (errno.ENOENT, errno.ENOTDIR):
            tally.unreadable += 1
    return hits


def _looked_at(host: Host, folder: str, name: str, tally: Scan | _Tally) -> tuple[int, int, str] | None:
    """(device, inode, path) of a regular file, if its head is a store's."""
    path = f"{folder.rstrip('/')}/{name}"
    try:
        head = host.head(path, HEAD_BYTES)
        store = is_store(head, name)
        if not store and len(head) == HEAD_BYTES and name.rpartition(".")[2].lower() in PROMISING:
            store = is_store(host.head(path, LONG_HEAD_BYTES), name)
        if not store:
            return None
        status = host.stat(path)
    except OSError as problem:
        # ELOOP: a link has taken the place of the file, and links are not followed.
        tally.unreadable += problem.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
        return None
    return (status.st_dev, status.st_ino, path) if stat.S_ISREG(status.st_mode) else None


class _Helper:
    """The second process, and the queue of pieces that both take from: a pipe that holds their numbers.

    Each number is read by one process only (pipe(7): reads of one pipe take turns), so that nobody waits for the
    other's half; the helper says which numbers it has finished.
    """

    def __init__(self, pid: int, queue: int, reading: int, pieces: list[str]) -> None:
        self._pid = pid
        self._queue = queue
        self.reading = reading  # -1 after the helper's last word
        self._pieces = pieces
        self._open = set(range(len(pieces)))
        self._rest = b""

    @staticmethod
    def start(host: Host, stops: frozenset[str], pieces: list[str]) -> _Helper | None:
        """A helper at work; None where it would not be worth it or no process can be made."""
        threading = sys.modules.get("threading")
        alone = threading is None or threading.active_count() == 1
        if not alone or not 1 < len(pieces) <= _MOST_PIECES or (os.cpu_count() or 1) < 2:
            return None
        queue, filling = os.pipe()
        os.write(filling, b"".join(map(_NUMBER.pack, range(len(pieces)))))
        os.close(filling)
        reading, writing = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            for descriptor in (queue, reading, writing):
                os.close(descriptor)
            return None
        if pid == 0:
            os.close(reading)
            _help(host, stops, pieces, queue, writing)
        os.close(writing)
        return _Helper(pid, queue, reading, pieces)

    def next_piece(self) -> str | None:
        """A piece that nobody has taken yet."""
        taken = os.read(self._queue, _NUMBER.size)
        if not taken:
            return None
        number: int = _NUMBER.unpack(taken)[0]
        self._open.discard(number)
        return self._pieces[number]

    def unfinished(self) -> list[str]:
        """The pieces that a helper took and did not finish; none unless it was killed."""
        return [self._pieces[number] for number in sorted(self._open)]

    def messages(self, *, wait: bool) -> list[tuple[int, int, int, str]]:
        """What the helper has said since: (kind, number, number, path)."""
        if self.reading < 0 or not (wait or select.select((self.reading,), (), (), 0)[0]):
            return []
        part = os.read(self.reading, 1 << 16)
        if not part:
            os.close(self.reading)
            self.reading = -1
            return []
        data = self._rest + part
        said = []
        at = 0
        while len(data) - at >= _HIT.size:
            kind, first, second, length = _HIT.unpack_from(data, at)
            if len(data) - at - _HIT.size < length:
                break
            at += _HIT.size
            path = os.fsdecode(data[at : at + length])
            at += length
            if kind == _COUNTS:
                self._open.discard(int(path))
            said.append((kind, first, second, path))
        self._rest = data[at:]
        return said

    def end(self) -> None:
        """Take leave of the helper: it has ended or it is ended."""
        os.close(self._queue)
        if self.reading >= 0:
            os.close(self.reading)
            self.reading = -1
            os.kill(self._pid, signal.SIGKILL)  # not yet waited for, so the number is still the helper's
        os.waitpid(self._pid, 0)


def _help(host: Host, stops: frozenset[str], pieces: list[str], queue: int, writing: int) -> None:
    """The helper's whole life: it never returns, and flushes none of its parent's buffers."""
    try:
        with os.fdopen(writing, "wb") as out:
            while taken := os.read(queue, _NUMBER.size):
                number = _NUMBER.unpack(taken)[0]
                tally = _Tally()
                stack = [pieces[number]]
                while stack:
                    for device, inode, path in _look_into(host, stack.pop(), stops, stack, tally):
                        encoded = os.fsencode(path)
                        out.write(_HIT.pack(_FOUND, device, inode, len(encoded)) + encoded)
                done = str(number).encode()
                out.write(_HIT.pack(_COUNTS, tally.files, tally.unreadable, len(done)) + done)
                out.flush()
    finally:
        os._exit(0)
