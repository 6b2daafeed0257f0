"""What can go wrong, as one tree; catch at the height you want.

    SkysyError                     exit code 1
    ├── UsageError                 exit code 2   the command's words do not fit
    ├── WarehouseError             exit code 3
    │   ├── WarehouseMissing                     no warehouse in that directory
    │   ├── WarehouseLocked                      another process has it open
    │   ├── WarehouseReadOnly                    the directory or file cannot be written
    │   ├── WarehouseVersion                     made by another DuckDB or skysy layout
    │   ├── WarehouseFull                        no room left on the disk
    │   └── WarehouseDamaged                     not a DuckDB file, or its checksums fail
    ├── LoadError                  exit code 4
    │   ├── ContractError                        a column is missing, renamed or retyped
    │   ├── ValueDamaged                         a value cannot be what the contract says
    │   ├── FileDamaged                          cut, garbled or unreadable file
    │   │   ├── Overflowed                       the archive says that it did not give all rows
    │   │   └── ErrorAnswer                      the archive's error message in the place of rows
    │   └── SourceChanged                        same name, other content than was loaded
    ├── ArchiveError               exit code 7   a service did not give what was asked
    │   ├── ArchiveUnreachable                   no connection, or none that lasts
    │   ├── ArchiveRefused                       the service says no: banned, too large, not allowed
    │   ├── QueryFailed                          the service could not run the query
    │   ├── TooMuch                              more rows than it gives at once: ask in smaller pieces
    │   ├── AnswerDamaged                        what came is cut, garbled or an error page, each time it was asked for
    │   └── Mismatch                             rows came that were not counted, or fewer than were
    ├── ModelError                 exit code 5
    │   ├── SqlError                             a model does not parse or does not run
    │   ├── AuditFailed                          a model's rows break a promise
    │   └── NotReproduced                        a bundle does not build to the results that it holds
    └── NotFound                   exit code 6   no such object, table, parameter

Every error says what happened and where; `remedy` says what is safe and what to type next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SkysyError(Exception):
    """A failure told in words, with the next step beside it."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(SkysyError):
    """The command's arguments do not fit together."""

    exit_code = 2


class WarehouseError(SkysyError):
    """The warehouse file cannot be used as asked."""

    exit_code = 3


class WarehouseMissing(WarehouseError):
    """There is no warehouse in that directory."""


class WarehouseLocked(WarehouseError):
    """Another process has the warehouse open."""


class WarehouseReadOnly(WarehouseError):
    """The warehouse cannot be written."""


class WarehouseVersion(WarehouseError):
    """The warehouse was made by a DuckDB or a skysy that this one cannot read."""


class WarehouseFull(WarehouseError):
    """The disk, or a quota on it, has no room for what should be written."""


class WarehouseDamaged(WarehouseError):
    """The file is not a DuckDB database, or no longer a whole one."""


class LoadError(SkysyError):
    """Rows could not be brought in; nothing of that file was kept."""

    exit_code = 4


class ContractError(LoadError):
    """A table does not have the columns that its contract promises."""


class ValueDamaged(LoadError):
    """A value cannot be what the contract says that it is."""


class FileDamaged(LoadError):
    """A file is cut, garbled or not of the format that its name says."""


class Overflowed(FileDamaged):
    """The archive says in the file that it did not give all rows."""


class ErrorAnswer(FileDamaged):
    """The file is the archive's error message."""


class SourceChanged(LoadError):
    """A file of a name that is loaded already now has other content."""


class ArchiveError(SkysyError):
    """A service did not give what was asked; what was committed before stays, and the same command goes on."""

    exit_code = 7


class ArchiveUnreachable(ArchiveError):
    """No connection to the service, or none that lasts until the answer is whole."""


class ArchiveRefused(ArchiveError):
    """The service says no, and asking again would not help."""


class QueryFailed(ArchiveError):
    """The service could not run the query, or its job ended without a result."""


class TooMuch(ArchiveError):
    """The answer would be larger, or take longer, than the service allows."""


class AnswerDamaged(ArchiveError):
    """What a service sent is cut, garbled or no table, each time that it was asked for."""


class Mismatch(ArchiveError):
    """The rows that came are not those that were counted or asked for."""


class ModelError(SkysyError):
    """The science could not be built; the tables of the last build stand."""

    exit_code = 5


class SqlError(ModelError):
    """A model's SQL does not parse or does not run."""


class AuditFailed(ModelError):
    """A model's rows break a promise that an audit states."""


class NotReproduced(ModelError):
    """What a bundle's SQL makes of its archive rows is not what it says."""


class NotFound(SkysyError):
    """No such object, table, model or parameter."""

    exit_code = 6


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with the nearest known name, or else all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(names)}."
