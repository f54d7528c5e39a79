"""All formats that are known, in the order in which content is tried. Explicit: nothing is loaded by name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from trustmend.certificate import Certificate
from trustmend.errors import MalformedError
from trustmend.formats import jks, pem
from trustmend.model import JAVA_OPEN, JAVA_PASSWORD, NSS, OPENSSL, Content, Kind, Refused, View

_HEAD_BYTES: Final = 4096
_P11_KIT: Final = b"[p11-kit-object-v1]"
_SECTION_WITHIN: Final = 1 << 16  # bytes: comments of a licence's length may stand before it


def recognise(content: bytes) -> Kind | None:
    """What the bytes are, by their content alone; None for what is no form of trust store.

    PEM comes last: it may stand anywhere in a file. Modules of rarer forms are loaded where the first bytes allow them.
    """
    head = content[:_HEAD_BYTES]
    if kind := jks.recognise(head):
        return kind
    if head.startswith(b"\x30"):
        from trustmend.formats import bcfks, der_certificate, pkcs12

        if kind := pkcs12.recognise(head) or bcfks.recognise(head) or der_certificate.recognise(head):
            return kind
    if head.startswith(b"SQLite"):
        from trustmend.formats import nss

        if kind := nss.recognise(content[: nss.HEAD_BYTES]):
            return kind
    if content.find(_P11_KIT, 0, _SECTION_WITHIN) >= 0:
        from trustmend.formats import p11_kit

        if kind := p11_kit.recognise(content):
            return kind
    return pem.recognise(content)


def read(content: bytes, kind: Kind, password: str | None) -> Content:
    """The entries of a store of a kind that Python reads itself; never raises for bad content.

    Args:
        content: the file's bytes.
        kind: what `recognise` said; not BCFKS, which needs a JVM (`bcfks.read`).
        password: the configured one, for key stores.
    """
    match kind:
        case Kind.JKS | Kind.JCEKS:
            return jks.read(content, password)
        case Kind.PKCS12:
            from trustmend.formats import pkcs12

            return pkcs12.read(content, password)
        case Kind.NSS:
            from trustmend.formats import nss

            return nss.read(content)
        case Kind.P11_KIT:
            from trustmend.formats import p11_kit

            return p11_kit.read(content)
        case Kind.DER:
            from trustmend.formats import der_certificate

            return der_certificate.read(content)
        case _:
            return pem.read(content)


def add_to_key_store(
    content: bytes, kind: Kind, additions: Sequence[tuple[str, Certificate]], password: str | None, at: datetime
) -> bytes:
    """A key store with (alias, certificate) added as trusted certificates; all else in it stays as it is.

    Args:
        content: the file's bytes.
        kind: JKS, JCEKS or PKCS12.
        additions: may be none, which tells whether the password opens it.
        password: None: a PKCS#12 store that has none.
        at: the time that new entries carry (aware).

    Raises:
        MalformedError: it is damaged, the password does not fit, or an alias is taken.
    """
    if kind is Kind.PKCS12:
        from trustmend.formats import pkcs12_write

        return pkcs12_write.add(content, additions, password)
    from trustmend.formats import jks_write

    if password is None:
        raise MalformedError("a JKS store has a password")
    return jks_write.add(content, additions, password, at)


def remove_from_key_store(content: bytes, kind: Kind, aliases: Collection[str], password: str | None) -> bytes:
    """The reverse of `add_to_key_store`: without the trusted certificates of these aliases. Raises MalformedError."""
    if kind is Kind.PKCS12:
        from trustmend.formats import pkcs12_write

        return pkcs12_write.remove(content, aliases, password)
    from trustmend.formats import jks_write

    if password is None:
        raise MalformedError("a JKS store has a password")
    return jks_write.remove(content, aliases, password)


def nothing_known(content: bytes, kind: Kind) -> Content:
    """The content of a file that holds no form of trust store, judged as one of `kind`: every reader refuses it."""
    what = "the file is empty" if not content else "it holds neither a certificate nor a key store"
    java = Refused(f"{what}; a JVM that opens it fails at every TLS connection")
    views: dict[str, View] = {
        OPENSSL: Refused(f"{what}; OpenSSL fails with `no certificate or crl found`"),
        JAVA_OPEN: java,
        JAVA_PASSWORD: java,
        NSS: Refused(what),
    }
    return Content(kind, views=views, empty=True)
