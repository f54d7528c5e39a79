"""What stands around the stores that a patch may touch: rights, mounts, packages, programs. Nothing is written here."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from trustmend import bars, systems
from trustmend.audit import Judged
from trustmend.bundle_manifest import BundleRole
from trustmend.certificate import Certificate, name_hash, printable
from trustmend.change import obstacles
from trustmend.change.files import Files
from trustmend.change.versions import brought_by_java, brought_by_package
from trustmend.errors import MalformedError
from trustmend.formats import registry
from trustmend.formats.directory import HASH_LINK
from trustmend.formats.jks import DEFAULT_PASSWORD
from trustmend.host import Host
from trustmend.model import Family, Kind, Store
from trustmend.places import mounts, packages
from trustmend.places.os_store import distribution
from trustmend.plan import KEY_STORES, Facts, Obstacle, SystemFacts
from trustmend.systems import System

_NO_PACKAGES: Final = ("/tmp/", "/var/tmp/", "/dev/shm/")  # noqa: S108  none brings files there
_NO_SPACE_BYTES: Final = 1 << 16  # what the file system itself may need besides the content


@dataclass(frozen=True)
class Surroundings:
    """The facts of one host for one patch.

    Args:
        host: whose.
        files: the same root's.
        stores: all that were judged.
        password: what the user gave for key stores.
        keytools: programs that may be able to read key stores, the best first.
        allow_chroot: programs of a foreign root may be run inside it.
    """

    host: Host
    files: Files
    stores: Sequence[Judged]
    password: str | None
    keytools: Sequence[str]
    allow_chroot: bool = False

    def of_store(self, judged: Judged) -> Facts:
        """What a plan needs to know of a store that is changed where it stands."""
        store = judged.store
        obstacle = self.obstacle(store)
        package = self._packages.get(store.path)
        roots = [m.sha256 for m in judged.missing if m.role is BundleRole.ROOT]
        newer = brought_by_package(package, roots) if package is not None else brought_by_java(store, roots)
        hopeless = newer if newer is not None and newer.startswith("no ") else None
        facts = Facts(
            obstacle=obstacle,
            package=None if package is None else package.words,
            upgrade=None if package is None else packages.upgrade(package, store.path),
            newer=None if hopeless else newer,
            hopeless=hopeless,
        )
        if store.content.kind is Kind.PEM_DIRECTORY:
            return replace(facts, names=self._links(store.path))
        try:
            read = self.host.read(store.path)
        except OSError as problem:
            return replace(
                facts, obstacle=Obstacle(f"it cannot be read: {problem.strerror}", "look at what stands there")
            )
        facts = replace(facts, content=read.content, hard_links=read.status.st_nlink)
        if store.content.kind is Kind.NSS:
            return self._of_database(store, facts)
        if store.content.kind not in KEY_STORES:
            return facts
        opens, password = self._password(store, read.content)
        if opens and obstacle is None:
            facts = replace(facts, obstacle=self._cannot_add(judged, read.content, password))
        return replace(facts, opens=opens, password=password, keytool=self._keytool(store))

    def _of_database(self, store: Store, facts: Facts) -> Facts:
        """What is known around an NSS database."""
        from trustmend.change import nss
        from trustmend.formats.nss import password_fits

        path = nss.keys_path(store.path)
        facts = replace(facts, certutil=nss.program(self.host), beside=(path,))
        try:
            keys: bytes | None = self.host.read(path).content
        except FileNotFoundError:
            keys = None
        except OSError as problem:
            text = f"{printable(path)}, which belongs to it, cannot be read: {problem.strerror}"
            return replace(facts, opens=True, obstacle=Obstacle(text, "run this as its owner or as root"))
        candidates = dict.fromkeys([*([] if self.password is None else [self.password]), ""])
        # What cannot be told here certutil will say.
        fitting = next((one for one in candidates if keys is None or password_fits(keys, one) is not False), None)
        obstacle = (
            facts.obstacle or self.cannot_write(path, exists=keys is not None) or nss.in_use(self.host, store.path)
        )
        return replace(facts, opens=fitting is not None, password=fitting, obstacle=obstacle)

    @cached_property
    def _packages(self) -> dict[str, packages.Package]:
        paths = {j.store.path for j in self.stores if j.store.counted and not j.store.source}
        sources = {j.store.source for j in self.stores if j.store.source}
        known = [systems.system_of(source, distribution(self.host)) for source in sources]
        paths |= {command[0] for system in known if system for command in [self._command(system)] if command}
        return packages.owners(self.host, {path for path in paths if not path.startswith(_NO_PACKAGES)})

    def _links(self, path: str) -> dict[str, str]:
        """Name -> link target, "" for what is no link."""
        found = {}
        for name in self.host.listed(path):
            full = self.host.outside(f"{path}/{name}")
            found[name] = os.readlink(full) if os.path.islink(full) else ""
        return found

    def _password(self, store: Store, content: bytes) -> tuple[bool, str | None]:
        """Whether a known password (None: no password at all) opens the key store for writing, and which."""
        configured = [use.secret for use in store.uses if use.secret is not None]
        given = [self.password] if self.password is not None else []
        for candidate in dict.fromkeys([*configured, *given, DEFAULT_PASSWORD, "", None]):
            try:
                registry.add_to_key_store(content, store.content.kind, [], candidate, self.host.now)
            except MalformedError:
                continue
            return True, candidate
        return False, None

    def _cannot_add(self, judged: Judged, content: bytes, password: str | None) -> Obstacle | None:
        """Why nothing can be added to a key store that opens: a taken alias, or a key whose chain would change."""
        additions = [(systems.alias(one.certificate), one.certificate) for one in judged.missing]
        kind = judged.store.content.kind
        try:
            registry.add_to_key_store(content, kind, additions, password, self.host.now)
        except MalformedError as problem:
            return Obstacle(f"nothing can be added to it: {problem}", "add it with keytool -importcert, and look at it")
        return None

    def _keytool(self, store: Store) -> str | None:
        """The keytool of a JVM that reads the store, else another one; one that this process may run."""
        own = [f"{use.program}/bin/keytool" for use in store.uses if use.reader == "jsse" and use.program]
        machine = Host(name=self.host.name)  # for a foreign root the machine's own: nothing of that root is run
        candidates = [*(own if not self.host.foreign else []), *self.keytools]
        return next((one for one in dict.fromkeys(candidates) if machine.safe_to_run(one)), None)

    def obstacle(self, store: Store) -> Obstacle | None:
        """Why this process cannot write the store, or must not."""
        path = store.path
        if (found := self._leads_out(store)) is not None:
            return found
        if path in self._mount_points:
            return Obstacle(
                "it is mounted on its own, as containers have single files: nothing can be put in its place",
                "change the file outside that is mounted there, or the image",
            )
        probe = f"{path}/-" if store.content.kind is Kind.PEM_DIRECTORY else path
        return self.cannot_write(probe, exists=store.content.kind is not Kind.PEM_DIRECTORY)

    def cannot_write(self, path: str, *, exists: bool) -> Obstacle | None:
        """Why nothing can be put at `path`, by rights, flags and mounts. `exists`: a file stands there."""
        above = os.path.dirname(path)
        folder = self.host.outside(above)
        try:
            uid, _ = self.files.owner(path) if os.geteuid() == 0 else (0, 0)
            room = os.statvfs(folder)
            if room.f_flag & os.ST_RDONLY:
                return obstacles.read_only(self.host, above)
            for one in [folder, self.host.outside(path)] if exists else [folder]:
                if (flag := obstacles.flag(one)) is not None:
                    return Obstacle(f"{printable(one)} is {flag}", f"chattr -{flag[-2]} {printable(one)}, if you may")
            if os.geteuid() != 0 and not os.access(folder, os.W_OK | os.X_OK):
                return Obstacle("it belongs to another user", "as root: sudo trustmend patch PATH")
            if uid == 0 and exists and os.path.exists(self.host.outside(path)):
                needed = os.stat(self.host.outside(path)).st_size + _NO_SPACE_BYTES
                if room.f_bavail * room.f_frsize < needed:
                    return Obstacle(f"there is no room on the file system of {printable(above)}", "make room first")
        except OSError as problem:
            if problem.errno in (errno.ELOOP, errno.ENOTDIR):
                return Obstacle("a link stands on the way to it", "name the file that it leads to")
            return Obstacle(problem.strerror or str(problem), "look at the folder's owner and rights")
        return None

    def _leads_out(self, store: Store) -> Obstacle | None:
        """For root: a link of a user's leads to a file that is not that user's, and nothing else leads there."""
        if os.geteuid() != 0 or store.direct:
            return None
        try:
            there, _ = self.files.owner(store.path)
            for link in store.links:
                whose, _ = self._owner_of_link(link)
                if whose not in (0, there):
                    who = f"user {whose}'s link {printable(link)} leads there"
                    return Obstacle(f"{who}, out of what is theirs", f"name {printable(store.path)} if it is meant")
        except OSError:
            return None
        return None

    def _owner_of_link(self, link: str) -> tuple[int, int]:
        """Who can move the link: the owner of the first folder on its way that is not root's."""
        real = self.host.resolve(os.path.dirname(link))
        return self.files.owner(f"{real}/{os.path.basename(link)}")

    @cached_property
    def _mount_points(self) -> frozenset[str]:
        return mounts.points(self.host)

    def of_system(self, source: str, certificates: Sequence[Certificate]) -> SystemFacts | None:
        """What a plan needs to know of the system's own way to take in certificates."""
        system = systems.system_of(source, distribution(self.host))
        if system is None:
            return None
        existing = self._standing(system, certificates)
        files, folder = self._artifacts(system)
        command = self._command(system)
        package = self._packages.get(command[0]) if command else None
        roots = [c.sha256 for c in certificates if c.self_signed]
        wanted = {c.sha256 for c in certificates}
        return SystemFacts(
            system,
            command=command,
            newer=None if package is None else brought_by_package(package, roots),
            upgrade=None if package is None or command is None else packages.upgrade(package, command[0]),
            obstacle=self._system_obstacle(system),
            bars={sha256: where for sha256, where in bars.of_system(self.host, system).items() if sha256 in wanted},
            existing=existing,
            files=files,
            directory=folder,
            links={} if folder is None else self._links(folder),
            pending=tuple(sorted(self._pending(system, folder))),
            unreached=frozenset(self._unreached(system)),
        )

    def _command(self, system: System) -> tuple[str, ...] | None:
        for command in system.commands:
            if self.host.is_file(command[0]):
                return command
        return None

    def _system_obstacle(self, system: System) -> Obstacle | None:
        command = self._command(system)
        words = " ".join(command or system.commands[0])
        if self.host.environ.get("TRANSACTIONAL_UPDATE"):
            text = "a transactional update is under way: the command would only leave a note for the next start"
            return Obstacle(text, "run this after the restart into the new snapshot")
        if self.host.foreign and not self.allow_chroot:
            return Obstacle(
                f"{words} of this root would have to run inside it",
                f"if you trust its programs: trustmend --root {printable(self.host.root)} patch --allow-chroot",
            )
        if os.geteuid() != 0:
            return Obstacle(f"{system.source} belongs to root", "sudo trustmend patch")
        if self.host.foreign:
            if not self.host.is_dir("/proc/self"):
                text = f"/proc is not mounted in {printable(self.host.root)}, and keytool needs it there"
                return Obstacle(text, f"mount -t proc proc {printable(self.host.root)}/proc")
        elif command is not None and (unsafe := self._unsafe(system, command[0])):
            return Obstacle(
                f"{printable(unsafe)}, which {command[0]} runs as root, can be changed by others",
                "give it and its folders to root alone",
            )
        if system.configured is not None and (state := self._package_state(system.configured)) == "half-configured":
            text = f"the package {system.configured} is {state}: its part of the work would silently not be done"
            return Obstacle(text, f"dpkg --configure {system.configured}, and then this again")
        for folder in (system.source, *system.watched):
            if self.host.is_dir(folder) and (found := self.cannot_write(f"{folder}/-", exists=False)) is not None:
                return found
        return None

    def _package_state(self, name: str) -> str | None:
        """How far dpkg has come with a package ("installed", "half-configured"); None where it does not know it."""
        try:
            status = self.host.read("/var/lib/dpkg/status").content
        except OSError:
            return None
        _, found, rest = b"\n\n".join((b"", status)).partition(b"\nPackage: %s\n" % name.encode())
        line = next((one for one in rest.split(b"\n\n", 1)[0].splitlines() if one.startswith(b"Status: ")), b"")
        return line.split()[-1].decode("ascii", "replace") if found and line else None

    def _unsafe(self, system: System, program: str) -> str | None:
        """A program that the command would start, and that others than root can write."""
        hooks = [f"{system.hooks}/{name}" for name in self.host.listed(system.hooks)] if system.hooks else []
        return next((one for one in [program, *hooks] if not self.host.safe_to_run(one)), None)

    def _lines(self, path: str) -> list[str]:
        try:
            return self.host.read(path).content.decode("utf-8", "surrogateescape").splitlines()
        except OSError:
            return []

    def _standing(self, system: System, certificates: Iterable[Certificate]) -> frozenset[str]:
        """Those of which a file of ours, or of somebody else's in the source, stands there already."""
        held: set[str] = set()
        for folder in {system.source, system.folder}:
            for name in self.host.listed(folder):
                held |= bars.certificates(self.host, f"{folder}/{name}") if name.endswith(system.suffix) else set()
        return frozenset(c.sha256 for c in certificates if c.sha256 in held)

    def _artifacts(self, system: System) -> tuple[tuple[str, ...], str | None]:
        """The files that the command writes, and the hash directory that it fills."""
        files: list[str] = []
        folder: str | None = None
        for judged in self.stores:
            store = judged.store
            if store.source != system.source:
                continue
            if store.content.kind is Kind.PEM_DIRECTORY:
                folder = folder or store.path
            elif not (store.family is Family.JAVA and store.path in self._unreached(system)):
                files.append(store.path)
        if not system.spreads:  # p11-kit: it writes all of it anew, and names what is in its folders after labels
            files += [path for top in system.watched for path in self._all_files(top)]
            files += [f"{top}/" for top in self._hash_folders(system.watched)]
            return tuple(sorted(set(files))), None
        return tuple(sorted(set(files))), folder

    def _hash_folders(self, folders: Iterable[str]) -> Iterator[str]:
        """The hash directories among these folders and all below."""
        for folder in folders:
            names = self.host.listed(folder)
            if any(HASH_LINK.match(name) for name in names):
                yield folder
            below = [f"{folder}/{name}" for name in names if not os.path.islink(self.host.outside(f"{folder}/{name}"))]
            yield from self._hash_folders(path for path in below if self.host.is_dir(path))

    def _pending(self, system: System, folder: str | None) -> set[str]:
        """What Debian's command would change even without us: links by name that are not there, or lead elsewhere.

        Source: update-ca-certificates, add() and remove().
        """
        if folder is None or system.shipped is None or system.deselected is None:
            return set()
        links = self._links(folder)
        lines = [line for line in self._lines(system.deselected) if line and not line.startswith("#")]
        taken = [f"{system.shipped}/{line}" for line in lines if not line.startswith("!")]
        taken += [path for path in self._all_files(system.source) if path.endswith(system.suffix)]
        found = set()
        for path in taken:
            name = system.link.format(_link_name(path))
            if self.host.is_file(path) and links.get(name) != path:
                found |= {f"{folder}/{name}", *(f"{folder}/{one}" for one in self._hash_names(path, links))}
        for line in lines:
            name = system.link.format(os.path.basename(line[1:]).removesuffix(".crt"))
            if line.startswith("!") and links.get(name):
                found |= {f"{folder}/{name}", *(f"{folder}/{n}" for n, to in links.items() if to == name)}
        return found

    def _hash_names(self, path: str, links: Mapping[str, str]) -> list[str]:
        """The hash links that a certificate's file gets or may exchange with others of its name."""
        try:
            content = self.host.read(path).content
        except OSError:
            return []
        digits = {name_hash(entry.certificate) for entry in registry.read(content, Kind.PEM_BUNDLE, None).entries[:1]}
        return [f"{one}.{n}" for one in digits for n in range(sum(name.startswith(f"{one}.") for name in links) + 1)]

    def _all_files(self, folder: str) -> list[str]:
        found = []
        for name in self.host.listed(folder):
            path = f"{folder}/{name}"
            full = self.host.outside(path)
            if os.path.isdir(full) and not os.path.islink(full):
                found += self._all_files(path)
            elif os.path.isfile(full) and not os.path.islink(full):
                found.append(path)
        return found

    def _unreached(self, system: System) -> list[str]:
        """Java stores that no hook of the system's command writes: they are changed like any other."""
        if system.hooks is None:
            return []
        hook = any("jks" in name or "java" in name for name in self.host.listed(system.hooks))
        off = [line.partition("=")[2].strip("\"' ") for line in self._lines("/etc/default/cacerts")
               if line.startswith("cacerts_updates=")]  # fmt: skip
        if hook and (not off or off[-1] == "yes"):
            return []
        return [j.store.path for j in self.stores if j.store.source == system.source and j.store.family is Family.JAVA]


def _link_name(path: str) -> str:
    """The name that Debian's command links a certificate by, without its ending."""
    name = os.path.basename(path).removesuffix(".crt")
    return name.translate(str.maketrans(" (),", "_==_"))
