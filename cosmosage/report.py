"""One page of HTML that holds all that it shows.

It can be mailed or put beside a paper: pictures are inside it, nothing is loaded from
elsewhere and nothing runs. What comes from papers and models is text on it, never markup.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmosage.documents import whole_file, without_halves

_STYLE = """
body { font: 16px/1.5 Georgia, serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1a1a1a; background: #fff }
h1, h2 { font-weight: normal; line-height: 1.2 }
h2 { border-top: 1px solid #ccc; padding-top: 1rem; margin-top: 2.5rem }
table { border-collapse: collapse; font-size: 14px; margin: 1rem 0; width: 100% }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left;
  vertical-align: top }
img { max-width: 100%; height: auto }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; margin: 0 }
.headline { font-size: 18px }
.wide { overflow-x: auto }
@media (prefers-color-scheme: dark) {
  body { color: #e6e6e6; background: #161616 } img { background: #fff }
  h2, th, td { border-color: #444 } }
"""

_PRE = (
    "white-space:pre-wrap;overflow-wrap:anywhere;word-break:normal;font-size:85%;text-align:left;"
    "overflow:auto;margin:0"
)


@dataclass(frozen=True)
class Section:
    """A part of the page: what it is, in a sentence, and what it shows."""

    title: str
    note: str = ""
    body: str = ""
    """HTML: of ``columns``, ``picture``, or a table of pandas, which escapes its cells."""


def quoted(text: str, characters: int = 2500, lines: int = 32) -> str:
    """A text as HTML that shows it letter by letter, its maths not set.

    Args:
        text: any.
        characters: after which it is cut.
        lines: about how many are seen without scrolling.
    """
    short = text if len(text) <= characters else text[:characters] + " ..."
    classes = "tex2jax_ignore mathjax_ignore"
    style = f"{_PRE};max-height:{lines}em"
    return f'<pre class="{classes}" style="{style}">{html.escape(short)}</pre>'


def columns(cells: Sequence[tuple[str, str]]) -> str:
    """HTML fragments side by side, each under its heading."""
    width = 100 // max(1, len(cells))
    heads = "".join(
        f'<th style="text-align:left">{html.escape(head)}</th>' for head, _ in cells
    )
    bodies = "".join(
        f'<td style="vertical-align:top;text-align:left;width:{width}%">{body}</td>'
        for _, body in cells
    )
    return f'<table style="width:100%"><tr>{heads}</tr><tr>{bodies}</tr></table>'


def picture(data: bytes, what: str) -> str:
    """A PNG or JPEG as part of the page; ``what`` tells it to those who cannot see it."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    told = base64.b64encode(data).decode("ascii")
    return f'<img src="data:image/{kind};base64,{told}" alt="{html.escape(what)}">'


def write(
    path: Path, title: str, headlines: Sequence[str], sections: Sequence[Section]
) -> Path:
    """Write the page.

    Args:
        path: of the HTML file.
        title: the page's.
        headlines: its figures, a sentence each.
        sections: in order.

    Returns:
        ``path``.
    """
    heads = "".join(f"<li>{html.escape(line)}</li>" for line in headlines)
    parts = "".join(
        f"<h2>{html.escape(part.title)}</h2>\n<p>{html.escape(part.note)}</p>\n"
        f'<div class="wide">{part.body}</div>\n'
        for part in sections
    )
    with whole_file(path) as file:
        page = (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width">\n'
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
            f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
            f'<h1>{html.escape(title)}</h1>\n<ul class="headline">{heads}</ul>\n{parts}'
            "</body>\n</html>\n"
        )
        file.write(without_halves(page))
    return path
