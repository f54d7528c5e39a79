"""What a configuration says of a trust store."""

from __future__ import annotations

from dataclasses import dataclass, field

from trustmend.model import Family, Role


@dataclass(frozen=True)
class Hit:
    """One setting that names a trust store, or holds its certificates.

    value: the absolute path that it names, in the form of the host's root; empty where `inline` holds the certificates.
    file, line, key: where it stands; the line counts from 1, and the key is as the product's manual calls it.
    product: for people, "Tomcat".
    readers: whose rules read the store, keys of `readers.READERS`.
    role: CLIENT_AUTH for keys that verify clients, PRIVATE for those that pin a private CA; None: the content decides.
    extends: the program trusts its built-in or default roots, too.
    secret: the password of this very store where it stands beside it; never printed, logged or journalled.
    inline: certificates that stand in the setting itself, as bytes of a trust store.
    """

    value: str
    file: str
    line: int | None
    key: str
    product: str
    family: Family
    readers: tuple[str, ...]
    role: Role | None = None
    extends: bool = False
    secret: str | None = field(default=None, repr=False)
    inline: bytes | None = field(default=None, repr=False)
