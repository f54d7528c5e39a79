"""Where systemd's units are: the folders of each manager, and which of their files make a unit, in what order.

Sources: systemd.unit(5), "Unit File Load Path", "Specifiers"; drop-ins as seen with `systemd --test`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from trustmend.places.config.files import homes
from trustmend.places.config.syntax.words import UNKNOWN

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

_SERVICE: Final = ".service"
_SYSTEM: Final = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
"""Where units are; an earlier folder wins (systemd.unit(5), "Unit File Load Path")."""
_USER: Final = (
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/local/share/systemd/user",
    "/usr/share/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
)
_HOME: Final = (".config/systemd/user.control", ".config/systemd/user", ".local/share/systemd/user")


@dataclass(frozen=True)
class Manager:
    """One service manager's search: its folders, and what it knows of the user whom it runs for."""

    title: str
    folders: tuple[str, ...]
    specifiers: Mapping[str, str]  # by letter, those that are the same for all its units
    own: tuple[str, ...] = ()  # the folders in the home


@dataclass
class Found:
    """The names in a manager's folders."""

    files: dict[str, str] = field(default_factory=dict)  # by unit; the first folder wins
    aliases: dict[str, set[str]] = field(default_factory=dict)
    dropins: dict[str, list[tuple[int, str]]] = field(default_factory=dict)  # by name without ".d"; earlier wins
    inside: dict[str, list[str]] = field(default_factory=dict)  # the names in each folder of drop-ins
    wanted: set[str] = field(default_factory=set)  # instances that something starts


def managers(host: Host, survey: Survey) -> Iterator[Manager]:
    """The system's manager, the one that every user has, and that of each user who has units of their own."""
    system = {"t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "T": "/tmp"}  # noqa: S108
    yield Manager("unit", _SYSTEM, {**system, "V": "/var/tmp", "h": "/root", "u": "root", "U": "0"})  # noqa: S108
    yield Manager("user unit", _USER, {})
    for home in homes(survey):
        mine = tuple(f"{home}/{folder}" for folder in _HOME if host.is_dir(f"{home}/{folder}"))
        if mine:
            known = {"h": home, "E": f"{home}/.config", "S": f"{home}/.config", "C": f"{home}/.cache"}
            yield Manager("user unit", (*mine, *_USER), known, mine)


def search(host: Host, folders: Sequence[str]) -> Found:
    """List every folder once, be it reached under two names (/lib and /usr/lib)."""
    found = Found()
    reals: set[str] = set()
    for order, folder in enumerate(folders):
        try:
            real = host.resolve(folder)
            if real in reals:
                continue
            reals.add(real)
            with host.entries(real) as listing:
                entries = sorted((entry.name, entry.is_symlink()) for entry in listing)
        except OSError:
            continue
        for name, link in entries:
            path = f"{folder}/{name}"
            if name.endswith(_SERVICE):
                _note_unit(host, found, name, path, link=link)
            elif name.endswith(f"{_SERVICE}.d") or name == "service.d":
                found.dropins.setdefault(name[:-2], []).append((order, path))
                found.inside[path] = [file for file in host.listed(path) if file.endswith(".conf")]
            elif name.endswith((".wants", ".requires")):
                found.wanted.update(one for one in host.listed(path) if one.endswith(_SERVICE) and _template(one))
    return found


def _note_unit(host: Host, found: Found, name: str, path: str, *, link: bool) -> None:
    if link:
        try:
            target = host.resolve(path).rpartition("/")[2]
        except OSError:
            return
        if target.endswith(_SERVICE) and target not in (name, _template(name)):
            found.aliases.setdefault(target, set()).add(name)
            return
    found.files.setdefault(name, path)


def _template(name: str) -> str:
    """ "a@.service" for "a@b.service"; empty for what is no instance."""
    stem, at, instance = name.removesuffix(_SERVICE).partition("@")
    return f"{stem}@{_SERVICE}" if at and instance else ""


def names(found: Found) -> list[str]:
    """The units to look at: instances where there are some, else their template as it stands."""
    instances = {name for name in (*found.wanted, *found.dropins) if _template(name) in found.files}
    templates = {_template(name) for name in instances}
    return sorted((found.files.keys() - templates) | instances)


def fragments(found: Found, name: str) -> list[str]:
    """A unit's own file, then its drop-ins in the order of their names.

    Of drop-ins with one name the one in the earlier folder wins, and in one folder's subfolders the unit's own, then
    its template's, then that of its prefixes ("a-.service.d"); those for all services ("service.d") come last.
    """
    main = found.files.get(name) or found.files[_template(name)]
    groups = [name, *sorted(found.aliases.get(name, ())), _template(name)]
    stem = name.removesuffix(_SERVICE).partition("@")[0]
    dashes = [at for at, sign in enumerate(stem) if sign == "-"]
    groups += [stem[: at + 1] + _SERVICE for at in reversed(dashes)]
    near = [(order, rank, path) for rank, group in enumerate(groups) for order, path in found.dropins.get(group, ())]
    folders = [path for _, _, path in sorted(near)] + [path for _, path in found.dropins.get("service", ())]
    chosen: dict[str, str] = {}
    for folder in folders:
        for file in found.inside.get(folder, ()):
            chosen.setdefault(file, f"{folder}/{file}")
    return [main, *(chosen[file] for file in sorted(chosen))]


def specifiers_of(manager: Manager, name: str) -> Mapping[str, str]:
    """What the specifiers of a unit stand for, by their letters; what only the running system knows is left out."""
    prefix, _, instance = name.removesuffix(_SERVICE).partition("@")
    if not instance:
        unknown = {"i": UNKNOWN, "I": UNKNOWN, "n": UNKNOWN, "N": UNKNOWN} if "@" in name else {"i": "", "I": ""}
    else:
        unknown = {"i": instance, "I": _unescaped(instance)}
    own = {"n": name, "N": name.removesuffix(_SERVICE), "p": prefix, "P": _unescaped(prefix)}
    return {**manager.specifiers, **own, "j": prefix.rpartition("-")[2], "%": "%", **unknown}


def _unescaped(text: str) -> str:
    """Undo systemd-escape(1)."""
    return re.sub(r"\\x([0-7][0-9a-f])", lambda found: chr(int(found[1], 16)), text.replace("-", "/"))


def specified(text: str, specifiers: Mapping[str, str]) -> str:
    """A text with its specifiers replaced, by `words.UNKNOWN` where they are not known."""
    if "%" not in text:
        return text
    return re.sub(r"%([A-Za-z%])", lambda found: specifiers.get(found[1], UNKNOWN), text)
