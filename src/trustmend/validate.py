"""Path validation as each reader does it: pure, over the certificates of one store and those a server sends.

The question is always the same: would this reader, with this store, accept a leaf of this issuing CA at this time,
if the server sends the leaf and these further certificates? The leaf itself stands for any: its issuer is the
issuing CA by name, key identifier and key, and it is valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Final

from trustmend.certificate import (
    ANY_PURPOSE,
    RSA_KEY,
    SERVER_AUTH,
    AuthorityKeyId,
    Certificate,
    canonical_name,
    name_label,
)
from trustmend.errors import MalformedError
from trustmend.model import Entry, Verdict
from trustmend.readers import Reader
from trustmend.signatures import signed_by

_DIGESTS: Final = {
    "1.2.840.113549.1.1.2": "md2",
    "1.2.840.113549.1.1.4": "md5",
    "1.2.840.113549.1.1.5": "sha1",
    "1.3.14.3.2.29": "sha1",
    "1.2.840.10040.4.3": "sha1",
    "1.2.840.10045.4.1": "sha1",
}
_MAX_DEPTH: Final = 100  # X509_STORE_CTX's default depth


@dataclass(frozen=True)
class Outcome:
    """The answer for one reader: `path` begins with the issuing CA and ends at the anchor, as far as it came.

    `rule` says in words what decided; `expires` is the first instant at which a date in the path ends the trust.
    """

    verdict: Verdict
    path: tuple[Certificate, ...] = ()
    rule: str = ""
    expires: datetime | None = None

    @property
    def anchor(self) -> Certificate | None:
        """The trust anchor; None where no path was accepted."""
        return self.path[-1] if self.verdict is Verdict.TRUSTED and self.path else None


@dataclass(slots=True)
class Anchors:
    """The certificates that a reader takes from one store, in its order, by canonical subject name."""

    entries: Sequence[Entry]
    by_subject: dict[bytes, list[Entry]] = field(init=False)

    def __post_init__(self) -> None:
        self.by_subject = {}
        for entry in self.entries:
            self.by_subject.setdefault(canonical_name(entry.certificate.subject), []).append(entry)

    def named(self, name: bytes) -> Sequence[Entry]:
        """The entries whose subject is this (encoded) name."""
        return self.by_subject.get(canonical_name(name), ())


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
    walk = _FirstMatch if reader.first_match else _EveryPath
    return walk(issuing_ca, tuple(sent), anchors, reader, at).outcome()


@dataclass(slots=True)
class _Search:
    """What both ways of building a path share."""

    issuing_ca: Certificate
    sent: tuple[Certificate, ...]
    anchors: Anchors
    reader: Reader
    at: datetime

    def _current(self, certificate: Certificate) -> bool:
        return certificate.not_before <= self.at <= certificate.not_after

    def _refused(self, path: Sequence[Certificate], rule: str) -> Outcome:
        return Outcome(Verdict.UNTRUSTED, tuple(path), rule)


class _FirstMatch(_Search):
    """OpenSSL's way (x509_vfy.c, build_chain with X509_V_FLAG_TRUSTED_FIRST).

    At each step the store is asked first; from its first answer on, what the server sent is not looked at again.
    """

    def outcome(self) -> Outcome:
        """The one path that OpenSSL builds, and whether it passes all checks."""
        path: list[Certificate] = []
        trusted_from = 0  # index of the first certificate of the path that came from the store
        pool = list(self.sent)
        use_sent = True
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
                if use_sent:
                    trusted_from, use_sent = len(path), False
                path.append(entry.certificate)
                decided = self._trust(entry)
                if decided is Verdict.TRUSTED:
                    return self._checked(path)
                if decided is Verdict.DISTRUSTED:
                    rule = f"the store bars {entry.certificate.label} from TLS servers (TRUSTED CERTIFICATE block)"
                    return Outcome(Verdict.DISTRUSTED, tuple(path), rule)
                if not entry.certificate.self_signed:
                    continue
            if not use_sent:
                break
            issuer = None if top is not None and top.self_signed else self._issuer_among(pool, top)
            if issuer is None:
                break
            pool.remove(issuer)
            path.append(issuer)
        return self._refused(path, self._dead_end(path, trusted_from if not use_sent else len(path)))

    def _dead_end(self, path: Sequence[Certificate], trusted_from: int) -> str:
        if not path:
            return f"the store has no {self.issuing_ca.label}, and the server sends none"
        top = path[-1]
        if top.self_signed:
            return f"the path ends at {top.label}, which the store does not hold as trusted"
        if trusted_from < len(path):
            found = f"{top.label} (issued by {name_label(top.issuer)}) is found in the store and taken first"
            return f"{found}; its issuer is not there, and {self.reader.title} asks for a path up to a root"
        return f"the issuer of {top.label} is not in the store"

    def _issuer_in_store(self, child: Certificate | None) -> Entry | None:
        """X509_STORE_CTX_get1_issuer: the first time-valid match, else the one that expired last."""
        name = self.issuing_ca.subject if child is None else child.issuer
        best: Entry | None = None
        for entry in self.anchors.named(name):
            if self._may_issue(entry.certificate, child):
                if self._current(entry.certificate):
                    return entry
                if best is None or entry.certificate.not_after > best.certificate.not_after:
                    best = entry
        return best

    def _issuer_among(self, pool: Sequence[Certificate], child: Certificate | None) -> Certificate | None:
        """find_issuer: the same choice among what the server sent."""
        best: Certificate | None = None
        name = self.issuing_ca.subject if child is None else child.issuer
        for certificate in pool:
            if canonical_name(certificate.subject) == canonical_name(name) and self._may_issue(certificate, child):
                if self._current(certificate):
                    return certificate
                if best is None or certificate.not_after > best.not_after:
                    best = certificate
        return best

    def _may_issue(self, issuer: Certificate, child: Certificate | None) -> bool:
        """ossl_x509_likely_issued: key identifiers and key types fit. Signatures are not looked at here."""
        try:
            if child is None:
                fits = AuthorityKeyId(self.issuing_ca.subject_key_id).allows(issuer)
                return fits and issuer.key_algorithm == self.issuing_ca.key_algorithm
            return child.authority_key_id.allows(issuer) and _signature_fits(child, issuer)
        except MalformedError:
            return False

    def _trust(self, entry: Entry) -> Verdict:
        """X509_check_trust for TLS servers; UNTRUSTED means: go on to its issuer."""
        if entry.reject is not None and entry.reject & {SERVER_AUTH, ANY_PURPOSE}:
            return Verdict.DISTRUSTED
        if entry.trust is not None:
            return Verdict.TRUSTED if entry.trust & {SERVER_AUTH, ANY_PURPOSE} else Verdict.DISTRUSTED
        if entry.certificate.self_signed or self.reader.partial_chain:
            return Verdict.TRUSTED
        return Verdict.UNTRUSTED

    def _checked(self, path: Sequence[Certificate]) -> Outcome:
        """The checks after the building: constraints, strength, signatures, dates."""
        # internal_verify looks at no date of an anchor that is not self-issued (one that a TRUSTED CERTIFICATE
        # block names), unless partial chains are allowed.
        dated = path if path[-1].self_issued or self.reader.partial_chain else path[:-1]
        for problem in (
            _signature_problem(self.issuing_ca, path),
            *(_ca_problem(c, i) for i, c in enumerate(path)),
            *(self._strict_problem(path) if self.reader.strict else ()),
            *(_weakness(c, self.reader, is_anchor=i == len(path) - 1) for i, c in enumerate(path)),
            *(_date_problem(c, self.at) for c in reversed(dated)),
        ):
            if problem:
                return self._refused(path, problem)
        return Outcome(Verdict.TRUSTED, tuple(path), _anchored(path), min((c.not_after for c in dated), default=None))

    def _strict_problem(self, path: Sequence[Certificate]) -> list[str]:
        """X509_V_FLAG_X509_STRICT (check_extensions): what RFC 5280 asks of CA certificates."""
        problems = []
        for index, certificate in enumerate(path):
            constraints = certificate.extensions.get("2.5.29.19")
            last = index == len(path) - 1
            if certificate.version < 3:
                if certificate.extensions:
                    problems.append(f"{certificate.label} has extensions but is not of version 3")
                continue
            if constraints is None or not constraints.critical:
                problems.append(f"the basic constraints of {certificate.label} are not critical")
            if certificate.key_usage is None:
                problems.append(f"{certificate.label} has no key usage")
            if certificate.subject_key_id is None:
                problems.append(f"{certificate.label} has no subject key identifier")
            if not last and certificate.authority_key_id.key_id is None:
                problems.append(f"{certificate.label} has no authority key identifier")
        return [f"{p}, which {self.reader.title} demands" for p in problems]


class _EveryPath(_Search):
    """JSSE's way: any certificate of the store is an anchor, whatever its dates, and every path is tried."""

    def outcome(self) -> Outcome:
        """The first path that validates, shortest first."""
        self.problem = ""
        self.barred = False
        for entry in self.anchors.named(self.issuing_ca.subject):
            if entry.certificate.spki == self.issuing_ca.spki and not self._anchor_problem(entry, None):
                return self._trusted([entry.certificate])
        if self.issuing_ca not in self.sent:
            return self._refused((), f"the store has no {self.issuing_ca.label}, and the server sends none")
        path = self._extend([self.issuing_ca])
        if path is None:
            missing = f"the issuer of {self.issuing_ca.label} is not in the store"
            verdict = Verdict.DISTRUSTED if self.barred else Verdict.UNTRUSTED
            return Outcome(verdict, (self.issuing_ca,), self.problem or missing)
        return self._trusted(path)

    problem: str  # the first obstacle met
    barred: bool  # a bar of the store was met

    def _trusted(self, path: list[Certificate]) -> Outcome:
        dated = path if self.reader.anchor_dates else path[:-1]
        ends = min((c.not_after for c in dated), default=None)
        return Outcome(Verdict.TRUSTED, tuple(path), _anchored(path), ends)

    def _extend(self, path: list[Certificate]) -> list[Certificate] | None:
        """`path` up to an anchor, or None; the first obstacle on the way is kept in `problem`."""
        top = path[-1]
        fault = (
            self._bar(top)
            or _date_problem(top, self.at)
            or _ca_problem(top, len(path) - 1)
            or _weakness(top, self.reader, is_anchor=False)
        )
        if fault:
            self.problem = self.problem or fault
            return None
        for entry in self.anchors.named(top.issuer):
            fault = self._anchor_problem(entry, top)
            if not fault:
                return [*path, entry.certificate]
            self.problem = self.problem or fault
        for issuer in self.sent:
            if (
                issuer not in path
                and canonical_name(issuer.subject) == canonical_name(top.issuer)
                and signed_by(top, issuer)
                and len(path) < _MAX_DEPTH
                and (found := self._extend([*path, issuer]))
            ):
                return found
        return None

    def _bar(self, certificate: Certificate) -> str:
        """The store's word against a certificate on the way, if it has one (NSS: the flag p)."""
        entries = self.anchors.named(certificate.subject)
        if not any(entry.reject and entry.certificate == certificate for entry in entries):
            return ""
        self.barred = True
        return f"the store bars {certificate.label} from TLS servers"

    def _anchor_problem(self, entry: Entry, child: Certificate | None) -> str:
        """Why this entry cannot end the path; empty if it can."""
        anchor = entry.certificate
        if child is not None and not signed_by(child, anchor):
            return f"{anchor.label} in the store has another key than the issuer of {child.label}"
        # JDK-8230318: an anchor of version 3 must be a CA, unless jdk.security.allowNonCaAnchor is set.
        if anchor.version == 3 and not anchor.is_ca:
            return f"{anchor.label} in the store is no CA certificate"
        if entry.reject:
            self.barred = True
            return f"the store bars {anchor.label} from TLS servers"
        return _weak_key(anchor, self.reader) or (_date_problem(anchor, self.at) if self.reader.anchor_dates else "")


def _anchored(path: Sequence[Certificate]) -> str:
    anchor = path[-1]
    return f"anchored at {anchor.label}" + ("" if anchor.self_signed else ", which is no root")


def _signature_fits(child: Certificate, issuer: Certificate) -> bool:
    """Whether a key of the issuer's type can have made the child's kind of signature."""
    signature, key = child.signature_oid, issuer.key_algorithm
    if signature.startswith("1.2.840.113549.1.1."):
        return key in (RSA_KEY, "1.2.840.113549.1.1.10")
    if signature.startswith("1.2.840.10045.4."):
        return key == "1.2.840.10045.2.1"
    return True


def _signature_problem(issuing_ca: Certificate, path: Sequence[Certificate]) -> str:
    """The first signature of the path that is not its issuer's; the leaf's is the issuing CA's by assumption."""
    if path[0].spki != issuing_ca.spki:
        return f"{path[0].label} in the store has another key than the one that signs the leaves"
    for child, issuer in pairwise(path):
        if not signed_by(child, issuer):
            return f"{issuer.label} has another key than the one that signed {child.label}"
    return ""


def _ca_problem(certificate: Certificate, below: int) -> str:
    """Why it may not issue, with `below` CA certificates under it in the path; empty if it may."""
    try:
        constraints, usage = certificate.basic_constraints, certificate.key_usage
        purposes = certificate.extended_key_usage
    except MalformedError as problem:
        return f"an extension of {certificate.label} cannot be read: {problem}"
    if usage is not None and 5 not in usage:
        return f"the key of {certificate.label} may not sign certificates"
    if constraints is not None and not constraints[0]:
        return f"{certificate.label} is no CA"
    if constraints is None and not (certificate.version < 3 and certificate.self_signed) and usage is None:
        return f"{certificate.label} does not say that it is a CA"
    if constraints is not None and constraints[1] is not None and below > constraints[1]:
        return f"{certificate.label} allows only {constraints[1]} CA certificates below it"
    if purposes is not None and not purposes & {SERVER_AUTH, ANY_PURPOSE}:
        return f"{certificate.label} may not issue for TLS servers"
    return ""


def _date_problem(certificate: Certificate, at: datetime) -> str:
    if at > certificate.not_after:
        return f"{certificate.label} expired on {certificate.not_after:%Y-%m-%d}"
    if at < certificate.not_before:
        return f"{certificate.label} is not valid before {certificate.not_before:%Y-%m-%d}"
    return ""


def _weakness(certificate: Certificate, reader: Reader, *, is_anchor: bool) -> str:
    """A key or, below the anchor, a signature that is too weak for the reader."""
    digest = _DIGESTS.get(certificate.signature_oid)
    if not is_anchor and digest in reader.weak_digests:
        return f"{certificate.label} is signed with {digest.upper() if digest else ''}, which {reader.title} refuses"
    return _weak_key(certificate, reader)


def _weak_key(certificate: Certificate, reader: Reader) -> str:
    bits = certificate.rsa_bits
    if bits is not None and bits < reader.min_rsa_bits:
        return f"the RSA key of {certificate.label} has {bits} bits, too few for {reader.title}"
    return ""
