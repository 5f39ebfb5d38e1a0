"""What a source is by its bytes, and that one which is not whole is found."""

import gzip
import io
import random
import tarfile

import pytest

from cosmosage import packages

TEX = b"\\documentclass{article}\\begin{document}A text.\\end{document}\n"
LONG = random.Random(7).randbytes(200_000)
ZIPPED = gzip.compress(LONG, mtime=0)


def tar(mode):
    """A tar with one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        info = tarfile.TarInfo("ms.tex")
        info.size = len(TEX)
        archive.addfile(info, io.BytesIO(TEX))
    return packed.getvalue()


@pytest.mark.parametrize(
    "content, kind",
    [
        (tar("w:gz"), "tar.gz"),
        (tar("w"), "tar"),
        (gzip.compress(TEX), "gz"),
        (ZIPPED, "gz"),
        (TEX, "tex"),
        ("% Müller\n\\section{}".encode("latin-1"), "tex"),
        (b"%PDF-1.5\n" + LONG + b"\n%%EOF\n", "pdf"),
        (b"%!PS-Adobe-2.0\n" + LONG + b"\n%%EOF\n", "ps"),
        (b"%!\n", "ps"),
    ],
)
def test_kinds(tmp_path, content, kind):
    (tmp_path / "source").write_bytes(content)
    assert packages.kind(tmp_path / "source") == kind


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "an empty file"),
        (gzip.compress(b""), "an empty file"),
        (b"\xef\xbb\xbf \n<!DOCTYPE html><p>Sorry", "a web page"),
        (gzip.compress(b"<HTML>"), "a web page"),
        (ZIPPED[:-1], "a damaged gzip file"),
        (ZIPPED[: len(ZIPPED) // 2], "a damaged gzip file"),
        (ZIPPED[:-8] + bytes(8), "a damaged gzip file"),
        (ZIPPED[:100_000] + b"\xff" + ZIPPED[100_001:], "a damaged gzip file"),
        (b"%PDF-1.5\n%%EOF\n" + LONG, "a PDF file without its end"),
        (b"%!PS-Adobe-2.0\n" + LONG, "a PostScript file without its end"),
        (b"PK\x03\x04\x00\x00", "neither TeX"),
    ],
)
def test_what_is_no_source_or_not_whole(tmp_path, content, words):
    (tmp_path / "source").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        packages.kind(tmp_path / "source")


def test_a_bomb_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "_MOST_UNPACKED", 10 * 2**20)
    (tmp_path / "source").write_bytes(gzip.compress(bytes(100 * 2**20), 1))
    with pytest.raises(ValueError, match="unpacks to more than 10485760 bytes"):
        packages.kind(tmp_path / "source")


def test_a_package_has_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "_MOST_FILES", 2)
    for name in "abc":
        (tmp_path / f"{name}.tex").write_bytes(TEX)
    with pytest.raises(ValueError, match="has 3 files"):
        packages.served(tmp_path)
    monkeypatch.setattr(packages, "_MOST_BYTES", 10)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        packages.served(tmp_path / "a.tex")
