"""A GAVO DaCHS archive on loopback that serves simulated skies: install it, start and stop it, kill and restart its server.

    python tests/archive_peer/peer.py install                  once, as root
    skysy simulate SKY --objects 2000
    python tests/archive_peer/peer.py start DIR SKY            prints the URLs; more skies: one of each release
    python tests/archive_peer/peer.py kill DIR                 the web server dies as in a power cut
    python tests/archive_peer/peer.py restart DIR              and comes back; its jobs are kept
    python tests/archive_peer/peer.py stop DIR

All that the peer has is under DIR: PostgreSQL's cluster, DaCHS's files, the warehouses that the skies were loaded into, logs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where this is run as a script

from archive_peer import system
from archive_peer.system import DACHS, PYTHON, PeerError, Runner, free_port, is_open, postgres_program

_START_S = 90.0
# `dachs imp` for several descriptors in one process: most of its time is its start.
_IMPORT = """
import sys
from gavo.user import cli
for name in sys.argv[1:]:
    sys.argv = ["dachs", "imp", name, "create"]
    try:
        cli.main()
    except SystemExit as end:
        if end.code:
            raise
"""
_POSTGRES = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
shared_buffers = 64MB
max_connections = 60
max_parallel_workers_per_gather = 0
fsync = off
synchronous_commit = off
full_page_writes = off
# Without this a TOP n without ORDER BY gives other rows each time.
synchronize_seqscans = off
"""
_DACHS = """
[general]
rootDir: {root}
group: {group}
gavoGroup: {group}
maintainerAddress: nobody@localhost
[web]
bindAddress: 127.0.0.1
serverPort: {port}
serverURL: {url}
user: {user}
sqlTimeout: {sync_s}
[async]
defaultMAXREC: {default_rows}
hardMAXREC: {most_rows}
defaultExecTimeSync: {sync_s}
maxTAPRunning: {jobs}
[ivoa]
authority: peer.test
dalDefaultLimit: 10000
"""


@dataclass(frozen=True)
class Limits:
    """What the archive grants: rows without and with MAXREC, seconds of a synchronous query, jobs that run at a time."""

    default_rows: int = 100_000
    most_rows: int = 1_000_000
    sync_s: int = 30
    jobs: int = 2


@dataclass(frozen=True)
class Peer:
    """A peer that was started; `laps` are seconds since the start at which its parts were ready."""

    directory: Path
    port: int
    database_port: int
    releases: tuple[str, ...]
    laps: dict[str, float] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The server's root, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def tap_url(self) -> str:
        """The TAP service: what /sync and /async hang on."""
        return f"{self.url}/tap"

    def cone_url(self, table: str) -> str:
        """The cone search of a release's `master` or `photometry`: RA, DEC, SR in degrees, VERB, RESPONSEFORMAT."""
        schema, name = table.split(".")
        return f"{self.url}/{schema}/q/{name}_cone/scs.xml"

    def warehouse(self, release: str) -> Path:
        """The warehouse directory into which skysy loaded the sky of a release from its files."""
        from archive_peer.fill import warehouse_of

        return warehouse_of(self.directory, release)

    @property
    def server_pid(self) -> int | None:
        """The web server's pid, None where it does not run."""
        with suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text())
            if self._runner.is_ours(pid):
                return pid
        return None

    @property
    def log(self) -> Path:
        """What DaCHS wrote of its requests and failures."""
        return self.directory / "root" / "logs" / "dcInfos"

    def sql(self, statement: str) -> str:
        """What a statement gives in the archive's own database, asked behind the server's back; rows as lines, `|` between."""
        from archive_peer.fill import sql

        return sql(self._runner, self.database_port, statement)

    def kill(self) -> None:
        """Kill the web server with SIGKILL; jobs that run, and the database, go on."""
        pid = self.server_pid
        if pid is None:
            raise PeerError(f"No web server runs for {self.directory}.")
        self._runner.end(pid, kill=True)
        self._wait_closed()

    def restart(self) -> None:
        """Start the web server again, killing it first where it runs, and the database where that is down."""
        if self.server_pid is not None:
            self.kill()
        if not is_open(self.database_port):
            _start_database(self._runner)
        # DaCHS runs some jobs in its own threads (pid -1). Those of a killed server would hold their places in the queue for
        # ever; an administrator takes them away, as here, and the service has forgotten them.
        self.sql("DELETE FROM tap_schema.tapjobs WHERE phase = 'EXECUTING' AND pid < 2")
        self._serve()

    def stop(self) -> None:
        """End the web server, its jobs and the database; the directory stays."""
        if (pid := self.server_pid) is not None:
            self._runner.end(pid)
        for job in self._runner.processes():
            self._runner.end(job)
        if (self.directory / "pg" / "postmaster.pid").exists() and is_open(self.database_port):
            self._runner.run([postgres_program("pg_ctl"), "-D", self.directory / "pg", "-m", "fast", "-w", "stop"])
        if pid is not None:
            self._wait_closed()

    @property
    def _runner(self) -> Runner:
        return Runner(self.directory, system.account())

    @property
    def _pid_file(self) -> Path:
        return self.directory / "server.pid"

    def _wait_closed(self) -> None:
        """Wait for the port: threads that outlive the main one by a moment hold it."""
        deadline = time.monotonic() + 10
        while is_open(self.port):
            if time.monotonic() > deadline:
                raise PeerError(f"The web server was ended, but port {self.port} is still open.")
            time.sleep(0.02)

    def _serve(self) -> None:
        """Start the web server and wait until TAP answers."""
        if is_open(self.port):
            raise PeerError(f"Port {self.port} is taken by another program.")
        log = self.directory / "server.log"
        pid = self._runner.spawn([DACHS, "serve", "start", "--foreground"], log)
        self._pid_file.write_text(str(pid))
        deadline = time.monotonic() + _START_S
        while not _answers(f"{self.tap_url}/availability"):
            if self.server_pid != pid:
                raise PeerError(f"The web server ended at once:\n{log.read_text(errors='replace')[-2000:]}")
            if time.monotonic() > deadline:
                raise PeerError(f"{self.tap_url} does not answer after {_START_S:.0f} s; see {log} and {self.log}.")
            time.sleep(0.05)


def start(
    directory: Path, skies: Sequence[Path], *, port: int = 0, database_port: int = 0, limits: Limits | None = None
) -> Peer:
    """Make a peer in a new or empty directory, fill it with skies of `skysy simulate` and start it; port 0 takes a free one.

    One sky of each release, all with one seed and number of objects: they share 2MASS and AllWISE.

    Raises PeerError where that fails; nothing is left running then, but the directory with its logs.
    """
    if lack := system.missing():
        raise PeerError(f"{lack}. As root, give: python tests/archive_peer/peer.py install")
    directory = directory.resolve()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise PeerError(f"{directory} is there already and not empty; `restart` starts a peer that was stopped.")
    by_release = _by_release(skies)
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    account = system.account()
    runner = Runner(directory, account)
    account.check_entry(directory / "pg")
    laps: dict[str, float] = {}
    peer = Peer(directory, port or free_port(), database_port or free_port(), tuple(by_release), laps)
    for taken in (peer.port, peer.database_port):
        if is_open(taken):
            raise PeerError(f"Port {taken} is taken by another program.")
    began = time.monotonic()

    def lap(what: str) -> None:
        laps[what] = round(time.monotonic() - began, 1)

    try:
        _make(peer, runner, by_release, limits or Limits(), lap)
        peer._serve()
        lap("TAP answers")
    except BaseException:
        with suppress(PeerError):
            peer.stop()
        raise
    _state(directory).write_text(json.dumps(asdict(peer) | {"directory": str(directory)}) + "\n")
    return peer


def open_peer(directory: Path) -> Peer:
    """The peer of a directory, running or not; raises PeerError where there is none."""
    try:
        told = json.loads(_state(directory).read_text())
        ports = int(told["port"]), int(told["database_port"])
        return Peer(directory.resolve(), *ports, tuple(told["releases"]), dict(told["laps"]))
    except (OSError, ValueError, KeyError) as error:
        raise PeerError(f"{directory} holds no peer that was started.") from error


def _state(directory: Path) -> Path:
    return directory / "peer.json"


def _by_release(skies: Sequence[Path]) -> dict[str, Path]:
    from archive_peer.fill import release_of

    found: dict[str, Path] = {}
    for sky in skies:
        release = release_of(sky)
        if release in found:
            raise PeerError(f"{found[release]} and {sky} are both of {release}.")
        found[release] = sky.resolve()
    return found


def _make(peer: Peer, runner: Runner, skies: Mapping[str, Path], limits: Limits, lap: Callable[[str], None]) -> None:
    """Database, DaCHS and tables, while the skies are loaded beside; then the rows."""
    from archive_peer import descriptors, fill

    tables = descriptors.served(skies)
    schemas = descriptors.schemas(tables)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(fill.load_skies, skies, tables, peer.directory)
        _make_database(peer, runner)
        lap("database")
        root = peer.directory / "root"
        inputs = root / "inputs"
        inputs.mkdir(parents=True)
        told = {"port": peer.port, "url": peer.url, "user": runner.account.user, "group": runner.account.group}
        runner.configuration.write_text(_DACHS.format(root=root, **told, **asdict(limits)))
        for schema in schemas:
            (inputs / schema).mkdir()
            (inputs / schema / "q.rd").write_text(descriptors.descriptor(tables, schema))
            runner.account.own(inputs / schema)
        runner.account.own(inputs)
        runner.account.own(root)
        where = f"host=127.0.0.1 port={peer.database_port} user=peer dbname=gavo"
        runner.run([DACHS, "init", "-d", where])
        lap("dachs init")
        runner.run([PYTHON, "-c", _IMPORT, *(f"{schema}/q" for schema in schemas)])
        lap("tables made")
        files = loading.result()
    fill.copy_rows(runner, peer.database_port, tables, files)
    shutil.rmtree(peer.directory / "csv")
    lap("tables filled")


def _make_database(peer: Peer, runner: Runner) -> None:
    cluster = peer.directory / "pg"
    cluster.mkdir()
    runner.account.own(cluster)
    runner.run(
        [postgres_program("initdb"), "-D", cluster, "-U", "peer", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"]
    )
    with (cluster / "postgresql.conf").open("a") as out:
        out.write(_POSTGRES.format(port=peer.database_port))
    _start_database(runner)
    words = ["-h", "127.0.0.1", "-p", str(peer.database_port), "-U", "peer", "-E", "UTF8", "-T", "template0", "gavo"]
    runner.run([postgres_program("createdb"), *words])


def _start_database(runner: Runner) -> None:
    cluster = runner.directory / "pg"
    runner.run([postgres_program("pg_ctl"), "-D", cluster, "-l", cluster / "server.log", "-w", "-t", "60", "start"])


def _answers(url: str) -> bool:
    with suppress(URLError, OSError), urlopen(url, timeout=5) as reply:
        return bool(reply.status == 200)
    return False


def main(words: list[str] | None = None) -> int:
    """The command line; 0 for done, 1 for an error in words."""
    parser = argparse.ArgumentParser(prog="peer.py", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="install Debian's packages where they are missing; as root")
    starting = commands.add_parser("start", help="make, fill and start a peer")
    starting.add_argument("directory", metavar="DIR", type=Path, help="new or empty; all of the peer is in it")
    starting.add_argument(
        "skies", metavar="SKY", type=Path, nargs="+", help="what `skysy simulate` made, one of each release"
    )
    starting.add_argument("--port", type=int, default=0, help="of the web server (default: a free one)")
    starting.add_argument("--database-port", type=int, default=0, help="of PostgreSQL (default: a free one)")
    starting.add_argument("--most-rows", type=int, default=Limits.most_rows, help="the hard limit of rows")
    for name, what in (("stop", "end all of it"), ("kill", "kill -9 the web server"), ("restart", "start it again")):
        commands.add_parser(name, help=what).add_argument("directory", metavar="DIR", type=Path)
    given = parser.parse_args(words)
    try:
        if given.command == "install":
            print("Installed." if system.install() else "All that the peer needs is there.")
        elif given.command == "start":
            limits = Limits(most_rows=given.most_rows)
            peer = start(
                given.directory, given.skies, port=given.port, database_port=given.database_port, limits=limits
            )
            print("\n".join(f"{seconds:6.1f} s  {what}" for what, seconds in peer.laps.items()))
            _print_urls(peer)
        else:
            peer = open_peer(given.directory)
            getattr(peer, given.command)()
            if given.command == "restart":
                _print_urls(peer)
    except PeerError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _print_urls(peer: Peer) -> None:
    print(f"TAP   {peer.tap_url}")
    from archive_peer.descriptors import CONE_TABLES, TABLES

    for release in peer.releases:
        for table in sorted(set(TABLES[release]) & set(CONE_TABLES)):
            print(f"cone  {peer.cone_url(table)}")


if __name__ == "__main__":
    sys.exit(main())
