"""Users of accounts whose clock a test moves and whose hashes cost nothing."""

import threading

import pytest
from argon2 import PasswordHasher

from cosmosage.accounts import Accounts, Denied

PASSWORD = "the sky is dark at night"
HOUR, DAY = 3600.0, 86400.0
HOME, CAFE = "192.0.2.7", "198.51.100.9"


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.time = 1_800_000_000.0

    def __call__(self):
        return self.time


def opened(folder, clock):
    """Accounts in a file of their own."""
    accounts = Accounts(folder / "accounts.sqlite", clock)
    accounts.passwords.hasher = PasswordHasher(1, 8, 1)
    return accounts


def join(accounts, name="ada", role="member"):
    """Invite and accept."""
    return accounts.accept(accounts.invite(name, role), PASSWORD)


def fail(accounts, name, where, times=1):
    """Wrong passwords."""
    for _ in range(times):
        with pytest.raises(Denied):
            accounts.sign_in(name, "not that password", where)


def in_threads(work, count):
    """Call something with 0, 1, 2, ... at once; what one raises is raised here."""
    errors, start = [], threading.Barrier(count)

    def one(number):
        start.wait(30)
        try:
            work(number)
        except BaseException as error:  # pylint: disable=broad-exception-caught
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
