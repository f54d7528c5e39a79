"""Making a store's new content, and proving it, before anything is written where programs read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from trustmend import systems
from trustmend.audit import Judged, judge
from trustmend.bundle import Bundle
from trustmend.certificate import Certificate, printable
from trustmend.change.files import ABSENT, State, of_content
from trustmend.change.state import make_folder
from trustmend.change.work import PROGRAM_ENVIRON, Context, Swap
from trustmend.errors import ChangedError, MalformedError, ReadError, StepError
from trustmend.formats import directory_write, pem_write, registry
from trustmend.host import Host
from trustmend.model import Content, EntryKind, Kind, Verdict
from trustmend.plan import Method, Step
from trustmend.planning import all_der, kind_in_database

if TYPE_CHECKING:
    from trustmend.change.nss import Database

_TIMEOUT_S: Final = 120.0
_FINGERPRINT: Final = re.compile(r"\(SHA-?(256|1)\): ?([0-9A-F:]{59,95})")
_QUICK: Final = ("-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-J-Xshare:auto")
"""A short life: no second compiler, one collector."""
_WITHOUT_PASSWORD: Final = "changeit"  # noqa: S105  any opens a store that has none


def swaps(step: Step, context: Context, bundles: Sequence[Bundle], at: datetime) -> list[Swap]:
    """What becomes of which path by a step that changes a store itself, in the order in which it is done.

    Raises:
        ChangedError: the store is not the one that the plan saw.
        StepError: the new content is not what it should be; nothing was written.
    """
    judged = step.stores[0]
    if step.method is Method.DIRECTORY:
        return _folder(step, judged, context)
    path = judged.store.path
    try:
        before, content = context.hands.read(path)
    except OSError as problem:
        raise StepError(f"it cannot be read: {problem.strerror}") from problem
    if before.kind != "file" or before.sha256 != judged.store.sha256:
        raise ChangedError(path)
    if step.method is Method.NSS:
        return _database(step, judged, before, content, context, bundles, at)
    after = _content(step, judged, content, context)
    _prove(step, judged, after, bundles, at)
    if step.method is Method.KEY_STORE:
        _ask_keytool(step, judged, after, context)
    return [Swap(path, before, of_content(after, before), after)]


def _content(step: Step, judged: Judged, content: bytes, context: Context) -> bytes:
    """The file's new bytes."""
    certificates = [c.certificate for c in step.add]
    if step.method is Method.PEM:
        return pem_write.add(content, certificates, context.journal.id)
    additions = [(systems.alias(one), one) for one in certificates]
    kind, password = judged.store.content.kind, step.facts.password
    try:
        return registry.add_to_key_store(content, kind, additions, password, context.host.now)
    except MalformedError as problem:
        raise StepError(f"nothing can be added to the key store: {problem}") from problem


def _database(
    step: Step,
    judged: Judged,
    before: State,
    content: bytes,
    context: Context,
    bundles: Sequence[Bundle],
    at: datetime,
) -> list[Swap]:
    """The swaps of an NSS database: its keys, which sign the trust, and then its certificates."""
    from trustmend.change import nss

    path = judged.store.path
    if (obstacle := nss.in_use(context.host, path)) is not None:
        raise StepError(f"{obstacle.reason}; {obstacle.remedy}")
    keys_path = nss.keys_path(path)
    try:
        keys_before, keys = context.hands.read(keys_path)
    except OSError as problem:
        raise StepError(f"{keys_path} cannot be read: {problem.strerror}") from problem
    if keys_before.kind not in ("file", "absent"):
        raise StepError(f"{keys_path} is no file")
    old = nss.Database(content, keys if keys_before.kind == "file" else None)
    wanted = [(c.certificate, kind_in_database(c) is EntryKind.CERTIFICATE) for c in step.add]
    new = nss.with_certificates(old, wanted, step.facts.password or "", step.facts.certutil or "", context)
    _prove(step, judged, new.certificates, bundles, at)
    return nss_swaps(path, before, keys_before, old, new)


def nss_swaps(path: str, before: State, keys_before: State, old: Database, new: Database) -> list[Swap]:
    """The swaps that put a database's new files in place, those that stay left out.

    Args:
        path: of the cert9.db.
        before, keys_before: what stands there, and where its key4.db is.
        old, new: the contents.
    """
    found = []
    if new.keys is not None and new.keys != old.keys:
        like = keys_before if keys_before.kind == "file" else replace(before, xattrs=())
        found.append(Swap(f"{os.path.dirname(path)}/key4.db", keys_before, of_content(new.keys, like), new.keys))
    if new.certificates != old.certificates:
        found.append(Swap(path, before, of_content(new.certificates, before), new.certificates))
    return found


def _prove(step: Step, judged: Judged, after: bytes, bundles: Sequence[Bundle], at: datetime) -> None:
    """Read the new bytes as an audit would: all old entries and the new ones, nothing else, and the verdict."""
    old = judged.store.content
    kind = registry.recognise(after)
    if kind is not old.kind and not (old.empty and kind is Kind.PEM_BUNDLE):
        raise StepError("the new content would be of another kind")
    new = registry.read(after, kind, step.facts.password if kind is not Kind.PEM_BUNDLE else None)
    in_database = step.method is Method.NSS
    expected = _held(old) + Counter(
        (c.sha256, kind_in_database(c) if in_database else EntryKind.CERTIFICATE) for c in step.add
    )
    if _held(new) != expected or new.private_keys != old.private_keys:
        raise StepError("the new content does not hold exactly the old certificates and the new ones")
    then = judge(replace(judged.store, content=new), bundles, at)
    if then.verdict is not Verdict.TRUSTED:
        raise StepError("with the new content, too, the chains would not be trusted")


def _held(content: Content) -> Counter[tuple[str, EntryKind]]:
    return Counter((entry.certificate.sha256, entry.kind) for entry in content.entries)


def _ask_keytool(step: Step, judged: Judged, after: bytes, context: Context) -> None:
    """Have the JDK's own tool read the new bytes, in our own folder. Raises StepError."""
    certificates = [entry.certificate for entry in judged.store.content.entries if entry.kind is not EntryKind.PLAIN]
    check_key_store(
        after,
        judged.store.content.kind,
        step.facts.password,
        step.facts.keytool or "",
        [*certificates, *(c.certificate for c in step.add)],
        context,
    )


def check_key_store(
    content: bytes,
    kind: Kind,
    password: str | None,
    keytool: str,
    expected: Iterable[Certificate],
    context: Context,
) -> None:
    """Have keytool list a key store's bytes, which must hold exactly these certificates as entries of their own.

    Args:
        content: written to a file in the change's folder, which is gone afterwards.
        kind: of the key store.
        password: what opens it; None: anything does.
        keytool: the program.
        expected: trusted certificates, and the first of each key's.
        context: of the change.

    Raises:
        StepError: keytool cannot read it, or reads something else.
    """
    folder = f"{context.journal.folder}/work"
    try:
        make_folder(context.disk, folder)
        name = hashlib.sha256(content).hexdigest()[:16]
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as problem:
        raise StepError(f"the state folder cannot be written: {problem.strerror}") from problem
    try:
        with contextlib.suppress(FileNotFoundError):
            context.disk.unlink(name, dir_fd=here)
        descriptor = context.disk.create(name, dir_fd=here)
        try:
            context.disk.write(descriptor, content)
        finally:
            os.close(descriptor)
        said = _listing(f"{folder}/{name}", kind, password, keytool, context)
    except OSError as problem:
        raise StepError(f"the state folder cannot be written: {problem.strerror}") from problem
    finally:
        with contextlib.suppress(OSError):
            context.disk.unlink(name, dir_fd=here)
        os.close(here)
    listed = Counter(found[2].replace(":", "").lower() for found in _FINGERPRINT.finditer(said))
    sha1 = any(found[1] == "1" for found in _FINGERPRINT.finditer(said))  # JDK 8
    wanted = Counter(hashlib.sha1(c.der, usedforsecurity=False).hexdigest() if sha1 else c.sha256 for c in expected)
    if listed != wanted:
        raise StepError("keytool does not list exactly the old certificates and the new ones in the new content")


def _listing(path: str, kind: Kind, password: str | None, keytool: str, context: Context) -> str:
    """What `keytool -list` says of the file. Raises StepError."""
    # A foreign root's stores are read by this machine's keytool: nothing of that root is run.
    machine = context.host if not context.host.foreign else Host(name=context.host.name)
    try:
        done = context.disk.run(
            machine,
            [keytool, "-J-Duser.language=en", *_QUICK, "-list", "-keystore", path, "-storetype", kind.value.upper(),
             "-storepass:env", "TRUSTMEND_STOREPASS"],
            environ={**PROGRAM_ENVIRON, "TRUSTMEND_STOREPASS": password or _WITHOUT_PASSWORD},
            timeout_s=_TIMEOUT_S,
        )  # fmt: skip
    except ReadError as problem:
        raise StepError(problem.message) from problem
    said = done.stdout.decode("utf-8", "replace")
    if done.code != 0:
        last = printable(said.strip().rsplit("\n", 1)[-1].removeprefix("keytool error: "))
        raise StepError(f"keytool cannot read the new content: {last}")
    return said


def _folder(step: Step, judged: Judged, context: Context) -> list[Swap]:
    """The swaps of a folder of certificates."""
    path = judged.store.path
    try:
        names = dict.fromkeys(context.hands.files.names(path), "")
        uid, gid = context.hands.owner(f"{path}/-")
    except OSError as problem:
        raise StepError(f"it cannot be read: {problem.strerror}") from problem
    if set(names) != set(step.facts.names):
        raise ChangedError(path)
    files = [(systems.file_name(c.certificate), c.certificate) for c in step.add]
    moves = directory_write.moves(names, files, der=all_der(judged.store))
    return list(moved(path, moves, context, uid, gid))


def moved(folder: str, moves: Iterable[directory_write.Move], context: Context, uid: int, gid: int) -> Iterator[Swap]:
    """The swaps that make these moves in a folder, each seen as it will be after those before it."""
    seen: dict[str, tuple[State, bytes]] = {}

    def now(name: str) -> tuple[State, bytes]:
        if name not in seen:
            seen[name] = context.hands.read(f"{folder}/{name}")
        return seen[name]

    for move in moves:
        before, _ = now(move.name)
        if move.away:
            then, content = ABSENT, b""
        elif move.like is not None:
            then, content = now(move.like)
        elif move.link is not None:
            then, content = State("link", target=move.link, mode=0o777, uid=uid, gid=gid), b""
        else:
            one = move.certificate
            if one is None:
                continue
            content = one.der if move.name.endswith(".der") else pem_write.block(context.journal.id, one)
            then = of_content(content, State("file", mode=0o644, uid=uid, gid=gid))
        seen[move.name] = (then, content)
        yield Swap(f"{folder}/{move.name}", before, then, content)
