"""The files that programs need and that are nowhere: in one folder of our own, gone at the end.

The folder is below the system's temporary one, has mode 0700, and is made only when the first file is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from trustmend.certificate import Certificate
from trustmend.errors import ReadError

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Scratch:
    """Paths of certificates for programs: a bundle's own file where it is one, else a temporary file."""

    known: Mapping[Certificate, str]  # certificate -> its PEM file
    folder: str | None = None
    made: dict[str, Certificate] = field(default_factory=dict)  # temporary file -> what is in it
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def path(self, certificate: Certificate) -> str:
        """A PEM file with this certificate alone. Raises ReadError where none can be made."""
        if certificate in self.known:
            return self.known[certificate]
        with self._lock:
            path = f"{self._own()}/{certificate.sha256}.pem"
            if path not in self.made:
                self._write(path, certificate.pem)
                self.made[path] = certificate
        return path

    def subfolder(self, name: str, files: Mapping[str, bytes]) -> str:
        """A new folder with these files in it. Raises ReadError."""
        with self._lock:
            path = f"{self._own()}/{name}"
            try:
                os.mkdir(path, 0o700)
            except OSError as problem:
                raise ReadError(f"no temporary folder could be made: {problem.strerror}") from problem
            for file, content in files.items():
                self._write(f"{path}/{file}", content)
        return path

    def _own(self) -> str:
        if self.folder is None:
            try:
                self.folder = tempfile.mkdtemp(prefix="trustmend-prove-")
            except OSError as problem:
                raise ReadError(f"no temporary folder could be made: {problem.strerror}") from problem
        return self.folder

    def _write(self, path: str, content: bytes) -> None:
        try:
            descriptor = os.open(path, _CREATE, 0o600)
            try:
                rest = memoryview(content)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            finally:
                os.close(descriptor)
        except OSError as problem:
            raise ReadError(f"no temporary file could be written: {problem.strerror}") from problem


@contextmanager
def scratch(known: Mapping[Certificate, str]) -> Iterator[Scratch]:
    """A place for temporary files; all of them are gone afterwards.

    Args:
        known: certificates that have a PEM file of their own.
    """
    made = Scratch(known)
    try:
        yield made
    finally:
        if made.folder is not None:
            shutil.rmtree(made.folder, ignore_errors=True)
