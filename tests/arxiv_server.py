"""A small arXiv on loopback that misbehaves on purpose.

It speaks Atom at ``/api/query`` and serves sources at ``/e-print/<id>``, from a folder
with ``listing.jsonl`` and ``sources/``. A script says what goes wrong: for a key
(``"query"``, ``"2407.04420v1"``, or ``"*"`` for every path) a list of faults, one used up
by each request; after that it behaves.

Faults: ``503`` and ``429`` (``503:2`` asks to come back in 2 s), ``500``, ``403``, ``404``,
``cut`` (half of the body, then the line is dead), ``silent cut`` (half, its length given
as if it were all), ``long`` (more bytes announced than there are), ``type`` (wrong
Content-Type), ``html`` (a page in place of the body, with 200), ``empty`` (a page of
results without results), ``none`` (no results and a total of 0, after the first page),
``drip`` (a byte at a time), ``redirect`` (to another host), ``moved`` (to this one),
``changed`` (other validator, so that a range is not honoured), ``hang up`` (no answer).

    python tests/arxiv_server.py FOLDER --port 8800
"""

import argparse
import contextlib
import email.utils
import hashlib
import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = b"<!DOCTYPE html><html><body>We are sorry, something went wrong.</body></html>"


class ArxivServer:
    """The server, running while the ``with`` block does.

    Args:
        listing: records as in the data contract, or the path of their JSON-lines file.
        sources: the folder with ``<id>v<n>``.
        script: key to faults, see above; not changed.
        port: 0 takes a free one.
    """

    def __init__(self, listing, sources, script=None, port=0):
        if isinstance(listing, (str, Path)):
            lines = Path(listing).read_text("utf-8").splitlines()
            listing = [json.loads(line) for line in lines if line.strip()]
        self.listing = list(listing)
        self.sources = Path(sources)
        self.script = {key: list(faults) for key, faults in (script or {}).items()}
        self.requests = []  # (seconds, path, user agent, range)
        self.served_bytes = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.arxiv = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

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
        """Keep what was asked, and when."""
        with self._lock:
            self.requests.append(
                (time.monotonic(), path, headers["User-Agent"], headers["Range"])
            )

    def fault(self, key):
        """The next fault for a key, used up by this; empty: behave."""
        with self._lock:
            for name in (key, "*"):
                if self.script.get(name):
                    return self.script[name].pop(0)
        return ""

    def matching(self, query, ids):
        """The papers that a query names, newest first."""
        found = self.listing
        if ids:
            wanted = {re.sub(r"v\d+$", "", number) for number in ids.split(",")}
            found = [record for record in found if record["id"] in wanted]
        if query:
            found = [record for record in found if matches(query, record)]
        return sorted(
            found, key=lambda r: (r.get("published", ""), r["id"]), reverse=True
        )


def matches(query, record):
    """Whether a record answers a query: terms with AND, OR, ANDNOT, from left to right."""
    answer, joint = True, "AND"
    for joined, field, quoted, plain in re.findall(
        r'\b(AND|OR|ANDNOT)\b|(?:(\w+):)?(?:"([^"]*)"|([^\s()"]+))', query
    ):
        if joined:
            joint = joined
            continue
        if field == "submittedDate":
            continue
        wanted = (quoted or plain).lower()
        texts = {
            "ti": record.get("title", ""),
            "abs": record.get("abstract", ""),
            "au": " ".join(record.get("authors", ())),
            "cat": " ".join(record.get("categories", ())),
            "id": record["id"],
        }
        text = texts.get(field) if field in texts else " ".join(texts.values())
        found = wanted.strip("*") in text.lower()
        if joint == "OR":
            answer = answer or found
        else:
            answer = answer and found != (joint == "ANDNOT")
        joint = "AND"
    return answer


def feed(records, total, start):
    """A page of results as arXiv writes it."""
    entries = "".join(
        f"<entry><id>http://arxiv.org/abs/{record['id']}v{record['version']}</id>"
        f"<updated>{record.get('updated') or '2024-01-01T00:00:00Z'}</updated>"
        f"<published>{record.get('published') or '2024-01-01T00:00:00Z'}</published>"
        f"<title>{escape(record.get('title', ''))}</title>"
        f"<summary>  {escape(record.get('abstract', ''))}\n</summary>"
        + "".join(
            f"<author><name>{escape(name)}</name></author>"
            for name in record.get("authors", ())
        )
        + f'<link title="pdf" href="http://arxiv.org/pdf/{record["id"]}" rel="related"/>'
        + "".join(f'<category term="{term}"/>' for term in record.get("categories", ()))
        + "</entry>\n"
        for record in records
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<feed xmlns="http://www.w3.org/2005/Atom" '
        'xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" '
        'xmlns:arxiv="http://arxiv.org/schemas/atom">\n'
        f"<opensearch:totalResults>{total}</opensearch:totalResults>"
        f"<opensearch:startIndex>{start}</opensearch:startIndex>"
        f"<opensearch:itemsPerPage>{len(records)}</opensearch:itemsPerPage>\n"
        f"{entries}</feed>\n"
    ).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that has hung up is no news; anything else is an error of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(
        self, format, *args
    ):  # pylint: disable=redefined-builtin  # its name there
        """Say nothing: the test's output is for the test."""

    def do_GET(self):  # pylint: disable=invalid-name  # its name there
        """Answer one request, or fail to."""
        arxiv = self.server.arxiv
        arxiv.note(self.path, self.headers)
        parts = urlsplit(self.path)
        if parts.path == "/api/query":
            self.query({k: v[0] for k, v in parse_qs(parts.query).items()})
        elif parts.path.startswith("/e-print/"):
            self.source(unquote(parts.path.removeprefix("/e-print/")))
        elif parts.path == "/elsewhere":
            self.source(unquote(parts.query), moved=True)
        else:
            self.answer(404, b"no such page", "text/plain")

    def query(self, asked):
        """A page of results."""
        arxiv = self.server.arxiv
        fault = arxiv.fault("query")
        start, most = int(asked.get("start", 0)), int(asked.get("max_results", 10))
        found = arxiv.matching(asked.get("search_query", ""), asked.get("id_list", ""))
        if asked.get("sortOrder") == "ascending":
            found.reverse()
        page, total = found[start : start + most], len(found)
        if fault == "empty":
            page = []
        elif fault == "none":
            page, total = [], 0 if start else total
        self.send(
            fault, feed(page, total, start), "application/atom+xml; charset=utf-8"
        )

    def source(self, number, moved=False):
        """A paper's bytes."""
        arxiv = self.server.arxiv
        path = arxiv.sources / number.replace("/", "_")
        fault = "" if moved else arxiv.fault(number)
        if fault == "moved":
            self.send_response(301)
            self.send_header("Location", f"/elsewhere?{number}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif not path.is_file():
            self.answer(404, b"not found", "text/plain")
        else:
            self.send(fault, path.read_bytes(), "application/gzip")

    def send(self, fault, body, content_type):
        """The body, with what goes wrong with it."""
        status, _, seconds = fault.partition(":")
        if status.isdigit():
            later = {"Retry-After": seconds} if seconds else {}
            if seconds == "date":  # the other form that the standard allows
                later = {
                    "Retry-After": email.utils.formatdate(time.time() + 1, usegmt=True)
                }
            self.answer(int(status), b"later", "text/plain", later)
        elif fault == "hang up":
            self.close_connection = True
        elif fault == "html":
            self.answer(200, PAGE, "text/html")
        elif fault == "redirect":
            self.answer(
                302, b"", "text/plain", {"Location": "http://localhost:9/paper"}
            )
        elif fault == "silent cut":
            self.answer(200, body[: len(body) // 2], content_type)
        elif fault == "type":
            self.answer(200, body, "text/html; charset=utf-8")
        else:
            self.part(fault, body, content_type)

    def part(self, fault, body, content_type):
        """The body or the range of it that was asked for, perhaps not to its end."""
        tag = f'"{hashlib.md5(body).hexdigest()}{"x" if fault == "changed" else ""}"'
        headers = {"ETag": tag, "Accept-Ranges": "bytes"}
        status, first = 200, 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if asked and self.headers["If-Range"] == tag:
            first = int(asked[1])
            if first >= len(body):
                self.answer(416, b"", content_type)
                return
            status = 206
            headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
        rest = body[first:]
        if fault in ("cut", "long"):
            announced = len(rest) + (1000 if fault == "long" else 0)
            self.head(status, announced, content_type, headers)
            self.write(rest if fault == "long" else rest[: max(1, len(rest) // 2)])
            self.close_connection = True
        elif fault == "drip":
            self.head(status, len(rest), content_type, headers)
            for byte in rest:
                self.write(bytes([byte]))
                time.sleep(0.02)
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
        """Bytes to whoever is still there."""
        try:
            self.wfile.write(content)
            self.server.arxiv.served_bytes += len(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def answer(self, status, body, content_type, headers=None):
        """A whole answer."""
        self.head(status, len(body), content_type, headers or {})
        self.write(body)


def main():
    """Serve a folder until interrupted."""
    parser = argparse.ArgumentParser(description="A small arXiv on loopback.")
    parser.add_argument("folder", type=Path, help="with listing.jsonl and sources/")
    parser.add_argument("--port", type=int, default=8800)
    asked = parser.parse_args()
    folder = asked.folder
    server = ArxivServer(folder / "listing.jsonl", folder / "sources", port=asked.port)
    print(f"export COSMOSAGE_ARXIV={server.url}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
