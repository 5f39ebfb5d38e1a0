"""Books to text: from any file to clean pages and chapters, with nothing lost in silence.

Fast extractors leave running heads, page numbers and mixed columns in the text; the clean
one that was measured reads under two pages a second; none of them says when a file is
truncated, scanned or has a broken font map. Here PyMuPDF gives characters and boxes, and
everything after that is our own: columns, paragraphs, hyphens, heads (``layout``,
``flow``), chapters and what is cut off them (``chapters``). Every page carries a status.
The trade-off: formulas that are stacked are left out, with a mark, rather than guessed.
"""

from cosmosage.books.chapters import CUTS, Chapter, Cut, trim
from cosmosage.books.shelf import (
    Text,
    catalogue,
    decide,
    documents,
    extract,
    page_image,
    to_text,
)

__all__ = [
    "CUTS",
    "Chapter",
    "Cut",
    "Text",
    "catalogue",
    "decide",
    "documents",
    "extract",
    "page_image",
    "to_text",
    "trim",
]
