"""Where the configuration files of Java products and their kin are: below /etc, and wherever the survey saw one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from trustmend.places.config.files import read_text

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

_PRODUCTS: Final = re.compile(
    r"(tomcat|kafka|confluent|schema-registry|elasticsearch|opensearch|kibana|logstash|cassandra|dse|wildfly|jboss|eap"
    r"|keycloak|zookeeper|jetty|solr|activemq)"
)
_BELOW: Final = ("", "/conf", "/config", "/standalone/configuration", "/start.d", "/default.conf")
_OTHERS: Final = ("/var/lib/zookeeper/conf", "/usr/share/keycloak/conf")
_APPLICATION: Final = ("application.properties", "application.yml", "application.yaml")
_SOURCES: Final = re.compile(
    r"/src/(main|test)/|/(target|build)/(classes|test-classes|resources)(/|\Z)|/(samples|templates|migration)(/|\Z)"
)


@dataclass(frozen=True)
class Config:
    """One configuration file that mentions a trust store."""

    host: Host = field(repr=False)
    folder: str
    name: str
    text: str = field(repr=False)

    @property
    def path(self) -> str:
        """Where it is."""
        return f"{self.folder}/{self.name}"

    @property
    def above(self) -> str:
        """The folder around its own."""
        return self.folder.rpartition("/")[0]


def folders(host: Host, survey: Survey) -> Iterator[str]:
    """The folders in which such files may be, each once."""
    seen: set[str] = set()
    for folder in (*_below_etc(host), *_OTHERS, *_surveyed(survey)):
        try:
            real = host.resolve(folder)
        except OSError:
            continue
        if real not in seen:
            seen.add(real)
            yield folder


def _below_etc(host: Host) -> Iterator[str]:
    for name in host.listed("/etc"):
        if _PRODUCTS.match(name):
            yield from (f"/etc/{name}{below}" for below in _BELOW)
        elif "." not in name and any(host.is_file(f"/etc/{name}/{file}") for file in _APPLICATION):
            yield f"/etc/{name}"


def _surveyed(survey: Survey) -> Iterator[str]:
    for path in survey.get("configs", []):
        folder = path.rpartition("/")[0]
        if not _SOURCES.search(folder):  # a project's sources and what is built from them: no program runs there
            yield folder
            if path.endswith("/start.ini"):
                yield f"{folder}/start.d"


def configs(host: Host, survey: Survey, names: re.Pattern[str], telling: re.Pattern[str]) -> Iterator[Config]:
    """Every file whose name is one of `names` and whose text has one of the words `telling`."""
    for folder in folders(host, survey):
        for name in host.listed(folder):
            if names.match(name) is None:
                continue
            text = read_text(host, survey, f"{folder}/{name}")
            if text is not None and telling.search(text):
                yield Config(host, folder, name, text)
