"""One corpus from one process, from threads, from processes and from a real Dask cluster."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from distributed import LocalCluster

from cosmosage import corpus
from cosmosage.corpus import reading
from cosmosage.corpus.workers import Workers
from cosmosage.documents import read_jsonl, write_jsonl
from tests.test_corpus import edited, papers, prose, record

ROOT = Path(__file__).resolve().parent.parent
SMALL = 12  # documents a shard, so that there are many


@pytest.fixture(name="source")
def _source(tmp_path, monkeypatch) -> Path:
    """Documents of every fate, in some twenty shards."""
    monkeypatch.setattr(reading, "SHARD_DOCUMENTS", SMALL)
    monkeypatch.setattr(corpus, "_A_TASK", 2000)
    shared = prose(70_000, 40) + "."
    records = papers(120)
    records += [
        record(f"arxiv:2501.{n:05}v1", edited(prose(n), 0.07, n)) for n in range(40)
    ]
    records += [
        record(f"arxiv:2502.{n:05}v1", f"{prose(500 + n)}.\n\n{shared}")
        for n in range(60)
    ]
    records += [record("arxiv:2407.00003v2", prose(900)), record("arxiv:1v1", "short")]
    records += [record("arxiv:2503.00001v1", prose(5)), papers(1)[0]]
    path = tmp_path / "documents" / "arxiv.jsonl.gz"
    write_jsonl(path, records)
    return path


def digests(out: Path) -> dict[str, str]:
    """The hash of every file that a corpus is made of."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.iterdir())
        if path.is_file() and path.name != ".lock"
    }


def first_mark(out: Path, process: subprocess.Popen | None = None) -> list[Path]:
    """Wait until a task of the first stage is finished; the marks that there are."""
    while process is None or process.poll() is None:
        if marks := sorted(out.glob(".work-*/tasks/clean*.json")):
            return marks
        time.sleep(0.002)
    raise AssertionError("the build ended before a task was finished")


def test_every_place_gives_the_same_bytes(tmp_path, source):
    wanted = None
    with ThreadPoolExecutor(2) as own:
        for name, workers in {
            "here": "here",
            "threads": "threads",
            "processes": "processes",
            "own": own,
        }.items():
            counts = corpus.build([source], tmp_path / name, workers=workers)
            wanted = wanted or digests(tmp_path / name)
            assert digests(tmp_path / name) == wanted, name
            assert not list((tmp_path / name).glob(".work-*"))
    assert len(wanted) == 6
    assert counts["removed"] == {
        "filter": {"too short": 1},
        "same id": {"id seen before": 1},
        "versions": {"older version": 1},
        "exact duplicates": {"same words": 1},
        "near duplicates": {"almost the same words": 39},  # of 2407.00003v1 v2 is left
    }
    assert counts["passages"] == {"repeated passages": {"said before": 59}}


def test_one_large_shard_is_the_same_corpus(tmp_path, source, monkeypatch):
    corpus.build([source], tmp_path / "many", workers="here")
    monkeypatch.setattr(reading, "SHARD_DOCUMENTS", 10_000)
    corpus.build([source], tmp_path / "one", workers="here")
    for name in ("train", "validation", "test", "removed"):
        one, many = (
            list(read_jsonl(tmp_path / each / f"{name}.jsonl.gz"))
            for each in ("one", "many")
        )
        assert one == many


def test_a_dask_cluster_gives_the_same_bytes_though_a_worker_is_killed(
    tmp_path, source
):
    corpus.build([source], tmp_path / "here", workers="here")
    out = tmp_path / "dask"
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        victim = cluster.workers[0].pid
        killed = threading.Event()

        def murder():
            first_mark(out)
            os.kill(victim, signal.SIGKILL)
            killed.set()

        thread = threading.Thread(target=murder)
        thread.start()
        corpus.build([source], out, workers=cluster.scheduler_address)
        thread.join()
    assert killed.is_set()
    assert digests(out) == digests(tmp_path / "here")


BUILD = """
import sys
from pathlib import Path
from cosmosage import corpus
from cosmosage.corpus import reading
reading.SHARD_DOCUMENTS, corpus._A_TASK = 12, 2000
corpus.build([Path(sys.argv[1])], Path(sys.argv[2]), workers=sys.argv[3])
"""


def started(source: Path, out: Path, workers: str) -> subprocess.Popen:
    """A build in a process of its own, as a script without a guard for its main part."""
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, str(source), str(out), workers],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )


def test_a_killed_worker_costs_nothing_but_its_task(tmp_path, source):
    corpus.build([source], tmp_path / "here", workers="here")
    out = tmp_path / "out"
    with started(source, out, "processes") as process:
        first_mark(out, process)
        workers = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if "popen_loky" in " ".join(child.cmdline())
        ]
        workers[0].kill()
        assert process.wait() == 0
    assert digests(out) == digests(tmp_path / "here")


@pytest.mark.parametrize("workers", ["here", "processes"])
def test_a_killed_build_goes_on_where_it_was(tmp_path, source, workers):
    corpus.build([source], tmp_path / "here", workers="here")
    out = tmp_path / "out"
    with started(source, out, workers) as process:
        first_mark(out, process)
        children = psutil.Process(process.pid).children(recursive=True)
        for each in (process, *children):
            each.kill()
    marks = {path: path.stat().st_mtime_ns for path in out.glob(".work-*/tasks/*.json")}
    assert marks and not (out / "done.json").exists()
    redone: list[Path] = []
    run = Workers.run

    def watched(self, folder, stage, function, tasks):
        before = {path: path.stat().st_mtime_ns for path in folder.glob("*.json")}
        found = run(self, folder, stage, function, tasks)
        redone.extend(
            path
            for path, time_ns in before.items()
            if path.stat().st_mtime_ns != time_ns
        )
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workers, "run", watched)
        corpus.build([source], out, workers="here")
    assert not redone
    assert digests(out) == digests(tmp_path / "here")


def suicidal(mark: Path, times: int) -> str:
    """Kill the own process, so many times; then give something back."""
    tries = len(list(mark.parent.glob(f"{mark.name}.*")))
    if tries < times:
        (mark.parent / f"{mark.name}.{tries}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return mark.name


def test_a_task_that_kills_its_worker_is_named_at_last(tmp_path):
    tasks = [(tmp_path / f"task{n}", 1 if n == 3 else 0) for n in range(6)]
    with Workers("processes") as workers:
        found = workers.run(tmp_path, "once", suicidal, tasks)
        assert found == [f"task{n}" for n in range(6)]
        with pytest.raises(RuntimeError, match="always-00000.*memory.*run again"):
            workers.run(
                tmp_path,
                "always",
                suicidal,
                [(tmp_path / "a", 99), (tmp_path / "b", 99)],
            )


def test_an_executor_of_ones_own_that_breaks_is_not_renewed(tmp_path):
    with ProcessPoolExecutor(1) as own, Workers(own) as workers:
        with pytest.raises(RuntimeError, match="workers died"):
            workers.run(tmp_path, "own", suicidal, [(tmp_path / "a", 1), (tmp_path, 0)])


def refuses(_: int) -> None:
    """A task with a fault of its own."""
    raise ValueError("task's own")


@pytest.mark.parametrize("where", ["here", "threads", "processes"])
def test_a_task_with_a_fault_stops_the_stage_with_its_reason(tmp_path, where):
    with Workers(where) as workers, pytest.raises(ValueError, match="task's own"):
        workers.run(tmp_path, "fault", refuses, [(1,), (2,)])


def test_a_place_that_is_none_is_named():
    with pytest.raises(ValueError, match="workers is 'everywhere'; it has to be one"):
        Workers("everywhere")
