"""Connections: requests read from sockets, answers written to them, whole or spoilt on the way."""

from __future__ import annotations

import socket
import struct
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from faulty_archive.faults import Fault
from faulty_archive.messages import Reply, Request

if TYPE_CHECKING:
    from faulty_archive.archive import FaultyArchive

_PIECES_PER_S = 50


class Server(ThreadingHTTPServer):
    """Sockets that can be dropped when the archive closes."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, archive: FaultyArchive) -> None:
        self.archive = archive
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no failure."""

    def drop_connections(self) -> None:
        """End what is still open, so that no thread waits for a next request."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server
    disable_nagle_algorithm = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """The archive keeps its own log."""

    def _serve(self) -> None:
        archive = self.server.archive
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = archive.begin(self.command, self.path, dict(self.headers.items()), body)
        try:
            try:
                reply, faults = archive.answer(request)
            except Exception:
                archive.failures.append(traceback.format_exc())
                reply, faults = Reply(500, "text/plain", traceback.format_exc().encode()), []
            with suppress(OSError):
                self._send(request, reply, faults)
        finally:
            archive.end(request)

    do_GET = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

    def _send(self, request: Request, reply: Reply, faults: Sequence[Fault]) -> None:
        whole, part, pace, closes = reply.body, len(reply.body), 0.0, False
        pauses: list[tuple[int, float]] = []
        for fault in faults:
            details = fault.details
            if fault.kind == "hang":
                pauses.append((int(len(whole) * details["fraction"]), details["seconds"]))
            elif fault.kind == "slow":
                pace = details["bytes_per_s"]
            else:
                part, closes = _part(whole, details.get("fraction", 0.0), details.get("at_line", False)), True
                names = {"cut_with_length": "length", "cut_without_length": "close", "cut_chunked": "chunked"}
                reply.transfer = names.get(fault.kind, reply.transfer)
        if any(place == 0 for place, _ in pauses):
            self.server.archive.closing.wait(sum(seconds for place, seconds in pauses if place == 0))
        if part == 0 and any(fault.kind in ("reset", "lost_answer") for fault in faults):
            self._reset(request)
            return
        if not reply.body or self.command == "HEAD":
            self.server.archive.end(request)
        self.wfile.write(self._head(reply))
        if self.command != "HEAD":
            self._body(request, reply, part, pace, [pause for pause in pauses if pause[0]], ends=not closes)
        if any(fault.kind == "reset" for fault in faults):
            self._reset(request)
        self.close_connection = self.close_connection or closes or reply.transfer == "close"

    def _head(self, reply: Reply) -> bytes:
        headers = {"Server": "FaultyArchive", "Content-Type": reply.content_type, **reply.headers}
        if reply.transfer == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        elif reply.transfer == "length":
            headers["Content-Length"] = str(len(reply.body))
        else:
            headers["Connection"] = "close"
        phrase = self.responses.get(reply.status, ("",))[0]
        lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _body(
        self, request: Request, reply: Reply, part: int, pace: float, pauses: Sequence[tuple[int, float]], *, ends: bool
    ) -> None:
        closing, body = self.server.archive.closing, reply.body[:part]
        step = max(int(pace / _PIECES_PER_S), 1) if pace else 1 << 16
        marks = sorted({*range(0, len(body), step), *(min(place, len(body)) for place, _ in pauses), len(body)})
        write: Callable[[bytes], Any] = self._chunk if reply.transfer == "chunked" else self.wfile.write
        for start, end in pairwise(marks):
            closing.wait(sum(seconds for place, seconds in pauses if place == start))
            request.sent += end - start
            if end == len(body):
                self.server.archive.end(request)
            write(body[start:end])
            if pace:
                closing.wait((end - start) / pace)
        if reply.transfer == "chunked" and ends:
            self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, piece: bytes) -> None:
        self.wfile.write(f"{len(piece):X}\r\n".encode() + piece + b"\r\n")

    def _reset(self, request: Request) -> None:
        """Close so that the client gets a reset, not an end."""
        self.server.archive.end(request)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


def _part(body: bytes, fraction: float, at_line: bool) -> int:
    """How many bytes are sent; with `at_line`, whole lines only, so that nothing in them looks cut."""
    place = int(len(body) * fraction)
    return body.rfind(b"\n", 0, place) + 1 if at_line else place
