"""Passwords as argon2 hashes, with the memory that they may take.

A hash costs 64 MiB and some hundredths of a second, which is its purpose; so two are computed at
once and others wait, or a crowd at the door would take the model's memory.
"""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from cosmosage.accounts.lockout import Locked

SHORTEST, LONGEST = 12, 1000
"""Characters of a password. Length is the only rule, and nothing expires: NIST SP 800-63B."""
AT_ONCE = 2  # hashes of 64 MiB
WAIT_S = 10.0  # for one's turn; then the door is besieged, and threads are worth more


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self):
        self.hasher = (
            PasswordHasher()
        )  # argon2-cffi's defaults: RFC 9106, second choice
        self._turns = BoundedSemaphore(AT_ONCE)

    def hash(self, password: str) -> str:
        """What is stored of a new password.

        Raises:
            ValueError: it is too short or too long.
            Locked: too many are hashed at this moment.
        """
        if not SHORTEST <= len(password) <= LONGEST:
            raise ValueError(
                f"the password has {len(password)} characters; wanted are {SHORTEST} to "
                f"{LONGEST}, such as a sentence of five words"
            )
        with self._turn():
            return self.hasher.hash(_bytes(password))

    def check(self, stored: str | None, password: str) -> tuple[bool, str | None]:
        """Whether a password is the stored one; it takes as long where none is stored.

        Returns:
            Whether it fits, and what is to be stored in its place where argon2's parameters
            have changed since.

        Raises:
            Locked: too many are hashed at this moment.
        """
        if len(password) > LONGEST:
            return False, None
        raw = _bytes(password)
        with self._turn():
            if stored is None:
                self.hasher.hash(raw)
                return False, None
            try:
                self.hasher.verify(stored, raw)
            except VerifyMismatchError:
                return False, None
            if self.hasher.check_needs_rehash(stored):
                return True, self.hasher.hash(raw)
            return True, None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        # pylint: disable-next=consider-using-with  # it has a limit of time
        if not self._turns.acquire(timeout=WAIT_S):
            raise Locked(WAIT_S)
        try:
            yield
        finally:
            self._turns.release()


def _bytes(password: str) -> bytes:
    """The same bytes for what looks the same, whatever keyboard it was typed on."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
