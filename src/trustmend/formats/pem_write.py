"""Writing PEM bundles: certificates are added to one, or those of a change taken out again. Pure.

1. Old bytes stay: what `add` gives has the old content as a subsequence, in its order.
2. A root goes before the first certificate of the same subject, for OpenSSL takes the first that fits
   (crypto/x509/x509_lu.c, X509_STORE_CTX_get1_issuer); every other one goes to the end.
3. A line before each new block names the change and the certificate, and `remove` takes away nothing without it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from trustmend.certificate import Certificate, canonical_name
from trustmend.formats import pem

_BOM: Final = b"\xef\xbb\xbf"
_END: Final = re.compile(rb"^-----END [A-Z0-9 #]{1,40}-----[ \t\r]*(?:\n|\Z)", re.MULTILINE)
_MARKED: Final = re.compile(
    rb"^# trustmend (?P<change>\S+) (?P<sha256>[0-9a-f]{64})[^\r\n]*\r?\n"
    rb"-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+?-----END CERTIFICATE-----[ \t\r]*(?:\n|\Z)",
    re.MULTILINE,
)
_NO_TEXT: Final = re.compile(r"[^ -~]|-----")


def marker(change: str, certificate: Certificate) -> bytes:
    """The line that stands before a block which `change` has added."""
    # Only ASCII, and nothing that a reader could take for the begin of a block.
    label = _NO_TEXT.sub("?", certificate.label)[:120]
    return f"# trustmend {change} {certificate.sha256} {label}\n".encode("ascii")


def block(change: str, certificate: Certificate) -> bytes:
    """A marked block of one certificate, LF at the end."""
    return marker(change, certificate) + certificate.pem


def add(content: bytes, certificates: Sequence[Certificate], change: str) -> bytes:
    """The bundle with these certificates, less those that it holds already.

    Args:
        content: any bytes; a bundle that OpenSSL loads stays one that it loads.
        certificates: to be added; the order of those that go to the end is kept.
        change: the id that the markers name; without blanks.
    """
    entries = pem.read(content).entries
    held = {entry.certificate.sha256 for entry in entries}
    wanted = [one for one in dict.fromkeys(certificates) if one.sha256 not in held]
    inserted: dict[int, list[bytes]] = {}
    appended = []
    for one in wanted:
        subject = canonical_name(one.subject)
        namesake = next((e for e in entries if canonical_name(e.certificate.subject) == subject), None)
        if one.self_signed and namesake is not None and namesake.offset is not None:
            inserted.setdefault(_before(content, namesake.offset), []).append(block(change, one))
        else:
            appended.append(block(change, one))
    pieces = []
    last = 0
    for at in sorted(inserted):
        pieces += [content[last:at], *inserted[at]]
        last = at
    pieces.append(content[last:])
    if appended and content and not content.endswith(b"\n"):
        pieces.append(b"\n")
    return b"".join([*pieces, *appended])


def _before(content: bytes, offset: int) -> int:
    """Where something can be put that shall stand before the block at `offset`: behind the block that precedes it.

    Not directly before the block: the comments that certifi and others write above a block belong to it.
    """
    start = len(_BOM) if content.startswith(_BOM) else 0
    for end in _END.finditer(content, 0, offset):
        start = end.end()
    return start


def marked(content: bytes) -> dict[str, list[str]]:
    """The SHA-256 of the certificates whose blocks carry a marker, by change."""
    found: dict[str, list[str]] = {}
    for match in _MARKED.finditer(content):
        found.setdefault(match["change"].decode("utf-8", "replace"), []).append(match["sha256"].decode("ascii"))
    return found


def remove(content: bytes, change: str, keep: Collection[str] = ()) -> bytes:
    """The bundle less the blocks that carry this change's marker, but for those with a SHA-256 in `keep`."""

    def rest(match: re.Match[bytes]) -> bytes:
        mine = match["change"] == change.encode("utf-8", "surrogateescape")
        return b"" if mine and match["sha256"].decode("ascii") not in keep else match[0]

    return _MARKED.sub(rest, content)
