"""A second archive, inside the test process, that can be told to fail: TAP with jobs, cone search, X-Match, SIMBAD."""

from faulty_archive.archive import FaultyArchive
from faulty_archive.faults import ALWAYS, Fault
from faulty_archive.messages import Request

__all__ = ["ALWAYS", "Fault", "FaultyArchive", "Request"]
