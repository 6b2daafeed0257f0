"""Ctrl-C while DuckDB works."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb


@contextmanager
def ctrl_c_stops() -> Iterator[list[duckdb.DuckDBPyConnection]]:
    """Inside, Ctrl-C stops what the listed connections are running, and any error that follows becomes KeyboardInterrupt.

    Python attends to a signal between its own steps, and DuckDB may look for one only when its threads are done. So the number of
    each signal goes at once through a socket to a thread that can stop the query.
    """
    running: list[duckdb.DuckDBPyConnection] = []
    if threading.current_thread() is not threading.main_thread():
        yield running  # no signal is attended to here
        return
    pressed = threading.Event()
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        while number := reader.recv(1):
            if number[0] == signal.SIGINT:
                pressed.set()
                for con in list(running):
                    with suppress(duckdb.Error):  # it may just have been closed
                        con.interrupt()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        try:
            yield running
        finally:
            signal.set_wakeup_fd(before)
            writer.shutdown(socket.SHUT_RDWR)  # ends the thread, even where a forked child holds a copy
            watcher.join()
            writer.close()
            reader.close()
    except Exception as error:
        if pressed.is_set():
            raise KeyboardInterrupt from error
        raise
