"""When trust ends, store by store: as lines for people, and as additions to the rows of `audit --json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from trustmend.audit import Judged
from trustmend.certificate import printable
from trustmend.model import Verdict
from trustmend.report.audit_json import instant
from trustmend.report.audit_text import Paint, colour_of, wrapped
from trustmend.timeline import Line, Span

Timelines = Mapping[str, Sequence[Line]]
"""A store's id -> the lines of all chains."""


def text_lines(judged: Sequence[Judged], timelines: Timelines, paint: Paint) -> Iterator[str]:
    """For each store its chains, those alike in one line, and what becomes of them."""
    yield ""
    yield "WHEN IT ENDS"
    alike: dict[tuple[tuple[str, tuple[Span, ...]], ...], list[Judged]] = {}
    for one in judged:
        if one.store.id in timelines:
            key = tuple((line.chain.id, line.spans) for line in timelines[one.store.id])
            alike.setdefault(key, []).append(one)
    for members in alike.values():
        for one in members:
            yield f"  {printable(one.store.path)}"
        yield from _chains(timelines[members[0].store.id], paint)


def _chains(lines: Sequence[Line], paint: Paint) -> Iterator[str]:
    by_spans: dict[tuple[Span, ...], list[str]] = {}
    for line in lines:
        by_spans.setdefault(line.spans, []).append(line.chain.id)
    for spans, chains in by_spans.items():
        yield from wrapped("      ", ", ".join(chains), "      ")
        for span in spans:
            colour = colour_of(span.verdict)
            if span.end is None:
                yield f"        {paint(span.verdict.value, colour)} from {span.begin:%Y-%m-%d} on"
            else:
                # The last second of the day that the certificate names is still in it.
                last = span.end - timedelta(seconds=1)
                words = f"{span.verdict.value} until {last:%Y-%m-%d}, when {span.event}"
                yield from (
                    line.replace(span.verdict.value, paint(span.verdict.value, colour), 1) if not at else line
                    for at, line in enumerate(wrapped("        ", words, "          "))
                )


def add_rows(document: dict[str, Any], timelines: Timelines) -> None:
    """Put `timeline` into each chain of the document's stores that have one."""
    for row in document["stores"]:
        for chain, line in zip(row["chains"], timelines.get(row["id"], ()), strict=False):
            chain["timeline"] = [
                {
                    "verdict": Verdict(span.verdict).value,
                    "from": instant(span.begin),
                    "to": None if span.end is None else instant(span.end),
                    "event": printable(span.event),
                }
                for span in line.spans
            ]
