"""Run inside a throwaway system: each operation of a patch of the system's own store fails, or is the last one.

usage: system_faults.py kill|full patch|rollback. Prints the number of operations, or ends with an AssertionError.
"""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import sys

from change.faults import FailingDisk
from trustmend.change import disk
from trustmend.cli.app import run

PLACES = ("/etc/ssl", "/etc/ca-certificates", "/usr/local/share/ca-certificates", "/var/lib/ca-certificates-java")
PATCH = ["-q", "patch", "--yes", "--bundle", "vendor", "-o", "/dev/null"]
ROLLBACK = ["-q", "rollback", "--yes", "-o", "/dev/null"]


def manifest() -> dict[str, tuple[object, ...]]:
    """Everything in the places, but for times."""
    found: dict[str, tuple[object, ...]] = {}
    for top in PLACES:
        for folder, folders, files in os.walk(top):
            for name in [*folders, *files]:
                path = f"{folder}/{name}"
                status = os.lstat(path)
                content = os.readlink(path) if os.path.islink(path) else ""
                if not content and os.path.isfile(path):
                    with open(path, "rb") as file:
                        content = hashlib.sha256(file.read()).hexdigest()
                found[path] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found


def command(words: list[str], nth: int = 0, error: int | None = None) -> int:
    """The exit code of a command in a child process whose nth operation fails; the signal's number if killed."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        code = 1
        try:
            if nth:
                # The door that every writing command takes; the child is its only user.
                disk.Disk = lambda: FailingDisk(nth, error)  # type: ignore[assignment,misc]
            code = run(words)
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def main(how: str, what: str) -> None:
    """Break one operation after the other."""
    error = None if how == "kill" else errno.ENOSPC
    old = manifest()
    nth = 0
    while True:
        nth += 1
        if what == "rollback":
            assert command(PATCH) == 0
        code = command(PATCH if what == "patch" else ROLLBACK, nth, error)
        assert code in (0, 4, 5, 6, signal.SIGKILL), (nth, code)
        recovered = command(["recover"])
        assert recovered == 0, (nth, code, recovered)
        if manifest() != old:  # it was made, or not yet taken back
            assert command(ROLLBACK) == 0, (nth, code)
        now = manifest()
        wrong = {path: (old.get(path), now.get(path)) for path in {*old, *now} if old.get(path) != now.get(path)}
        assert not wrong, (nth, code, wrong)
        if code == 0 and not _was_hit(nth, what):
            break
    sys.stdout.write(f"{nth}\n")


def _was_hit(nth: int, what: str) -> bool:
    """Whether a whole run has as many operations as this."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        counted = FailingDisk(1 << 30, None)
        disk.Disk = lambda: counted  # type: ignore[assignment,misc]
        try:
            if what == "rollback":
                run(PATCH)
                counted.calls = 0
            run(PATCH if what == "patch" else ROLLBACK)
        finally:
            os.write(writing, str(counted.calls).encode())
            os._exit(0)
    os.close(writing)
    calls = int(os.read(reading, 20))
    os.waitpid(pid, 0)
    command(["recover"])
    command(ROLLBACK)
    return nth <= calls


if __name__ == "__main__":
    main(*sys.argv[1:])
