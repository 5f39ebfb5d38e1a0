"""What all parts of the server share: who answers, who may ask, and what was asked."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import quote

from cosmosage.accounts import Accounts, User
from cosmosage.accounts.conversations import Conversations
from cosmosage.accounts.limits import Gate, Ticket
from cosmosage.assistant import Assistant, Begun
from cosmosage.engines import Sampling

BEGINNING = 8
"""Questions that are looked up and put together side by side: each takes some hundredths of a
second, and the model's threads need the processor more."""
WATCH_S = 1.0
"""Seconds between looks at who was shut out by a command: one query while anything is written."""


class Asking:
    """A question that was let in, and its answer that was begun; to be ended, whatever happens."""

    def __init__(self, ticket: Ticket, begun: Begun, threads: ThreadPoolExecutor):
        """Put together by ``Service.ask``."""
        self.ticket, self.begun, self._threads = ticket, begun, threads
        self._ended = False
        ticket.stop = begun.close

    async def end(self) -> None:
        """Stop the model, count what it read and wrote, and give the place free; again does
        nothing."""
        if self._ended:
            return
        self._ended = True
        self.begun.close()
        try:
            if writing := self.begun.writing:
                # it waits for the disk
                spent = self._threads.submit(
                    self.ticket.spend, writing.read + writing.written
                )
                await asyncio.wrap_future(spent)
        finally:
            self.ticket.leave()

    def drop(self) -> None:
        """End it where nobody waits for it any more, from any thread."""
        self.begun.close()
        self.ticket.leave()


@dataclass(frozen=True)
class Service:
    """The parts."""

    assistant: Assistant
    conversations: Conversations
    gate: Gate
    accounts: Accounts | None
    """None on a server for its own machine only."""
    alone: Callable[[], User]
    """Gives its one user, or refuses him: accounts may have been made since it was started."""
    threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(BEGINNING, "asking")
    )

    async def watch(self) -> None:
        """Every ``WATCH_S``, stop what is written for users who were shut out; never ends."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await loop.run_in_executor(self.threads, self.gate.expel)
            # pylint: disable-next=broad-exception-caught  # else nobody would be shut out any more
            except Exception as error:
                print(f"who was shut out was not looked up: {error}", file=sys.stderr)

    def owner(self, user: User) -> str:
        """What the engine knows a user by."""
        return str(user.id)

    async def ask(
        self,
        user: User,
        question: str,
        history: Sequence[dict],
        sampling: Sampling | None = None,
        sources: bool = True,
    ) -> Asking:
        """Let a question in and have its answer begun; arguments as of ``Assistant.begin``.

        Where who waits for it is cancelled meanwhile, the answer is ended when it is begun, or the
        model would write it for nobody.

        Raises:
            Refused: the user has asked enough for now, or the line is full.
            ValueError: the question is empty or too long.
            LookupError: the account was removed or disabled.
            EngineError: there is no model any more.
        """

        def begin() -> Asking:
            ticket = self.gate.enter(user)
            try:
                begun = self.assistant.begin(
                    question, history, sampling, self.owner(user), sources
                )
            except BaseException:
                ticket.leave()
                raise
            return Asking(ticket, begun, self.threads)

        beginning = self.threads.submit(begin)
        try:
            return await asyncio.shield(asyncio.wrap_future(beginning))
        except asyncio.CancelledError:
            beginning.add_done_callback(
                lambda done: done.exception() or done.result().drop()
            )
            raise


def source_page(document: str, number: int) -> str:
    """Where a source opens at its passage, on this server."""
    return f"/sources/{quote(document, safe='')}#passage-{number}"
