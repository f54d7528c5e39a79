"""What all ways of building a path share: the question, the answer, and the checks that libraries have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Final, NamedTuple

from trustmend.certificate import ANY_PURPOSE, RSA_KEY, SERVER_AUTH, AuthorityKeyId, Certificate, canonical_name
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
HANDLED: Final = frozenset(f"2.5.29.{arc}" for arc in (14, 15, 17, 19, 30, 31, 32, 35, 37))
"""Extensions of RFC 5280 that every library here knows what to do with, where they are critical."""
CERT_SIGN: Final = 5  # keyCertSign, RFC 5280 4.2.1.3


class Outcome(NamedTuple):
    """The answer for one reader: `path` begins with the issuing CA and ends at the anchor, as far as it came.

    `rule` says in words what decided; `expires` is the last instant that the dates in the path allow.
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
    by_encoded: dict[bytes, Sequence[Certificate]] = field(init=False, default_factory=dict)
    outcomes: dict[tuple[Certificate, tuple[Certificate, ...]], dict[tuple[Reader, datetime], Outcome]] = field(
        init=False, default_factory=dict
    )  # what was answered already, by what was asked

    def __post_init__(self) -> None:
        self.by_subject = {}
        for entry in self.entries:
            self.by_subject.setdefault(canonical_name(entry.certificate.subject), []).append(entry)

    def named(self, name: bytes) -> Sequence[Entry]:
        """The entries whose subject is this (encoded) name."""
        return self.by_subject.get(canonical_name(name), ())

    def encoded(self, name: bytes) -> Sequence[Certificate]:
        """The certificates whose subject is encoded just so, each once."""
        found = self.by_encoded.get(name)
        if found is None:
            same = (entry.certificate for entry in self.named(name) if entry.certificate.subject == name)
            found = self.by_encoded[name] = tuple(dict.fromkeys(same))
        return found


@dataclass(slots=True)
class Search:
    """One question. A child that is None is the leaf: any that the issuing CA has signed, and that is valid."""

    issuing_ca: Certificate
    sent: tuple[Certificate, ...]
    anchors: Anchors
    reader: Reader
    at: datetime

    def outcome(self) -> Outcome:
        """The library's answer."""
        raise NotImplementedError

    def issuer_name(self, child: Certificate | None) -> bytes:
        """The encoded name of the child's issuer."""
        return self.issuing_ca.subject if child is None else child.issuer

    def issuer_id(self, child: Certificate | None) -> AuthorityKeyId:
        """What the child's AKI says of its issuer; the leaf names the issuing CA's SKI. Raises MalformedError."""
        return AuthorityKeyId(self.issuing_ca.subject_key_id) if child is None else child.authority_key_id

    def named_as_issuer(self, issuer: Certificate, child: Certificate | None) -> bool:
        """Whether this is the name of the child's issuer, however it is encoded."""
        return canonical_name(issuer.subject) == canonical_name(self.issuer_name(child))

    def key_id_fits(self, issuer: Certificate, child: Certificate | None) -> bool:
        """Whether the issuer's SKI is not another than the one the child names; serial numbers are not looked at."""
        try:
            wanted = self.issuer_id(child).key_id
            return wanted is None or issuer.subject_key_id in (None, wanted)
        except MalformedError:
            return False

    def signed(self, child: Certificate | None, issuer: Certificate) -> bool:
        """Whether the issuer's key made the child's signature."""
        return issuer.spki == self.issuing_ca.spki if child is None else signed_by(child, issuer)

    def label(self, child: Certificate | None) -> str:
        """What people call the child."""
        return "the leaf" if child is None else child.label

    def current(self, certificate: Certificate) -> bool:
        """Whether it is valid: from notBefore to the end of the second that notAfter names (RFC 5280 4.1.2.5)."""
        return certificate.not_before <= self.at <= certificate.not_after

    def date_problem(self, certificate: Certificate) -> str:
        """Why it is not valid at the time; empty if it is."""
        if self.current(certificate):
            return ""
        if self.at < certificate.not_before:
            return f"{certificate.label} is not valid before {certificate.not_before:%Y-%m-%d}"
        return f"{certificate.label} expired on {certificate.not_after:%Y-%m-%d}"

    def wrong_key(self, child: Certificate | None, issuer: Certificate, where: str = "") -> str:
        """The words for a signature that is not the issuer's."""
        if child is None:
            return f"{issuer.label}{where} has another key than the one that signs the leaves"
        return f"{issuer.label}{where} has another key than the one that signed {child.label}"

    def none_found(self) -> Outcome:
        """The answer where nobody has the issuing CA."""
        return self.refused((), f"the store has no {self.issuing_ca.label}, and the server sends none")

    def refused(self, path: Sequence[Certificate], rule: str) -> Outcome:
        """Not trusted, for this reason."""
        return Outcome(Verdict.UNTRUSTED, tuple(path), rule)

    def accepted(self, path: Sequence[Certificate], dated: Sequence[Certificate]) -> Outcome:
        """Trusted by this path, as long as the `dated` part of it is valid."""
        ends = min([certificate.not_after for certificate in dated], default=None)
        return Outcome(Verdict.TRUSTED, tuple(path), _anchored(path[-1]), ends)


# What a reader thinks of one certificate stands for good, whatever the store and the time: each is answered once.


@cache
def _anchored(anchor: Certificate) -> str:
    return f"anchored at {anchor.label}" + ("" if anchor.self_signed else ", which is no root")


@cache
def weakness(certificate: Certificate, reader: Reader, *, is_anchor: bool) -> str:
    """A key or, below the anchor, a signature that is too weak for the reader. Raises MalformedError."""
    digest = _DIGESTS.get(certificate.signature_oid)
    if not is_anchor and digest in reader.weak_digests:
        return f"{certificate.label} is signed with {digest.upper() if digest else ''}, which {reader.title} refuses"
    bits = certificate.rsa_bits
    if bits is not None and bits < reader.min_rsa_bits:
        return f"the RSA key of {certificate.label} has {bits} bits, too few for {reader.title}"
    return ""


@cache
def unknown_extension(certificate: Certificate, handled: frozenset[str] = HANDLED) -> str:
    """A critical extension that is not among the handled ones (RFC 5280 4.2). Raises MalformedError."""
    for extension in certificate.extensions.values():
        if extension.critical and extension.oid not in handled:
            return f"{certificate.label} has a critical extension that nobody knows ({extension.oid})"
    return ""


@cache
def may_not_sign(certificate: Certificate) -> str:
    """keyUsage without keyCertSign. Raises MalformedError."""
    usage = certificate.key_usage
    if usage is not None and CERT_SIGN not in usage:
        return f"the key of {certificate.label} may not sign certificates"
    return ""


@cache
def wrong_purpose(certificate: Certificate) -> str:
    """extKeyUsage without TLS servers: what a CA then issues is not for them. Raises MalformedError."""
    purposes = certificate.extended_key_usage
    if purposes is not None and not purposes & {SERVER_AUTH, ANY_PURPOSE}:
        return f"{certificate.label} may not issue for TLS servers"
    return ""


def too_long(certificate: Certificate, below: int) -> str:
    """The path length, with `below` CA certificates under it that count. Raises MalformedError."""
    constraints = certificate.basic_constraints
    if constraints is not None and constraints[1] is not None and below > constraints[1]:
        return f"{certificate.label} allows only {constraints[1]} CA certificates below it"
    return ""


@cache
def is_no_ca(certificate: Certificate) -> str:
    """basicConstraints that deny it, or none. Raises MalformedError."""
    constraints = certificate.basic_constraints
    if constraints is None:
        return f"{certificate.label} does not say that it is a CA"
    return "" if constraints[0] else f"{certificate.label} is no CA"


@cache
def signature_fits(child: Certificate, issuer: Certificate) -> bool:
    """Whether a key of the issuer's type can have made the child's kind of signature."""
    signature, key = child.signature_oid, issuer.key_algorithm
    if signature.startswith("1.2.840.113549.1.1."):
        return key in (RSA_KEY, "1.2.840.113549.1.1.10")
    if signature.startswith("1.2.840.10045.4."):
        return key == "1.2.840.10045.2.1"
    return True
