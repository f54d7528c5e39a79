"""Writing PKCS#12 key stores (RFC 7292): Java's trusted certificates are added to one, or taken out of it again.

1. Old parts (ContentInfo) stay, byte for byte and in their order; so do bytes behind the end. Keys are never touched.
2. What a JVM makes of the old entries stays the same, chains of keys included, or nothing is written at all.
3. New parts are as the old ones: not encrypted, or by the same scheme with the same number of rounds; the integrity
   check keeps its algorithm. A file that some program could read it still can.
4. `remove` takes away nothing but bags of trusted certificates, wherever a JVM has put them meanwhile.

Pure but for salts and initialisation vectors, which are random: equal arguments do not give equal bytes.
Source: sun.security.pkcs12.PKCS12KeyStore of JDK 17 and 25 (engineLoad, engineStore).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from trustmend import der
from trustmend.certificate import ANY_PURPOSE, Certificate, canonical_name, printable
from trustmend.der import Tlv
from trustmend.errors import MalformedError
from trustmend.formats import ber, pkcs12_crypto
from trustmend.formats.pkcs12_crypto import ABSENT, Password, UnknownAlgorithmError
from trustmend.signatures import signed_by

_DATA: Final = "1.2.840.113549.1.7.1"
_ENCRYPTED_DATA: Final = "1.2.840.113549.1.7.6"
_PRIVATE_KEY: Final = "1.2.840.113549.1.12.10.1.2"
_CERTIFICATE: Final = "1.2.840.113549.1.12.10.1.3"
_SECRET_KEY: Final = "1.2.840.113549.1.12.10.1.5"  # noqa: S105  an OID
_FRIENDLY_NAME: Final = "1.2.840.113549.1.9.20"
_LOCAL_KEY_ID: Final = "1.2.840.113549.1.9.21"
_TRUSTED_KEY_USAGE: Final = "2.16.840.1.113894.746875.1.1"  # Oracle's
_X509: Final = "1.2.840.113549.1.9.22.1"
_MAX_ALIAS_UNITS: Final = 255  # RFC 2985 appendix A, pkcs-9-ub-friendlyName
_ASSUMED_KEY_ID: Final = b"01"


@dataclass(frozen=True)
class _Bag:
    """One SafeBag (RFC 7292 section 4.2) and what its attributes say."""

    raw: bytes  # in DER
    sort: str  # OID
    certificate: Certificate | None = None
    alias: str | None = None
    key_id: bytes | None = None
    trusted: bool = False


@dataclass(frozen=True)
class _Part:
    """One ContentInfo: as it stands, its algorithm (None: not encrypted) and bags."""

    raw: bytes
    algorithm: Tlv | None
    bags: tuple[_Bag, ...]


@dataclass(frozen=True)
class _Store:
    """A whole file, opened."""

    version: bytes
    parts: tuple[_Part, ...]
    mac: Tlv | None
    tail: bytes  # behind the end
    password: Password | None


@dataclass(frozen=True)
class _Entry:
    """What a JVM holds under one alias: the bag it comes from, and of a private key the chain."""

    bag: _Bag
    chain: tuple[Certificate, ...] = ()


def add(content: bytes, additions: Sequence[tuple[str, Certificate]], password: str | None) -> bytes:
    """The store with trusted certificates in one new part behind its old ones.

    Args:
        content: a whole PKCS#12 file, in DER or BER.
        additions: (alias, certificate) in their order; none gives `content`, if the password opens it.
        password: None where the store has none: nothing in it is encrypted but keys, and nothing is checked.

    Raises:
        UnknownAlgorithmError: an algorithm is not known here, or asks for too many rounds.
        MalformedError: the store is damaged, the password does not fit, an alias is taken (in any case), empty or too
            long, or the chain of a key in the store would become another by the new certificates.
    """
    store = _opened(content, password)
    before = _entries(store.parts)
    bags: list[_Bag] = []
    for alias, certificate in additions:
        if alias.lower() in before or any(alias.lower() == (bag.alias or "").lower() for bag in bags):
            raise MalformedError(f"the alias `{printable(alias)}` is in the store already")
        bags.append(_new_bag(alias, certificate))
    if not bags:
        return content
    parts = (*store.parts, _sealed(_scheme(store), bags, store.password))
    after = _entries(parts)
    _unchanged(before, {alias: after[alias] for alias in before})
    return _written(store, parts)


def remove(content: bytes, aliases: Collection[str], password: str | None) -> bytes:
    """The store without the trusted certificates of these aliases; one that is not there is left out.

    A part with nothing else in it is dropped; of another the rest is sealed again as it was.

    Args:
        content: a whole PKCS#12 file, in DER or BER.
        aliases: in any case.
        password: None where the store has none.

    Raises:
        UnknownAlgorithmError: an algorithm is not known here, or asks for too many rounds.
        MalformedError: the store is damaged, the password does not fit, a key has the alias, or the chain of a key in
            the store needs the certificate.
    """
    store = _opened(content, password)
    before = _entries(store.parts)
    unwanted = {alias.lower() for alias in aliases}
    for alias in unwanted & before.keys():
        if before[alias].bag.certificate is None:
            raise MalformedError(f"`{printable(alias)}` is a key and no trusted certificate; it is not removed")
    parts = tuple(part for old in store.parts if (part := _without(old, unwanted, store.password)) is not None)
    if parts == store.parts:
        return content
    kept = {alias: entry for alias, entry in before.items() if not _is_named(entry.bag, unwanted)}
    _unchanged(kept, _entries(parts))
    return _written(store, parts)


def _is_named(bag: _Bag, aliases: Collection[str]) -> bool:
    """Whether it is a trusted certificate that bears one of the aliases itself: no number that a JVM gave it."""
    return bag.trusted and bag.alias is not None and bag.alias.lower() in aliases


def _without(part: _Part, unwanted: Collection[str], password: Password | None) -> _Part | None:
    """The part less these trusted certificates; None where nothing is left. Raises MalformedError."""
    kept = [bag for bag in part.bags if not _is_named(bag, unwanted)]
    if len(kept) == len(part.bags):
        return part
    return _sealed(part.algorithm, kept, password) if kept else None


def _unchanged(before: dict[str, _Entry], after: dict[str, _Entry]) -> None:
    """Raises MalformedError where a JVM would hold something else of what it held before."""
    for alias, entry in before.items():
        if after.get(alias) != entry:
            raise MalformedError(f"the chain of the key `{printable(alias)}` would become another to a JVM by this")
    if len(after) != len(before):
        raise MalformedError("a JVM would find other entries in it afterwards")


def _scheme(store: _Store) -> Tlv | None:
    """How new certificates are to be encrypted: as the store's last ones; None: not at all.

    A JVM keeps the scheme of the last encrypted part when it writes the store anew. Where there is no certificate to
    go by, the store's integrity check says how old the programs are that have to read it. Raises MalformedError.
    """
    holding = [part for part in store.parts if any(bag.certificate for bag in part.bags)]
    encrypted = [part.algorithm for part in holding or store.parts if part.algorithm is not None]
    if encrypted:
        return encrypted[-1]
    if holding or store.mac is None or store.password is None:
        return None
    if pkcs12_crypto.mac_digest(store.mac) == "sha1":
        return der.whole(pkcs12_crypto.OLD_SCHEME)
    return der.whole(pkcs12_crypto.USUAL_SCHEME)


def _new_bag(alias: str, certificate: Certificate) -> _Bag:
    """A trusted certificate as PKCS12KeyStore.getCertificateData writes it. Raises MalformedError for the alias."""
    try:
        name = alias.encode("utf-16-be")
    except UnicodeEncodeError as problem:
        raise MalformedError(f"the alias `{printable(alias)}` is no text") from problem
    if not 0 < len(name) // 2 <= _MAX_ALIAS_UNITS:
        raise MalformedError(f"an alias of {len(name) // 2} characters, where 1 to {_MAX_ALIAS_UNITS} are allowed")
    # X.690 11.6 wants a SET OF sorted; JVMs do not care, stricter readers do.
    pairs = ((_FRIENDLY_NAME, der.element(der.BMP_STRING, name)), (_TRUSTED_KEY_USAGE, der.oid(ANY_PURPOSE)))
    attributes = sorted(der.element(der.SEQUENCE, der.oid(kind), der.element(der.SET, one)) for kind, one in pairs)
    encoded = der.element(0xA0, der.element(der.OCTET_STRING, certificate.der))
    value = der.element(0xA0, der.element(der.SEQUENCE, der.oid(_X509), encoded))
    raw = der.element(der.SEQUENCE, der.oid(_CERTIFICATE), value, der.element(der.SET, *attributes))
    return _Bag(raw, _CERTIFICATE, certificate, alias, trusted=True)


def _sealed(algorithm: Tlv | None, bags: Sequence[_Bag], password: Password | None) -> _Part:
    """A new part of these bags (RFC 7292 section 5.1), encrypted as `algorithm` says. Raises MalformedError."""
    contents = der.element(der.SEQUENCE, *(bag.raw for bag in bags))
    if algorithm is None or password is None:
        raw = _content_info(_DATA, der.element(der.OCTET_STRING, contents))
    else:
        described, octets = pkcs12_crypto.encrypted(algorithm, contents, password)
        hidden = der.element(der.SEQUENCE, der.oid(_DATA), described, der.element(0x80, octets))
        raw = _content_info(_ENCRYPTED_DATA, der.element(der.SEQUENCE, b"\x02\x01\x00", hidden))
    return _Part(raw, algorithm, tuple(bags))


def _content_info(kind: str, content: bytes) -> bytes:
    return der.element(der.SEQUENCE, der.oid(kind), der.element(0xA0, content))


def _written(store: _Store, parts: Sequence[_Part]) -> bytes:
    """The file of these parts, its integrity check made anew. Raises MalformedError."""
    safe = der.element(der.SEQUENCE, *(part.raw for part in parts))
    mac = b""
    if store.mac is not None and store.password is not None:
        mac = pkcs12_crypto.renewed_mac(store.mac, safe, store.password)
    info = _content_info(_DATA, der.element(der.OCTET_STRING, safe))
    return der.element(der.SEQUENCE, store.version, info, mac) + store.tail


def _opened(content: bytes, password: str | None) -> _Store:
    """The whole store. Raises MalformedError where anything in it cannot be read or checked with the password."""
    forms: list[Password | None] = [None if password is None else Password.of(password)]
    if password == "":
        forms.append(ABSENT)  # as PKCS12KeyStore.RetryWithZero
    for form in forms[:-1]:
        try:
            return _opened_by(content, form)
        except MalformedError:
            continue
    return _opened_by(content, forms[-1])


def _opened_by(content: bytes, password: Password | None) -> _Store:
    """As `_opened`, with one form of the password."""
    fields = der.read(ber.to_der(content)).listed(der.SEQUENCE)
    if not 2 <= len(fields) <= 3 or fields[0].integer() != 3:
        raise MalformedError("no PKCS#12 file of version 3")
    kind, wrapped = _typed(fields[1])
    if kind != _DATA:
        raise MalformedError("the PKCS#12 file is not protected by a password, which JVMs do not read")
    safe = wrapped.expect(der.OCTET_STRING).content
    mac = fields[2] if len(fields) == 3 else None
    # Before anything is decrypted: what the check does not fit need not be worked on.
    if mac is not None:
        if password is None:
            raise MalformedError("the PKCS#12 file has an integrity check, and so a password")
        if not pkcs12_crypto.mac_fits(mac, safe, password):
            raise MalformedError("the password does not fit, or the PKCS#12 file was changed")
    parts = tuple(_part(raw, password) for raw in der.pieces(safe))
    return _Store(fields[0].raw, parts, mac, content[der.end_of(content) :], password)


def _typed(info: Tlv) -> tuple[str, Tlv]:
    """(type, content) of a ContentInfo (RFC 5652 section 3). Raises MalformedError."""
    fields = info.listed(der.SEQUENCE)
    if len(fields) != 2:
        raise MalformedError(f"a part of {len(fields)} fields where 2 belong")
    return fields[0].oid(), fields[1].expect(0xA0).first()


def _part(raw: bytes, password: Password | None) -> _Part:
    """One ContentInfo of the file, opened. Raises MalformedError."""
    kind, content = _typed(der.whole(ber.to_der(raw)))
    if kind == _DATA:
        return _Part(raw, None, tuple(_bags(content.expect(der.OCTET_STRING).content)))
    if kind != _ENCRYPTED_DATA:
        raise MalformedError("the PKCS#12 file has a part of a kind that JVMs do not read")
    if password is None:
        raise MalformedError("the PKCS#12 file has an encrypted part, and so a password")
    fields = content.listed(der.SEQUENCE)
    described = fields[1].listed(der.SEQUENCE) if len(fields) > 1 else []
    if len(described) != 3 or described[2].tag & ~0x20 != 0x80:
        raise MalformedError("an encrypted part of another form")
    hidden = described[2]
    # [0] IMPLICIT OCTET STRING; as constructed it holds the string in pieces (X.690 8.7.3).
    octets = hidden.content if hidden.tag == 0x80 else b"".join(piece.content for piece in hidden.children())
    return _Part(raw, described[1], tuple(_bags(_decrypted(described[1], octets, password))))


def _decrypted(algorithm: Tlv, octets: bytes, password: Password) -> bytes:
    """The SafeContents of an encrypted part. Raises MalformedError."""
    try:
        text = pkcs12_crypto.decrypted(algorithm, octets, password)
        # A wrong password can leave good padding by chance, but not this form as well.
        der.whole(ber.to_der(text)).expect(der.SEQUENCE)
    except UnknownAlgorithmError:
        raise
    except MalformedError as problem:
        raise MalformedError("the password does not fit, or the PKCS#12 file was changed") from problem
    return text


def _bags(octets: bytes) -> Iterator[_Bag]:
    """The bags of a SafeContents. Raises MalformedError."""
    for one in der.whole(ber.to_der(octets)).listed(der.SEQUENCE):
        fields = one.listed(der.SEQUENCE)
        if not 2 <= len(fields) <= 3:
            raise MalformedError(f"a bag of {len(fields)} fields")
        bag = _Bag(one.raw, fields[0].oid())
        value = fields[1].expect(0xA0).first()
        if bag.sort == _CERTIFICATE:
            parts = value.listed(der.SEQUENCE)
            if len(parts) != 2 or parts[0].oid() != _X509:
                raise MalformedError("a certificate of an unknown form")
            encoded = parts[1].expect(0xA0).first().expect(der.OCTET_STRING).content
            # CertificateFactory reads one certificate and leaves what stands behind it.
            bag = replace(bag, certificate=Certificate.of(der.read(encoded).raw))
        for attribute in fields[2].listed(der.SET) if len(fields) == 3 else ():
            bag = _described(bag, attribute)
        yield bag


def _described(bag: _Bag, attribute: Tlv) -> _Bag:
    """The bag with what one attribute says of it. Raises MalformedError."""
    parts = attribute.listed(der.SEQUENCE)
    if len(parts) != 2:
        raise MalformedError(f"an attribute of {len(parts)} parts where 2 belong")
    name = parts[0].oid()
    if name == _FRIENDLY_NAME:
        return replace(bag, alias=parts[1].first().expect(der.BMP_STRING).content.decode("utf-16-be", "replace"))
    if name == _LOCAL_KEY_ID:
        return replace(bag, key_id=parts[1].first().expect(der.OCTET_STRING).content)
    if name == _TRUSTED_KEY_USAGE:
        return replace(bag, trusted=bag.certificate is not None)
    return bag


def _entries(parts: Sequence[_Part]) -> dict[str, _Entry]:
    """What a JVM makes of the bags, by alias in lower case (PKCS12KeyStore.loadSafeContents and engineLoad).

    A later entry replaces one of the same alias; entries without one are numbered; the first bag of a part belongs
    to a single key that came before it where neither says so; an unmarked certificate is only good for chains.
    """
    found: dict[str, _Bag] = {}
    key_ids: dict[str, bytes | None] = {}
    loose: list[tuple[_Bag, bytes | None]] = []
    issuers: list[Certificate] = []
    keys = nameless = 0
    for part in parts:
        for place, bag in enumerate(part.bags):
            keys += bag.sort == _PRIVATE_KEY
            assumed = keys == 1 and (bag.sort == _PRIVATE_KEY or place == 0)
            key_id = _ASSUMED_KEY_ID if bag.key_id is None and assumed else bag.key_id
            if bag.certificate is not None:
                issuers.append(bag.certificate)
                if not bag.trusted:
                    loose.append((bag, key_id))
                    continue
            elif bag.sort != _SECRET_KEY and (bag.sort != _PRIVATE_KEY or key_id is None):
                continue
            nameless += bag.alias is None
            alias = str(nameless) if bag.alias is None else bag.alias.lower()
            found[alias], key_ids[alias] = bag, key_id
    entries = {}
    for alias, bag in found.items():
        first = _first_of_chain(alias, key_ids[alias], loose) if bag.sort == _PRIVATE_KEY else None
        entries[alias] = _Entry(bag, _chain(first, issuers))
    return entries


def _first_of_chain(alias: str, key_id: bytes | None, loose: Sequence[tuple[_Bag, bytes | None]]) -> Certificate | None:
    """The certificate that belongs to a key (PKCS12KeyStore.findMatchedCertificate); None where a JVM finds none."""
    by_key = [bag for bag, other in loose if other == key_id]
    by_both = [bag for bag in by_key if bag.alias is not None and bag.alias.lower() == alias]
    by_name = [bag for bag, other in loose if other != key_id and bag.alias is not None and bag.alias.lower() == alias]
    return next((bag.certificate for bag in by_both[:1] + by_key[-1:] + by_name[-1:]), None)


def _chain(first: Certificate | None, issuers: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """A key's chain as PKCS12KeyStore.engineLoad puts it together."""
    chain: list[Certificate] = []
    at = first
    while at is not None and at not in chain:
        chain.append(at)
        # Its KeyStoreUtil.isSelfSigned.
        at = None if at.self_issued and signed_by(at, at) else _issuer(at, issuers)
    return tuple(chain)


def _issuer(certificate: Certificate, issuers: Sequence[Certificate]) -> Certificate | None:
    """The issuer that a JVM chooses (PKCS12KeyStore.findIssuer): by name and key id, else the last without an id."""
    wanted = _key_ids(certificate)[0]
    fallback = None
    for one in issuers:
        if canonical_name(one.subject) != canonical_name(certificate.issuer):
            continue
        own = _key_ids(one)[1]
        if wanted is None or wanted == own:
            return one
        if own is None:
            fallback = one
    return fallback


def _key_ids(certificate: Certificate) -> tuple[bytes | None, bytes | None]:
    """The identifiers of the issuer's key and its own; None, too, for those that are damaged."""
    try:
        return certificate.authority_key_id.key_id, certificate.subject_key_id
    except MalformedError:
        return None, None
