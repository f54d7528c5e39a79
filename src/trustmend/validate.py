"""Path validation as each reader does it: pure, over the certificates of one store and those a server sends.

The question is always the same: would this reader, with this store, accept a leaf of this issuing CA at this time,
if the server sends the leaf and these further certificates? The leaf itself stands for any: its issuer is the
issuing CA by name, key identifier and key, and it is valid. How each library answers is in `walks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from trustmend.certificate import Certificate
from trustmend.readers import Reader, Walk
from trustmend.walks.every_path import EveryPath, Webpki
from trustmend.walks.gnutls import GnuTls
from trustmend.walks.jsse import Jsse
from trustmend.walks.openssl import FirstMatch
from trustmend.walks.search import Anchors, Outcome, Search

__all__ = ["Anchors", "Outcome", "validate"]

_WALKS: Final[Mapping[Walk, type[Search]]] = {
    Walk.OPENSSL: FirstMatch,
    Walk.EVERY_PATH: EveryPath,
    Walk.WEBPKI: Webpki,
    Walk.JSSE: Jsse,
    Walk.GNUTLS: GnuTls,
}


_Key = tuple[Certificate, tuple[Certificate, ...], tuple[object, ...]]
_OUTCOMES: Final[dict[_Key, dict[tuple[Reader, datetime], Outcome]]] = {}
"""Answers by what they can depend on: most stores of a host hold the same certificates of a chain's names."""


def validate(
    issuing_ca: Certificate, sent: Sequence[Certificate], anchors: Anchors, reader: Reader, at: datetime
) -> Outcome:
    """What `reader` says of a leaf of `issuing_ca`.

    Args:
        issuing_ca: who signed the leaf; it is not sent unless it is in `sent`.
        sent: the CA certificates that the server sends after the leaf, in its order.
        anchors: what the reader loaded from the store.
        at: aware time.
    """
    asked = (issuing_ca, tuple(sent))
    known = anchors.outcomes.get(asked)
    if known is None:
        key = (*asked, _relevant(*asked, anchors))
        known = anchors.outcomes[asked] = _OUTCOMES.setdefault(key, {})
    outcome = known.get((reader, at))
    if outcome is None:
        outcome = known[reader, at] = _WALKS[reader.walk](*asked, anchors, reader, at).outcome()
    return outcome


def _relevant(issuing_ca: Certificate, sent: Sequence[Certificate], anchors: Anchors) -> tuple[object, ...]:
    """What a path could meet in the store: the entries of all names that lead on from what is sent, in their order."""
    names = dict.fromkeys([issuing_ca.subject, *(c.subject for c in sent), *(c.issuer for c in sent)])
    waiting = list(names)
    found: list[object] = []
    while waiting:
        for entry in anchors.named(waiting.pop()):
            found.append((entry.certificate, entry.trust, entry.reject))
            issuer = entry.certificate.issuer
            if issuer not in names:
                names[issuer] = None
                waiting.append(issuer)
    return tuple(found)
