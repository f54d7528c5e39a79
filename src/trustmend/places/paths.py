"""Paths with wildcards, below a host's root; homes are left only as `tree.leaves_home` allows."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from trustmend.places.tree import leaves_home

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey


def matching(host: Host, pattern: str, top: str = "") -> Iterator[str]:
    """The existing paths that fit `top` + `pattern`, in order; a part with "*" is looked up in its folder.

    Only `pattern` is one: `top` is taken as it is.
    """
    folder = top
    parts = pattern.strip("/").split("/")
    for index, part in enumerate(parts):
        if "*" in part:
            rest = "/".join(parts[index + 1 :])
            for name in host.listed(folder or "/"):
                if fnmatch.fnmatchcase(name, part):
                    yield from matching(host, rest, f"{folder}/{name}") if rest else [f"{folder}/{name}"]
            return
        folder = f"{folder}/{part}"
    if host.exists(folder):
        yield folder


def everywhere(host: Host, survey: Survey, system: Iterable[str], home: Iterable[str]) -> Iterator[str]:
    """What fits the `system`'s patterns, and in each home the `home`'s; no user's link leads root out of a home."""
    for pattern in system:
        yield from matching(host, pattern)
    guarded = survey["homes"] if os.geteuid() == 0 else []
    patterns = tuple(home)
    for top in survey["homes"]:
        for pattern in patterns:
            yield from (path for path in matching(host, pattern, top) if not leaves_home(host, path, guarded))


def regular(host: Host, paths: Iterable[str]) -> Iterator[str]:
    """The files to which the paths lead, links followed, each once."""
    seen: set[str] = set()
    for path in paths:
        try:
            real = host.resolve(path)
        except OSError:
            continue
        if real not in seen and host.is_file(real):
            seen.add(real)
            yield real
