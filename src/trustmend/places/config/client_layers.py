"""Client tools whose configuration is made of several files, of which a later one wins: git, PHP, MySQL; and libpq."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from trustmend.certificate import printable
from trustmend.model import Family, Role
from trustmend.places.config.files import homes, listed, read_text, usable
from trustmend.places.config.hit import Hit, may_name
from trustmend.places.config.syntax import Item, ini
from trustmend.places.tree import leaves_home

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

_CURL: Final = ("curl",)
_OPENSSL: Final = ("openssl-3",)
_GIT_KEYS: Final = {"sslcainfo": "sslCAInfo", "sslcapath": "sslCAPath", "proxysslcainfo": "proxySSLCAInfo"}
_GIT_SYSTEM: Final = ("/etc/gitconfig", "/usr/local/etc/gitconfig", "/usr/etc/gitconfig")
_MAX_INCLUDES: Final = 10  # include.c, MAX_INCLUDE_DEPTH
_PHP_KEYS: Final = {"openssl.cafile": _OPENSSL, "openssl.capath": _OPENSSL, "curl.cainfo": _CURL}
_PHP_POOL: Final = re.compile(r"php_(?:admin_)?value\[([a-z.]+)\]")
_MYSQL_FILES: Final = ("/etc/my.cnf", "/etc/mysql/my.cnf", "/usr/etc/my.cnf")
_MYSQL_KEYS: Final = frozenset({"ssl-ca", "ssl-capath"})
_MYSQL_SERVER: Final = re.compile(r"(?:mysqld|mariadbd?|server|galera|mysqld_safe)(?:[-_\d].*)?\Z")

Found = tuple[str, Item]
"""A file and one of its settings."""


def hits(host: Host, survey: Survey) -> Iterator[Hit]:
    """What these tools are told by the system's files and by those of every home that is looked at."""
    yield from _git(host, survey)
    yield from _php(host, survey)
    yield from _mysql(host, survey)
    yield from _libpq(host, survey)


def _git(host: Host, survey: Survey) -> Iterator[Hit]:
    """`http.sslCAInfo` and its kin, for all URLs or one (git-config(1)); a user's two files are read in this order."""
    for path in _GIT_SYSTEM:
        yield from _git_scope(host, survey, [path], None)
    for home in homes(survey):
        yield from _git_scope(host, survey, [f"{home}/.config/git/config", f"{home}/.gitconfig"], home)


def _git_scope(host: Host, survey: Survey, paths: Sequence[str], home: str | None) -> Iterator[Hit]:
    chosen: dict[tuple[str, ...], Found] = {}
    for path in paths:
        for file, item in _git_settings(host, survey, path, home, ()):
            if item.path[0] == "http" and item.key in _GIT_KEYS:
                chosen[*item.path, item.key] = file, item
    for file, item in chosen.values():
        value = _git_path(item.value, home)
        if value is not None:
            url = [re.sub(r"//[^/@]*@", "//", printable(item.path[1]))] if len(item.path) > 1 else []
            key = ".".join(["http", *url, _GIT_KEYS[item.key]])
            yield Hit(value, file, item.line, key, "git", Family.TOOL, _CURL)


def _git_settings(
    host: Host, survey: Survey, path: str, home: str | None, above: tuple[str, ...]
) -> Iterator[tuple[str, Item]]:
    """The settings of a file and, at their place, of those that it includes; conditions are taken as met."""
    text = read_text(host, survey, path)
    if text is None or path in above or len(above) > _MAX_INCLUDES:
        return
    for item in ini.git_items(text):
        yield path, item
        if item.path[0] in ("include", "includeif") and item.key == "path":
            named = _git_path(item.value, home) or usable(f"{os.path.dirname(path)}/{item.value}")
            if named is not None and may_name(host, path, named):
                yield from _git_settings(host, survey, named, home, (*above, path))


def _git_path(value: str, home: str | None) -> str | None:
    """path.c, interpolate_path; a relative path starts from wherever git runs."""
    if value.startswith("~/"):
        return usable(f"{home}/{value[2:]}") if home is not None else None
    return usable(value)


def _php(host: Host, survey: Survey) -> Iterator[Hit]:
    """PHP's files by interface: php.ini, then the scanned folder by name (PHP manual: The configuration file)."""
    for product, main, folder, pools in _php_layouts(host):
        chosen: dict[str, Found] = {}
        for path in (main, *listed(host, folder, ".ini")):
            text = read_text(host, survey, path)
            if text is None or not any(key in text for key in _PHP_KEYS):
                continue
            for item in ini.items(text, ini.PHP):
                if item.key in _PHP_KEYS and not "".join(item.path).startswith(("PATH=", "HOST=")):
                    chosen[item.key] = path, item
        yield from _php_hits(product, chosen)
        for pool in listed(host, pools, ".conf"):
            items = ini.items(read_text(host, survey, pool) or "", ini.PHP)
            named = ((found[1], item) for item in items if (found := _PHP_POOL.fullmatch(item.key)))
            yield from _php_hits(f"{product} pool", {key: (pool, item) for key, item in named if key in _PHP_KEYS})


def _php_layouts(host: Host) -> list[tuple[str, str, str, str]]:
    """(product, php.ini, the scanned folder, FPM's pools) of Red Hat, the PHP images, Debian and Alpine."""
    layouts = [
        ("PHP", "/etc/php.ini", "/etc/php.d", "/etc/php-fpm.d"),
        ("PHP", "/usr/local/etc/php/php.ini", "/usr/local/etc/php/conf.d", "/usr/local/etc/php-fpm.d"),
    ]
    for version in host.listed("/etc/php"):
        for interface in host.listed(f"/etc/php/{version}"):
            base = f"/etc/php/{version}/{interface}"
            layouts.append((f"PHP {version} {interface}", f"{base}/php.ini", f"{base}/conf.d", f"{base}/pool.d"))
    for name in host.listed("/etc"):
        if re.fullmatch(r"php\d+", name):
            base = f"/etc/{name}"
            layouts.append((f"PHP {name[3:]}", f"{base}/php.ini", f"{base}/conf.d", f"{base}/php-fpm.d"))
    return layouts


def _php_hits(product: str, chosen: dict[str, Found]) -> Iterator[Hit]:
    for key, (file, item) in chosen.items():
        if "${" not in item.value and (value := usable(item.value)) is not None:
            yield Hit(value, file, item.line, key, printable(product), Family.TOOL, _PHP_KEYS[key])


def _mysql(host: Host, survey: Survey) -> Iterator[Hit]:
    """Option files of MySQL and MariaDB: groups of servers verify clients, the others verify servers.

    Source: MySQL manual, Using Option Files; Command Options for Connecting (--ssl-ca).
    """
    for paths in (_MYSQL_FILES, *([f"{home}/.my.cnf"] for home in homes(survey))):
        chosen: dict[tuple[str, str], Found] = {}
        seen: set[str] = set()
        for path in paths:
            for file, item in _mysql_settings(host, survey, path, seen):
                key = item.key.replace("_", "-").removeprefix("loose-")
                if key in _MYSQL_KEYS and item.path:
                    chosen[item.path[0], key] = file, item
        for (group, key), (file, item) in chosen.items():
            if (value := usable(item.value)) is not None:
                role = Role.CLIENT_AUTH if _MYSQL_SERVER.match(group) else None
                yield Hit(value, file, item.line, key, printable(f"MySQL [{group}]"), Family.TOOL, _OPENSSL, role=role)


def _mysql_settings(host: Host, survey: Survey, path: str, seen: set[str]) -> Iterator[Found]:
    """The settings of a file and, at their place, of those that `!include` and `!includedir` name."""
    text = read_text(host, survey, path) if path not in seen else None
    if text is None:
        return
    seen.add(path)
    for item in ini.items(text, ini.MYSQL):
        if item.key.startswith("!include"):
            word, _, named = item.key.partition(" ")
            folder = word == "!includedir"
            inner = listed(host, named.strip().rstrip("/"), ".cnf") if folder else [named.strip()]
            for one in inner:
                if usable(one) is not None and may_name(host, path, one):
                    yield from _mysql_settings(host, survey, one, seen)
        else:
            yield path, item


def _libpq(host: Host, survey: Survey) -> Iterator[Hit]:
    """~/.postgresql/root.crt, which verifies servers wherever it is (libpq: SSL Support)."""
    for home in homes(survey):
        path = f"{home}/.postgresql/root.crt"
        guarded = [home] if os.geteuid() == 0 else []
        if host.is_file(path) and not leaves_home(host, path, guarded):
            yield Hit(path, path, None, "sslrootcert", "libpq", Family.TOOL, _OPENSSL)
