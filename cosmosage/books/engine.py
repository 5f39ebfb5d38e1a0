"""PyMuPDF without the layout models that it loads for itself where it can.

They stand in its requirements, take a third of a second and 55 MB of every process, and
nothing here asks them.
"""

import sys

sys.modules.setdefault("pymupdf.layout", None)  # type: ignore[arg-type]
try:
    import pymupdf
finally:
    if sys.modules["pymupdf.layout"] is None:  # whoever wants it may still have it
        del sys.modules["pymupdf.layout"]

ERRORS = (
    pymupdf.FileDataError,
    pymupdf.mupdf.FzErrorBase,
    RuntimeError,
    ValueError,
)
"""What it raises where a file is broken."""

__all__ = ["ERRORS", "pymupdf"]
