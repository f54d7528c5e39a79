"""What real programs say beside our verdicts, for people; and as the rows `proof` of the JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trustmend.audit import Judged
from trustmend.certificate import printable
from trustmend.prove.question import Proof
from trustmend.readers import READERS
from trustmend.report.audit_text import Paint, wrapped

Proofs = Mapping[str, Sequence[Proof]]
"""A store's id -> the answers about it."""


def proof_lines(judged: Sequence[Judged], proofs: Proofs, paint: Paint) -> Iterator[str]:
    """The whole of it in one sentence, then the stores, those alike in one block."""
    asked = [one for one in judged if one.store.id in proofs]
    if not asked:
        return
    yield ""
    yield "WHAT THE REAL PROGRAMS SAY"
    yield from wrapped("  ", _summary([proof for one in asked for proof in proofs[one.store.id]]), "  ")
    alike: dict[tuple[str, ...], list[Judged]] = {}
    for one in asked:
        alike.setdefault(tuple(_store_lines(proofs[one.store.id], paint)), []).append(one)
    for lines, members in alike.items():
        for one in members:
            yield f"  {printable(one.store.path)}"
        yield from lines


def disagreement_lines(judged: Sequence[Judged], proofs: Proofs) -> Iterator[str]:
    """Each contradiction with its store and command, for stderr."""
    for one in judged:
        for proof in proofs.get(one.store.id, ()):
            if proof.agrees is False:
                yield f"DISAGREES: {printable(one.store.path)}: {_contradiction(proof)}; this is a bug of trustmend"
                yield f"  run: {printable(proof.command or '')}"


def proof_rows(proofs: Sequence[Proof]) -> list[dict[str, Any]]:
    """The answers as the contract's `proof`."""
    return [
        {
            "reader": proof.reader,
            "program": None if proof.program is None else printable(proof.program),
            "version": proof.version,
            "chain": proof.chain,
            "ours": proof.ours,
            "theirs": proof.theirs,
            "agrees": proof.agrees,
            "command": None if proof.command is None else printable(proof.command),
            "error": None if proof.error is None else printable(proof.error),
        }
        for proof in proofs
    ]


def _summary(proofs: Sequence[Proof]) -> str:
    answers = [proof for proof in proofs if proof.agrees is not None]
    wrong = sum(proof.agrees is False for proof in answers)
    programs = len({proof.program for proof in answers})
    unasked = len(proofs) - len(answers)
    parts = []
    if not answers:
        parts.append("Nothing could be asked")
    elif wrong:
        parts.append(f"{wrong} of {_count(len(answers), 'answer')} of {_count(programs, 'program')} DISAGREE")
    else:
        verb = "agrees" if len(answers) == 1 else "agree"
        parts.append(f"{_count(len(answers), 'answer')} of {_count(programs, 'program')} {verb}, none disagrees")
    if unasked and answers:
        verb = "was" if unasked == 1 else "were"
        parts.append(f"{_count(unasked, 'question')} {verb} not asked")
    return "; ".join(parts) + "."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _store_lines(proofs: Sequence[Proof], paint: Paint) -> Iterator[str]:
    """What is said below a store's path: agreement in few lines, each contradiction in its own."""
    indent, more = "      ", "        "
    agreed: dict[tuple[str, str], list[Proof]] = {}
    unasked: dict[tuple[str, str], list[Proof]] = {}
    for proof in proofs:
        if proof.error is not None:
            unasked.setdefault((proof.error, _who(proof)), []).append(proof)
        elif proof.agrees:
            agreed.setdefault((_who(proof), "" if proof.chain else proof.ours), []).append(proof)
    for (who, loads), members in agreed.items():
        readers = ", ".join(dict.fromkeys(READERS[proof.reader].title for proof in members))
        if loads:
            yield from wrapped(indent, f"proved in part by {who}: agrees ({loads}; it validates no chain)", more)
        else:
            chains = len({proof.chain for proof in members})
            yield from wrapped(indent, f"proved by {who}: agrees ({_count(chains, 'chain')}; for {readers})", more)
    for proof in proofs:
        if proof.agrees is False:
            yield paint(f"{indent}DISAGREES:", "red")
            yield from wrapped(more, _contradiction(proof), more)
            yield f"{more}run: {printable(proof.command or '')}"
    for (error, _), members in unasked.items():
        readers = ", ".join(dict.fromkeys(READERS[proof.reader].title for proof in members))
        who = f"{_who(members[0])}, " if members[0].program else ""
        chains = len({proof.chain for proof in members if proof.chain})
        about = f"{_count(chains, 'chain')}, " if chains else ""
        yield from wrapped(indent, f"not asked: {who}for {readers} ({about}{error})", more)


def _who(proof: Proof) -> str:
    """ "openssl 3.0.16", "/opt/jdk 21.0.1"."""
    if proof.program is None:
        return ""
    program = (
        proof.program.rpartition("/")[2]
        if proof.program.startswith(("/usr/bin/", "/usr/local/bin/"))
        else proof.program
    )
    named = proof.version is None or program.endswith(proof.version)  # python3.11
    return program if named else f"{program} {proof.version}"


def _contradiction(proof: Proof) -> str:
    about = f"of {proof.chain} " if proof.chain else ""
    words = f" ({proof.detail})" if proof.detail else ""
    return (
        f"{_who(proof)} says {proof.theirs}{words} {about}where we say {proof.ours} for {READERS[proof.reader].title}"
    )
