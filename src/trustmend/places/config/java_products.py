"""Java servers and clients that name their trust stores in files of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from trustmend.places.config import assigned, elastic, kafka, spring, tomcat, wildfly
from trustmend.places.config.assigned import Assigned
from trustmend.places.config.files import homes, read_text
from trustmend.places.config.hit import Hit
from trustmend.places.config.product_files import Config, configs
from trustmend.places.config.syntax import shell

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

_PRODUCTS: Final[tuple[tuple[str, Callable[[Config], Iterator[Hit]]], ...]] = (
    (r"server\.xml", tomcat.tomcat),
    (r"activemq.*\.xml", tomcat.activemq),
    (r"jetty.*\.xml", tomcat.jetty_xml),
    (r"(?:start|ssl)\.ini", tomcat.jetty_ini),
    (r"(?:standalone|domain|host).*\.xml", wildfly.wildfly),
    (r"keycloak\.conf", wildfly.keycloak),
    (r"zoo\.cfg|zookeeper.*\.properties", kafka.zookeeper),
    (r"gradle\.properties", kafka.gradle),
    (r"jvm\.config", kafka.jvm_config),
    (r"(?:application|bootstrap)(?:-[\w.-]+)?\.(?:properties|ya?ml)", spring.spring),
    (
        r"(?:server|broker|controller|consumer|producer|connect|client|admin|kafka|ssl|config|ksql|schema-registry)"
        r"[\w-]*\.properties",
        kafka.kafka,
    ),
    (r"(?:elasticsearch|opensearch|opensearch_dashboards|kibana|logstash)\.yml", elastic.elastic),
    (r"cassandra\.yaml", elastic.cassandra),
)
_NAMES: Final = re.compile("(?:" + "|".join(pattern for pattern, _ in _PRODUCTS) + r")\Z")
_FULL: Final = [(re.compile(pattern), hits) for pattern, hits in _PRODUCTS]
_TELLING: Final = re.compile(
    r"trust[-_ .]?(?:store|manager|cert)|trusted|certificate_?authorit|CA_?CertificateF|CA_?CertificateP|cacert", re.I
)
"""Nothing but a file with one of these words can name a trust store; most others need no reading as XML or YAML."""


def hits(host: Host, survey: Survey) -> Iterator[Hit]:
    """What the configuration files of Java products name, and the start files of Maven's in homes."""
    for config in configs(host, survey, _NAMES, _TELLING):
        for pattern, product in _FULL:
            if pattern.fullmatch(config.name):
                yield from product(config)
                break
    for path, home in (("/etc/mavenrc", "/root"), *((f"{home}/.mavenrc", home) for home in homes(survey))):
        text = read_text(host, survey, path)
        if text is not None and assigned.tells(text):
            found = {i.key: Assigned(i.value, path, i.line) for i in shell.shell_assignments(text, {"HOME": home})}
            yield from assigned.hits(found, "Maven")
