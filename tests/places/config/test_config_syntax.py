"""The syntaxes of servers' and Java products' configuration: what is read, and that nothing is ever raised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustmend.places.config.network_servers import postfix_items
from trustmend.places.config.syntax import blocks, properties, xml, yaml
from trustmend.places.config.values import certificates, expanded, placed

_HOSTILE = st.text(
    st.sampled_from("\t\n\r\f \"'\\#;{}<>[]()=:,*&!|?%@`~-${}abtrust/.0x\0\x85\ud800\udcff\ufeff<é"), max_size=200
)


@pytest.mark.parametrize(
    "parse",
    [
        blocks.nginx,
        blocks.apache,
        blocks.haproxy,
        blocks.worded,
        properties.items,
        xml.elements,
        yaml.items,
        postfix_items,
    ],
    ids=["nginx", "apache", "haproxy", "worded", "properties", "xml", "yaml", "postfix"],
)
@given(text=_HOSTILE)
def test_no_text_makes_a_parser_raise(parse: object, text: str) -> None:
    found = list(parse(text))  # type: ignore[operator]

    lines = text.count("\n") + text.count("\r") + text.count("\x85") + 1
    assert all(1 <= one.line <= lines for one in found)


@given(_HOSTILE)
def test_no_value_makes_its_meaning_raise(text: str) -> None:
    certificates(text + "-----BEGIN CERTIFICATE-----" + text + "-----END")
    path = placed(expanded(text, {"a": "${a}${a}"}), "/base")
    assert path is None or path.startswith("/")


def test_properties_are_javas() -> None:
    text = "! c\na=1\n  b : two \\\n   parts\nc\\=d=e\n# x\\\nf=\\u00e9\\t\ng\n\\\nh = C\\:\\\\x\r\ni=\\"

    found = {item.key: (item.line, item.value) for item in properties.items(text)}

    assert found == {
        "a": (2, "1"),
        "b": (3, "two parts"),
        "c=d": (5, "e"),
        "f": (7, "é\t"),
        "g": (8, ""),
        "h": (10, "C:\\x"),
        "i": (11, ""),
    }


def test_nginx_knows_quotes_comments_and_lua() -> None:
    text = """\
http { # c { ;
  a 'x y' "q\\"r" ${v}z;
  content_by_lua_block { local t = { ";" } -- x
  }
  location ~ "^/{2}" { b
    c; }
}
d e}; f
"""

    found = list(blocks.nginx(text))

    assert [(one.line, one.name, one.arguments, one.path) for one in found] == [
        (2, "a", ("x y", 'q"r', "${v}z"), ("http",)),
        (5, "b", ("c",), ("http", "location")),
        (8, "d", ("e}",), ()),
    ]


def test_apache_knows_sections_quotes_and_lines_that_go_on() -> None:
    text = "<IfModule ssl>\n  SSLCACertificateFile \\\n \"a b.pem\"\n# x\n</IfModule>\nLoadModule y 'z'\n"

    assert [(one.line, one.name, one.arguments, one.path) for one in blocks.apache(text)] == [
        (2, "sslcacertificatefile", ("a b.pem",), ("ifmodule ssl",)),
        (6, "loadmodule", ("y", "z"), ()),
    ]


def test_haproxy_knows_sections_quotes_and_escapes() -> None:
    text = "global\n ca-base /etc/ssl # x\nbackend b\n server s 1.2.3.4 ca-file \"a b\".pem 'c#d' e\\ f \\#\n"

    assert [(one.line, one.name, one.arguments, one.path) for one in blocks.haproxy(text)] == [
        (2, "ca-base", ("/etc/ssl",), ("global",)),
        (4, "server", ("s", "1.2.3.4", "ca-file", "a b.pem", "c#d", "e f", "#"), ("backend",)),
    ]


def test_yaml_gives_lines_and_full_names() -> None:
    text = "a.b:\n  c: 1\n  d: [x, 'y']\nl:\n- m: {n: o}\n- p\n---\nq: &r s\nt: *r\n? [k]\n: v\n"

    assert [(item.line, yaml.dotted(item), item.value) for item in yaml.items(text)] == [
        (2, "a.b.c", "1"),
        (3, "a.b.d", "x"),
        (3, "a.b.d", "y"),
        (5, "l.0.m.n", "o"),
        (6, "l", "p"),
        (8, "q", "s"),
        (10, "", "k"),
        (11, "", "v"),
    ]


@pytest.mark.parametrize(
    ("value", "base", "path"),
    [
        ("/a/../b", None, "/b"),
        ("file:/a", None, "/a"),
        ("file:///a", None, "/a"),
        ("x.pem", "/etc", "/etc/x.pem"),
        ("x.pem", None, None),
        ("classpath:x", "/etc", None),
        ("https://h/x", "/etc", None),
        ("${x}/y", "/etc", None),
        ("", "/etc", None),
    ],
)
def test_a_value_as_a_path(value: str, base: str | None, path: str | None) -> None:
    assert placed(value, base) == path
