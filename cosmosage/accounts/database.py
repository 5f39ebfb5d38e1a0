"""The file that holds accounts: SQLite, one file, for many threads and processes.

A lab has dozens of users, not millions, and a server that must be asked for accounts before it
can start is one more thing that fails at night; so accounts are a file. Write-ahead logging lets
pages be read while something is written, and a commit is on the disk when it returns: a key that
was revoked stays so through a power cut, for a few milliseconds each. The price is that the file
has to lie on a disk of this machine, for such a log doesn't work over a network.
"""

import os
import queue
import re
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cosmosage.documents import without_halves

VERSION = 1  # of the tables; a file of another version is refused and not guessed at
APPLICATION = (
    0x636F736D  # "cosm": tells our files from other programs' (SQLite's header)
)
BUSY_S = 10.0  # wait for another process's write; ours take milliseconds
DETAIL = 200  # characters of a field of the audit log
SECONDS_A_DAY = 86400

EVENTS = frozenset(
    "sign-in, sign-in failed, locked out, sign-out, invitation, reset, password set, key made, "
    "key revoked, role changed, limits changed, user disabled, user enabled, user removed, "
    "access refused, limit hit, conversation exported, conversation removed".split(", ")
)
"""What the audit log may say happened; a slip in a name would hide lines from who looks for it."""

_SECRET = re.compile(r"[0-9a-f]{64}")
"""How each of our codes, tokens and keys ends: none is written, wherever it was passed."""

_TABLES = """
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: it owns conversations
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    role TEXT NOT NULL CHECK (role IN ('reader', 'member', 'admin')),
    password TEXT, -- argon2's own form; NULL until an invitation is accepted
    disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created REAL NOT NULL,
    signed_in REAL,
    requests_per_minute INTEGER, -- NULL in these three: what the role has
    tokens_per_day INTEGER,
    at_once INTEGER
);
CREATE TABLE codes (
    user INTEGER NOT NULL UNIQUE REFERENCES users ON DELETE CASCADE,
    hash BLOB PRIMARY KEY,
    expires REAL NOT NULL
);
CREATE TABLE sessions (
    hash BLOB PRIMARY KEY,
    user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    created REAL NOT NULL,
    used REAL NOT NULL
);
CREATE INDEX sessions_user ON sessions (user);
CREATE TABLE keys (
    hash BLOB PRIMARY KEY,
    prefix TEXT NOT NULL UNIQUE,
    user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    label TEXT NOT NULL,
    created REAL NOT NULL,
    used REAL
);
CREATE INDEX keys_user ON keys (user);
CREATE TABLE places (
    user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    place TEXT NOT NULL,
    used REAL NOT NULL,
    PRIMARY KEY (user, place)
);
CREATE TABLE spending (
    user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    day INTEGER NOT NULL, -- since 1970, UTC
    tokens INTEGER NOT NULL,
    PRIMARY KEY (user, day)
);
CREATE TABLE conversations (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    title TEXT NOT NULL,
    created REAL NOT NULL,
    changed REAL NOT NULL
);
CREATE INDEX conversations_owner ON conversations (owner, changed);
CREATE TABLE messages (
    number INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    content TEXT NOT NULL,
    sources TEXT NOT NULL, -- JSON
    unsupported TEXT NOT NULL, -- JSON
    written REAL NOT NULL
);
CREATE INDEX messages_conversation ON messages (conversation);
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    moment REAL NOT NULL,
    what TEXT NOT NULL,
    who TEXT NOT NULL,
    place TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is not changed'); END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is not shortened'); END;
CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'the audit log is not changed'); END;
"""


class Database:
    """The tables, open for any number of threads; each borrows a connection and gives it back."""

    def __init__(self, path: Path | str, now: Callable[[], float] = time.time):
        """Open a file of accounts; one that is missing is made, readable by its owner alone.

        Args:
            path: on a disk of this machine.
            now: seconds since 1970.

        Raises:
            PermissionError: others may read the file.
            ValueError: the file is no database of accounts, or of another version.
        """
        self.path, self.now = Path(path), now
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._own()
        try:
            with self.write() as connection:
                self._prepare(connection)
        except (sqlite3.DatabaseError, ValueError) as error:
            self.close()
            if isinstance(error, (sqlite3.OperationalError, ValueError)):
                raise  # such as: the disk is full, or another process holds it
            raise ValueError(
                f"{path} is no database of accounts ({error}); name another file, or restore "
                "it from a copy"
            ) from error

    def _own(self) -> None:
        """Make the file before SQLite does: its log and its index take the file's mode."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & 0o077:
            raise PermissionError(
                f"{self.path} has mode {mode:o} and holds hashes of passwords, wanted is 600; "
                f"see who read it, then: chmod 600 {self.path}"
            )

    def _prepare(self, connection: sqlite3.Connection) -> None:
        def header(name: str) -> int:
            return connection.execute(f"PRAGMA {name}").fetchone()[0]

        version, application = header("user_version"), header("application_id")
        if not header("schema_version"):  # no table yet
            for statement in re.split(r";\n(?=CREATE|$)", _TABLES):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        elif application != APPLICATION:
            raise ValueError(
                f"{self.path} is another program's database; name another file"
            )
        elif version != VERSION:
            raise ValueError(
                f"{self.path} holds accounts of version {version} and this program reads "
                f"version {VERSION}; use the program that wrote it"
            )

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, BUSY_S, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "secure_delete = ON",  # what is removed is overwritten
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection to ask; it waits for no writer."""
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._open()
        try:
            yield connection
        finally:
            self._idle.put(connection)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A connection to change with: all of it is on the disk at the end, or none of it.

        Raises:
            sqlite3.OperationalError: another process has written for longer than ``BUSY_S``.
        """
        with self.read() as connection:
            connection.execute("BEGIN IMMEDIATE")  # what is read in it stays true in it
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def fold(self) -> None:
        """Empty the log into the file, so that it holds no more of what was removed.

        While another process reads what was there before, the log keeps it until later.
        """
        with self.read() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close what nobody uses; the last of all processes folds the log into the file."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return

    def log(
        self,
        connection: sqlite3.Connection,
        what: str,
        who: str = "",
        where: str = "",
        detail: str = "",
    ) -> None:
        """Add a line to the audit log, in the transaction of what it tells.

        Args:
            what: one of ``EVENTS``.
            who: did it: a user's name, or ``command`` for who may log in on this machine.
            where: the address that it came from.
            detail: a fact or two, at most ``DETAIL`` characters; never a secret or a question.

        Raises:
            ValueError: there is no such event.
        """
        if what not in EVENTS:
            raise ValueError(f"{what!r} is no event; one of {sorted(EVENTS)} is")
        connection.execute(
            "INSERT INTO audit (moment, what, who, place, detail) VALUES (?, ?, ?, ?, ?)",
            (self.now(), what, *map(plain, (who, where, detail))),
        )

    def audit_log(self, last: int = 100) -> list[dict[str, Any]]:
        """The last lines of the audit log, oldest first.

        Returns:
            Records of ``when`` (seconds since 1970), ``what``, ``who``, ``where``, ``detail``.
        """
        with self.read() as connection:
            lines = connection.execute(
                'SELECT moment AS "when", what, who, place AS "where", detail FROM audit '
                "ORDER BY number DESC LIMIT ?",
                (max(last, 0),),
            ).fetchall()
        return [dict(line) for line in reversed(lines)]


def plain(text: str, length: int = DETAIL) -> str:
    """One line without control characters and secrets, cut to a length."""
    text = without_halves(_SECRET.sub("(secret)", text))
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(text.split())[:length]
