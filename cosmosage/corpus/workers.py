"""Who does the work: this process, threads, processes or a cluster; each gives the same bytes.

A stage is one function over numbered tasks that each write their own files. What a task gives
back is kept beside them, so that a stage which was cut off does only what is missing, and a
worker that was killed costs the task that it had in hand. The price: whatever passes between
stages goes over the disk, which the machines of a cluster have to share.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ThreadPoolExecutor,
    as_completed,
)
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from cosmosage.documents import read_json, write_json

PLACES = ("here", "threads", "processes")
_TRIES = 3  # times that a pool may break without any task having been finished


class Workers:
    """A place to work at, for as long as its block lasts.

    Args:
        where: ``here`` (this process), ``threads``, ``processes`` (one a core), the address of
            a Dask scheduler (``tcp://host:8786``), or an executor of one's own.

    Raises:
        ValueError: ``where`` is none of these.
    """

    def __init__(self, where: str | Executor = "here"):
        known = isinstance(where, Executor) or where in PLACES or "://" in where
        if not known:
            raise ValueError(
                f"workers is {where!r}; it has to be one of {', '.join(PLACES)}, the address "
                "of a Dask scheduler such as tcp://host:8786, or an executor"
            )
        self.where = where
        self._pool: Executor | None = None
        self._closing: list[Callable[[], Any]] = []

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: Any) -> None:
        while self._closing:
            self._closing.pop()()
        self._pool = None

    def run(
        self,
        folder: Path,
        stage: str,
        function: Callable[..., Any],
        tasks: Sequence[tuple],
    ) -> list[Any]:
        """The results of a function over tasks, in their order, with progress and time left.

        Args:
            folder: where finished tasks leave their results.
            stage: its name; tasks go by it and their number.
            function: of a module, so that another process finds it; what it gives has to be
                JSON, and what it writes has to be whole or not there.
            tasks: arguments of each.

        Raises:
            RuntimeError: workers died again and again; the message names what they had.
        """
        marks = [folder / f"{stage}-{number:05}.json" for number in range(len(tasks))]
        results = {
            number: read_json(mark)
            for number, mark in enumerate(marks)
            if mark.is_file()
        }
        with tqdm(
            total=len(tasks),
            initial=len(results),
            desc=stage,
            unit=" tasks",
            disable=len(tasks) < 2,
        ) as bar:
            missing = [number for number in range(len(tasks)) if number not in results]
            for number, result in self._done(function, marks, tasks, missing):
                results[number] = result
                bar.update()
        return [results[number] for number in range(len(tasks))]

    def _done(
        self,
        function: Callable[..., Any],
        marks: Sequence[Path],
        tasks: Sequence[tuple],
        missing: list[int],
    ) -> Iterator[tuple[int, Any]]:
        """Tasks as they end; the pool is renewed when it breaks."""
        if self.where == "here" or len(missing) < 2:  # one task is not worth a pool
            for number in missing:
                yield number, _do(function, marks[number], tasks[number])
            return
        left, tries = set(missing), 0
        while left:
            before = len(left)
            try:
                pool = self._hired()
                futures: dict[Future, int] = {
                    pool.submit(_do, function, marks[number], tasks[number]): number
                    for number in sorted(left)
                }
                for future in as_completed(futures):
                    result = future.result()
                    left.discard(futures[future])
                    yield futures[future], result
            except BrokenExecutor as error:
                tries = tries + 1 if len(left) == before else 0
                if tries == _TRIES or isinstance(self.where, Executor):
                    raise RuntimeError(
                        f"workers died ({error}) while they had {marks[min(left)].stem} and "
                        f"{len(left) - 1} more tasks; was there not enough memory? What is "
                        "finished is kept: run again, with fewer workers or here"
                    ) from error
                self.__exit__()

    def _hired(self) -> Executor:
        if self._pool is None:
            self._pool = self._hire()
        return self._pool

    def _hire(self) -> Executor:
        if isinstance(self.where, Executor):
            return self.where  # whoever brought it ends it
        cores = len(os.sched_getaffinity(0))
        if self.where == "threads":
            pool = ThreadPoolExecutor(cores)
            self._closing.append(lambda: pool.shutdown(cancel_futures=True))
            return pool
        # pylint: disable=import-outside-toplevel  # half a second, for those who ask for it
        if self.where == "processes":
            from loky import ProcessPoolExecutor

            # unlike the standard library's, it needs no guard in the script that calls
            # idle ones go after half a minute, also when this process was killed
            processes = ProcessPoolExecutor(cores, timeout=30)
            self._closing.append(lambda: processes.shutdown(kill_workers=True))
            return processes
        from distributed import Client

        client = Client(self.where)
        self._closing.append(client.close)
        return client.get_executor(pure=False, retries=_TRIES)


def _do(function: Callable[..., Any], mark: Path, arguments: tuple) -> Any:
    result = function(*arguments)
    write_json(mark, result)
    return result
