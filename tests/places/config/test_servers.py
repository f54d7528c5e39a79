"""What the configuration of servers names: by which key, on which line, to verify whom; and what they say to it."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from places.config.roots import plant
from trustmend.host import Host
from trustmend.model import Role
from trustmend.places import tree
from trustmend.places.config import servers
from trustmend.places.config.hit import Hit

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
NGINX = """\
events { }
http {
  include conf.d/*.conf; # and more
  proxy_ssl_trusted_certificate "certs/up stream.pem";
  #grpc_ssl_trusted_certificate /commented.pem;
}
"""
NGINX_SITE = """\
server {
  ssl_client_certificate /c/clients.pem; ssl_trusted_certificate $variable;
  location / { grpc_ssl_trusted_certificate '/c/grpc.pem'; }
}
"""
APACHE = """\
ServerRoot "${ROOT}"
Define CERTS /c
<IfModule mod_ssl.c>
  SSLProxyCACertificateFile \\
    "${CERTS}/back end.pem"
</IfModule>
# SSLCACertificateFile /commented.pem
IncludeOptional sites-enabled/*.conf
"""
HAPROXY = """\
global
    ca-base /c
defaults
    default-server ca-file back.pem
frontend f
    bind :443 ssl crt /x.pem ca-file /c/clients.pem verify required # ca-file /commented.pem
backend b
    server s 10.0.0.1:443 ssl verify required ca-file "other ca.pem"
    server t 10.0.0.1:443 ssl verify required ca-file @system-ca
    server u 10.0.0.1:443 ssl verify required ca-file "$CA"
"""


def hits(root: Path, files: dict[str, str | bytes]) -> list[Hit]:
    host = plant(root, files)
    return list(servers.hits(host, tree.survey(host)))


def short(found: list[Hit]) -> list[tuple[str, str, int | None, Role | None]]:
    return [(hit.value, hit.file.rpartition("/")[2], hit.line, hit.role) for hit in found]


@pytest.mark.parametrize("form", [str, lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text])
def test_nginx_with_its_includes(tmp_path: Path, form: Callable[[str], str]) -> None:
    files: dict[str, str | bytes] = {
        "/etc/nginx/nginx.conf": form(NGINX),
        "/etc/nginx/conf.d/a.conf": form(NGINX_SITE),
        "/etc/nginx/conf.d/unused.txt": form(NGINX_SITE),
    }

    assert short(hits(tmp_path, files)) == [
        ("/etc/nginx/certs/up stream.pem", "nginx.conf", 4, None),
        ("/c/clients.pem", "a.conf", 2, Role.CLIENT_AUTH),
        ("/c/grpc.pem", "a.conf", 3, None),
    ]


def test_an_nginx_elsewhere_and_a_file_that_includes_itself(tmp_path: Path) -> None:
    text = b"include nginx.conf;\nhttp { proxy_ssl_trusted_certificate caf\xe9.pem; }\n"

    found = hits(tmp_path, {"/opt/web/nginx/conf/nginx.conf": text})

    assert {hit.value for hit in found} == {"/opt/web/nginx/conf/caf\udce9.pem"}


def test_apache_with_its_variables_and_sites(tmp_path: Path) -> None:
    found = hits(
        tmp_path,
        {
            "/etc/apache2/apache2.conf": APACHE,
            "/etc/apache2/envvars": "export ROOT=/etc/apache2\n",
            "/etc/apache2/sites-enabled/a.conf": "<VirtualHost *:443>\nSSLCACertificatePath clients/\n</VirtualHost>\n",
            "/etc/apache2/sites-available/b.conf": "SSLCACertificatePath /not-enabled\n",
        },
    )

    assert short(found) == [
        ("/c/back end.pem", "apache2.conf", 4, None),
        ("/etc/apache2/clients", "a.conf", 2, Role.CLIENT_AUTH),
    ]


def test_haproxy_tells_its_listeners_from_its_servers(tmp_path: Path) -> None:
    assert short(hits(tmp_path, {"/etc/haproxy/haproxy.cfg": HAPROXY})) == [
        ("/c/back.pem", "haproxy.cfg", 4, None),
        ("/c/clients.pem", "haproxy.cfg", 6, Role.CLIENT_AUTH),
        ("/c/other ca.pem", "haproxy.cfg", 8, None),
    ]


def test_mail_servers(tmp_path: Path) -> None:
    found = hits(
        tmp_path,
        {
            "/etc/postfix/main.cf": "smtp_tls_CAfile =\n  ${config_directory}/up.pem\n# c\nsmtpd_tls_CApath=/c/in\n"
            "smtpd_tls_CAfile = $nowhere/x\n",
            "/etc/dovecot/dovecot.conf": "ssl_ca = </c/clients.pem\n",
            "/etc/dovecot/conf.d/10-ssl.conf": "  ssl_client_ca_dir = /c/dir\n#ssl_client_ca_file = /c/commented\n",
            "/etc/exim/exim.conf": "tls_verify_certificates = /c/exim-in\nbegin transports\n"
            "  tls_verify_certificates = /c/exim-out\n  tls_verify_certificates = ${if x{/a}}\n",
        },
    )

    assert short(found) == [
        ("/etc/postfix/up.pem", "main.cf", 1, None),
        ("/c/in", "main.cf", 4, Role.CLIENT_AUTH),
        ("/c/clients.pem", "dovecot.conf", 1, Role.CLIENT_AUTH),
        ("/c/dir", "10-ssl.conf", 1, None),
        ("/c/exim-in", "exim.conf", 1, Role.CLIENT_AUTH),
        ("/c/exim-out", "exim.conf", 3, None),
    ]


def test_tunnels_directories_logs_and_databases(tmp_path: Path) -> None:
    found = hits(
        tmp_path,
        {
            "/etc/stunnel/s.conf": "client = yes\n[a]\nCAfile = /c/a\n[b]\nclient = no\nCApath = /c/b\n",
            "/etc/openvpn/client/v.conf": "ca ca.crt ; x\n",
            "/etc/openvpn/w.ovpn": f"<ca>\n{PEM}</ca>\n<key>\nca /not-to-be-read\n</key>\n",
            "/etc/ldap/slapd.conf": "TLSCACertificateFile /c/ldap\n",
            "/etc/openldap/slapd.d/cn=config.ldif": "dn: cn=config\nolcTLSCACertificateFile: /c/olc\n",
            "/etc/rsyslog.d/t.conf": 'global(DefaultNetstreamDriverCAFile="/c/log")\n'
            "$DefaultNetstreamDriverCAFile /c/l\n",
            "/etc/postgresql/15/main/postgresql.conf": "data_directory = '/var/lib/postgresql/15/main'\n"
            "ssl_ca_file = '/first'\ninclude_dir = 'conf.d'\n#ssl_ca_file = '/commented'\n",
            "/etc/postgresql/15/main/conf.d/a.conf": "ssl_ca_file 'it''s.crt' # later wins\n",
            "/etc/redis/redis.conf": "tls-ca-cert-file /c/redis\n",
            "/etc/mosquitto/conf.d/b.conf": "cafile /c/in\nbridge_cafile /c/out\n",
            "/etc/mongod.conf": "net:\n  tls:\n    CAFile: /c/mongo\n",
            "/etc/squid/squid.conf": "tls_outgoing_options cafile=/c/squid min-version=1.2\n",
        },
    )

    assert short(found) == [
        ("/c/a", "s.conf", 3, None),
        ("/c/b", "s.conf", 6, Role.CLIENT_AUTH),
        ("", "w.ovpn", 1, Role.PRIVATE),
        ("/etc/openvpn/client/ca.crt", "v.conf", 1, Role.PRIVATE),
        ("/c/ldap", "slapd.conf", 1, Role.CLIENT_AUTH),
        ("/c/olc", "cn=config.ldif", 2, Role.CLIENT_AUTH),
        ("/c/log", "t.conf", 1, None),
        ("/c/l", "t.conf", 2, None),
        ("/var/lib/postgresql/15/main/it's.crt", "a.conf", 1, Role.CLIENT_AUTH),
        ("/c/redis", "redis.conf", 1, Role.CLIENT_AUTH),
        ("/c/in", "b.conf", 1, Role.CLIENT_AUTH),
        ("/c/out", "b.conf", 2, None),
        ("/c/mongo", "mongod.conf", 3, Role.CLIENT_AUTH),
        ("/c/squid", "squid.conf", 1, None),
    ]
    assert found[2].inline == PEM.encode()


def test_container_engines_and_kubernetes(tmp_path: Path) -> None:
    inline = base64.b64encode(PEM.encode()).decode()
    found = hits(
        tmp_path,
        {
            "/etc/docker/certs.d/registry.example:5000/ca.crt": PEM,
            "/etc/docker/certs.d/registry.example:5000/client.key": "not-to-be-read",
            "/etc/docker/daemon.json": '{\n\t"tlsverify": true,\n\t"tlscacert": "/c/docker.pem"\n}\n',
            "/home/joe/.config/containers/certs.d/r/ca.crt": PEM,
            "/etc/containerd/certs.d/r/hosts.toml": 'server = "https://r"\n[host."https://m"]\n'
            "  ca = [\"/c/m.crt\", 'own.crt'] # x\n",
            "/etc/rancher/k3s/registries.yaml": "configs:\n  r:\n    tls:\n      ca_file: /c/k3s.pem\n",
            "/home/joe/.kube/config": "clusters:\n- name: a\n  cluster:\n    certificate-authority: ca.pem\n"
            f"- cluster: {{certificate-authority-data: {inline}}}\n- cluster: {{certificate-authority-data: '?'}}\n"
            "users: [{user: {client-key-data: bm90LXRvLWJlLXJlYWQ=}}]\n",
        },
    )

    assert [(hit.value, hit.line, hit.role, hit.extends) for hit in found] == [
        ("/etc/docker/certs.d/registry.example:5000/ca.crt", None, None, True),
        ("/home/joe/.config/containers/certs.d/r/ca.crt", None, None, True),
        ("/c/m.crt", 3, None, True),
        ("/etc/containerd/certs.d/r/own.crt", 3, None, True),
        ("/c/k3s.pem", 4, None, True),
        ("/c/docker.pem", 3, Role.CLIENT_AUTH, False),
        ("/home/joe/.kube/ca.pem", 4, Role.PRIVATE, False),
        ("", 5, Role.PRIVATE, False),
    ]
    assert found[-1].inline == PEM.encode()


def test_collectors(tmp_path: Path) -> None:
    found = hits(
        tmp_path,
        {
            "/etc/prometheus/prometheus.yml": "x:\n- tls_config:\n    ca_file: rel.pem # x\n#  ca_file: /no\n",
            "/etc/telegraf/telegraf.d/a.conf": '[[outputs.http]]\n  tls_ca = "/c/telegraf"\n  tls_cakes = "/no"\n',
            "/etc/vault.d/vault.hcl": 'listener "tcp" {\n  tls_client_ca_file = "/c/vault"\n}\n',
            "/etc/filebeat/filebeat.yml": "output.x:\n  ssl.certificate_authorities:\n    - /c/beat\n    - |\n"
            + "".join(f"      {line}\n" for line in PEM.splitlines()),
            "/etc/logstash/conf.d/p.conf": "input {\n beats {\n"
            "  ssl_certificate_authorities => [\"/c/in\", '/c/in2']\n} }\n"
            'output {\n  elasticsearch {\n    cacert => "/c/out"\n } }\n',
        },
    )

    assert short(found) == [
        ("/etc/prometheus/rel.pem", "prometheus.yml", 3, None),
        ("/c/telegraf", "a.conf", 2, None),
        ("/c/vault", "vault.hcl", 2, Role.CLIENT_AUTH),
        ("/c/beat", "filebeat.yml", 3, None),
        ("", "filebeat.yml", 4, None),
        ("/c/in", "p.conf", 3, Role.CLIENT_AUTH),
        ("/c/in2", "p.conf", 3, Role.CLIENT_AUTH),
        ("/c/out", "p.conf", 7, None),
    ]
    assert found[4].inline == PEM.encode()


@pytest.mark.skipif(os.geteuid() != 0, reason="files of several owners")
def test_root_reads_no_part_that_a_users_file_includes_but_may_not_see(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    host = plant(
        tmp_path,
        {
            "/srv/nginx/nginx.conf": "include /secret/*.conf;\nproxy_ssl_trusted_certificate /c/own.pem;\n",
            "/secret/a.conf": "proxy_ssl_trusted_certificate /c/secret.pem;\n",
        },
    )
    os.chown(tmp_path / "srv/nginx/nginx.conf", 4711, 4711)
    (tmp_path / "secret/a.conf").chmod(0o600)

    assert [hit.value for hit in servers.hits(host, tree.survey(host))] == ["/c/own.pem"]


def complaint(*argv: str) -> str:
    done = subprocess.run(argv, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


@pytest.mark.needs("nginx")
def test_nginx_opens_the_very_file(tmp_path: Path) -> None:
    text = "events {}\nhttp { server { listen 127.0.0.1:1; location / { proxy_pass https://h; \n"
    text += "proxy_ssl_verify on; proxy_ssl_trusted_certificate 'no such.pem'; } } }\n"
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt/nginx.conf").write_text(text.replace("https://h", "https://127.0.0.1"))

    (hit,) = servers.hits(Host(), {"configs": [str(tmp_path / "opt/nginx.conf")]})
    said = complaint("nginx", "-t", "-c", str(tmp_path / "opt/nginx.conf"))

    assert f'SSL_CTX_load_verify_locations("{hit.value}") failed' in said


@pytest.mark.needs("haproxy")
def test_haproxy_opens_the_very_file(tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text(f"global\n ca-base {tmp_path}\nbackend b\n server s 127.0.0.1:1 ssl ca-file no\\ such.pem\n")

    (hit,) = (hit for hit in servers.hits(Host(), {"configs": [str(path)]}) if hit.file == str(path))

    assert f"Couldn't open the ca-file '{hit.value}'" in complaint("haproxy", "-c", "-f", str(path))


@pytest.mark.needs("apache2")
def test_apache_opens_the_very_file(tmp_path: Path) -> None:
    modules = "/usr/lib/apache2/modules"
    loaded = "".join(
        f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in ("mpm_event", "socache_shmcb", "ssl")
    )
    path = tmp_path / "conf/httpd.conf"
    path.parent.mkdir()
    path.write_text(f"ServerRoot {tmp_path}\nServerName x\n{loaded}SSLProxyCACertificateFile 'no such.pem'\n")

    (hit,) = (hit for hit in servers.hits(Host(), {"configs": [str(path)]}) if hit.file == str(path))
    said = complaint(shutil.which("apache2") or "", "-t", "-f", str(path))

    assert f"'{hit.value}' does not exist" in said
