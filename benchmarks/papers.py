"""What collecting papers costs, and whether anything is ever lost.

    python benchmarks/papers.py [--records 50000] [--sources 2000] [--scripts 20] [--kills 20]
                                [--snapshots 1000 100000 1000000]

A small arXiv on loopback answers from a process of its own, with no delay between requests.
Speeds are of the client alone: its CPU-seconds, with the wall-clock beside them, in which
the server shares the machine. Memory is the highest resident size of a process that does
nothing else. A script is a random series of faults (busy, cut, false, empty, expired); a
kill is SIGKILL after a random request, and another run follows. Whole means: every paper of the
server is listed once, with version and licence, and lies on disk byte for byte, nothing
else does, and no two requests were answered at once.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

# pylint: disable=wrong-import-position  # the path to them is set above
import arxiv_server as small_arxiv

import arxiv

PAPERS = 60  # of each run with faults or kills


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[None]:
    """A small arXiv of a folder in a process of its own, in arXiv's place."""
    command = [
        sys.executable,
        ROOT / "tests" / "arxiv_server.py",
        folder,
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        os.environ["COSMOSAGE_ARXIV"] = server.stdout.readline().strip().split("=")[1]
        try:
            yield
        finally:
            server.kill()


def child(call: str, *arguments: Any) -> dict[str, float]:
    """Run one call of arxiv.py in a process; gives its seconds, CPU-seconds and memory."""
    command = [sys.executable, __file__, "--child", call, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(call: str, arguments: list[Any]) -> None:
    """The child's side: one call, then what it took."""
    began, before = time.perf_counter(), time.process_time()
    counts = getattr(arxiv, call)(*arguments)
    used = {"cpu_s": time.process_time() - before, "s": time.perf_counter() - began}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print("\n" + json.dumps({**used, "mib": peak, **counts}))


def speed(folder: Path, records: int, sources: int) -> None:
    """Records a second by OAI-PMH, sources a second by download."""
    made = small_arxiv.records(records)
    (folder / "many" / "sources").mkdir(parents=True)
    with (folder / "many" / "listing.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in made)
    small_arxiv.generate(folder / "few", sources)
    print(f"{'':34}{'a CPU-second':>14}{'a second':>12}{'MiB':>8}")
    with serving(folder / "many"):
        child("harvest", "cs", str(folder / "warm"), 0)  # the server renders its pages
        took = child("harvest", "", str(folder / "out"), 0)
        assert took["listed"] == records
        show(f"{records:,} records by OAI-PMH", records, took)
    with serving(folder / "few"):
        child("harvest", "", str(folder / "sources"), 0)
        lines = (folder / "few" / "listing.jsonl").read_text("utf-8")
        (folder / "sources" / "listing.jsonl").write_text(lines, "utf-8")
        took = child("download", str(folder / "sources"), 0)
        assert took["fetched"] == sources
        show(f"{sources:,} small sources", sources, took)


def show(what: str, count: int, took: dict[str, float]) -> None:
    """A row of the table."""
    print(
        f"{what:34}{count / took['cpu_s']:14,.0f}{count / took['s']:12,.0f}"
        f"{took['mib']:8.0f}",
        flush=True,
    )


def snapshots(folder: Path, sizes: list[int]) -> None:
    """Memory and speed of snapshots of several sizes: the first must not grow."""
    told = {
        "submitter": "A. Lovelace",
        "title": "On the large-scale structure of made-up papers",
        "categories": "astro-ph.CO",
        "license": "http://creativecommons.org/licenses/by/4.0/",
        "abstract": "  We count papers, one after the other. " * 25,
        "versions": [{"version": "v1", "created": "Mon, 1 Jul 2024 10:00:00 GMT"}],
        "authors_parsed": [["Lovelace", "Ada", ""], ["Nováková", "Žofia", ""]],
    }
    for size in sizes:
        file = folder / "snapshot.json"
        with file.open("w", encoding="utf-8") as out:
            for number in range(size):
                month, place = divmod(number, 90_000)
                told["id"] = f"{7 + month // 12:02d}{1 + month % 12:02d}.{place:05d}"
                out.write(json.dumps(told) + "\n")
        took = child("snapshot", str(file), str(folder / f"snapshot-{size}"))
        assert took["listed"] == size
        show(f"{size:,} lines of a snapshot", size, took)


def survived(folder: Path, scripts: int, kills: int) -> None:
    """How many runs with faults, and with kills, ended whole."""
    small_arxiv.generate(folder / "papers", PAPERS)
    whole = asked = 0
    for seed in range(scripts):
        script = small_arxiv.random_script(seed, folder / "papers" / "listing.jsonl")
        with running(folder / "papers", script) as server:
            out = folder / f"script-{seed}"
            for call in (["harvest", "--set", ""], ["download"], ["download"]):
                started(*call, "--out", out).wait()
            asked += len(server.requests)
            whole += is_whole(folder / "papers", out) and server.most_open == 1
    print(f"{scripts} random scripts, {asked:,} requests: {whole} runs whole")
    whole = killed = 0
    for seed in range(kills):
        chance = random.Random(seed)
        with running(folder / "papers", {}) as server:
            out = folder / f"kill-{seed}"
            for call, most in ((["harvest", "--set", ""], 9), (["download"], PAPERS)):
                process = started(*call, "--out", out)
                last = len(server.requests) + chance.randrange(1, most)
                while len(server.requests) < last and process.poll() is None:
                    time.sleep(0.0005)
                time.sleep(0.01 * chance.random())
                process.kill()
                killed += process.wait() != 0
                started(*call, "--out", out).wait()
            whole += is_whole(folder / "papers", out)
    print(f"{kills} runs with {killed} kills in the middle: {whole} runs whole")


def interrupted(folder: Path, times: int) -> None:
    """How soon a download ends when it is interrupted, in the pause between two requests."""
    seconds = []
    with running(folder / "papers", {}) as server:
        for _ in range(times):
            out = folder / f"interrupt-{len(seconds)}"
            out.mkdir()
            lines = (folder / "papers" / "listing.jsonl").read_text("utf-8")
            (out / "listing.jsonl").write_text(lines, "utf-8")
            before = len(server.requests)
            process = started("download", "--out", out, "--delay", "3")
            while len(server.requests) == before:
                time.sleep(0.01)
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            began = time.perf_counter()
            assert process.wait() == 130
            seconds.append(time.perf_counter() - began)
    most = max(seconds)
    print(f"{times} interrupts: ended after {most:.2f} s at most")


@contextlib.contextmanager
def running(folder: Path, script: dict) -> Iterator[small_arxiv.ArxivServer]:
    """A small arXiv in this process, so that its requests can be counted."""
    listing, sources = folder / "listing.jsonl", folder / "sources"
    with small_arxiv.ArxivServer(listing, sources, script, oai_page=7) as server:
        os.environ["COSMOSAGE_ARXIV"] = server.url
        yield server


def started(*arguments: Any) -> subprocess.Popen:
    """``python arxiv.py`` with arguments, started."""
    words = [sys.executable, ROOT / "arxiv.py", arguments[0], "--delay", "0"]
    words += arguments[1:]  # in which another delay may stand
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(list(map(str, words)), **silent)


def is_whole(papers: Path, out: Path) -> bool:
    """Whether every paper is listed once and its newest version is on disk."""
    lines = (papers / "listing.jsonl").read_text("utf-8").splitlines()
    wanted = {record["id"]: record for record in map(json.loads, lines)}
    found = arxiv.listing(out)
    facts = [(paper["id"], paper["version"], paper["licence"]) for paper in found]
    told = [(n, p["version"], p["licence"]) for n, p in sorted(wanted.items())]
    names = {f"{n.replace('/', '_')}v{p['version']}" for n, p in wanted.items()}
    kept = {path.name: path.read_bytes() for path in (out / "sources").iterdir()}
    served = {name: (papers / "sources" / name).read_bytes() for name in names}
    return facts == told and kept == served


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--sources", type=int, default=2_000)
    parser.add_argument("--scripts", type=int, default=20)
    parser.add_argument("--kills", type=int, default=20)
    sizes = [1_000, 100_000, 1_000_000]
    parser.add_argument("--snapshots", type=int, nargs="*", default=sizes)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        measured(asked.child[0], json.loads(asked.child[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speed(folder, asked.records, asked.sources)
        snapshots(folder, asked.snapshots)
        survived(folder, asked.scripts, asked.kills)
        interrupted(folder, 5)


if __name__ == "__main__":
    main()
