"""The tables of names by which the walks choose: what is looked for, what is entered, what is left out."""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


BUNDLES: Final = _words("""
    cacert.pem cacerts.pem cacerts.txt roots.pem ca-bundle.crt ca-bundle.pem ca-certificates.crt curl-ca-bundle.crt
""")
"""What CA bundles are called that programs bring with them."""
ARCHIVES: Final = (".pex", ".pyz", ".jar", ".war")
"""How the names of archives end that run as they are."""
CONFIGS: Final = _words("""
    server.xml standalone.xml standalone-full.xml standalone-ha.xml standalone-full-ha.xml domain.xml host.xml
    keycloak.conf server.properties consumer.properties producer.properties connect-standalone.properties
    connect-distributed.properties client.properties client-ssl.properties zookeeper.properties zoo.cfg
    elasticsearch.yml opensearch.yml opensearch_dashboards.yml kibana.yml logstash.yml cassandra.yaml
    application.properties application.yml application.yaml bootstrap.properties bootstrap.yml bootstrap.yaml
    gradle.properties jvm.config jetty-ssl-context.xml jetty-ssl.xml ssl.ini start.ini activemq.xml
    nginx.conf httpd.conf haproxy.cfg postgresql.conf
""")
"""What products call their configuration files; others of the same product are looked for in the same folder."""
LIBRARIES: Final = _words("""
    site-packages dist-packages vendor-packages third_party thirdparty _vendor vendor vendored _vendored vendors
    packages extern externals patched
""")
"""Folders whose children are packages: each of them is entered."""
FREE: Final = LIBRARIES | _words("""
    lib lib64 jre jdk jbr security ssl certifi httplib2 botocore boto cacerts requests certs cert grpc _cython
    _credentials python2 python3 gslib
""")
"""What programs themselves call the folders on the way to a store: these cost no depth."""
INNER: Final = FREE | _words("pip data conf etc libs resources .venv venv env _internal")
"""All that is entered inside a Python package (a folder with `__init__.py`): the other folders are its own code."""
SKIPPED: Final = _words("""
    __pycache__ node_modules .git .hg .svn .npm .cargo .rustup .m2 .ivy2 .terraform .snapshots lost+found
    locale man doc zoneinfo fonts icons themes firmware modules include pkgconfig terminfo i18n git-core gcc vim perl5
    texmf-dist typeshed jmods legal _bundled
    overlay2 containers containerd docker snapd flatpak kubelet
""")
"""Folders without stores of this host; the last row are container images, which are hosts of their own."""
ONLY: Final = {
    ".cache": _words("pypoetry pre-commit"),  # they keep environments there; the rest is caches, which nothing reads
    ".gradle": _words("jdks"),
    "go": _words(""),
    ".vscode": _words(""),
    ".vscode-server": _words(""),
}
"""Folders of which only these children are entered."""
TESTS: Final = _words("test tests testdata testing dummyserver examples fixtures doc docs")
"""A bundle's name below one of these is a test's."""
SECURITY: Final = _words("cacerts jssecacerts java.security blocked.certs blacklisted.certs")
"""Files of a JDK's lib/security."""
KNOWN_TOPS: Final = _words("""
    bin boot cdrom dev etc home lib lib32 lib64 libx32 lost+found media mnt opt proc root run sbin snap srv sys tmp usr
    var
""")
"""The folders of "/" that are searched by name, or never: pseudo file systems, temporary files, foreign disks."""
NO_HOMES: Final = _words("bin boot dev etc lib lib64 proc run sbin sys usr tmp")
"""A home below one of these folders of "/" is a service's, and no person's."""

PSEUDO_TYPES: Final = _words("""
    autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fuse.gvfsd-fuse fuse.lxcfs
    fuse.portal fusectl hugetlbfs mqueue nsfs proc pstore rpc_pipefs securityfs selinuxfs sysfs tracefs
""")
"""File systems that are interfaces: no files, and some block or act when they are opened."""
NETWORK_TYPES: Final = _words("""
    9p acfs afs beegfs ceph cifs coda davfs fuse.ceph fuse.cephfs fuse.davfs2 fuse.gcsfuse fuse.glusterfs fuse.goofys
    fuse.juicefs fuse.mount-s3 fuse.rclone fuse.s3fs fuse.sshfs fuse.vmhgfs-fuse glusterfs gpfs lustre ncpfs nfs nfs4
    ocfs2 orangefs panfs smb3 smbfs vboxsf virtiofs vmhgfs
""")
"""Other machines' files: slow, somebody else's to audit, and a hung server would hang us."""

PROMISING: Final = _words("pem crt cer ca cert bundle txt")
"""Endings that promise certificates."""
NOT_STORES: Final = _words("""
    py pyi pyx pxd js mjs cjs ts tsx jsx vue c h cc cpp cxx hpp hh inc go rs java kt kts scala groovy rb erb php pl pm t
    cs fs swift m mm lua tcl el vim sh bash zsh fish ps1 bat cmd awk sed r jl hs ml mli ex exs erl hrl clj sql proto
    thrift html htm xhtml css scss sass less svg xml xsd xsl xslt dtd md rst adoc tex texi po pot mo qm json jsonl json5
    yaml yml toml ini map lock csv tsv diff patch cmake mk am ac m4 in gyp gypi gn bzl rnc rng wsdl ipynb tmpl j2 jinja
    mustache desktop service socket timer mount rules rule manifest properties decl spec feature snap golden ejs hbs
    snippets
    pyc pyo pyd so o a la lo ko obj lib dll exe class jar war ear whl egg gem deb rpm udeb apk rlib rmeta gch beam elc
    wasm gz tgz bz2 xz lzma zst lz4 zip 7z rar tar cpio br png jpg jpeg gif bmp ico webp tif tiff svgz eps ps pdf djvu
    ttf otf woff woff2 eot pfb pfm afm bdf pcf mp3 mp4 mkv webm ogg oga wav flac avi mov npy npz pkl pickle parquet h5
    hdf5 mat onnx pack idx rev bitmap gir typelib vapi pc gresource compiled hwdb fw ucode nasl sym debug dwo gcno gcda
    prof md5sums sha1sums sha256sums shlibs symbols triggers postinst prerm postrm preinst conffiles templates
""")
"""Endings of files that a scan does not open, nine of ten files of a system: source code and texts, which may quote a
certificate but are not read as a store; then compiled code, packed archives, media and data of known kinds."""
