"""Signatures of certificates, by the cryptography package; each question is answered once per process.

The package gets keys and signed bytes, never whole certificates: it warns of serial numbers below one, will refuse
them one day, and refuses versions and extensions that stand in real trust stores.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

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
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(issuer.spki)
        signature, signed = certificate.signature, certificate.signed_part
        match key:
            case rsa.RSAPublicKey() if certificate.signature_oid == _PSS:
                digest, salt = _pss(certificate)
                key.verify(signature, signed, padding.PSS(padding.MGF1(digest), salt), digest)
            case rsa.RSAPublicKey():
                key.verify(signature, signed, padding.PKCS1v15(), _digest(certificate))
            case ec.EllipticCurvePublicKey():
                key.verify(signature, signed, ec.ECDSA(_digest(certificate)))
            case dsa.DSAPublicKey():
                key.verify(signature, signed, _digest(certificate))
            case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
                key.verify(signature, signed)
            case _:
                return False
    except (InvalidSignature, UnsupportedAlgorithm, MalformedError, ValueError):
        return False
    return True


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
