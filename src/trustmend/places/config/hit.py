"""What a configuration says of a trust store."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trustmend.model import Family, Role

if TYPE_CHECKING:
    from trustmend.host import Host


@dataclass(frozen=True)
class Hit:
    """One setting that names a trust store, or holds its certificates.

    value: the absolute path that it names, in the form of the host's root; empty where `inline` holds the certificates.
    file, line, key: where it stands; the line counts from 1, and the key is as the product's manual calls it.
    product: for people, "Tomcat".
    readers: whose rules read the store, keys of `readers.READERS`.
    role: CLIENT_AUTH for keys that verify clients, PRIVATE for those that pin a private CA; None: the content decides.
    extends: the program trusts its built-in or default roots, too.
    secret: the password of this very store where it stands beside it; never printed, logged or journalled.
    inline: certificates that stand in the setting itself, as bytes of a trust store.
    """

    value: str
    file: str
    line: int | None
    key: str
    product: str
    family: Family
    readers: tuple[str, ...]
    role: Role | None = None
    extends: bool = False
    secret: str | None = field(default=None, repr=False)
    inline: bytes | None = field(default=None, repr=False)


def may_name(host: Host, config_file: str, value: str) -> bool:
    """Whether root may look at the file or folder `value` because `config_file` names it.

    Root must not read a file for somebody who may not. So it looks at what a configuration names only if all who can
    write that configuration can see the file, too: its owner by the file's mode, groups and others by its world's bits.
    What is not there discloses nothing, and a process that is not root is held back by the kernel.
    """
    if os.geteuid() != 0:
        return True
    try:
        status = host.stat(config_file)
        real = host.resolve(value)
    except OSError:
        return False
    shared = bool(status.st_mode & 0o002 or (status.st_mode & 0o020 and status.st_gid != 0))
    if status.st_uid == 0 and not shared:
        return True
    user = None if shared and status.st_uid == 0 else status.st_uid
    groups = _groups(host, user) if user is not None and not shared else frozenset[int]()
    return _can_read(host, real, user, groups)


def _can_read(host: Host, real: str, user: int | None, groups: frozenset[int]) -> bool:
    """By the modes of a resolved path and of every folder above it; without a user: whether everybody can."""
    path, read, execute = real, stat.S_IROTH, stat.S_IXOTH
    wanted = read
    while True:
        try:
            status = host.stat(path)
        except OSError:
            status = None  # not there; but whether it is there is to be seen by the folder's searchers alone
        if status is not None:
            bits = wanted | execute if wanted == read and stat.S_ISDIR(status.st_mode) else wanted
            if status.st_uid == user:
                bits <<= 6
            elif status.st_gid in groups:
                bits <<= 3
            if status.st_mode & bits != bits:
                return False
        if path == "/":
            return True
        path, wanted = os.path.dirname(path), execute


def _groups(host: Host, user: int) -> frozenset[int]:
    """The groups of a user by /etc/passwd and /etc/group."""
    names, groups = set(), set()
    for fields in _table(host, "/etc/passwd"):
        if len(fields) >= 4 and fields[2] == str(user) and fields[3].isdecimal():
            names.add(fields[0])
            groups.add(int(fields[3]))
    for fields in _table(host, "/etc/group"):
        if len(fields) >= 4 and fields[2].isdecimal() and names.intersection(fields[3].split(",")):
            groups.add(int(fields[2]))
    return frozenset(groups)


def _table(host: Host, path: str) -> list[list[str]]:
    try:
        text = host.read(path).content.decode("utf-8", "surrogateescape")
    except OSError:
        return []
    return [line.split(":") for line in text.splitlines()]
