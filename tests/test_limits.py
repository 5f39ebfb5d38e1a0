"""The gate: never more than allowed, a sentence for who is refused, days that outlive restarts."""

import asyncio
import threading
import types
from concurrent.futures import CancelledError

import pytest

from cosmosage.accounts import Accounts, Gate, Refused, User
from cosmosage.accounts.limits import DEFAULTS

PASSWORD = "the sky is dark at night"
DAY = 86400


class Clock:
    """A clock that a test moves; it begins 10 hours into a day, UTC."""

    def __init__(self):
        self.seconds = 20_000.0 * DAY + 36_000

    def time(self):
        """Seconds since 1970."""
        return self.seconds


@pytest.fixture(name="clock")
def a_clock(monkeypatch):
    """The clock of accounts, and of the package that counts requests."""
    clock = Clock()
    # the limits package asks its own module for the time
    monkeypatch.setattr(
        "limits.storage.memory.time", types.SimpleNamespace(time=clock.time)
    )
    return clock


@pytest.fixture(name="accounts")
def some_accounts(tmp_path, clock):
    """Accounts in a file of their own."""
    accounts = Accounts(tmp_path / "accounts.sqlite", clock.time)
    yield accounts
    accounts.close()


def users(accounts, *names, role="member"):
    """Users who were invited; the gate asks for no session."""
    for name in names:
        accounts.invite(name, role)
    ids = {user["name"]: user["id"] for user in accounts.users()}
    return [User(ids[name], name, role) for name in names]


def crowd(accounts, count):
    """Members by number."""
    return users(accounts, *(f"user{number}" for number in range(count)))


def refused(gate, user):
    """A refusal's reason, time and sentence."""
    with pytest.raises(Refused) as error:
        gate.enter(user)
    return error.value.reason, error.value.retry_after_s, str(error.value)


def test_a_ticket_frees_its_place_whatever_happens(accounts):
    (ada,) = users(accounts, "ada")
    gate = Gate(accounts, 1, 0)
    with gate.enter(ada) as ticket:
        assert ticket.turn.done() and ticket.ahead() == 0
        assert refused(gate, ada)[0] == "line"
    with pytest.raises(ZeroDivisionError):
        with gate.enter(ada):
            _ = 1 / 0
    ticket = gate.enter(ada)
    ticket.leave()
    ticket.leave()
    assert gate.state()["answering"] == 0 and ticket.ahead() == 0
    gate.enter(ada).leave()


def test_questions_a_minute(accounts, clock):
    (ada,) = users(accounts, "ada")
    accounts.set_limits("ada", requests_per_minute=3)
    gate = Gate(accounts, 4, 0)
    for _ in range(3):
        gate.enter(ada).leave()
        clock.seconds += 16
    # 48 s after the first, which is forgotten after 60
    assert refused(gate, ada) == (
        "requests",
        12,
        "You have asked 3 questions in this minute; ask again in 12 seconds.",
    )
    clock.seconds += 11
    assert refused(gate, ada)[1:] == (
        1,
        "You have asked 3 questions in this minute; ask again in 1 second.",
    )
    clock.seconds += 1.5  # a refusal has cost nothing
    gate.enter(ada).leave()
    assert refused(gate, ada)[1] == 15.5  # the window moves, to the second question


def test_answers_that_are_drawn_count_as_questions(accounts):
    """Five at once, or all of a minute where that is less; the place is one."""
    (ada,) = users(accounts, "ada")
    gate = Gate(accounts, 4, 0)
    accounts.set_limits("ada", requests_per_minute=7)
    with gate.enter(ada, 5):
        assert gate.state()["answering"] == 1
    gate.enter(ada).leave()
    gate.enter(ada).leave()
    assert refused(gate, ada)[0] == "requests"
    (bob,) = users(accounts, "bob")
    accounts.set_limits("bob", requests_per_minute=3)
    gate.enter(bob, 5).leave()
    assert refused(gate, bob)[0] == "requests"


def test_one_users_limits_are_not_anothers(accounts):
    ada, bob = users(accounts, "ada", "bob")
    accounts.set_limits("ada", requests_per_minute=1, at_once=1)
    gate = Gate(accounts, 9, 0)
    gate.enter(ada).leave()
    assert refused(gate, ada)[0] == "requests"
    for _ in range(DEFAULTS["member"].requests_per_minute):
        gate.enter(bob).leave()
    assert refused(gate, bob)[0] == "requests"


@pytest.mark.parametrize("role", DEFAULTS)
def test_a_role_has_its_limits_until_a_user_has_other_ones(accounts, role):
    (ada,) = users(accounts, "ada", role=role)
    gate, usual = Gate(accounts, 99, 0), DEFAULTS[role]
    tickets = [gate.enter(ada) for _ in range(usual.at_once)]
    assert refused(gate, ada)[:2] == ("at once", 5)
    accounts.set_limits("ada", at_once=usual.at_once + 1)  # holds from now on
    tickets.append(gate.enter(ada))
    assert refused(gate, ada)[0] == "at once"
    accounts.set_limits("ada", tokens_per_day=5)  # and the others are the role's again
    tickets.pop().leave()
    assert refused(gate, ada)[2].startswith(
        f"{usual.at_once} answers are being written for you"
    )
    for ticket in tickets:
        ticket.leave()
    for bad in (0, -1, 2**60):
        with pytest.raises(ValueError, match="at_once is"):
            accounts.set_limits("ada", at_once=bad)


def test_a_role_that_is_changed_counts_at_once(accounts):
    accounts.accept(accounts.invite("root", "admin"), PASSWORD)
    (ada,) = users(accounts, "ada", role="reader")
    gate = Gate(accounts, 99, 0)
    for _ in range(2):
        gate.enter(ada)
    assert refused(gate, ada)[0] == "at once"
    accounts.set_role("ada", "admin")
    gate.enter(ada)  # though the server still holds the user of the request before
    accounts.remove("ada")
    with pytest.raises(LookupError, match="no account any more"):
        gate.enter(ada)


def test_who_was_disabled_enters_no_more(accounts):
    """The request was let in before: its body came late, or it waited for its turn."""
    (ada,) = users(accounts, "ada")
    gate = Gate(accounts, 4, 0)
    accounts.disable("ada")
    with pytest.raises(LookupError, match="no account any more"):
        gate.enter(ada)
    accounts.enable("ada")
    gate.enter(ada)


def test_tokens_of_a_day_outlive_a_restart_and_end_at_midnight(accounts, clock):
    ada, bob = users(accounts, "ada", "bob")
    accounts.set_limits("ada", tokens_per_day=1500)
    with Gate(accounts, 4, 0).enter(ada) as ticket:
        ticket.spend(1000)
        ticket.spend(0)
    again = Accounts(accounts.database.path, clock.time)
    gate = Gate(again, 4, 0)
    with gate.enter(ada) as ticket:
        ticket.spend(499)
    with gate.enter(
        ada
    ) as ticket:  # one is left; the answer under way may pass the limit
        ticket.spend(1001)
    assert refused(gate, ada) == (
        "tokens",
        14 * 3600,
        "Your questions and answers took 2,500 tokens today and 1,500 are yours; ask again "
        "in 14 hours.",
    )
    gate.enter(bob).leave()
    clock.seconds += 14 * 3600 - 90
    assert refused(gate, ada)[2].endswith("ask again in 90 seconds.")
    clock.seconds += 90
    gate.enter(ada).leave()
    with pytest.raises(ValueError, match="-1 tokens"):
        gate.spend(ada, -1)
    ticket = gate.enter(bob)
    again.remove("bob")
    ticket.spend(5)  # there is nobody left to count it for, and nothing breaks
    ticket.leave()
    again.close()


def test_many_threads_spend_and_no_token_is_lost(accounts):
    (ada,) = users(accounts, "ada")
    accounts.set_limits("ada", tokens_per_day=600)
    gate = Gate(accounts, 99, 0)
    threads = [
        threading.Thread(target=lambda: [gate.spend(ada, 3) for _ in range(20)])
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "took 600 tokens" in refused(gate, ada)[2]


def test_the_line_is_bounded_and_moves_in_order(accounts):
    people = crowd(accounts, 6)
    gate = Gate(accounts, 2, 3)
    tickets = [gate.enter(user) for user in people[:5]]
    assert refused(gate, people[5]) == (
        "line",
        15,
        "5 questions are being answered or wait, as many as there is room for; ask again in "
        "15 seconds.",
    )
    assert [ticket.turn.done() for ticket in tickets] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert [ticket.ahead() for ticket in tickets] == [0, 0, 1, 2, 3]
    assert gate.state() == {
        "answering": 2,
        "at_once": 2,
        "waiting": 3,
        "places": 3,
        "users": {
            f"user{number}": {"answering": int(number < 2), "waiting": int(number > 1)}
            for number in range(5)
        },
    }
    tickets[3].leave()  # from the midst of the line: nobody's turn comes by that
    assert tickets[3].turn.cancelled() and not tickets[2].turn.done()
    tickets[0].leave()
    assert tickets[2].turn.done() and not tickets[4].turn.done()
    tickets[1].leave()
    assert tickets[4].turn.done() and tickets[4].ahead() == 0
    with pytest.raises(ValueError, match="at_once is 0"):
        Gate(accounts, 0, 5)


def test_a_hundred_threads_and_never_more_than_allowed(accounts):
    people = crowd(accounts, 25)  # four threads each, of three that one user may have
    for user in people:
        accounts.set_limits(user.name, at_once=3, requests_per_minute=1000)
    gate, lock, start = Gate(accounts, 4, 20), threading.Lock(), threading.Barrier(100)
    inside, answering = [], []
    most = {"inside": 0, "answering": 0, "one user": 0}
    outcomes, errors = [], []

    def answer(user):
        start.wait(30)
        for _ in range(5):
            try:
                ticket = gate.enter(user)
            except Refused as error:
                outcomes.append(error.reason)
                continue
            with lock:
                inside.append(user.id)
                most["inside"] = max(most["inside"], len(inside))
                most["one user"] = max(most["one user"], inside.count(user.id))
            ticket.turn.result(30)
            with lock:
                answering.append(user.id)
                most["answering"] = max(most["answering"], len(answering))
            pause.wait(0.002)
            with lock:
                answering.remove(user.id)
                inside.remove(user.id)
            ticket.leave()
            outcomes.append("answered")

    pause = threading.Event()

    def work(user):
        try:
            answer(user)
        except BaseException as error:  # pylint: disable=broad-exception-caught
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=(people[number % 25],))
        for number in range(100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(outcomes) == 500 and outcomes.count("answered") > 24
    assert most["answering"] == 4 and most["inside"] == 24 and most["one user"] <= 3
    assert {"line"} <= set(outcomes) <= {"answered", "line", "at once"}
    assert not gate.state()["users"]


def test_async_code_waits_for_its_turn_without_blocking(accounts):
    people = crowd(accounts, 12)
    gate, order = Gate(accounts, 2, 10), []

    async def ask(user):
        with gate.enter(user) as ticket:
            await asyncio.wrap_future(ticket.turn)
            order.append(user.name)
            assert gate.state()["answering"] <= 2
            await asyncio.sleep(0)

    async def gives_up(user):
        with gate.enter(user) as ticket:
            await asyncio.wrap_future(ticket.turn)

    async def every():
        tasks = [asyncio.create_task(ask(user)) for user in people[:6]]
        left = asyncio.create_task(gives_up(people[11]))
        tasks += [asyncio.create_task(ask(user)) for user in people[6:11]]
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)
        with pytest.raises(asyncio.CancelledError):
            await left

    asyncio.run(every())
    assert order == [user.name for user in people[:11]]
    assert gate.state()["answering"] == 0


def test_who_waits_for_a_ticket_that_is_left_is_told(accounts):
    people = crowd(accounts, 2)
    gate = Gate(accounts, 1, 1)
    gate.enter(people[0])
    second = gate.enter(people[1])
    second.leave()
    with pytest.raises(CancelledError):
        second.turn.result(30)


def test_a_turn_that_nobody_waits_for_any_more_comes_all_the_same(accounts):
    people = crowd(accounts, 3)
    gate = Gate(accounts, 1, 2)
    first, second, third = map(gate.enter, people)
    assert second.turn.cancel()  # as a task does that is cancelled while it waits
    first.leave()
    assert second.ahead() == 0 and not third.turn.done()
    second.leave()
    assert third.turn.done()


def test_refusals_are_logged_once_a_minute(accounts, clock):
    ada, bob = users(accounts, "ada", "bob")
    gate = Gate(accounts, 1, 0)
    gate.enter(bob)
    for _ in range(50):
        refused(gate, ada)
    clock.seconds += 61
    refused(gate, ada)
    hits = [line for line in accounts.audit_log() if line["what"] == "limit hit"]
    assert [(line["who"], line["detail"]) for line in hits] == [("ada", "line")] * 2
