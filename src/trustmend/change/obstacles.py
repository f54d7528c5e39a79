"""What can stand in the way of writing a store: flags of the file system, and systems that are not changed in place."""

from __future__ import annotations

import fcntl
import os
import struct
from typing import Final

from trustmend.certificate import printable
from trustmend.host import Host
from trustmend.plan import Obstacle

# linux/fs.h: FS_IOC_GETFLAGS is _IOR('f', 1, long), and the flag of chattr +i.
_GET_FLAGS: Final = 0x80006601 | struct.calcsize("l") << 16
_IMMUTABLE: Final = 0x10
_APPEND_ONLY: Final = 0x20


def read_only(host: Host, above: str) -> Obstacle:
    """A read-only file system, and the declarative way of the system that has it."""
    reason = f"the file system of {printable(above)} is read-only"
    if host.exists("/etc/NIXOS"):
        return Obstacle(reason, "NixOS: set security.pki.certificateFiles in the configuration and rebuild")
    if host.exists("/run/ostree-booted"):
        return Obstacle(reason, "this system is an image (ostree): add the certificates to it, or layer a package")
    if host.is_file("/usr/sbin/transactional-update"):
        return Obstacle(reason, "transactional-update shell, and trustmend patch in it; then reboot")
    return Obstacle(reason, "mount it writable, or change the image that it comes from")


def flag(path: str) -> str | None:
    """ "immutable (chattr +i)" or "append-only (chattr +a)"; None for neither, and where there are no such flags."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        flags = struct.unpack("l", fcntl.ioctl(descriptor, _GET_FLAGS, struct.pack("l", 0)))[0]
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if flags & _IMMUTABLE:
        return "immutable (chattr +i)"
    return "append-only (chattr +a)" if flags & _APPEND_ONLY else None
