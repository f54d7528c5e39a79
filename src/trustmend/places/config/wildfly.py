"""WildFly, JBoss EAP and Keycloak.

Sources: WildFly's schemas wildfly-elytron_*.xsd and jboss-as-config_*.xsd; Keycloak's "Configuring trusted
certificates" and "Configuring TLS", and the truststore SPI of releases before 17.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from trustmend.model import Family, Role
from trustmend.places.config.hit import Hit
from trustmend.places.config.syntax import properties, xml
from trustmend.places.config.values import expanded, placed, secret

if TYPE_CHECKING:
    from trustmend.places.config.product_files import Config
    from trustmend.places.config.syntax.xml import Element

_PRODUCT: Final = "WildFly"


def wildfly(config: Config) -> Iterator[Hit]:
    """standalone*.xml, domain.xml, host.xml: realms' trust stores, Elytron's and Keycloak's truststore SPI."""
    folders = _folders(config)
    elements = xml.elements(config.text)
    for element in elements:
        if element.name == "truststore" and "path" in element.attributes:
            # A security realm verifies by it who logs in with a certificate.
            path = _path(element, folders)
            password = element.attributes.get("keystore-password")
            if path is not None:
                yield _hit(config, element, path, "truststore", Role.CLIENT_AUTH, password, folders)
        elif element.name == "spi" and element.attributes.get("name") == "truststore":
            yield from _keycloak_spi(config, element, folders)
    yield from _elytron(config, elements, folders)


def _hit(
    config: Config,
    element: Element,
    path: str,
    key: str,
    role: Role | None,
    password: str | None,
    folders: dict[str, str],
) -> Hit:
    known = secret(expanded(password, folders)) if password is not None else None
    return Hit(path, config.path, element.line, key, _PRODUCT, Family.JAVA, ("jsse",), role, secret=known)


def _folders(config: Config) -> dict[str, str]:
    """The named paths, by the place of the file: HOME/standalone/configuration/standalone.xml."""
    base = config.above
    home = base.rpartition("/")[0]
    kind = "jboss.domain" if config.name in ("domain.xml", "host.xml") else "jboss.server"
    folders = {f"{kind}.config.dir": config.folder, f"{kind}.base.dir": base, f"{kind}.data.dir": f"{base}/data"}
    if home:
        folders |= {"jboss.home.dir": home, "jboss.home": home}
    return folders


def _path(element: Element, folders: dict[str, str]) -> str | None:
    """`path`, with expressions, from the folder that `relative-to` names."""
    relative = element.attributes.get("relative-to")
    base = None if relative is None else folders.get(relative)
    return placed(expanded(element.attributes.get("path", ""), folders), base)


def _elytron(config: Config, elements: list[Element], folders: dict[str, str]) -> Iterator[Hit]:
    """Key stores that a trust manager uses; a server's SSL context verifies clients by it, a client's servers."""
    managers: dict[str, set[Role | None]] = {}
    for element in elements:
        manager = element.attributes.get("trust-manager")
        if manager and element.name in ("server-ssl-context", "client-ssl-context"):
            role = Role.CLIENT_AUTH if element.name == "server-ssl-context" else None
            managers.setdefault(manager, set()).add(role)
    stores: dict[str, set[Role | None]] = {}
    for element in elements:
        if element.name == "trust-manager" and "key-store" in element.attributes:
            roles = managers.get(element.attributes.get("name", ""), set())
            stores.setdefault(element.attributes["key-store"], set()).update(roles)
    for element in elements:
        used = stores.get(element.attributes.get("name", "")) if element.name == "key-store" else None
        file = element.first("file")
        if used is None or file is None or (path := _path(file, folders)) is None:
            continue
        credential = element.first("credential-reference")
        password = credential.attributes.get("clear-text") if credential is not None else None
        role = Role.CLIENT_AUTH if used == {Role.CLIENT_AUTH} else None
        yield _hit(config, file, path, f"key-store {element.attributes.get('name', '')}", role, password, folders)


def _keycloak_spi(config: Config, spi: Element, folders: dict[str, str]) -> Iterator[Hit]:
    """<spi name="truststore"><provider name="file"> with <property name="file" value="..."/>: verifies servers."""
    for provider in (one for one in spi.children if one.name == "provider"):
        group = provider.first("properties")
        found = {one.attributes.get("name"): one for one in (group.children if group is not None else [])}
        file, password = found.get("file"), found.get("password")
        if file is None or (path := placed(expanded(file.attributes.get("value", ""), folders))) is None:
            continue
        value = password.attributes.get("value") if password is not None else None
        yield _hit(config, file, path, "spi truststore file", None, value, folders)


_KEYCLOAK: Final = {
    # key: whom it verifies; the key of its password
    "https-trust-store-file": (Role.CLIENT_AUTH, "https-trust-store-password"),
    "https-management-trust-store-file": (Role.CLIENT_AUTH, "https-management-trust-store-password"),
    "spi-truststore-file-file": (None, "spi-truststore-file-password"),
}
_LIST: Final = re.compile(r"\s*,\s*")


def keycloak(config: Config) -> Iterator[Hit]:
    """keycloak.conf; `truststore-paths`, a list of files and folders, is trusted beside Java's own store."""
    found = {item.key.replace("--", "-"): item for item in properties.items(config.text)}
    home = {"kc.home.dir": config.above}
    for key, (role, password_key) in _KEYCLOAK.items():
        item = found.get(key)
        if item is None or (path := placed(expanded(item.value, home))) is None:
            continue
        password = found.get(password_key)
        yield Hit(
            path,
            config.path,
            item.line,
            key,
            "Keycloak",
            Family.JAVA,
            ("jsse-pem",) if path.endswith((".pem", ".crt")) else ("jsse",),
            role,
            secret=secret(password.value if password is not None else None),
        )
    item = found.get("truststore-paths")
    for one in _LIST.split(item.value.strip()) if item is not None else ():
        if item is not None and (path := placed(expanded(one, home))) is not None:
            readers = ("jsse",) if path.endswith((".p12", ".pfx", ".jks")) else ("jsse-pem",)
            yield Hit(path, config.path, item.line, item.key, "Keycloak", Family.JAVA, readers, extends=True)
