"""NSS databases (cert9.db): certificates and what NSS trusts them for, read by sqlite3 from the file's bytes.

Columns are named after PKCS#11 attributes in hexadecimal (NSS lib/softoken/sdb.c); trust objects refer to their
certificate by its SHA-1 (lib/softoken/sftkdb.c; the numbers are those of lib/util/pkcs11n.h).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from trustmend.certificate import SERVER_AUTH, Certificate
from trustmend.errors import MalformedError
from trustmend.model import (
    JAVA_OPEN,
    JAVA_PASSWORD,
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

_SQLITE_MAGIC: Final = b"SQLite format 3\0"
_CLASS, _LABEL, _VALUE = "a0", "a3", "a11"
_SHA1, _SERVER_TRUST = "ace5363b4", "ace536358"
_CERTIFICATE: Final = b"\x00\x00\x00\x01"
_TRUST: Final = b"\xce\x53\x43\x53"
_TRUSTED_DELEGATOR: Final = b"\xce\x53\x43\x52"
_NOT_TRUSTED: Final = b"\xce\x53\x43\x5a"
_REFUSED: Final = Refused("an NSS database, which only NSS reads")


def recognise(head: bytes) -> Kind | None:
    """`NSS` for an SQLite file whose first page already names NSS's table."""
    return Kind.NSS if head.startswith(_SQLITE_MAGIC) and b"nssPublic" in head else None


def read(content: bytes) -> Content:
    """The certificates of a cert9.db; those trusted to issue for TLS servers are anchors. Never raises.

    The built-in roots of NSS are another module and not in this file: what stands here extends or bars them.
    """
    findings: list[Finding] = []
    try:
        with closing(sqlite3.connect(":memory:")) as database:
            database.deserialize(content)
            trust = dict(_trust(database))
            entries = tuple(_entries(database, trust, findings))
    except sqlite3.Error as problem:
        return Content(Kind.NSS, error=f"the database cannot be read: {problem}")
    anchors = tuple(e for e in entries if e.kind is EntryKind.CERTIFICATE)
    views: dict[str, View] = {NSS: Loaded(anchors), OPENSSL: _REFUSED, JAVA_OPEN: _REFUSED, JAVA_PASSWORD: _REFUSED}
    return Content(Kind.NSS, entries, tuple(findings), views, empty=not entries)


def _trust(database: sqlite3.Connection) -> Iterator[tuple[bytes, bytes]]:
    """(SHA-1 of a certificate, what it is trusted for as the issuer of TLS servers)."""
    columns = {row[1] for row in database.execute("PRAGMA table_info(nssPublic)")}
    if {_SHA1, _SERVER_TRUST} <= columns:
        query = f"SELECT {_SHA1}, {_SERVER_TRUST} FROM nssPublic WHERE {_CLASS} = ?"  # noqa: S608  constants
        for digest, level in database.execute(query, (_TRUST,)):
            if isinstance(digest, bytes) and isinstance(level, bytes):
                yield digest, level


def _entries(database: sqlite3.Connection, trust: dict[bytes, bytes], findings: list[Finding]) -> Iterator[Entry]:
    query = f"SELECT {_VALUE}, {_LABEL} FROM nssPublic WHERE {_CLASS} = ? ORDER BY id"  # noqa: S608  constants
    for position, (value, label) in enumerate(database.execute(query, (_CERTIFICATE,))):
        try:
            certificate = Certificate.of(bytes(value or b""))
        except (MalformedError, TypeError) as problem:
            text = f"certificate {position} of the database cannot be read: {problem}"
            findings.append(Finding("bad-entry", Severity.WARNING, text))
            continue
        level = trust.get(hashlib.sha1(certificate.der, usedforsecurity=False).digest())
        yield Entry(
            certificate,
            position,
            alias=label.decode("utf-8", "replace") if isinstance(label, bytes) else None,
            kind=EntryKind.CERTIFICATE if level in (_TRUSTED_DELEGATOR, _NOT_TRUSTED) else EntryKind.PLAIN,
            reject=frozenset({SERVER_AUTH}) if level == _NOT_TRUSTED else None,
        )
