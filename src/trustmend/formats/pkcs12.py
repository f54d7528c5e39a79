"""PKCS#12 key stores (RFC 7292), read as JVMs read them: with the attribute that makes a certificate an anchor.

Only a certificate with the attribute trustedKeyUsage is an anchor for a JVM, and the first certificate of each key's
chain; a library that gives certificates without attributes cannot tell. A JVM that opens a file without its password
does not check it and skips its encrypted parts, silently. Files without any password (JDK 18 and later write them
where asked) have neither. Source: sun.security.pkcs12.PKCS12KeyStore of JDK 17 and 25, engineLoad.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from trustmend import der
from trustmend.certificate import Certificate
from trustmend.der import Tlv
from trustmend.errors import MalformedError
from trustmend.formats import ber, pkcs12_crypto
from trustmend.formats.jks import DEFAULT_PASSWORD
from trustmend.formats.pkcs12_crypto import ABSENT, Password, UnknownAlgorithmError
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

_DATA: Final = "1.2.840.113549.1.7.1"
_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
_ENVELOPED_DATA: Final = "1.2.840.113549.1.7.3"
_ENCRYPTED_DATA: Final = "1.2.840.113549.1.7.6"
_SHROUDED_KEY: Final = "1.2.840.113549.1.12.10.1.2"
_PLAIN_KEY: Final = "1.2.840.113549.1.12.10.1.1"
_CERTIFICATE: Final = "1.2.840.113549.1.12.10.1.3"
_FRIENDLY_NAME: Final = "1.2.840.113549.1.9.20"
_LOCAL_KEY_ID: Final = "1.2.840.113549.1.9.21"
_TRUSTED_KEY_USAGE: Final = "2.16.840.1.113894.746875.1.1"  # Oracle's
_X509: Final = "1.2.840.113549.1.9.22.1"
_NO_PEM: Final = Refused("a PKCS#12 key store, where PEM is expected")
_UNKNOWN: Final = "its password is not known: give it with --password-file or TRUSTMEND_STOREPASS"


def recognise(head: bytes) -> Kind | None:
    """`PKCS12` where a PFX of version 3 begins, in DER or BER."""
    if head[:1] != b"\x30" or len(head) < 8:
        return None
    length = head[1]
    body = 2 + (length & 0x7F if length > 0x80 else 0)
    return Kind.PKCS12 if head[body : body + 4] == b"\x02\x01\x03\x30" else None


@dataclass(frozen=True)
class _Bag:
    """One SafeBag that matters here: a key (`certificate` None) or a certificate, and what its attributes say."""

    place: int  # among the bags of its part
    certificate: Certificate | None
    alias: str | None
    key_id: bytes | None
    trusted: bool
    skipped: bool = False  # a key that is not encrypted: JVMs leave it out


@dataclass(frozen=True)
class _Part:
    """One ContentInfo of the file: its algorithm (None: not encrypted) and octets."""

    algorithm: Tlv | None
    octets: bytes


@dataclass(slots=True)
class _File:
    """The file's outer form."""

    parts: list[_Part]
    content: bytes  # what the integrity check is of
    mac: Tlv | None
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class _Opened:
    """The bags that were found with one password (or none), and what stopped a JVM there."""

    bags: Sequence[Sequence[_Bag]]
    refused: Refused | None = None
    skipped: int = 0  # encrypted parts
    unknown: Refused | None = None  # we can read it, and a JVM cannot


def read(content: bytes, password: str | None) -> Content:
    """The certificates of a PKCS#12 file and what a JVM makes of it. Never raises for bad content.

    Args:
        content: the file's bytes.
        password: the configured one; None stands for `changeit`.
    """
    try:
        file = _outer(content)
    except MalformedError as problem:
        refused = Refused(f"a JVM cannot load the key store ({problem})")
        views: dict[str, View] = {OPENSSL: _NO_PEM, NSS: _NO_PEM, JAVA_OPEN: refused, JAVA_PASSWORD: refused}
        finding = Finding("bad-entry", Severity.WARNING, f"the PKCS#12 file is damaged: {problem}")
        return Content(Kind.PKCS12, findings=(finding,), views=views)
    without = _open(file, None)
    configured = Password.of(DEFAULT_PASSWORD if password is None else password)
    # The JVM tries an empty password in its other form, too (PKCS12KeyStore.RetryWithZero).
    candidates = [configured, ABSENT] if password == "" else [configured]
    if password is None:
        candidates += [Password.of(""), ABSENT]
    as_configured = _open(file, configured)
    others = (_open(file, candidate) for candidate in candidates[1:])
    best = next((one for one in chain([as_configured], others) if one.refused is None), None)
    if password == "":
        as_configured = best or as_configured
    return _content(file, without, as_configured, best, given=password is not None)


def _content(file: _File, without: _Opened, configured: _Opened, best: _Opened | None, *, given: bool) -> Content:
    """The whole answer, from what each way of opening the file gave."""
    shown = best or max((without, configured), key=lambda one: sum(map(len, one.bags)))
    entries, keys = _entries(shown.bags)
    broken = without.refused
    findings = list(dict.fromkeys(file.findings))
    error = None
    views: dict[str, View] = {OPENSSL: _NO_PEM, NSS: _NO_PEM, JAVA_OPEN: _view(without, entries)}
    if best is None and without.skipped and not given and broken is None:
        error = _UNKNOWN
    else:
        views[JAVA_PASSWORD] = _view(configured, entries)
    unverified = best is None and broken is None
    if unverified and error is None:
        text = "its integrity check fits no known password: another password, or the file was changed"
        findings.append(Finding("integrity-unverified", Severity.WARNING, text))
    return Content(
        Kind.PKCS12,
        entries,
        tuple(findings),
        views,
        private_keys=keys,
        unverified=unverified,
        error=error,
        empty=not entries and best is not None,
    )


def _view(opened: _Opened, entries: Sequence[Entry]) -> View:
    """What a JVM takes as anchors after opening the file so."""
    if (refused := opened.refused or opened.unknown) is not None:
        return refused
    found, _ = _entries(opened.bags)
    anchors = tuple(entry for entry in found if entry.kind is not EntryKind.PLAIN)
    if opened.skipped and (len(found) < len(entries) or not entries):
        return Loaded(anchors, "opened without its password, a JVM sees none of its encrypted certificates")
    if found and not anchors:
        count = f"none of its {len(found)} certificates is" if len(found) > 1 else "its certificate is not"
        return Loaded(
            (), f"{count} marked as trusted for Java (attribute trustedKeyUsage), so a JVM trusts nobody by it"
        )
    return Loaded(anchors)


def _outer(content: bytes) -> _File:
    """The file's parts. Raises MalformedError."""
    content = ber.to_der(content)
    fields = der.read(content).listed(der.SEQUENCE)
    if len(fields) < 2:
        raise MalformedError("a PKCS#12 file of too few parts")
    safe = fields[1].listed(der.SEQUENCE)
    identifier = safe[0].oid() if safe else ""
    if identifier == _SIGNED_DATA:
        raise MalformedError("it is protected by a signature and not by a password, which JVMs do not read")
    if identifier != _DATA or len(safe) < 2:
        raise MalformedError("its content is of an unknown form")
    octets = safe[1].first().expect(der.OCTET_STRING).content
    inner = ber.to_der(octets)
    parts = [_part(info) for info in der.whole(inner).listed(der.SEQUENCE)]
    return _File(parts, octets, fields[2] if len(fields) > 2 else None)


def _part(info: Tlv) -> _Part:
    """One ContentInfo (RFC 5652 section 3). Raises MalformedError."""
    fields = info.listed(der.SEQUENCE)
    if len(fields) < 2:
        raise MalformedError(f"a part of too few parts at byte {info.start}")
    identifier = fields[0].oid()
    if identifier == _DATA:
        return _Part(None, fields[1].first().expect(der.OCTET_STRING).content)
    if identifier != _ENCRYPTED_DATA:
        what = (
            "a part for the holder of a private key" if identifier == _ENVELOPED_DATA else "a part of an unknown form"
        )
        raise MalformedError(f"{what}, which JVMs do not read")
    encrypted = fields[1].first().listed(der.SEQUENCE)
    if len(encrypted) < 2:
        raise MalformedError(f"an encrypted part of too few parts at byte {info.start}")
    described = encrypted[1].listed(der.SEQUENCE)
    if len(described) < 3:
        raise MalformedError(f"an encrypted part without content at byte {info.start}")
    hidden = described[2]
    # [0] IMPLICIT OCTET STRING; as constructed it holds the string in pieces (X.690 8.7.3).
    octets = hidden.content if hidden.tag == 0x80 else b"".join(piece.content for piece in hidden.children())
    return _Part(described[1], octets)


def _open(file: _File, password: Password | None) -> _Opened:
    """The bags that a JVM finds with this password, or without any; notes bad ones."""
    bags: list[Sequence[_Bag]] = []
    refused = unknown = None
    skipped = 0
    for part in file.parts:
        octets = part.octets
        try:
            if part.algorithm is not None:
                if password is None:
                    skipped += 1
                    continue
                octets = pkcs12_crypto.decrypted(part.algorithm, octets, password)
                # A wrong password can leave good padding by chance, but not this form as well.
                der.whole(ber.to_der(octets)).expect(der.SEQUENCE)
                if not pkcs12_crypto.known_to_jvms(part.algorithm):
                    unknown = Refused("a part of it is encrypted in a way that JVMs do not know")
        except MalformedError as problem:
            refused = refused or Refused(_wrong(problem))
            continue
        found, problem_text = _bags(octets, file.findings)
        bags.append(found)
        if problem_text and refused is None:
            refused = Refused(f"a JVM cannot load the key store ({problem_text})")
    if password is not None and refused is None and file.mac is not None:
        refused = _mac_refusal(file.mac, file.content, password)
    return _Opened(bags, refused, skipped, unknown)


def _wrong(problem: MalformedError) -> str:
    if isinstance(problem, UnknownAlgorithmError):
        return f"it cannot be opened: {problem}"
    return "the password does not fit, or the file was changed: a JVM that opens it with that cannot load the key store"


def _mac_refusal(mac: Tlv, content: bytes, password: Password) -> Refused | None:
    """Why the integrity check stops a JVM that opens the file with this password; None where it fits."""
    try:
        if pkcs12_crypto.mac_fits(mac, content, password):
            return None
    except MalformedError as problem:
        return Refused(_wrong(problem))
    return Refused(_wrong(MalformedError("")))


def _bags(octets: bytes, findings: list[Finding]) -> tuple[list[_Bag], str]:
    """The bags of a SafeContents that can be read, and the first problem that stops a JVM."""
    bags: list[_Bag] = []
    problem_text = ""
    try:
        listed = der.whole(ber.to_der(octets)).listed(der.SEQUENCE)
    except MalformedError as problem:
        findings.append(Finding("bad-entry", Severity.WARNING, f"a part of the PKCS#12 file is damaged: {problem}"))
        return [], str(problem)
    for place, one in enumerate(listed):
        try:
            bag = _bag(one, place)
        except MalformedError as problem:
            text = f"entry {place} of a part of the PKCS#12 file is damaged: {problem}"
            findings.append(Finding("bad-entry", Severity.WARNING, text))
            problem_text = problem_text or f"entry {place} is damaged"
            continue
        if bag is not None:
            bags.append(bag)
    return bags, problem_text


def _bag(bag: Tlv, place: int) -> _Bag | None:
    """One SafeBag (RFC 7292 section 4.2); None for CRLs, secrets and what else a JVM leaves out. MalformedError."""
    fields = bag.listed(der.SEQUENCE)
    if len(fields) < 2:
        raise MalformedError("a bag of too few parts")
    identifier = fields[0].oid()
    if identifier not in (_SHROUDED_KEY, _PLAIN_KEY, _CERTIFICATE):
        return None
    certificate = None
    if identifier == _CERTIFICATE:
        kind, value = fields[1].first().listed(der.SEQUENCE)[:2]
        if kind.oid() != _X509:
            raise MalformedError(f"a certificate of the unknown form {kind.oid()}")
        certificate = Certificate.of(der.read(value.first().expect(der.OCTET_STRING).content).raw)
    alias = key_id = None
    trusted = False
    for attribute in fields[2].listed(der.SET) if len(fields) > 2 else ():
        parts = attribute.listed(der.SEQUENCE)
        name = parts[0].oid() if parts else ""
        if name == _FRIENDLY_NAME:
            alias = parts[1].first().content.decode("utf-16-be", "replace")
        elif name == _LOCAL_KEY_ID:
            key_id = parts[1].first().content
        elif name == _TRUSTED_KEY_USAGE:
            trusted = True
    trusted = trusted and certificate is not None
    return _Bag(place, certificate, alias, key_id, trusted, skipped=identifier == _PLAIN_KEY)


def _entries(parts: Iterable[Sequence[_Bag]]) -> tuple[tuple[Entry, ...], int]:
    """All certificates as entries, and the number of keys."""
    bags = [bag for part in parts for bag in part]
    kinds = _kinds(bags)
    certificates = [bag for bag in bags if bag.certificate is not None]
    entries = tuple(
        Entry(bag.certificate, position, alias=bag.alias, kind=kinds.get(id(bag), EntryKind.PLAIN))
        for position, bag in enumerate(certificates)
        if bag.certificate is not None
    )
    return entries, len(bags) - len(certificates)


def _kinds(bags: Sequence[_Bag]) -> dict[int, EntryKind]:
    """What a JVM makes of certificates, by the bag's identity; those left out are only parts of chains to it.

    Source: PKCS12KeyStore.loadSafeContents and engineLoad. A later entry replaces one of the same alias, in lower
    case; entries without one are numbered; the first bag of a part belongs to a single key that came before it.
    """
    by_alias: dict[str, _Bag] = {}
    unmarked: list[tuple[_Bag, bytes | None]] = []
    key_ids: dict[int, bytes | None] = {}
    keys = nameless = 0
    for bag in bags:
        if bag.skipped:
            continue
        keys += bag.certificate is None
        assumed = keys == 1 and (bag.certificate is None or bag.place == 0)
        key_id = b"01" if bag.key_id is None and assumed else bag.key_id
        if bag.certificate is not None and not bag.trusted:
            unmarked.append((bag, key_id))
            continue
        alias = bag.alias
        if alias is None:
            nameless += 1
            alias = str(nameless)
        by_alias[alias.lower()] = bag
        key_ids[id(bag)] = key_id
    kinds = {id(bag): EntryKind.CERTIFICATE for bag in by_alias.values() if bag.certificate is not None}
    for alias, bag in by_alias.items():
        if bag.certificate is None and (first := _first_of_chain(alias, key_ids[id(bag)], unmarked)) is not None:
            kinds[id(first)] = EntryKind.KEY
    return kinds


def _first_of_chain(alias: str, key_id: bytes | None, unmarked: Sequence[tuple[_Bag, bytes | None]]) -> _Bag | None:
    """The certificate that belongs to a key (PKCS12KeyStore.findMatchedCertificate); None where a JVM finds none."""
    if key_id is None:
        return None
    by_key = [bag for bag, other in unmarked if other == key_id]
    by_both = [bag for bag in by_key if (bag.alias or "").lower() == alias]
    by_name = [bag for bag, other in unmarked if other != key_id and (bag.alias or "").lower() == alias]
    return next(iter(by_both[:1] + by_key[-1:] + by_name[-1:]), None)
