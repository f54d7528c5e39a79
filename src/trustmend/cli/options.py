"""Options that several commands share, and what they mean: bundles, time, format, password, output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from trustmend.errors import ReadError, UsageError
from trustmend.host import Host

if TYPE_CHECKING:
    from trustmend.cli.app import Settings
    from trustmend.report.audit_text import Paint


class Format(StrEnum):
    """How a command writes its data."""

    TABLE = "table"
    JSON = "json"


Bundles = Annotated[
    list[str] | None,
    typer.Option(
        "--bundle", metavar="NAME|DIR", help="Judge for this bundle (repeatable; `all`). Default: sectigo-2019."
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="DATE", help="The time verdicts are for: 2026-03-01 (00:00 UTC) or RFC 3339. Default: now."
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to write the answer.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Short for --format json.")]
Output = Annotated[
    str | None, typer.Option("-o", "--output", metavar="FILE", help="Write the answer here, not to stdout.")
]
Scan = Annotated[
    list[str] | None,
    typer.Option(
        "--scan", metavar="DIR", help="Search this tree by content, whatever the files are called (repeatable)."
    ),
]
Network = Annotated[bool, typer.Option("--network", help="With --scan: enter network mounts, too.")]
PasswordFile = Annotated[
    str | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="The password of key stores that you name: the file's first line. Or set TRUSTMEND_STOREPASS.",
    ),
]
All = Annotated[bool, typer.Option("--all", help="Also what is no trust store, and trustmend's own environment.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Answer the question with yes.")]
Paths = Annotated[list[str] | None, typer.Argument(metavar="[PATH]...", help="Only these files and folders.")]


@dataclass(frozen=True)
class Asked:
    """What a command line asks for, in the form the core takes."""

    host: Host
    at: datetime


def moment(text: str | None, host: Host) -> datetime:
    """The aware time that `--at` names; without it, now.

    Raises:
        UsageError: neither a date nor RFC 3339.
    """
    if text is None:
        return host.now
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        found = datetime.fromisoformat(text)
    except ValueError as problem:
        raise UsageError(f"`{text}` is no time", hint="write 2026-03-01 or 2026-03-01T12:00:00Z") from problem
    if found.tzinfo is None:
        raise UsageError(f"`{text}` names no time zone", hint=f"write {text}Z for UTC, or {text}+02:00")
    return found.astimezone(UTC)


def password(path: str | None, host: Host) -> str | None:
    """The password for key stores: the first line of the file, else TRUSTMEND_STOREPASS, else None.

    Raises:
        ReadError: the file cannot be read or is not UTF-8.
    """
    if path is None:
        return host.environ.get("TRUSTMEND_STOREPASS")
    try:
        # The file is the caller's: it is never looked for in a foreign root.
        return Host().read(os.path.abspath(path), limit=4096).content.decode("utf-8").partition("\n")[0].rstrip("\r")
    except OSError as problem:
        raise ReadError(f"the password file `{path}` cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise ReadError(f"the password file `{path}` is not UTF-8") from problem


def paint(settings: Settings, output: str | None) -> Paint:
    """Colours for a terminal that wants them, else none."""
    from trustmend.report.audit_text import plain

    if output is not None or not settings.color or not sys.stdout.isatty():
        return plain
    return lambda text, colour: typer.style(text, fg=colour, bold=True)


def write(lines: Iterable[str], output: str | None) -> None:
    """The answer to stdout or to the file that `-o` names.

    Raises:
        ReadError: the file cannot be written.
    """
    text = "\n".join(lines) + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    try:
        with open(output, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as problem:
        raise UsageError(
            f"`{output}` cannot be written: {problem.strerror}", hint="give another file to -o"
        ) from problem


def as_json(document: Mapping[str, object]) -> str:
    """A document as text without a line end; ASCII only, so that no terminal or pipe can spoil it."""
    import json

    return json.dumps(document, indent=2)


def say(settings: Settings, text: str, *, level: int = 0) -> None:
    """A message for the operator on stderr; level 1 only with -v, nothing with -q."""
    if settings.verbosity >= level:
        sys.stderr.write(f"{text}\n")


def names(chosen: Sequence[str] | None) -> list[str]:
    """The bundles asked for; the default where none is."""
    return list(chosen or ["sectigo-2019"])
