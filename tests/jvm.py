"""Asks real JVMs what they make of key stores: the accepted issuers, and whether a server's chain validates."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from hosts.machine import Jdk, find_jdks

SOURCE = Path(__file__).parent / "java" / "Anchors.java"
ENVIRON = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Request:
    """One key store, opened with a password or (None) without one, and a server's chain to validate with it."""

    store: str
    password: str | None
    chain: str | None = None  # PEM, the leaf first
    at: datetime | None = None  # None: now
    type: str | None = None  # None: the JVM's default, which reads JKS and PKCS#12

    @property
    def line(self) -> str:
        """As Anchors.java reads it."""
        time = "-" if self.at is None else str(int(self.at.timestamp() * 1000))
        password = "-" if self.password is None else f"+{self.password}"
        return "\t".join([self.store, self.type or "-", password, time, self.chain or "-"])


@dataclass(frozen=True, slots=True)
class Answer:
    """What the JVM said: `error` where it cannot load the store, else its anchors' SHA-256 and its verdict."""

    error: str
    issuers: frozenset[str]
    verdict: str

    @property
    def trusted(self) -> bool:
        """The chain validates."""
        return self.verdict == "trusted"


def ask(jdk: Jdk, requests: Sequence[Request]) -> list[Answer]:
    """All answers, in one start of the JVM."""
    asked = "".join(request.line + "\n" for request in requests)
    done = subprocess.run(
        [jdk.java, "-Xshare:auto", "-cp", compiled(), "Anchors"],
        env=ENVIRON,
        input=asked.encode(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    answers = [_answer(line) for line in done.stdout.decode().splitlines()]
    assert len(answers) == len(requests), done.stdout
    return answers


def _answer(line: str) -> Answer:
    state, issuers, verdict = line.split("\t")
    error = "" if state == "ok" else state.removeprefix("error: ")
    return Answer(error, frozenset(filter(None, issuers.split(","))), verdict)


@cache
def compiled() -> str:
    """The folder of the class file, compiled once per process by the oldest compiler, so that every JVM reads it."""
    javac = next(jdk.javac for jdk in find_jdks() if jdk.javac)
    folder = tempfile.mkdtemp(prefix="trustmend-anchors-", dir=os.environ.get("HOME"))
    done = subprocess.run([javac, "-d", folder, str(SOURCE)], env=ENVIRON, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return folder
