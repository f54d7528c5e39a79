"""Reading: locations in, stores out. Each file or folder is opened once, however many paths lead to it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from trustmend.bars import of_system
from trustmend.certificate import printable
from trustmend.formats import directory, registry
from trustmend.formats.directory import HASH_LINK, Member
from trustmend.host import Host
from trustmend.model import NSS, Content, EntryKind, Family, Finding, Kind, Loaded, Location, Role, Severity, Store, Use
from trustmend.places import p11_kit as p11_kit_folders
from trustmend.places.os_store import distribution
from trustmend.systems import system_of

_MEMBER_BYTES: Final = 4 * 1024 * 1024
_MAX_MEMBERS: Final = 20_000
_COLLECTION: Final = 5
"""A folder with this many files of one certificate each is a collection to pick from, not so many trust stores."""
_KEY_STORES: Final = frozenset({Kind.JKS, Kind.JCEKS, Kind.PKCS12, Kind.BCFKS})


@dataclass(frozen=True)
class Reading:
    """What is needed to read stores besides the host.

    password: the one the user gave for key stores that no place knows the password of.
    public_roots: gives the SHA-256 of roots that the public trusts; asked where the content decides a role.
    keytools: gives programs that may read formats which Python cannot.
    """

    password: str | None = None
    public_roots: Callable[[], frozenset[str]] = frozenset
    keytools: Callable[[], Sequence[str]] = tuple


@dataclass(slots=True)
class _Spot:
    """All locations that lead to one file or folder, which `path` names without links."""

    path: str
    locations: list[Location] = field(default_factory=list)
    """Those of trustmend's own environment count only where there is no other."""
    trouble: str | None = None  # why it cannot even be looked up

    @property
    def first(self) -> Location:
        """The location that names family and source: the first found by a place that says a role."""
        return next((found for found in self.locations if found.role is not None), self.locations[0])


def read_stores(host: Host, locations: Iterable[Location], reading: Reading) -> list[Store]:
    """Every store that the locations lead to, once, in the order found; those that are not there are left out,
    unless somebody names them: then they are a row that says so.
    """
    spots = _gather(host, locations)
    files = {spot.path for spot in spots}
    seen: dict[tuple[str, str | None], Content] = {}
    stores = [store for spot in spots if (store := _open(host, spot, files, reading, seen))]
    return _with_bars(host, _without_collections(stores))


def _with_bars(host: Host, stores: Sequence[Store]) -> list[Store]:
    """The same stores; those that are made from a source know what that is told not to trust."""
    words = distribution(host) if any(store.source for store in stores) else []
    systems = {store.source: system_of(store.source, words) for store in stores if store.source}
    bars = {source: of_system(host, system) for source, system in systems.items() if system is not None}
    return [
        replace(store, bars=known) if store.source and (known := bars.get(store.source)) else store for store in stores
    ]


def _gather(host: Host, locations: Iterable[Location]) -> list[_Spot]:
    """The locations by where their links end."""
    spots: dict[str, _Spot] = {}
    for location in locations:
        try:
            real, trouble = host.resolve(location.path), None
        except OSError as problem:
            real, trouble = location.path, _words(problem)
        if location.part is not None:
            real = f"{real}!/{location.part}"
        spot = spots.setdefault(real, _Spot(real, trouble=trouble))
        if location not in spot.locations:
            spot.locations.append(location)
    for spot in spots.values():
        spot.locations = [found for found in spot.locations if not found.own] or spot.locations
    return list(spots.values())


def _words(problem: OSError) -> str:
    """Why a file could not be opened, in words."""
    match problem.errno:
        case 2 | 20:
            return "there is no such file"
        case 13 | 1:
            return "permission denied; run as its owner or as root to read it"
        case 40:
            return "its links lead in a circle"
        case _:
            return problem.strerror or str(problem)


def _open(
    host: Host, spot: _Spot, files: set[str], reading: Reading, seen: dict[tuple[str, str | None], Content]
) -> Store | None:
    """One store, read; None where nothing is there and nobody names it."""
    if spot.trouble is not None:
        return _store(spot, Content(_guess(spot), error=spot.trouble), None, reading)
    if spot.first.data is not None:
        return _store(spot, *_read_bytes(host, spot, spot.first.data, reading, seen), reading)
    try:
        if stat.S_ISDIR(host.stat(spot.path).st_mode):
            content, digest = _read_folder(host, spot.path, files - {spot.path}, seen)
        else:
            content, digest = _read_file(host, spot, reading, seen)
    except OSError as problem:
        if problem.errno in (2, 20) and not any(found.named for found in spot.locations):
            return None
        return _store(spot, Content(_guess(spot), error=_words(problem)), None, reading)
    return _store(spot, content, digest, reading)


def _guess(spot: _Spot) -> Kind:
    """The kind that a store without content would be of."""
    if spot.path.endswith(".db") and any(use.reader == "nss" for use in _uses(spot)):
        return Kind.NSS
    java = spot.first.family is Family.JAVA or any(use.reader == "jsse" for use in _uses(spot))
    return Kind.JKS if java else Kind.PEM_BUNDLE


def _read_file(
    host: Host, spot: _Spot, reading: Reading, seen: dict[tuple[str, str | None], Content]
) -> tuple[Content, str]:
    """A file's content by its form, and its SHA-256. Raises OSError."""
    return _read_bytes(host, spot, host.read(spot.path).content, reading, seen)


def _read_bytes(
    host: Host, spot: _Spot, data: bytes, reading: Reading, seen: dict[tuple[str, str | None], Content]
) -> tuple[Content, str]:
    """What the bytes hold by their form, and their SHA-256."""
    digest = hashlib.sha256(data).hexdigest()
    password = _password(spot, reading)
    if (content := seen.get((digest, password))) is not None:
        return content, digest
    kind = registry.recognise(data)
    if kind is Kind.BCFKS:
        from trustmend.formats import bcfks  # rare

        content = bcfks.read(data, password, host=host, keytools=reading.keytools(), path=host.outside(spot.path))
    elif kind is None:
        return registry.nothing_known(data, _guess(spot)), digest
    else:
        content = registry.read(data, kind, password)
    seen[digest, password] = content
    return content, digest


def _password(spot: _Spot, reading: Reading) -> str | None:
    """The configured password of the program that reads it, else the one given for stores that users name."""
    configured = next((use.secret for use in _uses(spot) if use.secret is not None), None)
    if configured is not None:
        return configured
    return reading.password if any(found.by_user or found.role is None for found in spot.locations) else None


def _read_folder(
    host: Host, path: str, others: set[str], seen: dict[tuple[str, str | None], Content]
) -> tuple[Content, str]:
    """A folder of certificates; files that are stores of their own (`others`) do not count as part of it."""
    if folders := p11_kit_folders.folders_of(host, path):
        return _read_trust(host, folders)
    names: dict[tuple[int, int], list[str]] = {}
    unreadable: dict[str, str] = {}
    for name in host.names(path)[:_MAX_MEMBERS]:
        full = f"{path.rstrip('/')}/{name}"
        try:
            status = host.stat(full)
        except OSError as problem:
            if HASH_LINK.match(name):
                unreadable[name] = _words(problem)
            continue
        if stat.S_ISREG(status.st_mode) and full not in others and status.st_size <= _MEMBER_BYTES:
            names.setdefault((status.st_dev, status.st_ino), []).append(name)
    digest = hashlib.sha256()
    members = []
    for same in names.values():
        try:
            data = host.read(f"{path.rstrip('/')}/{same[0]}", limit=_MEMBER_BYTES).content
        except OSError as problem:
            unreadable[same[0]] = _words(problem)
            continue
        own = hashlib.sha256(data).hexdigest()
        digest.update("\0".join([*same, own, ""]).encode("utf-8", "surrogateescape"))
        if (content := seen.get((own, None))) is None:
            kind = registry.recognise(data)
            if kind not in (Kind.PEM_BUNDLE, Kind.DER):
                continue
            content = seen[own, None] = registry.read(data, kind, None)
        members.append(Member(tuple(same), content))
    return directory.join(members, unreadable), digest.hexdigest()


def _read_trust(host: Host, folders: Sequence[str]) -> tuple[Content, str]:
    """What p11-kit's trust module makes of its folders, and the SHA-256 of all of it. Raises OSError."""
    from trustmend.formats import p11_kit

    places = {"": p11_kit.Place.BESIDE, "anchors": p11_kit.Place.ANCHORS}
    places |= dict.fromkeys(("blocklist", "blacklist"), p11_kit.Place.BLOCKLIST)
    digest = hashlib.sha256()
    files = []
    unreadable: dict[str, str] = {}
    for folder in (f"{top}/{name}".rstrip("/") for top in folders for name in places):
        if folder.endswith("/blacklist") and host.is_dir(f"{folder[: -len('blacklist')]}blocklist"):
            continue  # since p11-kit 0.23.21 it has the other name
        try:
            names = host.names(folder)
        except FileNotFoundError:
            continue
        except OSError as problem:
            unreadable[folder] = _words(problem)
            continue
        inner = folder.rpartition("/")[2]
        for name in names[:_MAX_MEMBERS]:
            path = f"{folder}/{name}"
            try:
                if stat.S_ISDIR(host.stat(path).st_mode):
                    continue  # it does not look below
                data = host.read(path, limit=_MEMBER_BYTES).content
            except OSError as problem:
                if problem.errno != 2:  # a link that leads nowhere
                    unreadable[path] = _words(problem)
                continue
            digest.update("\0".join([path, hashlib.sha256(data).hexdigest(), ""]).encode("utf-8", "surrogateescape"))
            place = places[inner] if folder not in folders else p11_kit.Place.BESIDE
            files.append(p11_kit.File(path, place, data))
    return p11_kit.join(files, unreadable), digest.hexdigest()


def _uses(spot: _Spot) -> tuple[Use, ...]:
    return tuple(dict.fromkeys(use for found in spot.locations for use in found.uses))


def _store(spot: _Spot, content: Content, digest: str | None, reading: Reading) -> Store:
    """The store as one value, with its role."""
    first = spot.first
    by_user = any(found.by_user for found in spot.locations)
    role = _role(spot, content, reading)
    shadowed = next((found.shadowed_by for found in spot.locations if found.shadowed_by), None)
    uses = _uses(spot)
    readers = [use for use in uses if use.reader == "nss"]
    if readers and NSS not in content.views and content.error is None:
        # Of a file that a policy has a browser import it takes the first certificate; p11-kit takes all.
        by_policy = all(use.setting is not None for use in readers)
        entries = content.entries[:1] if by_policy else content.entries
        content = replace(content, views={**content.views, NSS: Loaded(entries)})
    return Store(
        id=hashlib.sha256(os.fsencode(spot.path)).hexdigest()[:12],
        path=spot.path,
        links=tuple(sorted({_full_path(found) for found in spot.locations} - {spot.path})),
        family=first.family,
        role=role,
        content=content,
        uses=uses,
        source=first.source,
        owner=next((found.owner for found in spot.locations if found.owner), None),
        sha256=digest,
        counted=by_user or (role is Role.PUBLIC and (not shadowed or bool(uses)) and not _only_adds(uses, content)),
        by_user=by_user,
        own=all(found.own for found in spot.locations),
        direct=any(_full_path(found) == spot.path for found in spot.locations),
        shadowed_by=shadowed if not uses else None,
        findings=(
            *_name_findings(spot),
            *_client_findings(spot, role),
            *(finding for found in spot.locations for finding in found.findings),
        ),
        remedy=next((found.remedy for found in spot.locations if found.remedy), None),
    )


def _full_path(location: Location) -> str:
    return location.path if location.part is None else f"{location.path}!/{location.part}"


def _only_adds(uses: Sequence[Use], content: Content) -> bool:
    """Whether all programs that read it trust by other roots as well, so that what it lacks decides nothing."""
    return bool(uses) and all(use.extends for use in uses) and not any(entry.reject for entry in content.entries)


def _client_findings(spot: _Spot, role: Role) -> Iterator[Finding]:
    """Said of a public store by which some program lets clients in."""
    for use in (use for found in spot.locations if found.role is Role.CLIENT_AUTH for use in found.uses):
        if role is Role.PUBLIC:
            text = f"whoever has a certificate of one of its CAs may be let in as a client: {use.how}"
            yield Finding("verifies-clients", Severity.WARNING, text)


def _name_findings(spot: _Spot) -> Iterator[Finding]:
    """What the way to the store already shows."""
    if spot.path != printable(spot.path):
        text = f"its name has unprintable characters: {printable(spot.path)}"
        yield Finding("odd-name", Severity.INFO, text)


def _role(spot: _Spot, content: Content, reading: Reading) -> Role:
    """By place where a place says it, else by what it holds.

    A place that is public stays so whoever else reads it; a file by which one setting verifies servers and another one
    clients is public only if it holds public roots already.
    """
    roles = {found.role for found in spot.locations} - {None}
    if Role.PUBLIC in roles:
        return Role.PUBLIC
    if Role.CLIENT_AUTH in roles:
        servers = any(found.role is None and found.uses for found in spot.locations)
        by_content = _role_of_content(spot, content, reading)
        return Role.PUBLIC if servers and by_content is Role.PUBLIC and content.entries else Role.CLIENT_AUTH
    for role in (Role.PRIVATE, Role.UNKNOWN):
        if role in roles:
            return role
    return _role_of_content(spot, content, reading)


def _role_of_content(spot: _Spot, content: Content, reading: Reading) -> Role:
    if content.kind is Kind.NSS and content.empty:
        return Role.UNKNOWN
    if content.error is not None or content.empty:
        # Somebody trusts by it and it trusts nobody: that must not be hidden.
        return Role.PUBLIC if any(found.named for found in spot.locations) else Role.NOT_A_TRUST_STORE
    authorities = [e for e in content.entries if e.certificate.is_ca]
    if content.kind is Kind.NSS and not any(e.kind is EntryKind.CERTIFICATE for e in authorities):
        return Role.UNKNOWN  # it adds nothing to the roots that its programs carry
    # What a program takes for its trust store is one to it, whatever it looks like.
    if not any(found.uses for found in spot.locations) and not _is_trust_store(content, len(authorities)):
        return Role.NOT_A_TRUST_STORE
    public = reading.public_roots()
    return Role.PUBLIC if any(e.certificate.sha256 in public for e in authorities) else Role.PRIVATE


def _is_trust_store(content: Content, authorities: int) -> bool:
    """Whether a program would take it as a list of whom to trust, rather than as its own key and certificate."""
    if content.kind in _KEY_STORES or content.kind is Kind.NSS:
        return any(e.kind is EntryKind.CERTIFICATE for e in content.entries)
    if content.kind is Kind.DER or content.private_keys:
        return False
    roots = sum(e.certificate.self_signed and e.certificate.is_ca for e in content.entries)
    # A server's chain: its own certificate first, then those that lead up from it.
    chain = not content.entries[0].certificate.is_ca and roots < 2
    return authorities > 0 and not chain and (roots > 0 or authorities > 1)


def _without_collections(stores: Sequence[Store]) -> list[Store]:
    """The same stores, with single certificates that lie side by side in one folder marked as no trust stores."""
    lone: dict[str, int] = {}
    for store in stores:
        if _lone(store):
            lone[os.path.dirname(store.path)] = lone.get(os.path.dirname(store.path), 0) + 1
    return [
        _as_no_store(store) if _lone(store) and lone[os.path.dirname(store.path)] >= _COLLECTION else store
        for store in stores
    ]


def _lone(store: Store) -> bool:
    """A file of one certificate that only its content speaks for."""
    by_content = not store.uses and not store.by_user and store.family is Family.CUSTOM
    return by_content and len(store.content.entries) == 1 and store.content.kind is not Kind.PEM_DIRECTORY


def _as_no_store(store: Store) -> Store:
    return replace(store, role=Role.NOT_A_TRUST_STORE, counted=False)


def by_path(stores: Iterable[Store]) -> Mapping[str, Store]:
    """The stores by every path that leads to them."""
    return {path: store for store in stores for path in (store.path, *store.links)}
