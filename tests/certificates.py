"""Certificates for tests: every default is good, and a test states its one deviation.

    ca = root("Our Root")                                a root that everybody accepts
    root("Our Root", not_after=PAST)                     the same key and name, but expired
    root("Our Root", key="stolen name")                  the same name, another key
    cross(ca, root("Old Root"))                          the name and key of `ca`, issued by another
    issuing = intermediate(ca, "Our Issuing CA")         with a path length: path_length=0
    leaf(issuing, "localhost")                           for a server with that name
    root("Our Root", version=1) / (digest="sha1") / (ski=False) / (ca=None) / (serial=-1) / (kind="rsa")
    root(name("Größe", form="latin-1"))                  names of any encoding, also bad ones

The signed part is put together here byte by byte, for the cryptography package (rightly) refuses to make much of
what stands in real stores: version 1, SHA-1, serial numbers that are zero or negative, names that are no text. Keys
and signatures are that package's. Equal arguments give the same bytes within one run of the tests, not between runs.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from trustmend.certificate import Certificate

BEGIN: Final = datetime(2020, 1, 1, tzinfo=UTC)
END: Final = datetime(2040, 1, 1, tzinfo=UTC)
"""The default validity: BEGIN is the first second, END the last."""
PAST: Final = datetime(2021, 1, 1, tzinfo=UTC)
FUTURE: Final = datetime(2039, 1, 1, tzinfo=UTC)
"""For `not_after=PAST` (expired today) and `not_before=FUTURE` (not yet valid today)."""

CERT_SIGN: Final = frozenset({5, 6})  # keyCertSign, cRLSign (RFC 5280 4.2.1.3)
DIGITAL_SIGNATURE: Final = frozenset({0})
SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"
CLIENT_AUTH: Final = "1.3.6.1.5.5.7.3.2"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_FORMS: Final = {
    "utf-8": (12, "utf-8"),  # UTF8String
    "printable": (19, "ascii"),  # PrintableString
    "latin-1": (20, "latin-1"),  # T61String, as Latin-1
    "ia5": (22, "ascii"),  # IA5String
    "bmp": (30, "utf-16-be"),  # BMPString
}
_DIGESTS: Final[dict[str, hashes.HashAlgorithm]] = {
    "md5": hashes.MD5(),  # noqa: S303 # old roots are signed so
    "sha1": hashes.SHA1(),  # noqa: S303
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_SIGNATURES: Final = {
    ("rsa", "md5"): "1.2.840.113549.1.1.4",
    ("rsa", "sha1"): "1.2.840.113549.1.1.5",
    ("rsa", "sha256"): "1.2.840.113549.1.1.11",
    ("rsa", "sha384"): "1.2.840.113549.1.1.12",
    ("rsa", "sha512"): "1.2.840.113549.1.1.13",
    ("ec", "sha1"): "1.2.840.10045.4.1",
    ("ec", "sha256"): "1.2.840.10045.4.3.2",
    ("ec", "sha384"): "1.2.840.10045.4.3.3",
    ("ec", "sha512"): "1.2.840.10045.4.3.4",
    ("ed25519", ""): "1.3.101.112",
}


@dataclass(frozen=True, slots=True)
class Spec:
    """All that can be chosen about a certificate. The functions below set what makes the role; tests the deviation."""

    name: bytes  # the subject as encoded, see `name`
    key: str  # a label: the same label and kind is the same key
    kind: str = "ec"  # ec (P-256), rsa (2048 bits), rsa-1024, rsa-3072, ed25519
    not_before: datetime = BEGIN
    not_after: datetime = END
    serial: int | None = None  # None: positive and different for every Spec; zero and negative ones are taken
    version: int = 3  # 1 leaves all extensions out
    digest: str = "sha256"
    ca: bool | None = True  # None: no basicConstraints at all
    path_length: int | None = None
    ski: bool | bytes = True  # False: none; bytes: these instead of the key's
    aki: bool | bytes = True  # False: none (a root has none anyway); bytes: these, also for a root
    key_usage: frozenset[int] | None = CERT_SIGN  # bits; None: no keyUsage
    purposes: tuple[str, ...] = ()  # extended key usage OIDs; (): no such extension
    hosts: tuple[str, ...] = ()  # subjectAltName: DNS names and IP addresses
    extra: tuple[tuple[str, bool, bytes], ...] = ()  # further extensions: OID, critical, DER value
    bad_signature: bool = False  # one bit of the signature is wrong


@dataclass(frozen=True, slots=True)
class Made:
    """A certificate with its private key."""

    certificate: Certificate
    private_key: PrivateKey
    spec: Spec

    @property
    def der(self) -> bytes:
        """The DER bytes."""
        return self.certificate.der

    @property
    def pem(self) -> bytes:
        """One PEM block, LF at the end."""
        return self.certificate.pem

    @property
    def sha256(self) -> str:
        """The certificate's identity, lower-case hex."""
        return self.certificate.sha256

    @property
    def key_pem(self) -> bytes:
        """The private key as an unencrypted PKCS#8 PEM block, for servers."""
        return self.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def root(subject: str | bytes = "Test Root", **deviation: Any) -> Made:  # noqa: ANN401 # the fields of Spec
    """A self-signed CA. Its key belongs to its name: say `key="other"` for another one.

    Args:
        subject: the CN, or a whole encoded name from `name`.
        deviation: fields of `Spec`.
    """
    return _make(_spec(subject, deviation), None)


def intermediate(issuer: Made, subject: str | bytes = "Test Issuing CA", **deviation: Any) -> Made:  # noqa: ANN401
    """A CA that `issuer` signed; the arguments are those of `root`."""
    return _make(_spec(subject, deviation), issuer)


def cross(of: Made, issuer: Made, **deviation: Any) -> Made:  # noqa: ANN401
    """The name and the key of `of`, signed by another: a cross-sign."""
    fields = {"kind": of.spec.kind, "key": of.spec.key, "serial": None, **deviation}
    return _make(replace(of.spec, **fields), issuer)


def leaf(issuer: Made, host: str = "localhost", **deviation: Any) -> Made:  # noqa: ANN401
    """A TLS server's certificate for one DNS name or IP address (more with `hosts=`)."""
    defaults = {
        "ca": False,
        "key_usage": DIGITAL_SIGNATURE,
        "purposes": (SERVER_AUTH,),
        "hosts": (host,),
        "key": f"leaf {host}",
    }
    return _make(_spec(host, {**defaults, **deviation}), issuer)


def bundle_pem(*made: Made) -> bytes:
    """The PEM blocks of these, one after the other, in this order."""
    return b"".join(one.pem for one in made)


def name(common: str | bytes, *, form: str = "utf-8", organization: str | None = "Trustmend Test") -> bytes:
    """An encoded Name: O and CN.

    Args:
        common: the CN; bytes are taken as they are, whatever `form` can hold (for names that are no text).
        form: utf-8, printable, latin-1 (T61String), ia5 or bmp.
        organization: None leaves the O out.
    """
    tag, codec = _FORMS[form]
    value = common if isinstance(common, bytes) else common.encode(codec)
    parts = [] if organization is None else [_attribute("2.5.4.10", element(12, organization.encode()))]
    return element(0x30, *parts, _attribute("2.5.4.3", element(tag, value)))


@cache
def private_key(label: str, kind: str = "ec") -> PrivateKey:
    """The one key of this label and kind in this run of the tests."""
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    bits = {"rsa": 2048, "rsa-1024": 1024, "rsa-3072": 3072}[kind]
    return rsa.generate_private_key(65537, bits)


def _spec(subject: str | bytes, deviation: dict[str, Any]) -> Spec:
    encoded = subject if isinstance(subject, bytes) else name(subject)
    label = subject if isinstance(subject, str) else subject.hex()
    return Spec(**{"name": encoded, "key": label, **deviation})


@cache
def _make(spec: Spec, issuer: Made | None) -> Made:
    """Put it together and sign it with the issuer's key, or with its own (RFC 5280 4.1)."""
    key = private_key(spec.key, spec.kind)
    signer = key if issuer is None else issuer.private_key
    algorithm = _algorithm(signer, spec.digest)
    issuer_name = spec.name if issuer is None else issuer.spec.name
    parts = [
        element(0xA0, _integer(spec.version - 1)) if spec.version > 1 else b"",
        _integer(_serial(spec, issuer) if spec.serial is None else spec.serial),
        algorithm,
        issuer_name,
        element(0x30, _time(spec.not_before), _time(spec.not_after)),
        spec.name,
        _public(key),
    ]
    if spec.version >= 3 and (extensions := _extensions(spec, issuer, key)):
        parts.append(element(0xA3, element(0x30, *extensions)))
    signed = element(0x30, *parts)
    signature = bytearray(_sign(signer, signed, spec.digest))
    if spec.bad_signature:
        signature[-1] ^= 1
    whole = element(0x30, signed, algorithm, element(3, b"\0", bytes(signature)))
    return Made(Certificate.of(whole), key, spec)


def _serial(spec: Spec, issuer: Made | None) -> int:
    text = repr((spec, issuer and issuer.sha256))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:15], "big") | 1


def _extensions(spec: Spec, issuer: Made | None, key: PrivateKey) -> list[bytes]:
    found = []
    if spec.ca is not None:
        flag = [element(1, b"\xff")] if spec.ca else []
        length = [] if spec.path_length is None else [_integer(spec.path_length)]
        found.append(_extension("2.5.29.19", True, element(0x30, *flag, *length)))
    if spec.key_usage is not None:
        found.append(_extension("2.5.29.15", True, _bits(spec.key_usage)))
    if spec.ski is not False:
        identifier = key_id(key) if spec.ski is True else spec.ski
        found.append(_extension("2.5.29.14", False, element(4, identifier)))
    authority = _authority(spec, issuer)
    if authority is not None:
        found.append(_extension("2.5.29.35", False, element(0x30, element(0x80, authority))))
    if spec.purposes:
        found.append(_extension("2.5.29.37", False, element(0x30, *map(_oid, spec.purposes))))
    if spec.hosts:
        found.append(_extension("2.5.29.17", False, element(0x30, *map(_host, spec.hosts))))
    return found + [_extension(oid, critical, value) for oid, critical, value in spec.extra]


def _authority(spec: Spec, issuer: Made | None) -> bytes | None:
    """The key identifier that the AKI names, or None where there is to be no AKI."""
    if isinstance(spec.aki, bytes):
        return spec.aki
    if not spec.aki or issuer is None:
        return None
    return issuer.certificate.subject_key_id or key_id(issuer.private_key)


def key_id(key: PrivateKey) -> bytes:
    """The SHA-1 of the public key's bits (RFC 5280 4.2.1.2, method 1)."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    encoding = serialization.Encoding.DER
    bits = key.public_key().public_bytes(encoding, form)
    if isinstance(key, rsa.RSAPrivateKey):
        bits = key.public_key().public_bytes(encoding, serialization.PublicFormat.PKCS1)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        point = serialization.PublicFormat.UncompressedPoint
        bits = key.public_key().public_bytes(serialization.Encoding.X962, point)
    return hashlib.sha1(bits, usedforsecurity=False).digest()


def _public(key: PrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


def _algorithm(signer: PrivateKey, digest: str) -> bytes:
    if isinstance(signer, rsa.RSAPrivateKey):
        return element(0x30, _oid(_SIGNATURES["rsa", digest]), element(5))
    if isinstance(signer, ec.EllipticCurvePrivateKey):
        return element(0x30, _oid(_SIGNATURES["ec", digest]))
    return element(0x30, _oid(_SIGNATURES["ed25519", ""]))


def _sign(signer: PrivateKey, content: bytes, digest: str) -> bytes:
    if isinstance(signer, rsa.RSAPrivateKey):
        return signer.sign(content, padding.PKCS1v15(), _DIGESTS[digest])
    if isinstance(signer, ec.EllipticCurvePrivateKey):
        return signer.sign(content, ec.ECDSA(_DIGESTS[digest]))
    return signer.sign(content)


def element(tag: int, *content: bytes) -> bytes:
    """One DER element of a one-byte tag, its content given in pieces."""
    joined = b"".join(content)
    size = len(joined)
    if size < 0x80:
        return bytes((tag, size)) + joined
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + joined


def _integer(value: int) -> bytes:
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return element(2, value.to_bytes(size, "big", signed=True))


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    octets = bytearray()
    for number in (first * 40 + second, *rest):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        octets += bytes(reversed(groups))
    return element(6, bytes(octets))


def _attribute(oid: str, value: bytes) -> bytes:
    return element(0x31, element(0x30, _oid(oid), value))


def _extension(oid: str, critical: bool, value: bytes) -> bytes:  # the order of RFC 5280
    return element(0x30, _oid(oid), element(1, b"\xff") if critical else b"", element(4, value))


def _bits(bits: Sequence[int] | frozenset[int]) -> bytes:
    """A BIT STRING with these named bits, without trailing zeros (DER)."""
    size = max(bits, default=-1) + 1
    number = sum(1 << (15 - bit) for bit in bits).to_bytes(2, "big")[: (size + 7) // 8]
    return element(3, bytes(((8 - size % 8) % 8,)), number)


def _host(host: str) -> bytes:
    try:
        return element(0x87, ipaddress.ip_address(host).packed)
    except ValueError:
        return element(0x82, host.encode("ascii"))


def _time(moment: datetime) -> bytes:
    """UTCTime to 2049, GeneralizedTime after (RFC 5280 4.1.2.5)."""
    text = f"{moment:%Y%m%d%H%M%SZ}"
    if 1950 <= moment.year < 2050:
        return element(23, text[2:].encode())
    return element(24, text.encode())
