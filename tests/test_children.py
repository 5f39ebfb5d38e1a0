"""Children that die, hang, start others and outlive their parent, and what is left of them."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import filelock
import pytest

from cosmosage.children import Child, Died, Silent

ROOT = Path(__file__).resolve().parent.parent
HOLD = "import sys, time, filelock; filelock.FileLock(sys.argv[1]).acquire(); "
UNRULY = f"""
import os, subprocess, sys, time
import filelock
from cosmosage.children import serve

def work(request, tell):
    kind, _, value = request.partition(" ")
    if kind == "die":
        sys.exit("first words\\nlast words")
    if kind == "kill":
        os.kill(os.getpid(), int(value))
    if kind == "fill":
        bytearray(2**31)
    if kind == "hold":
        filelock.FileLock(value).acquire()
        tell(os.getpid())
        time.sleep(600)
    if kind == "start":
        command = [sys.executable, "-c", {HOLD!r} + "print(1, flush=True); time.sleep(600)"]
        subprocess.Popen([*command, value], stdout=subprocess.PIPE).stdout.readline()
        tell("started")
        time.sleep(600)
    print("what a library prints")
    tell(os.getpid())
    return request.upper()

serve(work, 2**31)
"""


@pytest.fixture(name="unruly", autouse=True)
def _unruly(tmp_path, monkeypatch):
    """A module that does what it is asked."""
    (tmp_path / "unruly.py").write_text(UNRULY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # as on a bare machine


@pytest.fixture(name="child")
def _child():
    child = Child("unruly", own_session=True)
    yield child
    child.close()


def test_one_process_answers_one_request_after_the_other(child):
    told = []
    assert child.ask("a", 60, told.append) == "A"
    assert child.ask("é\ud800", 60, told.append) == "É\ud800"
    assert len(told) == 2 and len(set(told)) == 1


@pytest.mark.parametrize(
    "request_, code, words",
    [("die", 1, "last words"), ("kill 9", -9, ""), ("fill", 1, "MemoryError")],
)
def test_a_death_costs_one_request_and_has_a_reason(child, request_, code, words):
    told = []
    child.ask("a", 60, told.append)
    with pytest.raises(Died) as death:
        child.ask(request_, 60)
    assert (death.value.code, death.value.words) == (code, words)
    assert str(death.value).startswith(f"died (exit {code}")
    assert child.ask("b", 60, told.append) == "B"
    assert told[0] != told[1]


def test_who_died_between_two_requests_is_replaced(child):
    told = []
    child.ask("a", 60, told.append)
    os.kill(told[0], signal.SIGKILL)
    os.waitid(os.P_PID, told[0], os.WEXITED | os.WNOWAIT)
    assert child.ask("b", 60) == "B"


def test_who_cannot_start_dies(monkeypatch):
    with pytest.raises(Died, match="exit 1.*No module named absent"):
        Child("absent").ask("a", 60)
    monkeypatch.setattr("sys.executable", "/bin/sleep")
    with pytest.raises(Died):
        Child("unruly").ask("a", 60)


def test_silence_ends_it(child, tmp_path):
    assert child.ask("a", 60) == "A"
    with pytest.raises(Silent, match=r"was silent for 0\.5 s"):
        child.ask(f"hold {tmp_path / 'lock'}", 0.5)
    filelock.FileLock(tmp_path / "lock").acquire(timeout=20)
    assert child.ask("b", 60) == "B"


def test_a_child_that_is_never_ready_is_silent():
    with pytest.raises(Silent, match=r"was silent for 0\.001 s"):
        Child("unruly", start_s=0.001).ask("a", 60)


def test_closed_from_another_thread_it_interrupts(child, tmp_path):
    with pytest.raises(InterruptedError):
        child.ask(
            f"hold {tmp_path / 'lock'}",
            60,
            lambda _: threading.Thread(target=child.close).start(),
        )
    with pytest.raises(InterruptedError):
        child.ask("a", 60)


def interrupt(_):
    """What Ctrl-C does to the one who waits."""
    raise KeyboardInterrupt


def test_an_interrupted_request_leaves_no_answer_to_the_next(child):
    with pytest.raises(KeyboardInterrupt):
        child.ask("a", 60, interrupt)
    assert child.ask("b", 60) == "B"


def test_what_it_started_ends_with_it(child, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        child.ask(f"start {tmp_path / 'lock'}", 60, interrupt)
    filelock.FileLock(tmp_path / "lock").acquire(timeout=20)


def test_a_child_ends_with_its_parent(tmp_path):
    """Killed in the midst of a request, so that nobody could say goodbye."""
    code = (
        "import os; from cosmosage.children import Child; Child('unruly', own_session=True)"
        f".ask('hold {tmp_path / 'lock'}', 60, lambda _: os.kill(os.getpid(), 9))"
    )
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    filelock.FileLock(tmp_path / "lock").acquire(timeout=20)
