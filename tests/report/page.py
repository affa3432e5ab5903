"""Reads a page as a browser would, as far as the tests need it: tags, attributes, tables with their numbers."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Row:
    """A table row: the text of its heading, and the number of each <data> element in order."""

    heading: str = ""
    numbers: list[float] = field(default_factory=list)


@dataclass
class Table:
    """A table: its caption, and its rows."""

    caption: str = ""
    rows: list[Row] = field(default_factory=list)


class Page(HTMLParser):
    """A parsed page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[Table] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "input", "br", "wbr", "link", "img"}:
            self._open.append(tag)
        if tag == "table":
            self.tables.append(Table())
        elif tag == "tr":
            self.tables[-1].rows.append(Row())
        elif tag == "data":
            self.tables[-1].rows[-1].numbers.append(float(dict(attrs)["value"] or "nan"))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & set(self._open):
            return
        self.text += data
        if "caption" in self._open:
            self.tables[-1].caption += data
        elif "th" in self._open and "tbody" in self._open and "table" in self._open:
            self.tables[-1].rows[-1].heading += data

    @property
    def open_elements(self) -> list[str]:
        """Elements that were never closed."""
        return self._open

    def attributes(self, name: str) -> list[str | None]:
        """The values of an attribute over all tags."""
        return [attributes[name] for _, attributes in self.tags if name in attributes]
