"""A disk of which one operation fails: the real one, but for a chosen call."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from trustmend.change.disk import Disk
from trustmend.errors import ReadError

P = ParamSpec("P")
R = TypeVar("R")
OPERATIONS = tuple(name for name in vars(Disk) if not name.startswith("_"))
INTERRUPT = -1
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS)


class FailingDisk(Disk):
    """The nth operation fails, or all from it on.

    Args:
        nth: from 1.
        error: an errno; INTERRUPT: Ctrl-C; or None: this process is killed there.
        persistent: every later operation fails, too.
        late: it is done, and fails then.
    """

    def __init__(self, nth: int, error: int | None, *, persistent: bool = False, late: bool = False) -> None:
        self.nth = nth
        self.error = error
        self.persistent = persistent
        self.late = late
        self.calls = 0
        self.hits = 0
        self.log: list[str] = []

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401  whatever the operation is
        found = super().__getattribute__(name)
        return self._guarded(name, found) if name in OPERATIONS else found

    def _guarded(self, name: str, act: Callable[P, R]) -> Callable[P, R]:
        @wraps(act)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            self.calls += 1
            self.log.append(name)
            if self.calls != self.nth and not (self.persistent and self.calls > self.nth):
                return act(*args, **kwargs)
            self.hits += 1
            if self.late:
                with suppress(OSError):
                    act(*args, **kwargs)
            if self.error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.error == INTERRUPT:
                raise KeyboardInterrupt
            if name == "run":
                raise ReadError(f"could not be started: {os.strerror(self.error or 0)}")
            raise OSError(self.error, os.strerror(self.error or 0))

        return guarded


def killed_at_each(act: Callable[[Disk], object], *, late: bool) -> Iterator[int]:
    """Run `act` in a child process that is killed at its first operation, then at its second, and so on.

    Yields the operation's number after each death; ends when the child comes to its end.
    """
    nth = 1
    while True:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                act(FailingDisk(nth, None, late=late))
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "the child failed of itself"
            return
        assert os.WTERMSIG(status) == signal.SIGKILL
        yield nth
        nth += 1
