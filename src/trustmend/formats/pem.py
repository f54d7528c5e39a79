"""PEM bundles: every certificate that stands in the file, and apart from it what OpenSSL would load.

The two differ. We read on after a damaged block; X509_load_cert_crl_file (OpenSSL crypto/x509/by_file.c, behind
curl's --cacert, Python's cafile, Ruby, PHP ...) gives up and loads nothing. A well-formed file, which nearly
every one is, is taken by one regular expression; only an odd one is read line by line as OpenSSL does it.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

from trustmend import der
from trustmend.certificate import Certificate
from trustmend.errors import MalformedError
from trustmend.model import (
    ALL_FILES,
    GNUTLS,
    JAVA_OPEN,
    JAVA_PASSWORD,
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

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_CLEAN: Final = re.compile(
    rb"[ \t\r]*\n([A-Za-z0-9+/\r\n]+={0,2}\r?\n)-----END CERTIFICATE-----[ \t\r]*(?:\n|\Z)", re.M
)
"""What follows a BEGIN line in a file without damage."""
_LOOSE: Final = re.compile(rb"-----BEGIN ([A-Z0-9 #]{1,40})-----")
_CERTIFICATE_LABELS: Final = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})
_PKCS7_LABELS: Final = frozenset({"PKCS7", "PKCS #7 SIGNED DATA", "CMS"})
_OPEN_KEY_LABELS: Final = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY", "DSA PRIVATE KEY", "EC PRIVATE KEY"})
_LINE_BYTES: Final = 254  # OpenSSL crypto/pem/pem_lib.c: LINESIZE less the final NUL
_BOM: Final = b"\xef\xbb\xbf"
_BLANKS: Final = bytes([*range(33), *range(128, 256)])  # sanitize_line compares signed characters with a blank

JAVA_REFUSES: Final = Refused("PEM, where a JVM reads only JKS and PKCS12 key stores")

_by_text: dict[bytes, Certificate] = {}
"""Certificates by the text that stands from their BEGIN line to the next: most stores of a host hold the same ones,
letter for letter, so that most are parsed only once. Only well-formed ones are in it."""


@dataclass(slots=True)
class _Found:
    """What one pass over the file collects."""

    entries: list[Entry] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    private_keys: int = 0


def recognise(content: bytes) -> Kind | None:
    """`PEM_BUNDLE` where a PEM block of any sort begins in `content`."""
    return Kind.PEM_BUNDLE if _LOOSE.search(content) else None


def read(content: bytes) -> Content:
    """All certificates of a PEM file, each library's view of it, and a finding for each damage with its byte.

    Never raises for bad content.
    """
    found = _clean(content)
    view: View
    if found is not None:
        view = Loaded(tuple(found.entries)) if found.entries else _NOTHING
    else:
        found = _tolerant(content)
        view = as_openssl(content)
    if isinstance(view, Loaded) and any(e.kind is EntryKind.PLAIN for e in found.entries):
        hidden = sum(e.kind is EntryKind.PLAIN for e in found.entries)
        found.findings.append(
            Finding(
                "pkcs7-block", Severity.WARNING, f"{hidden} certificates stand in PKCS#7 blocks, which OpenSSL skips"
            )
        )
    if found.private_keys:
        text = "a private key stands in this file, readable by whoever reads the certificates"
        found.findings.append(Finding("private-key", Severity.INFO, text))
    return Content(
        Kind.PEM_BUNDLE,
        tuple(found.entries),
        tuple(found.findings),
        {
            OPENSSL: view,
            ALL_FILES: _lenient(found),
            GNUTLS: _gnutls(found),
            JAVA_OPEN: JAVA_REFUSES,
            JAVA_PASSWORD: JAVA_REFUSES,
        },
        private_keys=found.private_keys,
        empty=not found.entries,
    )


_NOTHING: Final = Refused("no certificate in it; OpenSSL fails with `no certificate or crl found`")


def _lenient(found: _Found) -> View:
    """What readers take that skip what they do not know (Go, rustls; TRUSTED blocks mean nothing to them)."""
    return Loaded(tuple(e for e in found.entries if e.kind is EntryKind.CERTIFICATE and e.trust is e.reject is None))


def _gnutls(found: _Found) -> View:
    """Plain blocks, or nothing where one of them is damaged: gnutls_x509_crt_list_import (-207, seen with 3.7.9)."""
    damage = next((finding.message for finding in found.findings if finding.code == "bad-entry"), None)
    return _lenient(found) if damage is None else Refused(f"GnuTLS refuses the whole file: {damage}")


def _clean(content: bytes) -> _Found | None:
    """The entries of a file that holds nothing but well-formed CERTIFICATE blocks and text; None for any other."""
    found = _Found()
    # A line that begins with NUL ends the file for OpenSSL, which is for the slow way to see.
    if b"\n\0" in content or content.startswith(b"\0"):
        return None
    if content.startswith(_BOM):
        found.findings.append(_bom_finding())
        if content.startswith(_BOM + b"-----"):
            return None
    before, *pieces = content.split(_BEGIN)
    if b"-----BEGIN " in before or b"-----END " in before:
        return None
    offset = len(before)
    for position, piece in enumerate(pieces):
        certificate = _by_text.get(piece) or _clean_piece(piece)
        if certificate is None or not (offset == 0 or content[offset - 1] == 10):
            return None
        found.entries.append(Entry(certificate, position, offset))
        offset += len(_BEGIN) + len(piece)
    return found


def _clean_piece(piece: bytes) -> Certificate | None:
    """The certificate whose BEGIN line stands before `piece`, which ends with the file or the next such line."""
    block = _CLEAN.match(piece)
    if block is None or piece.find(b"-----BEGIN ") >= 0 or piece.find(b"-----END ", block.end()) >= 0:
        return None
    text = block[1]
    if b"\n\n" in text or b"\n\r" in text or text.startswith((b"\n", b"\r")):
        return None  # an empty line makes a header of what stands before it
    try:
        certificate = _by_text[piece] = Certificate.of(_decode(text))
    except MalformedError:
        return None
    return certificate


def _bom_finding() -> Finding:
    text = "a byte order mark at byte 0: OpenSSL skips it, keytool -importcert and -printcert refuse the file"
    return Finding("byte-order-mark", Severity.WARNING, text)


def _decode(text: bytes) -> bytes:
    """The bytes of base64 text with line ends. Raises MalformedError."""
    text = text.translate(None, b"\r\n \t")
    if len(text) % 4:
        raise MalformedError(f"not base64: {len(text)} characters, which is no multiple of 4")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as problem:
        raise MalformedError(f"not base64: {str(problem).lower()}") from problem


def _tolerant(content: bytes) -> _Found:
    """Every certificate that can be made out, block by block, whatever stands between or is cut off."""
    found = _Found()
    if content.startswith(_BOM):
        found.findings.append(_bom_finding())
    marks = list(_LOOSE.finditer(content))
    for mark, following in zip_longest(marks, marks[1:]):
        label = mark[1].decode("ascii")
        if label.endswith("PRIVATE KEY"):
            found.private_keys += 1
            continue
        if label not in _CERTIFICATE_LABELS and label not in _PKCS7_LABELS:
            continue
        limit = following.start() if following else len(content)
        try:
            _add_block(found, label, content[mark.end() : limit], mark.start())
        except MalformedError as problem:
            text = f"the {label} block at byte {mark.start()} cannot be read: {problem}"
            found.findings.append(Finding("bad-entry", Severity.WARNING, text))
    return found


def _add_block(found: _Found, label: str, rest: bytes, offset: int) -> None:
    """Add the certificates of the block whose BEGIN line `rest` follows. Raises MalformedError."""
    text, end, _ = rest.partition(b"-----END ")
    text = _without_headers(text)
    try:
        encoded = _decode(text)
    except MalformedError:
        # Base64 that is cut off in the middle of a certificate is a damage; only strange characters are not.
        if not end:
            raise MalformedError("it is cut off; there is no END line") from None
        raise
    if label in _PKCS7_LABELS:
        for certificate in pkcs7_certificates(encoded):
            found.entries.append(Entry(certificate, len(found.entries), offset, kind=EntryKind.PLAIN))
        return
    found.entries.append(_entry(label, encoded, len(found.entries), offset))


def _without_headers(text: bytes) -> bytes:
    """Block text less RFC 1421 headers ("Proc-Type: ...") before an empty line."""
    lines = text.strip().splitlines()
    if any(b":" in line for line in lines):
        return b"\n".join(line for line in lines if b":" not in line)
    return text


def _entry(label: str, encoded: bytes, position: int, offset: int) -> Entry:
    """The entry of one block. OpenSSL ignores bytes after the certificate (d2i_X509), so we do. MalformedError."""
    certificate_end = der.read(encoded).end
    certificate = Certificate.of(encoded[:certificate_end])
    if label != "TRUSTED CERTIFICATE" or certificate_end == len(encoded):
        return Entry(certificate, position, offset)
    trust = reject = None
    # X509_CERT_AUX of OpenSSL crypto/x509/x_x509a.c: trust SEQUENCE OF OID, reject [0] SEQUENCE OF OID, ...
    for part in der.read(encoded, certificate_end).listed(der.SEQUENCE):
        if part.tag == der.SEQUENCE:
            trust = frozenset(p.oid() for p in part.children())
        elif part.tag == 0xA0:
            reject = frozenset(p.oid() for p in part.children())
    return Entry(certificate, position, offset, trust=trust, reject=reject)


def pkcs7_certificates(encoded: bytes) -> Iterator[Certificate]:
    """The certificates of a PKCS#7 SignedData in DER (RFC 5652 5.1), in their order.

    Raises:
        MalformedError: it is none, or a certificate in it is damaged.
    """
    outer = der.whole(encoded).listed(der.SEQUENCE)
    if len(outer) < 2 or outer[0].oid() != "1.2.840.113549.1.7.2":
        raise MalformedError("not a PKCS#7 SignedData")
    for part in outer[1].first().listed(der.SEQUENCE):
        if part.tag == 0xA0:
            for one in part.children():
                if one.tag == der.SEQUENCE:
                    yield Certificate.of(one.raw)


def as_openssl(content: bytes) -> View:
    """What OpenSSL 1.1.1 and 3 load from a PEM file given as CAfile: all its certificates in order, or nothing.

    Source: crypto/pem/pem_lib.c (PEM_read_bio_ex, get_name, get_header_and_data), pem_info.c
    (PEM_X509_INFO_read_bio_ex), crypto/evp/encode.c (EVP_DecodeUpdate).
    """
    entries: list[Entry] = []
    for label, offset, text in _openssl_blocks(content):
        if label is None:
            return Refused(f"OpenSSL refuses the whole file: no proper END line for the block at byte {offset}", offset)
        try:
            encoded = _decode_openssl(text)
            if label in _CERTIFICATE_LABELS:
                entries.append(_entry(label, encoded, len(entries), offset))
            elif label in _OPEN_KEY_LABELS and text:
                der.whole(encoded).expect(der.SEQUENCE)  # a damaged key, too, makes OpenSSL give up
        except MalformedError as problem:
            return Refused(f"OpenSSL refuses the whole file: the block at byte {offset} is bad ({problem})", offset)
    return Loaded(tuple(entries)) if entries else _NOTHING


def _decode_openssl(text: bytes) -> bytes:
    """Base64 as EVP_DecodeUpdate: blanks skipped, a hyphen ends it, a rest of a group is an error."""
    return _decode(text.partition(b"-")[0])


def _openssl_lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(offset, line without blanks at its end) as BIO_gets and sanitize_line give them; a NUL cuts a line."""
    at = 0
    while at < len(content):
        newline = content.find(b"\n", at, at + _LINE_BYTES)
        end = newline + 1 if newline >= 0 else min(at + _LINE_BYTES, len(content))
        line = content[at:end].partition(b"\0")[0]
        if not line:
            return
        yield at, line.rstrip(_BLANKS)
        at = end


def _openssl_blocks(content: bytes) -> Iterator[tuple[str | None, int, bytes]]:
    """(label, offset of the BEGIN line, base64 text) of each block; label None where OpenSSL ends with an error."""
    lines = _openssl_lines(content)
    first = True
    for offset, line in lines:
        # A byte order mark is skipped at the first line that each search for a block reads.
        text = line[3:] if first and line.startswith(_BOM) else line
        first = False
        if not (text.startswith(b"-----BEGIN ") and text.endswith(b"-----") and len(text) >= 16):
            continue
        label = text[11:-5]
        body = _openssl_body(lines, label)
        if body is None:
            yield None, offset, b""
            return
        yield label.decode("latin-1"), offset, body
        first = True


def _openssl_body(lines: Iterator[tuple[int, bytes]], label: bytes) -> bytes | None:
    """The base64 lines up to the END line that belongs to `label`; None where OpenSSL finds the form wrong.

    A block with header lines ("Proc-Type: ...") has no body for us: OpenSSL then wants a password or fails.
    """
    block: list[bytes] = []
    header_ended = short_line = colon = False
    for _, line in lines:
        colon = colon or (b":" in line and not header_ended)
        if not line:
            if header_ended:
                return None
            colon = colon or bool(block)
            header_ended = True
        elif line.startswith(b"-----END "):
            return (b"" if colon else b"\n".join(block)) if line == b"-----END " + label + b"-----" else None
        elif short_line or (header_ended and len(line) > 64):
            return None
        else:
            short_line = header_ended and len(line) < 64
            block.append(line)
    return None
