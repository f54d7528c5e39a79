"""`stores --by-program` for people: each program, its verdict, and the stores that it reads in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trustmend.certificate import printable
from trustmend.model import Verdict
from trustmend.programs import Program
from trustmend.readers import READERS
from trustmend.report.audit_text import Paint, colour_of, numbers, wrapped


def programs_lines(programs: Sequence[Program], paint: Paint) -> Iterator[str]:
    """The answer in one line, then the running programs, then what is installed or configured."""
    running = sum(len(program.pids) for program in programs)
    yield f"{len(programs)} program{'' if len(programs) == 1 else 's'}, {running} running process" + (
        "" if running == 1 else "es"
    )
    for program in programs:
        yield ""
        verdict = "UNKNOWN" if program.verdict is None else program.verdict.value.upper()
        yield f"{paint(verdict, colour_of(program.verdict)) if program.verdict else verdict}  {printable(program.name)}"
        if who := _who(program):
            yield from wrapped("      ", who, "      ")
        for (path, reader, extends, said), hows in _alike(program).items():
            yield f"      {printable(path)}"
            beside = ", beside its other roots" if extends else ""
            yield from wrapped("          ", f"{READERS[reader].title}, {_join(hows)}{beside}: {said}", "          ")
        if program.verdict is not Verdict.TRUSTED:
            yield from wrapped("      why    ", program.reason, "             ")


def _alike(program: Program) -> dict[tuple[str, str, bool, str], list[str]]:
    """Why a program reads a store, by all else that is said of it."""
    rows: dict[tuple[str, str, bool, str], list[str]] = {}
    for read in program.reads:
        key = (read.store.path, read.reader, read.extends, read.judged.verdict.value)
        rows.setdefault(key, []).append(read.how)
    return rows


def _join(hows: Sequence[str]) -> str:
    """Several reasons; of variables the word is said once."""
    first, *more = hows
    return ", ".join([first, *(how.removeprefix("environment variable ") for how in more)])


def _who(program: Program) -> str:
    """ "2 processes: 812, 813; user tomcat; unit tomcat10.service"."""
    parts = []
    if program.pids:
        parts.append(numbers(program.pids))
    parts += [f"{word} {text}" for word, text in (("user", program.user), ("unit", program.unit)) if text]
    if program.container:
        parts.append(f"container {program.container}")
    return "; ".join(parts)
