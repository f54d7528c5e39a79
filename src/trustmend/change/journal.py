"""The record of one change: what was going to be done, written before it is done, and what came of it.

1. A change is a folder with a journal and backups. The journal is a file of lines, each a JSON object with a digest;
   it only grows, and each line is on the medium before the act that it announces begins.
2. No store changes before its old content is in the backups, on the medium, and a line says which.
3. A last line that was cut off was never acted on, and does not count; a damaged line anywhere else makes the whole
   record unusable.

Lines (`event`): `begin` with the plan; `intend` before a step, with each path's state and backup; `done` and `failed`
after it; `end` with the state of the whole; then, for its way back, `undo-begin`, and `undone` or `kept` for each step,
and `end` again. A record without `end` after its `begin` or `undo-begin` is of a change that was cut off.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from trustmend.certificate import printable
from trustmend.change.disk import Disk
from trustmend.change.state import make_folder, read_file
from trustmend.errors import RefusedError, StateError

Json = dict[str, Any]
_FILE: Final = "journal.jsonl"
_DIGEST_DIGITS: Final = 16


@dataclass
class Journal:
    """The journal of the change in `folder`, and its backups."""

    folder: str
    disk: Disk
    lines: list[Json] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The change's id."""
        return os.path.basename(self.folder)

    @staticmethod
    def create(folder: str, disk: Disk, begin: Mapping[str, Any]) -> Journal:
        """A new change, with its first line. Raises OSError; FileExistsError where there is one of this id."""
        above, name = os.path.split(folder)
        parent = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            disk.mkdir(name, 0o700, dir_fd=parent)
            disk.fsync(parent)
        finally:
            os.close(parent)
        make_folder(disk, f"{folder}/backup")
        journal = Journal(folder, disk)
        journal._write("begin", begin)
        return journal

    @staticmethod
    def load(folder: str, disk: Disk) -> Journal:
        """A journal that is there.

        Raises:
            RefusedError: somebody else's, or damaged.
            OSError: as the system says it; FileNotFoundError for a change that was cut off before its first line.
        """
        content = read_file(f"{folder}/{_FILE}")
        return Journal(folder, disk, list(_lines(content, folder)))

    def write(self, event: str, **values: Any) -> None:  # noqa: ANN401  JSON
        """Add a line, and return when it is on the medium. Raises StateError; the line then does not count."""
        try:
            self._write(event, values)
        except OSError as problem:
            raise StateError(
                f"the journal in `{printable(self.folder)}` cannot be written: {problem.strerror or problem}",
                hint="make room there, or whatever it is, then: trustmend recover",
            ) from problem

    def _write(self, event: str, values: Mapping[str, Any]) -> None:
        row = {"event": event, **values}
        text = json.dumps(row, separators=(",", ":"))
        line = f"{_digest(text)} {text}\n".encode("ascii")
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = self.disk.append(_FILE, dir_fd=folder)
            try:
                start = os.fstat(descriptor).st_size
                if start and not read_file(f"{self.folder}/{_FILE}").endswith(b"\n"):
                    start = self._whole_size()
                    self.disk.truncate(descriptor, start)
                try:
                    self.disk.write(descriptor, line)
                    self.disk.fsync(descriptor)
                except BaseException:
                    self.disk.truncate(descriptor, start)
                    raise
                if not start:
                    self.disk.fsync(folder)
            finally:
                os.close(descriptor)
        finally:
            os.close(folder)
        self.lines.append(json.loads(text))

    def _whole_size(self) -> int:
        """The bytes of the whole lines; what stands behind them is a line that was cut off."""
        return read_file(f"{self.folder}/{_FILE}").rfind(b"\n") + 1

    def keep(self, content: bytes) -> str:
        """Keep a copy of a store's old content, on the medium; its name is its SHA-256. Raises OSError."""
        name = hashlib.sha256(content).hexdigest()
        folder = os.open(f"{self.folder}/backup", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if os.path.lexists(f"{self.folder}/backup/{name}"):
                return name
            new = f".{name}.new"
            if os.path.lexists(f"{self.folder}/backup/{new}"):
                self.disk.unlink(new, dir_fd=folder)
            descriptor = self.disk.create(new, dir_fd=folder)
            try:
                self.disk.write(descriptor, content)
                self.disk.fsync(descriptor)
            finally:
                os.close(descriptor)
            self.disk.rename(new, name, dir_fd=folder)
            self.disk.fsync(folder)
        finally:
            os.close(folder)
        return name

    def kept(self, sha256: str) -> bytes:
        """A copy that `keep` made.

        Raises:
            RefusedError: it is gone, damaged or somebody else's.
        """
        path = f"{self.folder}/backup/{sha256}"
        try:
            content = read_file(path)
        except OSError as problem:
            raise RefusedError(f"the backup `{printable(path)}` cannot be read: {problem.strerror}") from problem
        if hashlib.sha256(content).hexdigest() != sha256:
            raise RefusedError(f"the backup `{printable(path)}` is damaged: its content is not what was kept")
        return content


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:_DIGEST_DIGITS]


def _lines(content: bytes, folder: str) -> Iterator[Json]:
    whole, _, _ = content.rpartition(b"\n")
    for number, line in enumerate(whole.split(b"\n") if whole else [], 1):
        digest, _, text = line.decode("ascii", "replace").partition(" ")
        try:
            if digest != _digest(text):
                raise ValueError("its digest does not fit")
            row = json.loads(text)
        except ValueError as problem:
            raise RefusedError(
                f"line {number} of the journal in `{printable(folder)}` is damaged",
                hint="compare the stores with the backups there by hand; nothing was changed",
            ) from problem
        yield row
