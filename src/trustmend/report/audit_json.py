"""`audit`, `stores` and `show` as JSON: the contract that other programs rely on; only ever added to.

The schema stands beside this file in audit.schema.json.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from trustmend import __version__
from trustmend.advice import next_step
from trustmend.audit import ChainVerdict, Judged, Summary
from trustmend.bundle import Bundle
from trustmend.certificate import name_text, printable
from trustmend.model import Entry, EntryKind, Finding, Kind, Loaded, Store, Use, Verdict

if TYPE_CHECKING:
    from trustmend.smallest import Change

Json = dict[str, Any]


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def audit_document(
    *,
    host: Mapping[str, str],
    at: datetime,
    bundles: Sequence[Bundle],
    judged: Sequence[Judged],
    summary: Summary,
    findings: Sequence[Finding] = (),
) -> Json:
    """The whole answer of `audit` (schema "trustmend/audit/1")."""
    return {
        "schema": "trustmend/audit/1",
        "version": __version__,
        "host": dict(host),
        "at": instant(at),
        "bundles": [
            {"name": b.name, "title": b.title, "deadline": b.deadline.isoformat() if b.deadline else None}
            for b in bundles
        ],
        "stores": [store_row(j) for j in judged],
        "summary": {
            "stores": summary.stores,
            "trusted": summary.trusted,
            "conditional": summary.conditional,
            "untrusted": summary.untrusted,
            "distrusted": summary.distrusted,
            "unreadable": summary.unreadable,
        },
        "findings": [_finding(f) for f in findings],
    }


def store_row(judged: Judged) -> Json:
    """One store of the contract's `stores`."""
    return {
        **found_row(judged.store),
        "verdict": judged.verdict,
        "complete": judged.complete,
        "chains": [_chain(c) for c in judged.chains],
        "missing": [
            {"sha256": m.sha256, "role": m.role, "subject": name_text(m.certificate.subject)} for m in judged.missing
        ],
        "findings": [_finding(f) for f in judged.findings],
        "error": printable(judged.store.content.error or "") if judged.verdict is Verdict.UNREADABLE else None,
        "next": next_step(judged),
    }


def found_row(store: Store) -> Json:
    """What is known of a store before any judging: a row of `stores`."""
    return {
        "id": store.id,
        "kind": store.content.kind,
        "family": store.family,
        "role": store.role,
        **path_row(store.path),
        "links": [path_text(link) for link in store.links],
        "source": store.source,
        "owner": store.owner,
        "readers": [_use(use) for use in store.uses],
        "sha256": store.sha256,
        "certificates": len({e.certificate.sha256 for e in store.content.entries}),
        "counted": store.counted,
        "remedy": None if store.remedy is None else printable(store.remedy),
    }


def smallest_change(change: Change | None) -> Json | None:
    """The smallest change that would make a store trusted, for `show`."""
    if change is None:
        return None
    found: Json = {name: [c.sha256 for c in getattr(change, name)] for name in ("add", "remove", "move")}
    return {**found, "words": printable(change.words)}


def entries(store: Store) -> list[Json]:
    """The store's certificates, for `show`."""
    bars = _bars(store)
    return [_entry(e, bars.get(i, [])) for i, e in enumerate(store.content.entries)]


def _entry(entry: Entry, bars: list[str]) -> Json:
    certificate = entry.certificate
    return {
        "sha256": certificate.sha256,
        "subject": name_text(certificate.subject),
        "issuer": name_text(certificate.issuer),
        "not_before": instant(certificate.not_before),
        "not_after": instant(certificate.not_after),
        "alias": None if entry.alias is None else printable(entry.alias),
        "trusted": entry.kind is not EntryKind.PLAIN and not bars,
        "bars": bars,
        "file": None if entry.file is None else printable(entry.file),
        "position": entry.position,
        "offset": entry.offset,
    }


_REJECTED: Final = {
    Kind.NSS: "the database bars it (trust flag p)",
    Kind.P11_KIT: "on a blocklist, or barred by its key or serial number",
}


def _bars(store: Store) -> dict[int, list[str]]:
    """Why an entry is not trusted although it stands there, by its index."""
    found: dict[int, list[str]] = {}
    loaded = [v for v in store.content.views.values() if isinstance(v, Loaded)]
    for index, entry in enumerate(store.content.entries):
        bars = []
        if entry.reject:
            bars.append(_REJECTED.get(store.content.kind, "reject list of its TRUSTED CERTIFICATE block"))
        if entry.kind is EntryKind.PLAIN:
            bars.append("the store does not mark it as trusted")
        if not loaded:
            bars.append("no reader loads the store")
        if bars:
            found[index] = bars
    return found


def path_row(path: str) -> Json:
    """`path`, and `path_b64` with its bytes where they are not UTF-8."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return {"path": path_text(path), "path_b64": base64.b64encode(os.fsencode(path)).decode("ascii")}
    return {"path": path}


def path_text(path: str) -> str:
    """A path as JSON text: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")


def _use(use: Use) -> Json:
    return {
        "reader": use.reader,
        "how": use.how,
        "program": use.program,
        "version": use.version,
        "extends": use.extends,
        "process": None
        if use.process is None
        else {
            "pid": use.process.pid,
            "command": use.process.command,
            "user": use.process.user,
            "unit": use.process.unit,
            "container": use.process.container,
        },
        "setting": None
        if use.setting is None
        else {**path_row(use.setting.file), "line": use.setting.line, "key": use.setting.key},
    }


def _chain(judged: ChainVerdict) -> Json:
    decisive = judged.decisive
    accepted = decisive is not None and judged.verdict in (Verdict.TRUSTED, Verdict.CONDITIONAL)
    path = [c.sha256 for c in decisive.path] if decisive and accepted else []
    return {
        "bundle": judged.bundle,
        "chain": judged.chain.id,
        "required": judged.chain.required,
        "verdict": judged.verdict,
        "anchor": path[-1] if path else None,
        "path": path,
        "reason": printable(judged.reason),
        "readers": [{"reader": r.reader, "verdict": r.verdict, "rule": printable(r.rule)} for r in judged.readers],
    }


def _finding(finding: Finding) -> Json:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": printable(finding.message),
        "certificate": finding.certificate,
    }


def dumps(document: Json) -> str:
    """The document as text with a final line end; ASCII only, so that no terminal or pipe can spoil it."""
    return json.dumps(document, indent=2) + "\n"
