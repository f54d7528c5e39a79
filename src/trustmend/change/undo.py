"""Taking a step back: exactly, from the backups, or surgically, where somebody else has changed the store since.

1. Exactly: every path is again what it was, in content, owner, mode and attributes. A path that is neither what the
   step made of it nor what it was before is somebody else's, and is left alone and named.
2. Surgically: what carries our mark is taken out, and nothing else is touched.
3. Either can be cut off anywhere and be done again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from trustmend.change import system
from trustmend.change.files import State
from trustmend.change.work import Context, Swap, swaps_of
from trustmend.errors import StepError, TrustError
from trustmend.formats import registry
from trustmend.model import Kind
from trustmend.systems import System

Line = Mapping[str, Any]
"""A line of a journal."""


def _swaps(intend: Line, done: Line | None) -> list[Swap]:
    """What a step has done, or was going to do. Raises StepError for a line that we never wrote."""
    try:
        return list(swaps_of((done or intend)["swaps"]))
    except (KeyError, TypeError, ValueError) as problem:
        raise StepError(f"the journal cannot be understood: {problem}") from problem


def _watched(intend: Line) -> dict[str, State]:
    try:
        return {str(path): State.from_json(row) for path, row in intend["watched"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise StepError(f"the journal cannot be understood: {problem}") from problem


def _system(intend: Line) -> System | None:
    try:
        return system.by_name(str(intend["system"])) if "system" in intend else None
    except ValueError as problem:
        raise StepError(f"the journal cannot be understood: {problem}") from problem


def drifted(intend: Line, done: Line, context: Context) -> list[str]:
    """The paths that are neither what the step made of them nor what they were before. Raises StepError."""
    found = []
    for swap in _swaps(intend, done):
        try:
            now = context.hands.look(swap.path)
        except OSError:
            found.append(swap.path)
            continue
        if not now.same(swap.after) and not now.same(swap.before):
            found.append(swap.path)
    return found


def step(intend: Line, done: Line | None, context: Context) -> list[str]:
    """Take a step back exactly.

    Args:
        intend: its line from before.
        done: its line from after; None for one that failed or was cut off.
        context: of its change.

    Returns:
        What is left that could not be put back, one sentence each.

    Raises:
        StepError: the journal cannot be understood; nothing was done.
    """
    swaps = _swaps(intend, done)
    family = _system(intend)
    context.clear([os.path.dirname(swap.path) for swap in swaps])
    if family is not None and done is None:
        return _system_cut_off(intend, swaps, family, context)
    left = _back(swaps, context)
    if family is not None and not left:
        # What the step's command has taken in for others, too, waits for their own run of it again.
        _settle(family, {swap.path: swap.before for swap in swaps}, context, whole=True)
    return left


def _back(swaps: Sequence[Swap], context: Context) -> list[str]:
    """Put each path back, the last first."""
    left = []
    for swap in reversed(swaps):
        try:
            now = context.hands.look(swap.path)
            if now == swap.before:
                continue
            if not now.same(swap.after) and not now.same(swap.before):
                left.append(f"{swap.path} was changed by somebody else since")
                continue
            if _keeps_others(swap, context):
                continue
            context.back(swap, now)
        except (TrustError, OSError) as problem:
            words = problem.message if isinstance(problem, TrustError) else str(problem)
            left.append(f"{swap.path}: {words}")
    return left


def _keeps_others(swap: Swap, context: Context) -> bool:
    """A folder that we made and that others have put something into meanwhile stays."""
    if swap.before.kind != "absent" or swap.after.kind != "folder":
        return False
    return bool(context.hands.files.names(swap.path))


def _system_cut_off(intend: Line, swaps: Sequence[Swap], family: System, context: Context) -> list[str]:
    """Put back all that a command was going to write, whatever it has come to, and let it run once more."""
    left = _back(swaps, context)
    before = _watched(intend)
    differences = list(system.changed(before, system.watch(family, context)))
    new = [swap for swap in differences if swap.before.kind == "absent" and _by_command(swap)]
    old = [swap for swap in differences if swap.before.kind != "absent"]
    # Folders before what is in them; what is new goes last, the deepest first.
    left += _back(old[::-1], context)
    left += _back(new, context)
    if not left:
        _settle(family, before, context, whole=False)
    return left


_LEFTOVER: Final = re.compile(r"(\.new|\.tmp|~|[./][A-Za-z0-9_]{6}|/bundle[A-Za-z0-9]{6}|/pending|/fresh|\.dpkg-\w+)\Z")


def _by_command(swap: Swap) -> bool:
    """Whether a thing that was not there before is what such commands make: links, and files under their own names."""
    return swap.after.kind == "link" or bool(_LEFTOVER.search(swap.path)) or "/extracted/" in swap.path


def _settle(family: System, kept: Mapping[str, State], context: Context, *, whole: bool) -> None:
    """Let the system's command run over what is back, so that its hooks see it; it is to come to the same.

    Where it writes the same certificates in other bytes (keytool never writes the same twice) the old bytes come back;
    where it comes to other certificates, something else has changed meanwhile, and what it made stays, but for what is
    to be put back as a `whole`.
    """
    before = system.watch(family, context)
    try:
        system.mend_package(family, context)
        system.run_command(family, context)
        after = system.watch(family, context)
    except StepError as problem:
        context.say(f"note: {problem.message}; what it makes was put back without it")
        after = system.watch(family, context)
    for swap in system.changed(before, after):
        if kept.get(swap.path) != swap.before:
            continue
        try:
            if whole or swap.before.kind != "file" or _same_certificates(swap, context):
                context.back(swap, swap.after)
            else:
                context.say(f"note: {swap.path} has other certificates than before: it stays as the command makes it")
        except (TrustError, OSError) as problem:
            context.say(f"note: {swap.path}: {problem}")


def _same_certificates(swap: Swap, context: Context) -> bool:
    """Whether a file holds the certificates that its backup holds."""
    if swap.after.kind != "file" or swap.before.sha256 is None:
        return True
    _, now = context.hands.read(swap.path)
    return _certificates(now) == _certificates(context.journal.kept(swap.before.sha256))


def _certificates(content: bytes) -> set[str] | bytes:
    """The SHA-256 of the certificates in a store; of what is no store, its bytes."""
    kind = registry.recognise(content)
    if kind in (Kind.PEM_BUNDLE, Kind.JKS, Kind.JCEKS, Kind.PKCS12, Kind.DER):
        return {entry.certificate.sha256 for entry in registry.read(content, kind, None).entries}
    return content


def surgical(
    intend: Line, done: Line, context: Context, keep: Collection[str], keytool: str | None, password: str | None
) -> list[str]:
    """Take out what a step has put in, where the stores were changed since.

    Args:
        intend: its line from before.
        done: its line from after.
        context: of its change.
        keep: SHA-256 of certificates that other changes rely on: they stay.
        keytool: reads a written key store back; None: key stores are left alone.
        password: what the user gave for key stores.

    Returns:
        What is left, one sentence each.
    """
    from trustmend.change import remove

    swaps = _swaps(intend, done)
    family = _system(intend)
    context.clear([os.path.dirname(swap.path) for swap in swaps])
    if family is not None:
        return remove.from_system(swaps, family, context, keep, keytool)
    method = str(intend.get("method"))
    if method == "directory":
        return remove.from_folder(swaps, context, keep)
    if method == "nss":
        return remove.from_database(swaps, context, keep, password)
    return remove.from_file(swaps[0], method, context, keep, keytool, password)
