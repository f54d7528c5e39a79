"""CA bundles that libraries of Ruby, Perl, PHP, Erlang and Julia bring, and the stores of .NET's and Mono's users.

Most are found by name in the survey's walk, as Python's are; some lie in folders that the walk leaves out, and are
looked up here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from trustmend.certificate import printable
from trustmend.model import Family, Location, Role, Use
from trustmend.places.paths import everywhere, matching

if TYPE_CHECKING:
    from trustmend.host import Host
    from trustmend.places.tree import Survey

BUNDLES: Final = (
    # (end of the path, whose it is, who reads it). Sources: the packages themselves.
    ("composer/ca-bundle/res/cacert.pem", "PHP: composer/ca-bundle", "PHP's OpenSSL"),  # where PHP has no default
    ("wp-includes/certificates/ca-bundle.crt", "WordPress", "WordPress's HTTP requests"),
    ("rmccue/requests/certificates/cacert.pem", "PHP: rmccue/requests", "PHP's OpenSSL"),
    ("stripe-php/data/ca-certificates.crt", "PHP: stripe-php", "PHP's OpenSSL"),
    ("Mozilla/CA/cacert.pem", "Perl: Mozilla::CA", "Perl's IO::Socket::SSL"),
    ("castore/priv/cacerts.pem", "Elixir: castore", ""),
    ("certifi/priv/cacerts.pem", "Erlang: certifi", ""),
    ("share/julia/cert.pem", "Julia", ""),
    ("httpclient/cacert.pem", "Ruby: httpclient", "Ruby's OpenSSL"),
    ("ca-bundle.crt", "Ruby: aws-sdk-core", "Ruby's OpenSSL"),
    ("lib/data/ca-certificates.crt", "Ruby: stripe", "Ruby's OpenSSL"),
)
_VERSIONED: Final = re.compile(r"/(castore|certifi|aws-sdk-core|stripe|httpclient)-(\d+(?:\.\d+)+)/")
_GEMS: Final = ("aws-sdk-core-*/ca-bundle.crt", "stripe-*/lib/data/ca-certificates.crt",
                "httpclient-*/lib/httpclient/cacert.pem")  # fmt: skip
_GEM_FOLDERS: Final = (
    "/usr/local/lib/ruby/gems/*/gems",
    "/usr/local/bundle/gems",  # the official image
    "/usr/lib/ruby/gems/*/gems",
    "/usr/share/gems/gems",
    "/var/lib/gems/*/gems",
)
_HOME_GEM_FOLDERS: Final = (
    ".gem/ruby/*/gems",
    ".local/share/gem/ruby/*/gems",
    ".rbenv/versions/*/lib/ruby/gems/*/gems",
    ".rvm/gems/*/gems",
    ".asdf/installs/ruby/*/lib/ruby/gems/*/gems",
)
PATHS: Final = (
    "/usr/share/perl5/Mozilla/CA/cacert.pem",
    "/usr/share/perl5/vendor_perl/Mozilla/CA/cacert.pem",
    "/usr/local/share/perl5/Mozilla/CA/cacert.pem",
    "/usr/local/share/perl5/*/Mozilla/CA/cacert.pem",
    "/usr/local/share/perl/*/Mozilla/CA/cacert.pem",
    "/usr/local/lib/perl5/site_perl/*/Mozilla/CA/cacert.pem",
    "/usr/share/julia/cert.pem",
    "/usr/local/julia*/share/julia/cert.pem",
    "/opt/julia*/share/julia/cert.pem",
    *(f"{folder}/{gem}" for folder in _GEM_FOLDERS for gem in _GEMS),
)
HOME_PATHS: Final = (
    "perl5/lib/perl5/Mozilla/CA/cacert.pem",
    "perl5/perlbrew/perls/*/lib/site_perl/*/Mozilla/CA/cacert.pem",
    ".plenv/versions/*/lib/perl5/site_perl/*/Mozilla/CA/cacert.pem",
    ".julia/juliaup/julia-*/share/julia/cert.pem",
    *(f"{folder}/{gem}" for folder in _HOME_GEM_FOLDERS for gem in _GEMS),
)
RUBYGEMS: Final = (
    "/usr/lib/ruby/vendor_ruby/*/ssl_certs/*",
    "/usr/lib/ruby/*/*/ssl_certs/*",
    "/usr/local/lib/ruby/*/*/ssl_certs/*",
    "/usr/share/rubygems/*/ssl_certs/*",
)
"""Folders of pinned roots for one site: rubygems/request.rb and bundler read every *.pem below for rubygems.org."""
DOTNET: Final = ".dotnet/corefx/cryptography/x509stores/*/*.pfx"
"""Each a PKCS#12 file of one certificate: StorePal, src/libraries/System.Security.Cryptography of dotnet/runtime."""
AWS: Final = ("/usr/local/aws-cli/v2/[0-9]*/dist/awscli/botocore/cacert.pem",)
HOME_AWS: Final = (
    ".local/lib/aws-cli/v2/[0-9]*/dist/awscli/botocore/cacert.pem",
    "aws-cli/v2/[0-9]*/dist/awscli/botocore/cacert.pem",
)
"""Beside the folders of versions is a link `current` to one of them."""
MONO: Final = ("/usr/share/.mono/certs/Trust", "/usr/share/.mono/new-certs/Trust")
HOME_MONO: Final = (".config/.mono/certs/Trust", ".config/.mono/new-certs/Trust")


def locations(host: Host, survey: Survey) -> Iterator[Location]:
    """The bundles of the survey that belong to one of these, those outside its walk, and the users' own stores."""
    found = dict.fromkeys((*survey["bundles"], *everywhere(host, survey, PATHS, HOME_PATHS)))
    for path in found:
        location = _bundle(path)
        if location is not None:
            yield location
    yield from _aws(host, survey)
    for path in dict.fromkeys(everywhere(host, survey, RUBYGEMS, ())):
        if host.is_dir(path):
            yield Location(path, Family.TOOL, Role.PRIVATE, owner="RubyGems: pinned roots of its own site")
    for path in everywhere(host, survey, (), (DOTNET,)):
        if path.split("/")[-2] in ("root", "ca"):
            yield Location(path, Family.TOOL, Role.PRIVATE, owner=".NET: this user's own certificates")
    for path in everywhere(host, survey, MONO, HOME_MONO):
        yield Location(path, Family.TOOL, Role.UNKNOWN, owner="Mono")


def _aws(host: Host, survey: Survey) -> Iterator[Location]:
    """The bundle of each self-contained AWS CLI 2 that lies too deep for the survey's walk."""
    for path in everywhere(host, survey, AWS, HOME_AWS):
        folder = path[: -len("/awscli/botocore/cacert.pem")]
        if path not in survey["bundles"]:
            library = next(matching(host, "libpython3.*", folder), "")
            digits = re.search(r"libpython3\.(\d+)", library)
            reader = "python-3.13" if digits and int(digits[1]) >= 13 else "python-3.12"
            owner = printable(f"AWS CLI {folder.split('/')[-2]}")
            yield Location(path, Family.PYTHON, Role.PUBLIC, (Use(reader, "the AWS CLI", folder),), owner=owner)


def _bundle(path: str) -> Location | None:
    plain = _VERSIONED.sub(r"/\1/", path)
    for end, owner, reader in BUNDLES:
        if not plain.endswith("/" + end):
            continue
        if end == "ca-bundle.crt" and "/aws-sdk-core/" not in plain:
            continue
        if owner == "Ruby: stripe" and "/stripe/lib/" not in plain:
            continue
        version = _VERSIONED.search(path)
        uses = (Use("openssl-3", reader),) if reader else ()
        text = f"{owner} {version[2]}" if version else owner
        return Location(path, Family.TOOL, Role.PUBLIC, uses, owner=printable(text))
    return None
