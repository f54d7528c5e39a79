"""p11-kit's trust: what its trust module makes of the files in its source folders, and its own persistence format.

A folder has anchors/ (every certificate there is trusted) and blocklist/ (every one there is barred, whatever else says
of it); files beside these say it themselves. A bar holds for all certificates of that issuer and serial number, or of
that key, in all folders together.

Source: p11-kit trust/token.c (loader_load_path), parser.c (populate_trust, build_openssl_extensions), persist.c,
enumerate.c (check_trust_flags, extract_purposes); compared with `trust list` of p11-kit 0.24.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final
from urllib.parse import unquote_to_bytes

from trustmend import der
from trustmend.certificate import ANY_PURPOSE, SERVER_AUTH, Certificate, printable
from trustmend.errors import MalformedError
from trustmend.formats import der_certificate, pem
from trustmend.model import (
    ALL_FILES,
    GNUTLS,
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

HEADER: Final = b"[p11-kit-object-v1]"
_HEADER_LINE: Final = re.compile(rb"^\[p11-kit-object-v1\][ \t\r]*$", re.MULTILINE)
_SECTION: Final = re.compile(rb"^\[[^\]\n]*\][ \t\r]*$", re.MULTILINE)
_BLOCK: Final = re.compile(rb"^-----BEGIN ([A-Z ]+)-----[ \t\r]*\n(.*?)^-----END \1-----[ \t\r]*$", re.DOTALL | re.M)
_FIELD: Final = re.compile(rb"^([a-z0-9-]+)[ \t]*:[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
_PURPOSES: Final = "2.5.29.37"  # extendedKeyUsage, RFC 5280 section 4.2.1.12
_REFUSED: Final = Refused("p11-kit's source, which its trust module and what is extracted from it stand for")


class Place(StrEnum):
    """Where in a source folder a file stands."""

    BESIDE = ""
    ANCHORS = "anchors"
    BLOCKLIST = "blocklist"


@dataclass(frozen=True)
class File:
    """One file of a source folder. `name` is for people, and unique among the files that are joined."""

    name: str
    place: Place
    content: bytes


@dataclass(slots=True)
class _Held:
    """A certificate with what its file says of it."""

    entry: Entry
    trusted: bool
    barred: bool


@dataclass(slots=True)
class _Sum:
    """What all files of one token say, or of several."""

    held: list[_Held] = field(default_factory=list)
    barred_keys: set[bytes] = field(default_factory=set)  # SubjectPublicKeyInfo
    barred_numbers: set[tuple[bytes, int]] = field(default_factory=set)  # issuer and serial number
    purposes: dict[bytes, frozenset[str]] = field(default_factory=dict)  # by key: an attached extendedKeyUsage
    findings: list[Finding] = field(default_factory=list)


def recognise(content: bytes) -> Kind | None:
    """`P11_KIT` for a file in the persistence format: its first section says so."""
    first = _SECTION.search(content)
    return Kind.P11_KIT if first is not None and first[0].rstrip() == HEADER else None


def read(content: bytes) -> Content:
    """One file in the persistence format on its own. Never raises for bad content."""
    return join([File("", Place.BESIDE, content)])


def join(files: Sequence[File], unreadable: Mapping[str, str] | None = None) -> Content:
    """The files of the source folders that the trust module reads, as the one store that they make.

    Args:
        files: in the order of the folders.
        unreadable: name -> reason of those that could not be opened.
    """
    total = _Sum()
    for file in files:
        _add_file(total, file)
    found: dict[str, _Held] = {}
    for one in total.held:
        certificate = one.entry.certificate
        one.barred = one.barred or certificate.spki in total.barred_keys
        one.barred = one.barred or (certificate.issuer, certificate.serial) in total.barred_numbers
        known = found.get(certificate.sha256)
        if known is None or (not known.trusted and one.trusted):
            found[certificate.sha256] = one
    entries = tuple(_entry(one, position, total.purposes) for position, one in enumerate(found.values()))
    view = Loaded(tuple(entry for entry in entries if entry.kind is EntryKind.CERTIFICATE))
    total.findings.extend(
        Finding("unreadable-entry", Severity.WARNING, f"{printable(name)} could not be read: {reason}")
        for name, reason in sorted((unreadable or {}).items())
    )
    views: dict[str, View] = dict.fromkeys((NSS, OPENSSL, ALL_FILES, GNUTLS), view)
    views |= dict.fromkeys((JAVA_OPEN, JAVA_PASSWORD), _REFUSED)
    return Content(Kind.P11_KIT, entries, tuple(total.findings), views, empty=not entries)


def _entry(held: _Held, position: int, attached: Mapping[bytes, frozenset[str]]) -> Entry:
    """The entry: trusted for TLS servers, barred, or only there."""
    certificate = held.entry.certificate
    purposes = attached.get(certificate.spki, _own_purposes(certificate))
    for_servers = purposes is None or bool(purposes & {SERVER_AUTH, ANY_PURPOSE})
    anchor = held.trusted and certificate.is_ca and for_servers
    return replace(
        held.entry,
        position=position,
        kind=EntryKind.CERTIFICATE if anchor or held.barred else EntryKind.PLAIN,
        trust=None,
        reject=frozenset({SERVER_AUTH}) if held.barred else None,
    )


def _own_purposes(certificate: Certificate) -> frozenset[str] | None:
    try:
        return certificate.extended_key_usage
    except MalformedError:
        return frozenset()


def _add_file(total: _Sum, file: File) -> None:
    if recognise(file.content) is not None:
        for section in _sections(file.content):
            try:
                _add_object(total, file, section)
            except MalformedError as problem:
                name = f"{printable(file.name)}: " if file.name else ""
                total.findings.append(
                    Finding("bad-entry", Severity.WARNING, f"{name}an object of it cannot be read: {problem}")
                )
        return
    if pem.recognise(file.content) is not None:
        content = pem.read(file.content)
    elif der_certificate.recognise(file.content) is not None:
        content = der_certificate.read(file.content)
    else:
        return  # as p11-kit skips what it does not know
    total.findings.extend(
        replace(one, message=f"{printable(file.name)}: {one.message}")
        for one in content.findings
        if one.code == "bad-entry"
    )
    for entry in content.entries:
        trusted, barred = file.place is Place.ANCHORS, file.place is Place.BLOCKLIST
        if entry.trust is not None or entry.reject is not None:
            # A TRUSTED CERTIFICATE without a purpose that is trusted is a bar; with one it is an anchor anywhere.
            rest = (entry.trust or frozenset()) - (entry.reject or frozenset())
            total.purposes[entry.certificate.spki] = rest
            barred = barred or not rest
            trusted = not barred
        _add(total, replace(entry, file=file.name), trusted=trusted, barred=barred)


def _add(total: _Sum, entry: Entry, *, trusted: bool, barred: bool) -> None:
    total.held.append(_Held(entry, trusted, barred))
    if barred:
        total.barred_keys.add(entry.certificate.spki)
        total.barred_numbers.add((entry.certificate.issuer, entry.certificate.serial))


@dataclass(frozen=True)
class _Section:
    """One object of a file: where it begins, its attributes as they stand there, and its PEM blocks."""

    offset: int
    fields: Mapping[str, bytes]
    blocks: Mapping[str, bytes]

    def text(self, name: str) -> bytes | None:
        """An attribute's bytes; None where it is not there, or no string."""
        value = self.fields.get(name, b"")
        return unquote_to_bytes(value[1:-1]) if len(value) >= 2 and value[:1] == value[-1:] == b'"' else None

    def is_true(self, name: str) -> bool | None:
        """A boolean attribute; None where it is not there."""
        return {b"true": True, b"false": False}.get(self.fields.get(name, b""))


def _sections(content: bytes) -> Iterator[_Section]:
    starts = [*_SECTION.finditer(content)]
    for mark, following in zip(starts, [*starts[1:], None], strict=True):
        if _HEADER_LINE.fullmatch(mark[0]) is None:
            continue
        body = content[mark.end() : following.start() if following else len(content)]
        blocks = {block[1].decode("ascii"): block[2] for block in _BLOCK.finditer(body)}
        fields = {line[1].decode("ascii"): line[2] for line in _FIELD.finditer(_BLOCK.sub(b"", body))}
        yield _Section(mark.start(), fields, blocks)


def _decoded(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text)
    except binascii.Error as problem:
        raise MalformedError(f"not base64: {str(problem).lower()}") from problem


def _add_object(total: _Sum, file: File, section: _Section) -> None:
    """One object of the persistence format. Raises MalformedError."""
    encoded = section.text("value")
    if "CERTIFICATE" in section.blocks:
        encoded = _decoded(section.blocks["CERTIFICATE"])
    key = section.text("public-key-info")
    if "PUBLIC KEY" in section.blocks:
        key = _decoded(section.blocks["PUBLIC KEY"])
    kind = section.fields.get("class", b"certificate" if "CERTIFICATE" in section.blocks else b"")
    if kind == b"x-certificate-extension":
        if section.fields.get("object-id") == _PURPOSES.encode() and key and encoded:
            total.purposes[key] = _purposes_of(encoded)
        return
    barred = file.place is Place.BLOCKLIST or bool(section.is_true("x-distrusted"))
    if kind == b"certificate" and encoded:
        certificate = Certificate.of(encoded)
        trusted = file.place is Place.ANCHORS or bool(section.is_true("trusted"))
        entry = Entry(certificate, 0, section.offset, alias=_label(section), file=file.name or None)
        _add(total, entry, trusted=trusted and not barred, barred=barred)
        total.findings.extend(_distrust_after(section, certificate))
    elif barred:
        if key:
            total.barred_keys.add(key)
        issuer, serial = section.text("issuer"), section.text("serial-number")
        if issuer and serial:
            total.barred_numbers.add((issuer, der.whole(serial).integer()))


def _label(section: _Section) -> str | None:
    label = section.text("label")
    return label.decode("utf-8", "replace") if label else None


def _purposes_of(encoded: bytes) -> frozenset[str]:
    """The purposes in an attached extendedKeyUsage: a whole Extension, or in old files its value alone."""
    parts = der.whole(encoded).listed(der.SEQUENCE)
    if parts and parts[-1].tag == der.OCTET_STRING:
        parts = der.whole(parts[-1].content).listed(der.SEQUENCE)
    return frozenset(part.oid() for part in parts)


def _distrust_after(section: _Section, certificate: Certificate) -> Iterator[Finding]:
    """Mozilla's date: servers' certificates that begin later are refused by NSS; other libraries do not know of it."""
    after = section.text("nss-server-distrust-after")
    if after and after != b"\0":
        try:
            moment = der.instant(der.whole(der.element(der.UTC_TIME, after)))
        except MalformedError:
            return
        text = f"{certificate.label}: NSS refuses servers' certificates issued after {moment:%Y-%m-%d}"
        yield Finding("distrust-after", Severity.INFO, text, certificate.sha256)
