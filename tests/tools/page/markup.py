"""Read HTML as a browser does: the parts that the tests need."""

from html.parser import HTMLParser


class Markup(HTMLParser):
    """The markup of one page.

    Attributes:
        shape: each element with the names of its attributes, in order.
        values: each attribute of each element: element, name, value.
        text: the whole text.
        comments: all comments.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.shape: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[tuple[str, str, str]] = []
        self.comments: list[str] = []
        self._texts: list[str] = []
        self.feed(page)
        self.close()

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, tuple(name for name, _ in attrs)))
        self.values += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self._texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def of(self, tag: str, name: str) -> list[str]:
        """Return the values of an attribute of the elements called `tag`."""
        return [value for element, attribute, value in self.values if (element, attribute) == (tag, name)]
