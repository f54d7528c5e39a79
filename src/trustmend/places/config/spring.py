"""Spring Boot's application.properties and application.yml beside the program; those inside its jar are not looked at.

Sources: Spring Boot's "Common Application Properties" and "SSL"; relaxed binding makes trust-store, trustStore and
trust_store one name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from trustmend.model import Family, Role
from trustmend.places.config.hit import Hit
from trustmend.places.config.syntax import properties, yaml
from trustmend.places.config.values import certificates, expanded, placed, secret

if TYPE_CHECKING:
    from trustmend.places.config.product_files import Config
    from trustmend.places.config.syntax import Item

_STORE: Final = re.compile(
    r"(?:.*\.)?(?:truststore(?:location)?|truststore\.location|truststore\.certificates?|trustedcertificates"
    r"|trustcertificate)\Z"
)
_CLIENTS: Final = re.compile(r"(?:management\.)?server\.ssl\.|spring\.rsocket\.server\.ssl\.")
_BUNDLE: Final = re.compile(r"spring\.ssl\.bundle\.(?:jks|pem)\.(.+?)\.truststore\.")
_PASSWORD: Final = re.compile(r"(?:\.location|location)?\Z")


def spring(config: Config) -> Iterator[Hit]:
    """Every trust store that a profile's document names; server.ssl.* verifies clients, all others verify servers."""
    text = config.text
    documents = [list(properties.items(text))] if config.name.endswith(".properties") else yaml.documents(text)
    for document in documents:
        yield from _document(config, [(_uniform(yaml.dotted(item)), item) for item in document])


def _uniform(name: str) -> str:
    """A property's name as relaxed binding compares it; Kafka's own keys stand in brackets."""
    return re.sub(r"[-_\[\]\"]", "", name).lower()


def _document(config: Config, items: list[tuple[str, Item]]) -> Iterator[Hit]:
    values = {name: item.value for name, item in items}
    serving = {value for name, value in values.items() if name in ("server.ssl.bundle", "management.server.ssl.bundle")}
    asking = {
        value
        for name, value in values.items()
        if name.endswith("ssl.bundle") and not name.startswith(("server.", "man"))
    }
    for name, item in items:
        if _STORE.match(name) is None:
            continue
        bundle = _BUNDLE.match(name)
        named = bundle is not None and any(_uniform(one) == bundle[1] for one in serving - asking)
        role = Role.CLIENT_AUTH if named or _CLIENTS.match(name) else None
        value = expanded(item.value, {})
        key = yaml.dotted(item)
        where = (config.path, item.line, key, "Spring Boot", Family.JAVA)
        if (inline := certificates(value)) is not None:
            yield Hit("", *where, ("jsse-pem",), role, inline=inline)
        elif (path := placed(value)) is not None:
            stem = _PASSWORD.sub("", name, count=1) if name.endswith("location") else name
            given = next((values[one] for one in (f"{stem}password", f"{stem}.password") if one in values), None)
            pem = "certificate" in name.rpartition(".")[2] or path.endswith((".pem", ".crt"))
            known = secret(expanded(given, {})) if given is not None and not pem else None
            yield Hit(path, *where, ("jsse-pem",) if pem else ("jsse",), role, secret=known or None)
