"""The JVM's way: sun.security.validator.PKIXValidator, and what it calls of sun.security.provider.certpath.

What was sent is first taken for one path in its order, and only where that order is broken or ends at no name of an
anchor are paths looked for: so an expired cross-sign that was sent bars the way that there would be without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from trustmend.certificate import Certificate, canonical_name
from trustmend.errors import MalformedError
from trustmend.readers import Reader
from trustmend.walks.search import Outcome, Search, may_not_sign, unknown_extension, weakness


class Jsse(Search):
    """All certificates of the store are anchors, whatever their dates."""

    def outcome(self) -> Outcome:
        """engineValidate."""
        self.problem = ""
        self.barred = False
        child: Certificate | None = None
        for index, certificate in enumerate(self.sent):
            if not self.named_as_issuer(certificate, child):
                return self._build()
            # The anchor itself, or another certificate of its name and key: what was sent from here on is left out.
            anchors = self.anchors.named(certificate.subject)
            if anchors and any(entry.certificate.spki == certificate.spki for entry in anchors):
                return self._validate(self.sent[:index])
            child = certificate
        if self.anchors.named(self.issuer_name(child)):
            return self._validate(self.sent)
        return self._build()

    problem: str  # the first obstacle met
    barred: bool  # a path ended at an anchor that is no CA

    def _validate(self, path: Sequence[Certificate]) -> Outcome:
        """doValidate: these certificates and one anchor; each that fits by name and key identifier is tried."""
        child = path[-1] if path else None
        named = self.anchors.named(self.issuer_name(child))
        anchor = self._anchor(path, [e.certificate for e in named if self.key_id_fits(e.certificate, child)])
        if anchor is not None:
            return self.accepted((*path, anchor), path)
        missing = f"no certificate of the store has signed {self.label(child)}"
        return self.refused(path, self.problem or missing)

    def _build(self) -> Outcome:
        """doBuild (SunCertPathBuilder): any path of what was sent that validates."""
        path = self._extend(())
        if path is not None and not self.barred:
            return self.accepted(path, path[:-1] if len(path) < 3 else path)
        sent = next((c for c in self.sent if self.named_as_issuer(c, None) and self.signed(None, c)), None)
        if sent is None:
            return self.refused((), self.problem) if self.problem else self.none_found()
        return self.refused((sent,), self.problem or f"the issuer of {self.issuing_ca.label} is not in the store")

    def _extend(self, path: tuple[Certificate, ...]) -> tuple[Certificate, ...] | None:
        """`path` up to an anchor (ForwardBuilder.getMatchingCACerts): key identifiers only say what to try first."""
        child = path[-1] if path else None
        named = [entry.certificate for entry in self.anchors.named(self.issuer_name(child))]
        anchor = self._anchor(path, [one for one in named if self._selected(one, child)])
        found = None if anchor is None else (*path, anchor)
        for issuer in self.sent:
            if (
                self.named_as_issuer(issuer, child)
                and not any(_same(issuer, c) for c in path)
                and not (issuer.self_issued and child is not None and child.self_issued)
                and self._leads_on(issuer, child)
            ):
                # All are looked at, for one that ends at an anchor that is no CA bars all.
                longer = self._extend((*path, issuer))
                found = found or longer
        return found

    def _selected(self, anchor: Certificate, child: Certificate | None) -> bool:
        """Whether the search looks at an anchor above this child.

        Its selector keeps the date of the first step: the anchor of a longer path must be valid. One of version 1 or 2
        must be so at both ends of its child's validity, too (AdaptableX509CertSelector); those of the leaf enclose now.
        """
        if child is None:
            return anchor.version == 3 or self.current(anchor)
        spans = anchor.not_before <= child.not_before and child.not_after <= anchor.not_after
        return self.current(anchor) and (anchor.version == 3 or spans)

    def _leads_on(self, issuer: Certificate, child: Certificate | None) -> bool:
        """Whether the search goes on behind it: it has signed, and no fault stands in the way already."""
        fault = "" if self.signed(child, issuer) else self.wrong_key(child, issuer)
        fault = fault or self._fault(issuer)
        self.problem = self.problem or fault
        return not fault

    def _anchor(self, path: Sequence[Certificate], named: Sequence[Certificate]) -> Certificate | None:
        """An anchor with which the path validates (PKIXCertPathValidator); faults are kept in `problem`.

        The first that does is asked whether it is a CA, and no other then. Which one is the first is chance: anchors
        are a HashSet of objects without a hash of their own. So one that is none bars all.
        """
        found: Certificate | None = None
        for anchor in named:
            fault = self._path_fault(path, anchor)
            if not fault and (fault := _anchor_fault(anchor)):
                self.barred = True
                self.problem = fault
                return None
            self.problem = self.problem or fault
            found = found or (None if fault else anchor)
        return found

    def _path_fault(self, path: Sequence[Certificate], anchor: Certificate) -> str:
        children = (None, *path)
        for child, issuer in zip(children, (*path, anchor), strict=True):
            if not self.signed(child, issuer):
                return self.wrong_key(child, issuer, " in the store" if issuer is anchor else "")
        fault = weakness(anchor, self.reader, is_anchor=True) or _length_fault(path)
        return fault or next((fault for c in path if (fault := self._fault(c))), "")

    def _fault(self, certificate: Certificate) -> str:
        """Why a certificate that was sent may stand in no path."""
        return self.date_problem(certificate) or _lasting_fault(certificate, self.reader)


@cache
def _lasting_fault(certificate: Certificate, reader: Reader) -> str:
    """KeyChecker, ConstraintsChecker and AlgorithmChecker: what speaks against it, whatever the store and the time."""
    try:
        return (
            unknown_extension(certificate)
            or may_not_sign(certificate)
            or ("" if _is_ca(certificate) else f"{certificate.label} is no CA")
            or weakness(certificate, reader, is_anchor=False)
        )
    except MalformedError as problem:
        return f"an extension of {certificate.label} cannot be read: {problem}"


def _same(one: Certificate, other: Certificate) -> bool:
    """SunCertPathBuilder.repeated."""
    return one.spki == other.spki and canonical_name(one.subject) == canonical_name(other.subject)


def _is_ca(certificate: Certificate) -> bool:
    constraints = certificate.basic_constraints
    return constraints is not None and constraints[0]


@cache
def _anchor_fault(anchor: Certificate) -> str:
    """PKIXValidator.verifyTrustAnchor: of version 3 it must be a CA (unless jdk.security.allowNonCaAnchor is set)."""
    try:
        if anchor.version < 3 or (_is_ca(anchor) and not may_not_sign(anchor)):
            return ""
    except MalformedError:
        pass
    return f"{anchor.label} in the store is no CA certificate"


def _length_fault(path: Sequence[Certificate]) -> str:
    """ConstraintsChecker.checkBasicConstraints, from the anchor down; the anchor's own path length does not count."""
    left = len(path) + 1
    limit: Certificate | None = None
    for certificate in reversed(path):
        if not certificate.self_issued:
            if left <= 0:
                return f"{limit.label if limit else ''} allows fewer CA certificates below it"
            left -= 1
        constraints = certificate.basic_constraints
        length = None if constraints is None else constraints[1]
        if length is not None and length < left:
            left, limit = length, certificate
    return ""
