"""`trust extract`: what p11-kit's trust module gives as anchors for TLS servers, to be compared with what we read.

It says what is trusted, not whether a chain validates. It is asked for the folders that the module is built or told to
read, which it names in its own file or in its configuration.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from trustmend.certificate import printable
from trustmend.errors import ReadError
from trustmend.formats import pem
from trustmend.prove.bench import Bench
from trustmend.prove.question import Proof, Question

_LIBRARIES: Final = ("/usr/lib64", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
_CONFIGURATIONS: Final = ("/etc/pkcs11/modules/p11-kit-trust.module", "/usr/share/p11-kit/modules/p11-kit-trust.module")
_MODULE: Final = "pkcs11/p11-kit-trust.so"


def ask(questions: Sequence[Question], bench: Bench) -> list[Proof]:
    """One answer for each store and reader: the questions about its chains have the same."""
    stores: dict[tuple[str, str], Question] = {}
    for one in questions:
        stores.setdefault((one.store.id, one.row.reader), one)
    return [_answer(one, bench) for one in stores.values()]


def _answer(question: Question, bench: Bench) -> Proof:
    ours = frozenset(e.certificate.sha256 for e in question.entries if not e.reject)
    store, reader, said = question.store.id, question.row.reader, f"{len(ours)} anchors for TLS servers"
    try:
        program = bench.program("trust")
        if not _reads(question, bench):
            raise ReadError("p11-kit's trust module reads other folders here")
        copy = bench.scratch.subfolder(f"{question.store.id}-{reader}", {})
        argv = [program, "extract", "--format=pem-bundle", "--filter=ca-anchors", "--purpose=server-auth"]
        done = bench.run([*argv, f"{copy}/anchors.pem"])
        if done.code != 0:
            raise ReadError(f"trust says: {printable(done.stderr.decode('utf-8', 'replace').strip())}")
        theirs = frozenset(
            e.certificate.sha256 for e in pem.read(bench.host.read(f"{copy}/anchors.pem").content).entries
        )
    except (ReadError, OSError) as problem:
        reason = problem.message if isinstance(problem, ReadError) else str(problem)
        return Proof(store, reader, None, None, None, said, error=reason)
    told = said if theirs == ours else f"{len(theirs)} anchors, {len(theirs ^ ours)} of both are not the other's"
    command = f"d=$(mktemp -d) && env -i {shlex.join(argv)} $d/anchors.pem && cat $d/anchors.pem"
    return Proof(store, reader, program, None, None, said, told, theirs == ours, command)


def _reads(question: Question, bench: Bench) -> bool:
    """The module, or its configuration, names a path of the store."""
    modules = [f"{folder}/{_MODULE}" for folder in _LIBRARIES]
    wanted = [path.encode("utf-8", "surrogateescape") for path in (question.store.path, *question.store.links)]
    for path in (*_CONFIGURATIONS, *modules):
        try:
            content = bench.host.read(path).content
        except OSError:
            continue
        if any(one in content for one in wanted):
            return True
    return False
