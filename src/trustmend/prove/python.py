"""The ssl module of each interpreter: that it loads the store, and which certificates it takes from it.

That is a part of a proof, and called so: a context validates a chain only in a handshake, for which a server's key
would be needed. One start of each interpreter asks about all of its stores. `get_ca_certs` leaves out what is no CA.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import Final

from trustmend.certificate import printable
from trustmend.errors import ReadError
from trustmend.model import Kind, Refused, Use
from trustmend.prove.bench import Bench, each
from trustmend.prove.question import Proof, Question

_PACKAGES: Final = (".", "collections", "ctypes", "encodings", "importlib", "json", "re", "urllib")
_LOADED: Final = ("lib-dynload", *(f"{one}{cache}" for one in _PACKAGES for cache in ("", "/__pycache__")))
"""Of the standard library, what the code below may import."""
_NAME: Final = re.compile(r"python(\d+)\.(\d+)$")
_CODE: Final = """
import hashlib, json, ssl, sys
def load(path):
    context = ssl.SSLContext(ssl.PROTOCOL_SSLv23)
    try:
        context.load_verify_locations(path)
    except Exception as problem:
        return str(problem)
    return [hashlib.sha256(one).hexdigest() for one in context.get_ca_certs(True)]
print(json.dumps([load(path) for path in json.load(sys.stdin)]))
"""
_ONE: Final = """
import ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_SSLv23)
context.load_verify_locations(sys.argv[1])
print(len(context.get_ca_certs()))
"""


def ask(questions: Sequence[Question], bench: Bench) -> list[Proof]:
    """One answer for each store and interpreter that reads it; none for stores that no interpreter is known to read."""
    stores: dict[tuple[str, str], Question] = {}
    for one in questions:
        if one.store.content.kind is Kind.PEM_BUNDLE:
            stores.setdefault((one.store.id, one.row.reader), one)
    asked: dict[str, list[Question]] = {}
    for one in stores.values():
        for program in dict.fromkeys(use.program for use in one.uses if _interpreter(use)):
            asked.setdefault(program or "", []).append(one)
    answers = each(lambda pair: _load(pair[0], pair[1], bench), list(asked.items()))
    return [proof for proofs in answers for proof in proofs]


def _interpreter(use: Use) -> bool:
    return use.program is not None and _NAME.search(use.program) is not None


def _load(program: str, questions: Sequence[Question], bench: Bench) -> list[Proof]:
    """One start of an interpreter."""
    try:
        real = _safe(program, bench)
        argv = [real, *_options(real)]
        paths = [one.store.path for one in questions]
        done = bench.run([*argv, _CODE], stdin=json.dumps(paths).encode())
        if done.code != 0:
            last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise ReadError(f"it failed with code {done.code}: {printable(last)}")
        answers = json.loads(done.stdout)
    except (ReadError, ValueError) as problem:
        reason = problem.message if isinstance(problem, ReadError) else "it gave no answer"
        return [Proof(one.store.id, one.row.reader, program, None, None, _ours(one), error=reason) for one in questions]
    return [_proof(one, argv, answer) for one, answer in zip(questions, answers, strict=True)]


def _safe(program: str, bench: Bench) -> str:
    """The interpreter itself, no link to it: beside a link of a virtual environment stands what else it would load.

    Raises:
        ReadError: as root, where others can write it or its standard library.
    """
    try:
        real = bench.host.resolve(program)
    except OSError as problem:
        raise ReadError(f"{printable(program)} is not there: {problem.strerror}") from problem
    match = _NAME.search(real)
    if match is None or not bench.host.is_file(real):
        raise ReadError(f"{printable(program)} is not there, or another program")
    library = f"{real.rpartition('/bin/')[0]}/lib/python{match[1]}.{match[2]}"
    if not bench.host.safe_to_run(real):
        raise ReadError(f"{printable(real)} is not started: others than root can write it")
    bench.check_loaded(f"{library}/{part}" for part in _LOADED)
    return real


def _options(real: str) -> list[str]:
    """Nothing of the environment, of users and of other packages is loaded. Isolated mode is there since 3.4."""
    match = _NAME.search(real)
    isolated = match is not None and (int(match[1]), int(match[2])) >= (3, 4)
    return [*(["-I"] if isolated else ["-E", "-s"]), "-S", "-W", "ignore", "-c"]


def _ours(question: Question) -> str:
    if isinstance(question.view, Refused):
        return "not loaded"
    return _loaded(len({e.certificate.sha256 for e in question.entries if e.certificate.is_ca}))


def _loaded(count: int) -> str:
    return f"{count} CA certificate{'' if count == 1 else 's'} loaded"


def _proof(question: Question, argv: Sequence[str], answer: object) -> Proof:
    """What it loaded beside what we read."""
    loaded = frozenset(answer) if isinstance(answer, list) else None
    if loaded is None:
        theirs, agrees = "not loaded", isinstance(question.view, Refused)
    else:
        held = {e.certificate.sha256: e.certificate.is_ca for e in question.entries}
        theirs = _loaded(len(loaded))
        agrees = set(loaded) <= set(held) and {one for one, is_ca in held.items() if is_ca} <= loaded
        agrees = agrees and not isinstance(question.view, Refused)
    if agrees:
        theirs = _ours(question)
    command = f"env -i {shlex.join([*argv, _ONE.strip(), question.store.path])}"
    detail = "" if loaded is not None else printable(str(answer))
    match = _NAME.search(argv[0])
    version = f"{match[1]}.{match[2]}" if match else None
    return Proof(
        question.store.id, question.row.reader, argv[0], version, None, _ours(question), theirs, agrees, command,
        detail=detail,
    )  # fmt: skip
