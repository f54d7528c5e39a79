"""NSS databases: certificates are put in and taken out by certutil, on a copy in the change's own folder.

1. certutil never works on the database itself, and loads no module that the database's folder names: of that folder
   only cert9.db and key4.db are copied, not pkcs11.txt.
2. A password is in a file of the change's folder, never among arguments.
3. What comes out is compared row by row with what went in: only our objects differ.
4. Trust is signed with the key in key4.db (lib/softoken/sftkdb.c), so that file changes, too. It is put in place
   first: signatures without their object harm nobody, while NSS takes an object without them as not trusted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from trustmend import systems
from trustmend.certificate import Certificate, printable
from trustmend.change.state import make_folder, read_file
from trustmend.change.system import last_words
from trustmend.change.work import PROGRAM_ENVIRON, Context
from trustmend.errors import MalformedError, ReadError, RefusedError, StepError
from trustmend.formats import nss
from trustmend.host import Host
from trustmend.plan import Obstacle

CERTUTILS: Final = ("/usr/bin/certutil", "/usr/local/bin/certutil", "/usr/lib64/nss/unsupported-tools/certutil")
KEYS: Final = "key4.db"
_CERTIFICATES: Final = "cert9.db"
_PASSWORD: Final = "password"  # noqa: S105  a file's name
_TIMEOUT_S: Final = 120.0
_MAX_FIELDS: Final = 4096
_FLOCK: Final = "hhqqi4x"  # struct flock of fcntl(2), 64 bits


@dataclass(frozen=True)
class Database:
    """The two files of a database that matter: certificates and trust, and the keys (None: there is no key4.db)."""

    certificates: bytes
    keys: bytes | None


def keys_path(path: str) -> str:
    """Where the key4.db of the database at `path` stands."""
    return f"{os.path.dirname(path)}/{KEYS}"


def program(host: Host) -> str | None:
    """A certutil of this machine that this process may run."""
    machine = host if not host.foreign else Host(name=host.name)
    return next((path for path in CERTUTILS if machine.safe_to_run(path)), None)


def in_use(host: Host, path: str) -> Obstacle | None:
    """Why the database must be left alone now: a program has it open, or left unfinished work beside it.

    Only processes that this one may look at are seen: its own user's, and for root all. A program that opens the
    database later than this is asked reads the new one.
    """
    folder = os.path.dirname(path)
    for name in (_CERTIFICATES, KEYS):
        for suffix in ("-wal", "-journal"):
            beside = f"{folder}/{name}{suffix}"
            try:
                size = host.stat(beside).st_size
            except OSError:
                continue
            if size:
                text = f"{printable(beside)} stands beside it: a program has it open, or was cut off while it wrote"
                return Obstacle(text, "close the program; if none runs: certutil -L -d sql:FOLDER finishes that work")
    if (who := _holder(host, [path, keys_path(path)])) is not None:
        return Obstacle(f"it is in use by {who}, which would not see the change, or undo it", "close it first")
    if (pid := _locked(host, f"{folder}/.parentlock")) is not None:
        return Obstacle(f"process {pid} has the profile open (.parentlock)", "close the program first")
    return None


def _holder(host: Host, paths: Sequence[str]) -> str | None:
    """A running program that has one of these files open, in words."""
    wanted = set()
    for path in paths:
        with contextlib.suppress(OSError):
            status = host.stat(path)
            wanted.add((status.st_dev, status.st_ino))
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or int(pid) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    status = os.stat(f"/proc/{pid}/fd/{number}")
                    if (status.st_dev, status.st_ino) in wanted:
                        return f"process {pid} ({_name(pid)})"
    return None


def _name(pid: str) -> str:
    descriptor = os.open(f"/proc/{pid}/comm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return printable(os.read(descriptor, _MAX_FIELDS).decode("utf-8", "replace").strip())
    finally:
        os.close(descriptor)


def _locked(host: Host, path: str) -> int | None:
    """The process that holds a profile's lock (Mozilla's nsProfileLock: a write lock of fcntl); None where nobody."""
    try:
        descriptor = os.open(
            host.outside(host.resolve(path)), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        )
    except OSError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else int(pid)


def with_certificates(
    old: Database, additions: Iterable[tuple[Certificate, bool]], password: str, certutil: str, context: Context
) -> Database:
    """The database with these certificates; those of True are trusted to issue for TLS servers, others only known.

    Args:
        old: as it is.
        additions: certificates that are not in it; each gets `systems.alias` as its nickname.
        password: what opens it; "" for none.
        certutil: the program.
        context: of the change.

    Raises:
        StepError: certutil failed, or something else than our objects would differ.
    """
    wanted = list(additions)
    with _copy(old, password, context) as copy:
        for certificate, trusted in wanted:
            flags = "C,," if trusted else ",,"
            copy.file("certificate", certificate.der)
            name = systems.alias(certificate)
            copy.run(certutil, "-A", "-n", name, "-t", flags, "-i", f"{copy.folder}/certificate")
        said = copy.run(certutil, "-L")
        new = copy.content()
    listed = {tuple(line.split()) for line in said.splitlines()}
    for certificate, trusted in wanted:
        if (systems.alias(certificate), "C,," if trusted else ",,") not in listed:
            raise StepError("certutil does not list the new certificates with their trust in the new database")
    _compare(old, new, {certificate.sha256: certificate for certificate, _ in wanted})
    return new


def without_certificates(
    old: Database, certificates: Collection[Certificate], password: str, certutil: str, context: Context
) -> Database:
    """The reverse: without these certificates, which have `systems.alias` as their nicknames. Raises StepError."""
    with _copy(old, password, context) as copy:
        for certificate in certificates:
            copy.run(certutil, "-D", "-n", systems.alias(certificate))
        new = copy.content()
    _compare(new, old, {certificate.sha256: certificate for certificate in certificates})
    return new


@dataclass(frozen=True)
class _Copy:
    """A database in the change's folder, on which certutil works."""

    folder: str
    here: int  # its descriptor
    context: Context

    def file(self, name: str, content: bytes) -> None:
        """Write a file of it anew."""
        with contextlib.suppress(FileNotFoundError):
            self.context.disk.unlink(name, dir_fd=self.here)
        descriptor = self.context.disk.create(name, dir_fd=self.here)
        try:
            self.context.disk.write(descriptor, content)
        finally:
            os.close(descriptor)

    def run(self, certutil: str, *words: str) -> str:
        """What certutil says. Raises StepError."""
        argv = [certutil, *words, "-d", f"sql:{self.folder}", "-f", f"{self.folder}/{_PASSWORD}"]
        # A foreign root's databases are changed by this machine's certutil: nothing of that root is run.
        host = self.context.host
        machine = host if not host.foreign else Host(name=host.name)
        try:
            done = self.context.disk.run(machine, argv, environ=PROGRAM_ENVIRON, timeout_s=_TIMEOUT_S)
        except ReadError as problem:
            raise StepError(problem.message) from problem
        if done.code != 0:
            raise StepError(f"certutil {words[0]} failed with code {done.code}: {last_words(done)}")
        return done.stdout.decode("utf-8", "replace")

    def content(self) -> Database:
        """What has become of it. Raises OSError."""
        return Database(read_file(f"{self.folder}/{_CERTIFICATES}"), read_file(f"{self.folder}/{KEYS}"))


@contextlib.contextmanager
def _copy(old: Database, password: str, context: Context) -> Iterator[_Copy]:
    """The copy, which is gone afterwards. Raises StepError where the state folder cannot be written."""
    folder = f"{context.journal.folder}/work"
    try:
        make_folder(context.disk, folder)
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as problem:
        raise StepError(f"the state folder cannot be written: {problem.strerror}") from problem
    try:
        copy = _Copy(folder, here, context)
        _empty(here, context)
        copy.file(_CERTIFICATES, old.certificates)
        if old.keys is not None:
            copy.file(KEYS, old.keys)
        copy.file(_PASSWORD, password.encode() + b"\n")
        yield copy
    except (OSError, RefusedError) as problem:
        words = problem.message if isinstance(problem, RefusedError) else problem.strerror
        raise StepError(f"the copy in the state folder cannot be used: {words}") from problem
    finally:
        _empty(here, context)
        os.close(here)


def _empty(here: int, context: Context) -> None:
    for name in os.listdir(here):
        with contextlib.suppress(OSError):
            context.disk.unlink(name, dir_fd=here)


def _compare(poorer: Database, richer: Database, ours: dict[str, Certificate]) -> None:
    """Check that the richer database is the poorer one and our objects with their signatures. Raises StepError."""
    try:
        added = _difference(poorer.certificates, richer.certificates)
        signed = _difference(poorer.keys, richer.keys) if poorer.keys and richer.keys else {}
    except MalformedError as problem:
        raise StepError(f"the new database cannot be read: {problem}") from problem
    objects = [dict(row) for row in added.pop(nss.TABLE, Counter()).elements()]
    held = [row for row in objects if row.get(nss.CLASS) == nss.CERTIFICATE]
    if Counter(row.get(nss.VALUE) for row in held) != Counter(one.der for one in ours.values()):
        raise StepError("the new database does not hold exactly the old certificates and the new ones")
    names = {(row.get(nss.ISSUER), row.get(nss.SERIAL)) for row in held}
    for row in objects:
        whose = (row.get(nss.ISSUER), row.get(nss.SERIAL))
        if row.get(nss.CLASS) != nss.CERTIFICATE and not (row.get(nss.CLASS) in nss.TRUSTS and whose in names):
            raise StepError("something else than our certificates would differ in the new database")
    marks = [dict(row) for row in signed.pop("metaData", Counter()).elements()]
    first = poorer.keys is not None and not nss.has_password_record(poorer.keys)
    allowed = ("sig_cert_", "password") if first else ("sig_cert_",)
    if added or signed or not all(str(row.get("id")).startswith(allowed) for row in marks):
        raise StepError("something else than signatures of our certificates would differ in key4.db")


def _difference(poorer: bytes, richer: bytes) -> dict[str, Counter[nss.Row]]:
    """The rows by table that only the richer has; nothing may be lost. Raises StepError and MalformedError."""
    few, many = nss.tables(poorer), nss.tables(richer)
    for table, rows in few.items():
        if rows - many.get(table, Counter()):
            raise StepError("an object of the database would be lost or changed")
    found = {table: rows - few.get(table, Counter()) for table, rows in many.items()}
    return {table: rows for table, rows in found.items() if rows}
