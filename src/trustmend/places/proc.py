"""What /proc says of a process, for people and for looking up the paths that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from trustmend.certificate import printable
from trustmend.host import Host

MOST_BYTES: Final = 1 << 20
"""Of an environment or a command line."""
_UNIT: Final = re.compile(r"/([^/\n]+\.service)(?:/|$)", re.MULTILINE)
_CONTAINER: Final = re.compile(
    r"(?:docker|libpod|crio|cri-containerd|lxc\.payload|machine)[-./:]([\w.-]+?)(?:\.scope|/|$)|/([0-9a-f]{64})(?:/|$)",
    re.MULTILINE,
)
_HIDDEN: Final = re.compile(
    r"""(?ix) ((?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|auth|key)[\w.-]*["']?\s*[=:\x20]\s*["']?)
    [^\s"']+ | (\w://[^\s/:@]*:)[^\s/@]+(?=@) | ((?<!\S)(?:-u|--user|--proxy-user)[=\x20][^\s:]*:)\S+"""
)
_SHOWN: Final = 200


@dataclass(frozen=True)
class Seen:
    """A process as /proc shows it. `environ` holds the variables that matter alone; None where it cannot be read."""

    pid: int
    program: str  # the executable, in the process's root; of a process that cannot be looked into its argv[0]
    line: bytes
    environ: Mapping[str, str] | None = field(repr=False)
    folder: str | None  # it works in

    @property
    def words(self) -> list[str]:
        """The command line."""
        return [os.fsdecode(word) for word in self.line.rstrip(b"\0").split(b"\0")]

    def path(self, path: str) -> str | None:
        """An absolute path of the process's root; None where it is relative to a folder that is not known."""
        if path.startswith("/"):
            return path
        return None if self.folder is None else os.path.join(self.folder, path)


def inside(host: Host, path: str) -> str:
    """A link of /proc as a path of the root: the kernel says where it is as this process sees it."""
    path = path.removesuffix(" (deleted)")
    if host.foreign and path.startswith(host.root + "/"):
        return path[len(host.root) :]
    return path


def may_read(host: Host, seen: Seen, path: str) -> bool:
    """Whether root may look at a path for a process of another user: only at what that user can read, by its mode.

    What is not there may be told of.
    """
    if os.geteuid() != 0 or seen.environ is None:
        return True
    try:
        status = Host().read(f"/proc/{seen.pid}/status", limit=65536).content.decode("ascii", "replace")
        fields = {key: value.split() for key, _, value in (line.partition(":") for line in status.splitlines())}
        uid = int(fields["Uid"][3])
        groups = {int(fields["Gid"][3]), *map(int, fields.get("Groups", []))}
        if uid == 0:
            return True
        real = host.resolve(path)
        wanted = 4
        while True:
            try:
                found = host.stat(real)
            except FileNotFoundError:
                found = None
            if found is not None:
                shift = 6 if found.st_uid == uid else 3 if found.st_gid in groups else 0
                if not found.st_mode >> shift & wanted:
                    return False
            if real == "/":
                return True
            real, wanted = os.path.dirname(real), 1
    except (OSError, KeyError, ValueError, IndexError):
        return False


def users(host: Host) -> dict[int, str]:
    """The names of /etc/passwd, printable, by number."""
    try:
        text = host.read("/etc/passwd").content.decode("utf-8", "replace")
    except OSError:
        return {}
    rows = (line.split(":") for line in text.splitlines())
    return {int(row[2]): printable(row[0]) for row in rows if len(row) > 2 and row[2].isdecimal()}


def command_text(line: bytes) -> str:
    """A command line of /proc for people: one printable line of at most 200 characters, without secrets."""
    words = line.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")[:4096]
    return printable(_HIDDEN.sub(lambda match: f"{match[1] or match[2] or match[3]}...", words))[:_SHOWN]


def unit_of(host: Host, pid: int) -> str | None:
    """The systemd service in which a process runs (cgroups(7), systemd.unit(5))."""
    return control_group(host, pid)[0]


def control_group(host: Host, pid: int) -> tuple[str | None, str | None]:
    """(systemd service, container's id) of a process."""
    try:
        text = host.read(f"/proc/{pid}/cgroup", limit=65536).content.decode("utf-8", "replace")
    except OSError:
        return None, None
    units = _UNIT.findall(text)
    container = _CONTAINER.search(text)
    name = (container[1] or container[2]) if container else None
    return printable(units[-1]) if units else None, printable(name)[:12] if name else None
