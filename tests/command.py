"""The trustmend command as a user starts it, without the shell: exit code and both outputs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jsonschema

from shipped import ROOT


@dataclass(frozen=True, slots=True)
class Ended:
    """What a start of the command gave."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """The answer, which must be one JSON document."""
        document: dict[str, Any] = json.loads(self.out)
        return document

    def audit(self) -> dict[str, Any]:
        """The answer of `audit --json`, valid by the shipped schema."""
        document = self.json()
        schema = json.loads(resources.files("trustmend.report").joinpath("audit.schema.json").read_text("utf-8"))
        jsonschema.Draft202012Validator(schema).validate(document)
        return document

    def store(self, path: object) -> dict[str, Any]:
        """The row of one store in that answer."""
        (row,) = [row for row in self.audit()["stores"] if row["path"] == str(path)]
        return dict(row)


def trustmend(
    *arguments: object, environ: Mapping[str, str] | None = None, wrap: Sequence[str] = (), cwd: object = None
) -> Ended:
    """Start the command with these arguments and nothing else in the environment, and check that it did not crash.

    Args:
        arguments: its words; each becomes a str.
        environ: all of the environment besides what Python needs to find the code.
        wrap: a program and its arguments that start it, such as `setpriv`.
        cwd: the folder it starts in.
    """
    done = subprocess.run(
        [*wrap, sys.executable, "-m", "trustmend", *map(str, arguments)],
        env={"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", **(environ or {})},
        cwd=None if cwd is None else str(cwd),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 2, 3, 4, 5, 6, 130), (done.returncode, done.stderr)
    return Ended(done.returncode, done.stdout, done.stderr)
