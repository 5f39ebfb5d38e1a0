"""Guessing is slowed down, and the guessed are not locked out for it.

Failures are counted by name and by address: after ``FREE`` of them each costs a wait, doubling
up to ``LONGEST_S``. A count by name alone would be a weapon, for whoever knows a name could keep
its owner out from anywhere. So an address from which a user signed in before is judged, for that
user, by the failures of the two together: what happens elsewhere doesn't count there, nor do the
slips of colleagues behind the same address. From a new address a user under attack waits until
a try falls between the attacker's, or takes a reset from an admin, which ends the wait at once.
What that choice gives away: who shares an address with users can learn that one of them is known.

Counts are kept in memory, as keyed hashes, for people type passwords into the field of names. A
restart forgets them; an attacker cannot cause one.
"""

import hashlib
import ipaddress
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from threading import Condition

FREE = 5  # failures that cost nothing: a forgotten password's usual tries
FIRST_S = 15.0  # the wait after the fifth; it doubles with each more
LONGEST_S = 900.0  # 15 minutes: 96 guesses a day, against 12 characters
FORGOTTEN_S = 86400.0  # after the last failure
PATIENCE_S = (
    10.0  # for other tries to be decided; each takes some hundredths of a second
)
MOST = 100_000  # counts in memory, about 30 MB; then the one longest unchanged goes


class Locked(Exception):
    """Too many failures: this try was not looked at."""

    def __init__(self, retry_after_s: float):
        super().__init__(f"Too many tries; try again in {ceil(retry_after_s)} seconds.")
        self.retry_after_s = retry_after_s


@dataclass
class _Count:
    failures: int = 0
    last: float = 0.0
    pending: int = 0
    """Tries that were let in and are not decided: each may be a failure."""


class Lockout:
    """Failures by key; a key is what they are counted by, such as a name or an address."""

    def __init__(self, now: Callable[[], float]):
        self._now, self._changed = now, Condition()
        self._counts: OrderedDict[bytes, _Count] = OrderedDict()
        self._secret = secrets.token_bytes(32)

    def begin(self, keys: Sequence[tuple[str, ...]]) -> None:
        """Let a try in, to be ended by ``succeeded``, ``failed`` or ``undecided``.

        A hundred at once are not one: where those that are not decided could use up the free
        failures, the next wait for them. So thirty people behind one address who sign in at the
        same moment wait for each other, and thirty guesses are five.

        Raises:
            Locked: one of the keys has to wait, or others weren't decided in ``PATIENCE_S``.
        """
        names = [self._name(key) for key in keys]
        with self._changed:
            if not self._changed.wait_for(lambda: self._free(names), PATIENCE_S):
                raise Locked(1.0)
            for name in names:
                self._counts.setdefault(name, _Count()).pending += 1
                self._counts.move_to_end(name)
            while len(self._counts) > MOST:
                self._counts.popitem(last=False)

    def _free(self, names: list[bytes]) -> bool:
        """Whether a try may be let in now; raises if it has to wait longer than for others."""
        left = max(self._left(name) for name in names)
        if left > 0:
            raise Locked(left)
        counts = [self._counts[name] for name in names if name in self._counts]
        return all(
            not count.pending or count.failures + count.pending < FREE
            for count in counts
        )

    def failed(self, keys: Sequence[tuple[str, ...]]) -> float:
        """A try failed; the wait in seconds that follows, 0 for none."""
        names = [self._name(key) for key in keys]
        with self._changed:
            for count in self._ended(names):
                count.failures, count.last = count.failures + 1, self._now()
            return max(self._left(name) for name in names)

    def succeeded(self, keys: Sequence[tuple[str, ...]]) -> None:
        """A try succeeded: the first key begins anew, what the others failed still counts, or an
        account of one's own would excuse guesses at others'."""
        self.undecided(keys)
        self.forget(keys[0])

    def undecided(self, keys: Sequence[tuple[str, ...]]) -> None:
        """A try ended and is not known to have failed."""
        names = [self._name(key) for key in keys]
        with self._changed:
            for name, count in zip(names, self._ended(names)):
                if not count.failures and not count.pending:
                    self._counts.pop(name, None)

    def forget(self, key: tuple[str, ...]) -> None:
        """No failure of a key counts any more."""
        with self._changed:
            if count := self._counts.get(self._name(key)):
                count.failures = 0
                self._changed.notify_all()

    def _ended(self, names: list[bytes]) -> list[_Count]:
        """The counts of a try that is no more pending; one that was dropped begins anew."""
        counts = [self._counts.setdefault(name, _Count()) for name in names]
        for count in counts:
            count.pending = max(count.pending - 1, 0)
        self._changed.notify_all()
        return counts

    def _left(self, name: bytes) -> float:
        """Seconds that a key still has to wait."""
        count, now = self._counts.get(name), self._now()
        if count and count.failures and now - count.last > FORGOTTEN_S:
            count.failures = 0
        if count is None or count.failures < FREE:
            return 0.0
        doubled = min(count.failures - FREE, 16)
        return count.last + min(FIRST_S * 2**doubled, LONGEST_S) - now

    def _name(self, key: tuple[str, ...]) -> bytes:
        text = "\0".join(key).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=self._secret, digest_size=16).digest()


def place(where: str) -> str:
    """What of an address is counted: of IPv6 the network, for one host has 2^64 addresses."""
    try:
        address = ipaddress.ip_address(where)
    except ValueError:
        return where[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)
