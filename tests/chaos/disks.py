"""Disks of a test's own: small, with coarse times, shared with a cache; gone when the test is over.

Mounting needs root; a test that cannot have its disk is skipped with the reason.
"""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

# Cuts the times that a process sees to even seconds, as on a FAT disk.
TWO_SECONDS = """\
#include <dlfcn.h>
#include <sys/stat.h>
#ifndef RTLD_NEXT
#define RTLD_NEXT ((void *)-1L)
#endif
static int cut(int code, struct stat *found) {
    if (code == 0) {
        found->st_mtim.tv_sec &= ~1L; found->st_mtim.tv_nsec = 0;
        found->st_ctim.tv_sec &= ~1L; found->st_ctim.tv_nsec = 0;
    }
    return code;
}
#define BY_PATH(name) int name(const char *path, struct stat *found) { \\
    static int (*real)(const char *, struct stat *); \\
    if (!real) real = dlsym(RTLD_NEXT, #name); \\
    return cut(real(path, found), found); }
#define BY_FD(name) int name(int fd, struct stat *found) { \\
    static int (*real)(int, struct stat *); \\
    if (!real) real = dlsym(RTLD_NEXT, #name); \\
    return cut(real(fd, found), found); }
#define AT(name) int name(int fd, const char *path, struct stat *found, int flags) { \\
    static int (*real)(int, const char *, struct stat *, int); \\
    if (!real) real = dlsym(RTLD_NEXT, #name); \\
    return cut(real(fd, path, found, flags), found); }
BY_PATH(stat) BY_PATH(stat64) BY_PATH(lstat) BY_PATH(lstat64) BY_FD(fstat) BY_FD(fstat64) AT(fstatat) AT(fstatat64)
"""


@contextlib.contextmanager
def mounted(words: list[object], folder: Path):
    """Mount by a command; unmount at the end."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    if shutil.which(str(words[0])) is None:
        pytest.skip(f"{words[0]} is not here: apt-get install {words[0]}")
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{words[0]} cannot mount here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def small(folder: Path, size: str):
    """Mount a disk of this size, ``64k``."""
    return mounted(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], folder)


def whole_seconds(folder: Path):
    """Mount a disk whose times are whole seconds: ext2 with inodes that have no room for more."""
    if not shutil.which("mkfs.ext2"):
        pytest.skip("needs mkfs.ext2")
    image = folder.parent / f"{folder.name}.image"
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext2", "-q", "-I", "128", image], check=True)
    return mounted(["mount", "-o", "loop", image, folder], folder)


def shared(server: Path, client: Path, *, cache_s: float, locks: bool = False):
    """Show ``server`` at ``client`` as a network disk does, with names and attributes cached for so long.

    With ``locks`` those are the server's, and so is every byte read: what NFS sees to when a file is locked.
    """
    server.mkdir(exist_ok=True)
    options = ",".join(f"{kind}_timeout={cache_s}" for kind in ("attr", "entry", "negative"))
    if locks:
        options += ",direct_io"
    forward = ["--multithreaded", "--enable-lock-forwarding"] if locks else []
    return mounted(["bindfs", *forward, "-o", options, server, client], client)


def even_seconds(place: Path) -> dict[str, str]:
    """Return the environment of a process that sees all times cut to two seconds."""
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler")
    (place / "even.c").write_text(TWO_SECONDS)
    words = ["cc", "-shared", "-fPIC", "-o", place / "even.so", place / "even.c", "-ldl"]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("the C compiler makes no shared library here")
    return {"LD_PRELOAD": str(place / "even.so")}
