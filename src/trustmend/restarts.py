"""Running programs that go on using the trust from before a change: those whose runtime reads a changed store.

A JVM, a Python or an OpenSSL program reads its trust store once, when it first needs it, and keeps no file open; so
what is looked for are processes that run the very JVM or Python that a store belongs to, and those whose environment or
command line names a store. Other programs (servers that use the system's store) are not seen here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trustmend.places.proc import command_text, unit_of
from trustmend.places.program_options import NO_CLIENTS

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.model import Store

_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Running:
    """A process that read one of the stores before it was changed. `command` is cut to a line, without secrets."""

    pid: int
    command: str
    unit: str | None
    store: str
    reason: str


def running(host: Host, stores: Sequence[Store]) -> list[Running]:
    """The processes of this machine that use one of these stores; none for a foreign root. Sorted by number."""
    if host.foreign:
        return []
    programs = list(dict.fromkeys(_programs(stores)))
    found = []
    for name in host.listed("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            found += list(_of_process(host, int(name), programs, stores))[:1]
    return sorted(found, key=lambda one: one.pid)


def _programs(stores: Iterable[Store]) -> Iterator[tuple[str, str, str]]:
    """(folder or file of a runtime, store, what reads it)."""
    for store in stores:
        for use in store.uses:
            if not use.program:
                continue
            if use.reader == "jsse":
                yield use.program.rstrip("/") + "/", store.path, "runs the JVM that reads it, and read it at its start"
            elif use.reader.startswith("python"):
                yield use.program, store.path, "runs the Python that reads it, and may have read it already"


def _of_process(
    host: Host, pid: int, programs: Sequence[tuple[str, str, str]], stores: Sequence[Store]
) -> Iterator[Running]:
    try:
        program = host.resolve(f"/proc/{pid}/exe")
        line = host.read(f"/proc/{pid}/cmdline", limit=_MOST_BYTES).content
    except OSError:
        return  # it has ended, or is another user's
    command = command_text(line)
    unit = unit_of(host, pid)
    for runtime, path, reason in programs:
        if program == runtime or (runtime.endswith("/") and program.startswith(runtime)):
            yield Running(pid, command, unit, path, reason)
    try:
        environ = host.read(f"/proc/{pid}/environ", limit=_MOST_BYTES).content
    except OSError:
        environ = b""
    if os.path.basename(program) in NO_CLIENTS:
        return
    for store in stores:
        for path in (store.path, *store.links):
            named = os.fsencode(path)
            if any(part.partition(b"=")[2] == named for part in (*environ.split(b"\0"), *line.split(b"\0"))):
                yield Running(pid, command, unit, store.path, "its environment or command line names it")
