"""Rows made wrong in the ways in which archives were seen to make them wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from faulty_archive.catalogue import Answer
from faulty_archive.faults import Fault
from skysy.columns import Column
from skysy.formats.values import arrow_type

_IDS = ("object_id", "source_id", "image_id")


def spoiled(answer: Answer, faults: Iterable[Fault]) -> Answer:
    """The answer after every fault that is about its rows."""
    for fault in faults:
        if fault.stage == "rows":
            answer = _spoil(answer, fault)
    return answer


def _spoil(answer: Answer, fault: Fault) -> Answer:
    details, rows = fault.details, answer.table.num_rows
    if fault.kind in ("overflow", "error_after_rows", "silent_cap"):
        kept = answer.table.slice(0, rows // 2 if details["rows"] is None else details["rows"])
        error = details.get("message", "")
        return replace(answer, table=kept, overflow=answer.overflow or fault.kind == "overflow", error=error)
    if fault.kind == "null_text":
        return replace(answer, null_text=details["text"])
    if fault.kind == "reversed_rows":
        return replace(answer, table=answer.table.take(pa.array(range(rows - 1, -1, -1), pa.int64())))
    if fault.kind in ("drop_row", "duplicate_row"):
        row = details["row"] % max(rows, 1)
        again = row if fault.kind == "duplicate_row" else row + 1
        table = pa.concat_tables([answer.table.slice(0, row + (again == row)), answer.table.slice(again)])
        return replace(answer, table=table)
    if fault.kind in ("wrong_ids", "fewer_ids"):
        return _other_ids(answer, details["column"], details["count"], keep=fault.kind == "wrong_ids")
    return _other_columns(answer, fault)


def _other_ids(answer: Answer, column: str | None, count: int, *, keep: bool) -> Answer:
    """The last `count` ids replaced by ids that were not asked for, or their rows left out."""
    name = column or next(name for name in answer.table.column_names if name.lower() in _IDS)
    ids = answer.table.column(name)
    distinct = sorted(value for value in pc.unique(ids).to_pylist() if value is not None)
    struck = pc.is_in(ids, pa.array(distinct[-count:], ids.type))
    if not keep:
        return replace(answer, table=answer.table.filter(pc.invert(struck)))
    others = pc.if_else(struck, pc.add(ids, pa.scalar(distinct[-1], ids.type)), ids)
    place = answer.table.column_names.index(name)
    return replace(answer, table=answer.table.set_column(place, name, others))


def _other_columns(answer: Answer, fault: Fault) -> Answer:
    details, table, columns = fault.details, answer.table, list(answer.columns)
    if fault.kind == "case_change":
        wanted = details["column"]
        names = [name.upper() if wanted in (None, name) else name for name in table.column_names]
        columns = [replace(column, name=name) for column, name in zip(columns, names, strict=True)]
        return replace(answer, table=table.rename_columns(names), columns=tuple(columns))
    if fault.kind == "add_column":
        added = pa.array([details["value"]] * table.num_rows)
        kind = "VARCHAR" if pa.types.is_string(added.type) else "DOUBLE"
        columns.append(Column(details["name"], kind))
        return replace(answer, table=table.append_column(details["name"], added), columns=tuple(columns))
    name = details["column"]
    place = table.column_names.index(name)
    if fault.kind == "drop_column":
        del columns[place]
        table = table.remove_column(place)
    elif fault.kind == "rename_column":
        columns[place] = replace(columns[place], name=details["to"])
        table = table.rename_columns([column.name for column in columns])
    else:
        columns[place] = replace(columns[place], type=details.get("to", "VARCHAR"))
        array = table.column(place)
        if fault.kind == "spell_booleans":
            array = pc.if_else(array, details["true"], details["false"])
        table = table.set_column(place, name, array.cast(arrow_type(columns[place]), safe=False))
    return replace(answer, table=table, columns=tuple(columns))
