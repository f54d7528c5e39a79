"""The way of Go, mozilla::pkix and rustls: every certificate of the store is an anchor, and every path is tried."""

from __future__ import annotations

from typing import Final

from trustmend.certificate import Certificate
from trustmend.errors import MalformedError
from trustmend.model import Entry, Verdict
from trustmend.walks.search import (
    Outcome,
    Search,
    is_no_ca,
    may_not_sign,
    too_long,
    unknown_extension,
    weakness,
    wrong_purpose,
)

_MAX_SIGNATURES: Final = 100  # what Go and rustls-webpki check at most, so that no server can keep them busy


class EveryPath(Search):
    """The shortest first, for an anchor is looked for before a further certificate that was sent.

    An anchor must be as good as any certificate of the path. Sources: crypto/x509/verify.go, buildChains and isValid,
    and x509.go, CheckSignatureFrom; mozpkix/lib/pkixbuild.cpp and pkixcheck.cpp, CheckIssuerIndependentProperties.
    Key identifiers only say there what to try first.
    """

    def outcome(self) -> Outcome:
        """The first path that validates."""
        self.problem = ""
        self.barred = False
        self.checked = 0
        path = self._extend(())
        if path is not None:
            return self.accepted(path, path if self.reader.anchor_dates else path[:-1])
        if not self.problem and not self.sent:
            return self.none_found()
        sent = next((c for c in self.sent if self.same_name(c, None) and self.signed(None, c)), None)
        if sent is None and not self.problem:
            return self.none_found()
        missing = f"the issuer of {self.issuing_ca.label} is not in the store"
        verdict = Verdict.DISTRUSTED if self.barred else Verdict.UNTRUSTED
        return Outcome(verdict, () if sent is None else (sent,), self.problem or missing)

    problem: str  # the first obstacle met
    barred: bool  # a bar of the store was met
    checked: int  # signatures

    def same_name(self, issuer: Certificate, child: Certificate | None) -> bool:
        """Names are compared as they are encoded."""
        return issuer.subject == self.issuer_name(child)

    def _extend(self, path: tuple[Certificate, ...]) -> tuple[Certificate, ...] | None:
        """`path` up to an anchor, or None; the first obstacle on the way is kept in `problem`."""
        child = path[-1] if path else None
        for entry in self.anchors.named(self.issuer_name(child)):
            anchor = entry.certificate
            if not self.same_name(anchor, child) or _repeated(anchor, path) or not self._budget():
                continue
            if not self.signed(child, anchor):
                fault = self.wrong_key(child, anchor, " in the store")
            else:
                fault = self._fault(entry.certificate, path, entry)
            if not fault:
                return (*path, anchor)
            self.problem = self.problem or fault
        for issuer in self.sent:
            if not self.same_name(issuer, child) or _repeated(issuer, path) or not self._budget():
                continue
            if not self.signed(child, issuer):
                continue
            fault = self._fault(issuer, path, None)
            if not fault and (found := self._extend((*path, issuer))):
                return found
            self.problem = self.problem or fault
        return None

    def _budget(self) -> bool:
        self.checked += 1
        return self.checked <= _MAX_SIGNATURES

    def _fault(self, certificate: Certificate, path: tuple[Certificate, ...], entry: Entry | None) -> str:
        """Why it cannot follow the path, as an anchor where it is an entry; empty if it can."""
        try:
            if entry is None:
                return self._bar(certificate) or self.intermediate_fault(certificate, len(path))
            if entry.reject:
                self.barred = True
                return f"the store bars {certificate.label} from TLS servers"
            return self.anchor_fault(certificate, len(path))
        except MalformedError as problem:
            return f"an extension of {certificate.label} cannot be read: {problem}"

    def _bar(self, certificate: Certificate) -> str:
        """The store's word against a certificate on the way, if it has one (NSS: the flag p)."""
        entries = self.anchors.named(certificate.subject)
        if not any(entry.reject and entry.certificate == certificate for entry in entries):
            return ""
        self.barred = True
        return f"the store bars {certificate.label} from TLS servers"

    def intermediate_fault(self, certificate: Certificate, below: int) -> str:
        """Why a certificate that was sent may not issue, with so many CA certificates under it."""
        return (
            self.date_problem(certificate)
            or unknown_extension(certificate)
            or may_not_sign(certificate)
            or is_no_ca(certificate)
            or too_long(certificate, below)
            or wrong_purpose(certificate)
            or weakness(certificate, self.reader, is_anchor=False)
        )

    def anchor_fault(self, anchor: Certificate, below: int) -> str:
        """Why a certificate of the store cannot end the path. Version 1 may do without basicConstraints."""
        return (
            self.date_problem(anchor)
            or unknown_extension(anchor)
            or may_not_sign(anchor)
            or (is_no_ca(anchor) if anchor.version == 3 or anchor.basic_constraints is not None else "")
            or too_long(anchor, below)
            or wrong_purpose(anchor)
            or weakness(anchor, self.reader, is_anchor=True)
        )


class Webpki(EveryPath):
    """rustls-webpki, src/trust_anchor.rs and verify_cert.rs: of an anchor only name and key count."""

    def intermediate_fault(self, certificate: Certificate, below: int) -> str:
        """No keyUsage is looked at, and only version 3 is read."""
        return (
            self.date_problem(certificate)
            or unknown_extension(certificate)
            or is_no_ca(certificate)
            or too_long(certificate, below)
            or wrong_purpose(certificate)
            or weakness(certificate, self.reader, is_anchor=False)
        )

    def anchor_fault(self, anchor: Certificate, below: int) -> str:
        """Whether it is a CA, and when, is not asked."""
        return unknown_extension(anchor) or weakness(anchor, self.reader, is_anchor=True)


def _repeated(candidate: Certificate, path: tuple[Certificate, ...]) -> bool:
    """alreadyInChain: the same subject with the same key leads in a circle."""
    return bool(path) and any(c.spki == candidate.spki and c.subject == candidate.subject for c in path)
