"""How distributions other than Debian keep their trust, set up inside a session that has p11-kit: as a test bed only.

Real: p11-kit's `trust`, which makes every artifact from the sources but Alpine's bundle; `openssl rehash`; run-parts;
the clients, which are Debian's; all of Mozilla's roots, as Debian ships them in /usr/share/ca-certificates/mozilla.

Stand-ins: the distribution's command (what each was written after stands at its layout, and what was not compared);
the folders and links around it; one file for each root where the original ships one big file in p11-kit's own format;
the paths that a distribution compiles into p11-kit, given here by /etc/pkcs11/modules, and into OpenSSL, curl and
the JVM, given by links in /usr/lib/ssl and lib/security, and by /root/.curlrc.

What would make the system look like Debian is out of the way: its source, its command, /etc/ssl/certs, and dpkg's data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hosts.machine import Session

_AWAY: Final = """\
set -eu
umask 022
mkdir -p /tmp/roots
cp /usr/share/ca-certificates/mozilla/*.crt /tmp/roots
rm -rf /usr/share/ca-certificates /usr/local/share/ca-certificates /etc/ca-certificates /etc/ca-certificates.conf \\
  /usr/sbin/update-ca-certificates /etc/ssl/certs /etc/default/cacerts /var/lib/ca-certificates-java /etc/apt \\
  /etc/debian_version /var/lib/dpkg /usr/lib/ssl/cert.pem
os() { # ID NAME [ID_LIKE]
  printf 'NAME="%s"\\nID=%s\\nID_LIKE="%s"\\n' "$2" "$1" "${3-}" >/usr/lib/os-release
  ln -sfn ../usr/lib/os-release /etc/os-release
}
command_at() { # PATH: a program, from stdin
  cat >"$1"
  chmod 755 "$1"
}
trust_paths() { # what the distribution compiles into p11-kit: the folders of trust, the first wins
  mkdir -p /etc/pkcs11/modules
  { grep -v '^x-init-reserved' /usr/share/p11-kit/modules/p11-kit-trust.module
    echo "x-init-reserved: paths='$1'"; } >/etc/pkcs11/modules/p11-kit-trust.module
}
java_store() { # what the JVMs of the distribution read
  for store in /usr/lib/jvm/*/lib/security/cacerts; do
    if [ -L "$store" ]; then ln -sfn "$1" "$store"; fi
  done
}
"""

_RHEL: Final = """\
os fedora 'Fedora Linux'
trust_paths /etc/pki/ca-trust/source:/usr/share/pki/ca-trust-source
shipped=/usr/share/pki/ca-trust-source trust=/etc/pki/ca-trust
mkdir -p $shipped/anchors $shipped/blocklist $trust/source/anchors $trust/source/blocklist \\
  $trust/extracted/pem $trust/extracted/openssl $trust/extracted/java $trust/extracted/edk2 \\
  /etc/pki/tls/certs /etc/pki/java /var/lib/rpm
cp /tmp/roots/*.crt $shipped/anchors
: >/var/lib/rpm/.rpm.lock
ln -s $trust/extracted/pem/tls-ca-bundle.pem /etc/pki/tls/cert.pem
ln -s $trust/extracted/pem/tls-ca-bundle.pem /etc/pki/tls/certs/ca-bundle.crt
ln -s $trust/extracted/pem/tls-ca-bundle.pem /etc/pki/tls/certs/ca-certificates.crt
ln -s $trust/extracted/openssl/ca-bundle.trust.crt /etc/pki/tls/certs/ca-bundle.trust.crt
ln -s $trust/extracted/java/cacerts /etc/pki/java/cacerts
ln -s /etc/pki/tls/certs /etc/ssl/certs
ln -s $trust/extracted/pem/tls-ca-bundle.pem /etc/ssl/cert.pem
ln -s /etc/pki/tls/cert.pem /usr/lib/ssl/cert.pem
java_store /etc/pki/java/cacerts
command_at /usr/bin/update-ca-trust <<'END'
#!/bin/sh
set -eu
case ${1-extract} in extract) ;; *) echo "unknown command: $1" >&2; exit 1 ;; esac
to=/etc/pki/ca-trust/extracted
export P11_KIT_NO_USER_CONFIG=1
trust extract --format=openssl-bundle --filter=certificates --overwrite --comment $to/openssl/ca-bundle.trust.crt
for one in server-auth:tls-ca-bundle email:email-ca-bundle code-signing:objsign-ca-bundle; do
  trust extract --format=pem-bundle --filter=ca-anchors --overwrite --comment --purpose ${one%:*} $to/pem/${one#*:}.pem
done
trust extract --format=java-cacerts --filter=ca-anchors --overwrite --purpose server-auth $to/java/cacerts
trust extract --format=edk2-cacerts --filter=ca-anchors --overwrite --purpose server-auth $to/edk2/cacerts.bin
trust extract --format=pem-directory-hash --filter=ca-anchors --overwrite --purpose server-auth $to/pem/directory-hash
find /etc/pki/tls/certs -xtype l -delete
find $to/pem/directory-hash -type l -regextype posix-extended -regex '.*/[0-9a-f]{8}[.][0-9]+' | while read -r link; do
  ln -sfn "$(readlink -f "$link")" "/etc/pki/tls/certs/${link##*/}"
done
END
"""

_ARCH: Final = """\
os arch 'Arch Linux'
trust_paths /etc/ca-certificates/trust-source:/usr/share/ca-certificates/trust-source
shipped=/usr/share/ca-certificates/trust-source trust=/etc/ca-certificates
mkdir -p $shipped/anchors $shipped/blocklist $trust/trust-source/anchors $trust/trust-source/blocklist \\
  $trust/extracted /etc/ssl/certs/java /etc/ssl/certs/edk2
cp /tmp/roots/*.crt $shipped/anchors
ln -s ../ca-certificates/extracted/tls-ca-bundle.pem /etc/ssl/cert.pem
ln -s ../../ca-certificates/extracted/tls-ca-bundle.pem /etc/ssl/certs/ca-certificates.crt
ln -s ../../../ca-certificates/extracted/java-cacerts.jks /etc/ssl/certs/java/cacerts
ln -s ../../../ca-certificates/extracted/edk2-cacerts.bin /etc/ssl/certs/edk2/cacerts.bin
ln -s /etc/ssl/cert.pem /usr/lib/ssl/cert.pem
java_store /etc/ssl/certs/java/cacerts
command_at /usr/bin/update-ca-trust <<'END'
#!/bin/sh
export LC_ALL=C P11_KIT_NO_USER_CONFIG=1
to=/etc/ca-certificates/extracted
trust extract --overwrite --format=openssl-bundle --filter=certificates --comment $to/ca-bundle.trust.crt
for one in server-auth:tls-ca-bundle email:email-ca-bundle code-signing:objsign-ca-bundle; do
  trust extract --overwrite --format=pem-bundle --filter=ca-anchors --purpose=${one%:*} --comment $to/${one#*:}.pem
done
trust extract --overwrite --format=java-cacerts --filter=ca-anchors --purpose=server-auth $to/java-cacerts.jks
trust extract --overwrite --format=edk2-cacerts --filter=ca-anchors --purpose=server-auth $to/edk2-cacerts.bin
trust extract --overwrite --format=pem-directory-hash --filter=ca-anchors --purpose=server-auth $to/cadir
ln -fsrt /etc/ssl/certs $to/cadir/*
find -L /etc/ssl/certs -maxdepth 1 -type l -delete
END
for folder in /usr/libexec/p11-kit /usr/lib/p11-kit /usr/lib/*/p11-kit; do # where `trust` looks for extract-compat
  if [ -d "$folder" ]; then ln -sfn /usr/bin/update-ca-trust "$folder/trust-extract-compat"; fi
done
"""

_SUSE: Final = """\
os opensuse-tumbleweed 'openSUSE Tumbleweed' 'opensuse suse'
trust_paths /etc/pki/trust:/usr/share/pki/trust
mkdir -p /usr/share/pki/trust/anchors /usr/share/pki/trust/blocklist /etc/pki/trust/anchors /etc/pki/trust/blocklist \\
  /var/lib/ca-certificates/pem /var/lib/ca-certificates/openssl /usr/lib/sysimage/rpm
cp /tmp/roots/*.crt /usr/share/pki/trust/anchors
: >/usr/lib/sysimage/rpm/.rpm.lock
ln -s ../../var/lib/ca-certificates/pem /etc/ssl/certs
ln -s /etc/ssl/ca-bundle.pem /usr/lib/ssl/cert.pem
printf 'cacert = /etc/ssl/ca-bundle.pem\\n' >/root/.curlrc
java_store /var/lib/ca-certificates/java-cacerts
command_at /usr/sbin/update-ca-certificates <<'END'
#!/bin/sh
set -e
umask 0222
state=/var/lib/ca-certificates
rm -f /etc/pki/trust/.updated
trust extract --format=java-cacerts --purpose=server-auth --filter=ca-anchors --overwrite $state/java-cacerts
trust extract --format=openssl-directory --filter=ca-anchors --overwrite $state/openssl
trust extract --purpose=server-auth --filter=ca-anchors --format=pem-directory-hash -f $state/pem
if [ "$1" != -f ] && [ "$1" != --fresh ] && [ -n "$(find $state/ca-bundle.pem -newer $state/pem 2>/dev/null)" ]; then
  exit 0
fi
trust extract --format=pem-bundle --purpose=server-auth --filter=ca-anchors $state/ca-bundle.pem.tmp
{ echo "# automatically created by $0. Do not edit!"; cat $state/ca-bundle.pem.tmp; } >$state/ca-bundle.pem.new
rm -f $state/ca-bundle.pem.tmp
mv -f $state/ca-bundle.pem.new $state/ca-bundle.pem
[ -L /etc/ssl/ca-bundle.pem ] || ln -s ../../var/lib/ca-certificates/ca-bundle.pem /etc/ssl/ca-bundle.pem
END
"""

_ALPINE: Final = """\
os alpine 'Alpine Linux'
mkdir -p /usr/share/ca-certificates/mozilla /usr/local/share/ca-certificates /etc/ca-certificates/update.d \\
  /etc/ssl/certs/java /lib/apk/db
: >/lib/apk/db/lock
cp /tmp/roots/*.crt /usr/share/ca-certificates/mozilla
(cd /usr/share/ca-certificates && find . -name '*.crt' | sort | cut -b3-) >/etc/ca-certificates.conf
ln -s certs/ca-certificates.crt /etc/ssl/cert.pem
ln -s /etc/ssl/cert.pem /usr/lib/ssl/cert.pem
java_store /etc/ssl/certs/java/cacerts
command_at /etc/ca-certificates/update.d/certhash <<'END'
#!/bin/sh
exec openssl rehash /etc/ssl/certs
END
command_at /etc/ca-certificates/update.d/java-cacerts <<'END'
#!/bin/sh
store=/etc/ssl/certs/java/cacerts
exec trust extract --overwrite --format=java-cacerts --filter=ca-anchors --purpose server-auth $store
END
command_at /usr/sbin/update-ca-certificates <<'END'
#!/bin/sh
shipped=/usr/share/ca-certificates local=/usr/local/share/ca-certificates certs=/etc/ssl/certs
bundle=$(mktemp $certs/bundleXXXXXX) || exit 1
chmod 644 "$bundle"
wanted=$(mktemp)
take() { # every name but hidden ones, whatever its ending; of a folder only the link is made
  name=${1##*/}
  echo "ca-cert-$(printf %s "${name%.crt}" | tr ', ()' '__==').pem $1" >>"$wanted"
  cat "$1" 2>/dev/null >>"$bundle" || echo "Warning! Cannot copy to bundle: $1" >&2
  echo >>"$bundle"
}
grep -v '^[#!]' /etc/ca-certificates.conf | while read -r line; do take "$shipped/$line"; done
for path in $local/*; do if [ -e "$path" ] || [ -L "$path" ]; then take "$path"; fi; done
for link in $certs/*; do # its own links that lead elsewhere now
  [ -L "$link" ] || continue
  target=$(readlink "$link")
  case $target in
    $shipped/* | $local/*) grep -qxF "${link##*/} $target" "$wanted" || rm "$link" ;;
  esac
done
while read -r name target; do
  [ -L "$certs/$name" ] || ln -s "$target" "$certs/$name" || echo "Warning! Cannot symlink $target -> $name" >&2
done <"$wanted"
rm "$wanted"
mv "$bundle" $certs/ca-certificates.crt
exec run-parts /etc/ca-certificates/update.d
END
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """A distribution's way."""

    name: str
    source: str  # the administrator's folder for roots
    suffix: str  # of a file there
    command: tuple[str, ...]  # makes the artifacts from the sources
    artifacts: tuple[str, ...]  # files and folders that it makes
    script: str

    def build(self, session: Session) -> None:
        """Set it up in a session and make its artifacts. Raises AssertionError where a step fails."""
        for argv in (["sh", "-c", _AWAY + self.script], list(self.command)):
            done = session.run(argv)
            assert done.returncode == 0, done.stderr.decode()


# Folders and links: ca-certificates.spec of Fedora 43. The calls of `trust`: update-ca-trust of Fedora and RHEL 9. Not
# compared with the original: how newer ones keep the hash links in tls/certs, which older ones do not have.
RHEL: Final = Layout(
    "RHEL",
    "/etc/pki/ca-trust/source/anchors",
    ".pem",
    ("/usr/bin/update-ca-trust", "extract"),
    (
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/pki/ca-trust/extracted/openssl/ca-bundle.trust.crt",
        "/etc/pki/ca-trust/extracted/java/cacerts",
        "/etc/pki/ca-trust/extracted/edk2/cacerts.bin",
        "/etc/pki/ca-trust/extracted/pem/directory-hash",
        "/etc/pki/tls/certs",
    ),
    _RHEL,
)
# Arch's ca-certificates-utils, whose `trust extract-compat` is this command by another name. The paths are those of its
# package; the script itself was not compared with the original.
ARCH: Final = Layout(
    "Arch",
    "/etc/ca-certificates/trust-source/anchors",
    ".pem",
    ("/usr/bin/update-ca-trust",),
    (
        "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
        "/etc/ca-certificates/extracted/ca-bundle.trust.crt",
        "/etc/ca-certificates/extracted/java-cacerts.jks",
        "/etc/ca-certificates/extracted/edk2-cacerts.bin",
        "/etc/ca-certificates/extracted/cadir",
        "/etc/ssl/certs",
    ),
    _ARCH,
)
# openSUSE/ca-certificates: update-ca-certificates runs update.d/*.run in the order of their numbers.
SUSE: Final = Layout(
    "SUSE",
    "/etc/pki/trust/anchors",
    ".pem",
    ("/usr/sbin/update-ca-certificates",),
    (
        "/var/lib/ca-certificates/ca-bundle.pem",
        "/var/lib/ca-certificates/java-cacerts",
        "/var/lib/ca-certificates/openssl",
        "/var/lib/ca-certificates/pem",
    ),
    _SUSE,
)
# Alpine's update-ca.c with its two hooks, certhash and that of java-cacerts. The order in which it takes the files of
# a folder is the file system's, here it is that of the names.
ALPINE: Final = Layout(
    "Alpine",
    "/usr/local/share/ca-certificates",
    ".crt",
    ("/usr/sbin/update-ca-certificates",),
    ("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/java/cacerts", "/etc/ssl/certs"),
    _ALPINE,
)
LAYOUTS: Final = (RHEL, ARCH, SUSE, ALPINE)
