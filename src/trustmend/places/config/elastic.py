"""Elasticsearch, OpenSearch, Kibana, Logstash and Cassandra: YAML in which dotted and nested keys mean the same.

Sources: Elasticsearch's "Security settings" and "Monitoring settings"; OpenSearch's "Configuring TLS certificates";
Kibana's "Configure Kibana"; Logstash's "Secure your connection"; Cassandra's conf/cassandra.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from trustmend.model import Family, Role
from trustmend.places.config.hit import Hit
from trustmend.places.config.syntax import yaml
from trustmend.places.config.values import placed, secret

if TYPE_CHECKING:
    from trustmend.places.config.product_files import Config

_STORE: Final = re.compile(
    r"(?:^|.*\.)(truststore\.path|truststore_filepath|pemtrustedcas_filepath|certificate_authorit(?:ies|y)"
    r"|certificateAuthorities|cacert)\Z"
)
_SERVER_SIDE: Final = re.compile(
    # A node's own listener; the PKI realm's store holds the CAs of its users' certificates.
    r"xpack\.security\.http\.|xpack\.security\.authc\.realms\.pki\.|server\.ssl\.|api\.ssl\."
    r"|(?:plugins|opendistro|opendistro_security|searchguard)\.(?:security\.)?ssl\.http\."
)
_PEERS: Final = re.compile(
    r"xpack\.security\.(?:transport|remote_cluster_server|remote_cluster_client)\.|transport\.profiles\."
    r"|(?:plugins|opendistro|opendistro_security|searchguard)\.(?:security\.)?ssl\.transport\."
)
_PRODUCTS: Final = {
    "elasticsearch": "Elasticsearch",
    "opensearch": "OpenSearch",
    "opensearch_dashboards": "OpenSearch Dashboards",
    "kibana": "Kibana",
    "logstash": "Logstash",
}


def elastic(config: Config) -> Iterator[Hit]:
    """elasticsearch.yml, opensearch.yml, kibana.yml, logstash.yml: relative paths start from the file's folder."""
    stem = config.name.rpartition(".")[0]
    node = stem in ("kibana", "opensearch_dashboards")
    items = [(yaml.dotted(item), item) for item in yaml.items(config.text)]
    values = {name: item.value for name, item in items}
    for name, item in items:
        key = _STORE.match(name)
        # Node's two take a relative path from the folder in which they are started.
        path = placed(item.value, None if node else config.folder) if key is not None else None
        if key is None or path is None:
            continue
        role = Role.CLIENT_AUTH if _SERVER_SIDE.match(name) else Role.PRIVATE if _PEERS.match(name) else None
        stores = key[1].startswith("truststore")
        password = None
        if stores:
            stem_of_key = name.removesuffix("_filepath").removesuffix(".path")
            password = values.get(f"{stem_of_key}.password", values.get(f"{stem_of_key}_password"))
        readers = ("node",) if node else ("jsse",) if stores else ("jsse-pem",)
        product = _PRODUCTS.get(stem, stem)
        yield Hit(path, config.path, item.line, name, product, Family.JAVA, readers, role, secret=secret(password))


def cassandra(config: Config) -> Iterator[Hit]:
    """cassandra.yaml: client_encryption_options verifies clients, server_encryption_options the other nodes."""
    items = {yaml.dotted(item): item for item in yaml.items(config.text)}
    for options, role, off in (
        ("client_encryption_options", Role.CLIENT_AUTH, ("enabled", "false")),
        ("server_encryption_options", Role.PRIVATE, ("internode_encryption", "none")),
    ):
        item, switch = items.get(f"{options}.truststore"), items.get(f"{options}.{off[0]}")
        if item is None or (switch is not None and switch.value.lower() == off[1]):
            continue
        # The shipped file says "conf/.truststore", from wherever the node is started: not to be known here.
        if (path := placed(item.value)) is not None:
            password = items.get(f"{options}.truststore_password")
            yield Hit(
                path,
                config.path,
                item.line,
                f"{options}.truststore",
                "Cassandra",
                Family.JAVA,
                ("jsse",),
                role,
                secret=secret(password.value if password is not None else None),
            )
