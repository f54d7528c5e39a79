"""Whether the first bytes of a file are a trust store's, whatever the file is called. Pure."""

from __future__ import annotations

import re
from typing import Final

HEAD_BYTES: Final = 4096
"""Where a store says what it is: no bundle was ever seen with its first marker later, unless text stands before it."""
LONG_HEAD_BYTES: Final = 65536
"""For names that promise certificates: bundles may open with a licence or with notes."""


_PEM: Final = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----|-----BEGIN PKCS ?#?7(?: SIGNED DATA)?-----")
_JAVA: Final = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")
_SQLITE: Final = b"SQLite format 3\x00"
_NSS_TABLE: Final = b"nssPublic"
# The header of Berkeley DB 1.85's hash files, big- and little-endian (NSS: lib/dbm/include/hash.h, HASHMAGIC).
_BERKELEY: Final = (b"\x00\x06\x15\x61", b"\x61\x15\x06\x00")
# BCFKS: ObjectStore ::= SEQUENCE { EncryptedObjectStoreData: SEQUENCE { AlgorithmIdentifier: SEQUENCE { OID PBES2 ...
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")


def is_store(head: bytes, name: str) -> bool:
    """Whether a file that begins with `head` and is called `name` can be a trust store, or holds certificates.

    Recognised: PEM certificates and PKCS#7, DER certificates, JKS, JCEKS, PKCS#12, BCFKS and NSS databases.
    """
    if head[:1] == b"\x30":
        return _is_der_store(head)
    if b"-----BEGIN " in head:
        return _PEM.search(head) is not None
    if head.startswith(_JAVA):
        # class files are CAFEBABE; the version (1 or 2) keeps chance out
        return head[4:7] == b"\x00\x00\x00" and head[7:8] in (b"\x01", b"\x02")
    if head.startswith(_SQLITE):
        return name == "cert9.db" or _NSS_TABLE in head
    return name == "cert8.db" and head.startswith(_BERKELEY)


def _is_der_store(head: bytes) -> bool:
    outer = _content(head, 0)
    if outer is None:
        return False
    if head[outer : outer + 3] == b"\x02\x01\x03":  # PFX: version 3 (RFC 7292 section 4), then an authSafe
        return head[outer + 3 : outer + 4] == b"\x30"
    inner = _content(head, outer)
    if inner is None:
        return False
    if head[inner : inner + 5] == b"\xa0\x03\x02\x01\x02" and head[inner + 5 : inner + 6] == b"\x02":
        return True  # a certificate of version 3 (RFC 5280 4.1), its serial number next
    if head[inner : inner + 1] == b"\x02":
        return _is_version1(head, inner)
    algorithm = _content(head, inner)
    return algorithm is not None and head.startswith(_PBES2, algorithm)


def _is_version1(head: bytes, serial: int) -> bool:
    """A certificate of version 1 begins with serial, algorithm, issuer, validity: its times tell it from a key."""
    at = serial
    for tag in (0x02, 0x30, 0x30):
        content = _content(head, at, tag)
        if content is None:
            return False
        at = content + _size(head, at)
    validity = _content(head, at)
    return validity is not None and head[validity : validity + 1] in (b"\x17", b"\x18")


def _content(head: bytes, at: int, tag: int = 0x30) -> int | None:
    """Where the content of the element at `at` begins, or None for another tag or a length that DER does not use."""
    if head[at : at + 1] != bytes((tag,)) or len(head) < at + 2:
        return None
    first = head[at + 1]
    if first < 0x80:
        return at + 2
    # Indefinite lengths are BER, and some PKCS#12 files have them.
    return at + 2 + (first & 0x7F) if first <= 0x84 else None


def _size(head: bytes, at: int) -> int:
    first = head[at + 1]
    return first if first < 0x80 else int.from_bytes(head[at + 2 : at + 2 + (first & 0x7F)], "big")
