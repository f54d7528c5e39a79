"""An audit opens nothing for writing, starts no program and changes no file, by the interpreter's own audit events."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import shipped

# Its second processes inherit the hook. /dev/null is the answer's place; a pipe between processes has no path.
WATCHED = """
import os, sys
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
    "os.chown", "os.utime", "os.setxattr", "os.removexattr", "shutil.", "tempfile.")
STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.spawn", "socket.connect", "socket.bind")
def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        bad = isinstance(path, (str, bytes)) and path != "/dev/null" and flags & WRITES
    else:
        bad = event.startswith(CHANGES + STARTS)
    if bad:
        os.write(2, f"BREACH {event} {arguments}\\n".encode("utf-8", "replace"))
        os._exit(99)
sys.dont_write_bytecode = True
sys.addaudithook(watch)
from trustmend.cli.start import main
main()
"""


def watched(*arguments: object, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command below the hook."""
    return subprocess.run(
        [sys.executable, "-c", WATCHED, *map(str, arguments)],
        env={**environ, "PYTHONPATH": str(shipped.ROOT / "src")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        ["audit", "-o", "/dev/null"],
        ["audit", "--json", "--bundle", "all", "-o", "/dev/null"],
        ["stores", "-o", "/dev/null", "--all"],
        ["audit", "--scan", "/etc", "-o", "/dev/null"],
        ["bundle", "list"],
        ["bundle", "verify"],
    ],
    ids=" ".join,
)
def test_this_whole_machine(words: list[str], clean_env: dict[str, str]) -> None:
    done = watched(*words, environ=clean_env)

    assert "BREACH" not in done.stderr, done.stderr
    assert done.returncode in (0, 3, 4), done.stderr


def test_the_watch_sees_a_write(tmp_path: Path, clean_env: dict[str, str]) -> None:
    """The hook above does see what it is there for."""
    done = watched("audit", "-o", tmp_path / "answer", environ=clean_env)

    assert done.returncode == 99
    assert "BREACH open" in done.stderr
