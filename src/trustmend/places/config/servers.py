"""Servers, container engines and Kubernetes' clients that name their CAs in files of their own below /etc."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trustmend.places.config import collectors, containers, network_servers, web_servers
from trustmend.places.config.hit import Hit

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey


def hits(host: Host, survey: Survey) -> Iterator[Hit]:
    """What all of them name."""
    yield from web_servers.hits(host, survey)
    yield from network_servers.hits(host, survey)
    yield from containers.hits(host, survey)
    yield from collectors.hits(host, survey)
