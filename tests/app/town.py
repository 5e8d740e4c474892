"""Three small documents about a town, for the tests of the application."""

from dataclasses import dataclass

from retrieval.types import Extracted

BRIDGE = """The Orchard Bridge

The Orchard Bridge crosses the river Teel near the old mill. It was opened on 4 May 1911 after \
six years of work. Anna Kern, an engineer from Basel, designed it. Its main span is 182 metres long.

Upkeep

The deck was renewed in 1987 at a cost of 3.4 million francs. The bridge is painted green every \
twelve years. About 9,000 vehicles cross it each day."""

LIBRARY = """Lending rules

Members may borrow up to eight books at a time. A loan lasts four weeks and can be renewed twice. \
For each day a book is late the library charges 20 cents. Reference works cannot be taken home.

Opening hours

The reading room is open from nine to six on weekdays. On Saturdays it closes at one o'clock."""

GARDEN = """The botanical garden

Among the trees of the garden are forty kinds of maple. The glass house was built by Tomas Reyes \
in 1932 and holds orchids from Ecuador. Entry is free for children under ten. Dogs must be kept on \
a lead."""


@dataclass(frozen=True)
class Document:
    id: str
    name: str
    text: str
    page_starts: tuple[int, ...] = ()

    @property
    def extracted(self) -> Extracted:
        return Extracted(self.text.split("\n")[0], self.text, self.page_starts, "text/plain")


DOCUMENTS = (
    Document("b" * 64, "bridge.pdf", BRIDGE, (0, BRIDGE.index("Upkeep"))),
    Document("c" * 64, "library.md", LIBRARY),
    Document("d" * 64, "garden.txt", GARDEN),
)
