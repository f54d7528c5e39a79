"""Trust stores that variables of the calling shell name. They say nothing about services, which have their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trustmend.places import variables

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.model import Location
    from trustmend.places.tree import Survey


def locations(host: Host, survey: Survey) -> Iterator[Location]:
    """What the variables name, be it there or not. Relative paths are the calling shell's."""
    for named in variables.of_environ(host.environ):
        yield variables.location(host, named, host.absolute(named.path))
    java = variables.of_java_environ(host.environ)
    if java is not None:
        yield variables.location(host, java, host.absolute(java.path))
