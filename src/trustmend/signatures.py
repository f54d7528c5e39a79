"""Signatures of certificates, by the cryptography package; each question is answered once per process.

The package gets keys and signed bytes, never whole certificates: it warns of serial numbers below one, will refuse
them one day, and refuses versions and extensions that stand in real trust stores.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from trustmend import der
from trustmend.certificate import Certificate
from trustmend.errors import MalformedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

# RFC 8017 appendix A.2.4, RFC 5758, RFC 3279: the digest of an RSA, ECDSA or DSA signature; None: given otherwise.
_DIGESTS: Final = {
    "1.2.840.113549.1.1.4": "MD5",
    "1.2.840.113549.1.1.5": "SHA1",
    "1.3.14.3.2.29": "SHA1",
    "1.2.840.113549.1.1.14": "SHA224",
    "1.2.840.113549.1.1.11": "SHA256",
    "1.2.840.113549.1.1.12": "SHA384",
    "1.2.840.113549.1.1.13": "SHA512",
    "1.2.840.10045.4.1": "SHA1",
    "1.2.840.10045.4.3.1": "SHA224",
    "1.2.840.10045.4.3.2": "SHA256",
    "1.2.840.10045.4.3.3": "SHA384",
    "1.2.840.10045.4.3.4": "SHA512",
    "1.2.840.10040.4.3": "SHA1",
    "2.16.840.1.101.3.4.3.1": "SHA224",
    "2.16.840.1.101.3.4.3.2": "SHA256",
}
# RFC 5480 2.1.1.1, RFC 5639: the curves that the package knows, by its names for them.
_CURVES: Final = {
    "1.2.840.10045.3.1.1": "SECP192R1",
    "1.3.132.0.33": "SECP224R1",
    "1.2.840.10045.3.1.7": "SECP256R1",
    "1.3.132.0.10": "SECP256K1",
    "1.3.132.0.34": "SECP384R1",
    "1.3.132.0.35": "SECP521R1",
    "1.3.36.3.3.2.8.1.1.7": "BrainpoolP256R1",
    "1.3.36.3.3.2.8.1.1.11": "BrainpoolP384R1",
    "1.3.36.3.3.2.8.1.1.13": "BrainpoolP512R1",
}
_PSS: Final = "1.2.840.113549.1.1.10"
_PSS_DIGESTS: Final = {
    "1.3.14.3.2.26": "SHA1",
    "2.16.840.1.101.3.4.2.4": "SHA224",
    "2.16.840.1.101.3.4.2.1": "SHA256",
    "2.16.840.1.101.3.4.2.2": "SHA384",
    "2.16.840.1.101.3.4.2.3": "SHA512",
}


@cache
def signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether the key of `issuer` made the signature of `certificate`. Names and dates are not looked at.

    SHA-1 and MD5 signatures are checked like any other: whether one is good enough is the reader's rule. False,
    too, where the key or algorithm is one that the cryptography package does not know (an unknown curve, say).
    """
    # Imported here: most commands' start needs no cryptography at all.
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        match issuer.key_algorithm:
            case "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10":
                _verify_rsa(certificate, issuer)
            case "1.2.840.10045.2.1":
                _verify_ec(certificate, issuer)
            case _:
                _verify_other(certificate, issuer)
    except (InvalidSignature, UnsupportedAlgorithm, MalformedError, ValueError):
        return False
    return True


# Of the package only what the key at hand needs is loaded: its `serialization` alone takes as long as a whole audit's
# reading of stores, and nearly every key is RSA or on one of NIST's curves.


def _verify_rsa(certificate: Certificate, issuer: Certificate) -> None:
    """Check a signature by an RSA key (RFC 3279 2.3.1). Raises InvalidSignature and others."""
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    modulus, exponent = der.whole(_key_bits(issuer)).listed(der.SEQUENCE)
    key = rsa.RSAPublicNumbers(exponent.integer(), modulus.integer()).public_key()
    if certificate.signature_oid == _PSS:
        digest, salt = _pss(certificate)
        key.verify(certificate.signature, certificate.signed_part, padding.PSS(padding.MGF1(digest), salt), digest)
    else:
        key.verify(certificate.signature, certificate.signed_part, padding.PKCS1v15(), _digest(certificate))


def _verify_ec(certificate: Certificate, issuer: Certificate) -> None:
    """Check a signature by a key on a named curve (RFC 5480 2). Raises InvalidSignature and others."""
    from cryptography.hazmat.primitives.asymmetric import ec

    parameters = der.whole(issuer.spki).first().listed(der.SEQUENCE)[1:]
    name = _CURVES.get(parameters[0].oid()) if parameters and parameters[0].tag == der.OID else None
    if name is None:
        raise MalformedError("a curve that is not known by name")
    curve: ec.EllipticCurve = getattr(ec, name)()
    key = ec.EllipticCurvePublicKey.from_encoded_point(curve, _key_bits(issuer))
    key.verify(certificate.signature, certificate.signed_part, ec.ECDSA(_digest(certificate)))


def _verify_other(certificate: Certificate, issuer: Certificate) -> None:
    """Check a signature by a rarer sort of key. Raises InvalidSignature and others."""
    from cryptography.hazmat.primitives.asymmetric import dsa, ed448, ed25519
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    match load_der_public_key(issuer.spki):
        case dsa.DSAPublicKey() as key:
            key.verify(certificate.signature, certificate.signed_part, _digest(certificate))
        case (ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey()) as key:
            key.verify(certificate.signature, certificate.signed_part)
        case _:
            raise MalformedError("a sort of key that signs no certificates")


def _key_bits(issuer: Certificate) -> bytes:
    """The octets of subjectPublicKey (RFC 5280 4.1.2.7). Raises MalformedError."""
    parts = der.whole(issuer.spki).listed(der.SEQUENCE)
    if len(parts) != 2 or parts[1].tag != der.BIT_STRING or parts[1].content[:1] != b"\0":
        raise MalformedError("a public key that is no whole number of octets")
    return parts[1].content[1:]


def _digest(certificate: Certificate) -> HashAlgorithm:
    """The digest that the signature's OID names. Raises MalformedError for one that is not known."""
    name = _DIGESTS.get(certificate.signature_oid)
    if name is None:
        raise MalformedError(f"unknown signature algorithm {certificate.signature_oid}")
    return _by_name(name)


def _pss(certificate: Certificate) -> tuple[HashAlgorithm, int]:
    """Digest and salt length in bytes of an RSASSA-PSS signature (RFC 8017 A.2.3). Raises MalformedError."""
    name, salt = "SHA1", 20
    for part in certificate.signature_parameters:
        if part.tag == 0xA0:
            name = _PSS_DIGESTS.get(part.first().first().oid(), "")
        elif part.tag == 0xA2:
            salt = part.first().integer()
    if not name or not 0 <= salt <= 512:
        raise MalformedError("unknown parameters of an RSASSA-PSS signature")
    return _by_name(name), salt


def _by_name(name: str) -> HashAlgorithm:
    from cryptography.hazmat.primitives import hashes

    found: HashAlgorithm = getattr(hashes, name)()
    return found
