"""The programs that a host's people have put there themselves: where they are, and which of them are opened.

Packages' own programs in /usr/bin follow the distribution's policy and read the system's store; what carries roots of
its own comes from elsewhere: an upstream's release, `go install`, `cargo install`, a self-contained archive.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trustmend.places.tree import leaves_home

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

FOLDERS: Final = ("/usr/local/bin", "/usr/local/sbin", "/opt/bin")
HOME_FOLDERS: Final = (".local/bin", "bin", ".cargo/bin", "go/bin", ".deno/bin", ".bun/bin")
MAX_FILES: Final = 1000
"""How many are looked at; more are a mirror of programs rather than somebody's own."""


@dataclass(frozen=True)
class Program:
    """A regular file in a folder of programs; `head` are its first bytes."""

    path: str  # links followed
    size: int
    head: bytes


def programs(host: Host, survey: Survey) -> Iterator[Program]:
    """The programs in those folders and in /opt/*/bin, each once, in order; unreadable ones are left out."""
    guarded = survey["homes"] if os.geteuid() == 0 else []
    seen: set[str] = set()
    for folder in _folders(host, survey):
        for name in host.listed(folder):
            path = f"{folder}/{name}"
            if leaves_home(host, path, guarded):
                continue
            found = _program(host, path, seen)
            if found is not None:
                yield found
            if len(seen) >= MAX_FILES:
                return


def _folders(host: Host, survey: Survey) -> list[str]:
    opt = [f"/opt/{name}/bin" for name in host.listed("/opt")]
    homes = [f"{home}/{folder}" for home in survey["homes"] for folder in HOME_FOLDERS]
    return [*FOLDERS, *opt, *homes]


def _program(host: Host, path: str, seen: set[str]) -> Program | None:
    try:
        real = host.resolve(path)
        if real in seen:
            return None
        seen.add(real)
        status = host.stat(real)
        if not stat.S_ISREG(status.st_mode) or status.st_size < 4096:
            return None
        return Program(real, status.st_size, host.head(real, 512))
    except OSError:
        return None
