"""Which folders of the machine are other file systems that a walk leaves out. Source: proc(5), mountinfo."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from trustmend.places.names import NETWORK_TYPES, PSEUDO_TYPES

if TYPE_CHECKING:
    from trustmend.host import Host

PSEUDO_FOLDERS: Final = frozenset(("/proc", "/sys", "/dev", "/run"))
"""Of every root, mounted or not: an unpacked image may hold device nodes there."""
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


def left_out(host: Host, *, network: bool) -> frozenset[str]:
    """The paths of this root at which a walk stops.

    Args:
        host: whose root it is; the mounts are always the machine's own.
        network: enter the file systems of other machines.
    """
    skipped = PSEUDO_TYPES if network else PSEUDO_TYPES | NETWORK_TYPES
    try:
        # The machine's table, whatever the root: what is mounted below a foreign root is mounted by this machine.
        table = type(host)().read("/proc/self/mountinfo").content
    except OSError:
        return PSEUDO_FOLDERS
    return PSEUDO_FOLDERS | _points(table, skipped, host.root)


def points(host: Host) -> frozenset[str]:
    """Every mount point below the root, as paths of it: folders, and single files as containers have them."""
    try:
        table = type(host)().read("/proc/self/mountinfo").content
    except OSError:
        return frozenset()
    return frozenset(_mounted(table, host.root))


def _points(table: bytes, skipped: frozenset[str], root: str) -> frozenset[str]:
    """The mount points below `root` whose type is skipped, as paths of that root; the topmost mount decides."""
    return frozenset(point for point, kind in _mounted(table, root).items() if kind in skipped)


def _mounted(table: bytes, root: str) -> dict[str, str]:
    """Each mount point below `root`, as a path of that root, with its type; the topmost mount decides."""
    found: dict[str, str] = {}
    below = root.rstrip("/")
    for line in table.splitlines():
        left, dash, right = line.partition(b" - ")
        fields = left.split(b" ")
        if not dash or len(fields) < 5:
            continue
        plain = _OCTAL.sub(lambda match: bytes((int(match[1], 8),)), fields[4])
        point = plain.decode("utf-8", "surrogateescape")
        if point.startswith(below + "/") and point != "/":
            found[point[len(below) :]] = right.split(b" ")[0].decode("ascii", "replace")
    return found
