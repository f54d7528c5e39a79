"""Patches of stores in a folder, made by the core with any disk: for tests that break the disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from trustmend.audit import judge
from trustmend.bundle import Bundle
from trustmend.change import apply, history, rollback
from trustmend.change.apply import Result
from trustmend.change.disk import Disk
from trustmend.change.facts import Surroundings
from trustmend.change.files import Files
from trustmend.change.journal import Journal
from trustmend.change.owner import Hands
from trustmend.change.state import StateFolder
from trustmend.change.work import Context
from trustmend.host import Host
from trustmend.model import Family, Location
from trustmend.plan import Plan, Wishes
from trustmend.planning import make
from trustmend.report import change_json
from trustmend.stores import Reading, read_stores

Snapshot = dict[str, tuple[object, ...]]


@dataclass
class Bench:
    """Stores by path, a bundle, and a state folder."""

    stores: Sequence[Path]
    bundle: Bundle
    state: Path
    disk: Disk = field(default_factory=Disk)
    host: Host = field(default_factory=lambda: Host(now=datetime.now(UTC)))
    keytools: Sequence[str] = ()
    password: str | None = None
    count: int = 0

    @property
    def hands(self) -> Hands:
        """With the disk of this moment."""
        return Hands(Files(self.host.root, self.disk))

    @property
    def folder(self) -> StateFolder:
        """The state folder."""
        return StateFolder(str(self.state), self.disk)

    def plan(self, wishes: Wishes | None = None) -> Plan:
        """What a patch of all the stores would do."""
        locations = [Location(str(path), Family.CUSTOM, named=True, by_user=True) for path in self.stores]
        found = read_stores(self.host, locations, Reading(self.password))
        judged = [judge(store, [self.bundle], self.host.now) for store in found]
        around = Surroundings(self.host, self.hands.files, judged, self.password, self.keytools)
        return make(judged, [self.bundle], self.host.now, wishes or Wishes(), around.of_store, around.of_system)

    def patch(self, plan: Plan | None = None) -> list[Result]:
        """Plan and apply; the results of the steps."""
        wanted = plan or self.plan()
        self.folder.make()
        self.count += 1
        name = f"{self.host.now:%Y%m%dT%H%M%SZ}-{self.count:04}"
        begin = change_json.begin(wanted, name, self.host.root, self.host.now)
        journal = Journal.create(f"{self.folder.changes}/{name}", self.disk, begin)
        context = Context(self.host, self.hands, journal)
        return apply.apply(wanted, lambda _: [], context, lambda _: None)

    def records(self) -> list[history.Record]:
        """All changes."""
        return history.load_all(self.folder)

    def tools(self) -> rollback.Tools:
        """To take changes back with."""
        return rollback.Tools(self.host, self.hands, (), lambda _: None, next(iter(self.keytools), None), self.password)

    def take_back(self, *, surgical: bool = False) -> list[str]:
        """Take the last change back that stands."""
        records = self.records()
        record = history.chosen(records, None, undoable=True)
        return rollback.take_back(record, records, self.tools(), surgical=surgical)

    def recover(self) -> list[tuple[history.Record, list[str]]]:
        """As every writing command does first."""
        rollback.sweep(self.folder, self.disk)
        return rollback.recover(self.records(), self.tools())

    def trusted(self) -> list[bool]:
        """Whether each store trusts the chains now."""
        locations = [Location(str(path), Family.CUSTOM, named=True, by_user=True) for path in self.stores]
        found = read_stores(self.host, locations, Reading(self.password))
        return [judge(store, [self.bundle], self.host.now).verdict == "trusted" for store in found]


def snapshot(*tops: Path) -> Snapshot:
    """Everything below these paths: type, mode, owner, content or target, extended attributes. No times."""
    found: Snapshot = {}
    for top in tops:
        for path in [top, *sorted(top.rglob("*"))] if top.is_dir() and not top.is_symlink() else [top]:
            status = path.lstat()
            content: object = None
            attributes: tuple[object, ...] = ()
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                content = path.read_bytes()
                attributes = tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)))
            found[str(path)] = (status.st_mode, status.st_uid, status.st_gid, content, *attributes)
    return found
