"""trustmend's own configuration file: stores that no place knows, folders to leave alone, passwords by reference.

    exclude = ["/srv/backup", "/home/*/old"]

    [[store]]
    path = "/srv/app/truststore.p12"
    password-file = "/etc/app/truststore.password"    # or: password-variable = "APP_STOREPASS"
    reader = "jsse"                                   # whose rules decide; a key of `readers.READERS`
    role = "public"                                   # or private, client-auth

A password itself is refused here: this file is no place for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from trustmend import guard
from trustmend.certificate import printable
from trustmend.errors import RefusedError, UsageError
from trustmend.host import Host
from trustmend.model import Family, Finding, Location, Role, Severity, Use
from trustmend.readers import READERS

NAME: Final = "config.toml"
_MAX_BYTES: Final = 1 << 20
_KEYS: Final = frozenset(("exclude", "store"))
_STORE_KEYS: Final = frozenset(("path", "password-file", "password-variable", "reader", "role"))
_ROLES: Final = {role.value: role for role in (Role.PUBLIC, Role.PRIVATE, Role.CLIENT_AUTH)}


@dataclass(frozen=True)
class NamedStore:
    """One `[[store]]`: a path, and how to read what stands there."""

    path: str
    reader: str | None = None
    role: Role | None = None
    password_file: str | None = None
    password_variable: str | None = None
    file: str = ""  # the configuration file


@dataclass(frozen=True)
class Configuration:
    """What all configuration files together say."""

    stores: tuple[NamedStore, ...] = ()
    exclude: tuple[str, ...] = ()

    def excludes(self, path: str) -> bool:
        """Whether a path, or a folder above it, is to be left alone."""
        if not self.exclude:
            return False
        parts = path.rstrip("/").split("/")
        above = ["/".join(parts[:end]) for end in range(2, len(parts) + 1)]
        return any(fnmatchcase(one, pattern) for pattern in self.exclude for one in above)

    def locations(self, host: Host, only: Sequence[str] = ()) -> list[Location]:
        """The named stores as locations of `host`.

        Args:
            host: whose; the passwords' files and variables are always this machine's and the caller's.
            only: absolute paths; of the named stores then just those.
        """
        return [_location(host, one) for one in self.stores if not only or one.path in only]


def _location(host: Host, store: NamedStore) -> Location:
    secret, problem = _secret(host, store)
    reader = store.reader or ("jsse" if secret is not None or problem else None)
    how = f"named in {printable(store.file)}"
    uses = () if reader is None else (Use(reader, how, password=bool(secret or problem), secret=secret),)
    findings = (Finding("no-password", Severity.WARNING, problem),) if problem else ()
    return Location(store.path, Family.CUSTOM, store.role, uses, named=True, findings=findings)


def _secret(host: Host, store: NamedStore) -> tuple[str | None, str]:
    """(password, why there is none although one is named)."""
    if store.password_file is not None:
        named = f"its password's file {printable(store.password_file)}"
        try:
            content = Host().read(store.password_file, limit=4096).content
            return content.decode("utf-8").partition("\n")[0].rstrip("\r"), ""
        except OSError as problem:
            return None, f"{named} cannot be read: {problem.strerror}"
        except UnicodeDecodeError:
            return None, f"{named} is not UTF-8"
    if store.password_variable is not None:
        value = Host.of(None).environ.get(store.password_variable)
        return value, "" if value is not None else f"its password's variable {store.password_variable} is not set"
    return None, ""


def default_files() -> list[str]:
    """Where configuration is looked for: the site's, and for others than root the caller's own after it."""
    from platformdirs import site_config_dir, user_config_dir

    found = [f"{site_config_dir('trustmend', appauthor=False)}/{NAME}"]
    if os.geteuid() != 0:
        found.append(f"{user_config_dir('trustmend', appauthor=False)}/{NAME}")
    return found


def load(chosen: str | None, *, foreign: bool = False) -> Configuration:
    """The configuration of this machine, or of the file that the command line names instead.

    Args:
        chosen: `--config`.
        foreign: for another root, of which this machine's files say nothing.

    Raises:
        UsageError: the named file is not there, or a file says what means nothing.
        RefusedError: others than the caller and root could have written it.
    """
    if chosen is not None:
        return _read(os.path.abspath(chosen))
    found = Configuration()
    for path in () if foreign else default_files():
        if os.path.lexists(path):
            one = _read(path)
            found = Configuration((*found.stores, *one.stores), (*found.exclude, *one.exclude))
    return found


def _read(path: str) -> Configuration:
    try:
        content = Host().read(path, limit=_MAX_BYTES).content
        doubt = guard.of_path(path, "configuration")
    except OSError as problem:
        raise UsageError(
            f"the configuration `{printable(path)}` cannot be read: {problem.strerror}",
            hint="--config takes a TOML file",
        ) from problem
    if doubt is not None:
        raise RefusedError(doubt.message, hint=doubt.hint)
    return parse(content, path)


def parse(content: bytes, path: str) -> Configuration:
    """A configuration file's content.

    Args:
        content: TOML.
        path: of the file, absolute; relative paths in it start from its folder.

    Raises:
        UsageError: no TOML, or a key or value that means nothing.
    """
    import tomllib  # most hosts have no such file

    try:
        table = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise _wrong(path, f"it is no TOML: {problem}") from problem
    _known(table, _KEYS, path, "")
    exclude = table.get("exclude", [])
    stores = table.get("store", [])
    if not isinstance(exclude, list) or not all(isinstance(one, str) and one for one in exclude):
        raise _wrong(path, '`exclude` is a list of paths: exclude = ["/srv/backup"]')
    if not isinstance(stores, list) or not all(isinstance(one, dict) for one in stores):
        raise _wrong(path, "each store is a table of its own: [[store]]")
    folder = os.path.dirname(path)
    return Configuration(
        tuple(_store(one, path, folder) for one in stores),
        tuple(_absolute(one, folder).rstrip("/") or "/" for one in exclude),
    )


def _store(table: dict[str, Any], path: str, folder: str) -> NamedStore:
    if "password" in table:
        hint = "write `password-file = FILE` or `password-variable = NAME`"
        raise UsageError(f"the configuration `{printable(path)}` is no place for a password", hint=hint)
    _known(table, _STORE_KEYS, path, " of a store")
    for key, value in table.items():
        if not isinstance(value, str) or not value:
            raise _wrong(path, f"`{key}` of a store is a text in quotes")
    if "path" not in table:
        raise _wrong(path, "a [[store]] without `path`")
    if "password-file" in table and "password-variable" in table:
        raise _wrong(path, "`password-file` and `password-variable` of one store: give one of them")
    reader, role = table.get("reader"), table.get("role")
    if reader is not None and reader not in READERS:
        raise _wrong(path, f"`{printable(reader)}` is no reader; there are {', '.join(sorted(READERS))}")
    if role is not None and role not in _ROLES:
        raise _wrong(path, f"`{printable(role)}` is no role; there are {', '.join(_ROLES)}")
    file = table.get("password-file")
    return NamedStore(
        _absolute(table["path"], folder),
        reader,
        None if role is None else _ROLES[role],
        None if file is None else _absolute(file, folder),
        table.get("password-variable"),
        path,
    )


def _absolute(path: str, folder: str) -> str:
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def _known(table: dict[str, Any], known: frozenset[str], path: str, where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise _wrong(path, f"`{printable(unknown[0])}` is no key{where}; there are {', '.join(sorted(known))}")


def _wrong(path: str, text: str) -> UsageError:
    return UsageError(f"the configuration `{printable(path)}` is wrong: {text}", hint="README.md shows one")
