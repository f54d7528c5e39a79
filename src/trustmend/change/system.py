"""The system's own way: our files into its source, its command, and then a look at everything that the command made.

What the command writes is kept beforehand, whole: if it fails, or is killed with us, all of it is put back as it was;
a second run of such a command alone does not repair what the first has left half done.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from trustmend.audit import Judged, judge
from trustmend.bundle import Bundle
from trustmend.certificate import printable
from trustmend.change.files import ABSENT, State, of_content
from trustmend.change.work import PROGRAM_ENVIRON, Context, Swap, in_words
from trustmend.errors import ReadError, StepError
from trustmend.formats import pem_write
from trustmend.host import Finished
from trustmend.model import Location, Verdict
from trustmend.plan import Step
from trustmend.planning import our_file
from trustmend.stores import Reading, read_stores
from trustmend.systems import SYSTEMS, System

COMMAND_S: Final = 600.0
"""How long a command may take, in seconds: on a small machine Java's part alone takes a minute."""
LOCK_S: Final = 120.0
"""How long a package manager is waited for, in seconds."""
_MOST_NAMES: Final = 50_000
_HOOK_FAILED: Final = re.compile(r"^E: .*|.* exited with code [1-9]\d*\.?$", re.MULTILINE)


def by_name(name: str) -> System:
    """The family of this name. Raises ValueError for one that we never wrote."""
    found = next((system for system in SYSTEMS if system.name == name), None)
    if found is None:
        raise ValueError(f"no system is called {printable(name)}")
    return found


def our_swaps(step: Step, context: Context) -> list[Swap]:
    """Our files in the source, and the folder they are in where it is missing."""
    if step.system is None:
        return []
    system = step.system.system
    missing = [c for c in step.add if c.sha256 not in step.system.existing]
    found: list[Swap] = []
    if missing and context.hands.look(system.folder).kind == "absent":
        found.append(Swap(system.folder, ABSENT, State("folder", mode=0o755)))
    for one in missing:
        path = our_file(system, one)
        before = context.hands.look(path)
        content = pem_write.block(context.journal.id, one.certificate)
        found.append(Swap(path, before, of_content(content, State("file", mode=0o644)), content))
    return found


def watch(system: System, context: Context) -> dict[str, State]:
    """Everything that the system's command writes, as it is now: the folders and files below, by path.

    Raises:
        StepError: it cannot be read.
    """
    found: dict[str, State] = {}
    try:
        for top in system.watched:
            _watch(top, context, found)
    except OSError as problem:
        raise StepError(f"what {system.commands[0][0]} makes cannot be read: {problem.strerror}") from problem
    return found


def _watch(path: str, context: Context, found: dict[str, State]) -> None:
    state = context.hands.look(path)
    if state.kind == "absent":
        return
    found[path] = state
    if len(found) > _MOST_NAMES:
        raise StepError("there are too many files in what the system's command makes")
    if state.kind == "folder":
        for name in context.hands.files.names(path):
            _watch(f"{path}/{name}", context, found)


def changed(before: Mapping[str, State], after: Mapping[str, State]) -> Iterator[Swap]:
    """What is another thing now, deepest paths last."""
    for path in sorted({*before, *after}):
        old, new = before.get(path, ABSENT), after.get(path, ABSENT)
        if old != new:
            yield Swap(path, old, new)


def run_command(system: System, context: Context) -> Finished:
    """Run the command of the system, with its package manager locked out.

    Raises:
        StepError: there is none, it could not be started, or it failed.
    """
    command = next((one for one in system.commands if context.host.is_file(one[0])), None)
    if command is None:
        raise StepError(f"{system.commands[0][0]} is not there any more")
    if not context.host.foreign and not context.host.safe_to_run(command[0]):
        raise StepError(f"{command[0]} can be changed by others than root; it is not run")
    with _package_lock(system, context) as environ:
        try:
            done = context.disk.run(
                context.host,
                command,
                environ={**PROGRAM_ENVIRON, **environ},
                timeout_s=COMMAND_S,
                chroot=context.host.foreign,
                inherit=context.inherit,
            )
        except ReadError as problem:
            raise StepError(problem.message) from problem
    if done.code != 0:
        raise StepError(f"{' '.join(command)} failed with code {done.code}: {last_words(done)}")
    return done


_DPKG: Final = "/usr/bin/dpkg"


def mend_package(system: System, context: Context) -> None:
    """Let the package manager finish a package that was cut off in its part of the command's work.

    Since Debian 12 the Java store is written in a trigger of dpkg. One that is killed there leaves its package half
    configured, and from then on the hook does nothing, and says so to nobody.
    Source: dpkg(1), package states; the hook and the postinst of ca-certificates-java.

    Raises:
        StepError: it cannot be finished.
    """
    if system.configured is None or context.host.foreign or not context.host.safe_to_run(_DPKG):
        return
    asked = [f"{_DPKG}-query", "-W", "-f=${db:Status-Status}", system.configured]
    try:
        state = context.disk.run(context.host, asked, environ=PROGRAM_ENVIRON, timeout_s=COMMAND_S)
        if state.code != 0 or state.stdout not in (b"half-configured", b"triggers-pending", b"triggers-awaited"):
            return
        context.say(f"finishing the package {system.configured}, which was cut off ({state.stdout.decode()})")
        with _package_lock(system, context) as environ:
            done = context.disk.run(
                context.host,
                [_DPKG, "--configure", system.configured],
                environ={**PROGRAM_ENVIRON, **environ},
                timeout_s=COMMAND_S,
                inherit=context.inherit,
            )
    except ReadError as problem:
        raise StepError(problem.message) from problem
    if done.code != 0:
        raise StepError(f"dpkg --configure {system.configured} failed: {last_words(done)}")


def last_words(done: Finished) -> str:
    """The last line that a program said, of its errors if it said any."""
    said = (done.stderr.strip() or done.stdout.strip()).decode("utf-8", "replace")
    return printable(said.rsplit("\n", 1)[-1].strip())[:300] or "it said nothing"


def complaints(done: Finished) -> str:
    """What a command that ended well says of hooks that did not; empty where all went well."""
    said = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")
    return "; ".join(printable(line.strip())[:200] for line in _HOOK_FAILED.findall(said)[:3])


@contextlib.contextmanager
def _package_lock(system: System, context: Context) -> Iterator[dict[str, str]]:
    """Hold the package manager's lock; what its own programs, which our command may start, must be told of that.

    Source: dpkg(1), DPKG_FRONTEND_LOCKED; rpm's .rpm.lock is a fcntl lock, too.
    """
    held: list[int] = []
    environ: dict[str, str] = {}
    try:
        for path in system.locks:
            descriptor = _open_lock(path, context)
            if descriptor is None:
                continue
            held.append(descriptor)
            _wait_for(descriptor, path, context)
            if path.endswith("/lock-frontend"):
                environ["DPKG_FRONTEND_LOCKED"] = "true"
        yield environ
    finally:
        for descriptor in held:
            os.close(descriptor)


def _open_lock(path: str, context: Context) -> int | None:
    """The lock file; None where there is no such package manager. Links in the root are followed inside it."""
    if context.host.foreign or not context.host.is_file(path):
        return None
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as problem:
        raise StepError(in_words(problem, path)) from problem


def _wait_for(descriptor: int, path: str, context: Context) -> None:
    until = time.monotonic() + LOCK_S
    waiting = False
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            if not waiting:
                waiting = True
                context.say(f"waiting for the package manager, which holds {path}")
            if time.monotonic() >= until:
                raise StepError(f"the package manager holds {path}; nothing was changed") from None
            time.sleep(0.2)
        else:
            return


def check(
    step: Step, artifacts: Sequence[Judged], bundles: Sequence[Bundle], at: datetime, context: Context
) -> list[str]:
    """What is wrong with what the command has made; empty where every artifact is as it should be.

    Args:
        step: the one that was made.
        artifacts: every store that is made from this source, as it was judged before.
        bundles: to judge for.
        at: the time.
        context: of the change.
    """
    if step.system is None:
        return []
    reaching = {c.sha256 for c in step.add}
    mended = {judged.store.path for judged in step.stores}
    problems = []
    for before in artifacts:
        store = before.store
        if store.path in step.system.unreached:
            continue
        found = read_stores(context.host, [_location(before)], Reading())
        if not found or found[0].content.error:
            problems.append(f"{store.path} cannot be read any more")
            continue
        now = {entry.certificate.sha256 for entry in found[0].content.entries}
        lost = {entry.certificate.sha256 for entry in store.content.entries} - now
        if lost:
            problems.append(f"{store.path} has lost {len(lost)} of its certificates")
        if missing := reaching - now:
            problems.append(f"{store.path} lacks {len(missing)} of the new certificates")
        elif store.path in mended:
            then = judge(found[0], bundles, at)
            if then.verdict is not Verdict.TRUSTED:
                problems.append(f"{store.path} still does not trust the chains")
    return problems


def _location(judged: Judged) -> Location:
    store = judged.store
    return Location(store.path, store.family, store.role, store.uses, store.source, store.owner, named=True)


def dangling(watched: Mapping[str, State], gone: Sequence[str]) -> list[str]:
    """The links among what the command makes that lead to our removed files, and those that lead to such links."""
    lost = set(gone)
    found: list[str] = []
    for _ in range(2):  # a hash link leads to a link by name, which leads to our file
        for path, state in watched.items():
            if state.kind == "link" and path not in found:
                target = os.path.normpath(os.path.join(os.path.dirname(path), state.target or ""))
                if target in lost:
                    found.append(path)
                    lost.add(path)
    return found
