"""Build the served form of the sample from its readable sources.

The papers are kept twice: as folders of TeX that people read and correct, and as the bytes
that arXiv would serve, so that the sample runs through the same code as the real thing and
needs no TeX installation. The price is that the two can part; this script makes the second
from the first, byte for byte the same each time, and a test holds them together.

It imports nothing from the project, so that it runs from any folder:

    python sample/build.py
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).resolve().parent

PDF_ONLY = {"2600.00033v1": "note.tex"}
"""Papers that are served as a PDF alone, and the file that TeX starts from."""

LEFT_BY_TEX = {".aux", ".log", ".out", ".pdf", ".blg", ".toc"}
"""Endings of the files that a TeX run leaves beside the source."""

OUR_LICENCE = "http://creativecommons.org/licenses/by/4.0/"
"""Of the general texts; each paper's is in its listing."""

CLOCK = "1767225600"
"""2026-01-01 in seconds: the time that the PDF carries, so that its bytes stay the same."""


def build(sample: Path = SAMPLE, target: Path = SAMPLE) -> dict[str, int]:
    """Write the listing, the sources, the questions and the general texts.

    Args:
        sample: the folder that holds ``papers/``, ``questions/part_*.jsonl`` and
            ``general/*.txt``.
        target: where ``arxiv/``, ``questions/questions.jsonl`` and ``general.jsonl`` go. A PDF
            that already lies there is kept while its TeX is unchanged.

    Returns:
        How many papers, questions and general texts there are.

    Raises:
        FileNotFoundError: a listed paper has no folder, or a PDF must be made and there is
            no ``pdflatex``.
        ValueError: a folder is not listed, TeX refused a paper, or a general text has no
            title of its own.
    """
    records = listing(sample)
    sources = target / "arxiv" / "sources"
    for record in records:
        name = source_name(record)
        folder = sample / "papers" / name
        if name in PDF_ONLY:
            payload = as_pdf(folder, PDF_ONLY[name], sources / name)
        else:
            payload = as_served(folder)
        write(sources / name, payload)
    questions = parts(sample / "questions", "part_*.jsonl")
    write(target / "arxiv" / "listing.jsonl", as_lines(records))
    write(target / "questions" / "questions.jsonl", as_lines(questions))
    texts = [general(path) for path in sorted((sample / "general").glob("*.txt"))]
    write(target / "general.jsonl", as_lines(texts))
    return {
        "papers": len(records),
        "questions": len(questions),
        "general": len(texts),
    }


def listing(sample: Path) -> list[dict[str, Any]]:
    """The records of all papers by id and version; each has its folder and each folder one.

    Raises:
        FileNotFoundError: a record has no folder.
        ValueError: a folder has no record.
    """
    records = parts(sample / "papers", "listing_*.jsonl")
    records.sort(key=lambda record: (record["id"], record["version"]))
    listed = [source_name(record) for record in records]
    folders = {path.name for path in (sample / "papers").iterdir() if path.is_dir()}
    if missing := sorted(set(listed) - folders):
        raise FileNotFoundError(
            f"{missing[0]} is listed, but has no folder in papers/; write it or drop its line"
        )
    if extra := sorted(folders - set(listed)):
        raise ValueError(
            f"papers/{extra[0]} is in no listing; add its line to listing_*.jsonl"
        )
    return records


def source_name(record: dict[str, Any]) -> str:
    """The file name of a record's source: ``astro-ph/0600024``, 1 to ``astro-ph_0600024v1``."""
    return f"{record['id'].replace('/', '_')}v{record['version']}"


def as_served(folder: Path) -> bytes:
    """A folder as arXiv serves it: a tar.gz, or one gzipped TeX file without a tar."""
    files = tex_files(folder)
    if len(files) == 1:
        return zipped(files[0].read_bytes())
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in files:
            content = path.read_bytes()
            # a fresh TarInfo has owner 0, time 0 and mode 644
            member = tarfile.TarInfo(path.relative_to(folder).as_posix())
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return zipped(stream.getvalue())


def tex_files(folder: Path) -> list[Path]:
    """The files of a paper's source in order of their names, without what TeX left."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in LEFT_BY_TEX
    )


def zipped(content: bytes) -> bytes:
    """The content gzipped without name and time."""
    stream = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, stream, mtime=0) as file:
        file.write(content)
    return stream.getvalue()


def as_pdf(folder: Path, main: str, kept: Path) -> bytes:
    """A paper as PDF. The PDF names the hash of its TeX, and one that fits is kept.

    So the bytes do not depend on which TeX is installed, or whether there is one at all.

    Args:
        folder: the paper's TeX.
        main: the file that TeX starts from.
        kept: where an earlier PDF may lie.

    Raises:
        FileNotFoundError: the TeX has changed and there is no ``pdflatex``.
        ValueError: TeX refused the paper.
    """
    digest = hashlib.sha256(
        b"".join(path.read_bytes() for path in tex_files(folder))
    ).hexdigest()
    if kept.is_file() and digest.encode() in kept.read_bytes():
        return kept.read_bytes()
    if shutil.which("pdflatex") is None:
        raise FileNotFoundError(
            f"{folder.name} has changed and pdflatex is not there to make its PDF; install TeX Live"
        )
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch) / "paper"
        shutil.copytree(folder, work)
        command = [
            "pdflatex",
            "-interaction=nonstopmode",
            "-halt-on-error",
            "-no-shell-escape",
            f"-jobname={Path(main).stem}",
            rf"\pdfinfo{{/SourceHash ({digest})}}\pdftrailerid{{}}\input{{{main}}}",
        ]
        clock = {**os.environ, "SOURCE_DATE_EPOCH": CLOCK, "FORCE_SOURCE_DATE": "1"}
        for _ in range(
            3
        ):  # the second run settles the references, the third the page breaks
            done = subprocess.run(
                command, cwd=work, env=clock, capture_output=True, check=False
            )
            if done.returncode:
                raise ValueError(
                    f"TeX refused {folder.name}/{main}; its last words: {done.stdout[-500:]!r}"
                )
        return (work / main).with_suffix(".pdf").read_bytes()


def parts(folder: Path, pattern: str) -> list[dict[str, Any]]:
    """The records of several JSON-lines files, in order of the files' names."""
    return [
        json.loads(line)
        for path in sorted(folder.glob(pattern))
        for line in path.read_text("utf-8").splitlines()
        if line.strip()
    ]


def general(path: Path) -> dict[str, str]:
    """A general text as a document: its title, an empty line, and paragraphs set apart by such.

    Lines are wrapped in the file for those who read it, and whole in the document.

    Raises:
        ValueError: there is a title or a text, but not both.
    """
    title, *paragraphs = [
        " ".join(block.split())
        for block in path.read_text("utf-8").split("\n\n")
        if block.strip()
    ] or [""]
    if not paragraphs:
        raise ValueError(
            f"general/{path.name} is one block; put a title and an empty line before its text"
        )
    return {
        "id": f"general:{path.stem}",
        "text": "\n\n".join(paragraphs),
        "source": "general",
        "title": title,
        "licence": OUR_LICENCE,
    }


def as_lines(records: list[dict[str, Any]]) -> bytes:
    """The records as JSON lines in UTF-8."""
    return "".join(
        json.dumps(record, ensure_ascii=False) + "\n" for record in records
    ).encode()


def write(path: Path, content: bytes) -> None:
    """Put the content under the path, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)


if __name__ == "__main__":
    try:
        print(json.dumps(build()))
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
