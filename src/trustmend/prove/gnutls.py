"""certtool --verify: GnuTLS's own path building, for files of PEM.

The profile `low` is what a program gets by default (priority NORMAL). Up to 3.7 certtool has no option for the time, so
that it is asked about the present only. The end of a path is not taken for trusted by being in the store itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trustmend.certificate import SERVER_AUTH, Certificate, printable
from trustmend.errors import ReadError
from trustmend.model import Kind
from trustmend.prove.bench import Bench, each
from trustmend.prove.question import Proof, Question, counts_another_path, not_a_server, unsent

_OUTPUT: Final = "Chain verification output: "
_VERIFIED: Final = "Verified. The certificate is trusted."
_NOT_LOADED: Final = ("Error while reading file", "gnutls_x509_trust_list_add_trust_file")


def ask(questions: Sequence[Question], bench: Bench) -> list[Proof]:
    """What certtool says, in the order of the questions."""
    try:
        program = bench.program("certtool")
        said = bench.run([program, "--version"]).stdout.decode("utf-8", "replace").split()
        clock = b"--attime" in bench.run([program, "--help"]).stdout  # there since 3.8
    except ReadError as problem:
        return [one.unanswered(problem.message) for one in questions]
    version = printable(said[1]) if len(said) > 1 else None
    return each(lambda one: _answer(one, program, version, bench, clock=clock), questions)


def _answer(question: Question, program: str, version: str | None, bench: Bench, *, clock: bool) -> Proof:
    if (refusal := _unaskable(question, bench, clock=clock)) is not None:
        return question.unanswered(refusal, program, version)
    argv = [program, "--verify", "--verify-profile", "low", "--verify-purpose", SERVER_AUTH,
            "--load-ca-certificate", question.store.path]  # fmt: skip
    argv += ["--attime", f"@{int(question.at.timestamp())}"] if clock else []
    accepted, detail = [], ""
    try:
        for sent in question.sendings:
            done = bench.run(argv, stdin=b"".join(c.pem for c in _chain(question, sent)))
            said = done.stdout.decode("utf-8", "replace")
            cried = done.stderr.decode("utf-8", "replace")
            verdict = said.rpartition(_OUTPUT)[2].strip() if _OUTPUT in said else ""
            if not verdict and not any(words in cried for words in _NOT_LOADED):
                raise ReadError(f"certtool says: {printable(cried.strip().rpartition(chr(10))[2])}")
            accepted.append(done.code == 0 and verdict.startswith(_VERIFIED))
            if accepted[-1]:
                break
            detail = detail or printable(verdict or "it does not load the store")
        chain = _chain(question, question.sendings[question.decisive(accepted)])
        files = " ".join(bench.word(bench.scratch.path(c)) for c in chain)
    except ReadError as problem:
        return question.unanswered(problem.message, program, version)
    return question.answered(accepted, program, version, f"cat {files} | {bench.shell(argv)}", detail)


def _chain(question: Question, sent: Sequence[Certificate]) -> list[Certificate]:
    return list(dict.fromkeys([question.issuing_ca, *sent]))


def _unaskable(question: Question, bench: Bench, *, clock: bool) -> str | None:
    """Why certtool would answer another question; None where it is the same."""
    if question.store.content.kind is not Kind.PEM_BUNDLE and question.entries:
        return f"certtool does not load a store of the kind {question.store.content.kind}"
    if not clock and not question.is_about_now(bench.host.now):
        return "this certtool takes no time to verify for"
    if question.namesakes:
        return f"the store has {question.issuing_ca.label} itself: a leaf's path ends there"
    return unsent(question) or counts_another_path(question) or not_a_server(question)
