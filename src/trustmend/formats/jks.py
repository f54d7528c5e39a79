"""JKS and JCEKS key stores: Java's own formats, read without a JVM and without a password.

Source: sun.security.provider.JavaKeyStore and com.sun.crypto.provider.JceKeyStore (engineLoad) of the JDK. What is
marked below as the JVM's doing was seen with JDK 17 and later.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from trustmend import der
from trustmend.certificate import Certificate, printable
from trustmend.errors import MalformedError
from trustmend.model import (
    JAVA_OPEN,
    JAVA_PASSWORD,
    JCEKS_OPEN,
    JCEKS_PASSWORD,
    NSS,
    OPENSSL,
    Content,
    Entry,
    EntryKind,
    Finding,
    Kind,
    Loaded,
    Refused,
    Severity,
    View,
)

_MAGIC: Final = {b"\xfe\xed\xfe\xed": Kind.JKS, b"\xce\xce\xce\xce": Kind.JCEKS}
_DIGEST_BYTES: Final = 20
_WHITENER: Final = b"Mighty Aphrodite"
_KEY_ENTRY, _CERTIFICATE_ENTRY, _SECRET_ENTRY = 1, 2, 3
DEFAULT_PASSWORD: Final = "changeit"  # noqa: S105  what every JDK's own store has, and so no secret
_NO_PEM: Final = Refused("a Java key store, where PEM is expected")
_OTHER_TYPE: Final = Refused("JCEKS, which a JVM reads only where the type is set (javax.net.ssl.trustStoreType)")


def recognise(head: bytes) -> Kind | None:
    """`JKS` or `JCEKS` by magic number and version."""
    version = head[4:8]
    return _MAGIC.get(head[:4]) if version in (b"\0\0\0\1", b"\0\0\0\2") else None


@dataclass(slots=True)
class _Reading:
    """What has been read of one store, and the place in it."""

    data: bytes
    at: int = 12
    entries: dict[str, list[Entry]] = field(default_factory=dict)  # by alias: a later one replaces an earlier one
    findings: list[Finding] = field(default_factory=list)
    number: int = 0
    private_keys: int = 0
    broken: Refused | None = None  # the first thing that a JVM refuses the whole store for

    def take(self, size: int) -> bytes:
        end = self.at + size
        if size < 0 or end > len(self.data):
            raise MalformedError(f"the store is cut off at byte {len(self.data)}")
        self.at, start = end, self.at
        return self.data[start:end]

    def number_of(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big", signed=size == 4)

    def text(self) -> str:
        """A string in Java's modified UTF-8 (java.io.DataInput)."""
        encoded = self.take(self.number_of(2))
        try:
            return encoded.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as problem:
            raise MalformedError(f"a text that is not UTF-8 before byte {self.at}") from problem

    @property
    def all_entries(self) -> tuple[Entry, ...]:
        return tuple(entry for group in self.entries.values() for entry in group)


def read(content: bytes, password: str | None) -> Content:
    """The certificates of a JKS or JCEKS store and what a JVM makes of it. Never raises for bad content.

    Args:
        content: the file's bytes, which `recognise` knows.
        password: the configured one; None stands for `changeit`.
    """
    kind = _MAGIC[content[:4]]
    reading = _Reading(content)
    version = int.from_bytes(content[4:8], "big")
    try:
        count = int.from_bytes(content[8:12], "big", signed=True)
        if len(content) < 12:
            raise MalformedError(f"the store is cut off at byte {len(content)}")
        for _ in range(count):
            _read_entry(reading, kind, version)
    except MalformedError as problem:
        where = f"entry {reading.number} of the key store, at byte {reading.at}"
        reading.findings.append(_finding("bad-entry", f"{where}: {problem}; nothing behind it can be read"))
        reading.broken = reading.broken or _refused(str(problem), reading.at)
    views, verified = _views(reading, kind, password)
    if not verified:
        text = "its digest fits neither the known passwords nor `changeit`: another password, or it was changed"
        reading.findings.append(_finding("integrity-unverified", text))
    entries = reading.all_entries
    return Content(
        kind,
        entries,
        tuple(reading.findings),
        views,
        private_keys=reading.private_keys,
        unverified=not verified,
        empty=not entries and not reading.broken,
    )


def _finding(code: str, text: str) -> Finding:
    return Finding(code, Severity.WARNING, text)


def _refused(problem: str, at: int) -> Refused:
    return Refused(f"a JVM cannot load the key store ({problem})", at)


def _read_entry(reading: _Reading, kind: Kind, version: int) -> None:
    """One entry. Raises MalformedError where nothing behind it can be found."""
    tag = reading.number_of(4)
    alias = reading.text()
    reading.take(8)  # the time at which it was made
    found: list[Entry | None] = []
    if tag == _CERTIFICATE_ENTRY:
        found.append(_read_certificate(reading, version, alias, EntryKind.CERTIFICATE))
    elif tag == _KEY_ENTRY:
        reading.take(reading.number_of(4))
        reading.private_keys += 1
        kinds = (EntryKind.PLAIN if place else EntryKind.KEY for place in range(reading.number_of(4)))
        found.extend(_read_certificate(reading, version, alias, one) for one in kinds)
    elif tag == _SECRET_ENTRY and kind is Kind.JCEKS:
        from trustmend.formats import java_serial  # rare

        reading.at = java_serial.end_of_object(reading.data, reading.at)
    else:
        raise MalformedError(f"unknown sort of entry {tag}")
    reading.entries[alias] = [entry for entry in found if entry is not None]
    reading.number += 1


def _read_certificate(reading: _Reading, version: int, alias: str, kind: EntryKind) -> Entry | None:
    """The certificate at this place; None, and a finding, for bytes that are none. Raises MalformedError at the end."""
    form = reading.text() if version == 2 else "X.509"
    offset = reading.at
    encoded = reading.take(reading.number_of(4))
    try:
        if form not in ("X.509", "X509"):
            raise MalformedError(f"a certificate of the unknown form `{printable(form)}`")
        # CertificateFactory reads one certificate and leaves what stands behind it.
        certificate = Certificate.of(der.read(encoded).raw)
    except MalformedError as problem:
        where = f"entry {reading.number} (alias `{printable(alias)}`) at byte {offset}"
        reading.findings.append(_finding("bad-entry", f"{where} is no certificate: {problem}"))
        reading.broken = reading.broken or _refused(f"entry {reading.number} is no certificate", offset)
        return None
    if kind is not EntryKind.PLAIN and alias != alias.lower():
        # Both stores look aliases up in lower case, and so never find this one (convertAlias).
        text = f"no JVM finds the entry `{printable(alias)}`: its alias is not in lower case"
        reading.findings.append(_finding("hidden-alias", text))
        kind = EntryKind.PLAIN
    return Entry(certificate, reading.number, offset, alias=alias, kind=kind)


def _views(reading: _Reading, kind: Kind, password: str | None) -> tuple[dict[str, View], bool]:
    """What each library loads, and whether a known password confirms the digest."""
    verified = _digest_fits(reading, password)
    loaded: View = Loaded(tuple(e for e in reading.all_entries if e.kind is not EntryKind.PLAIN))
    opened = reading.broken or loaded
    known = "the configured password" if password is not None else f"the password `{DEFAULT_PASSWORD}`"
    with_password: View = opened
    if not verified and not reading.broken:
        text = f"{known} does not fit, or the file was changed: a JVM that opens it with that cannot load the key store"
        with_password = Refused(text)
    views: dict[str, View] = {
        OPENSSL: _NO_PEM,
        NSS: _NO_PEM,
        JAVA_OPEN: opened,
        JAVA_PASSWORD: with_password,
    }
    if kind is Kind.JCEKS:
        views |= {JAVA_OPEN: _OTHER_TYPE, JAVA_PASSWORD: _OTHER_TYPE, JCEKS_OPEN: opened, JCEKS_PASSWORD: with_password}
    return views, verified


def _digest_fits(reading: _Reading, password: str | None) -> bool:
    """Whether the digest at the end is that of the content under the password."""
    if reading.broken is not None and reading.at >= len(reading.data):
        return False
    digest = reading.data[reading.at : reading.at + _DIGEST_BYTES]
    secret = (DEFAULT_PASSWORD if password is None else password).encode("utf-16-be", "surrogatepass")
    whole = hashlib.sha1(secret + _WHITENER, usedforsecurity=False)
    whole.update(memoryview(reading.data)[: reading.at])
    return len(digest) == _DIGEST_BYTES and hmac.compare_digest(whole.digest(), digest)
