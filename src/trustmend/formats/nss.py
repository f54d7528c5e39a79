"""NSS databases (cert9.db): certificates and what NSS trusts them for, read by sqlite3 from the file's bytes.

Columns are named after PKCS#11 attributes in hexadecimal (NSS lib/softoken/sdb.c); trust objects refer to their
certificate by its digest. There are two sorts of them: NSS's own (lib/util/pkcs11n.h), and since NSS 3.110 or so, which
Firefox brings, those of PKCS #11 3.2 (section 4.16), which older NSS does not see.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from trustmend.certificate import SERVER_AUTH, Certificate, printable
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

Row = frozenset[tuple[str, object]]
"""One row of a table: the columns that have a value, with it."""

_DAMAGES: Final = (sqlite3.Error, UnicodeDecodeError, OverflowError)
"""What sqlite3 raises for a damaged database; the second for names of columns, and for its own messages."""
_WAL: Final = b"\x02\x02"
_ROLLBACK_JOURNAL: Final = b"\x01\x01"
_SQLITE_MAGIC: Final = b"SQLite format 3\0"
TABLE: Final = "nssPublic"
CLASS, VALUE, ISSUER, SERIAL = "a0", "a11", "a81", "a82"
_LABEL = "a3"
CERTIFICATE: Final = b"\x00\x00\x00\x01"
# CKO_NSS_TRUST with CKA_CERT_SHA1_HASH and CKA_TRUST_SERVER_AUTH.
_NSS_TRUST: Final = b"\xce\x53\x43\x53"
_NSS_SHA1, _NSS_SERVER = "ace5363b4", "ace536358"
# CKO_TRUST with CKA_NAME_HASH_ALGORITHM, CKA_HASH_OF_CERTIFICATE and CKA_PKCS_TRUST_SERVER_AUTH.
_TRUST: Final = b"\x00\x00\x00\x0b"
_ALGORITHM, _DIGEST, _SERVER = "a8c", "a635", "a62c"
_DIGESTS: Final = {b"\x00\x00\x02\x20": "sha1", b"\x00\x00\x02\x50": "sha256"}  # CKM_SHA_1, CKM_SHA256
TRUSTS: Final = frozenset({_NSS_TRUST, _TRUST})
"""The classes of trust objects."""
_ANCHOR: Final = frozenset({b"\xce\x53\x43\x52", b"\x00\x00\x00\x02"})  # CKT_NSS_TRUSTED_DELEGATOR, CKT_TRUST_ANCHOR
_BARRED: Final = frozenset({b"\xce\x53\x43\x5a", b"\x00\x00\x00\x03"})  # CKT_NSS_NOT_TRUSTED, CKT_NOT_TRUSTED
HEAD_BYTES: Final = 1 << 16
"""How much of a file shows that it is such a database: its first page. Firefox's have pages of 32 KiB."""
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
        with closing(_opened(content)) as database:
            trust = dict(_trust(database))
            entries = tuple(_entries(database, trust, findings))
    except _DAMAGES as problem:
        return Content(Kind.NSS, error=f"the database cannot be read: {printable(str(problem))}")
    anchors = tuple(e for e in entries if e.kind is EntryKind.CERTIFICATE)
    views: dict[str, View] = {NSS: Loaded(anchors), OPENSSL: _REFUSED, JAVA_OPEN: _REFUSED, JAVA_PASSWORD: _REFUSED}
    return Content(Kind.NSS, entries, tuple(findings), views, empty=not entries)


def tables(content: bytes) -> dict[str, Counter[Row]]:
    """All rows of a database (cert9.db, key4.db) by table, whatever their order: a row is its set values by column.

    Raises:
        MalformedError: it is no database, or damaged.
    """
    try:
        with closing(_opened(content)) as database:
            names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: Counter(_rows(database, name)) for name in names}
    except _DAMAGES as problem:
        raise MalformedError(f"the database cannot be read: {printable(str(problem))}") from problem


def _rows(database: sqlite3.Connection, table: str) -> Iterator[Row]:
    quoted = table.replace('"', '""')
    found = database.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608  a name that the database itself gives
    columns = [one[0] for one in found.description]
    for row in found:
        yield frozenset((name, value) for name, value in zip(columns, row, strict=True) if value is not None)


def _opened(content: bytes) -> sqlite3.Connection:
    """The database in memory. Raises sqlite3.Error."""
    if not content:
        raise sqlite3.DatabaseError("the file is empty")  # sqlite3 itself would raise MemoryError
    if content[18:20] == _WAL:
        # The form of its write-ahead log, which a database in memory cannot have (sqlite.org/fileformat2, 1.3.3).
        content = content[:18] + _ROLLBACK_JOURNAL + content[20:]
    database = sqlite3.connect(":memory:")
    try:
        database.deserialize(content)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _trust(database: sqlite3.Connection) -> Iterator[tuple[tuple[str, bytes], bytes]]:
    """((digest's name, digest of a certificate), what it is trusted for as the issuer of TLS servers).

    The newer sort comes last: NSS that knows it takes it before the other.
    """
    columns = {row[1] for row in database.execute("PRAGMA table_info(nssPublic)")}
    if {_NSS_SHA1, _NSS_SERVER} <= columns:
        query = f"SELECT {_NSS_SHA1}, {_NSS_SERVER} FROM nssPublic WHERE {CLASS} = ?"  # noqa: S608  constants
        for digest, level in database.execute(query, (_NSS_TRUST,)):
            if isinstance(digest, bytes) and isinstance(level, bytes):
                yield ("sha1", digest), level
    if {_ALGORITHM, _DIGEST, _SERVER} <= columns:
        query = f"SELECT {_ALGORITHM}, {_DIGEST}, {_SERVER} FROM nssPublic WHERE {CLASS} = ?"  # noqa: S608  constants
        for algorithm, digest, level in database.execute(query, (_TRUST,)):
            if algorithm in _DIGESTS and isinstance(digest, bytes) and isinstance(level, bytes):
                yield (_DIGESTS[algorithm], digest), level


def _entries(
    database: sqlite3.Connection, trust: dict[tuple[str, bytes], bytes], findings: list[Finding]
) -> Iterator[Entry]:
    query = f"SELECT {VALUE}, {_LABEL} FROM nssPublic WHERE {CLASS} = ? ORDER BY id"  # noqa: S608  constants
    for position, (value, label) in enumerate(database.execute(query, (CERTIFICATE,))):
        try:
            certificate = Certificate.of(bytes(value or b""))
        except (MalformedError, TypeError) as problem:
            text = f"certificate {position} of the database cannot be read: {problem}"
            findings.append(Finding("bad-entry", Severity.WARNING, text))
            continue
        sha1 = ("sha1", hashlib.sha1(certificate.der, usedforsecurity=False).digest())
        level = trust.get(("sha256", bytes.fromhex(certificate.sha256)), trust.get(sha1))
        yield Entry(
            certificate,
            position,
            alias=label.decode("utf-8", "replace") if isinstance(label, bytes) else None,
            kind=EntryKind.CERTIFICATE if level in _ANCHOR | _BARRED else EntryKind.PLAIN,
            reject=frozenset({SERVER_AUTH}) if level in _BARRED else None,
        )


def has_password_record(keys: bytes) -> bool:
    """Whether a key4.db has been given a password, be it the empty one. Raises MalformedError."""
    return any(("id", "password") in row for row in tables(keys).get("metaData", ()))


def password_fits(keys: bytes, password: str) -> bool | None:
    """Whether a password opens a key4.db; None where that cannot be told here.

    The key is derived from SHA-1(salt, password), and what it opens reads `password-check` (NSS lib/softoken/sftkpwd.c,
    sftkdb_CheckPassword; lib/softoken/lowpbe.c: the vector of AES is its parameter's whole encoding, 16 bytes).
    A database without a password's record has none yet: programs give it an empty one.
    """
    from trustmend import der
    from trustmend.formats import pkcs12_crypto

    try:
        with closing(_opened(keys)) as database:
            row = database.execute("SELECT item1, item2 FROM metaData WHERE id = 'password'").fetchone()
        if row is None:
            return password == ""
        salt, record = bytes(row[0]), bytes(row[1])
        algorithm, text = der.whole(record).listed(der.SEQUENCE)
        identifier, parameters = algorithm.listed(der.SEQUENCE)
        derivation, cipher = parameters.listed(der.SEQUENCE)
        name, vector = cipher.listed(der.SEQUENCE)
        known = der.element(der.SEQUENCE, name.raw, der.element(der.OCTET_STRING, vector.raw))
        usual = der.element(der.SEQUENCE, identifier.raw, der.element(der.SEQUENCE, derivation.raw, known))
        secret = hashlib.sha1(salt + password.encode(), usedforsecurity=False).digest()
        sealed = text.expect(der.OCTET_STRING).content
        opened = pkcs12_crypto.decrypted(der.whole(usual), sealed, pkcs12_crypto.Password(secret, b""))
    except pkcs12_crypto.UnknownAlgorithmError:
        return None
    except MalformedError as problem:
        return False if "password" in str(problem) else None
    except (sqlite3.Error, ValueError, TypeError):
        return None
    return opened == b"password-check"
