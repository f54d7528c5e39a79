"""The program's start: the search of the disk begins in a child process while this one still loads its code.

Both take about 40 ms, so that an audit of a whole host is a third faster so. Which command it will be is only guessed
here from its first word: a search that nobody asks for is ended, and one that was not begun is made when it is needed.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Pending

_SEARCHING: Final = ("audit", "stores", "patch")
_WITH_VALUE: Final = frozenset(
    ("--bundle", "--at", "--server-sends", "--warn-days", "--scan", "--password-file", "--format", "-o", "--output")
)

_begun: list[Pending] = []


def main() -> None:
    """Run the command line and exit with its code."""
    # A short life in which next to nothing becomes garbage that only the collector finds.
    gc.set_threshold(200_000)
    if _will_search(sys.argv[1:]):
        _begin()
    from trustmend.cli.app import run

    try:
        code = run(sys.argv[1:])
    finally:
        for pending in _begun:
            pending.close()
    raise SystemExit(code)


def _will_search(words: list[str]) -> bool:
    """Whether the command line looks like one that searches this whole host: no PATH and no other root."""
    words = _from_command(words)
    if not words or words[0] not in _SEARCHING or "--all" in words or "--help" in words or "-h" in words:
        return False
    if words[0] == "patch":  # even with PATHs: who makes and reads them is found so
        return True
    values = {at + 1 for at, word in enumerate(words) if word in _WITH_VALUE}
    return all(word.startswith("-") or at in values for at, word in enumerate(words) if at)


def _from_command(words: list[str]) -> list[str]:
    """The words from the command's name on; nothing for another root."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        if words[at].startswith("--root"):
            return []
        at += 2 if words[at] in ("--state-dir", "--config") else 1
    return words[at:]


def _begin() -> None:
    from trustmend.discover import left_alone
    from trustmend.host import Host
    from trustmend.places import tree

    host = Host.of(None)
    _begun.append(tree.start_survey(host, left_alone(host, own=False)))


def survey(host: Host, leave: frozenset[str]) -> Pending:
    """The search that `main` began, if it is the one that is wanted; else a new one."""
    from trustmend.places import tree

    if _begun and (_begun[0].host.root, _begun[0].leave) == (host.root, leave):
        return _begun.pop()
    return tree.start_survey(host, leave)
