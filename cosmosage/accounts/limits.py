"""How much each may ask, and how many wait.

A model answers so many at once and no more; whoever comes beyond that and a short line is told so
now, with a time, which is kinder than a page that never answers and safer than a line without end.
Nobody is asked to prove need: limits are per user and generous to one person at a page, so that
one script doesn't take the others' turn. Tokens are counted when an answer has ended, so a day's
limit may be passed by the answers that were under way.
"""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from math import ceil
from threading import Lock
from typing import Any, Self

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from cosmosage.accounts.database import SECONDS_A_DAY
from cosmosage.accounts.users import Accounts, User

AGAIN_S = 5.0  # when an own answer may have ended: they take seconds to tens of seconds
LINE_S = 15.0  # when a full line may have moved
LOGGED_S = (
    60.0  # a user's refusals of a kind are logged once in it, or a loop fills the disk
)


@dataclass(frozen=True)
class Limits:
    """Of one user."""

    requests_per_minute: int
    """Questions that are let in, in any 60 s."""
    tokens_per_day: int
    """Read and written, from midnight to midnight UTC."""
    at_once: int
    """Answers that are written or waited for."""


DEFAULTS = {
    # A person at a page: an answer takes longer than six seconds to read. A question with its
    # passages is about 2,000 tokens, so these are 150 questions a day. A second answer at once is
    # for a second tab.
    "reader": Limits(10, 300_000, 2),
    # A script as well: 1,000 questions a day, four at once, half of what a batch of eight holds.
    "member": Limits(30, 2_000_000, 4),
    # Tries things out, load among them, but is not above a mistake in a loop.
    "admin": Limits(60, 5_000_000, 8),
}
"""By role."""


class Refused(Exception):
    """Nobody answers this now; the sentence is for whoever asked.

    ``reason`` is ``requests``, ``tokens``, ``at once`` or ``line``; after ``retry_after_s`` seconds
    it may be asked again.
    """

    def __init__(self, reason: str, retry_after_s: float, sentence: str):
        super().__init__(sentence)
        self.reason, self.retry_after_s = reason, retry_after_s


class Ticket:
    """A place at the model or in the line before it; to be left, whatever happened."""

    def __init__(self, gate: "Gate", user: User):
        self.user = user
        self.turn: Future[None] = Future()
        """Done when the model is free for this ticket: threads wait with ``turn.result(seconds)``,
        async code with ``await asyncio.wrap_future(ticket.turn)``."""
        self.stop: Callable[[], None] = lambda: None
        """Ends what is written for it, from any thread."""
        self._gate = gate

    def spend(self, tokens: int) -> None:
        """Count tokens, read and written, against the user's day.

        Raises:
            ValueError: it is less than none.
        """
        self._gate.spend(self.user, tokens)

    def leave(self) -> None:
        """Give the place to the next; again does nothing."""
        self._gate.leave(self)

    def ahead(self) -> int:
        """How many have to leave before it is this ticket's turn; 0 when it is."""
        return self._gate.ahead(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()


class Gate:
    """Lets users in, one answer a ticket; for threads and async code, since it never waits."""

    def __init__(self, accounts: Accounts, at_once: int, waiting: int):
        """
        Args:
            at_once: answers that the model writes at once.
            waiting: places in the line before it.

        Raises:
            ValueError: there is no place at all, or less than none in the line.
        """
        if at_once < 1 or waiting < 0:
            raise ValueError(
                f"at_once is {at_once} and waiting {waiting}; wanted are 1 or more and 0 or more"
            )
        self._accounts, self._at_once, self._waiting = accounts, at_once, waiting
        self._lock = Lock()
        self._tickets: list[Ticket] = []  # in the order in which they came
        self._rates = MovingWindowRateLimiter(MemoryStorage())
        self._logged: dict[tuple[int, str], float] = {}

    def enter(self, user: User, answers: int = 1) -> Ticket:
        """A place at the model or, if it is busy, in the line; a refusal costs nothing.

        Args:
            answers: that are drawn for it; each counts as a question of this minute.

        Raises:
            Refused: the user has asked enough for now, or the line is full.
            LookupError: the user's account was removed or disabled.
        """
        allowed, spent = self._standing(user)
        try:
            with self._lock:
                self._check(user, allowed, spent, answers)
                ticket = Ticket(self, user)
                self._tickets.append(ticket)
                begins = len(self._tickets) <= self._at_once
        except Refused as refused:
            self._log(user, refused)
            raise
        if begins:
            _begin(ticket)
        return ticket

    def _check(self, user: User, allowed: Limits, spent: int, answers: int) -> None:
        """Raise what is against one more; the rate comes last, since asking it counts."""
        mine = sum(ticket.user.id == user.id for ticket in self._tickets)
        if mine >= allowed.at_once:
            written = "answer is" if mine == 1 else "answers are"
            raise Refused(
                "at once",
                AGAIN_S,
                f"{mine} {written} being written for you, as many as may be at once; ask again "
                "when one has ended.",
            )
        if spent >= allowed.tokens_per_day:
            left = SECONDS_A_DAY - self._accounts.now() % SECONDS_A_DAY
            raise Refused(
                "tokens",
                left,
                f"Your questions and answers took {spent:,} tokens today and "
                f"{allowed.tokens_per_day:,} are yours; ask again in {_duration(left)}.",
            )
        if len(self._tickets) >= self._at_once + self._waiting:
            raise Refused(
                "line",
                LINE_S,
                f"{len(self._tickets)} questions are being answered or wait, as many as there is "
                f"room for; ask again in {_duration(LINE_S)}.",
            )
        rate = RateLimitItemPerMinute(allowed.requests_per_minute)
        cost = min(answers, allowed.requests_per_minute)
        if not self._rates.hit(rate, str(user.id), cost=cost):
            free = self._rates.get_window_stats(rate, str(user.id)).reset_time
            left = max(free - self._accounts.now(), 1.0)
            count = allowed.requests_per_minute
            questions = "question" if count == 1 else "questions"
            raise Refused(
                "requests",
                left,
                f"You have asked {count} {questions} in this minute; ask again in "
                f"{_duration(left)}.",
            )

    def _standing(self, user: User) -> tuple[Limits, int]:
        """A user's limits, and the tokens that were spent today."""
        with self._accounts.database.read() as connection:
            row = connection.execute(
                "SELECT role, requests_per_minute, tokens_per_day, at_once, "
                "(SELECT tokens FROM spending WHERE user = id AND day = ?) AS spent "
                "FROM users WHERE id = ? AND NOT disabled",
                (self._day(), user.id),
            ).fetchone()
        if row is None:
            raise LookupError(f"{user.name} has no account any more; sign in again")
        usual = DEFAULTS[row["role"]]
        own = [
            row[name] or getattr(usual, name)
            for name in ("requests_per_minute", "tokens_per_day", "at_once")
        ]
        return Limits(*own), row["spent"] or 0

    def _day(self) -> int:
        return int(self._accounts.now() // SECONDS_A_DAY)

    def _log(self, user: User, refused: Refused) -> None:
        now, key = self._accounts.now(), (user.id, refused.reason)
        with self._lock:
            if now - self._logged.get(key, -LOGGED_S) < LOGGED_S:
                return
            self._logged[key] = now
        self._accounts.audit("limit hit", user.name, "", refused.reason)

    def spend(self, user: User, tokens: int) -> None:
        """Count tokens against a user's day, as ``Ticket.spend``; a removed user has none."""
        if tokens < 0:
            raise ValueError(f"{tokens} tokens can't be spent; wanted is 0 or more")
        with self._accounts.database.write() as connection:
            connection.execute(
                "INSERT INTO spending (user, day, tokens) "
                "SELECT id, ?, ? FROM users WHERE id = ? "
                "ON CONFLICT DO UPDATE SET tokens = tokens + excluded.tokens",
                (self._day(), tokens, user.id),
            )

    def leave(self, ticket: Ticket) -> None:
        """End a ticket, as ``Ticket.leave``."""
        with self._lock:
            if ticket not in self._tickets:
                return
            place = self._tickets.index(ticket)
            del self._tickets[place]
            moved = place < self._at_once <= len(self._tickets)
            next_one = self._tickets[self._at_once - 1] if moved else None
        ticket.turn.cancel()  # who waits for it in another thread does so in vain
        if next_one:
            _begin(next_one)

    def ahead(self, ticket: Ticket) -> int:
        """How many have to leave before a ticket's turn, as ``Ticket.ahead``."""
        with self._lock:
            if ticket not in self._tickets:
                return 0
            return max(self._tickets.index(ticket) - self._at_once + 1, 0)

    def expel(self) -> None:
        """Stop what is written for users who were disabled or removed meanwhile."""
        with self._lock:
            tickets = list(self._tickets)
        if not tickets:
            return
        with self._accounts.database.read() as connection:
            rows = connection.execute("SELECT id FROM users WHERE NOT disabled")
            allowed = {row["id"] for row in rows}
        for ticket in tickets:
            if ticket.user.id not in allowed:
                ticket.stop()

    def state(self) -> dict[str, Any]:
        """For admins: how busy the gate is.

        Returns:
            ``answering`` and ``waiting`` with their bounds ``at_once`` and ``places``, and by name
            in ``users`` the ``answering`` and ``waiting`` of each.
        """
        with self._lock:
            tickets = list(self._tickets)
        users: dict[str, dict[str, int]] = {}
        for place, ticket in enumerate(tickets):
            mine = users.setdefault(ticket.user.name, {"answering": 0, "waiting": 0})
            mine["answering" if place < self._at_once else "waiting"] += 1
        return {
            "answering": min(len(tickets), self._at_once),
            "at_once": self._at_once,
            "waiting": max(len(tickets) - self._at_once, 0),
            "places": self._waiting,
            "users": users,
        }


def _begin(ticket: Ticket) -> None:
    """Tell a ticket that it is its turn, unless nobody waits for it any more."""
    if ticket.turn.set_running_or_notify_cancel():
        ticket.turn.set_result(None)


def _duration(seconds: float) -> str:
    """A time as people say it, rounded up."""
    for unit, length in (("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds > 2 * length or length == 1:
            count = ceil(seconds / length)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    raise AssertionError("a second is the last unit")
