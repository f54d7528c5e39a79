"""Client tools' files: what is found in them is what the real tool takes from them."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from places.planted import Root
from trustmend.discover import discover
from trustmend.host import Host
from trustmend.model import Role
from trustmend.places import config
from trustmend.places.config import client_tools, files
from trustmend.places.config.hit import Hit
from trustmend.places.config.syntax import ini, lines, toml

ANN = "/home/ann"


def found(root: Root) -> list[Hit]:
    return list(client_tools.hits(root.host, {"homes": [ANN]}))


def told(root: Root) -> dict[str, str]:
    return {f"{one.product}: {one.key}": f"{one.value} {one.file}:{one.line}" for one in found(root)}


SAMPLES = [
    ("/etc/pip.conf", b"# site\n[global]\ntimeout = 60\ncert = /ca.pem\n", "pip: cert", 4),
    ("/etc/pip.conf", b"\xef\xbb\xbf[install]\r\nCERT: /ca.pem\r\n", "pip [install]: cert", 2),
    (f"{ANN}/.config/pip/pip.conf", b"[global]\ncert=~/ca.pem\n", "pip: cert", 2),
    ("/etc/npmrc", b"; x\ncafile = /ca.pem ; comment\n", "npm: cafile", 2),
    (f"{ANN}/.npmrc", b'//r.example/:_authToken=secret\ncafile="${HOME}/ca.pem"\n', "npm: cafile", 2),
    (f"{ANN}/.npmrc", b"//r.example/:cafile=~/ca.pem\n", "npm: //r.example/:cafile", 1),
    (f"{ANN}/.yarnrc", b'# yarn\n"strict-ssl" true\ncafile "/ca.pem"\n', "Yarn: cafile", 3),
    ("/etc/yarnrc", b"cafile: /ca.pem # x\n", "Yarn: cafile", 1),
    (f"{ANN}/.yarnrc.yml", b"nodeLinker: x\nhttpsCaFilePath: 'ca.pem' # x\n", "Yarn: httpsCaFilePath", 2),
    (f"{ANN}/.curlrc", b"-s\n#cacert /no\ncacert = /no\ncacert: /ca.pem\n", "curl: cacert", 4),
    (f"{ANN}/.config/curlrc", b'--proxy-cacert "/ca.pem" # x\n--cacert=/no\n', "curl: proxy-cacert", 1),
    ("/etc/wgetrc", b"#ca_certificate = /no\nCA-Certificate=/ca.pem\n", "wget: cacertificate", 2),
    (f"{ANN}/.wgetrc", b"ca_directory = ~/ca.pem\n", "wget: cadirectory", 1),
    (f"{ANN}/.gemrc", b"---\n:backtrace: false\n:ssl_ca_cert: /ca.pem\n", "RubyGems: :ssl_ca_cert", 3),
    (f"{ANN}/.bundle/config", b'---\nBUNDLE_SSL_CA_CERT: "/ca.pem"\n', "Bundler: BUNDLE_SSL_CA_CERT", 2),
    (f"{ANN}/.cargo/config.toml", b'[net]\n\n[http]\ncainfo = "ca.pem"\n', "Cargo: cainfo", 4),
    (f"{ANN}/.config/pypoetry/config.toml", b'[certificates.me]\ncert = "/ca.pem"\n', "Poetry [me]: cert", 2),
    (f"{ANN}/.condarc", b"channels:\n  - x\nssl_verify: /ca.pem\n", "conda: ssl_verify", 3),
    (f"{ANN}/.aws/config", b"[profile a]\nregion=x\nca_bundle = /ca.pem\n", "AWS CLI [profile a]: ca_bundle", 3),
    (
        f"{ANN}/.config/gcloud/configurations/config_default",
        b"[core]\nproject = p\ncustom_ca_certs_file = /ca.pem\n",
        "gcloud: custom_ca_certs_file",
        3,
    ),
    (f"{ANN}/.config/composer/config.json", b'{"config": {\n "cafile": "\\/ca.pem"}}', "Composer: cafile", 2),
    ("/etc/ldap/ldap.conf", b"#TLS_CACERT /no\nTLS_CACERT\t/ca.pem\n", "OpenLDAP clients: TLS_CACERT", 2),
    (f"{ANN}/.ldaprc", b"tls_cacertdir /ca.pem\n", "OpenLDAP clients: TLS_CACERTDIR", 1),
    (f"{ANN}/.pg_service.conf", b"[db]\nhost=h\nsslrootcert=/ca.pem\n", "libpq [db]: sslrootcert", 3),
    ("/etc/gitconfig", b"[http]\n\tsslVerify\n\tsslCAInfo = /ca.pem\n", "git: http.sslCAInfo", 3),
    (
        f"{ANN}/.gitconfig",
        b'[http "https://x.example/"]\n sslcapath = "~/ca\\u.pem"\n[http "https://x.example/"] sslCAPath=/x\n',
        "",
        0,
    ),
    (
        f"{ANN}/.gitconfig",
        b'[HTTP "https://me:pw@x.example/"]\n sslcapath = ~/"ca".pem ; x\n',
        "git: http.https://x.example/.sslCAPath",
        2,
    ),
    ("/etc/php/8.2/fpm/php.ini", b"[curl]\n;curl.cainfo =\ncurl.cainfo = '/ca.pem'\n", "PHP 8.2 fpm: curl.cainfo", 3),
    (
        "/etc/php/8.2/fpm/pool.d/www.conf",
        b"[www]\nphp_admin_value[openssl.cafile] = /ca.pem\n",
        "PHP 8.2 fpm pool: openssl.cafile",
        2,
    ),
    (f"{ANN}/.my.cnf", b"[client]\npassword=x\nssl_ca = /ca.pem # x\n", "MySQL [client]: ssl-ca", 3),
]


@pytest.mark.parametrize(("path", "content", "key", "line"), SAMPLES)
def test_a_file_names_a_store(tmp_path: Path, path: str, content: bytes, key: str, line: int) -> None:
    root = Root(tmp_path)
    root.file(path, content)

    hits = told(root)

    value = f"{ANN}/ca.pem" if b"~/" in content or b"HOME" in content or b'"ca.pem"' in content else "/ca.pem"
    value = f"{ANN}/ca.pem" if b"'ca.pem'" in content else value
    assert hits == ({key: f"{value} {path}:{line}"} if key else {})


@pytest.mark.parametrize(
    "content", [b"", b"\0\xff\xfe[\n=\n]", b"[", b"{", b"cert", b"x" * 100, b'"' * 99, b"\xffcert=/\xff\n"]
)
def test_broken_files_name_nothing(tmp_path: Path, content: bytes) -> None:
    root = Root(tmp_path)
    for path in {sample[0] for sample in SAMPLES}:
        root.file(path, content)

    assert told(root) == {}


def test_a_path_need_not_be_utf8_and_no_file_is_too_large(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.file("/etc/pip.conf", b"[global]\ncert = /\xff\xe9.pem\n")
    root.file("/etc/npmrc", b"cafile=/ca.pem\n" + b"#" * files.MAX_BYTES)

    assert [os.fsencode(one.value) for one in found(root)] == [b"/\xff\xe9.pem"]


def test_values_that_name_no_file(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.file("/etc/pip.conf", b"[global]\ncert = relative.pem\n")
    root.file(f"{ANN}/.condarc", b"ssl_verify: truststore\n")
    root.file(f"{ANN}/.yarnrc", b'cafile "./from-the-current-folder.pem"\n')
    root.file(f"{ANN}/.npmrc", b"cafile=${CORP}/ca.pem\nca=null\n")
    root.file(f"{ANN}/.pg_service.conf", b"[a]\nsslrootcert=system\n")
    root.file("/etc/gitconfig", b"[http]\nsslCAInfo=~/ca.pem\n")
    root.file("/etc/php/8.2/cli/php.ini", b"openssl.cafile=${CORP}\ncurl.cainfo=\n[PATH=/www]\nopenssl.capath=/x\n")

    assert told(root) == {}


def test_later_files_win(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.file("/etc/php/8.2/cli/php.ini", b"openssl.cafile=/first\ncurl.cainfo=/kept\n")
    root.file("/etc/php/8.2/cli/conf.d/10-a.ini", b"openssl.cafile=/second\n")
    root.file("/etc/php/8.2/cli/conf.d/20-b.ini", b"openssl.cafile=/third\n")
    root.file(f"{ANN}/.config/git/config", b"[http]\nsslCAInfo=/xdg\nproxySSLCAInfo=/proxy\n")
    root.file(f"{ANN}/.gitconfig", b'[include]\npath=more\n[includeIf "gitdir:~/w/"]\npath=~/.gitconfig\n')
    root.file(f"{ANN}/more", b"[http]\n sslCAInfo=~/included\n")
    root.file(
        "/etc/mysql/my.cnf", b"[mysqld]\nssl-ca=/first\n!includedir /etc/mysql/conf.d/\n!include /etc/mysql/my.cnf\n"
    )
    root.file("/etc/mysql/conf.d/a.cnf", b"[mysqld]\nloose_ssl_ca='/clients.pem'\n[mysqldump]\nssl-capath=/servers\n")

    assert {f"{one.product}: {one.key}": (one.value, one.role) for one in found(root)} == {
        "git: http.sslCAInfo": (f"{ANN}/included", None),
        "git: http.proxySSLCAInfo": ("/proxy", None),
        "PHP 8.2 cli: openssl.cafile": ("/third", None),
        "PHP 8.2 cli: curl.cainfo": ("/kept", None),
        "MySQL [mysqld]: ssl-ca": ("/clients.pem", Role.CLIENT_AUTH),
        "MySQL [mysqldump]: ssl-capath": ("/servers", None),
    }


def test_certificates_in_the_setting_itself(tmp_path: Path) -> None:
    root = Root(tmp_path)
    body = "-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----"
    root.file(f"{ANN}/.npmrc", f'registry=x\nca[]="{body}"\nca[]="{body}"\n'.encode())

    (hit,) = found(root)
    location = config.location(root.host, hit)

    assert hit.inline is not None
    assert hit.inline.count(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n") == 2
    assert (location.path, location.part, location.data) == (f"{ANN}/.npmrc", "ca, line 2", hit.inline)


def test_pip_in_a_virtual_environment_and_libpqs_default(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.passwd(ANN)
    root.file("/srv/app/venv/lib/python3.12/site-packages/pip/_vendor/certifi/cacert.pem")
    root.file("/srv/app/venv/pip.conf", b"[global]\ncert = /venv.pem\n")
    root.file(f"{ANN}/.postgresql/root.crt")

    paths = {one.path: [use.how for use in one.uses] for one in discover(root.host)}

    assert paths["/venv.pem"] == ["pip: cert in /srv/app/venv/pip.conf:2"]
    assert paths[f"{ANN}/.postgresql/root.crt"] == [f"libpq: sslrootcert in {ANN}/.postgresql/root.crt"]


def run(home: Path, *argv: str, **environ: str) -> str:
    done = subprocess.run(
        argv,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", **environ},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


def in_home(home: Path, name: str, content: str) -> list[str]:
    """Write a file of the home; the values that we find there."""
    file = home / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return [one.value for one in client_tools.hits(Host("/"), {"homes": [str(home)]}) if one.file == str(file)]


@pytest.mark.needs("git")
@pytest.mark.parametrize(
    "text",
    [
        "[http]\nsslCAInfo = /a b.pem ; c\n",
        '[http]\nsslCAInfo = "/a ; b.pem" # c\n',
        "[http]\n\tsslCAInfo = /a\\\nb.pem\n",
        '[http]\nsslCAInfo = /a\\"b\\\\c\\tx\n',
        '[HTTP] SSLcainfo=/one\n[http "https://x.example"]sslCAInfo=/x\n',
        "[http]\r\nsslCAInfo = /crlf.pem\r\n",
        "[http]\nsslCAInfo = /one\n[http]\nsslCAInfo = /two   \n",
        "[http]\nsslCAInfo = /one\n[include]\npath = more\n",
        '[http]\nsslCAInfo = "/open\n',
        "[http]\nsslCAInfo = /bad\\q\n",
        "[http]\nsslCAInfo = ~/x.pem\n",
        "\ufeff[http]\nsslCAInfo = /bom.pem\n",
        "[http]sslCAInfo=/a#b\n",
    ],
)
def test_git_agrees(tmp_path: Path, text: str) -> None:
    (tmp_path / "more").write_text("[http]\nsslCAInfo = /included\n")
    ours = in_home(tmp_path, ".gitconfig", text)
    listed = [one for one in client_tools.hits(Host("/"), {"homes": [str(tmp_path)]}) if one.key == "http.sslCAInfo"]
    theirs = run(tmp_path, "git", "config", "--global", "--includes", "--type=path", "--get", "http.sslCAInfo")

    if theirs.startswith(("fatal", "error")):
        assert ours == []
    else:
        assert [one.value for one in listed if one.file.startswith(str(tmp_path))] == [theirs.removesuffix("\n")]


@pytest.mark.needs("npm")
@pytest.mark.slow
def test_npm_agrees(tmp_path: Path) -> None:
    for text in ("cafile=~/ca.pem\n", 'cafile = "/a b.pem"\n', "cafile='/a;b.pem'\n", "cafile=${HOME}/x.pem\n"):
        ours = in_home(tmp_path, ".npmrc", text)
        assert ours == [run(tmp_path, "npm", "config", "get", "cafile").strip().split("\n")[-1]], text


@pytest.mark.needs("pip")
@pytest.mark.slow
def test_pip_agrees(tmp_path: Path) -> None:
    for name in (".config/pip/pip.conf", ".pip/pip.conf"):
        ours = in_home(tmp_path, name, "[global]\n# x\ncert : /my ca.pem\n[install]\nCert=/two.pem\n")
        assert ours == ["/my ca.pem", "/two.pem"]
        said = run(tmp_path, "/usr/bin/python3", "-m", "pip", "config", "list", "--user")
        if "No module named pip" in said:
            said = run(tmp_path, "pip", "config", "list", "--user")
        assert "global.cert='/my ca.pem'" in said
        assert "install.cert='/two.pem'" in said


@pytest.mark.needs("php")
def test_php_agrees(tmp_path: Path) -> None:
    """The real interpreter on a copy of our layout, by PHPRC and PHP_INI_SCAN_DIR."""
    root = Root(tmp_path)
    lines_ = (b'curl.cainfo = "/a b.pem" ; x', b"curl.cainfo = /a.pem ; x", b"curl.cainfo='/a;b.pem'", b"curl.cainfo=")
    for line in lines_:
        root.file("/etc/php/8.2/cli/php.ini", b"[PHP]\nopenssl.cafile=/main.pem\n" + line + b"\n")
        root.file("/etc/php/8.2/cli/conf.d/99-a.ini", b"openssl.cafile=/later.pem\n")
        base = tmp_path / "etc/php/8.2/cli"
        code = "echo ini_get('openssl.cafile'), '|', ini_get('curl.cainfo');"
        environ = {"PHPRC": str(base), "PHP_INI_SCAN_DIR": f"{base}/conf.d"}
        said = run(tmp_path, "php", "-d", "extension=curl", "-r", code, **environ).split("\n")[-1]

        named = {one.key: one.value for one in found(root)}
        assert said.split("|") == [named["openssl.cafile"], named.get("curl.cainfo", "")]


@pytest.fixture
def closed() -> Iterator[str]:
    """An address where connections are taken and closed: enough for a client to load its CA file."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.sendall(b"S")  # what PostgreSQL says where it takes TLS
                connection.recv(1)
                connection.close()

        Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}/"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.needs("curl")
@pytest.mark.parametrize(
    "text",
    [
        "cacert /one.pem\n",
        "cacert=/two.pem x\n",
        "cacert : /three.pem\n",
        '--cacert "/fo\\u\\"r.pem" x\n',
        "  --cacert\t/five.pem\r\n",
        "#cacert=/no\ncacert = /six.pem # x\n",
        "cacert = /no\ncacert=/seven.pem\n",
        "cacert ==:= /eight.pem\n",
    ],
)
def test_curl_agrees(tmp_path: Path, closed: str, text: str) -> None:
    (ours,) = in_home(tmp_path, ".curlrc", text)

    said = run(tmp_path, "curl", "-sS", "-v", closed)

    assert ours in said, said


@pytest.mark.needs("wget")
def test_wget_agrees(tmp_path: Path, closed: str) -> None:
    for text in ("ca_certificate = /one.pem\n", "CA-certificate=~/two.pem\n", 'cacertificate="/three"\n/x\n'):
        ours = in_home(tmp_path, ".wgetrc", text)
        if text.startswith("cacertificate"):
            assert ours == []
            continue
        said = run(tmp_path, "wget", "--tries=1", "-O", "-", closed)
        assert ours[0] in said, said


@pytest.mark.needs("ruby")
@pytest.mark.slow
def test_rubygems_agrees(tmp_path: Path) -> None:
    (ours,) = in_home(tmp_path, ".gemrc", '---\n:ssl_ca_cert: "/my ca.pem" # x\n')

    assert run(tmp_path, "ruby", "-rrubygems", "-e", "print Gem.configuration.ssl_ca_cert").endswith(ours)


@pytest.mark.needs("psql")
def test_libpq_agrees(tmp_path: Path, closed: str) -> None:
    text = "# x\n[db]\nhost=127.0.0.1\nsslrootcert=/pg ca.pem\nsslmode=verify-ca\n"
    (ours,) = in_home(tmp_path, ".pg_service.conf", text)

    said = run(tmp_path, "psql", "-w", "service=db", "-c", "select 1", PGPORT=closed.rstrip("/").rpartition(":")[2])

    assert f'root certificate file "{ours}" does not exist' in said


@pytest.mark.needs("my_print_defaults")
def test_mysql_agrees(tmp_path: Path) -> None:
    values = ["/a", '"/a b.pem" # x', "'/q#r.pem' ", "/x#y", "/z ; q", "'/q' x", "/w\\sx\\\\y", '"/a\'b" ', "'/a\"b"]
    for value in values:
        ours = in_home(tmp_path, ".my.cnf", f"[client]\n;ssl-ca=/no\n ssl-ca = {value}\n")
        said = run(tmp_path, "my_print_defaults", f"--defaults-file={tmp_path}/.my.cnf", "client")
        theirs = said.removesuffix("\n").removeprefix("--ssl-ca=")
        assert ours == ([theirs] if theirs.startswith("/") else []), value


@pytest.mark.needs("ldapsearch")
def test_ldap_agrees(tmp_path: Path, closed: str) -> None:
    (ours,) = in_home(tmp_path, ".ldaprc", "# x\nTLS_CACERT /no\n tls_cacert\t/my ca.pem  \n#TLS_CACERT /no\n")

    said = run(tmp_path, "ldapsearch", "-d", "1", "-x", "-H", closed.replace("https", "ldaps"))

    assert f"`{ours}'" in said, said


READERS: list[Callable[[str], object]] = [
    lambda text: list(ini.items(text, ini.PYTHON)),
    lambda text: list(ini.items(text, ini.SYSTEMD)),
    lambda text: list(ini.items(text, ini.PHP)),
    lambda text: list(ini.items(text, ini.MYSQL)),
    lambda text: list(ini.git_items(text)),
    lambda text: list(toml.items(text)),
    *(
        (lambda text, read=read: list(read(text)))
        for read in (lines.npm, lines.yarn, lines.curl, lines.wget, lines.ldap, lines.json_texts)
    ),
]


@given(st.text() | st.text(alphabet="[]a=\"'\\: \n\t#;!{},./-", max_size=80))
def test_no_file_is_too_strange(text: str) -> None:
    for read in READERS:
        read(text)


@given(st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"])))
def test_gits_quotes_go_round(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    (item,) = ini.git_items(f'[http]\n\tsslCAInfo = "{quoted}" ; x\n')
    assert (item.line, item.value) == (2, value)
