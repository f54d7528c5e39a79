"""`audit`, `stores` and `show` for people: plain lines of at most 80 columns, worst first; paths are never cut."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile

from trustmend.advice import next_step
from trustmend.audit import ChainVerdict, Judged, Summary
from trustmend.bundle import Bundle, Chain
from trustmend.certificate import Certificate, name_label, printable
from trustmend.model import WORST_FIRST, Entry, EntryKind, Finding, Process, Role, Severity, Store, Verdict
from trustmend.readers import READERS

Paint = Callable[[str, str], str]
"""(text, colour) -> text for the terminal; `plain` gives it back as it is."""

_COLOURS = {
    Verdict.TRUSTED: "green",
    Verdict.CONDITIONAL: "yellow",
    Verdict.DISTRUSTED: "red",
    Verdict.UNTRUSTED: "red",
    Verdict.UNREADABLE: "magenta",
}
_SHOWN_LACKS = 3


_SHOWN_PROCESSES = 5


def colour_of(verdict: Verdict | None) -> str:
    """The colour that a verdict has everywhere; that of what is not known for None."""
    return _COLOURS[verdict or Verdict.UNREADABLE]


def plain(text: str, colour: str) -> str:
    """No colours."""
    return text


def headline(summary: Summary, judged: Sequence[Judged], bundles: Sequence[Bundle]) -> str:
    """The answer in one sentence."""
    if not summary.stores:
        return "No trust store was found."
    refused = [j for j in judged if j.store.counted and j.verdict in (Verdict.UNTRUSTED, Verdict.DISTRUSTED)]
    depends = [j for j in judged if j.store.counted and j.verdict is Verdict.CONDITIONAL]
    parts = []
    if refused:
        who = _titles(refused, (Verdict.UNTRUSTED, Verdict.DISTRUSTED))
        parts.append(f"{len(refused)} of {_stores(summary.stores)} will refuse {who}{_since(bundles)}")
    if depends:
        who = "" if refused else f" {_titles(depends, (Verdict.CONDITIONAL,))}"
        count = f"{len(depends)} more" if refused else f"{len(depends)} of {_stores(summary.stores)}"
        verb = "trusts" if len(depends) == 1 else "trust"
        parts.append(f"{count} {verb}{who or ' them'} only if the server also sends a cross-sign")
    if summary.unreadable:
        alone = not parts and not summary.trusted
        count = f"{summary.unreadable} of {_stores(summary.stores)}" if alone else str(summary.unreadable)
        parts.append(f"{count} could not be read")
    if not refused and not depends and summary.trusted:
        titles = _join(c.title for b in bundles for c in b.chains if c.required)
        verb = "trusts" if summary.trusted == 1 else "trust"
        whole = "All " if summary.trusted == summary.stores > 1 else ""
        parts.insert(0, f"{whole}{_stores(summary.trusted)} {verb} {titles}")
    return "; ".join(parts) + "."


def _stores(count: int) -> str:
    return f"{count} trust store" + ("" if count == 1 else "s")


def _titles(judged: Sequence[Judged], verdicts: Sequence[Verdict]) -> str:
    """The titles of the required chains that meet one of these verdicts anywhere."""
    return (
        _join(
            dict.fromkeys(c.chain.title for j in judged for c in j.chains if c.chain.required and c.verdict in verdicts)
        )
        or "the chains"
    )


def _join(words: Iterable[str]) -> str:
    """ "A, B and C"; what all begin or end with is said once: "Sectigo DV, OV and EV R36"."""
    found = [word.split() for word in dict.fromkeys(words)]
    shortest = min(map(len, found), default=1) - 1
    start = _common([word[:shortest] for word in found]) if len(found) > 1 else []
    room = shortest - len(start)
    end = _common([word[::-1][:room] for word in found])[::-1] if len(found) > 1 else []
    texts = [" ".join(word[len(start) : len(word) - len(end)]) for word in found]
    joined = " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
    return " ".join([*start, joined, *end])


def _common(lists: Sequence[Sequence[str]]) -> list[str]:
    """The items with which all the lists begin."""
    return [items[0] for items in takewhile(lambda items: len(set(items)) == 1, zip(*lists, strict=False))]


def _since(bundles: Sequence[Bundle]) -> str:
    deadlines = [b.deadline for b in bundles if b.deadline]
    return f" from {min(deadlines):%Y-%m-%d}" if deadlines else ""


def audit_lines(
    judged: Sequence[Judged], bundles: Sequence[Bundle], summary: Summary, findings: Sequence[Finding], paint: Paint
) -> Iterator[str]:
    """The whole report: the answer, then the stores, worst first, those alike in one block."""
    yield from wrapped("", headline(summary, judged, bundles), "")
    for finding in findings:
        yield from wrapped("note: ", finding.message, "")
    for verdict in WORST_FIRST:
        group = [j for j in judged if j.store.counted and j.verdict is verdict]
        if group:
            yield ""
            yield paint(f"{verdict.value.upper()} ({len(group)})", _COLOURS[verdict])
            yield from _blocks(group)
    others = [j for j in judged if not j.store.counted]
    if others:
        yield ""
        yield f"NOT COUNTED ({len(others)}): private, for client certificates, or not read as a trust store"
        for one in others:
            yield f"  {printable(one.store.path)}"
            yield from wrapped("      ", f"{_about(one.store)}; {one.store.role.value}; {one.verdict.value}", "      ")
            if setting := _setting(one.store):
                yield from wrapped("      set by ", setting, "             ")
            for finding in one.findings:
                if finding.severity is Severity.WARNING:
                    yield from wrapped("      note   ", finding.message, "             ")


def _blocks(group: Sequence[Judged]) -> Iterator[str]:
    """Stores that are alike in all but their path share one block."""
    alike: dict[tuple[str, ...], list[Judged]] = {}
    for one in group:
        alike.setdefault(tuple(_facts(one)), []).append(one)
    for facts, members in alike.items():
        for one in members:
            yield f"  {printable(one.store.path)}"
            for link in one.store.links:
                yield f"    = {printable(link)}"
            if one.verdict is not Verdict.TRUSTED:
                if one.store.owner:
                    yield from wrapped("    from ", one.store.owner, "         ")
                if setting := _setting(one.store):
                    yield from wrapped("    set by ", setting, "           ")
                for processes in process_lines(one.store):
                    yield from wrapped("    in use by ", processes, "              ")
        yield from facts


def _facts(judged: Judged) -> Iterator[str]:
    """What is said of a store below its path."""
    indent = "      "
    if judged.verdict is not Verdict.TRUSTED:
        yield from wrapped(indent, _about(judged.store), indent)
        for reason in _reasons(judged):
            yield from wrapped(f"{indent}why    ", reason, f"{indent}       ")
        if judged.missing:
            yield from wrapped(f"{indent}lacks  ", _lacks(judged), f"{indent}       ")
        if step := next_step(judged):
            yield from wrapped(f"{indent}do     ", step, f"{indent}       ")
    for finding in judged.findings:
        if finding.severity is Severity.WARNING:
            yield from wrapped(f"{indent}note   ", finding.message, f"{indent}       ")


def _about(store: Store) -> str:
    """Kind, owner and readers."""
    parts = [store.content.kind.value, store.family.value]
    readers = dict.fromkeys(READERS[use.reader].title for use in store.uses)
    if readers:
        parts.append("read by " + ", ".join(readers))
    return "; ".join(parts)


def _setting(store: Store) -> str:
    """The settings that name the store: a variable, a file with its line; empty for default places."""
    said = (use.how for use in store.uses if use.setting or use.how.startswith(("environment", "-D")))
    return ", ".join(dict.fromkeys(said))


def process_lines(store: Store) -> list[str]:
    """The running programs that read it: "3 processes: 812, 813, 900 (java, unit tomcat10.service, user tomcat)"."""
    groups: dict[str, dict[int, None]] = {}
    for use in store.uses:
        if use.process is not None:
            groups.setdefault(_process_words(use.process), {})[use.process.pid] = None
    return [f"{numbers(sorted(pids))} ({words})" for words, pids in groups.items()]


def numbers(pids: Sequence[int]) -> str:
    """ "process 812", or "7 processes: 812, 813, 900, 901, 902 and 2 more"."""
    if len(pids) == 1:
        return f"process {pids[0]}"
    more = f" and {len(pids) - _SHOWN_PROCESSES} more" if len(pids) > _SHOWN_PROCESSES else ""
    return f"{len(pids)} processes: {', '.join(map(str, pids[:_SHOWN_PROCESSES]))}{more}"


def _process_words(process: Process) -> str:
    words = [process.command.partition(" ")[0].rpartition("/")[2] or "?"]
    words += [f"unit {process.unit}"] if process.unit else []
    words += [f"container {process.container}"] if process.container else []
    return ", ".join([*words, f"user {process.user}"])


def _uses_lines(store: Store) -> Iterator[str]:
    """Who reads a store and how; those that differ only by their process are one line."""
    groups: dict[tuple[str, str], dict[str, dict[int, None]]] = {}
    for use in store.uses:
        program = f" ({use.program}{' ' + use.version if use.version else ''})" if use.program else ""
        group = groups.setdefault((f"{READERS[use.reader].title}{program}", use.how), {})
        if use.process is not None:
            group.setdefault(_process_words(use.process), {})[use.process.pid] = None
    for (title, how), processes in groups.items():
        who = "; ".join(f"{numbers(sorted(pids))} ({words})" for words, pids in processes.items())
        yield f"{title}: {how}" + (f"; {who}" if who else "")


def _reasons(judged: Judged) -> list[str]:
    """Why, each reason once, with the chains it is for where there are several reasons."""
    by_reason: dict[str, list[ChainVerdict]] = {}
    for chain in judged.chains:
        if chain.verdict is judged.verdict and (chain.chain.required or judged.verdict is Verdict.UNREADABLE):
            by_reason.setdefault(chain.reason, []).append(chain)
    if len(by_reason) < 2:
        return list(by_reason)
    return [f"{_join(c.chain.title for c in chains)}: {reason}" for reason, chains in by_reason.items()]


def _lacks(judged: Judged) -> str:
    ordered = sorted(judged.missing, key=lambda m: m.role != "root")
    names = [f"{m.certificate.label} ({m.role.value})" for m in ordered[:_SHOWN_LACKS]]
    more = len(ordered) - _SHOWN_LACKS
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def wrapped(first: str, text: str, rest: str) -> list[str]:
    """`text`, printable, in lines of 80 columns that begin with `first` and then `rest`; paths are never cut."""
    return textwrap.wrap(
        printable(text),
        80,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def stores_lines(stores: Sequence[Store]) -> Iterator[str]:
    """What was found: for each store its path and links, kind, readers, source and number of certificates."""
    yield f"{_stores(len(stores))} found"
    for store in stores:
        yield f"  {printable(store.path)}"
        for link in store.links:
            yield f"    = {printable(link)}"
        count = len({e.certificate.sha256 for e in store.content.entries})
        holds = f"{count} certificate" + ("" if count == 1 else "s")
        if store.content.error:
            holds = f"cannot be read: {store.content.error}"
        note = "" if store.role is Role.PUBLIC else f"; {store.role.value}"
        yield from wrapped("      ", f"{_about(store)}{note}; {holds}", "      ")
        if store.owner:
            yield from wrapped("      from ", store.owner, "           ")
        for processes in process_lines(store):
            yield from wrapped("      in use by ", processes, "                ")
        if store.source:
            yield from wrapped("      ", f"made from {store.source}", "      ")


def show_lines(judged: Judged, paint: Paint, *, every: bool, least: str | None = None) -> Iterator[str]:
    """One store: what it is, each chain as a tree with the reason, the findings and the certificates.

    Args:
        judged: the store.
        paint: colours or none.
        every: all its certificates, not only those that have to do with the chains.
        least: the smallest change that would make it trusted, in words.
    """
    store = judged.store
    yield f"{printable(store.path)}  [{store.id}]"
    for link in store.links:
        yield f"  = {printable(link)}"
    yield from wrapped("  ", f"{_about(store)}; role {store.role.value}", "  ")
    if store.owner:
        yield from wrapped("  from     ", store.owner, "           ")
    for line in _uses_lines(store):
        yield from wrapped("  read by  ", line, "           ")
    yield f"  SHA-256  {store.sha256 or '-'}"
    yield f"  verdict  {paint(judged.verdict.value, _COLOURS[judged.verdict])}"
    for chain in judged.chains:
        yield ""
        yield from _chain_lines(chain, judged, paint)
    yield from _finding_lines(judged, every=every)
    if judged.missing:
        yield ""
        yield "Not in it:"
        for missing in judged.missing:
            yield f"  {missing.role.value:<12} {missing.certificate.label}"
            yield f"               {missing.sha256}"
    if step := next_step(judged):
        yield ""
        yield from wrapped("Next: ", step, "      ")
    if least:
        yield from wrapped("The smallest change that would do: ", least, "      ")
    yield from _entry_lines(store, judged, every=every)


def _chain_lines(judged: ChainVerdict, whole: Judged, paint: Paint) -> Iterator[str]:
    required = "" if judged.chain.required else " (not required)"
    yield f"{judged.chain.title} [{judged.chain.id}]{required}: {paint(judged.verdict.value, _COLOURS[judged.verdict])}"
    yield from wrapped("  ", judged.reason, "  ")
    held = {e.certificate.sha256 for e in whole.store.content.entries}
    decisive = judged.decisive
    accepted = decisive is not None and judged.verdict in (Verdict.TRUSTED, Verdict.CONDITIONAL)
    if any("refused-by-reader" in row.rule for row in judged.readers if row.verdict is judged.verdict):
        return  # no certificate decides then
    yield from tree(decisive.path if accepted and decisive else judged.chain.path, held)
    for row in judged.readers if len(judged.readers) > 1 else ():
        yield from wrapped("  ", f"{READERS[row.reader].title}: {row.verdict.value}, {row.rule}", "    ")


def tree(path: Sequence[Certificate], held: set[str]) -> Iterator[str]:
    """A path as a tree, root on top, each with its SHA-256 and whether the store holds it."""
    for depth, certificate in enumerate(reversed(path)):
        arm = "  " + "   " * max(depth - 1, 0) + ("└─ " if depth else "")
        mark = "in the store" if certificate.sha256 in held else "not in the store"
        yield f"{arm}{certificate.label}  ({mark})"
        inner = "  " + "   " * depth
        by = "" if certificate.self_issued else f"issued by {name_label(certificate.issuer)}, "
        yield f"{inner}{by}until {certificate.not_after:%Y-%m-%d}"
        yield f"{inner}{certificate.sha256}"


def _finding_lines(judged: Judged, *, every: bool) -> Iterator[str]:
    """All findings; certificates that have expired and matter to no chain only as a number."""
    shown = [f for f in judged.findings if every or f.code != "expired"]
    expired = len(judged.findings) - len(shown)
    if judged.findings:
        yield ""
        yield "Findings:"
    if expired:
        verb = "has" if expired == 1 else "have"
        yield f"  info: {expired} of its certificates {verb} expired; --all names them [expired]"
    for finding in shown:
        yield from wrapped(f"  {finding.severity.value}: ", f"{finding.message} [{finding.code}]", "    ")


def _entry_lines(store: Store, judged: Judged, *, every: bool) -> Iterator[str]:
    """The certificates: all, or only those that have to do with the chains."""
    wanted = {c.sha256 for chain in judged.chains for c in _around(chain.chain)}
    wanted |= {f.certificate for f in judged.findings if f.certificate and f.code != "expired"}
    keys = {c.spki for chain in judged.chains for c in _around(chain.chain)}
    shown = [e for e in store.content.entries if every or e.certificate.sha256 in wanted or e.certificate.spki in keys]
    yield ""
    total = len(store.content.entries)
    if every or total == len(shown):
        yield f"Certificates ({total}):"
    else:
        yield f"Certificates that these chains touch ({len(shown)} of {total}; --all shows every one):"
    for entry in shown:
        yield from _entry_line(entry)


def _around(chain: Chain) -> list[Certificate]:
    return [*chain.path, *chain.served, *(c for alternate in chain.alternates for c in alternate)]


def _entry_line(entry: Entry) -> Iterator[str]:
    certificate = entry.certificate
    about = [f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"]
    if entry.file is not None:
        about.append(entry.file)
    elif entry.offset is not None:
        about.append(f"byte {entry.offset}")
    if entry.alias is not None:
        about.append(f"alias `{entry.alias}`")
    if entry.kind is EntryKind.KEY:
        about.append("of a key entry")
    elif entry.kind is EntryKind.PLAIN:
        about.append("not marked as trusted")
    yield from wrapped("  ", f"{certificate.label}  ({', '.join(about)})", "      ")
    yield f"    {certificate.sha256}"
