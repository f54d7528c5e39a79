"""Variables with the place of their assignment, and the trust stores that they and JVM options name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from trustmend.places import variables
from trustmend.places.config.files import usable
from trustmend.places.config.hit import Hit
from trustmend.places.config.syntax.words import UNKNOWN

if TYPE_CHECKING:
    from trustmend.places.config.syntax import Item
    from trustmend.places.variables import Named

PROPERTY: Final = f"-D{variables.TRUST_STORE}"
_TELLING: Final = re.compile("|".join([*(re.escape(one.name) for one in variables.VARIABLES), variables.TRUST_STORE]))
_FIRST, _LAST = variables.JAVA_VARIABLES[:-1], variables.JAVA_VARIABLES[-1:]


@dataclass(frozen=True)
class Assigned:
    """A value, and the file and line that gave it."""

    value: str = field(repr=False)  # it may be a secret
    file: str
    line: int


@dataclass(frozen=True)
class Argument:
    """A word of a command line; `by` is the variable or setting that brought it there."""

    word: str = field(repr=False)
    by: str
    at: Assigned


def tells(text: str) -> bool:
    """Whether a text may name a trust store by a variable or a JVM option; most do not, and need no reading."""
    return _TELLING.search(text) is not None


def winners(file: str, items: Iterable[Item]) -> dict[str, Assigned]:
    """The last assignment of each variable of one file."""
    return {item.key: Assigned(item.value, file, item.line) for item in items}


def hits(environ: Mapping[str, Assigned], product: str, arguments: Sequence[Argument] = ()) -> Iterator[Hit]:
    """What an environment and a JVM's command line name: one hit for each variable, and the one property that wins.

    Args:
        environ: the effective assignments.
        product: as `Hit.product`.
        arguments: of one program that is started with it.
    """
    for named in variables.of_environ({name: assigned.value for name, assigned in environ.items()}):
        if (value := usable(named.path)) is not None:
            yield _hit(named, value, environ[named.key], product, named.key)
    seen: set[tuple[str, int]] = set()
    for by, at, named in _java(environ, arguments):
        if (value := usable(named.path)) is not None and (at.file, at.line) not in seen:
            seen.add((at.file, at.line))
            yield _hit(named, value, at, product, f"{by}: {PROPERTY}")


def _hit(named: Named, value: str, at: Assigned, product: str, key: str) -> Hit:
    secret = named.secret if named.secret is None or UNKNOWN not in named.secret else None
    return Hit(value, at.file, at.line, key, product, named.family, named.readers, extends=named.extends, secret=secret)


def _java(environ: Mapping[str, Assigned], arguments: Sequence[Argument]) -> Iterator[tuple[str, Assigned, Named]]:
    """The property that wins on the command line, and for each variable of a product's that names a trust store
    (CATALINA_OPTS, MAVEN_OPTS ...) the one that wins in a JVM started with it, unless the command line has it already.
    """
    first, last = (
        [(name, variables.java_words(environ[name].value)) for name in names if name in environ]
        for names in (_FIRST, _LAST)
    )
    words = [(str(number), [argument.word]) for number, argument in enumerate(arguments)]
    named = variables.java_trust([*first, *words, *last]).named
    if named is not None:
        brought = arguments[int(named.key)] if named.key.isdecimal() else None
        yield (brought.by, brought.at, named) if brought is not None else (named.key, environ[named.key], named)
    used = {argument.by for argument in arguments}
    for name, assigned in environ.items():
        if PROPERTY in assigned.value and name not in variables.JAVA_VARIABLES and name not in used:
            named = variables.java_trust([*first, (name, variables.java_words(assigned.value)), *last]).named
            if named is not None and named.key == name:
                yield name, assigned, named
