"""What commands that change a host share: the state folder, the lock, recovering what was cut off, and the question."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trustmend.certificate import printable
from trustmend.cli import options
from trustmend.errors import Exit, RefusedError, TrustError
from trustmend.host import Host

if TYPE_CHECKING:
    from trustmend.change.history import Record
    from trustmend.change.owner import Hands
    from trustmend.change.rollback import Tools
    from trustmend.change.state import Lock, StateFolder
    from trustmend.cli.app import Settings


class HandsNeededError(TrustError):
    """Something that was begun could be neither finished nor taken back."""

    exit_code = Exit.HANDS_NEEDED


@dataclass(frozen=True)
class Desk:
    """What a writing command works with."""

    settings: Settings
    host: Host
    hands: Hands
    state: StateFolder

    @staticmethod
    def of(settings: Settings, host: Host) -> Desk:
        """For the host, with the state folder that the command line names."""
        from trustmend.change.disk import Disk
        from trustmend.change.files import Files
        from trustmend.change.owner import Hands
        from trustmend.change.state import StateFolder, folder_of

        disk = Disk()
        return Desk(
            settings, host, Hands(Files(host.root, disk)), StateFolder(folder_of(host, settings.state_dir), disk)
        )

    def say(self, text: str) -> None:
        """A line of progress."""
        options.say(self.settings, f"  {printable(text)}")

    def records(self) -> list[Record]:
        """All changes, oldest first. Raises RefusedError."""
        from trustmend.change.history import load_all

        return load_all(self.state)

    def tools(self, lock: Lock, keytool: str | None = None, password: str | None = None) -> Tools:
        """What taking something back works with."""
        from trustmend.change.rollback import Tools

        return Tools(self.host, self.hands, (lock.descriptor,), self.say, keytool, password)

    @contextmanager
    def locked(self) -> Iterator[Lock]:
        """The lock, held. Raises RefusedError."""
        lock = self.state.lock(waiting=lambda: options.say(self.settings, "waiting for another change to end"))
        try:
            yield lock
        finally:
            lock.close()

    def recover(self, lock: Lock) -> list[tuple[Record, list[str]]]:
        """Put right what was cut off, and say so.

        Raises:
            HandsNeededError: something is left.
        """
        from trustmend.change.rollback import recover, sweep

        sweep(self.state, self.state.disk)
        done = recover(self.records(), self.tools(lock))
        for record, left in done:
            words = "was whole, and is closed" if record.state in ("applied", "partial") else "was taken back"
            if left:
                words = f"could not be taken back: {'; '.join(left)}"
            options.say(self.settings, f"change {record.id} had been cut off: it {printable(words)}")
        if any(left for _, left in done):
            raise HandsNeededError(
                "a change that was cut off could not be put right",
                hint=f"trustmend history tells which; its backups are in {printable(self.state.changes)}",
            )
        return done


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless the command line has answered.

    Raises:
        RefusedError: there is nobody to ask, or the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise RefusedError("there is no terminal to ask on; nothing was changed", hint="--yes answers the question")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise RefusedError("nothing was changed")
