"""A page of HTML as a tree, for tests that ask what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
CELLS = {"td", "th"}


@dataclass
class Element:
    """An element with its attributes, what it holds, and all text inside."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    children: list[Element] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, *tags: str) -> list[Element]:
        """Elements of these names inside, in order."""
        return [one for child in self.children for one in ([child] if child.tag in tags else []) + child.all(*tags)]

    def inside(self, tag: str) -> bool:
        return self.parent is not None and (self.parent.tag == tag or self.parent.inside(tag))


class Page(HTMLParser):
    """A page as a tree; closing tags that close nothing are a failure, cells and rows may leave theirs out."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.root = self.here = Element("page", {})
        self.feed(source)
        self.close()
        assert self.here is self.root, f"<{self.here.tag}> is never closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in CELLS and self.here.tag in CELLS:
            self._up()
        element = Element(tag, {name: value or "" for name, value in attrs}, self.here)
        assert len(element.attributes) == len(attrs), f"<{tag}> names an attribute twice"
        self.here.children.append(element)
        if tag not in VOID:
            self.here = element

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr" and self.here.tag in CELLS:
            self._up()
        assert self.here.tag == tag, f"</{tag}> where <{self.here.tag}> is open"
        self._up()

    def handle_data(self, data: str) -> None:
        element: Element | None = self.here
        while element:
            element.words.append(data)
            element = element.parent

    def _up(self) -> None:
        assert self.here.parent
        self.here = self.here.parent

    def by_id(self, name: str) -> Element:
        [found] = [one for one in self.root.all(*self.tags()) if one.attributes.get("id") == name]
        return found

    def tags(self) -> set[str]:
        names: set[str] = set()
        queue = [self.root]
        while queue:
            element = queue.pop()
            names.add(element.tag)
            queue.extend(element.children)
        return names


def rows_of(table: Element) -> list[list[str]]:
    """Texts of the cells in a table's body and foot, a list per row."""
    return [[cell.text for cell in row.all(*CELLS)] for part in table.all("tbody", "tfoot") for row in part.all("tr")]
