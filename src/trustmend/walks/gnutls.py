"""GnuTLS's way (lib/x509/verify-high.c and verify.c): one path, put together of what was sent, ends at the store.

It looks at what was sent for the order that leads from the leaf upwards, stops at the first certificate whose issuer
the store knows by name and key identifier, and never tries another path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from trustmend.certificate import Certificate
from trustmend.errors import MalformedError
from trustmend.walks.search import Outcome, Search, may_not_sign, unknown_extension, weakness

_MAX_DEPTH: Final = 16  # DEFAULT_MAX_VERIFY_DEPTH


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why a path is refused; after some faults the library looks for another end (SIGNER_OLD_OR_UNKNOWN)."""

    words: str
    unknown: bool = False  # the signer is not found
    old: bool = False  # expired, or an algorithm that is not secure


class GnuTls(Search):
    """None in a list of certificates is the leaf."""

    def outcome(self) -> Outcome:
        """gnutls_x509_trust_list_verify_crt2."""
        chain = self._shortened(self._sorted())
        last = chain[-1]
        fault = self._status(chain, self.anchors.encoded(self.issuer_name(last)))
        if isinstance(fault, _Fault) and (fault.unknown or fault.old) and last is not None and not _same_names(last):
            other = self._status(chain, self.anchors.encoded(last.subject))
            if not isinstance(other, _Fault) or fault.unknown:
                fault = other
        path = [c for c in chain if c is not None]
        return self.refused(path, fault.words) if isinstance(fault, _Fault) else fault

    def _issued(self, child: Certificate | None, issuer: Certificate) -> bool:
        """is_issuer: the names as they are encoded, and key identifiers where both have one."""
        if child is not None:
            return _is_issuer(issuer, child)
        return issuer.subject == self.issuing_ca.subject and self.key_id_fits(issuer, None)

    def _sorted(self) -> list[Certificate | None]:
        """The loop over _gnutls_sort_clist: segments that each lead upwards, up to one whose issuer is trusted."""
        found: list[Certificate | None] = [None, *self.sent]
        seen: set[Certificate | None] = set()
        index = 0
        while index < len(found) <= _MAX_DEPTH:
            size = self._sort(found, index)
            repeated = next((n for n in range(index, index + size) if found[n] in seen), None)
            if repeated is not None:
                del found[repeated]
                continue
            seen.update(found[index : index + size])
            index += size
            last = found[index - 1]
            if self._any_issued(last):
                del found[index:]
        return found

    def _any_issued(self, child: Certificate | None) -> bool:
        trusted = self.anchors.encoded(self.issuer_name(child))
        return bool(trusted) and any(self._issued(child, one) for one in trusted)

    def _sort(self, found: list[Certificate | None], start: int) -> int:
        """_gnutls_sort_clist: put the issuers of the first behind it, one by one; how many there are then."""
        part = found[start:]
        if len(part) == 1:
            return 1
        order = [0]
        while (issuer := self._position_of_issuer(part, order[-1])) is not None and issuer not in order:
            order.append(issuer)
        if order != list(range(len(order))):
            rest = [n for n in range(1, len(part)) if n not in order]
            found[start:] = [part[n] for n in (*order, *rest)]
        return len(order)

    def _position_of_issuer(self, part: Sequence[Certificate | None], child: int) -> int | None:
        of = part[child]
        if of is not None and self._issued(of, of):
            return None
        for number, candidate in enumerate(part[1:], 1):
            if number != child and candidate is not None and self._issued(of, candidate):
                return number
        return None

    def _shortened(self, chain: list[Certificate | None]) -> list[Certificate | None]:
        """shorten_clist: a root that was sent proves nothing, and nothing counts behind one that is trusted."""
        last = chain[-1]
        if len(chain) > 1 and last is not None and self._issued(last, last):
            chain = chain[:-1]
        for number, certificate in enumerate(chain[1:], 1):
            if certificate is not None and certificate in self.anchors.encoded(certificate.issuer):
                return chain[: number + 1]
        return chain

    def _status(self, chain: Sequence[Certificate | None], trusted: Sequence[Certificate]) -> Outcome | _Fault:
        """_gnutls_verify_crt_status."""
        last = chain[-1]
        if len(chain) > 1 and last is not None and self._issued(last, last):
            chain = chain[:-1]
        for number, certificate in enumerate(chain):
            if certificate is None or not trusted:
                continue
            anchor = next((one for one in trusted if _same_key(one, certificate)), None)
            if anchor is not None:
                weak = weakness(anchor, self.reader, is_anchor=True)
                if fault := weak or self.date_problem(anchor):
                    return _Fault(fault, old=bool(weak) or self._expired(anchor))
                chain = chain[:number]
                break
        child = chain[-1]
        issuer = self._issuer(child, trusted)
        if issuer is None:
            where = f"the issuer of {child.label} is not in the store" if child else self.none_found().rule
            return _Fault(where, unknown=True)
        path = [c for c in chain if c is not None]
        return self._links(path, issuer) or self.accepted((*path, issuer), (*path, issuer))

    def _issuer(self, child: Certificate | None, trusted: Sequence[Certificate]) -> Certificate | None:
        """find_issuer: the last that is valid now, else the first."""
        fitting = [one for one in trusted if self._issued(child, one)]
        valid = [one for one in fitting[1:] if one.not_before <= self.at < one.not_after]
        return valid[-1] if valid else fitting[0] if fitting else None

    def _links(self, path: Sequence[Certificate], anchor: Certificate) -> _Fault | None:
        """verify_crt for each link, from the anchor down: the first that is faulty."""
        left = _MAX_DEPTH
        issuers = [anchor, *reversed(path)]
        children = [*reversed(path), None]
        for issuer, child in zip(issuers, children, strict=True):
            if left == 0:
                return _Fault(f"{issuer.label} lies deeper than a certificate above it allows")
            left -= 1
            try:
                fault, left = self._link(issuer, child, left, is_anchor=issuer is anchor)
            except MalformedError as problem:
                return _Fault(f"an extension of {issuer.label} cannot be read: {problem}")
            if fault is not None:
                return fault
        return None

    def _link(
        self, issuer: Certificate, child: Certificate | None, left: int, *, is_anchor: bool
    ) -> tuple[_Fault | None, int]:
        if not self._issued(child, issuer):
            return _Fault(f"{issuer.label} is not the issuer of {self.label(child)}", unknown=True), left
        constraints = issuer.basic_constraints
        words = ""
        if not (is_anchor and issuer.version == 1):
            if constraints is not None and constraints[0]:
                left = left if constraints[1] is None else min(left, constraints[1])
            elif constraints is not None or not (is_anchor and self._issued(issuer, issuer)):
                words = f"{issuer.label} is no CA"
            words = words or may_not_sign(issuer)
        if not words and not self.signed(child, issuer):
            words = self.wrong_key(child, issuer, " in the store" if is_anchor else "")
        words = words or unknown_extension(issuer)
        weak = weakness(issuer, self.reader, is_anchor=True)
        if child is not None and not self._issued(child, child):
            weak = weak or weakness(child, self.reader, is_anchor=False)
        dates = self.date_problem(issuer) or (self.date_problem(child) if child else "")
        if words or weak or dates:
            return _Fault(words or weak or dates, old=bool(weak or self._expired(issuer, child))), left
        return None, left

    def _expired(self, *certificates: Certificate | None) -> bool:
        return any(c is not None and self.at > c.not_after for c in certificates)


@cache
def _is_issuer(issuer: Certificate, child: Certificate) -> bool:
    if issuer.subject != child.issuer:
        return False
    try:
        wanted = child.authority_key_id.key_id
        return wanted is None or issuer.subject_key_id in (None, wanted)
    except MalformedError:
        return False


def _same_names(certificate: Certificate) -> bool:
    return certificate.subject == certificate.issuer


def _same_key(trusted: Certificate, certificate: Certificate) -> bool:
    """_gnutls_check_if_same_key: a CA may have become a root, or the other way round."""
    return trusted.subject == certificate.subject and trusted.spki == certificate.spki
