"""Claims: eight readers at once get three times the tokens a second of one, and the eighth does not
wait; ``transformers serve`` is slower; 32 users lose nothing, cross nothing, fill nothing.

``python -m benchmarks.server MODEL [--minutes 5] [--index DIR]`` on an idle machine, after
``make .venv/tests.done``. Servers are processes of their own on loopback, asked by OpenAI's client.

First both servers are asked in turns, by one reader and by eight at once, for answers of 64 tokens
in bf16 to questions of a line: the median of ``ROUNDS`` rounds. Of ours each reader has an account,
so that nothing of one's prompt is reused for another; a question was not asked before. Other work
on the machine moves both, so compare ratios and not seconds. ``transformers serve`` is asked as it
comes, and with its own continuous batching where that runs on this device.

Then 32 users, each with an account and a key of their own, ask ours for ``--minutes``. Every
question carries a number drawn for it, to be repeated. Of ten requests six are read to the end,
two are left in the midst, two are read slowly. Counted is what was lost (an answer that neither
came to its end nor was refused by a 429 with Retry-After), crossed (the number of another
question in an answer), refused, how many of the numbers came back, and resident memory in the
first and last fifth.
"""

import argparse
import concurrent.futures
import os
import random
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import openai
import psutil

from cosmosage.accounts import Accounts

ROUNDS, TOKENS, USERS = 2, 64, 32
ALONE = "Explain in a few sentences why the night sky is dark."
QUESTIONS = [
    "Explain in a few sentences what the cosmic microwave background is.",
    "Explain in a few sentences why galaxies rotate as they do.",
    "Explain in a few sentences how supernovae measure distances.",
    "Explain in a few sentences what dark energy does to the expansion.",
    "Explain in a few sentences how stars make heavy elements.",
    "Explain in a few sentences what gravitational lensing shows.",
    "Explain in a few sentences why the early universe was opaque.",
    "Explain in a few sentences how black holes grow.",
]
READERS = len(QUESTIONS)


class Read(NamedTuple):
    """One streamed answer."""

    first_s: float
    """From the question to its first word."""
    whole_s: float
    tokens: int
    text: str
    ended: bool


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command: list[str], port: int) -> Iterator[subprocess.Popen]:
    """A server's process, once it answers."""
    settings = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(
            command, stdout=said, stderr=said, env=settings
        ) as process:
            try:
                for _ in range(600):
                    with socket.socket() as probe:
                        if probe.connect_ex(("127.0.0.1", port)) == 0:
                            break
                    if process.poll() is not None:
                        said.seek(0)
                        raise RuntimeError(said.read()[-2000:])
                    time.sleep(0.2)
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()


def client(port: int, key: str = "none") -> openai.OpenAI:
    """OpenAI's own, which asks once."""
    address = f"http://127.0.0.1:{port}/v1"
    return openai.OpenAI(base_url=address, api_key=key, max_retries=0, timeout=600)


def ask(asked: openai.OpenAI, model: str, question: str, pause_s: float = 0.0, **more):
    """Stream an answer to its end, or leave it after ``leave`` pieces."""
    leave = more.pop("leave", None)
    begun, first, pieces, ended = time.monotonic(), 0.0, [], False
    with asked.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        temperature=0,
        stream=True,
        **more,
    ) as stream:
        for event in stream:
            if event.choices and (piece := event.choices[0].delta.content):
                first = first or time.monotonic() - begun
                pieces.append(piece)
                time.sleep(pause_s)
            ended = ended or bool(event.choices and event.choices[0].finish_reason)
            if leave is not None and len(pieces) >= leave:
                break
    whole = time.monotonic() - begun
    return Read(first, whole, len(pieces), "".join(pieces), ended)


def at_once(
    clients: list[openai.OpenAI], model: str, questions: list[str]
) -> dict[str, float]:
    """Answers of ``TOKENS`` to questions that are asked at the same time, a client each."""
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(len(questions)) as pool:
        reads = list(
            pool.map(
                lambda asked, q: ask(asked, model, q, max_tokens=TOKENS),
                clients,
                questions,
            )
        )
    took = time.monotonic() - begun
    return {
        "tokens/s": sum(read.tokens for read in reads) / took,
        "first word, s": statistics.median(read.first_s for read in reads),
        "last first word, s": max(read.first_s for read in reads),
        "first whole answer, s": min(read.whole_s for read in reads),
    }


def ours(
    model: Path, port: int, users: int, index: Path | None = None
) -> tuple[list[str], list[str]]:
    """The command of our server, and the keys of so many users."""
    path = Path(tempfile.mkdtemp()) / "accounts.sqlite"
    with closing(Accounts(path)) as accounts:
        for number in range(users):
            accounts.invite(f"user{number}", "member")
        keys = [accounts.new_key(f"user{number}") for number in range(users)]
    command = [sys.executable, "-m", "cosmosage.server", "--model", str(model)]
    command += ["--port", str(port), "--accounts", str(path)]
    return command + (["--index", str(index)] if index else []), keys


def speed(model: Path) -> None:
    """Ours against transformers serve, in turns."""
    own, plain, batching = free_port(), free_port(), free_port()
    nobody = ["none"] * (READERS + 1)
    peer = [str(Path(sys.executable).with_name("transformers")), "serve"]
    peer += ["--dtype", "bfloat16", "--host", "127.0.0.1"]
    commands = {
        "ours": (*ours(model, own, READERS + 1), own, model.name),
        "transformers serve": (
            peer + ["--port", str(plain)],
            nobody,
            plain,
            str(model),
        ),
        "transformers serve, its batching": (
            peer + ["--port", str(batching), "--continuous-batching"],
            nobody,
            batching,
            str(model),
        ),
    }
    figures: dict[tuple[str, int], list[dict[str, float]]] = {}
    silent = set()
    for round_ in range(ROUNDS + 1):  # the first warms up
        for name, (command, keys, port, known_as) in commands.items():
            if name in silent:
                continue
            with running(command, port):
                clients = [client(port, key) for key in keys]
                try:
                    ask(clients[-1], known_as, "What is a comet?", max_tokens=8)
                    for questions in ([ALONE], QUESTIONS):
                        readers = len(questions)
                        found = at_once(clients, known_as, questions)
                        if round_:
                            figures.setdefault((name, readers), []).append(found)
                except (openai.OpenAIError, RuntimeError) as error:
                    silent.add(name)
                    print(f"{name}: {' '.join(str(error).split())[:200]}")
    print(f"{'':<34}{'readers':>8}" + "".join(f"{k:>24}" for k in found))
    for (name, readers), rounds in figures.items():
        medians = (statistics.median(each[k] for each in rounds) for k in rounds[0])
        print(f"{name:<34}{readers:>8}" + "".join(f"{m:>24.2f}" for m in medians))
    for name in commands:
        if (name, READERS) in figures:
            pairs = zip(figures[name, 1], figures[name, READERS])
            gains = [many["tokens/s"] / one["tokens/s"] for one, many in pairs]
            print(f"{name}: {READERS} at once {statistics.median(gains):.2f} x one")


class Crowd:
    """Users who ask at the same time, and what became of their questions."""

    def __init__(self, model: str, port: int, keys: list[str]):
        self.model, self.port, self.keys = model, port, keys
        self.counts: Counter[str] = Counter()
        self.words: set[str] = set()
        self.said: list[tuple[str, str]] = []
        """The number of a question, and the answer."""

    def ask(self, until: float) -> list[threading.Thread]:
        """Begin; each asks one question after another until then."""
        threads = [
            threading.Thread(target=self._user, args=(number, until))
            for number in range(len(self.keys))
        ]
        for thread in threads:
            thread.start()
        return threads

    def _user(self, number: int, until: float) -> None:
        dice, asked = random.Random(number), client(self.port, self.keys[number])
        while time.monotonic() < until:
            word = str(10**7 + secrets.randbelow(9 * 10**7))
            self.words.add(word)
            how = dice.choices(["whole", "left", "slow"], [6, 2, 2])[0]
            more = {"max_tokens": 24, "extra_body": {"sources": False}}
            if how == "left":
                more |= {"leave": 2, "max_tokens": 200}
            try:
                question = f'Say "{word}".'
                read = ask(asked, self.model, question, 0.3 * (how == "slow"), **more)
            except openai.RateLimitError as error:
                wait = error.response.headers.get("retry-after")
                self.counts["429 with Retry-After" if wait else "lost: 429 alone"] += 1
                time.sleep(float(wait or 1))
            except openai.OpenAIError as error:
                self.counts[f"lost: {type(error).__name__}"] += 1
            else:
                self.counts[how] += 1
                if how != "left":
                    self.counts["lost: no end"] += not read.ended
                    self.said.append((word, read.text))

    @property
    def lost(self) -> int:
        """Questions that were neither answered nor refused as they should be."""
        return sum(n for name, n in self.counts.items() if name.startswith("lost"))

    @property
    def crossed(self) -> int:
        """Numbers of other questions in answers."""
        return sum(
            other != word
            for word, text in self.said
            for other in re.findall("[0-9]{8}", text)
            if other in self.words
        )


def load(model: Path, minutes: float, index: Path | None) -> bool:
    """32 users; whether all held."""
    port = free_port()
    command, keys = ours(model, port, USERS, index)
    crowd, memory = Crowd(model.name, port, keys), []
    with running(command, port) as process:
        threads = crowd.ask(time.monotonic() + 60 * minutes)
        watched = psutil.Process(process.pid)
        while any(thread.is_alive() for thread in threads):
            memory.append(watched.memory_info().rss / 2**20)
            time.sleep(1)
    fifth = max(1, len(memory) // 5)
    early, late = map(statistics.median, (memory[:fifth], memory[-fifth:]))
    back = sum(word in text for word, text in crowd.said)
    print(f"{USERS} users, {minutes:g} minutes: {dict(crowd.counts)}")
    print(f"lost {crowd.lost}, crossed {crowd.crossed}")
    print(f"{len(crowd.said)} answers read to their end, {back} repeat their number")
    print(f"resident memory: {early:.0f} MiB at first, {late:.0f} MiB at last")
    return not crowd.lost and not crowd.crossed and late < 1.1 * early


def main() -> int:
    """Both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server")
    parser.add_argument("model", type=Path)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--only", choices=["speed", "load"])
    options = parser.parse_args()
    if options.only != "load":
        speed(options.model.resolve())
    if options.only != "speed":
        held = load(options.model.resolve(), options.minutes, options.index)
        return 0 if held else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
