"""`openssl verify`: OpenSSL's own path building, with the flags that each reader built on it sets.

Sources: openssl-verification-options(1) and crypto/x509/x509_vfy.c of 3.0 (build_chain, check_trust). A leaf differs
from its CA as the end of the path in this: the store's copy of the CA, if there is one, is the leaf's issuer, from
which on nothing that was sent is looked at; and with -partial_chain the path of a leaf ends there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from trustmend.certificate import Certificate, printable
from trustmend.errors import MalformedError, ReadError
from trustmend.model import OPENSSL, Kind, Loaded, Verdict
from trustmend.prove.bench import Bench, each
from trustmend.prove.question import Proof, Question, counts_another_path, not_a_server, unsent

_VERSION: Final = re.compile(r"OpenSSL (\d+)\.(\S+)")
_STRONGER: Final = 2048
"""The RSA key length from which security level 2 is meant (SSL_CTX_set_security_level(3))."""


@dataclass(frozen=True)
class _Job:
    """Targets that one start of the program can be asked about: everything else is the same."""

    store: str
    flags: tuple[str, ...]
    untrusted: tuple[Certificate, ...]
    targets: tuple[Certificate, ...]


def ask(questions: Sequence[Question], bench: Bench) -> list[Proof]:
    """What `openssl verify` says, in the order of the questions."""
    try:
        program, version = find(bench)
    except ReadError as problem:
        return [one.unanswered(problem.message) for one in questions]
    refusals = [_unaskable(one) for one in questions]
    asked: dict[_Job, str | None] = {}
    rounds = max((len(one.sendings) for one in questions), default=0)
    for number in range(rounds):  # a cross-sign matters where what is normally sent is refused
        wanted = [
            _job(one, one.sendings[number], version)
            for one, refusal in zip(questions, refusals, strict=True)
            if refusal is None and number < len(one.sendings) and not _accepted(one, asked, number, version)
        ]
        asked |= _answers([job for job in dict.fromkeys(wanted) if job not in asked], program, bench)
    return [
        one.unanswered(refusal, program, version) if refusal else _proof(one, asked, program, version, bench)
        for one, refusal in zip(questions, refusals, strict=True)
    ]


def find(bench: Bench) -> tuple[str, str]:
    """The program's path and version. Raises ReadError where there is none that can be asked."""
    program = bench.program("openssl")
    said = bench.run([program, "version"]).stdout.decode("utf-8", "replace")
    match = _VERSION.match(said)
    if match is None:
        raise ReadError(f"{program} is another than OpenSSL: {printable(said.strip()) or 'it says no version'}")
    return program, f"{match[1]}.{match[2]}"


def _accepted(question: Question, asked: dict[_Job, str | None], before: int, version: str) -> bool:
    """An earlier sending was accepted."""
    return any(asked[_job(question, sent, version)] is None for sent in question.sendings[:before])


def _unaskable(question: Question) -> str | None:
    """Why the program would answer another question; None where it is the same."""
    store = question.store
    if store.content.kind is Kind.PEM_DIRECTORY and ":" in store.path:
        return "its path has a colon, which parts folders for OpenSSL"
    if store.content.kind is Kind.DER:
        return "newer openssl programs load DER, too, and what is built on the library does not"  # seen with 3.5
    if store.content.kind not in (Kind.PEM_BUNDLE, Kind.PEM_DIRECTORY) and question.entries:
        return f"OpenSSL does not load a store of the kind {store.content.kind}"
    own = store.content.views.get(OPENSSL)
    if question.reader.view != OPENSSL and not _alike(question, own):
        return f"{question.reader.title} takes other certificates from this store than OpenSSL does"
    if any(e.certificate != question.issuing_ca or e.trust or e.reject for e in question.namesakes):
        return f"the store has its own certificate with the name {question.issuing_ca.label}"
    return unsent(question) or counts_another_path(question) or _purpose(question)[1]


def _alike(question: Question, own: object) -> bool:
    return isinstance(own, Loaded) and [e.certificate for e in own.entries] == [e.certificate for e in question.entries]


def _purpose(question: Question) -> tuple[str, str | None]:
    """The purpose to ask for, and why none can be: any, for a CA whose key usage bars it from being a server."""
    reason = not_a_server(question)
    if reason is None:
        return "sslserver", None
    certificates = [*(e.certificate for e in question.entries), *(c for sent in question.sendings for c in sent)]
    try:
        limited = any(c.extended_key_usage is not None for c in certificates)
    except MalformedError:
        limited = True
    # Without a purpose no list of purposes is looked at: only where there is none, that is the same question.
    return "any", reason if limited else None


def _job(question: Question, sent: Sequence[Certificate], version: str) -> _Job:
    reader, store = question.reader, question.store
    folder = store.content.kind is Kind.PEM_DIRECTORY
    flags = ["-CApath", store.path, "-no-CAfile"] if folder else ["-CAfile", store.path, "-no-CApath"]
    if not version.startswith("1."):
        flags.append("-no-CAstore")
    purpose, _ = _purpose(question)
    # The trust that TLS servers need is set by the name; the purpose alone is changed by what follows.
    flags += ["-verify_name", "ssl_server", "-purpose", purpose]
    flags += ["-auth_level", "2" if reader.min_rsa_bits >= _STRONGER else "1"]
    flags += ["-partial_chain"] if reader.partial_chain else []
    flags += ["-x509_strict"] if reader.strict else []
    flags += ["-attime", str(int(question.at.timestamp()))]
    issuing_ca = question.issuing_ca
    # From the store's copy of the CA on, OpenSSL takes the leaf's path from the store alone.
    untrusted = () if question.namesakes else tuple(c for c in dict.fromkeys(sent) if c != issuing_ca)
    return _Job(store.path, tuple(flags), untrusted, (issuing_ca,))


def _answers(jobs: Sequence[_Job], program: str, bench: Bench) -> dict[_Job, str | None]:
    """For each job None where the program accepts, else its words; jobs that differ by their target share a start."""
    groups: dict[_Job, list[_Job]] = {}
    for job in jobs:
        groups.setdefault(_Job(job.store, job.flags, job.untrusted, ()), []).append(job)

    def work(group: tuple[_Job, list[_Job]]) -> list[tuple[_Job, str | None]]:
        alike, members = group
        whole = _Job(alike.store, alike.flags, alike.untrusted, tuple(job.targets[0] for job in members))
        try:
            done = bench.run(_argv(whole, program, bench))
        except ReadError as problem:
            return [(job, f"{_UNASKED}{problem.message}") for job in members]
        said, cried = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        paths = [bench.scratch.path(job.targets[0]) for job in members]
        return list(zip(members, _read(said, cried, paths), strict=True))

    return {job: words for answers in each(work, list(groups.items())) for job, words in answers}


_UNASKED: Final = "\0"
"""Begins the words where the program gave no verdict."""


def _read(said: str, cried: str, paths: Sequence[str]) -> Iterator[str | None]:
    """The answer about each target; `error N at D depth lookup: ...` stands above the line that names it.

    OpenSSL 1.1.1 writes that line to stdout.
    """
    accepted = {line.removesuffix(": OK") for line in said.splitlines() if line.endswith(": OK")}
    reasons: dict[str, str] = {}
    last = ""
    for line in [*cried.splitlines(), *said.splitlines()]:
        if line.endswith(": verification failed") and line.startswith("error "):
            reasons[line.removeprefix("error ").removesuffix(": verification failed")] = last
        elif line.startswith("error "):
            last = line
    for path in paths:
        shown = os.fsencode(path).decode("utf-8", "replace")
        if shown in accepted:
            yield None
        elif shown in reasons:
            yield reasons[shown] or "refused"
        elif cried.startswith("Error loading file"):
            yield printable(cried.splitlines()[0])
        else:
            yield f"{_UNASKED}openssl verify says: {printable((cried or said).strip().partition(chr(10))[0])}"


def _argv(job: _Job, program: str, bench: Bench) -> list[str]:
    untrusted = [word for c in job.untrusted for word in ("-untrusted", bench.scratch.path(c))]
    return [program, "verify", *job.flags, *untrusted, *(bench.scratch.path(c) for c in job.targets)]


def _proof(question: Question, asked: dict[_Job, str | None], program: str, version: str, bench: Bench) -> Proof:
    jobs = [job for sent in question.sendings if (job := _job(question, sent, version)) in asked]
    answers = [asked[job] for job in jobs]
    for words in answers:
        if words is not None and words.startswith(_UNASKED):
            return question.unanswered(words.removeprefix(_UNASKED), program, version)
    accepted = [words is None for words in answers]
    ends_there = question.namesakes and question.reader.partial_chain and question.row.verdict is Verdict.TRUSTED
    if ends_there and not any(accepted):
        label = question.issuing_ca.label
        return question.unanswered(f"the store has {label} itself: a leaf's path ends there", program, version)
    command = bench.shell(_argv(jobs[question.decisive(accepted)], program, bench))
    return question.answered(accepted, program, version, command, answers[0] or "")
