"""A small arXiv on loopback that misbehaves on purpose.

It gives search at ``/api/query``, OAI-PMH at ``/oai`` (both in arxiv_metadata.py) and sources at
``/e-print/<id>``, from a folder with ``listing.jsonl`` and ``sources/``. A script says what
goes wrong: for a key (``"query"``, ``"oai"``, ``"2407.04420v1"``, or ``"*"`` for every path)
a list of faults, one used up by each request; an empty one behaves, and so does the server
after the last.

Faults of all: ``503`` and ``429`` (``503:2`` asks to come back in 2 s, ``503:date`` at a
date), ``500``, ``403``, ``404``, ``cut`` (half of the body, then the line is dead), ``silent
cut`` (half, its length given as if it were all), ``long`` (more bytes announced than there
are), ``type`` (wrong Content-Type), ``html`` (a page in place of the body, with 200),
``drip`` (a byte at a time), ``redirect`` (to another host), ``moved`` (to this one),
``changed`` (other validator, so that a range is not honoured), ``hang up`` (no answer).

Of the search: ``empty`` (a page of results without results), ``none`` (no results and a
total of 0, after the first page). Of OAI-PMH's lists: ``empty`` (no records, and the right
token), ``lost end`` (half of a page, and the end of the list although more were announced),
``expired`` (every token given out so far is dead), ``again`` (a token that leads to the page
just served).

    python tests/arxiv_server.py FOLDER --port 8800 --script faults.json
"""

import argparse
import contextlib
import email.utils
import gzip
import hashlib
import io
import json
import os
import random
import re
import sys
import tarfile
import threading
import time
from collections import Counter
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from arxiv_metadata import Oai, Search, Wrong, error_feed, feed

PAGE = b"<!DOCTYPE html><html><body>We are sorry, something went wrong.</body></html>"


def read_listing(listing):
    """Records, or those of a JSON-lines file."""
    if isinstance(listing, (str, Path)):
        lines = Path(listing).read_text("utf-8").split("\n")
        listing = [json.loads(line) for line in lines if line.strip()]
    return list(listing)


class ArxivServer:
    """The server, running while the ``with`` block does.

    Args:
        listing: records as in the data contract, or the path of their JSON-lines file; of
            further fields ``datestamp``, ``deleted``, ``comments``, ``journal-ref``, ``doi``
            and ``affiliations`` (one an author) are understood.
        sources: the folder with ``<id>v<n>``.
        script: key to faults, see above; not changed.
        port: 0 takes a free one.
        minutes: dates of submission are compared to the minute, so that ``TO 202401010600``
            takes in 06:00:30; by default they are compared as text of 14 digits, and it does not.
        oai_page: records a page of an OAI-PMH list.
    """

    def __init__(
        self, listing, sources, script=None, port=0, *, minutes=False, oai_page=1000
    ):
        self.minutes = minutes
        self.page = oai_page
        self.most = 30_000  # papers that a query gives: from there on it fails
        self.now = ""  # the time that OAI-PMH tells; empty: the true one
        self.listing = read_listing(listing)
        self.sources = Path(sources)
        self.script = {key: list(faults) for key, faults in (script or {}).items()}
        self.requests = []  # (seconds, path, user agent, range)
        self.open = 0  # requests that are being answered
        self.most_open = 0  # at once, so far
        self.served_bytes = 0
        self._lock = threading.RLock()
        self._versions = (None, {})  # of the sources' folder: its time, newest of each
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.arxiv = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def listing(self):
        """The records; to change them, assign others."""
        return self._listing

    @listing.setter
    def listing(self, papers):
        self._listing = list(papers)
        self.deleted = {r["id"] for r in self._listing if r.get("deleted")}
        self._search = self._oai = None

    @property
    def search(self):
        """The listing as the search sees it."""
        with self._lock:
            self._search = self._search or Search(self._listing, self.minutes)
            return self._search

    @property
    def oai(self):
        """The listing as OAI-PMH gives it."""
        with self._lock:
            self._oai = self._oai or Oai(self._listing)
            return self._oai

    def prepare(self):
        """Sort and render everything now, before a client's speed is measured."""
        self.search.prepare()
        self.oai.prepare()

    def start(self):
        """Serve from a thread until stopped; gives itself back."""
        target = self._server.serve_forever
        threading.Thread(target=target, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()

    def serve_forever(self):
        """Serve until interrupted: the command's way."""
        self._server.serve_forever()

    def note(self, path, headers):
        """Keep what was asked, and when; the request is open from now on."""
        with self._lock:
            self.open += 1
            self.most_open = max(self.open, self.most_open)
            self.requests.append(
                (time.monotonic(), path, headers["User-Agent"], headers["Range"])
            )

    def close(self):
        """A request has been answered."""
        with self._lock:
            self.open -= 1

    def sent(self, size):
        """Count bytes of bodies."""
        with self._lock:
            self.served_bytes += size

    def fault(self, *keys):
        """The next fault for these keys, used up by this; empty: behave."""
        with self._lock:
            for name in (*keys, "*"):
                if self.script.get(name):
                    return self.script[name].pop(0)
        return ""

    def matching(self, query, ids):
        """The papers that a query names, newest first."""
        return [self.search.version(*found) for found in self.search.found(query, ids)]

    def newest(self, number):
        """A paper's number with its newest version in the sources, if it names none."""
        stem = number.replace("/", "_")
        changed = self.sources.stat().st_mtime_ns if self.sources.is_dir() else 0
        with self._lock:
            if self._versions[0] != changed:
                newest = Counter()
                for name in os.listdir(self.sources) if changed else ():
                    paper, _, version = name.rpartition("v")
                    if version.isdecimal():
                        newest[paper] = max(newest[paper], int(version))
                self._versions = changed, newest
            found = self._versions[1][stem]
        return f"{number}v{found}" if found else number


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that has hung up is no news; anything else is an error of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    answering = False

    def log_message(
        self, format, *args
    ):  # pylint: disable=redefined-builtin  # its name there
        """Say nothing: the test's output is for the test."""

    def do_GET(self):  # pylint: disable=invalid-name  # its name there
        """Answer one request, or fail to."""
        self.server.arxiv.note(self.path, self.headers)
        self.answering = True
        try:
            self.route(urlsplit(self.path))
        finally:
            self.answered()

    def answered(self):
        """The request is over for the client, who may send the next one from now on."""
        if self.answering:
            self.answering = False
            self.server.arxiv.close()

    def route(self, parts):
        """Find who answers; what has moved to /elsewhere is answered without a fault."""
        path = parts.path.removeprefix("/elsewhere")
        moved = path != parts.path
        if path == "/api/query":
            asked = {k: v[0] for k, v in parse_qs(parts.query).items()}
            self.query(asked, moved)
        elif path == "/oai":
            arxiv = self.server.arxiv
            fault = "" if moved else arxiv.fault("oai")
            body = arxiv.oai.answer(
                parts.query, fault, arxiv.page, f"{arxiv.url}/oai", arxiv.now
            )
            self.send(fault, body, "text/xml; charset=utf-8")
        elif found := re.match("/(e-print|src)/", path):
            self.source(unquote(path[found.end() :]), moved)
        else:
            self.answer(404, b"no such page", "text/plain")

    def query(self, asked, moved):
        """A page of results."""
        fault = "" if moved else self.server.arxiv.fault("query")
        try:
            status, body = 200, self.results(asked, fault)
        except Wrong as error:
            status, body = error.status, error_feed(error)
        self.send(fault, body, "application/atom+xml; charset=utf-8", status)

    def results(self, asked, fault):
        """A feed, or Wrong."""
        arxiv = self.server.arxiv
        start, most = _number(asked, "start", 0), _number(asked, "max_results", 10)
        if most > 2000:
            raise Wrong("max_results_too_large", "max_results must be 2000 at most")
        if start >= arxiv.most:
            raise Wrong("start_too_large", f"start must be below {arxiv.most}", 500)
        found = arxiv.search.found(
            asked.get("search_query", ""),
            asked.get("id_list", ""),
            asked.get("sortBy", ""),
            asked.get("sortOrder") == "ascending",
        )
        page, total = found[start : start + most], len(found)
        if fault == "empty":
            page = []
        elif fault == "none":
            page, total = [], 0 if start else total
        return feed([arxiv.search.entry(*paper) for paper in page], total, start)

    def source(self, number, moved):
        """A paper's bytes."""
        arxiv = self.server.arxiv
        exact = arxiv.newest(number)
        path = arxiv.sources / exact.replace("/", "_")
        fault = "" if moved else arxiv.fault(number, exact)
        if re.sub(r"v\d+$", "", exact) in arxiv.deleted or not path.is_file():
            self.answer(404, b"not found", "text/plain")
            return
        body = path.read_bytes()
        name = f"arXiv-{exact.replace('/', '')}.tar.gz"
        changed = email.utils.formatdate(path.stat().st_mtime, usegmt=True)
        tag = f'"{hashlib.md5(body).hexdigest()}{"x" if fault == "changed" else ""}"'
        headers = {
            "ETag": tag,
            "Last-Modified": changed,
            "Accept-Ranges": "bytes",
            "Content-Disposition": f'attachment; filename="{name}"',
        }
        self.send(fault, body, "application/gzip", headers=headers)

    def send(self, fault, body, content_type, status=200, headers=None):
        """The body, with what goes wrong with it."""
        code, _, seconds = fault.partition(":")
        if code.isdigit():
            later = {"Retry-After": seconds} if seconds else {}
            if seconds == "date":  # the other form that the standard allows
                later = {
                    "Retry-After": email.utils.formatdate(time.time() + 1, usegmt=True)
                }
            self.answer(int(code), b"later", "text/plain", later)
        elif fault == "hang up":
            self.close_connection = True
        elif fault == "html":
            self.answer(200, PAGE, "text/html")
        elif fault in ("redirect", "moved"):
            elsewhere = f"/elsewhere{self.path}"
            if fault == "redirect":
                elsewhere = "http://localhost:9/paper"
            moved = 302 if fault == "redirect" else 301
            self.answer(moved, b"", "text/plain", {"Location": elsewhere})
        elif fault == "silent cut":
            self.answer(status, body[: len(body) // 2], content_type)
        elif fault == "type":
            self.answer(status, body, "text/html; charset=utf-8", headers)
        else:
            self.part(fault, body, content_type, status, headers or {})

    def part(self, fault, body, content_type, status, headers):
        """The body or the range of it that was asked for, perhaps not to its end."""
        first = 0
        validators = [headers[n] for n in ("ETag", "Last-Modified") if n in headers]
        if validators and validators[0] in (self.headers["If-None-Match"] or ""):
            self.answer(304, b"", content_type, headers)
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if asked and self.headers["If-Range"] in validators:
            first = int(asked[1])
            if first >= len(body):
                self.answer(416, b"", content_type)
                return
            status = 206
            span = f"bytes {first}-{len(body) - 1}/{len(body)}"
            headers = {**headers, "Content-Range": span}
        rest = body[first:]
        if fault in ("cut", "long"):
            announced = len(rest) + (1000 if fault == "long" else 0)
            self.head(status, announced, content_type, headers)
            self.write(rest if fault == "long" else rest[: max(1, len(rest) // 2)])
            self.close_connection = True
        elif fault == "drip":
            self.head(status, len(rest), content_type, headers)
            for byte in rest[:-1]:
                if not self.write(bytes([byte])):
                    return
                time.sleep(0.02)
            self.answered()
            self.write(rest[-1:])
        else:
            self.answer(status, rest, content_type, headers)

    def head(self, status, length, content_type, headers):
        """Status and headers."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def write(self, content):
        """Bytes to whoever is still there; whether anybody was."""
        try:
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
            return False
        self.server.arxiv.sent(len(content))
        return True

    def answer(self, status, body, content_type, headers=None):
        """A whole answer; the client has it with its last byte, and no earlier."""
        if not body:
            self.answered()
        self.head(status, len(body), content_type, headers or {})
        if body and self.write(memoryview(body)[:-1]):
            self.answered()
            self.write(body[-1:])


def _number(asked, name, default):
    """A number that was asked for."""
    text = asked.get(name, str(default))
    if not re.fullmatch(r"-?\d{1,9}", text):
        raise Wrong(f"{name}_must_be_an_integer", f"{name} must be an integer")
    if int(text) < 0:
        raise Wrong(f"{name}_must_be_non-negative", f"{name} must be non-negative")
    return int(text)


_NONEXCLUSIVE = "http://arxiv.org/licenses/nonexclusive-distrib/1.0/"
_ASSUMED = "http://arxiv.org/licenses/assumed-1991-2003/"
LICENCES = (  # in rough proportion
    *[_NONEXCLUSIVE] * 6,
    *["http://creativecommons.org/licenses/by/4.0/"] * 3,
    "http://creativecommons.org/licenses/by-sa/4.0/",
    "http://creativecommons.org/licenses/by-nc-sa/4.0/",
    "http://creativecommons.org/licenses/by-nc-nd/4.0/",
    "http://creativecommons.org/publicdomain/zero/1.0/",
)
KINDS = "tar tex tar pdf withdrawn tar ps tex tar tar".split()
"""What the n-th paper's source is, in turn; ``tex`` is one gzipped file."""
_CATEGORIES = "astro-ph.CO astro-ph.CO astro-ph.GA gr-qc hep-ph cs.LG".split()
_CROSS = [*_CATEGORIES[1:], "hep-th", "stat.ME", "math.NA", "physics.data-an"]
_NAMES = (
    "Ada Lovelace|Žofia Nováková|José María Núñez|Søren Ångström|Łukasz Wiśniewski|"
    "Martin King Jr.|Δημήτρης Παπαδόπουλος|李 明|Plato|Jean-Noël d'Été|O. & P. Smith"
).split("|")
_WORDS = (
    "dark matter energy baryon galaxy halo lensing supernova spectrum prior posterior "
    "redshift tension cluster void neutrino inflation bias noise survey mass model likelihood"
).split()


def records(count, seed=0):
    """Records of so many made-up papers, equal for equal arguments, sorted by id."""
    chance = random.Random(seed)
    taken = Counter()
    return sorted(
        (_record(number, chance, taken) for number in range(count)),
        key=lambda record: record["id"],
    )


def _record(number, chance, taken):
    """One made-up paper; ``taken`` counts the numbers given out in a month."""
    begin = datetime(1995, 1, 1) if number % 4 == 3 else datetime(2007, 4, 1)
    days = 4400 if number % 4 == 3 else 6100  # to early 2007, to the end of 2023
    published = begin + timedelta(
        days=chance.randrange(days), seconds=chance.randrange(86400)
    )
    category = chance.choice(_CATEGORIES)
    month = f"{published:%y%m}"
    if published < datetime(2007, 4, 1):
        archive = category.partition(".")[0]
        taken[archive, month] += 1
        identifier = f"{archive}/{month}{taken[archive, month]:03d}"
    else:
        taken[month] += 1
        width = 4 if published.year < 2015 else 5
        identifier = f"{month}.{taken[month]:0{width}d}"
    version = chance.choice((1, 1, 1, 2, 2, 3, 4))
    updated = published
    for _ in range(version - 1):
        updated += timedelta(
            days=1 + chance.randrange(200), seconds=chance.randrange(999)
        )
    stamp = f"{updated + timedelta(days=1):%Y-%m-%d}"
    words = " ".join(chance.choices(_WORDS, k=40))
    cross = chance.sample(_CROSS, k=chance.randrange(3))
    record = {
        "id": identifier,
        "version": version,
        "title": f"{chance.choice(_WORDS).title()} & {chance.choice(_WORDS)} at $z < {number}$",
        "authors": chance.sample(_NAMES, k=1 + chance.randrange(4)),
        "abstract": f"We find that {words[:150]}.",
        "categories": list(dict.fromkeys([category, *cross])),
        "published": f"{published:%Y-%m-%dT%H:%M:%SZ}",
        "updated": f"{updated:%Y-%m-%dT%H:%M:%SZ}",
        "licence": chance.choice(LICENCES) if published.year > 2003 else _ASSUMED,
        "datestamp": "2025-11-05" if chance.random() < 0.2 else stamp,  # a bulk edit
    }
    if number % 3 == 0:
        record[
            "abstract"
        ] += f"\n  Then, for $a<b$ & “ü”, it is shown that\n{words[150:]}."
    if number % 5 == 0:
        record["comments"] = f"{number} pages, <1 figure"
        record["journal-ref"] = f"Phys. Rev. D {number}"
        record["doi"] = f"10.1103/PhysRevD.{number}"
    return record


def source(record, version, kind):
    """A version's bytes as arXiv serves them; of a withdrawn paper the last has no text."""
    if kind == "withdrawn" and version == record["version"]:
        return gzip.compress(b"%auto-ignore\nThis paper has been withdrawn.\n", mtime=0)
    title = re.sub(r"([&%#_])", r"\\\1", record["title"])
    told = f"{record['id']}, version {version}. {record['abstract']}".replace(
        "&", "\\&"
    )
    if kind == "pdf":
        return _pdf(
            f"Paper {record['id']}, version {version}, tells of the sky at length."
        )
    if kind == "ps":
        return f"%!PS-Adobe-2.0\n72 720 moveto ({record['id']}v{version}) show\n%%EOF\n".encode()
    body = f"\\section{{Results}}\n{told}\n"
    begin = f"\\documentclass{{article}}\n\\begin{{document}}\n\\title{{{title}}}\\maketitle\n"
    end = "\\end{document}\n"
    if kind != "tar":
        return gzip.compress((begin + body + end).encode(), mtime=0)
    files = {
        "results.tex": body,
        "ms.tex": f"{begin}\\section{{Introduction}}\nWe begin.\n\\input{{results}}\n{end}",
        "ms.bbl": "\\begin{thebibliography}{1}\\bibitem{a} A.\\end{thebibliography}\n",
        "figures/one.eps": "%!PS-Adobe-3.0 EPSF-3.0\n",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(packed.getvalue(), mtime=0)


def _pdf(text):
    """A valid PDF with one line of text."""
    drawn = f"BT /F 12 Tf 72 720 Td ({text}) Tj ET"
    objects = (
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
        "/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>",
        f"<</Length {len(drawn)}>>\nstream\n{drawn}\nendstream",
    )
    body, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(f"{len(body):010d} 00000 n \n")
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = f"xref\n0 5\n0000000000 65535 f \n{''.join(places)}"
    end = f"trailer\n<</Size 5/Root 1 0 R>>\nstartxref\n{len(body)}\n%%EOF\n"
    return (body + table + end).encode("ascii")


def generate(folder, count, seed=0):
    """Write a folder to serve: a listing and every version's source; gives the records.

    Equal arguments give equal bytes. A paper's kind is that of its place: ``KINDS``.
    """
    made = records(count, seed)
    folder = Path(folder)
    (folder / "sources").mkdir(parents=True)
    with (folder / "listing.jsonl").open("w", encoding="utf-8") as file:
        for place, record in enumerate(made):
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            for version in range(1, record["version"] + 1):
                name = f"{record['id'].replace('/', '_')}v{version}"
                content = source(record, version, KINDS[place % len(KINDS)])
                (folder / "sources" / name).write_bytes(content)
    return made


_TRANSPORT = "503 503:0 429 429:0 500 cut long type moved".split() + ["hang up"]
_CONTENT = (
    {  # what a client finds only by reading: one in a row, since some give up at three
        "query": ["html", "silent cut", "empty", "none"],
        "oai": ["html", "silent cut", "empty", "lost end", "again"],
        "": ["html", "silent cut"],
    }
)


def random_script(seed, listing):
    """A script of faults that a patient client survives; equal for equal arguments.

    Never more than three in a row, then a request that is answered well; nothing that is
    final (403, 404, redirect); tokens expire once at most.
    """
    chance = random.Random(seed)
    labels = [f"{r['id']}v{r.get('version', 1)}" for r in read_listing(listing)]
    script = {
        key: _faults(chance, _CONTENT.get(key, _CONTENT[""]))
        for key in ["query", "oai", "*", *chance.sample(labels, min(8, len(labels)))]
    }
    if chance.random() < 0.5:
        script["oai"] += ["expired", ""]
    if chance.random() < 0.2:
        script["*"] += ["503:1", ""]
    return script


def _faults(chance, content):
    """Some runs of faults, each between requests that are answered well."""
    faults = []
    for _ in range(1 + chance.randrange(3)):
        row = [
            chance.choice(content),
            *chance.choices(_TRANSPORT, k=chance.randrange(3)),
        ]
        chance.shuffle(row)
        faults += [""] * chance.randrange(3) + row + [""]
    return faults


def main():
    """Serve a folder until interrupted."""
    parser = argparse.ArgumentParser(description="A small arXiv on loopback.")
    parser.add_argument("folder", type=Path, help="with listing.jsonl and sources/")
    parser.add_argument("--port", type=int, default=8800)
    parser.add_argument("--script", type=Path, help="faults, as JSON: key to list")
    asked = parser.parse_args()
    folder = asked.folder
    script = json.loads(asked.script.read_text("utf-8")) if asked.script else {}
    server = ArxivServer(
        folder / "listing.jsonl", folder / "sources", script, asked.port
    )
    print(f"export COSMOSAGE_ARXIV={server.url}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
