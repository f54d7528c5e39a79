"""Kafka and its kin, ZooKeeper, and what Gradle and Maven give to their JVMs.

Sources: org.apache.kafka.common.config.SslConfigs, org.apache.kafka.common.security.ssl.DefaultSslEngineFactory;
ZooKeeper's Administrator's Guide, "Encryption, Authentication, Authorization Options"; Gradle's "Build Environment";
Maven's "Configuring Apache Maven".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from trustmend.model import Family, Role
from trustmend.places import variables
from trustmend.places.config.hit import Hit
from trustmend.places.config.syntax import properties
from trustmend.places.config.values import certificates, placed, secret

if TYPE_CHECKING:
    from trustmend.places.config.product_files import Config
    from trustmend.places.config.syntax import Item

_STORE: Final = re.compile(r"(.*?)ssl\.(quorum\.)?trust[sS]tore\.(location|certificates)\Z")
_BROKER: Final = re.compile(r"(?:listener\.name\.[^.]+\.|listeners\.https\.)?\Z")
_PROPERTY: Final = "systemProp." + variables.TRUST_STORE


def kafka(config: Config) -> Iterator[Hit]:
    """server.properties, clients' and Connect's files: ssl.truststore.*, under any prefix.

    A broker verifies by its own store both its clients and, where brokers talk TLS to each other, these.
    """
    found = {item.key: item for item in properties.items(config.text)}
    server = config.name in ("server.properties", "broker.properties", "controller.properties")
    for item in found.values():
        key = _STORE.match(item.key)
        if key is None or key[2]:
            continue
        prefix = item.key.removesuffix(key[3])
        broker = _BROKER.match(key[1]) is not None and (server or key[1] == "listeners.https.")
        product = "Kafka broker (its clients, and other brokers)" if broker else "Kafka"
        yield from _hits(config, found, item, prefix, product, Role.CLIENT_AUTH if broker else None)


def zookeeper(config: Config) -> Iterator[Hit]:
    """zoo.cfg: ssl.trustStore.location verifies clients, ssl.quorum.trustStore.location the other servers."""
    found = {item.key: item for item in properties.items(config.text)}
    for item in found.values():
        key = _STORE.match(item.key)
        if key is not None and not key[1]:
            role = Role.PRIVATE if key[2] else Role.CLIENT_AUTH
            yield from _hits(config, found, item, item.key.removesuffix(key[3]), "ZooKeeper", role)


def _hits(
    config: Config, found: dict[str, Item], item: Item, prefix: str, product: str, role: Role | None
) -> Iterator[Hit]:
    pem = prefix + "type" in found and found[prefix + "type"].value.strip().upper() == "PEM"
    password = found.get(prefix + "password")
    where = (config.path, item.line, item.key, product, Family.JAVA)
    if item.key.endswith("certificates"):
        if (inline := certificates(item.value)) is not None:
            yield Hit("", *where, ("jsse-pem",), role, inline=inline)
    elif (path := placed(item.value)) is not None:
        known = secret(password.value) if password is not None and not pem else None
        readers = ("jsse-pem",) if pem or path.endswith(".pem") else ("jsse",)
        yield Hit(path, *where, readers, role, secret=known or None)


def gradle(config: Config) -> Iterator[Hit]:
    """gradle.properties: systemProp.javax.net.ssl.trustStore with its password, and org.gradle.jvmargs."""
    found = {item.key: item for item in properties.items(config.text)}
    item = found.get(_PROPERTY)
    if item is not None and (path := placed(item.value)) is not None:
        password = found.get(_PROPERTY + "Password")
        yield Hit(
            path,
            config.path,
            item.line,
            item.key,
            "Gradle",
            Family.JAVA,
            ("jsse",),
            secret=secret(password.value if password is not None else None) or None,
        )
    item = found.get("org.gradle.jvmargs")
    if item is not None:
        yield from _options(config.path, item.line, item.key, item.value, "Gradle")


def jvm_config(config: Config) -> Iterator[Hit]:
    """.mvn/jvm.config: options of the JVM that runs Maven for this project, blanks or line ends between them."""
    if not config.folder.endswith("/.mvn"):
        return
    lines = config.text.split("\n")
    line = next((n for n, text in enumerate(lines, 1) if f"-D{variables.TRUST_STORE}=" in text), None)
    yield from _options(config.path, line, "jvm.config", " ".join(lines), "Maven")


def _options(file: str, line: int | None, key: str, options: str, product: str) -> Iterator[Hit]:
    named = variables.of_java_options([(key, options)])
    if named is not None and (path := placed(named.path)) is not None:
        yield Hit(path, file, line, key, product, named.family, named.readers, secret=secret(named.secret))
