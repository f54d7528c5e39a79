"""Certificates as bytes and as people see them: read only as far as they are asked for. Nothing here touches the host.

A certificate's identity is the SHA-256 of its whole DER encoding. Names and serials are only shown.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Final

from trustmend import der
from trustmend.der import Tlv
from trustmend.errors import MalformedError

# RFC 4514 short names, and the two that CA names use beside them (RFC 5280 appendix A).
_ATTRIBUTE_NAMES: Final[Mapping[str, str]] = {
    "2.5.4.3": "CN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
    "1.2.840.113549.1.9.1": "emailAddress",
}
_STRING_CODECS: Final[Mapping[int, str]] = {
    12: "utf-8",  # UTF8String
    19: "latin-1",  # PrintableString
    20: "latin-1",  # T61String: OpenSSL and the JDK both read it as Latin-1
    22: "latin-1",  # IA5String
    26: "latin-1",  # VisibleString
    28: "utf-32-be",  # UniversalString
    30: "utf-16-be",  # BMPString
}
_KEY_CERT_SIGN_BIT: Final = 5  # RFC 5280 4.2.1.3
_NEVER_BEGINS: Final = datetime.max.replace(tzinfo=UTC)
RSA_KEY: Final = "1.2.840.113549.1.1.1"
SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"
ANY_PURPOSE: Final = "2.5.29.37.0"


def printable(text: str) -> str:
    """`text` with every control, format and surrogate character shown as an escape: fit for a terminal.

    Certificates and paths are other people's words; a newline or an escape sequence among them would let their
    author write on the operator's screen.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension of a certificate (RFC 5280 4.2): `value` is the content of its OCTET STRING."""

    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True)
class AuthorityKeyId:
    """The parts of an authority key identifier (RFC 5280 4.2.1.1)."""

    key_id: bytes | None = None
    issuer: bytes | None = None  # the issuer name of the issuer's certificate, as encoded
    serial: int | None = None  # of the issuer's certificate

    def allows(self, issuer: Certificate) -> bool:
        """Whether nothing here speaks against `issuer` (X509_check_akid of OpenSSL). Raises MalformedError."""
        if self.key_id is not None and issuer.subject_key_id not in (None, self.key_id):
            return False
        if self.serial is not None and self.serial != issuer.serial:
            return False
        return self.issuer is None or canonical_name(self.issuer) == canonical_name(issuer.issuer)


class Certificate:
    """An X.509 certificate, read only as far as it is asked for. Equal when the DER bytes are equal.

    Made by `Certificate.of`, which gives the same object for the same bytes, so what one store made us
    parse is free for the next.
    """

    __slots__ = ("__dict__", "_tbs", "der", "issuer", "sha256", "spki", "subject", "version")

    der: bytes
    sha256: str  # lower-case hex: the identity
    subject: bytes  # the Name as encoded
    issuer: bytes
    spki: bytes  # SubjectPublicKeyInfo as encoded
    version: int  # 1, 2 or 3

    def __init__(self, encoded: bytes) -> None:
        outer = der.whole(encoded).listed(der.SEQUENCE)
        if len(outer) != 3:
            raise MalformedError(f"{len(outer)} parts where a certificate has 3")
        outer[2].expect(der.BIT_STRING)
        tbs = outer[0].listed(der.SEQUENCE)
        at = 0
        self.version = 1
        if tbs and tbs[0].tag == 0xA0:
            self.version = tbs[0].first().integer() + 1
            at = 1
        if len(tbs) < at + 6:
            raise MalformedError("the signed part ends early")
        for element, tag in zip(tbs[at : at + 6], (2, 0x30, 0x30, 0x30, 0x30, 0x30), strict=True):
            element.expect(tag)
        self.der = encoded
        self.sha256 = hashlib.sha256(encoded).hexdigest()
        self.issuer = tbs[at + 2].raw
        self.subject = tbs[at + 4].raw
        self.spki = tbs[at + 5].raw
        self._tbs = (tbs[at], tbs[at + 1], tbs[at + 3], tuple(tbs[at + 6 :]), outer[1])
        # OpenSSL refuses a certificate whose names it cannot decode; so the reason is found here.
        canonical_name(self.subject)
        canonical_name(self.issuer)
        validity = self._tbs[2].listed(der.SEQUENCE)
        if len(validity) != 2:
            raise MalformedError("a validity of other than two times")
        try:
            self.not_before = der.instant(validity[0])
            self.not_after = der.instant(validity[1])
        except MalformedError:
            # OpenSSL loads it and holds it valid at no time at all; so no reader trusts a path through it.
            self.not_before, self.not_after = _NEVER_BEGINS, _NEVER_BEGINS

    not_before: datetime  # aware, UTC
    not_after: datetime  # aware, UTC; the last second in which it is valid

    @staticmethod
    @cache
    def of(encoded: bytes) -> Certificate:
        """The certificate with these DER bytes.

        Raises:
            MalformedError: they are not one certificate, whole and nothing after it.
        """
        return Certificate(encoded)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"<Certificate {self.label!r} {self.sha256[:8]}>"

    @property
    def serial(self) -> int:
        """The serial number; zero and negative ones exist in the wild."""
        return self._tbs[0].integer()

    @property
    def signed_part(self) -> bytes:
        """The bytes that the signature is of (tbsCertificate as encoded)."""
        return der.whole(self.der).first().raw

    @property
    def signature(self) -> bytes:
        """The signature's octets. Raises MalformedError."""
        bits = der.whole(self.der).listed(der.SEQUENCE)[2].content
        if bits[:1] != b"\0":
            raise MalformedError("a signature that is no whole number of octets")
        return bits[1:]

    @property
    def signature_parameters(self) -> Sequence[Tlv]:
        """The parts of the signature algorithm's parameters, where those are a SEQUENCE."""
        parts = self._tbs[4].listed(der.SEQUENCE)
        return parts[1].listed(der.SEQUENCE) if len(parts) > 1 and parts[1].tag == der.SEQUENCE else ()

    @cached_property
    def signature_oid(self) -> str:
        """The signature algorithm's OID, from the outer AlgorithmIdentifier. Raises MalformedError."""
        return self._tbs[4].first().oid()

    @cached_property
    def extensions(self) -> Mapping[str, Extension]:
        """All extensions by OID; of a duplicated one the first. Raises MalformedError."""
        found: dict[str, Extension] = {}
        for part in self._tbs[3]:
            if part.tag == 0xA3:
                for one in part.first().listed(der.SEQUENCE):
                    fields = one.listed(der.SEQUENCE)
                    if len(fields) < 2:
                        raise MalformedError("an extension without a value")
                    critical = fields[1].tag == der.BOOLEAN and fields[1].content != b"\x00"
                    oid = fields[0].oid()
                    found.setdefault(oid, Extension(oid, critical, fields[-1].expect(4).content))
        return found

    @cached_property
    def basic_constraints(self) -> tuple[bool, int | None] | None:
        """(is a CA, path length or None), or None without the extension (RFC 5280 4.2.1.9)."""
        extension = self.extensions.get("2.5.29.19")
        if extension is None:
            return None
        fields = der.whole(extension.value).listed(der.SEQUENCE)
        ca = bool(fields) and fields[0].tag == der.BOOLEAN and fields[0].content != b"\x00"
        lengths = [f.integer() for f in fields if f.tag == der.INTEGER]
        return ca, lengths[0] if lengths else None

    @cached_property
    def key_usage(self) -> frozenset[int] | None:
        """The set bits (0 = digitalSignature, 5 = keyCertSign ...), or None without the extension."""
        extension = self.extensions.get("2.5.29.15")
        if extension is None:
            return None
        bits = der.whole(extension.value).expect(der.BIT_STRING).content[1:]
        return frozenset(i for i in range(len(bits) * 8) if bits[i // 8] >> (7 - i % 8) & 1)

    @cached_property
    def extended_key_usage(self) -> frozenset[str] | None:
        """The purposes' OIDs, or None without the extension."""
        extension = self.extensions.get("2.5.29.37")
        if extension is None:
            return None
        return frozenset(p.oid() for p in der.whole(extension.value).listed(der.SEQUENCE))

    @cached_property
    def subject_key_id(self) -> bytes | None:
        """The SKI's octets, or None."""
        extension = self.extensions.get("2.5.29.14")
        return None if extension is None else der.whole(extension.value).expect(der.OCTET_STRING).content

    @cached_property
    def authority_key_id(self) -> AuthorityKeyId:
        """What the AKI says of the issuer's own certificate; all absent without it. Raises MalformedError."""
        extension = self.extensions.get("2.5.29.35")
        if extension is None:
            return AuthorityKeyId()
        fields = {f.tag: f for f in der.whole(extension.value).listed(der.SEQUENCE)}
        serial = fields.get(0x82)
        names = [n for n in fields[0xA1].children() if n.tag == 0xA4] if 0xA1 in fields else []
        return AuthorityKeyId(
            fields[0x80].content if 0x80 in fields else None,
            names[0].first().raw if names else None,
            None if serial is None else int.from_bytes(serial.content, "big", signed=True),
        )

    @cached_property
    def self_issued(self) -> bool:
        """Subject and issuer are the same name."""
        return canonical_name(self.subject) == canonical_name(self.issuer)

    @cached_property
    def self_signed(self) -> bool:
        """Self-issued, and its AKI, if any, names its own key: EXFLAG_SS of OpenSSL. No signature is checked."""
        if not self.self_issued:
            return False
        try:
            return self.authority_key_id.allows(self)
        except MalformedError:
            return False

    @cached_property
    def is_ca(self) -> bool:
        """May issue certificates: CA:TRUE, or a self-signed certificate of version 1 (no extensions then)."""
        try:
            constraints = self.basic_constraints
            usage = self.key_usage
        except MalformedError:
            return False
        if usage is not None and _KEY_CERT_SIGN_BIT not in usage:
            return False
        if constraints is not None:
            return constraints[0]
        return self.version < 3 and self.self_issued

    @cached_property
    def key_algorithm(self) -> str:
        """The OID of the key's algorithm. Raises MalformedError."""
        return der.whole(self.spki).first().first().oid()

    @cached_property
    def rsa_bits(self) -> int | None:
        """The size of an RSA key in bits; None for another kind of key. Raises MalformedError."""
        if self.key_algorithm != RSA_KEY:
            return None
        parts = der.whole(self.spki).listed(der.SEQUENCE)
        if len(parts) != 2:
            raise MalformedError(f"{len(parts)} parts where a public key has 2")
        return der.whole(parts[1].content[1:]).first().integer().bit_length()

    @cached_property
    def label(self) -> str:
        """The name people know it by: CN, else the last OU, O or part; printable, never empty."""
        return name_label(self.subject)

    @property
    def pem(self) -> bytes:
        """One PEM block (RFC 7468), LF at the end."""
        text = base64.b64encode(self.der)
        lines = b"\n".join(text[i : i + 64] for i in range(0, len(text), 64))
        return b"-----BEGIN CERTIFICATE-----\n" + lines + b"\n-----END CERTIFICATE-----\n"


@cache
def name_parts(name: bytes) -> tuple[tuple[str, str], ...]:
    """The attributes of an encoded Name in their order, printable: (("C", "GB"), ("CN", "AAA ..."))."""
    parts = []
    for relative in der.whole(name).children():
        for attribute in relative.children():
            oid, value = list(attribute.children())[:2]
            kind = oid.oid()
            text = value.content.decode(_STRING_CODECS.get(value.tag, "latin-1"), "replace")
            parts.append((_ATTRIBUTE_NAMES.get(kind, kind), printable(text)))
    return tuple(parts)


def name_label(name: bytes) -> str:
    """What people call the bearer of an encoded Name: CN, else the last OU, O or part; printable, never empty."""
    parts = name_parts(name)
    by_type = dict(parts)
    last = parts[-1][1] if parts else ""
    return next((by_type[k] for k in ("CN", "OU", "O") if by_type.get(k)), last) or "(no name)"


def name_text(name: bytes) -> str:
    """An encoded Name as one line in the order it is encoded, printable: `C=GB, O=Sectigo Limited, CN=...`."""
    return ", ".join(f"{kind}={value}" for kind, value in name_parts(name))


@cache
def canonical_name(name: bytes) -> bytes:
    """The form in which OpenSSL compares names: strings as UTF-8, lower-case ASCII, inner blanks as one.

    Source: OpenSSL crypto/x509/x_name.c, x509_name_canon; its SHA-1 begins with the hash of CApath links.

    Raises:
        MalformedError: not a Name, or a string that its type cannot hold (OpenSSL refuses the certificate).
    """
    result = []
    for relative in der.whole(name).listed(der.SEQUENCE):
        attributes = [_canonical_attribute(attribute.raw) for attribute in relative.listed(der.SET)]
        result.append(_element(der.SET, b"".join(sorted(attributes))))
    return b"".join(result)


@cache
def _canonical_attribute(attribute: bytes) -> bytes:
    """One attribute of a name; C=US stands in half of all names. Raises MalformedError."""
    fields = der.whole(attribute).listed(der.SEQUENCE)
    if len(fields) != 2:
        raise MalformedError("a name attribute of other than two parts")
    oid, value = fields
    oid.oid()  # so that showing the name can never fail
    codec = _STRING_CODECS.get(value.tag)
    if codec is None:
        return _element(der.SEQUENCE, oid.raw + value.raw)
    try:
        text = value.content.decode(codec)
    except UnicodeDecodeError as problem:
        raise MalformedError(f"a name that is not {codec}") from problem
    encoded = _element(der.UTF8_STRING, _folded(text).encode("utf-8", "surrogatepass"))
    return _element(der.SEQUENCE, oid.raw + encoded)


def _folded(text: str) -> str:
    """Blanks (only the ASCII ones) trimmed and collapsed, ASCII letters in lower case."""
    words = text.translate(_ASCII_LOWER).split(" ")
    return " ".join(word for word in words if word)


# str.lower and str.split() would touch letters and blanks beyond ASCII, which OpenSSL leaves alone.
_ASCII_LOWER: Final = {**{c: c + 32 for c in range(65, 91)}, **dict.fromkeys((9, 10, 11, 12, 13), 32)}


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def name_hash(certificate: Certificate) -> str:
    """The eight hex digits that OpenSSL's CApath links of this certificate begin with (X509_NAME_hash)."""
    digest = hashlib.sha1(canonical_name(certificate.subject), usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"
