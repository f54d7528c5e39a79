"""The rules of the libraries that read trust stores: one row per reader, data for `validate`.

A row is added when a library decides differently about some store or chain, and its source says where from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final

from trustmend.model import (
    ALL_FILES,
    GNUTLS,
    JAVA_OPEN,
    JAVA_PASSWORD,
    JCEKS_OPEN,
    JCEKS_PASSWORD,
    NSS,
    OPENSSL,
    Kind,
    Use,
)


class Walk(StrEnum):
    """How a library builds its path; a module of `walks` each."""

    OPENSSL = auto()  # the first time-valid issuer that it meets, and no way back
    EVERY_PATH = auto()  # and an anchor must be as good as the rest
    WEBPKI = auto()  # every path, too; of an anchor name and key alone count
    JSSE = auto()  # what was sent in its order, else every path
    GNUTLS = auto()  # what was sent, sorted


@dataclass(frozen=True, eq=False)
class Reader:
    """How one library reads a store and builds a path. Equal only to itself: what it thinks of a certificate is kept.

    view: which view of a store it meets (`model.Content.views`).
    walk: how it builds a path.
    partial_chain: a certificate of the store ends a path even when it is no root.
    anchor_dates: the anchor, too, must be valid at the time.
    strict: RFC 5280's demands on CA certificates are enforced (OpenSSL's X509_V_FLAG_X509_STRICT).
    min_rsa_bits: of every CA key in the path.
    weak_digests: signature digests that are refused below the anchor.
    """

    id: str
    title: str
    view: str
    walk: Walk
    partial_chain: bool
    anchor_dates: bool
    strict: bool
    min_rsa_bits: int
    weak_digests: frozenset[str]
    source: str

    @property
    def first_match(self) -> bool:
        """The order of the store's certificates decides (OpenSSL)."""
        return self.walk is Walk.OPENSSL


_OPENSSL_WEAK: Final = frozenset({"md2", "md5", "sha1"})

READERS: Final[Mapping[str, Reader]] = {
    reader.id: reader
    for reader in (
        Reader(
            "openssl-3",
            "OpenSSL 1.1.1 and 3",
            view=OPENSSL,
            walk=Walk.OPENSSL,
            partial_chain=False,
            anchor_dates=True,
            strict=False,
            # Security level 1, the library's default; Debian's level 2 asks for 2048, which every root here has.
            min_rsa_bits=1024,
            weak_digests=_OPENSSL_WEAK,
            source="crypto/x509/x509_vfy.c: build_chain, get1_trusted_issuer, check_auth_level, internal_verify",
        ),
        Reader(
            "python-3.12",
            "Python up to 3.12",
            view=OPENSSL,
            walk=Walk.OPENSSL,
            partial_chain=False,
            anchor_dates=True,
            strict=False,
            min_rsa_bits=2048,
            weak_digests=_OPENSSL_WEAK,
            # Modules/_ssl.c sets SECLEVEL=2 since 3.10.
            source="Lib/ssl.py create_default_context up to 3.12: OpenSSL's rules, security level 2",
        ),
        Reader(
            "python-3.13",
            "Python 3.13 and later",
            view=OPENSSL,
            walk=Walk.OPENSSL,
            partial_chain=True,
            anchor_dates=True,
            strict=True,
            min_rsa_bits=2048,
            weak_digests=_OPENSSL_WEAK,
            source="Lib/ssl.py create_default_context since 3.13: VERIFY_X509_PARTIAL_CHAIN | VERIFY_X509_STRICT",
        ),
        Reader(
            "curl",
            "curl with OpenSSL",
            view=OPENSSL,
            walk=Walk.OPENSSL,
            partial_chain=True,
            anchor_dates=True,
            strict=False,
            min_rsa_bits=1024,
            weak_digests=_OPENSSL_WEAK,
            source="lib/vtls/openssl.c: X509_V_FLAG_PARTIAL_CHAIN",
        ),
        Reader(
            "node",
            "Node",
            # NODE_EXTRA_CA_CERTS and `ca` take plain CERTIFICATE blocks and keep those before a damage.
            view=ALL_FILES,
            walk=Walk.OPENSSL,
            partial_chain=False,
            anchor_dates=True,
            strict=False,
            min_rsa_bits=1024,
            weak_digests=_OPENSSL_WEAK,
            source="src/crypto/crypto_context.cc: NewRootCertStore, X509_STORE without X509_V_FLAG_PARTIAL_CHAIN",
        ),
        Reader(
            "go",
            "Go",
            view=ALL_FILES,
            walk=Walk.EVERY_PATH,
            partial_chain=True,
            anchor_dates=True,
            strict=False,
            min_rsa_bits=1024,
            weak_digests=_OPENSSL_WEAK,
            source="crypto/x509/verify.go: buildChains, isValid; cert_pool.go: AppendCertsFromPEM skips what is no"
            " certificate; root_unix.go",
        ),
        Reader(
            "rustls",
            "rustls",
            view=ALL_FILES,
            walk=Walk.WEBPKI,
            partial_chain=True,
            # An anchor is a subject, a key and name constraints: it has no dates.
            anchor_dates=False,
            strict=False,
            min_rsa_bits=2048,
            weak_digests=_OPENSSL_WEAK,
            source="rustls-pki-types TrustAnchor; rustls-webpki src/verify_cert.rs",
        ),
        Reader(
            "gnutls",
            "GnuTLS",
            view=GNUTLS,
            walk=Walk.GNUTLS,
            partial_chain=True,
            anchor_dates=True,
            strict=False,
            min_rsa_bits=1024,
            weak_digests=_OPENSSL_WEAK,
            source="lib/x509/verify-high.c: gnutls_x509_trust_list_verify_crt2; lib/x509/x509.c; seen with 3.7.9",
        ),
        Reader(
            "jsse",
            "JVM (JSSE)",
            view=JAVA_OPEN,
            walk=Walk.JSSE,
            partial_chain=True,
            anchor_dates=False,
            strict=False,
            min_rsa_bits=1024,
            weak_digests=frozenset({"md2", "md5"}),
            source="sun.security.validator.PKIXValidator and sun.security.provider.certpath of JDK 17 and 25",
        ),
        Reader(
            "jsse-pem",
            "JVM that reads PEM",
            view=OPENSSL,
            walk=Walk.JSSE,
            partial_chain=True,
            anchor_dates=False,
            strict=False,
            min_rsa_bits=1024,
            weak_digests=frozenset({"md2", "md5"}),
            source="products that fill a KeyStore from PEM (Kafka, Elasticsearch, Spring, Tomcat), then JSSE's rules",
        ),
        Reader(
            "nss",
            "NSS",
            view=NSS,
            walk=Walk.EVERY_PATH,
            partial_chain=True,
            anchor_dates=True,
            strict=False,
            min_rsa_bits=1023,
            weak_digests=_OPENSSL_WEAK,
            source="mozpkix/lib/pkixbuild.cpp, which browsers use: the flag C ends a path, p bars the certificate",
        ),
    )
}

_KEY_STORES: Final = frozenset({Kind.JKS, Kind.JCEKS, Kind.PKCS12, Kind.BCFKS})


def default_use(kind: Kind) -> Use:
    """The reader that a store of this kind is judged for while no program is known to read it."""
    if kind in _KEY_STORES:
        return Use("jsse", "no reader known: judged as a JVM that opens it with its password", password=True)
    if kind is Kind.NSS:
        return Use("nss", "every program that opens the database with NSS")
    return Use("openssl-3", "no reader known: judged as OpenSSL 3")


def view_of(use: Use) -> str:
    """Which of a store's views (`model.Content.views`) this use of it meets; see `INSTEAD` where there is none."""
    view = READERS[use.reader].view
    if view != JAVA_OPEN:
        return view
    if use.store_type is None or use.store_type.lower() == "jceks":
        return JCEKS_PASSWORD if use.password else JCEKS_OPEN
    return JAVA_PASSWORD if use.password else JAVA_OPEN


INSTEAD: Final[Mapping[str, str]] = {
    # Of what is no PEM these readers take as little as OpenSSL does; the provider of JCEKS reads JKS, too.
    ALL_FILES: OPENSSL,
    GNUTLS: OPENSSL,
    JCEKS_OPEN: JAVA_OPEN,
    JCEKS_PASSWORD: JAVA_PASSWORD,
}
"""A view -> the one that is met where a store has no such view."""
