"""Users, how they prove who they are, and what an admin may change.

Nobody signs up: an admin invites, and the code is carried to the user by hand or by mail, so the
server sends nothing and needs no address of anybody. Roles are three and each holds the one
before: more would have to be explained.
"""

import hashlib
import re
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmosage.accounts.database import SECONDS_A_DAY, Database, plain
from cosmosage.accounts.lockout import Lockout, place
from cosmosage.accounts.passwords import Passwords

ROLES = ("reader", "member", "admin")
"""reader: the chat page. member: also the API, with keys. admin: also the server's state and the
audit log."""
CODE_S = 7 * SECONDS_A_DAY  # of an invitation or a reset: a week's holiday
IDLE_S = 12 * 3600.0  # without a request: a working day, not a night
SESSION_S = 7 * SECONDS_A_DAY  # however busy
NOTED_S = 60.0  # a session's or key's last use is written once a minute, not a request
KNOWN_S = 30 * SECONDS_A_DAY  # an address from which a user signed in
KEYS = 20  # of a user; a script has one, and who needs more has forgotten some
LABEL = 60  # characters
KEY = "cosmosage-"
PREFIX = len(KEY) + 8  # of a key, in lists: 32 bits of 256

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,31}", re.ASCII)
_BY_HAND = "command"
"""Who did what was done on this machine's command line."""


class Denied(Exception):
    """The name or the password is wrong; which of them is not said."""

    def __init__(self):
        super().__init__("The name or the password is wrong.")


@dataclass(frozen=True)
class User:
    """Somebody with an account."""

    id: int
    name: str
    role: str

    def may(self, role: str) -> bool:
        """Whether what is open to a role is open to this user."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class Key:
    """An API key as lists show it; times in seconds since 1970."""

    prefix: str
    name: str
    label: str
    created: float
    used: float | None


class Accounts:
    """Users, sessions and keys; every method may be called from any thread.

    Where a method takes ``by``, it is who did it, for the audit log: an admin's name, or nothing
    on the command line.
    """

    def __init__(self, path: Path | str, now: Callable[[], float] = time.time):
        """Open accounts; arguments and errors are those of ``Database``."""
        self.database, self.now = Database(path, now), now
        self.passwords = Passwords()
        self._lockout = Lockout(now)

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    # invitations

    def invite(self, name: str, role: str, by: str = _BY_HAND) -> str:
        """Make an account without a password, and the code that sets one.

        Args:
            name: a letter and at most 31 more letters, digits, ``.``, ``_`` and ``-``, all of
                ASCII, so that no two names look alike; case doesn't tell names apart.
            role: one of ``ROLES``.

        Returns:
            A code, good once and for ``CODE_S``; it is not kept and can't be shown again.

        Raises:
            ValueError: the name or role is none, or the name is taken.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{plain(name, 40)!r} is no name; wanted are a letter and up to 31 letters, "
                "digits, dots, hyphens and underscores, without accents"
            )
        _check_role(role)
        with self.database.write() as connection:
            try:
                user = connection.execute(
                    "INSERT INTO users (name, role, created) VALUES (?, ?, ?)",
                    (name, role, self.now()),
                ).lastrowid
            except sqlite3.IntegrityError as error:
                raise ValueError(
                    f"{name} has an account; for a new code reset it, or take another name"
                ) from error
            code = self._new_code(connection, user)
            self.database.log(connection, "invitation", by, "", f"{name} as {role}")
        return code

    def reset(self, name: str, by: str = _BY_HAND) -> str:
        """A code for a new password; the old one and all sessions end, keys stay.

        Raises:
            LookupError: there is no such user.
        """
        with self.database.write() as connection:
            user = _one(connection, name)
            connection.execute(
                "UPDATE users SET password = NULL WHERE id = ?", (user["id"],)
            )
            connection.execute("DELETE FROM sessions WHERE user = ?", (user["id"],))
            code = self._new_code(connection, user["id"])
            self.database.log(connection, "reset", by, "", user["name"])
        return code

    def _new_code(self, connection: sqlite3.Connection, user: int | None) -> str:
        code = secrets.token_hex(32)
        connection.execute("DELETE FROM codes WHERE user = ?", (user,))
        connection.execute(
            "INSERT INTO codes (user, hash, expires) VALUES (?, ?, ?)",
            (user, _hash(code), self.now() + CODE_S),
        )
        return code

    def accept(self, code: str, password: str) -> User:
        """Set the password that an invitation or a reset is for; the user may sign in at once.

        Raises:
            LookupError: the code is unknown, used or expired, or the account is disabled.
            ValueError: the password is too short or too long; the code stays good.
            Locked: too many passwords are hashed at this moment; the code stays good.
        """
        unknown = LookupError("This code is unknown, used or expired; ask for another.")
        good = (_hash(code), self.now())
        with self.database.read() as connection:
            if not connection.execute(
                "SELECT 1 FROM codes WHERE hash = ? AND expires > ?", good
            ).fetchone():
                raise unknown  # before a hash is computed for who has no code
        stored = self.passwords.hash(password)
        with self.database.write() as connection:
            gone = connection.execute(
                "DELETE FROM codes WHERE hash = ? AND expires > ? RETURNING user", good
            ).fetchall()
            row = (
                gone
                and connection.execute(
                    "UPDATE users SET password = ? WHERE id = ? AND NOT disabled "
                    "RETURNING id, name, role",
                    (stored, gone[0]["user"]),
                ).fetchone()
            )
            if not row:
                raise unknown
            user = User(**row)
            connection.execute("DELETE FROM sessions WHERE user = ?", (user.id,))
            self.database.log(connection, "password set", user.name)
        self._lockout.forget(("name", user.name.lower()))
        return user

    # signing in

    def sign_in(self, name: str, password: str, where: str) -> str:
        """A session's token for a name and a password.

        That a name is unknown, invited, disabled or given with a wrong password looks the same
        and takes as long. How guessing is slowed down, ``lockout`` says.

        Args:
            where: the address that asks, as the server sees it.

        Raises:
            Denied: the name or the password is wrong.
            Locked: too many failures of this name or this address; nothing was looked at.
        """
        asked, spot = name.lower(), place(where)
        row = self._row(name)
        keys = [("name", asked), ("place", spot)]
        if row and self._knows(row["id"], spot):
            keys = [("both", asked, spot)]
        self._lockout.begin(keys)
        stored = row["password"] if row and not row["disabled"] else None
        token = None
        try:
            fits, fresh = self.passwords.check(stored, password)
            if row and fits:
                token = self._new_session(row, where, fresh)
        except BaseException:
            self._lockout.undecided(keys)
            raise
        if token is None:
            wait = self._lockout.failed(keys)
            self._log_failure(row["name"] if row else "", where, wait)
            raise Denied
        self._lockout.succeeded(keys)
        return token

    def _row(self, name: str) -> sqlite3.Row | None:
        if not _NAME.fullmatch(name):
            return None
        with self.database.read() as connection:
            return connection.execute(
                "SELECT * FROM users WHERE name = ?", (name,)
            ).fetchone()

    def _knows(self, user: int, spot: str) -> bool:
        with self.database.read() as connection:
            found = connection.execute(
                "SELECT 1 FROM places WHERE user = ? AND place = ? AND used > ?",
                (user, spot, self.now() - KNOWN_S),
            ).fetchone()
        return found is not None

    def _new_session(
        self, row: sqlite3.Row, where: str, fresh: str | None
    ) -> str | None:
        """A session, unless the account was changed while the password was hashed."""
        token, now, user = secrets.token_hex(32), self.now(), row["id"]
        with self.database.write() as connection:
            same = connection.execute(
                "UPDATE users SET password = ?, signed_in = ? "
                "WHERE id = ? AND password = ? AND NOT disabled",
                (fresh or row["password"], now, user, row["password"]),
            )
            if not same.rowcount:
                return None
            connection.execute(
                "INSERT INTO sessions (hash, user, created, used) VALUES (?, ?, ?, ?)",
                (_hash(token), user, now, now),
            )
            connection.execute(
                "INSERT INTO places (user, place, used) VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET used = excluded.used",
                (user, place(where), now),
            )
            self.database.log(connection, "sign-in", row["name"], where)
            # the dead are buried here, where something is written anyway
            connection.execute("DELETE FROM codes WHERE expires <= ?", (now,))
            connection.execute("DELETE FROM places WHERE used <= ?", (now - KNOWN_S,))
            connection.execute(
                "DELETE FROM sessions WHERE used <= ? OR created <= ?",
                (now - IDLE_S, now - SESSION_S),
            )
        return token

    def _log_failure(self, name: str, where: str, wait: float) -> None:
        # what was typed for an unknown name may be a password, and is not written
        with self.database.write() as connection:
            detail = "" if name else "unknown name"
            self.database.log(connection, "sign-in failed", name, where, detail)
            if wait:
                detail = f"{wait:.0f} s"
                self.database.log(connection, "locked out", name, where, detail)

    def user_of_session(self, token: str) -> User | None:
        """Whose session it is; None if it is unknown, ended or expired."""
        now = self.now()
        with self.database.read() as connection:
            row = connection.execute(
                "SELECT users.id, name, role, used FROM sessions "
                "JOIN users ON users.id = sessions.user "
                "WHERE hash = ? AND used > ? AND sessions.created > ? AND NOT disabled",
                (_hash(token), now - IDLE_S, now - SESSION_S),
            ).fetchone()
        if row is None:
            return None
        if now - row["used"] >= NOTED_S:
            with self.database.write() as connection:
                connection.execute(
                    "UPDATE sessions SET used = ? WHERE hash = ?", (now, _hash(token))
                )
        return User(row["id"], row["name"], row["role"])

    def sign_out(self, token: str, where: str = "") -> None:
        """End a session; one that is not there has ended."""
        with self.database.write() as connection:
            row = connection.execute(
                "DELETE FROM sessions WHERE hash = ? RETURNING user", (_hash(token),)
            ).fetchall()
            if row:
                self._log_sign_out(connection, row[0]["user"], where)

    def sign_out_everywhere(self, user: User, where: str = "") -> None:
        """End all sessions of a user."""
        with self.database.write() as connection:
            connection.execute("DELETE FROM sessions WHERE user = ?", (user.id,))
            self._log_sign_out(connection, user.id, where, "everywhere")

    def _log_sign_out(
        self, connection: sqlite3.Connection, user: int, where: str, detail: str = ""
    ) -> None:
        name = connection.execute(
            "SELECT name FROM users WHERE id = ?", (user,)
        ).fetchone()
        who = name["name"] if name else ""
        self.database.log(connection, "sign-out", who, where, detail)

    # keys

    def new_key(self, name: str, label: str = "", by: str = _BY_HAND) -> str:
        """A key for the API, as ``Authorization: Bearer`` takes it.

        Args:
            label: what it is for, at most ``LABEL`` characters; the rest is cut.

        Returns:
            The key; it is not kept and can't be shown again.

        Raises:
            LookupError: there is no such user.
            ValueError: the user is a reader, or has ``KEYS`` keys.
        """
        with self.database.write() as connection:
            user = _one(connection, name)
            if user["role"] == "reader":
                raise ValueError(
                    f"{user['name']} is a reader and keys are for members; change the role first"
                )
            have = connection.execute(
                "SELECT count(*), group_concat(prefix) FROM keys WHERE user = ?",
                (user["id"],),
            ).fetchone()
            if have[0] >= KEYS:
                raise ValueError(
                    f"{user['name']} has {have[0]} keys, as many as one may; revoke one"
                )
            key = KEY + secrets.token_hex(32)
            connection.execute(
                "INSERT INTO keys (hash, prefix, user, label, created) "
                "VALUES (?, ?, ?, ?, ?)",
                (_hash(key), key[:PREFIX], user["id"], plain(label, LABEL), self.now()),
            )
            detail = f"{key[:PREFIX]} of {user['name']}"
            self.database.log(connection, "key made", by, "", detail)
        return key

    def user_of_key(self, key: str) -> User | None:
        """Whose key it is; None if it is unknown, or its user is disabled or now a reader."""
        now = self.now()
        with self.database.read() as connection:
            row = connection.execute(
                "SELECT users.id, name, role, used FROM keys "
                "JOIN users ON users.id = keys.user "
                "WHERE hash = ? AND NOT disabled AND role != 'reader'",
                (_hash(key),),
            ).fetchone()
        if row is None:
            return None
        if row["used"] is None or now - row["used"] >= NOTED_S:
            with self.database.write() as connection:
                connection.execute(
                    "UPDATE keys SET used = ? WHERE hash = ?", (now, _hash(key))
                )
        return User(row["id"], row["name"], row["role"])

    def keys(self, name: str | None = None) -> list[Key]:
        """All keys, or a user's, oldest first.

        Raises:
            LookupError: there is no such user.
        """
        with self.database.read() as connection:
            owner = None if name is None else _one(connection, name)["id"]
            rows = connection.execute(
                "SELECT prefix, name, label, keys.created, used FROM keys "
                "JOIN users ON users.id = keys.user WHERE ?1 IS NULL OR user = ?1 "
                "ORDER BY keys.created, prefix",
                (owner,),
            ).fetchall()
        return [Key(**row) for row in rows]

    def revoke_key(self, prefix: str, by: str = _BY_HAND) -> None:
        """End a key.

        Args:
            prefix: as ``keys`` lists it, whole.

        Raises:
            LookupError: there is no such key.
        """
        with self.database.write() as connection:
            gone = connection.execute(
                "DELETE FROM keys WHERE prefix = ? RETURNING "
                "(SELECT name FROM users WHERE id = user) AS name",
                (plain(prefix),),
            ).fetchall()
            if not gone:
                raise LookupError(
                    f"{plain(prefix[:PREFIX])} begins no key; take a prefix from the list of keys"
                )
            detail = f"{prefix} of {gone[0]['name']}"
            self.database.log(connection, "key revoked", by, "", detail)

    # what an admin changes

    def set_role(self, name: str, role: str, by: str = _BY_HAND) -> None:
        """Give a user another role, from the next request on.

        Raises:
            LookupError: there is no such user.
            ValueError: the role is none, or no other admin would be left.
        """
        _check_role(role)
        with self.database.write() as connection:
            user = _one(connection, name)
            if role != "admin":
                _keep_an_admin(connection, user)
            connection.execute(
                "UPDATE users SET role = ? WHERE id = ?", (role, user["id"])
            )
            detail = f"{user['name']}: {user['role']} to {role}"
            self.database.log(connection, "role changed", by, "", detail)

    def disable(self, name: str, by: str = _BY_HAND) -> None:
        """Shut a user out, sessions and keys, and keep what is theirs.

        Raises:
            LookupError: there is no such user.
            ValueError: no other admin would be left.
        """
        with self.database.write() as connection:
            user = _one(connection, name)
            _keep_an_admin(connection, user)
            connection.execute(
                "UPDATE users SET disabled = 1 WHERE id = ?", (user["id"],)
            )
            connection.execute("DELETE FROM sessions WHERE user = ?", (user["id"],))
            self.database.log(connection, "user disabled", by, "", user["name"])

    def enable(self, name: str, by: str = _BY_HAND) -> None:
        """Let a user in again, with the same password and keys.

        Raises:
            LookupError: there is no such user.
        """
        with self.database.write() as connection:
            user = _one(connection, name)
            connection.execute(
                "UPDATE users SET disabled = 0 WHERE id = ?", (user["id"],)
            )
            self.database.log(connection, "user enabled", by, "", user["name"])

    def remove(self, name: str, by: str = _BY_HAND) -> None:
        """Remove a user with sessions, keys and conversations; the audit log stays.

        Raises:
            LookupError: there is no such user.
            ValueError: no other admin would be left.
        """
        with self.database.write() as connection:
            user = _one(connection, name)
            _keep_an_admin(connection, user)
            connection.execute("DELETE FROM users WHERE id = ?", (user["id"],))
            self.database.log(connection, "user removed", by, "", user["name"])
        self.database.fold()

    def set_limits(
        self,
        name: str,
        requests_per_minute: int | None = None,
        tokens_per_day: int | None = None,
        at_once: int | None = None,
        by: str = _BY_HAND,
    ) -> None:
        """Give a user limits of their own; what is None is again what the role has.

        Raises:
            LookupError: there is no such user.
            ValueError: a limit is less than 1; who shall ask nothing is disabled.
        """
        limits = {
            "requests_per_minute": requests_per_minute,
            "tokens_per_day": tokens_per_day,
            "at_once": at_once,
        }
        for what, limit in limits.items():
            if limit is not None and not 1 <= limit < 2**53:
                raise ValueError(
                    f"{what} is {limit}; it has to be 1 or more: to shut a user out, disable them"
                )
        with self.database.write() as connection:
            user = _one(connection, name)
            connection.execute(
                "UPDATE users SET requests_per_minute = ?, tokens_per_day = ?, at_once = ? "
                "WHERE id = ?",
                (*limits.values(), user["id"]),
            )
            own = [f"{what} {limit}" for what, limit in limits.items() if limit]
            detail = f"{user['name']}: {', '.join(own) or 'of the role'}"
            self.database.log(connection, "limits changed", by, "", detail)

    def users(self) -> list[dict[str, Any]]:
        """All users by name.

        Returns:
            Records of ``id``, ``name``, ``role``, ``state`` (active, invited or disabled),
            ``created`` and ``signed_in`` (seconds since 1970, or None), and the user's own
            ``requests_per_minute``, ``tokens_per_day`` and ``at_once``, None where the role's hold.
        """
        with self.database.read() as connection:
            rows = connection.execute(
                "SELECT id, name, role, CASE WHEN disabled THEN 'disabled' "
                "WHEN password IS NULL THEN 'invited' ELSE 'active' END AS state, created, "
                "signed_in, requests_per_minute, tokens_per_day, at_once FROM users ORDER BY name"
            ).fetchall()
        return [dict(row) for row in rows]

    # the audit log

    def audit(
        self, what: str, who: str = "", where: str = "", detail: str = ""
    ) -> None:
        """Add a line to the audit log; arguments and errors are those of ``Database.log``."""
        with self.database.write() as connection:
            self.database.log(connection, what, who, where, detail)

    def audit_log(self, last: int = 100) -> list[dict[str, Any]]:
        """The last lines of the audit log, as ``Database.audit_log`` gives them."""
        return self.database.audit_log(last)


def _hash(secret: str) -> bytes:
    """Of 256 random bits a fast hash is enough: there is nothing to guess."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise ValueError(
            f"{plain(role, 40)!r} is no role; one of {', '.join(ROLES)} is"
        )


def _one(connection: sqlite3.Connection, name: str) -> sqlite3.Row:
    """The user of a name."""
    row = None
    if _NAME.fullmatch(name):
        row = connection.execute(
            "SELECT * FROM users WHERE name = ?", (name,)
        ).fetchone()
    if row is None:
        raise LookupError(f"{plain(name, 40)!r} has no account; see the list of users")
    return row


def _keep_an_admin(connection: sqlite3.Connection, user: sqlite3.Row) -> None:
    """See that an admin who can sign in is left without this user."""
    if user["role"] != "admin" or user["disabled"] or user["password"] is None:
        return  # who cannot sign in leaves nobody behind: a name that was typed wrong
    other = connection.execute(
        "SELECT 1 FROM users WHERE role = 'admin' AND NOT disabled "
        "AND password IS NOT NULL AND id != ?",
        (user["id"],),
    ).fetchone()
    if other is None:
        raise ValueError(
            f"{user['name']} is the last admin who can sign in; make another one first"
        )
