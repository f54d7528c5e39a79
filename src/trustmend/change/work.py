"""The small parts that making a change and taking it back share: what becomes of which path, and how it is recorded."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from trustmend.change.disk import Disk
from trustmend.change.files import PREFIX, State
from trustmend.change.journal import Journal, Json
from trustmend.change.owner import Hands
from trustmend.errors import ChangedError, StepError
from trustmend.host import Host

PROGRAM_ENVIRON: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/",
    "DEBIAN_FRONTEND": "noninteractive",
}
"""All that a program which we start sees of an environment."""


@dataclass(frozen=True)
class Swap:
    """One path that becomes something else. `content` is of the new file; empty where it is known by its SHA-256."""

    path: str
    before: State
    after: State
    content: bytes = field(default=b"", repr=False)

    def to_json(self) -> Json:
        """As the journal keeps it; bytes of a path that are not UTF-8 are lone surrogates, which JSON escapes."""
        return {"path": self.path, "before": self.before.to_json(), "after": self.after.to_json()}

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Swap:
        """The reverse of `to_json`."""
        return Swap(_path(row["path"]), State.from_json(row["before"]), State.from_json(row["after"]))


def _path(text: object) -> str:
    if not isinstance(text, str) or not text.startswith("/"):
        raise ValueError("a path that is not absolute")
    return text


@dataclass
class Context:
    """What one run of a writing command works with.

    say: tells the operator what is being done; one line without a line end.
    """

    host: Host
    hands: Hands
    journal: Journal
    inherit: Sequence[int] = ()
    say: Callable[[str], None] = lambda _: None
    serial: int = 0

    @property
    def disk(self) -> Disk:
        """The door to the disk."""
        return self.journal.disk

    def temporary(self) -> str:
        """A temporary name that `clear` knows again."""
        self.serial += 1
        return f"{PREFIX}{self.journal.id}-{os.getpid()}-{self.serial}"

    def clear(self, folders: Sequence[str]) -> None:
        """Remove what this change has left under temporary names."""
        for folder in dict.fromkeys(folders):
            with contextlib.suppress(OSError):
                self.hands.clear(folder, f"{PREFIX}{self.journal.id}-")

    def put(self, swap: Swap) -> None:
        """Do one swap.

        Raises:
            StepError: with words for the operator; the path is as it was.
            ChangedError: something else stands there.
        """
        try:
            self.hands.put(swap.path, swap.after, swap.content, swap.before, self.temporary())
        except OSError as problem:
            raise StepError(in_words(problem, swap.path)) from problem

    def keep(self, swaps: Sequence[Swap]) -> None:
        """Keep the content of every file that is going to be replaced. Raises StepError and ChangedError."""
        for swap in swaps:
            if swap.before.kind == "file":
                self.keep_file(swap.path, swap.before)

    def keep_file(self, path: str, seen: State) -> None:
        """Keep a file's content, which must be the one that was seen. Raises StepError and ChangedError."""
        try:
            state, content = self.hands.read(path)
            if not state.same(seen):
                raise ChangedError(path)
            self.journal.keep(content)
        except OSError as problem:
            raise StepError(f"its backup could not be made: {problem.strerror or problem}") from problem

    def back(self, swap: Swap, now: State) -> None:
        """Put the old thing back where `now` stands. Raises StepError, RefusedError or ChangedError."""
        content = self.journal.kept(swap.before.sha256) if swap.before.sha256 is not None else b""
        self.put(Swap(swap.path, now, swap.before, content))


def in_words(problem: OSError, path: str) -> str:
    """What a failed write means, for the operator."""
    where = os.path.dirname(path)
    match problem.errno:
        case 28 | 122:
            return f"there is no room left below {where} ({problem.strerror})"
        case 30:
            return f"the file system of {where} is read-only"
        case 16:
            return "it is mounted on its own, as containers have single files; change the file outside or the image"
        case 1 | 13:
            return f"permission denied below {where}: its owner, or an immutable flag (lsattr) or SELinux, forbids it"
        case 40 | 20:
            return f"a link, or something else than a folder, stands on the way below {where}"
        case _:
            return f"{problem.strerror or problem} ({where})"


def swaps_of(rows: object) -> Iterator[Swap]:
    """The swaps of a journal's line. Raises ValueError and others for what was never written there."""
    if not isinstance(rows, list):
        raise ValueError("no list of paths")
    for row in rows:
        yield Swap.from_json(row)
