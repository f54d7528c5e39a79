"""Tomcat and Jetty, and ActiveMQ's broker: the stores by which they verify their clients.

Sources: Tomcat's webapps/docs/config/http.xml; org.apache.tomcat.util.net.SSLHostConfig; Jetty's start.d/ssl.ini;
ActiveMQ's "How do I use SSL".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from trustmend.model import Family, Role
from trustmend.places.config.hit import Hit
from trustmend.places.config.syntax import properties, xml
from trustmend.places.config.values import expanded, placed, secret

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.config.product_files import Config

_DEBIAN: Final = re.compile(r"/etc/(tomcat\d*)(?:/|\Z)")
_JKS: Final = ("jsse",)
_PEM: Final = ("openssl-3", "jsse-pem")  # tomcat-native or Java's own TLS, by the connector's sslImplementationName


def tomcat(config: Config) -> Iterator[Hit]:
    """server.xml: connectors and their SSLHostConfig."""
    known = _tomcat_properties(config)
    base = known["catalina.base"]
    for element in xml.elements(config.text):
        attributes = element.attributes
        if element.name not in ("Connector", "SSLHostConfig"):
            continue
        for key, readers in (
            ("truststoreFile", _JKS),
            ("caCertificateFile", _PEM),
            ("caCertificatePath", ("openssl-3",)),
            ("SSLCACertificateFile", _PEM),  # Tomcat 7 and 8.0 with its native connector
            ("SSLCACertificatePath", ("openssl-3",)),
        ):
            path = placed(_expanded(attributes.get(key, ""), known), base)
            if path is None:
                continue
            password = None
            if key == "truststoreFile":
                given = attributes.get("truststorePassword", attributes.get("truststorePass"))
                password = secret(None if given is None else _expanded(given, known))
                readers = ("jsse-pem",) if attributes.get("truststoreType", "").upper() == "PEM" else readers
            yield Hit(
                path, config.path, element.line, key, "Tomcat", Family.JAVA, readers, Role.CLIENT_AUTH, secret=password
            )


def _expanded(value: str, known: Mapping[str, str]) -> str:
    return expanded(value.replace(":-", ":"), known)  # Tomcat parts a default by ":-" (IntrospectionUtils)


def _tomcat_properties(config: Config) -> dict[str, str]:
    """catalina.base, by the place of the file; catalina.home where it is known; what catalina.properties sets."""
    host = config.host
    base, home = config.above, config.above
    packaged = _DEBIAN.match(config.folder)
    if packaged is not None:
        # Debian: /var/lib/tomcat10/conf is a link to /etc/tomcat10. RHEL: /usr/share/tomcat/conf is one to /etc/tomcat.
        bases = (f"/var/lib/{packaged[1]}", f"/usr/share/{packaged[1]}")
        base = next((one for one in bases if _leads(host, f"{one}/conf", config.folder)), bases[0])
        home = f"/usr/share/{packaged[1]}"
    known = {"catalina.base": base}
    if packaged is not None or host.exists(f"{home}/bin/bootstrap.jar"):
        known["catalina.home"] = home
    try:
        content = host.read(f"{config.folder}/catalina.properties", limit=1 << 20).content
    except OSError:
        return known
    for item in properties.items(content.decode("utf-8", "surrogateescape")):
        known.setdefault(item.key, item.value)
    return known


def _leads(host: Host, link: str, folder: str) -> bool:
    try:
        return host.resolve(link) == host.resolve(folder)
    except OSError:
        return False


def jetty_ini(config: Config) -> Iterator[Hit]:
    """start.ini and start.d/*.ini: jetty.sslContext.trustStorePath, relative to the base, and its password."""
    base = config.above if config.folder.endswith("/start.d") else config.folder
    # The lines are those of properties as far as these keys go, but a backslash is a sign like others.
    found = {item.key: item for item in properties.items(config.text.replace("\\", "\\\\"))}
    password = found.get("jetty.sslContext.trustStorePassword")
    for key in ("jetty.sslContext.trustStorePath", "jetty.sslContext.trustStoreAbsolutePath"):
        item = found.get(key)
        if item is None or (path := placed(expanded(item.value, {"jetty.base": base}), base)) is None:
            continue
        yield Hit(
            path,
            config.path,
            item.line,
            key,
            "Jetty",
            Family.JAVA,
            _JKS,
            Role.CLIENT_AUTH,
            secret=secret(password.value if password is not None else None),
        )


def jetty_xml(config: Config) -> Iterator[Hit]:
    """jetty*.xml: the setter of an SslContextFactory, where it holds plain text."""
    for element in xml.elements(config.text):
        setter = element.attributes.get("name", "")
        if element.name != "Set" or setter.lower() not in ("truststore", "truststorepath", "truststoreresource"):
            continue
        value = element.text.strip()
        if not value.startswith(("/", "file:")) or (path := placed(value)) is None:
            continue
        beside = element.parent.children if element.parent is not None else []
        password = next(
            (one.text.strip() for one in beside if one.attributes.get("name", "").lower() == "truststorepassword"), None
        )
        yield Hit(
            path,
            config.path,
            element.line,
            setter,
            "Jetty",
            Family.JAVA,
            _JKS,
            Role.CLIENT_AUTH,
            secret=secret(password or None),
        )


def activemq(config: Config) -> Iterator[Hit]:
    """activemq.xml: <sslContext trustStore="file:${activemq.conf}/broker.ts" trustStorePassword="...">."""
    known = {
        "activemq.conf": config.folder,
        "activemq.base": config.above,
        "activemq.home": config.above,
        "activemq.data": f"{config.above}/data",
    }
    for element in xml.elements(config.text):
        attributes = element.attributes
        if element.name == "sslContext" and "trustStore" in attributes:
            path = placed(expanded(attributes["trustStore"], known), config.folder)
            if path is not None:
                yield Hit(
                    path,
                    config.path,
                    element.line,
                    "sslContext trustStore",
                    "ActiveMQ",
                    Family.JAVA,
                    _JKS,
                    Role.CLIENT_AUTH,
                    secret=secret(attributes.get("trustStorePassword")),
                )
