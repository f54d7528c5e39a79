"""What the configuration of Java products names: by which key, on which line, to verify whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from places.config.roots import plant
from trustmend.model import Role
from trustmend.places import tree
from trustmend.places.config import java_products
from trustmend.places.config.hit import Hit

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def hits(root: Path, files: dict[str, str | bytes]) -> list[Hit]:
    host = plant(root, files)
    return list(java_products.hits(host, tree.survey(host)))


def facts(found: list[Hit]) -> list[tuple[str, int | None, str, Role | None, str | None]]:
    return [(hit.value, hit.line, hit.key, hit.role, hit.secret) for hit in found]


SERVER_XML = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- <Connector truststoreFile="/commented.p12"/> -->
<Server>
  <Service name="Catalina">
    <Connector port="8443" truststoreFile="conf/old.jks" truststorePass="{password}" keystorePass="not-to-be-read"/>
    <Connector port="9443">
      <SSLHostConfig truststoreFile="${{catalina.base}}/conf/${{no:-t}}.p12" truststorePassword="${{trust.pw}}"
                     caCertificateFile="${{catalina.home}}/ca.pem" caCertificatePath="${{nowhere}}/x">
      </SSLHostConfig>
    </Connector>
  </Service>
</Server>
"""


def test_tomcat_of_the_package_starts_from_var_lib(tmp_path: Path) -> None:
    (tmp_path / "var/lib/tomcat10").mkdir(parents=True)
    (tmp_path / "var/lib/tomcat10/conf").symlink_to("/etc/tomcat10")

    found = hits(
        tmp_path,
        {
            "/etc/tomcat10/server.xml": SERVER_XML.format(password="a&amp;b"),
            "/etc/tomcat10/catalina.properties": "trust.pw=from-properties\n",
        },
    )

    assert facts(found) == [
        ("/var/lib/tomcat10/conf/old.jks", 5, "truststoreFile", Role.CLIENT_AUTH, "a&b"),
        ("/var/lib/tomcat10/conf/t.p12", 7, "truststoreFile", Role.CLIENT_AUTH, "from-properties"),
        ("/usr/share/tomcat10/ca.pem", 7, "caCertificateFile", Role.CLIENT_AUTH, None),
    ]
    assert {hit.file for hit in found} == {"/etc/tomcat10/server.xml"}
    assert "a&b" not in repr(found)
    assert "not-to-be-read" not in repr([vars(hit) for hit in found])


def test_tomcat_unpacked_by_hand_starts_from_its_own_folder(tmp_path: Path) -> None:
    found = hits(tmp_path, {"/opt/apps/tomcat/conf/server.xml": SERVER_XML.format(password="x").replace("\n", "\r\n")})

    # Nothing says what catalina.home is here, or the password's property.
    assert facts(found) == [
        ("/opt/apps/tomcat/conf/old.jks", 5, "truststoreFile", Role.CLIENT_AUTH, "x"),
        ("/opt/apps/tomcat/conf/t.p12", 7, "truststoreFile", Role.CLIENT_AUTH, None),
    ]


@pytest.mark.parametrize(
    "text",
    [
        SERVER_XML.format(password="x").replace("</Server>", ""),
        SERVER_XML.format(password="x").replace("<Server>", '<!DOCTYPE Server [<!ENTITY x "y">]><Server>'),
        "<a>" * 5000 + "truststore",
        "",
    ],
    ids=["not-well-formed", "entities", "deep", "empty"],
)
def test_what_is_no_plain_xml_names_nothing(tmp_path: Path, text: str) -> None:
    assert hits(tmp_path, {"/opt/tomcat/conf/server.xml": text}) == []


def test_xml_in_another_encoding_is_read_by_its_declaration(tmp_path: Path) -> None:
    latin = SERVER_XML.format(password="pä").replace("UTF-8", "ISO-8859-1").encode("latin-1")

    assert hits(tmp_path, {"/opt/tomcat/conf/server.xml": latin})[0].secret == "pä"


def test_a_kafka_broker_verifies_clients_and_a_client_servers(tmp_path: Path) -> None:
    text = """\ufeff# ssl.truststore.location=/commented
ssl.truststore.location=/etc/kafka/broker.jks
ssl.truststore.password = broker\\
    -pass
listener.name.internal.ssl.truststore.location : /etc/kafka/internal.p12
zookeeper.ssl.truststore.location=/etc/kafka/zk.jks
ssl.keystore.password=not-to-be-read
"""
    inline = (
        "ssl.truststore.type=PEM\n"
        "ssl.truststore.certificates=-----BEGIN CERTIFICATE----- \\\n MIIB \\\n -----END CERTIFICATE-----\n"
        "producer.ssl.truststore.location=${file:/etc/secret:path}\n"
    )

    found = hits(
        tmp_path,
        {
            "/opt/kafka/config/server.properties": text,
            "/opt/kafka/config/client-ssl.properties": inline.replace("\n", "\r\n"),
            "/opt/kafka/config/consumer.properties": "ssl.truststore.type=pem\nssl.truststore.location=/c.pem\n",
        },
    )

    assert facts(found) == [
        ("", 2, "ssl.truststore.certificates", None, None),
        ("/c.pem", 2, "ssl.truststore.location", None, None),
        ("/etc/kafka/broker.jks", 2, "ssl.truststore.location", Role.CLIENT_AUTH, "broker-pass"),
        (
            "/etc/kafka/internal.p12",
            5,
            "listener.name.internal.ssl.truststore.location",
            Role.CLIENT_AUTH,
            None,
        ),
        ("/etc/kafka/zk.jks", 6, "zookeeper.ssl.truststore.location", None, None),
    ]
    assert found[0].inline == PEM.encode()
    assert found[1].readers == ("jsse-pem",)


def test_zookeeper_has_one_for_clients_and_one_for_its_peers(tmp_path: Path) -> None:
    text = "ssl.trustStore.location=/c.jks\nssl.trustStore.password=p\nssl.quorum.trustStore.location=/q.jks\n"

    found = hits(tmp_path, {"/etc/zookeeper/conf/zoo.cfg": text})

    assert [(hit.value, hit.role, hit.secret) for hit in found] == [
        ("/c.jks", Role.CLIENT_AUTH, "p"),
        ("/q.jks", Role.PRIVATE, None),
    ]


def test_elasticsearch_takes_dotted_and_nested_keys(tmp_path: Path) -> None:
    text = """\
xpack.security.http.ssl:
  enabled: true
  truststore.path: certs/http.p12
  truststore.password: 'for-http'
xpack.security.transport.ssl.certificate_authorities: [ "certs/ca.crt", /etc/peers.pem ]
xpack:
  security.authc.realms:
    ldap.ldap1:
      ssl:
        certificate_authorities:
          - ldap.pem
    pki.pki1.truststore.path: users.jks
reindex.ssl.certificate_authorities: "${REINDEX_CA}"
"""

    found = hits(tmp_path, {"/etc/elasticsearch/elasticsearch.yml": text})

    assert [(hit.value, hit.line, hit.role, hit.secret) for hit in found] == [
        ("/etc/elasticsearch/certs/http.p12", 3, Role.CLIENT_AUTH, "for-http"),
        ("/etc/elasticsearch/certs/ca.crt", 5, Role.PRIVATE, None),
        ("/etc/peers.pem", 5, Role.PRIVATE, None),
        ("/etc/elasticsearch/ldap.pem", 11, None, None),
        ("/etc/elasticsearch/users.jks", 12, Role.CLIENT_AUTH, None),
    ]
    assert [hit.readers for hit in found[:2]] == [("jsse",), ("jsse-pem",)]


def test_opensearch_kibana_and_cassandra(tmp_path: Path) -> None:
    found = hits(
        tmp_path,
        {
            "/etc/opensearch/opensearch.yml": "plugins.security.ssl.http.pemtrustedcas_filepath: root-ca.pem\n"
            "plugins.security.ssl.transport.truststore_filepath: t.jks\n"
            "plugins.security.ssl.transport.truststore_password: changed\n",
            "/etc/kibana/kibana.yml": "elasticsearch.ssl.certificateAuthorities: ['/k/ca.pem', relative.pem]\n"
            "server.ssl.truststore.path: /k/clients.p12\n",
            "/etc/cassandra/cassandra.yaml": "server_encryption_options:\n  internode_encryption: none\n"
            "  truststore: /c/off.jks\nclient_encryption_options:\n  enabled: true\n  truststore: /c/on.jks\n"
            "  truststore_password: cassandra\n",
        },
    )

    assert [(hit.value, hit.role, hit.secret) for hit in found] == [
        ("/c/on.jks", Role.CLIENT_AUTH, "cassandra"),
        ("/k/ca.pem", None, None),
        ("/k/clients.p12", Role.CLIENT_AUTH, None),
        ("/etc/opensearch/root-ca.pem", Role.CLIENT_AUTH, None),
        ("/etc/opensearch/t.jks", Role.PRIVATE, "changed"),
    ]
    assert [hit.readers for hit in found[1:3]] == [("node",), ("node",)]


@pytest.mark.parametrize(
    "text",
    ["truststore: [", "a: &a [*a, *a]\ntruststore: *a", "- " * 9000 + "truststore", "truststore: \x00", "%truststore"],
    ids=["open", "alias", "deep", "nul", "directive"],
)
def test_broken_or_hostile_yaml_names_nothing(tmp_path: Path, text: str) -> None:
    assert hits(tmp_path, {"/etc/elasticsearch/elasticsearch.yml": text}) == []


def test_wildfly_tells_a_servers_context_from_a_clients(tmp_path: Path) -> None:
    text = """\
<server xmlns="urn:jboss:domain:20.0">
  <management><security-realms><security-realm name="R"><authentication>
    <truststore path="realm.jks" relative-to="jboss.server.config.dir" keystore-password="rp"/>
  </authentication></security-realm></security-realms></management>
  <profile><subsystem xmlns="urn:wildfly:elytron:18.0"><tls>
    <key-stores>
      <key-store name="clients"><credential-reference clear-text="cp"/><implementation type="JKS"/>
        <file path="c.jks" relative-to="jboss.server.config.dir"/></key-store>
      <key-store name="servers"><credential-reference store="vault" alias="x"/>
        <file path="${jboss.home.dir}/s.p12"/></key-store>
      <key-store name="own"><file path="own.jks" relative-to="jboss.server.config.dir"/></key-store>
    </key-stores>
    <trust-managers><trust-manager name="tc" key-store="clients"/><trust-manager name="ts" key-store="servers"/>
    </trust-managers>
    <server-ssl-contexts><server-ssl-context name="a" trust-manager="tc"/></server-ssl-contexts>
    <client-ssl-contexts><client-ssl-context name="b" trust-manager="ts"/></client-ssl-contexts>
  </tls></subsystem>
  <subsystem xmlns="urn:jboss:domain:keycloak-server:1.2"><spi name="truststore"><provider name="file"><properties>
    <property name="file" value="${jboss.server.config.dir}/k.jks"/><property name="password" value="kp"/>
  </properties></provider></spi></subsystem></profile>
</server>
"""
    folder = "/opt/wildfly/standalone/configuration"

    found = hits(tmp_path, {f"{folder}/standalone-full.xml": text})

    assert [(hit.value, hit.line, hit.role, hit.secret) for hit in found] == [
        (f"{folder}/realm.jks", 3, Role.CLIENT_AUTH, "rp"),
        (f"{folder}/k.jks", 19, None, "kp"),
        (f"{folder}/c.jks", 8, Role.CLIENT_AUTH, "cp"),
        ("/opt/wildfly/s.p12", 10, None, None),
    ]


def test_keycloak_conf(tmp_path: Path) -> None:
    text = (
        "# truststore-paths=/no\nhttps-trust-store-file=/k/clients.p12\nhttps-trust-store-password=cp\n"
        "truststore-paths=/k/one.pem, ${kc.home.dir}/conf/more\nspi-truststore-file-file=/k/servers.jks\n"
        "db-password=not-to-be-read\n"
    )

    found = hits(tmp_path, {"/opt/keycloak/conf/keycloak.conf": text})

    assert [(hit.value, hit.role, hit.extends, hit.secret) for hit in found] == [
        ("/k/clients.p12", Role.CLIENT_AUTH, False, "cp"),
        ("/k/servers.jks", None, False, None),
        ("/k/one.pem", None, True, None),
        ("/opt/keycloak/conf/more", None, True, None),
    ]


def test_spring_boot_beside_its_jar(tmp_path: Path) -> None:
    properties = """\
server.ssl.trust-store=file:/s/clients.p12
server.ssl.trustStorePassword=${TRUST_PASSWORD:fallback}
spring.kafka.ssl.trust-store-location=file:///s/kafka.jks
spring.kafka.ssl.trust-store-password=${TRUST_PASSWORD}
spring.kafka.properties[ssl.truststore.location]=/s/other.jks
spring.data.redis.ssl.trust-store=classpath:inside.jks
"""
    yaml = f"""\
server.ssl.bundle: web
spring:
  ssl:
    bundle:
      jks:
        web: {{truststore: {{location: "/s/web.p12", password: wp}}}}
      pem:
        api:
          truststore:
            certificate: |
{"".join(f"              {line}{chr(10)}" for line in PEM.splitlines())}
        api2.truststore.certificate: ${{API_CA:/s/api.crt}}
---
spring.config.activate.on-profile: prod
spring.rabbitmq.ssl.trust_store: /s/rabbit.p12
"""

    found = hits(
        tmp_path,
        {
            "/srv/app/application.properties": properties,
            "/srv/app/config/application-prod.yml": "server.ssl.trust-store: /not-seen-without-application.yml",
            "/etc/shop/application.yml": yaml,
            "/opt/src/main/resources/application.yml": "server.ssl.trust-store: /s/in-the-jar.p12",
        },
    )

    assert [(hit.value, hit.role, hit.secret) for hit in found] == [
        ("/s/web.p12", Role.CLIENT_AUTH, "wp"),
        ("", None, None),
        ("/s/api.crt", None, None),
        ("/s/rabbit.p12", None, None),
        ("/s/clients.p12", Role.CLIENT_AUTH, "fallback"),
        ("/s/kafka.jks", None, None),
        ("/s/other.jks", None, None),
    ]
    assert found[1].inline == PEM.encode()
    assert found[1].line == 10


def test_build_tools_and_jetty_and_activemq(tmp_path: Path) -> None:
    found = hits(
        tmp_path,
        {
            "/srv/build/gradle.properties": "systemProp.javax.net.ssl.trustStore=/g.jks\n"
            "systemProp.javax.net.ssl.trustStorePassword=gp\n"
            "org.gradle.jvmargs=-Xmx2g -Djavax.net.ssl.trustStore=/daemon.jks\n",
            "/srv/build/.mvn/jvm.config": "-Xmx1g\n-Djavax.net.ssl.trustStore=/m.p12\n"
            "-Djavax.net.ssl.trustStorePassword=mp\n",
            "/etc/mavenrc": 'MAVEN_OPTS="$MAVEN_OPTS -Djavax.net.ssl.trustStore=/rc.p12"\n',
            "/opt/jetty/start.ini": "--module=ssl\n",
            "/opt/jetty/start.d/ssl.ini": "# jetty.sslContext.trustStorePath=etc/no\n"
            "jetty.sslContext.trustStorePath=etc/t.p12\njetty.sslContext.trustStorePassword=OBF:1vny\n",
            "/opt/activemq/conf/activemq.xml": '<beans xmlns:amq="x"><amq:sslContext '
            'trustStore="file:${activemq.conf}/b.ts" trustStorePassword="bp"/></beans>',
        },
    )

    assert {(hit.value, hit.line, hit.role, hit.secret) for hit in found} == {
        ("/g.jks", 1, None, "gp"),
        ("/daemon.jks", 3, None, None),
        ("/m.p12", 2, None, "mp"),
        ("/rc.p12", 1, None, None),
        ("/opt/jetty/etc/t.p12", 2, Role.CLIENT_AUTH, None),
        ("/opt/activemq/conf/b.ts", 1, Role.CLIENT_AUTH, "bp"),
    }
