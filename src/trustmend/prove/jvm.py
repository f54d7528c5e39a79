"""The JVM's own trust manager, by Judge.java beside this file: one start of each JVM for all stores and chains.

A JVM starts a source file since version 11 (JEP 330), where it has its compiler. A chain of certificates is validated
in the same way whether a leaf or its CA stands first (sun.security.validator.PKIXValidator), but for path lengths.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from trustmend.certificate import Certificate, printable
from trustmend.errors import ReadError
from trustmend.model import JAVA_PASSWORD, JCEKS_PASSWORD, Kind, Use
from trustmend.prove.bench import Bench, each
from trustmend.prove.question import Proof, Question, counts_another_path, not_a_server, unsent
from trustmend.readers import view_of

JUDGE: Final = f"{os.path.dirname(os.path.realpath(__file__))}/Judge.java"
_DEFAULT_PASSWORD: Final = "changeit"  # noqa: S105  the one that every JVM comes with
_FIRST: Final = 11
_FOLDER: Final = "/usr/lib/jvm"
_LOADED: Final = ("lib", "lib/server", "lib/security", "conf", "conf/security")
_FLAGS: Final = ("-XX:+IgnoreUnrecognizedVMOptions", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""Quick, and without a file below /tmp."""
_VERSION: Final = re.compile(r'^JAVA_VERSION="(?:1\.)?((\d+)[^"\n]*)"', re.MULTILINE)
_MODULES: Final = re.compile(r'^MODULES="([^"\n]*)"', re.MULTILINE)


@dataclass(frozen=True)
class _Jvm:
    home: str  # without links, which somebody could lead elsewhere meanwhile
    version: str | None
    refusal: str | None  # why it is not asked


def ask(questions: Sequence[Question], bench: Bench) -> list[Proof]:
    """What each JVM that reads a store says; where none is known, the newest of this host."""
    known = _homes([use for question in questions for use in question.uses]) or dict.fromkeys(_installed(bench))
    jvms = {home: _look(home, version, bench) for home, version in known.items()}
    usable = [jvm for jvm in jvms.values() if jvm.refusal is None]
    newest = max(usable, key=lambda jvm: _number(jvm.version), default=None)
    asked: dict[_Jvm, list[Question]] = {}
    proofs: dict[int, list[Proof]] = {}
    for question in questions:
        readers = list(dict.fromkeys(jvms[home] for home in _homes(question.uses)))
        for jvm in readers or ([newest] if newest else []):
            asked.setdefault(jvm, []).append(question)
        if not readers and newest is None:
            proofs.setdefault(id(question), []).append(question.unanswered("no JVM that can be asked was found here"))
    answers = each(lambda pair: _ask(pair[0], pair[1], bench), list(asked.items()))
    for members, found in zip(asked.values(), answers, strict=True):
        for question, proof in zip(members, found, strict=True):
            proofs.setdefault(id(question), []).append(proof)
    return [proof for question in questions for proof in proofs[id(question)]]


def _homes(uses: Sequence[Use]) -> dict[str, str | None]:
    """The homes of the JVMs among the programs, and their versions."""
    return {u.program: u.version for u in uses if u.program and u.reader.startswith("jsse")}


def _installed(bench: Bench) -> list[str]:
    """The homes below the folder where distributions put JVMs, each once."""
    homes: dict[str, str] = {}
    for name in bench.host.listed(_FOLDER):
        home = f"{_FOLDER}/{name}"
        if bench.host.is_file(f"{home}/bin/java"):
            homes.setdefault(bench.host.resolve(home), home)
    return list(homes.values())


def _number(version: str | None) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version or "")))


def _look(home: str, version: str | None, bench: Bench) -> _Jvm:
    """What is known of a JVM by its files, before it is started."""
    host = bench.host
    try:
        real = host.resolve(home)
        release = host.read(f"{real}/release", limit=65536).content.decode("utf-8", "replace")
    except OSError:
        real, release = home, ""
    found = _VERSION.search(release)
    modules = _MODULES.search(release)
    version = found[1] if found else version
    number = _number(version)
    java = f"{real}/bin/java"
    refusal = None
    if not host.is_file(java):
        refusal = f"there is no {printable(java)}"
    elif number and number[0] < _FIRST:
        refusal = f"Java {number[0]} does not start a source file"
    elif modules is not None and "jdk.compiler" not in modules[1].split():
        refusal = "it is a runtime without a compiler, which does not start a source file"
    elif not host.safe_to_run(java):
        refusal = f"{printable(java)} is not started: others than root can write it"
    else:
        try:
            bench.check_loaded(f"{real}/{part}" for part in _LOADED)
        except ReadError as problem:
            refusal = problem.message
    return _Jvm(real, version, refusal)


def _ask(jvm: _Jvm, questions: Sequence[Question], bench: Bench) -> list[Proof]:
    """One start of a JVM; the answers in the order of the questions."""
    refusals = [jvm.refusal or _unaskable(question) for question in questions]
    lines = [f"time\t{int(questions[0].at.timestamp() * 1000)}"]
    store = ""
    counts = []
    try:
        for question, refusal in zip(questions, refusals, strict=True):
            counts.append(0)
            if refusal is not None:
                continue
            opened, _ = _store_line(question, bench)
            lines += [opened] if opened != store else []
            store = opened
            chains = _chain_lines(question, bench)
            counts[-1] = len(chains)
            lines += chains
        answers = _start(jvm, lines, sum(counts), bench) if any(counts) else []
    except ReadError as problem:
        return [question.unanswered(problem.message, jvm.home, jvm.version) for question in questions]
    proofs = []
    for question, refusal, count in zip(questions, refusals, counts, strict=True):
        if refusal is not None:
            proofs.append(question.unanswered(refusal, jvm.home, jvm.version))
            continue
        own, answers = answers[:count], answers[count:]
        accepted = [answer == "trusted" for answer in own]
        command = _command(jvm, question, question.decisive(accepted), bench)
        detail = printable(own[0].removeprefix("untrusted: "))
        proofs.append(question.answered(accepted, jvm.home, jvm.version, command, detail))
    return proofs


def _unaskable(question: Question) -> str | None:
    """Why the JVM would answer another question; None where it is the same."""
    store = question.store
    if store.content.kind is Kind.BCFKS:
        return "only Bouncy Castle's provider opens a BCFKS key store"
    if store.content.kind in (Kind.PEM_DIRECTORY, Kind.P11_KIT, Kind.NSS) and question.entries:
        return "the JVM opens no such store: a product fills its key store from it"
    if _plain(store.path) is None:
        return "its path has a line end, a tab or bytes that are not UTF-8"
    for entry in question.namesakes:
        own = entry.certificate
        if own.spki == question.issuing_ca.spki and own.version == 3 and not own.is_ca:
            return f"the store has its own certificate with the name and key of {question.issuing_ca.label}"
    return unsent(question) or counts_another_path(question) or not_a_server(question)


def _plain(path: str) -> str | None:
    """The path where a line of ours can hold it."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return None
    return None if any(c in path for c in "\n\r\t") else path


def _store_line(question: Question, bench: Bench) -> tuple[str, str]:
    """The line that names the store, with its password, and the same for people, without it."""
    path = question.store.path
    if question.reader.id == "jsse-pem":
        return f"pem\t{path}", f"pem\t{path}"
    # The JVM's default type reads JKS and PKCS#12; whoever opens a JCEKS store has to name its type.
    named = question.uses[0].store_type
    form = "JCEKS" if question.store.content.kind is Kind.JCEKS and named in (None, "jceks") else "-"
    if view_of(question.uses[0]) not in (JAVA_PASSWORD, JCEKS_PASSWORD):
        return f"store\t{path}\t-\t{form}", f"store\t{path}\t-\t{form}"
    secret = next((use.secret for use in question.uses if use.secret is not None), None)
    password = secret if secret is not None else bench.password or _DEFAULT_PASSWORD
    shown = password if password == _DEFAULT_PASSWORD else "PASSWORD"
    return f"store\t{path}\t+{password}\t{form}", f"store\t{path}\t+{shown}\t{form}"


def _chain_lines(question: Question, bench: Bench) -> list[str]:
    """A line for each sending: certificates by the bundle's files, others as they are."""
    lines = []
    for sent in question.sendings:
        chain = dict.fromkeys([question.issuing_ca, *sent])
        lines.append("\t".join(["chain", *(bench.scratch.known.get(c) or _inline(c) for c in chain)]))
    return lines


def _inline(certificate: Certificate) -> str:
    return f"base64:{base64.b64encode(certificate.der).decode('ascii')}"


def _argv(jvm: _Jvm) -> list[str]:
    return [f"{jvm.home}/bin/java", *_FLAGS, JUDGE]


def _start(jvm: _Jvm, lines: Sequence[str], count: int, bench: Bench) -> list[str]:
    """The answers. Raises ReadError where the JVM gives another number of them."""
    done = bench.run(_argv(jvm), stdin="".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    answers = done.stdout.decode("utf-8", "replace").splitlines()
    if done.code != 0 or len(answers) != count:
        cried = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ReadError(f"java failed with code {done.code}: {printable(cried[0]) if cried else 'it says nothing'}")
    return answers


def _command(jvm: _Jvm, question: Question, number: int, bench: Bench) -> str:
    """The same question for a shell; a password that is not every JVM's stands there as PASSWORD."""
    _, shown = _store_line(question, bench)
    lines = [f"time\t{int(question.at.timestamp() * 1000)}", shown, _chain_lines(question, bench)[number]]
    parts = [line.split("\t") for line in lines]
    form = "".join("\\t".join([words[0], *("%s" for _ in words[1:])]) + "\\n" for words in parts)
    values = " ".join(shlex.quote(word) for words in parts for word in words[1:])
    return f"printf '{form}' {values} | {bench.shell(_argv(jvm))}"
