"""Where the trust stores of a host are: all places together, or what the user named."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from trustmend.model import Family, Location
from trustmend.places import (
    archives,
    binaries,
    config,
    environment,
    java,
    node,
    nss,
    os_store,
    p11_kit,
    processes,
    python,
    runtimes,
    tree,
)

if TYPE_CHECKING:
    from trustmend.configuration import Configuration
    from trustmend.host import Host
    from trustmend.places.tree import Survey


_ROOTS_CACHE: Final = "/var/cache/trustmend/"
"""Where `scripts/trustmend` and `scripts/test` keep what they make for root."""


class Place(Protocol):
    """What a place module offers: it reads, and yields every path it knows of, links unresolved."""

    def __call__(self, host: Host, survey: Survey) -> Iterator[Location]: ...


PLACES: Final[Mapping[str, Place]] = {
    "os": os_store.locations,
    "p11-kit": p11_kit.locations,
    "runtimes": runtimes.locations,
    "python": python.locations,
    "java": java.locations,
    "nss": nss.locations,
    "node": node.locations,
    "binaries": binaries.locations,
    "archives": archives.locations,
    "environment": environment.locations,
    "config": config.locations,
    "processes": processes.locations,
}


def discover(
    host: Host,
    *,
    paths: Sequence[str] = (),
    scan: Sequence[str] = (),
    survey: Survey | None = None,
    network: bool = False,
    own: bool = True,
    progress: Callable[[int], None] | None = None,
    unreadable: Callable[[str, int], None] | None = None,
    configuration: Configuration | None = None,
) -> list[Location]:
    """All locations, several of which may lead to one file; in the order of the places.

    Args:
        host: whose.
        paths: replace the discovery. Relative ones start from this process's folder; with another root all paths
            are that root's own and relative ones start from its "/".
        scan: folders searched by content; of the places then only what is below them. With `paths`, both.
        survey: made before, by `tree.start_survey`; else made here if it is needed.
        network: scan other machines' file systems, too.
        own: look into trustmend's own environments and checkout, too; what is found there is marked.
        progress: called now and then with the number of files that the scan looked at.
        unreadable: called for each scanned folder with the number of files and folders below it that it could not read.
        configuration: names further stores, and what of the discovery is left out; nothing that the user names is.
    """
    found: list[Location] = []
    below = tuple(host.absolute(folder).rstrip("/") + "/" for folder in scan)
    ours = () if host.foreign else own_folders()
    if paths:
        found += [of_user(host, path) for path in paths]
    else:
        known = tree.survey(host, left_alone(host, own=own)) if survey is None else survey
        for place in PLACES.values():
            found += place(host, known)
        if scan:
            found = [one for one in found if f"{one.path}/".startswith(below)]
    for folder in scan:
        leave = left_alone(host, own=own)
        hits = tree.scan(host, host.absolute(folder), network=network, leave=leave, progress=progress)
        found += [Location(path, Family.CUSTOM) for path in sorted(hits)]
        if unreadable is not None and hits.unreadable:
            unreadable(folder, hits.unreadable)
    if configuration is not None:
        found = [one for one in found if one.by_user or not _excluded(host, one, configuration)]
        named = configuration.locations(host, [host.absolute(path) for path in paths])
        found += [one for one in named if not scan or paths or f"{one.path}/".startswith(below)]
    found = list(_unrepeated(found))
    marked = [replace(one, own=True) if ours and one.path.startswith(ours) else one for one in found]
    return [one for one in marked if own or one.by_user or not one.own]


def _excluded(host: Host, location: Location, configuration: Configuration) -> bool:
    if configuration.excludes(location.path):
        return True
    try:
        return bool(configuration.exclude) and configuration.excludes(host.resolve(location.path))
    except OSError:
        return False


def of_user(host: Host, path: str) -> Location:
    """The location that a user names; by the folder of an NSS database, that database."""
    return Location(nss.database_in(host, host.absolute(path)), Family.CUSTOM, named=True, by_user=True)


def left_alone(host: Host, *, own: bool) -> frozenset[str]:
    """The folders that a walk need not enter: trustmend's own, unless they are wanted."""
    return frozenset() if own or host.foreign else frozenset(folder.rstrip("/") for folder in own_folders())


def _unrepeated(locations: Sequence[Location]) -> Iterator[Location]:
    """All but those that say nothing beyond a path that another place has said, too."""
    seen: set[str] = set()
    for one in locations:
        if one.path in seen and one.role is None and not one.uses and not one.named:
            continue
        seen.add(one.path)
        yield one


def own_folders() -> tuple[str, ...]:
    """The folders, with a "/" at the end, of trustmend's own environments and checkout: not a part of the host."""
    own = [_ROOTS_CACHE]
    if sys.prefix != sys.base_prefix:
        own.append(sys.prefix.rstrip("/") + "/")
    here, _, source = __file__.rpartition("/src/trustmend/")
    if source and here:
        own.append(here + "/")
    return tuple(own)
