"""Taking out what a change has put in, by its marks, where a store was changed since: surgery.

A certificate is taken out only where our mark is on it: the marker line of a PEM block, the alias of a key store's
entry, our file's name in a folder. One that the vendor ships meanwhile has no mark and stays.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Final

from trustmend import systems
from trustmend.change import build, system
from trustmend.change.files import ABSENT, of_content
from trustmend.change.work import Context, Swap
from trustmend.errors import MalformedError, StepError, TrustError
from trustmend.formats import directory_write, pem, pem_write, registry
from trustmend.formats.directory import HASH_LINK
from trustmend.formats.jks import DEFAULT_PASSWORD
from trustmend.model import Entry, EntryKind, Kind
from trustmend.systems import System

_JAVA_SETTINGS: Final = "/etc/default/cacerts"


def from_file(
    swap: Swap, method: str, context: Context, keep: Collection[str], keytool: str | None, password: str | None
) -> list[str]:
    """Out of a PEM bundle or a key store. Returns what is left, one sentence each."""
    try:
        now, content = context.hands.read(swap.path)
        if now.kind != "file":
            return []  # it is gone, and our certificates with it
        if method == "pem":
            after = pem_write.remove(content, context.journal.id, keep)
        else:
            after = _from_key_store(content, _held(swap, context), keep, context, keytool, password)
        if after != content:
            context.put(Swap(swap.path, now, of_content(after, now), after))
    except (TrustError, OSError) as problem:
        return [f"{swap.path}: {problem.message if isinstance(problem, TrustError) else problem}"]
    return []


def from_database(swaps: Sequence[Swap], context: Context, keep: Collection[str], password: str | None) -> list[str]:
    """Out of an NSS database, by our nicknames. Returns what is left, one sentence each."""
    from trustmend.change import nss
    from trustmend.formats.nss import password_fits

    swap = swaps[-1]  # the cert9.db; its keys stand before it
    try:
        now, content = context.hands.read(swap.path)
        keys_now, keys = context.hands.read(nss.keys_path(swap.path))
        if now.kind != "file":
            return []  # it is gone, and our certificates with it
        if registry.recognise(content) is not Kind.NSS:
            return [f"{swap.path} is another sort of file by now"]
        held = _held(swap, context) | set(keep)
        entries = registry.read(content, Kind.NSS, None).entries
        # Whatever trust it has by now: the nickname is ours.
        mine = [e.certificate for e in entries if e.alias == systems.alias(e.certificate)]
        mine = [one for one in mine if one.sha256 not in held]
        if not mine:
            return []
        if (obstacle := nss.in_use(context.host, swap.path)) is not None:
            raise StepError(f"{obstacle.reason}; {obstacle.remedy}")
        if (certutil := nss.program(context.host)) is None:
            raise StepError("there is no certutil here that may be run (libnss3-tools, nss-tools)")
        old = nss.Database(content, keys if keys_now.kind == "file" else None)
        candidates = dict.fromkeys([*([] if password is None else [password]), ""])
        fits = [one for one in candidates if old.keys is None or password_fits(old.keys, one) is not False]
        if not fits:
            raise StepError("no known password opens the database: give it with --password-file")
        new = nss.without_certificates(old, mine, fits[0], certutil, context)
        for one in build.nss_swaps(swap.path, now, keys_now, old, new)[::-1]:
            context.put(one)
    except (TrustError, OSError) as problem:
        return [f"{swap.path}: {problem.message if isinstance(problem, TrustError) else problem}"]
    return []


def _held(swap: Swap, context: Context) -> set[str]:
    """The SHA-256 of the certificates that the key store held before the change: these are not ours."""
    if swap.before.sha256 is None:
        return set()
    content = context.journal.kept(swap.before.sha256)
    kind = registry.recognise(content)
    old = registry.read(content, kind, None).entries if kind is not None else ()
    return {entry.certificate.sha256 for entry in old}


def _from_key_store(
    content: bytes, held: set[str], keep: Collection[str], context: Context, keytool: str | None, password: str | None
) -> bytes:
    """A key store's bytes without our entries. Raises StepError."""
    kind = registry.recognise(content)
    if kind not in (Kind.JKS, Kind.JCEKS, Kind.PKCS12):
        return content  # another sort of file by now
    entries = registry.read(content, kind, password).entries
    mine = [e for e in entries if _is_ours(e) and e.certificate.sha256 not in held | set(keep)]
    return without(content, kind, mine, context, keytool, password)


def _is_ours(entry: Entry) -> bool:
    return entry.kind is EntryKind.CERTIFICATE and entry.alias == systems.alias(entry.certificate)


def without(
    content: bytes,
    kind: Kind,
    entries: Sequence[Entry],
    context: Context,
    keytool: str | None,
    password: str | None,
) -> bytes:
    """A key store's bytes without these entries, read back by keytool. Raises StepError."""
    if not entries:
        return content
    aliases = {entry.alias or "" for entry in entries}
    candidates = [password] if password is not None else []
    for candidate in dict.fromkeys([*candidates, DEFAULT_PASSWORD, "", None]):
        try:
            after = registry.remove_from_key_store(content, kind, aliases, candidate)
        except MalformedError:
            continue
        break
    else:
        raise StepError("no known password opens the key store: give it with --password-file")
    if keytool is None:
        raise StepError("there is no keytool here that may be run, to read the written store back")
    left = [e.certificate for e in registry.read(after, kind, candidate).entries if e.kind is not EntryKind.PLAIN]
    build.check_key_store(after, kind, candidate, keytool, left, context)
    return after


def from_folder(swaps: Sequence[Swap], context: Context, keep: Collection[str]) -> list[str]:
    """Out of a folder of certificates: our files, and the hash links that lead to them."""
    left = []
    for folder in dict.fromkeys(os.path.dirname(swap.path) for swap in swaps):
        try:
            names = context.hands.files.names(folder)
            ours = [swap for swap in swaps if swap.path.startswith(f"{folder}/{_OURS}") and swap.after.kind == "file"]
            files = []
            for swap in ours:
                now, content = context.hands.read(swap.path)
                mine = now.kind == "file" and context.journal.id in pem_write.marked(content)
                if mine and not {e.certificate.sha256 for e in pem.read(content).entries} & set(keep):
                    files.append(swap.path)
            links = [n for n in names if _leads_to(f"{folder}/{n}", files, context)]
            moves = directory_write.closing(dict.fromkeys(names, ""), links)
            for one in build.moved(folder, moves, context, *context.hands.owner(f"{folder}/-")):
                context.put(one)
            for path in files:
                now, content = context.hands.read(path)
                context.put(Swap(path, now, ABSENT))
        except (TrustError, OSError) as problem:
            left.append(f"{folder}: {problem.message if isinstance(problem, TrustError) else problem}")
    return left


_OURS: Final = "trustmend-"


def _leads_to(link: str, files: Collection[str], context: Context) -> bool:
    state = context.hands.look(link)
    return state.kind == "link" and os.path.normpath(os.path.join(os.path.dirname(link), state.target or "")) in files


def from_system(
    swaps: Sequence[Swap], family: System, context: Context, keep: Collection[str], keytool: str | None
) -> list[str]:
    """Out of the system's source, and out of what its command would leave behind.

    Debian's command leaves links that lead nowhere, and never takes a certificate out of the Java store.
    """
    try:
        sources = [swap for swap in swaps if swap.before.kind == "absent" and _in_source(swap, family)]
        files = []
        for swap in sources:
            now, content = context.hands.read(swap.path)
            held = {e.certificate.sha256 for e in pem.read(content).entries} if now.kind == "file" else set()
            if now.kind == "file" and context.journal.id in pem_write.marked(content) and not held & set(keep):
                context.put(Swap(swap.path, now, ABSENT))
                files.append(swap.path)
            elif now.kind == "absent":
                files.append(swap.path)
        for swap in reversed(sources):
            now = context.hands.look(swap.path)
            if swap.after.kind == now.kind == "folder" and not context.hands.files.names(swap.path):
                context.put(Swap(swap.path, now, ABSENT))
        _unlink_dangling(files, family, context)
        left = _from_java(files, family, context, keytool)
        system.run_command(family, context)
        return left
    except (TrustError, OSError) as problem:
        return [problem.message if isinstance(problem, TrustError) else str(problem)]


def _in_source(swap: Swap, family: System) -> bool:
    return family.folder in (swap.path, os.path.dirname(swap.path))


def _unlink_dangling(files: Sequence[str], family: System, context: Context) -> None:
    """Remove the links by name that lead to our removed files, and the hash links to those, without a gap."""
    watched = system.watch(family, context)
    gone = system.dangling(watched, files)
    for folder in dict.fromkeys(os.path.dirname(path) for path in gone):
        names = dict.fromkeys(context.hands.files.names(folder), "")
        here = [os.path.basename(path) for path in gone if os.path.dirname(path) == folder]
        uid, gid = context.hands.owner(f"{folder}/-")
        for one in build.moved(folder, directory_write.closing(names, here), context, uid, gid):
            context.put(one)
        for name in here:
            path = f"{folder}/{name}"
            state = context.hands.look(path)
            if state.kind == "link" and not HASH_LINK.match(name):
                context.put(Swap(path, state, ABSENT))


def _from_java(files: Sequence[str], family: System, context: Context, keytool: str | None) -> list[str]:
    """Take our aliases out of the Java store that Debian's hook has put them into."""
    aliases = {f"debian:{os.path.basename(path).removesuffix(family.suffix)}.pem".lower() for path in files}
    left = []
    for path, state in system.watch(family, context).items():
        if state.kind != "file":
            continue
        now, content = context.hands.read(path)
        kind = registry.recognise(content) if content[:4] in _KEY_STORE_STARTS or content[:1] == b"\x30" else None
        if kind not in (Kind.JKS, Kind.PKCS12):
            continue
        password = _java_password(context)
        entries = [e for e in registry.read(content, kind, password).entries if (e.alias or "").lower() in aliases]
        try:
            after = without(content, kind, entries, context, keytool, password)
            if after != content:
                context.put(Swap(path, now, of_content(after, now), after))
        except TrustError as problem:
            left.append(f"{path}: {problem.message}")
    return left


_KEY_STORE_STARTS: Final = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")


def _java_password(context: Context) -> str:
    """What Debian's hook opens the Java store with."""
    try:
        text = context.host.read(_JAVA_SETTINGS, limit=65536).content.decode("utf-8", "replace")
    except OSError:
        return DEFAULT_PASSWORD
    found = [line.partition("=")[2].strip("\"' ") for line in text.splitlines() if line.startswith("storepass=")]
    return (found[-1] if found else "") or DEFAULT_PASSWORD
