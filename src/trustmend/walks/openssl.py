"""OpenSSL's way (crypto/x509/x509_vfy.c, the flag X509_V_FLAG_TRUSTED_FIRST): the first match, and no way back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from trustmend.certificate import ANY_PURPOSE, SERVER_AUTH, Certificate, name_label
from trustmend.errors import MalformedError
from trustmend.model import Entry, Verdict
from trustmend.readers import Reader
from trustmend.walks.search import (
    HANDLED,
    Outcome,
    Search,
    is_no_ca,
    may_not_sign,
    signature_fits,
    too_long,
    unknown_extension,
    weakness,
    wrong_purpose,
)

_MAX_DEPTH: Final = 100  # X509_STORE_CTX's default depth
_TLS_SERVER: Final = frozenset({SERVER_AUTH, ANY_PURPOSE})
# X509_supported_extension (v3_purp.c), and not RFC 5280's key identifiers, which must not be critical.
_SUPPORTED: Final = HANDLED - {"2.5.29.14", "2.5.29.35"} | {
    "2.16.840.1.113730.1.1",  # nsCertType
    "2.5.29.33",  # policyMappings
    "2.5.29.36",  # policyConstraints
    "2.5.29.54",  # inhibitAnyPolicy
    "1.3.6.1.5.5.7.1.7",  # sbgp-ipAddrBlock
    "1.3.6.1.5.5.7.1.8",  # sbgp-autonomousSysNum
    "1.3.6.1.5.5.7.1.14",  # proxyCertInfo
    "1.3.6.1.5.5.7.48.1.5",  # OCSP noCheck
}


class FirstMatch(Search):
    """At each step the store is asked first; from its first answer on, what was sent is not looked at again."""

    def outcome(self) -> Outcome:
        """The one path that OpenSSL builds (build_chain), and whether it passes all checks."""
        path: list[Certificate] = []
        self.trusted: dict[int, Entry] = {}  # what of the path is from the store, by its place
        pool = list(self.sent)
        while len(path) < _MAX_DEPTH:
            top = path[-1] if path else None
            entry = self._issuer_in_store(top)
            if entry is not None and top is not None and top.self_signed:
                # A self-signed certificate that was sent counts only if the very same one is in the store.
                if entry.certificate != top:
                    entry = None
                else:
                    path.pop()
            if entry is not None:
                self.trusted[len(path)] = entry
                path.append(entry.certificate)
                decided = self._trust(entry)
                if decided is Verdict.TRUSTED:
                    return self._checked(path)
                if decided is Verdict.DISTRUSTED:
                    rule = f"the store bars {entry.certificate.label} from TLS servers (TRUSTED CERTIFICATE block)"
                    return Outcome(Verdict.DISTRUSTED, tuple(path), rule)
                if not entry.certificate.self_signed:
                    continue
            if self.trusted:
                break
            issuer = None if top is not None and top.self_signed else self._issuer_among(pool, top, path)
            if issuer is None:
                break
            pool.remove(issuer)
            path.append(issuer)
        return self.refused(path, self._dead_end(path))

    trusted: dict[int, Entry]

    def current(self, certificate: Certificate) -> bool:
        """X509_cmp_time takes the second that notAfter names for past."""
        return certificate.not_before <= self.at < certificate.not_after

    def _dead_end(self, path: Sequence[Certificate]) -> str:
        if not path:
            return f"the store has no {self.issuing_ca.label}, and the server sends none"
        top = path[-1]
        if top.self_signed:
            return f"the path ends at {top.label}, which the store does not hold as trusted"
        if self.trusted:
            found = f"{top.label} (issued by {name_label(top.issuer)}) is found in the store and taken first"
            return f"{found}; its issuer is not there, and {self.reader.title} asks for a path up to a root"
        return f"the issuer of {top.label} is not in the store"

    def _issuer_in_store(self, child: Certificate | None) -> Entry | None:
        """X509_STORE_CTX_get1_issuer: the first time-valid match, else the one that expired last."""
        best: Entry | None = None
        for entry in self.anchors.named(self.issuer_name(child)):
            if self._may_issue(entry.certificate, child):
                if self.current(entry.certificate):
                    return entry
                if best is None or entry.certificate.not_after > best.certificate.not_after:
                    best = entry
        return best

    def _issuer_among(
        self, pool: Sequence[Certificate], child: Certificate | None, path: Sequence[Certificate]
    ) -> Certificate | None:
        """find_issuer: the same choice among what the server sent."""
        best: Certificate | None = None
        for certificate in pool:
            if certificate not in path and self.named_as_issuer(certificate, child):
                if not self._may_issue(certificate, child):
                    continue
                if self.current(certificate):
                    return certificate
                if best is None or certificate.not_after > best.not_after:
                    best = certificate
        return best

    def _may_issue(self, issuer: Certificate, child: Certificate | None) -> bool:
        """ossl_x509_likely_issued: key identifiers and key types fit. Signatures are not looked at here."""
        if child is not None:
            return _likely_issued(issuer, child)
        try:
            fits = self.issuer_id(None).allows(issuer)
            return fits and issuer.key_algorithm == self.issuing_ca.key_algorithm
        except MalformedError:
            return False

    def _trust(self, entry: Entry) -> Verdict:
        """X509_check_trust for TLS servers; UNTRUSTED means: go on to its issuer."""
        if entry.reject is not None and entry.reject & _TLS_SERVER:
            return Verdict.DISTRUSTED
        if entry.trust is not None:
            return Verdict.TRUSTED if entry.trust & _TLS_SERVER else Verdict.DISTRUSTED
        if entry.certificate.self_signed or self.reader.partial_chain:
            return Verdict.TRUSTED
        return Verdict.UNTRUSTED

    def _checked(self, path: Sequence[Certificate]) -> Outcome:
        """The checks after the building, in verify_chain's order."""
        # internal_verify looks at no date of an anchor that has not issued itself (one that a TRUSTED CERTIFICATE
        # block names), unless partial chains are allowed.
        anchor = path[-1]
        own = anchor.self_issued and _likely_issued(anchor, anchor)
        dated = path if own or self.reader.partial_chain else path[:-1]
        problem = self._problem(path, dated)
        return self.refused(path, problem) if problem else self.accepted(path, dated)

    def _problem(self, path: Sequence[Certificate], dated: Sequence[Certificate]) -> str:
        last = len(path) - 1
        below = 0  # CA certificates that count for a path length: not the self-issued ones
        for index, certificate in enumerate(path):
            expressly = self._trusted_expressly(index)
            fault = _lasting_fault(certificate, self.reader, last=index == last, expressly=expressly)
            if fault or (index > 0 and (fault := too_long(certificate, below))):
                return fault
            below += not certificate.self_issued
        if self.reader.strict and self.issuing_ca.subject_key_id is None:  # whose leaves then can name none
            return f"what {self.issuing_ca.label} issues has no authority key identifier, {_demands(self.reader)}"
        child: Certificate | None = None
        for certificate in path:
            if not self.signed(child, certificate):
                where = " in the store" if child is None and 0 in self.trusted else ""
                return self.wrong_key(child, certificate, where)
            child = certificate
        for certificate in reversed(dated):
            if not self.current(certificate):
                return self.date_problem(certificate)
        return ""

    def _trusted_expressly(self, index: int) -> bool:
        """check_purpose: a TRUSTED CERTIFICATE block's word stands above the certificate's own."""
        entry = self.trusted.get(index)
        return entry is not None and entry.trust is not None and bool(entry.trust & _TLS_SERVER)


@cache
def _likely_issued(issuer: Certificate, child: Certificate) -> bool:
    try:
        return child.authority_key_id.allows(issuer) and signature_fits(child, issuer)
    except MalformedError:
        return False


@cache
def _lasting_fault(certificate: Certificate, reader: Reader, *, last: bool, expressly: bool) -> str:
    """check_extensions and check_auth_level: what speaks against it at its place, whatever the store and the time."""
    try:
        return (
            unknown_extension(certificate, _SUPPORTED)
            or _ca_problem(certificate, reader, last=last)
            or (next(_strict_problems(certificate, reader, last=last), "") if reader.strict else "")
            or ("" if expressly else wrong_purpose(certificate))
            or weakness(certificate, reader, is_anchor=last)
        )
    except MalformedError as problem:
        return f"an extension of {certificate.label} cannot be read: {problem}"


def _ca_problem(certificate: Certificate, reader: Reader, *, last: bool) -> str:
    """check_ca (v3_purp.c). Below the anchor, and everywhere if strict, only basicConstraints make a CA."""
    fault = may_not_sign(certificate)
    if fault or certificate.basic_constraints is not None or not last or reader.strict:
        return fault or is_no_ca(certificate)
    old_root = certificate.version < 3 and certificate.self_signed
    return "" if old_root or certificate.key_usage is not None else is_no_ca(certificate)


def _demands(reader: Reader) -> str:
    return f"which {reader.title} demands"


def _strict_problems(certificate: Certificate, reader: Reader, *, last: bool) -> Iterator[str]:
    """X509_V_FLAG_X509_STRICT (check_extensions): what RFC 5280 asks of CA certificates."""
    demands = _demands(reader)
    if certificate.version < 3:
        if certificate.extensions:
            yield f"{certificate.label} has extensions but is not of version 3"
        return
    constraints = certificate.extensions.get("2.5.29.19")
    if constraints is None or not constraints.critical:
        yield f"the basic constraints of {certificate.label} are not critical, {demands}"
    if certificate.key_usage is None:
        yield f"{certificate.label} has no key usage, {demands}"
    if certificate.subject_key_id is None:
        yield f"{certificate.label} has no subject key identifier, {demands}"
    if not last and certificate.authority_key_id.key_id is None:
        yield f"{certificate.label} has no authority key identifier, {demands}"
