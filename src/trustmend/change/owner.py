"""Root's work in other people's folders: done by a child that has become their owner.

Root that writes below a folder of a user's follows that user's links and renames; a child with the user's own rights
can do no more there than the user could.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import Any, TypeVar

from trustmend.change.files import Files, State
from trustmend.errors import ChangedError, StepError

T = TypeVar("T")


def as_user(uid: int, gid: int, act: Callable[[], T]) -> T:
    """What `act` gives or raises, in a child process with the rights of `uid` and `gid` and no other group.

    Raises:
        OSError, ChangedError: as `act` raises them.
        StepError: the child ended in another way.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(uid, gid, act, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        try:
            answer = said.read()
        finally:
            os.waitpid(pid, 0)
    if not answer:
        raise StepError(f"the process that works as user {uid} ended without an answer")
    # Only what `_child` below has written: the descriptor never left these two processes.
    kind, value = pickle.loads(answer)  # noqa: S301
    match kind:
        case "changed":
            raise ChangedError(value)
        case "error":
            raise OSError(*value)
        case _:
            return value  # type: ignore[no-any-return]  # what `act` gave


def _child(uid: int, gid: int, act: Callable[[], Any], writing: int) -> None:
    """The child's whole life; it never returns, and runs nothing that its parent has registered for its own end."""
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        answer: tuple[str, Any]
        try:
            answer = ("value", act())
        except ChangedError as problem:
            answer = ("changed", problem.path)
        except OSError as problem:
            answer = ("error", (problem.errno, problem.strerror, problem.filename))
        with os.fdopen(writing, "wb") as out:
            out.write(pickle.dumps(answer))
    finally:
        os._exit(0)


class Hands:
    """`Files` whose reads and writes below a user's folder are done as that user, where this process is root."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def owner(self, path: str) -> tuple[int, int]:
        """User and group that act at `path`; (0, 0) stands for this process. Raises OSError."""
        return self.files.owner(path) if os.geteuid() == 0 else (0, 0)

    def read(self, path: str) -> tuple[State, bytes]:
        """As `Files.read`."""
        return self._act(path, lambda: self.files.read(path))

    def look(self, path: str) -> State:
        """As `Files.look`."""
        return self.read(path)[0]

    def put(self, path: str, wanted: State, content: bytes, expected: State, temporary: str) -> State:
        """As `Files.put`."""
        return self._act(path, lambda: self.files.put(path, wanted, content, expected, temporary))

    def clear(self, path: str, prefix: str) -> None:
        """As `Files.clear`."""
        self._act(f"{path}/-", lambda: self.files.clear(path, prefix))

    def _act(self, path: str, act: Callable[[], T]) -> T:
        try:
            uid, gid = self.owner(path)
        except FileNotFoundError:
            return act()
        return act() if uid == 0 else as_user(uid, gid, act)
