"""systemd's units: the environment and the commands of services, as the manager puts them together.

Sources: systemd.unit(5), systemd.exec(5), systemd.service(5), systemd.syntax(7), environment.d(5).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from trustmend.certificate import printable
from trustmend.model import Family, Role
from trustmend.places.config import assigned, unit_files
from trustmend.places.config.assigned import Argument, Assigned
from trustmend.places.config.files import listed, read_text, usable
from trustmend.places.config.hit import Hit, may_name
from trustmend.places.config.syntax import ini, shell
from trustmend.places.config.syntax.words import UNKNOWN, systemd_words

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.config.syntax import Item
    from trustmend.places.tree import Survey

_MANAGERS: Final = ("/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_COMMANDS: Final = frozenset({"ExecStartPre", "ExecStart", "ExecStartPost"})
_OPTIONS: Final[Mapping[str, tuple[str, Role | None]]] = {
    "--cacert": ("curl", None),  # curl(1)
    "--ca-certificate": ("gnutls", None),  # wget(1)
    "--trusted-ca-file": ("go", Role.CLIENT_AUTH),  # etcd
    "--peer-trusted-ca-file": ("go", Role.PRIVATE),  # etcd: its own cluster
    "--client-ca-file": ("go", Role.CLIENT_AUTH),  # kube-apiserver, kubelet
    "--tlscacert": ("go", Role.CLIENT_AUTH),  # dockerd(8), with --tlsverify
    # Options of many programs, some of which verify servers by them and some clients.
    "--ca-file": ("curl", Role.UNKNOWN),
    "--cafile": ("curl", Role.UNKNOWN),
    "--ca-cert": ("curl", Role.UNKNOWN),
    "--tls-ca-file": ("curl", Role.UNKNOWN),
}
"""Options of a command line that name a CA file: whose rules read it, and whom it verifies."""
_TELLING: Final = re.compile("|".join(["Environment", "trustStore", *_OPTIONS]))


@dataclass
class _Service:
    """What a unit's files together say, and the files whose assignments it takes."""

    environment: dict[str, Assigned] = field(default_factory=dict)
    files: list[Assigned] = field(default_factory=list)
    unset: list[str] = field(default_factory=list)
    commands: dict[str, list[Assigned]] = field(default_factory=dict)


def hits(host: Host, survey: Survey, taken: set[str]) -> Iterator[Hit]:
    """The trust stores that services are given, of the system's manager and of users' own.

    Args:
        taken: receives the path of every environment file that a unit reads.
    """
    yield from _default_environment(host, survey)
    for manager in unit_files.managers(host, survey):
        found = unit_files.search(host, manager.folders)
        for name in unit_files.names(found):
            yield from _unit_hits(host, survey, manager, found, name, taken)


def _unit_hits(
    host: Host, survey: Survey, manager: unit_files.Manager, found: unit_files.Found, name: str, taken: set[str]
) -> Iterator[Hit]:
    """The hits of one unit; of a user's manager only those units that have a file in the home."""
    paths = unit_files.fragments(found, name)
    if manager.own and not any(path.startswith(manager.own) for path in paths):
        return
    texts = [(path, text) for path in paths if (text := read_text(host, survey, path)) is not None]
    # A unit is masked by an empty file and by a link to /dev/null, which is no file.
    masked = not texts or texts[0][0] != paths[0] or not texts[0][1]
    if masked or not any(_TELLING.search(text) for _, text in texts):
        return
    specifiers = unit_files.specifiers_of(manager, name)
    service = _service(texts, specifiers)
    environ = _environment(host, survey, service, taken)
    product = f"{manager.title} {printable(name)}"
    commands = [
        (key, list(_arguments(command, key, service, environ, specifiers)))
        for key, commands in service.commands.items()
        for command in commands
    ]
    started = [argument for key, arguments in commands if key == "ExecStart" for argument in arguments]
    yield from assigned.hits(environ, product, started)
    for _, arguments in commands:
        yield from _options(arguments, product)


def _service(texts: Sequence[tuple[str, str]], specifiers: Mapping[str, str]) -> _Service:
    """What the [Service] sections say; an empty value takes back what was said before."""
    service = _Service()
    for path, text in texts:
        for item in ini.items(text, ini.SYSTEMD):
            if item.path == ("Service",):
                _apply(service, path, item, specifiers)
    return service


def _apply(service: _Service, path: str, item: Item, specifiers: Mapping[str, str]) -> None:
    match item.key:
        case "Environment":
            if not item.value:
                service.environment.clear()
            for word in systemd_words(item.value):
                name, equals, value = unit_files.specified(word, specifiers).partition("=")
                if equals and _NAME.match(name):
                    service.environment[name] = Assigned(value, path, item.line)
        case "EnvironmentFile":
            named = Assigned(unit_files.specified(item.value, specifiers), path, item.line)
            service.files = [*service.files, named] if item.value else []
        case "UnsetEnvironment":
            words = systemd_words(item.value)
            service.unset = (
                [*service.unset, *(unit_files.specified(w, specifiers) for w in words)] if item.value else []
            )
        case key if key in _COMMANDS:
            commands = service.commands.setdefault(key, [])
            if item.value:
                commands.append(Assigned(item.value, path, item.line))
            else:
                commands.clear()


def _environment(host: Host, survey: Survey, service: _Service, taken: set[str]) -> dict[str, Assigned]:
    """The effective assignments: files after settings, a later one over an earlier one."""
    environ = dict(service.environment)
    for named in service.files:
        for path in _matching(host, named.value.removeprefix("-")):
            if not may_name(host, named.file, path):
                continue
            taken.add(path)
            text = read_text(host, survey, path)
            environ.update(assigned.winners(path, shell.systemd_assignments(text or "")))
    for word in service.unset:
        name, equals, value = word.partition("=")
        if name in environ and (not equals or environ[name].value == value):
            del environ[name]
    return environ


def _matching(host: Host, pattern: str) -> list[str]:
    """The files that an `EnvironmentFile=` names; wildcards are taken in the last part only."""
    if usable(pattern) is None:
        return []
    folder, _, name = pattern.rpartition("/")
    if not any(sign in name for sign in "*?["):
        return [pattern]
    return [f"{folder}/{one}" for one in host.listed(folder or "/") if fnmatch.fnmatchcase(one, name)]


_REFERENCE: Final = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|(\$))")
_WHOLE: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)\Z")


def _arguments(
    command: Assigned, key: str, service: _Service, environ: Mapping[str, Assigned], specifiers: Mapping[str, str]
) -> Iterator[Argument]:
    """A command line's words: $NAME as a word of its own is parted at blanks, ${NAME} stays in its word."""
    literal = command.value.lstrip().lstrip("@-+!|").startswith(":")
    for word in systemd_words(command.value, relaxed=True):
        text = unit_files.specified(word, specifiers)
        if literal:
            yield Argument(text, key, command)
            continue
        whole = _WHOLE.match(text)
        if whole is not None:
            at = environ.get(whole[1])
            words = systemd_words(at.value, relaxed=True) if at is not None else ()
            yield from (Argument(one, whole[1], at or command) for one in words)
            continue

        def value(found: re.Match[str]) -> str:
            if found[1] is None:
                return "$"
            at = environ.get(found[1])
            return UNKNOWN if at is None else at.value

        by = [name for name in _REFERENCE.findall(text) if name[0] in environ]
        replaced = _REFERENCE.sub(value, text)
        if by and text.startswith("${") and replaced.startswith("-"):
            yield Argument(replaced, by[0][0], environ[by[0][0]])
        else:
            yield Argument(replaced, key, command)


def _options(arguments: Sequence[Argument], product: str) -> Iterator[Hit]:
    """What known options of a command line name: `--option FILE` or `--option=FILE`."""
    for argument, following in zip(arguments, [*arguments[1:], None], strict=True):
        option, equals, value = argument.word.partition("=")
        if option not in _OPTIONS:
            continue
        if not equals:
            value = following.word if following is not None else ""
        if (path := usable(value)) is not None:
            key = f"{argument.by}: {option}"
            at = argument.at
            reader, role = _OPTIONS[option]
            yield Hit(path, at.file, at.line, key, product, Family.TOOL, (reader,), role=role)


def _default_environment(host: Host, survey: Survey) -> Iterator[Hit]:
    """`DefaultEnvironment=` and `ManagerEnvironment=` of the managers' own files (systemd-system.conf(5))."""
    for kind, product in (("system", "systemd"), ("user", "systemd of users")):
        environ: dict[str, dict[str, Assigned]] = {"DefaultEnvironment": {}, "ManagerEnvironment": {}}
        main = next((p for f in reversed(_MANAGERS) if host.is_file(p := f"{f}/{kind}.conf")), None)
        dropins = {p.rpartition("/")[2]: p for f in _MANAGERS for p in listed(host, f"{f}/{kind}.conf.d", ".conf")}
        for path in (*([main] if main else []), *(dropins[name] for name in sorted(dropins))):
            for item in ini.items(read_text(host, survey, path) or "", ini.SYSTEMD):
                if item.path == ("Manager",) and item.key in environ:
                    if not item.value:
                        environ[item.key].clear()
                    for word in systemd_words(item.value):
                        name, equals, value = unit_files.specified(word, {"%": "%"}).partition("=")
                        if equals and _NAME.match(name):
                            environ[item.key][name] = Assigned(value, path, item.line)
        for key, values in environ.items():
            yield from assigned.hits(values, f"{product}, {key}")
