"""Files of DER: one or more certificates in a row, or a PKCS#7 collection. No library loads them as a trust store."""

from __future__ import annotations

from typing import Final

from trustmend import der
from trustmend.certificate import Certificate
from trustmend.errors import MalformedError
from trustmend.formats.pem import pkcs7_certificates
from trustmend.model import JAVA_OPEN, JAVA_PASSWORD, OPENSSL, Content, Entry, Finding, Kind, Refused, Severity, View

_SIGNED_DATA: Final = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
_REFUSED_BY_OPENSSL: Final = Refused("DER, where OpenSSL reads only PEM as a CA file")
_REFUSED_BY_JAVA: Final = Refused("DER certificates, where a JVM reads only JKS and PKCS12 key stores")


def recognise(head: bytes) -> Kind | None:
    """`DER` where a certificate (RFC 5280 4.1) or a PKCS#7 SignedData seems to begin."""
    try:
        outer = _header(head, 0)
        inner = _header(head, outer[1])
        if outer[0] != der.SEQUENCE:
            return None
        if head[outer[1] :].startswith(_SIGNED_DATA):
            return Kind.DER
        if inner[0] != der.SEQUENCE:
            return None
        first = head[inner[1] : inner[1] + 4]
        return Kind.DER if first == b"\xa0\x03\x02\x01" or (first[:1] == b"\x02" and first[1] <= 21) else None
    except IndexError:
        return None


def _header(data: bytes, at: int) -> tuple[int, int]:
    """(tag, start of the contents) without asking for the whole element. Raises IndexError."""
    length = data[at + 1]
    return data[at], at + 2 + (length & 0x7F if length > 0x80 else 0)


def read(content: bytes) -> Content:
    """The certificates of a DER file; views in which every reader refuses it. Never raises for bad content."""
    entries: list[Entry] = []
    findings: list[Finding] = []
    at = 0
    while at < len(content):
        try:
            element = der.read(content, at)
            if _SIGNED_DATA in content[at : at + 32]:
                found = list(pkcs7_certificates(element.raw))
            else:
                found = [Certificate.of(element.raw)]
        except MalformedError as problem:
            text = f"the DER element at byte {at} is no certificate: {problem}"
            findings.append(Finding("bad-entry", Severity.WARNING, text))
            break
        entries.extend(Entry(c, len(entries) + i, at) for i, c in enumerate(found))
        at = element.end
    views: dict[str, View] = {
        OPENSSL: _REFUSED_BY_OPENSSL,
        JAVA_OPEN: _REFUSED_BY_JAVA,
        JAVA_PASSWORD: _REFUSED_BY_JAVA,
    }
    return Content(Kind.DER, tuple(entries), tuple(findings), views, empty=not entries)
