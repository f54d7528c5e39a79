"""How programs of the host are found and started for a proof, and how their command is shown."""

from __future__ import annotations

import base64
import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from trustmend.certificate import Certificate, printable
from trustmend.errors import ReadError
from trustmend.host import Finished, Host
from trustmend.prove.scratch import Scratch

FOLDERS: Final = ("/usr/bin", "/usr/local/bin")
"""Where programs are looked for; PATH may name folders of others."""
ENVIRON: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
_TIMEOUT_S: Final = 60.0
_WORKERS: Final = 2
_Job = TypeVar("_Job")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Bench:
    """What asking needs: the host, a place for temporary files, where programs may be."""

    host: Host
    scratch: Scratch
    password: str | None = None  # of key stores, that the user gave
    folders: Sequence[str] = FOLDERS

    def program(self, name: str) -> str:
        """The path, without links, of a program that this process may start.

        Raises:
            ReadError: there is none, or others could change it.
        """
        found = [path for folder in self.folders if self.host.is_file(path := f"{folder}/{name}")]
        for path in found:
            if self.host.safe_to_run(path):
                return self.host.resolve(path)
        if found:
            raise ReadError(f"{printable(found[0])} is not started: others than root can write it")
        raise ReadError(f"there is no {name} on this host")

    def check_loaded(self, paths: Iterable[str]) -> None:
        """What a program would load must be as safe as the program; folders with all files that are right in them.

        A user may load what somebody else can write: that gives nobody more rights. What is not there (Debian's
        link to the JDK's sources) is passed over.

        Raises:
            ReadError: root would load what others can write.
        """
        if os.geteuid() != 0:
            return
        for path in paths:
            inside = self.host.listed(path)
            for one in (path, *(f"{path}/{name}" for name in inside)):
                there = self.host.is_file(one) or self.host.is_dir(one)
                if there and not self.host.safe_to_run(one):
                    raise ReadError(f"{printable(one)} is not loaded: others than root can write it")

    def run(self, argv: Sequence[str], *, stdin: bytes = b"") -> Finished:
        """Start a program. Raises ReadError where it does not start or does not end."""
        return self.host.run(argv, environ=ENVIRON, timeout_s=_TIMEOUT_S, stdin=stdin)

    def shell(self, argv: Sequence[str]) -> str:
        """`argv` as a line for a shell, with an empty environment; temporary files are written out in it (bash)."""
        return "env -i " + " ".join(self.word(word) for word in argv)

    def word(self, word: str) -> str:
        """One word of such a line."""
        made = self.scratch.made.get(word)
        return shlex.quote(word) if made is None else f"<({written(made)})"


def written(certificate: Certificate) -> str:
    """A command for bash that writes a certificate, as PEM, to its stdout."""
    return f"base64 -d <<<{base64.b64encode(certificate.pem).decode('ascii')}"


def each(work: Callable[[_Job], _Answer], jobs: Iterable[_Job]) -> list[_Answer]:
    """`work` done for each job, a few at a time, answers in order."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        try:
            return list(pool.map(work, jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
