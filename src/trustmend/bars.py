"""What a system is told not to trust: folders of barred certificates, and lines that deselect shipped ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from trustmend.certificate import printable
from trustmend.formats import registry
from trustmend.model import Kind

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.systems import System


def of_system(host: Host, system: System) -> Mapping[str, str]:
    """SHA-256 of each barred certificate -> the file, or the file and line, that bars it.

    What cannot be read bars nothing. Sources: update-ca-certificates(8), lines with `!`; update-ca-trust(8) and the
    README of SUSE's ca-certificates, `blocklist` and, before it, `blacklist`.
    """
    found: dict[str, str] = {}
    for folder in system.blocked:
        for name in host.listed(folder):
            for held in certificates(host, f"{folder}/{name}"):
                found.setdefault(held, f"{folder}/{printable(name)}")
    for number, name in _deselected(host, system):
        for held in certificates(host, f"{system.shipped}/{name}"):
            found.setdefault(held, f"{system.deselected}, line {number} ({printable('!' + name)})")
    return found


def _deselected(host: Host, system: System) -> Iterator[tuple[int, str]]:
    if system.deselected is None:
        return
    try:
        lines = host.read(system.deselected).content.decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return
    for number, line in enumerate(lines, 1):
        if line.startswith("!"):
            yield number, line[1:].strip()


def certificates(host: Host, path: str) -> set[str]:
    """The SHA-256 of the certificates in a PEM or DER file; none where it is no such file or cannot be read."""
    try:
        content = host.read(path).content
    except OSError:
        return set()
    kind = registry.recognise(content)
    if kind not in (Kind.PEM_BUNDLE, Kind.DER):
        return set()
    return {entry.certificate.sha256 for entry in registry.read(content, kind, None).entries}
