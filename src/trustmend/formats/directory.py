"""Folders of certificates as OpenSSL's CApath reads them (by hash links) and as Go and GnuTLS do (every file).

OpenSSL asks for `<hash of the issuer's name>.0`, then `.1` and so on until one is missing (crypto/x509/by_dir.c,
get_cert_by_subject): a certificate without its link, or with a gap before its number, is not there for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from trustmend.certificate import name_hash, printable
from trustmend.model import (
    ALL_FILES,
    GNUTLS,
    JAVA_OPEN,
    JAVA_PASSWORD,
    OPENSSL,
    Content,
    Entry,
    Finding,
    Kind,
    Loaded,
    Refused,
    Severity,
    View,
)

HASH_LINK: Final = re.compile(r"([0-9a-f]{8})\.(\d+)\Z")
_REFUSED_BY_JAVA: Final = Refused("a folder, where a JVM reads one key store file")


@dataclass(frozen=True)
class Member:
    """One file of the folder: every name in the folder that leads to it, and what it holds."""

    names: tuple[str, ...]
    content: Content


def join(members: Sequence[Member], unreadable: Mapping[str, str]) -> Content:
    """The folder as one store.

    Args:
        members: each file once, however many links the folder has to it.
        unreadable: name -> reason of those that could not be opened.
    """
    entries: list[Entry] = []
    findings: list[Finding] = []
    linked: dict[str, dict[int, Member]] = {}
    for member in members:
        shown = min(member.names, key=lambda name: (bool(HASH_LINK.match(name)), name))
        entries.extend(replace(e, file=shown, position=len(entries) + i) for i, e in enumerate(member.content.entries))
        findings.extend(
            replace(f, message=f"{printable(shown)}: {f.message}")
            for f in member.content.findings
            if f.code != "private-key"
        )
        for name in member.names:
            if link := HASH_LINK.match(name):
                linked.setdefault(link[1], {})[int(link[2])] = member
    reached = _reached(linked)
    findings.extend(_unlinked(entries, reached))
    findings.extend(
        Finding("unreadable-entry", Severity.WARNING, f"{printable(name)} could not be read: {reason}")
        for name, reason in sorted(unreadable.items())
    )
    everything = tuple(e for e in entries if e.trust is None and e.reject is None)
    views: dict[str, View] = {
        OPENSSL: Loaded(reached, "" if linked else "there is no hash link in it"),
        ALL_FILES: Loaded(everything),
        GNUTLS: Loaded(everything),
        JAVA_OPEN: _REFUSED_BY_JAVA,
        JAVA_PASSWORD: _REFUSED_BY_JAVA,
    }
    keys = sum(m.content.private_keys for m in members)
    return Content(Kind.PEM_DIRECTORY, tuple(entries), tuple(findings), views, private_keys=keys, empty=not entries)


def _reached(linked: Mapping[str, Mapping[int, Member]]) -> tuple[Entry, ...]:
    """The certificates that OpenSSL finds by their own subject's hash, in the order of the link numbers."""
    found: list[Entry] = []
    for digits in sorted(linked):
        number = 0
        while member := linked[digits].get(number):
            view = member.content.views.get(OPENSSL)
            if not isinstance(view, Loaded):
                break
            found.extend(
                replace(e, file=f"{digits}.{number}") for e in view.entries if name_hash(e.certificate) == digits
            )
            number += 1
    return tuple(found)


def _unlinked(entries: Sequence[Entry], reached: Sequence[Entry]) -> list[Finding]:
    """A finding for each CA certificate that stands in the folder and that OpenSSL cannot find there."""
    known = {e.certificate.sha256 for e in reached}
    lost = {e.certificate.sha256: e for e in entries if e.certificate.sha256 not in known and e.certificate.is_ca}
    return [
        Finding(
            "no-hash-link",
            Severity.WARNING,
            f"{entry.certificate.label} in {printable(entry.file or '')} has no hash link "
            f"{name_hash(entry.certificate)}.N that OpenSSL reaches; `openssl rehash` makes it",
            sha256,
        )
        for sha256, entry in lost.items()
    ]
