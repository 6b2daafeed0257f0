"""Models asked before they are built: as views of this connection alone, from the SQL as it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from skysy.models import parameters
from skysy.models.project import Project
from skysy.store import Warehouse


@contextmanager
def as_views(warehouse: Warehouse, project: Project, names: Iterable[str]) -> Iterator[None]:
    """Inside, these models and all that they read are views over what is loaded now; nothing is written.

    A view hides a built table of its name. The parameters are the project's.
    """
    wanted = _with_inputs(project, names)
    parameters.apply(warehouse.con, project.parameters)
    made = []
    try:
        for model in project.models:
            if model.name in wanted:
                warehouse.run(f'CREATE TEMP VIEW "{model.name}" AS {model.sql}')
                made.append(model.name)
        yield
    finally:
        for name in reversed(made):
            warehouse.run(f'DROP VIEW temp."{name}"')


def _with_inputs(project: Project, names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += project.model(name).model_inputs
    return found
