"""Who is let in: by whom, for how long, and how guessing is slowed down."""

import re
import threading
import time
from collections import Counter
from functools import partial

import pytest
from argon2 import PasswordHasher
from lodgers import (
    CAFE,
    DAY,
    HOME,
    HOUR,
    PASSWORD,
    Clock,
    fail,
    in_threads,
    join,
    opened,
)

from cosmosage.accounts import Accounts, Denied, Locked


@pytest.fixture(name="clock")
def a_clock():
    """A clock for both sides of a test."""
    return Clock()


@pytest.fixture(name="accounts")
def some_accounts(tmp_path, clock):
    """Accounts in a file of their own."""
    accounts = opened(tmp_path, clock)
    yield accounts
    accounts.close()


@pytest.fixture(name="hashes")
def counted_hashes(monkeypatch):
    """How many argon2 computations there were, of whatever kind."""
    count = Counter()
    for name in ("hash", "verify"):
        real = getattr(PasswordHasher, name)

        def counting(self, *given, _real=real, _name=name, **named):
            count["argon2"] += 1
            return _real(self, *given, **named)

        monkeypatch.setattr(PasswordHasher, name, counting)
    return count


# invitations


def test_an_invited_user_signs_in_and_out(accounts):
    user = join(accounts)
    token = accounts.sign_in("ADA", PASSWORD, HOME)
    assert accounts.user_of_session(token) == user
    assert (user.name, user.role) == ("ada", "member")
    assert [user.may(role) for role in ("reader", "member", "admin")] == [1, 1, 0]
    accounts.sign_out(token)
    assert accounts.user_of_session(token) is None
    accounts.sign_out(token)  # again is nothing


def test_a_code_is_good_once_and_for_seven_days(accounts, clock):
    code = accounts.invite("ada", "reader")
    with pytest.raises(ValueError, match="11 characters; wanted are 12"):
        accounts.accept(code, "a" * 11)  # and the code stays good
    with pytest.raises(ValueError, match="1001 characters"):
        accounts.accept(code, "a" * 1001)
    clock.time += 7 * DAY - 1
    accounts.accept(code, PASSWORD)
    with pytest.raises(LookupError, match="unknown, used or expired"):
        accounts.accept(code, PASSWORD)
    late = accounts.invite("bob", "reader")
    clock.time += 7 * DAY
    with pytest.raises(LookupError, match="unknown, used or expired"):
        accounts.accept(late, PASSWORD)


def test_a_code_without_an_invitation_costs_no_hash(accounts, hashes):
    for code in ("", "0" * 64, "' OR 1=1 --", "%", "\ud800", "é" * 10**5):
        with pytest.raises(LookupError):
            accounts.accept(code, PASSWORD)
    assert not hashes


def test_one_code_used_by_many_at_once_is_used_once(accounts):
    code, done = accounts.invite("ada", "reader"), []

    def accept(number):
        try:
            accounts.accept(code, f"{PASSWORD} {number}")
            done.append(number)
        except (LookupError, Locked):
            pass

    in_threads(accept, 8)
    assert len(done) == 1
    assert accounts.sign_in("ada", f"{PASSWORD} {done[0]}", HOME)


def test_a_reset_ends_password_sessions_and_older_codes_but_no_keys(accounts):
    join(accounts)
    token, key = accounts.sign_in("ada", PASSWORD, HOME), accounts.new_key("ada")
    first, second = accounts.reset("ada"), accounts.reset("Ada")
    assert accounts.user_of_session(token) is None
    fail(accounts, "ada", HOME)
    with pytest.raises(Denied):
        accounts.sign_in("ada", PASSWORD, HOME)
    with pytest.raises(LookupError):
        accounts.accept(first, "another password")
    accounts.accept(second, "another password")
    assert accounts.sign_in("ada", "another password", HOME)
    assert accounts.user_of_key(key).name == "ada"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1ada",
        "a" * 33,
        "ada lovelace",
        "ada\n",
        "ada\0",
        "аda",  # Cyrillic а
        "ａda",  # fullwidth
        "adaſ",  # long s, which casefolds to s
        "İda",
        "ada\u200b",
        "ad\u0061\u0301",
        "%",
        "a%",
        "a'; DROP TABLE users; --",
        '" OR 1=1 --',
        "../ada",
        "\ud800",
    ],
)
def test_a_name_that_is_none_is_refused_everywhere(accounts, name):
    join(accounts)
    with pytest.raises(ValueError, match="is no name"):
        accounts.invite(name, "reader")
    for method in (accounts.reset, accounts.remove, accounts.new_key, accounts.keys):
        with pytest.raises(LookupError, match="has no account"):
            method(name)
    with pytest.raises(Denied):
        accounts.sign_in(name, PASSWORD, HOME)
    assert [user["name"] for user in accounts.users()] == ["ada"]


@pytest.mark.parametrize("name", ["a_a", "___", "a__"])
def test_an_underscore_is_a_letter_and_no_wildcard(accounts, name):
    join(accounts, "ada")
    with pytest.raises((LookupError, ValueError)):
        accounts.remove(name)
    assert len(accounts.users()) == 1


def test_names_that_differ_in_case_are_one(accounts):
    accounts.invite("Ada", "reader")
    with pytest.raises(ValueError, match="has an account"):
        accounts.invite("aDA", "admin")
    with pytest.raises(ValueError, match="'root' is no role"):
        accounts.invite("bob", "root")


# signing in


def test_wrong_name_and_wrong_password_cost_the_same_and_say_the_same(accounts, hashes):
    join(accounts, "ada")
    join(accounts, "bob", "admin")
    join(accounts, "eve")
    accounts.invite("new", "reader")
    accounts.disable("eve")
    said, cost = set(), set()
    cases = [("ada", "not that password"), ("nobody", PASSWORD), ("new", PASSWORD)]
    cases += [("eve", PASSWORD), ("nöbody", PASSWORD), ("ada", ""), ("ada", "\ud800")]
    for place, (name, password) in enumerate(cases):
        hashes.clear()
        with pytest.raises(Denied) as error:
            accounts.sign_in(name, password, f"203.0.113.{place}")
        said.add(str(error.value))
        cost.add(hashes["argon2"])
    assert said == {"The name or the password is wrong."} and cost == {1}
    hashes.clear()
    assert accounts.sign_in("ada", PASSWORD, HOME) and hashes["argon2"] == 1


def test_a_password_of_a_megabyte_is_not_hashed(accounts, hashes):
    join(accounts)
    hashes.clear()
    for name in ("ada", "nobody"):
        with pytest.raises(Denied):
            accounts.sign_in(name, "a" * 10**6, HOME)
    assert not hashes


def test_a_password_is_the_same_from_another_keyboard(accounts):
    accounts.accept(accounts.invite("ada", "reader"), "caf\u00e9 at the obs.")
    assert accounts.sign_in("ada", "cafe\u0301 at the obs.", HOME)


def test_a_hash_is_renewed_when_its_parameters_change(accounts):
    join(accounts)
    accounts.passwords.hasher = PasswordHasher(2, 16, 1)
    assert "m=8,t=1" in stored(accounts)
    accounts.sign_in("ada", PASSWORD, HOME)
    assert "m=16,t=2" in stored(accounts)
    assert accounts.sign_in("ada", PASSWORD, HOME)


def test_the_hash_of_a_new_file_is_argon2id_of_64_mib(tmp_path):
    accounts = Accounts(tmp_path / "a")
    join(accounts)
    # RFC 9106, section 4: the second recommended option
    assert stored(accounts).startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    accounts.close()


def stored(accounts):
    """The only hash of a password."""
    with accounts.database.read() as connection:
        return connection.execute("SELECT password FROM users").fetchone()[0]


def test_two_hashes_are_computed_at_once_and_no_more(accounts, monkeypatch):
    join(accounts)
    lock, now, most = threading.Lock(), [0], [0]
    both = threading.Barrier(2)

    def slow(*_):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        both.wait(20)  # as long as it takes the other to be here as well
        with lock:
            now[0] -= 1
        return "hash"

    monkeypatch.setattr(PasswordHasher, "hash", slow)
    in_threads(lambda number: accounts.passwords.hash(f"{PASSWORD}{number}"), 10)
    assert most == [2]


def test_a_besieged_door_refuses_instead_of_holding_threads(accounts, monkeypatch):
    join(accounts)
    monkeypatch.setattr("cosmosage.accounts.passwords.WAIT_S", 0.01)
    inside, end = threading.Barrier(3), threading.Event()

    def held(*_):
        inside.wait(20)
        end.wait(20)

    with monkeypatch.context() as patched:
        patched.setattr(PasswordHasher, "hash", held)
        threads = [
            threading.Thread(target=accounts.passwords.hash, args=(PASSWORD,))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        inside.wait(20)
        for _ in range(20):  # none of these counts as a failure
            with pytest.raises(Locked):
                accounts.sign_in("ada", PASSWORD, HOME)
        end.set()
        for thread in threads:
            thread.join()
    assert accounts.sign_in("ada", PASSWORD, HOME)


# lock-out


def test_failures_cost_doubling_waits_up_to_fifteen_minutes(accounts, clock):
    join(accounts)
    fail(accounts, "ada", HOME, 5)
    waits = []
    for _ in range(9):
        with pytest.raises(Locked) as locked:
            accounts.sign_in(
                "ada", PASSWORD, HOME
            )  # also the right one isn't looked at
        waits.append(locked.value.retry_after_s)
        clock.time += waits[-1]
        fail(accounts, "ada", HOME)
    assert waits == [15, 30, 60, 120, 240, 480, 900, 900, 900]
    clock.time += 900
    assert accounts.sign_in("ada", PASSWORD, HOME)
    fail(accounts, "ada", HOME, 5)  # a success began the count anew


def test_a_try_while_locked_prolongs_nothing_and_a_day_forgets(accounts, clock):
    join(accounts)
    fail(accounts, "ada", HOME, 5)
    for _ in range(100):
        with pytest.raises(Locked):
            accounts.sign_in("ada", PASSWORD, HOME)
    clock.time += 15
    fail(accounts, "ada", HOME)
    clock.time += DAY + 1
    fail(accounts, "ada", HOME, 5)
    with pytest.raises(Locked, match="again in 15 seconds"):
        accounts.sign_in("ada", PASSWORD, HOME)


def test_an_address_is_locked_for_all_names_also_unknown_ones(accounts):
    join(accounts)
    for number in range(5):
        fail(accounts, f"guess{number}", CAFE)
    with pytest.raises(Locked):
        accounts.sign_in("ada", PASSWORD, CAFE)
    assert accounts.sign_in("ada", PASSWORD, HOME)


def test_a_name_is_locked_for_all_addresses_known_or_not(accounts):
    join(accounts)
    for name in ("ada", "nobody"):
        for number in range(5):
            fail(accounts, name, f"203.0.113.{number}/{name}")
        with pytest.raises(Locked):
            accounts.sign_in(name, PASSWORD, CAFE)


def test_an_attack_from_elsewhere_does_not_lock_out_who_was_here_before(
    accounts, clock
):
    join(accounts)
    accounts.sign_in("ada", PASSWORD, HOME)
    for number in range(5):
        fail(accounts, "ada", f"203.0.113.{number}")
    for _ in range(3):  # for as long as it goes on
        assert accounts.sign_in("ada", PASSWORD, HOME)
        clock.time += 900
        fail(accounts, "ada", "203.0.113.77")
    with pytest.raises(Locked):
        accounts.sign_in("ada", PASSWORD, CAFE)
    accounts.accept(accounts.reset("ada"), PASSWORD)  # which ends the wait at once
    assert accounts.sign_in("ada", PASSWORD, CAFE)


def test_where_a_user_was_before_guessing_is_slowed_all_the_same(accounts, clock):
    join(accounts)
    join(accounts, "bob")
    accounts.sign_in("ada", PASSWORD, HOME)
    accounts.sign_in("bob", PASSWORD, HOME)
    fail(accounts, "ada", HOME, 5)
    with pytest.raises(Locked):
        accounts.sign_in("ada", PASSWORD, HOME)
    assert accounts.sign_in("bob", PASSWORD, HOME)  # a colleague's slips are not his
    clock.time += 30 * DAY
    fail(accounts, "guess", HOME, 5)
    with pytest.raises(Locked):  # it is no known address any more
        accounts.sign_in("bob", PASSWORD, HOME)


def test_an_account_of_ones_own_buys_no_guesses(accounts):
    join(accounts, "ada")
    join(accounts, "eve")
    for number in range(4):
        fail(accounts, f"guess{number}", CAFE)
    accounts.sign_in("eve", PASSWORD, CAFE)
    fail(accounts, "guess5", CAFE)
    with pytest.raises(Locked):
        accounts.sign_in("ada", PASSWORD, CAFE)


def test_many_guesses_at_once_are_not_one(accounts, monkeypatch):
    join(accounts)
    found, real = Counter(), PasswordHasher.verify

    def slow(*given):
        found["hashes"] += 1
        time.sleep(
            0.02
        )  # so that the others are at the door before the first is decided
        return real(*given)

    monkeypatch.setattr(PasswordHasher, "verify", slow)

    def guess(_):
        try:
            accounts.sign_in("ada", "not that password", CAFE)
        except (Denied, Locked) as error:
            found[type(error)] += 1

    in_threads(guess, 40)
    assert found == {Denied: 5, Locked: 35, "hashes": 5}


def test_a_crowd_behind_one_address_signs_in_at_once(accounts):
    for number in range(30):
        join(accounts, f"user{number}")
    in_threads(
        lambda number: accounts.sign_in(f"user{number}", PASSWORD, HOME),
        30,
    )


def test_a_host_has_no_more_tries_for_its_many_addresses(accounts):
    join(accounts)
    for number in range(5):
        fail(accounts, f"guess{number}", f"2001:db8:1:2::{number + 1:x}")
    with pytest.raises(Locked):
        accounts.sign_in("ada", PASSWORD, "2001:db8:1:2:ffff::1")
    assert accounts.sign_in("ada", PASSWORD, "2001:db8:1:3::1")
    for number in range(5):
        fail(accounts, f"other{number}", "192.0.2.99")
    with pytest.raises(Locked):
        accounts.sign_in("ada", PASSWORD, "::ffff:192.0.2.99")


def test_the_memory_of_failures_is_bounded(accounts, monkeypatch):
    monkeypatch.setattr("cosmosage.accounts.lockout.MOST", 10)
    for number in range(50):
        fail(accounts, f"guess{number}", f"203.0.113.{number}")
    assert len(vars(accounts)["_lockout"]._counts) == 10  # pylint: disable=W0212


# sessions


def test_a_session_ends_after_twelve_idle_hours_or_seven_days(accounts, clock):
    join(accounts)
    idle, busy = (accounts.sign_in("ada", PASSWORD, HOME) for _ in range(2))
    clock.time += 12 * HOUR - 1
    assert accounts.user_of_session(busy)
    clock.time += 1
    assert accounts.user_of_session(idle) is None
    for _ in range(13):
        assert accounts.user_of_session(busy)
        clock.time += 12 * HOUR - 60  # a use is noted to the minute
    assert accounts.user_of_session(busy)
    clock.time += 13 * 60 - 1
    assert accounts.user_of_session(busy)
    clock.time += 1
    assert accounts.user_of_session(busy) is None  # 7 days, however busy


def test_sessions_end_everywhere_with_disabling_and_removal(accounts):
    user = join(accounts)
    join(accounts, "bob")
    tokens = [accounts.sign_in("ada", PASSWORD, HOME) for _ in range(2)]
    other = accounts.sign_in("bob", PASSWORD, HOME)
    accounts.sign_out_everywhere(user)
    assert [accounts.user_of_session(token) for token in tokens] == [None, None]
    assert accounts.user_of_session(other)
    token = accounts.sign_in("ada", PASSWORD, HOME)
    accounts.disable("ada")
    assert accounts.user_of_session(token) is None
    accounts.enable("ada")
    assert accounts.user_of_session(token) is None  # it is not woken
    token = accounts.sign_in("ada", PASSWORD, HOME)
    accounts.set_role("ada", "reader")
    assert accounts.user_of_session(token).role == "reader"  # from the next request
    accounts.remove("ada")
    assert accounts.user_of_session(token) is None
    assert join(accounts).id != user.id  # a new one of the same name owns nothing


def test_who_is_disabled_while_the_password_is_hashed_gets_no_session(
    accounts, monkeypatch
):
    join(accounts)
    real = PasswordHasher.verify

    def verify(self, *given):
        accounts.disable("ada")
        return real(self, *given)

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    with pytest.raises(Denied):
        accounts.sign_in("ada", PASSWORD, HOME)


@pytest.mark.parametrize("token", ["", "0" * 64, "%", "' OR '1'='1", "\ud800", "\0"])
def test_a_token_or_key_that_is_none_is_nobodys(accounts, token):
    join(accounts)
    accounts.sign_in("ada", PASSWORD, HOME)
    accounts.new_key("ada")
    assert accounts.user_of_session(token) is None
    assert accounts.user_of_key(token) is None
    with pytest.raises(LookupError):
        accounts.revoke_key(token)


# keys


def test_a_key_is_its_users_until_it_is_revoked(accounts, clock):
    user = join(accounts)
    key, other = accounts.new_key("ada", "note\x1b[31m\nbook"), accounts.new_key("ada")
    assert re.fullmatch(r"cosmosage-[0-9a-f]{64}", key)
    assert accounts.user_of_key(key) == user
    clock.time += 30
    accounts.user_of_key(key)  # not written again within a minute
    first, second = accounts.keys("ada")
    assert {first.prefix, second.prefix} == {key[:18], other[:18]}
    mine = first if first.prefix == key[:18] else second
    assert (mine.name, mine.label, mine.used) == (
        "ada",
        "note [31m book",
        clock.time - 30,
    )
    for part in (key[:17], key, "cosmosage-%"):
        with pytest.raises(LookupError, match="begins no key") as error:
            accounts.revoke_key(part)
        assert key not in str(error.value)
    accounts.revoke_key(key[:18])
    assert accounts.user_of_key(key) is None and accounts.user_of_key(other) == user


def test_keys_are_for_members_who_are_enabled(accounts):
    join(accounts)
    join(accounts, "bob", "reader")
    key = accounts.new_key("ada")
    with pytest.raises(ValueError, match="bob is a reader"):
        accounts.new_key("bob")
    for change, back in (
        (lambda: accounts.disable("ada"), lambda: accounts.enable("ada")),
        (
            lambda: accounts.set_role("ada", "reader"),
            lambda: accounts.set_role("ada", "admin"),
        ),
    ):
        change()
        assert accounts.user_of_key(key) is None
        back()
        assert accounts.user_of_key(key)
    assert accounts.user_of_session(key) is None  # nor is a key a session
    accounts.disable("bob")
    for _ in range(19):
        accounts.new_key("ada")
    with pytest.raises(ValueError, match="20 keys"):
        accounts.new_key("ada")


# the last admin


@pytest.mark.parametrize("how", ["remove", "disable", "demote"])
def test_the_last_admin_stays(accounts, how):
    def change(name):
        if how == "demote":
            accounts.set_role(name, "member")
        else:
            getattr(accounts, how)(name)

    join(accounts, "ada", "admin")
    join(accounts, "bob", "member")
    accounts.invite("new", "admin")  # who cannot sign in yet
    with pytest.raises(ValueError, match="last admin"):
        change("ada")
    join(accounts, "eve", "admin")
    accounts.disable("eve")
    with pytest.raises(ValueError, match="last admin"):
        change("ada")
    accounts.enable("eve")
    change("ada")
    with pytest.raises(ValueError, match="last admin"):
        change("eve")
    change("new")  # for whom eve is left


def remove(every, names, refused, number):
    """One of two admins removes an account, by accounts of their own."""
    try:
        every[number].remove(names[number])
    except ValueError:
        refused.append(number)


def test_of_two_admins_who_remove_each_other_one_stays(tmp_path):
    # each thread has accounts of its own, as a process has
    every = [Accounts(tmp_path / "a") for _ in range(2)]
    for each in every:
        each.passwords.hasher = PasswordHasher(1, 8, 1)
    for round_ in range(10):
        names = [f"ada{round_}", f"bob{round_}"]
        for name in names:
            join(every[0], name, "admin")
        for user in every[0].users():
            if user["name"] not in names:
                every[0].remove(user["name"])
        refused = []

        in_threads(partial(remove, every, names, refused), 2)
        assert len(refused) == 1 and len(every[0].users()) == 1
    for each in every:
        each.close()
