"""Bundles for people: plain lines of at most 80 columns; and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any

from trustmend.bundle import Bundle, Chain, Comparison
from trustmend.certificate import Certificate, name_label, name_text, printable
from trustmend.report.audit_text import wrapped

_INDENT = "  "


def list_lines(bundles: Sequence[Bundle], default: str) -> Iterator[str]:
    """Each bundle with its origin, title and numbers."""
    for one in bundles:
        mark = ", the default" if one.name == default else ""
        yield f"{one.name} ({one.origin.value}{mark})"
        yield from wrapped(_INDENT, one.title, _INDENT)
        yield from wrapped(_INDENT, one.summary, _INDENT)


def show_lines(bundle: Bundle) -> Iterator[str]:
    """All that an operator wants to know before using it."""
    yield f"{bundle.name} ({bundle.origin.value})"
    yield from wrapped(_INDENT, bundle.title, _INDENT)
    for line in bundle.notice.split("\n"):
        yield from wrapped(_INDENT, line, _INDENT) if line else [""]
    if bundle.source:
        yield from wrapped("  source     ", bundle.source, "             ")
    if bundle.deadline:
        in_utc = bundle.deadline.astimezone(UTC)
        yield f"  deadline   {bundle.deadline.isoformat()} ({in_utc:%Y-%m-%d %H:%M} UTC)"
    if bundle.endpoints:
        yield from wrapped("  endpoints  ", ", ".join(bundle.endpoints), "             ")
    for chain in bundle.chains:
        yield ""
        yield f"{printable(chain.title)} [{chain.id}]" + ("" if chain.required else " (not required)")
        yield from _tree(chain.path)
        for alternate in chain.alternates:
            yield "  or, if the server sends it so:"
            yield from _tree(alternate)
    yield ""
    yield f"Certificates ({len(bundle.certificates)}):"
    for one in bundle.certificates:
        yield from _certificate(
            one.certificate, f"{one.role.value}, {'installed' if one.install else 'never installed'}"
        )
    if bundle.siblings:
        yield ""
        yield "Where these stand in a store, old programs fail; they are reported, never installed:"
    for sibling in bundle.siblings:
        yield from _certificate(sibling.certificate, "sibling")
        yield from wrapped("    ", sibling.reason, "    ")


def _tree(path: Sequence[Certificate]) -> Iterator[str]:
    """Root on top."""
    for depth, certificate in enumerate(reversed(path)):
        arm = _INDENT + "   " * max(depth - 1, 0) + ("└─ " if depth else "")
        yield f"{arm}{certificate.label} ({certificate.sha256[:16]}...)"


def _certificate(certificate: Certificate, about: str) -> Iterator[str]:
    yield from wrapped(_INDENT, f"{certificate.label} ({about})", "    ")
    yield from wrapped("    ", name_text(certificate.subject), "    ")
    if not certificate.self_issued:
        yield from wrapped("    issued by ", name_label(certificate.issuer), "    ")
    yield f"    {certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
    yield f"    {certificate.sha256}"


def verify_lines(bundle: Bundle, problems: Sequence[str], compared: Sequence[Comparison]) -> Iterator[str]:
    """What was checked, what is wrong, and which of its certificates this host has already."""
    yield f"{bundle.name}: {bundle.summary}"
    yield "  pins, roles and signatures hold; no private key, no server's certificate"
    for problem in problems:
        yield from wrapped("  dates: ", problem, "         ")
    if not problems:
        yield "  dates: all that is installed or required is valid now"
    for row in compared:
        certificate = row.certificate.certificate
        yield from wrapped(_INDENT, f"{certificate.label} ({row.certificate.role.value})", "    ")
        if row.same:
            yield from wrapped("    same in ", ", ".join(row.same), "            ")
        elif row.other:
            text = f"not in this host's stores; {len(row.other)} of them have another certificate of its name and key"
            yield from wrapped("    ", text, "    ")
        else:
            yield "    not in this host's stores"


def document(bundle: Bundle) -> Mapping[str, Any]:
    """One bundle as JSON (schema "trustmend/bundle/1")."""
    return {
        "schema": "trustmend/bundle/1",
        "name": bundle.name,
        "title": bundle.title,
        "origin": bundle.origin.value,
        "folder": printable(bundle.folder),
        "source": bundle.source,
        "notice": bundle.notice,
        "deadline": bundle.deadline.isoformat() if bundle.deadline else None,
        "endpoints": list(bundle.endpoints),
        "certificates": [
            {**_row(one.certificate), "file": one.file, "role": one.role.value, "install": one.install}
            for one in bundle.certificates
        ],
        "chains": [_chain(chain) for chain in bundle.chains],
        "siblings": [{**_row(one.certificate), "file": one.file, "reason": one.reason} for one in bundle.siblings],
    }


def _row(certificate: Certificate) -> dict[str, Any]:
    return {
        "sha256": certificate.sha256,
        "subject": name_text(certificate.subject),
        "issuer": name_text(certificate.issuer),
        "not_before": f"{certificate.not_before:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
    }


def _chain(chain: Chain) -> dict[str, Any]:
    return {
        "id": chain.id,
        "title": chain.title,
        "required": chain.required,
        "path": [one.sha256 for one in chain.path],
        "alternates": [[one.sha256 for one in path] for path in chain.alternates],
        "served": [one.sha256 for one in chain.served],
    }
