"""certutil: NSS's own path building, on a copy of the database into which goes what the server would send.

Of the database's folder only cert9.db and key4.db are copied, so that no module that pkcs11.txt names is loaded.
certutil is asked about the issuing CA as a CA of TLS servers (`-u L`). What the database trusts itself ends the path of
a leaf, while NSS asks the CA's own certificate for its issuer all the same (lib/certhigh/certvfy.c), seen with 3.87.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC
from typing import Final

from trustmend.certificate import Certificate, printable
from trustmend.errors import ReadError
from trustmend.model import EntryKind, Kind
from trustmend.prove.bench import Bench, each, written
from trustmend.prove.question import Proof, Question, counts_another_path, unsent

_LAST_YEAR: Final = 2049  # -b has two digits of it
_FILES: Final = ("cert9.db", "key4.db")  # the trust in the first is signed with a key in the second
_VALID: Final = "certificate is valid"
_INVALID: Final = "certificate is invalid: "


def ask(questions: Sequence[Question], bench: Bench) -> list[Proof]:
    """What certutil says, in the order of the questions."""
    try:
        program = bench.program("certutil")
    except ReadError as problem:
        return [one.unanswered(problem.message) for one in questions]
    databases: dict[str, list[Question]] = {}
    for one in questions:
        databases.setdefault(one.store.path, []).append(one)
    answers = each(lambda members: _ask(members, program, bench), list(databases.values()))
    found = {id(one): proof for group in answers for one, proof in group}
    return [found[id(one)] for one in questions]


def _ask(questions: Sequence[Question], program: str, bench: Bench) -> list[tuple[Question, Proof]]:
    """The answers about one database; each thing that servers send needs its own copy."""
    copies: dict[tuple[Certificate, ...], str] = {}
    return [(one, _answer(one, program, bench, copies)) for one in questions]


def _answer(question: Question, program: str, bench: Bench, copies: dict[tuple[Certificate, ...], str]) -> Proof:
    if (refusal := _unaskable(question)) is not None:
        return question.unanswered(refusal, program)
    accepted, detail = [], ""
    try:
        for sent in question.sendings:
            copy = _copy(question, sent, program, bench, copies)
            done = bench.run([program, *_words(question, copy, bench)])
            said = (done.stdout + done.stderr).decode("utf-8", "replace")
            accepted.append(done.code == 0 and _VALID in said)
            if not accepted[-1] and _INVALID not in said:
                raise ReadError(f"certutil says: {printable(said.strip().partition(chr(10))[0])}")
            if accepted[-1]:
                break
            detail = detail or printable(said.partition(_INVALID)[2].strip())
    except (ReadError, OSError) as problem:
        reason = problem.message if isinstance(problem, ReadError) else f"the database cannot be copied: {problem}"
        return question.unanswered(reason, program)
    return question.answered(
        accepted, program, None, _command(question, question.decisive(accepted), program, bench), detail
    )


def _unaskable(question: Question) -> str | None:
    """Why certutil would answer another question; None where it is the same."""
    if question.store.content.kind is not Kind.NSS:
        return "certutil opens NSS databases alone"
    if question.at.astimezone(UTC).year > _LAST_YEAR:
        return f"certutil takes no time after {_LAST_YEAR}"
    name = question.issuing_ca.subject
    held = [e for e in question.store.content.entries if e.certificate.subject == name]
    if any(e.kind is EntryKind.CERTIFICATE and not e.reject for e in held):
        return f"the database trusts {question.issuing_ca.label} itself: a leaf's path ends there"
    if any(e.certificate != question.issuing_ca for e in held):
        return f"the database has its own certificate with the name {question.issuing_ca.label}"
    return (None if held else unsent(question)) or counts_another_path(question)


def _additions(question: Question, sent: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """What goes into the copy: adding what is there already would take its trust away."""
    held = {e.certificate for e in question.store.content.entries}
    return tuple(c for c in dict.fromkeys(sent) if c != question.issuing_ca and c not in held)


def _copy(
    question: Question,
    sent: Sequence[Certificate],
    program: str,
    bench: Bench,
    copies: dict[tuple[Certificate, ...], str],
) -> str:
    """The folder of a copy with what is sent, none of it trusted. Raises ReadError and OSError."""
    added = _additions(question, sent)
    if added in copies:
        return copies[added]
    folder = question.store.path.rpartition("/")[0]
    files = {
        name: bench.host.read(f"{folder}/{name}").content for name in _FILES if bench.host.is_file(f"{folder}/{name}")
    }
    secret = next((use.secret for use in question.uses if use.secret is not None), "")
    copy = bench.scratch.subfolder(f"{question.store.id}-{len(copies)}", {**files, "password": secret.encode() + b"\n"})
    for number, certificate in enumerate(added):
        words = _adding(f"sent {number}", bench.scratch.path(certificate), copy)
        done = bench.run([program, *words, "-f", f"{copy}/password"])
        if done.code != 0:
            said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
            raise ReadError(f"certutil could not add what is sent to a copy: {printable(said)}")
    copies[added] = copy
    return copy


def _adding(name: str, path: str, copy: str) -> list[str]:
    return ["-A", "-d", f"sql:{copy}", "-n", name, "-t", ",,", "-a", "-i", path]


def _words(question: Question, copy: str, bench: Bench) -> list[str]:
    time = question.at.astimezone(UTC).strftime("%y%m%d%H%M%SZ")
    target = bench.scratch.path(question.issuing_ca)
    return ["-V", "-d", f"sql:{copy}", "-n", target, "-a", "-u", "L", "-e", "-b", time, "-f", f"{copy}/password"]


def _command(question: Question, number: int, program: str, bench: Bench) -> str:
    """Copying, adding and asking, for a shell; certutil reads no certificate from a pipe."""
    folder = question.store.path.rpartition("/")[0]
    files = " ".join(shlex.quote(f"{folder}/{name}") for name in _FILES if bench.host.is_file(f"{folder}/{name}"))
    added = _additions(question, question.sendings[number])
    asked = [[*_adding(f"sent {n}", bench.scratch.path(c), "COPY"), "-f", "COPY/password"] for n, c in enumerate(added)]
    asked.append(_words(question, "COPY", bench))
    lines = ["d=$(mktemp -d)", f"cp {files} $d", "echo >$d/password"]
    places = {"sql:COPY": "sql:$d", "COPY/password": "$d/password"}
    for certificate in (*added, question.issuing_ca):
        path = bench.scratch.path(certificate)
        if path in bench.scratch.made:
            places[path] = f"$d/{certificate.sha256}"
            lines.append(f"{written(certificate)} >{places[path]}")
    lines += ["env -i " + " ".join(places.get(word) or shlex.quote(word) for word in [program, *one]) for one in asked]
    return " && ".join(lines)
