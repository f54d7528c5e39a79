"""Every expected error and every exit code of trustmend; `cli.app.main` is the one place that prints them."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a command's exit code means; the table stands in README.md."""

    OK = 0
    CRASH = 1
    USAGE = 2
    GAPS = 3
    PARTIAL = 4
    HANDS_NEEDED = 5
    REFUSED = 6
    INTERRUPTED = 130


class TrustError(Exception):
    """An expected error: shown without a traceback, its hint on a line of its own.

    Args:
        message: what happened and to which thing; one sentence, no full stop.
        hint: what to do next, often a command; empty when there is nothing to add.
    """

    exit_code: Exit = Exit.REFUSED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(TrustError):
    """The command line asks for something that is not there or does not fit together."""

    exit_code = Exit.USAGE


class BundleError(TrustError):
    """A bundle is not what its manifest says, or is none; it is never installed."""

    exit_code = Exit.REFUSED


class RefusedError(TrustError):
    """A change is not made, and nothing was changed: a lock, missing rights, or a state folder of somebody else's."""

    exit_code = Exit.REFUSED


class StateError(TrustError):
    """The record of a change cannot be written on: what was begun stands in it, and is put right by `recover`."""

    exit_code = Exit.HANDS_NEEDED


class StepError(TrustError):
    """One store could not be changed; it is as it was."""

    exit_code = Exit.PARTIAL


class ChangedError(TrustError):
    """Something else stands at a path than was seen there before; nothing was done to it.

    Args:
        path: of the root.
    """

    exit_code = Exit.PARTIAL

    def __init__(self, path: str) -> None:
        super().__init__("it was changed meanwhile", hint="run the audit again, then the patch")
        self.path = path


class ReadError(TrustError):
    """A file could not be read as a whole; the store is counted as `unreadable`."""

    exit_code = Exit.PARTIAL


class MalformedError(ValueError):
    """Bytes that do not have the form they should; never ends a run, becomes a finding."""
