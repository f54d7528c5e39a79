"""`bundle.toml`: its form, strictly checked. Text in, rows out; no certificate is looked at here.

Every table may hold the keys named here and no others. No text holds control characters, so that what a manifest
says can be shown as it is. A file is named by its bare name: it lies in the manifest's own folder.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from trustmend.certificate import printable
from trustmend.errors import BundleError

T = TypeVar("T")

MANIFEST: Final = "bundle.toml"
NAME_FORM: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
"""Of bundles and chains: safe as a file name, a JSON key and a word on a command line."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")


class BundleRole(StrEnum):
    """What a certificate is to the chains of its bundle."""

    ROOT = "root"
    CROSS = "cross"
    INTERMEDIATE = "intermediate"


@dataclass(frozen=True)
class CertificateRow:
    """`[[certificate]]`: a file with its pin."""

    file: str
    role: BundleRole
    sha256: str
    install: bool


@dataclass(frozen=True)
class ChainRow:
    """`[[chain]]`: the paths by file name, issuing CA first, root last."""

    id: str
    title: str
    path: tuple[str, ...]
    alternates: tuple[tuple[str, ...], ...]
    served: tuple[str, ...]
    required: bool


@dataclass(frozen=True)
class SiblingRow:
    """`[[sibling]]`: a certificate that harms where it is found, with its pin."""

    file: str
    sha256: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """The whole file."""

    name: str
    title: str
    source: str
    notice: str
    deadline: datetime | None
    endpoints: tuple[str, ...]
    certificates: tuple[CertificateRow, ...]
    chains: tuple[ChainRow, ...]
    siblings: tuple[SiblingRow, ...]


def parse(content: bytes, path: str) -> Manifest:
    """The manifest with these bytes; `path` names it in errors.

    Raises:
        BundleError: not TOML, an unknown or missing key, a wrong type or form, a file or chain named twice.
    """
    try:
        raw = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as problem:
        raise BundleError(f"`{printable(path)}` is not UTF-8") from problem
    except tomllib.TOMLDecodeError as problem:
        raise BundleError(f"`{printable(path)}` is not TOML: {printable(str(problem))}") from problem
    top = _Table(raw, path, "")
    manifest = Manifest(
        name=top.take("name", _name),
        title=top.take("title", _line),
        source=top.take("source", _line, ""),
        notice=top.take("notice", _lines, ""),
        deadline=top.take("deadline", _moment, None),
        endpoints=top.take("endpoints", _listed(_line), ()),
        certificates=tuple(_certificate(row) for row in top.tables("certificate")),
        chains=tuple(_chain(row) for row in top.tables("chain")),
        siblings=tuple(_sibling(row) for row in top.tables("sibling")),
    )
    top.done()
    _whole(manifest, top)
    return manifest


def _certificate(row: _Table) -> CertificateRow:
    found = CertificateRow(
        row.take("file", _file), row.take("role", _role), row.take("sha256", _sha256), row.take("install", _flag)
    )
    row.done()
    return found


def _chain(row: _Table) -> ChainRow:
    found = ChainRow(
        row.take("id", _name),
        row.take("title", _line),
        row.take("path", _listed(_file)),
        row.take("alternates", _listed(_listed(_file)), ()),
        row.take("served", _listed(_file), ()),
        row.take("required", _flag),
    )
    row.done()
    return found


def _sibling(row: _Table) -> SiblingRow:
    found = SiblingRow(row.take("file", _file), row.take("sha256", _sha256), row.take("reason", _line))
    row.done()
    return found


def _whole(manifest: Manifest, top: _Table) -> None:
    """What no single row can say: something of each, nothing twice."""
    if not manifest.certificates:
        raise top.bad("has no [[certificate]]")
    if not manifest.chains:
        raise top.bad("has no [[chain]]")
    rows: list[CertificateRow | SiblingRow] = [*manifest.certificates, *manifest.siblings]
    for kind, values in (
        ("file", [row.file for row in rows]),
        ("sha256", [row.sha256 for row in rows]),
        ("chain id", [chain.id for chain in manifest.chains]),
    ):
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise top.bad(f"has the {kind} `{twice}` twice")


_MISSING: Final = object()


@dataclass(slots=True)
class _Table:
    """A TOML table whose keys are taken one by one; what nobody took is unknown."""

    raw: Mapping[str, Any]
    path: str
    place: str  # "" for the top, `[[chain]] 2`
    taken: set[str] = field(default_factory=set)

    def bad(self, what: str) -> BundleError:
        """The error that says `what` of this table."""
        place = f"{self.place} " if self.place else ""
        hint = "the README's section on bundles has the whole form; `trustmend bundle new` writes one"
        return BundleError(f"`{printable(self.path)}`: {place}{what}", hint=hint)

    def take(self, key: str, form: Callable[[object], T], default: object = _MISSING) -> T:
        """The value of `key` in its form; the default where there is none."""
        self.taken.add(key)
        if key not in self.raw:
            if default is _MISSING:
                raise self.bad(f"has no key `{key}`")
            return default  # type: ignore[return-value]  # each caller's default is of the form's type
        try:
            return form(self.raw[key])
        except ValueError as problem:
            raise self.bad(f"`{key}` {problem}") from problem

    def tables(self, key: str) -> list[_Table]:
        """The tables of `[[key]]`, numbered from 1 in their places."""
        self.taken.add(key)
        rows = self.raw.get(key, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self.bad(f"`{key}` is not a list of tables: write [[{key}]]")
        return [_Table(row, self.path, f"[[{key}]] {number}") for number, row in enumerate(rows, 1)]

    def done(self) -> None:
        """Refuse the keys that nobody took."""
        for key in self.raw:
            if key not in self.taken:
                raise self.bad(f"has an unknown key `{printable(key)}`")


# The forms of values: each gives the value or raises ValueError, whose words follow the key's name.


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is not true or false")
    return value


def _line(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a string")
    if not value.isprintable():
        raise ValueError("holds control characters")
    if not value.strip():
        raise ValueError("is empty")
    return value


def _lines(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a string")
    if not all(line.isprintable() for line in value.split("\n")):
        raise ValueError("holds control characters")
    return value.strip()


def _name(value: object) -> str:
    text = _line(value)
    if not NAME_FORM.match(text):
        raise ValueError(f"is `{text}`; it must be of a-z, 0-9, `.`, `_` and `-`, and begin with a letter or digit")
    return text


def _file(value: object) -> str:
    text = _line(value)
    if "/" in text or "\\" in text or text in (".", ".."):
        raise ValueError(f"names `{text}`, which leads out of the folder: a file of a bundle lies in its folder")
    return text


def _sha256(value: object) -> str:
    text = _line(value)
    if not _SHA256.match(text):
        raise ValueError("is not a SHA-256: 64 digits of lower-case hexadecimal, without colons")
    return text


def _role(value: object) -> BundleRole:
    try:
        return BundleRole(_line(value))
    except ValueError as problem:
        raise ValueError("is none of root, cross, intermediate") from problem


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as problem:
            raise ValueError("is no RFC 3339 time such as 2019-09-30T01:00:00-07:00") from problem
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("is no time with a time zone, such as 2019-09-30T01:00:00-07:00")
    return value


def _listed(form: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    def listed(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise ValueError("is not a list")
        return tuple(form(one) for one in value)

    return listed
