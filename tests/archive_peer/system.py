"""What the peer needs of the machine: Debian packages, the account that servers run under, processes told by their pid."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

# gavodachs2-server is left out on purpose: installing it wants a PostgreSQL that is running already. All of the
# server's code is in python3-gavo.
PACKAGES = ("python3-gavo", "postgresql-15", "postgresql-15-pgsphere", "postgresql-15-q3c")
SERVER_USER = "postgres"
"""The account that takes over where the peer is started by root, for whom PostgreSQL does not run."""

DACHS = "/usr/bin/dachs"
PYTHON = "/usr/bin/python3"
"""Debian's Python, the one that knows DaCHS."""
_PROGRAMS = Path("/usr/lib/postgresql")
_EXTENSIONS = Path("/usr/share/postgresql")
# pg_sphere 1.2.0 declares two operators for DaCHS as commutator and negator of operators that belong to others; PostgreSQL
# from 15.20 on refuses to make them. Both words are hints to the planner and nothing else.
_OLD_OPERATOR = re.compile(r"CREATE OPERATOR @ \(.*?\);", re.DOTALL)
_HINT = re.compile(r"^\s*(?:COMMUTATOR|NEGATOR)\s*=[^\n]*\n", re.MULTILINE)


# Runs a program and takes in all that it leaves behind. DaCHS holds a job for running while /proc has its process; jobs of a
# killed server that end under a PID 1 which reaps nothing would keep their places in the queue for ever.
_REAPER = """
import ctypes, os, subprocess, sys
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
with open(int(sys.argv[1]), "w") as told:
    print(subprocess.Popen(sys.argv[2:]).pid, file=told)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


class PeerError(Exception):
    """The peer cannot be installed, started or reached; the message says why and what to do."""


@dataclass(frozen=True)
class Account:
    """Who runs the servers: a name, a group, and their numbers where root has to become them."""

    user: str
    group: str
    uid: int | None = None
    gid: int | None = None

    def own(self, path: Path) -> None:
        """Give a new, empty directory to the account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def check_entry(self, directory: Path) -> None:
        """Raise PeerError where the account cannot reach a directory."""
        if self.uid is None:
            return
        for parent in directory.parents:
            if not parent.stat().st_mode & 0o001:
                raise PeerError(
                    f"{parent} is closed to the user {self.user}, under whom the servers run. "
                    "Choose a directory that everybody may enter, as under /tmp, or start the peer as another user than root."
                )


def account() -> Account:
    """The account for the servers: one's own, or SERVER_USER where one is root."""
    uid = os.getuid()
    entry = pwd.getpwuid(uid) if uid else pwd.getpwnam(SERVER_USER)
    group = _group_name(entry.pw_gid)
    return Account(entry.pw_name, group) if uid else Account(entry.pw_name, group, entry.pw_uid, entry.pw_gid)


def _group_name(gid: int) -> str:
    import grp

    return grp.getgrgid(gid).gr_name


def missing() -> str:
    """What keeps the peer from being started on this machine, in words; empty where nothing does."""
    if not Path(DACHS).exists():
        return "GAVO DaCHS is not installed (Debian package python3-gavo)"
    if not _versions():
        return "PostgreSQL with pg_sphere and q3c is not installed (Debian packages " + ", ".join(PACKAGES[1:]) + ")"
    if any(_needs_mending(path) for path in _sphere_files()):
        return "pg_sphere is installed, but recent PostgreSQL does not take it as it is"
    return ""


def install() -> bool:
    """Install the Debian packages and mend pg_sphere; False where all was there. Raises PeerError, for one who is not root."""
    lack = missing()
    if not lack:
        return False
    if os.getuid() != 0:
        raise PeerError(f"{lack}. As root, give: python tests/archive_peer/peer.py install")
    if shutil.which("apt-get") is None:
        raise PeerError(f"{lack}; only Debian's packages are known to work, and there is no apt-get here.")
    if not Path(DACHS).exists() or not _versions():
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
            done = subprocess.run(["apt-get", "-q", *words], env=environment, stdin=subprocess.DEVNULL, check=False)
            if done.returncode:
                raise PeerError(f"apt-get {words[0]} failed with exit code {done.returncode}; its words stand above.")
    for path in filter(_needs_mending, _sphere_files()):
        path.write_text(_mended(path.read_text(encoding="utf-8")), encoding="utf-8")
    if lack := missing():
        raise PeerError(f"{lack}, though apt-get found no fault.")
    return True


def _versions() -> list[str]:
    """Versions of PostgreSQL that have all extensions, the newest first."""
    found = [path.parent.parent.name for path in _PROGRAMS.glob("*/bin/initdb")]
    wanted = ("pg_sphere.control", "q3c.control")
    whole = [one for one in found if all((_EXTENSIONS / one / "extension" / name).exists() for name in wanted)]
    return sorted(whole, key=int, reverse=True)


def postgres_program(name: str) -> str:
    """The path of one of PostgreSQL's programs, as initdb."""
    versions = _versions()
    if not versions:
        raise PeerError(f"{missing()}.")
    return str(_PROGRAMS / versions[0] / "bin" / name)


def _sphere_files() -> list[Path]:
    return sorted(_EXTENSIONS.glob("*/extension/pg_sphere--1.2.0.sql"))


def _needs_mending(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return _mended(text) != text


def _mended(text: str) -> str:
    return _OLD_OPERATOR.sub(lambda found: _HINT.sub("", found[0]) if "smoc" in found[0] else found[0], text)


def free_port() -> int:
    """A TCP port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    """Whether something listens on a port of the loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Runner:
    """Runs programs for a peer: under its account, in its directory, with nothing of one's own environment."""

    directory: Path
    account: Account

    @property
    def configuration(self) -> Path:
        """DaCHS's configuration; its path in a process's environment tells that the process is this peer's."""
        return self.directory / "gavo.rc"

    def _environment(self, program: str) -> Mapping[str, str]:
        plain = {"PATH": "/usr/bin:/bin", "HOME": str(self.directory), "LANG": "C.UTF-8"}
        if program not in (DACHS, PYTHON):
            return plain
        told = {"GAVOSETTINGS": str(self.configuration), "GAVOCUSTOM": "/dev/null", "PYTHONWARNINGS": "ignore"}
        return plain | told

    def run(self, words: Sequence[str | Path], *, stdin: IO[bytes] | None = None, timeout: float = 300) -> str:
        """A program's output; raises PeerError with its last words where it fails."""
        command = [str(word) for word in words]
        try:
            # Output goes to a file: a server that the program leaves behind would hold a pipe open.
            with tempfile.TemporaryFile() as log:
                done = subprocess.run(
                    command, stdin=stdin or subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, timeout=timeout,
                    check=False, cwd=self.directory, env=self._environment(command[0]), **self._identity(),
                )  # fmt: skip
                log.seek(0)
                said = log.read().decode(errors="replace").strip()
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"{' '.join(command[:3])} did not end within {timeout:.0f} s.") from error
        if done.returncode:
            raise PeerError(f"{' '.join(command[:6])} failed with exit code {done.returncode}:\n{said[-2000:]}")
        return said

    def spawn(self, words: Sequence[str | Path], log: Path) -> int:
        """The pid of a program that runs on by itself."""
        reader, writer = os.pipe()
        command = [PYTHON, "-c", _REAPER, str(writer), *(str(word) for word in words)]
        with log.open("ab") as out:
            child: subprocess.Popen[bytes] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, pass_fds=(writer,),
                start_new_session=True, cwd=self.directory, env=self._environment(DACHS), **self._identity(),
            )  # fmt: skip
        os.close(writer)
        _CHILDREN[child.pid] = child
        with os.fdopen(reader) as told:
            pid = told.read().strip()
        if not pid:
            raise PeerError(f"{words[0]} could not be started; see {log}.")
        return int(pid)

    def _identity(self) -> dict[str, Any]:
        if self.account.uid is None:
            return {}
        return {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}

    def processes(self) -> list[int]:
        """Pids of the DaCHS processes of this peer: the web server and its jobs."""
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if self.is_ours(int(path.name))]

    def is_ours(self, pid: int) -> bool:
        """Whether a process lives and was started for this peer's DaCHS."""
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        return f"GAVOSETTINGS={self.configuration}".encode() in environment.split(b"\0")

    def end(self, pid: int, *, kill: bool = False, timeout: float = 10) -> None:
        """End a process of this peer, by SIGKILL at once or after the time-out; others are left alone."""
        if not self.is_ours(pid):
            return
        since = _alive_since(pid)
        os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while since and _alive_since(pid) == since:
            if time.monotonic() > deadline:
                if kill:
                    raise PeerError(f"Process {pid} does not end.")
                self.end(pid, kill=True)
                return
            time.sleep(0.02)


_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


def _alive_since(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty where it has ended, all its files and ports with it."""
    child = _CHILDREN.get(pid)
    if child is not None and child.poll() is not None:
        del _CHILDREN[pid]
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else rest[18]
