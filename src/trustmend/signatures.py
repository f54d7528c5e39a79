"""Signatures of certificates, by the cryptography package; each question is answered once per process."""

from __future__ import annotations

from functools import cache

from trustmend.model import Certificate


@cache
def signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether the key of `issuer` made the signature of `certificate`. Names and dates are not looked at.

    SHA-1 and MD5 signatures are checked like any other: whether one is good enough is the reader's rule. False,
    too, where the key or algorithm is one that the cryptography package does not know (an unknown curve, say).
    """
    # Imported here: most commands' start needs no cryptography at all.
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

    try:
        child = x509.load_der_x509_certificate(certificate.der)
        key = x509.load_der_x509_certificate(issuer.der).public_key()
        signature, signed = child.signature, child.tbs_certificate_bytes
        parameters, digest = child.signature_algorithm_parameters, child.signature_hash_algorithm
        match key:
            case rsa.RSAPublicKey() if digest and isinstance(parameters, padding.PKCS1v15 | padding.PSS):
                key.verify(signature, signed, parameters, digest)
            case ec.EllipticCurvePublicKey() if isinstance(parameters, ec.ECDSA):
                key.verify(signature, signed, parameters)
            case dsa.DSAPublicKey() if digest:
                key.verify(signature, signed, digest)
            case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
                key.verify(signature, signed)
            case _:
                return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
