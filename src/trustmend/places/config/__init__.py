"""Configuration that names trust stores: which file says so, on which line, by which key, and to verify whom.

One module for each group of products, each with a function `hits`; one module for each syntax in `syntax`. Only keys
that name a trust store, and the password of that very store, are read; a file's other secrets are skipped unseen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from trustmend.certificate import printable
from trustmend.model import Location, Role, Setting, Use
from trustmend.places import variables
from trustmend.places.config import client_tools, environment_files, java_products, servers
from trustmend.places.config.hit import may_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from trustmend.host import Host
    from trustmend.places.config.hit import Hit
    from trustmend.places.tree import Survey


SOURCES: Final[tuple[Callable[[Host, Survey], Iterator[Hit]], ...]] = (
    environment_files.hits,
    client_tools.hits,
    java_products.hits,
    servers.hits,
)
"""Everything that finds hits; explicit, for this may run as root."""


def locations(host: Host, survey: Survey) -> Iterator[Location]:
    """What configuration names, be it there or not."""
    for source in SOURCES:
        for hit in source(host, survey):
            if hit.inline is not None or may_name(host, hit.file, hit.value):
                yield location(host, hit)


def location(host: Host, hit: Hit) -> Location:
    """A hit as a location: of the file that it names, or of the certificates that stand in the setting itself."""
    setting = Setting(hit.file, hit.line, hit.key)
    where = f"{hit.file}:{hit.line}" if hit.line is not None else hit.file
    how = f"{hit.product}: {hit.key} in {printable(where)}"
    if hit.role is Role.CLIENT_AUTH:
        how += " (verifies clients)"
    if variables.TRUST_STORE in hit.key:
        secret = hit.secret
        named = variables.Named(hit.value, how, hit.family, hit.readers, password=secret is not None, secret=secret)
        return variables.location(host, named, host.absolute(hit.value), how=how, setting=setting)
    uses = tuple(
        Use(
            reader,
            how,
            password=hit.secret is not None,
            secret=hit.secret,
            extends=hit.extends,
            setting=setting,
        )
        for reader in hit.readers
    )
    if hit.inline is not None:
        remedy = f"edit {hit.key} in {printable(where)}: the certificates stand there themselves"
        part = f"{hit.key}, line {hit.line}" if hit.line is not None else hit.key
        return Location(hit.file, hit.family, hit.role, uses, named=True, part=part, data=hit.inline, remedy=remedy)
    return Location(host.absolute(hit.value), hit.family, hit.role, uses, named=True)
