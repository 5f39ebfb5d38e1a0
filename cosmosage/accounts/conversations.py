"""Conversations, each of which its owner alone can read.

The owner's id is in the WHERE of every statement and not in a check before it: a query that
forgets who asks doesn't find the wrong conversation, it finds none. A conversation of another and
one that never was are answered alike, so that nothing can be learnt by asking for either.
"""

import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cosmosage.accounts import exports
from cosmosage.accounts.database import Database, plain
from cosmosage.documents import marked, without_halves

MESSAGES = 500  # of a conversation; a model reads the last few, a page draws the end
CHARACTERS = 100_000  # of a message: twelve questions of the longest kind
SOURCES = 400_000  # characters of JSON: 20 passages of 1,500, were each escaped sixfold, and titles
CONVERSATIONS = 1000  # of a user; then the one longest untouched goes
TITLE = 200  # characters


@dataclass(frozen=True)
class Conversation:
    """What a list of conversations shows; times in seconds since 1970."""

    id: str
    title: str
    created: float
    changed: float


@dataclass(frozen=True)
class Message:
    """A question (role ``user``) or an answer (``assistant``) with its sources."""

    role: str
    content: str
    sources: list[dict[str, Any]]
    unsupported: list[int]
    """Where sentences of an answer end that no source supports: characters of its content."""
    written: float


class Conversations:
    """All users' conversations; ``owner`` is everywhere the id of the user who asks."""

    def __init__(self, database: Database):
        """
        Args:
            database: that of the accounts.
        """
        self._database = database

    def new(self, owner: int, title: str) -> str:
        """Begin a conversation; of more than ``CONVERSATIONS`` the one longest untouched goes.

        Args:
            title: one line; longer than ``TITLE`` characters it is cut.

        Returns:
            Its id, which cannot be guessed.

        Raises:
            LookupError: there is no such user.
        """
        key, now = secrets.token_hex(16), self._database.now()
        with self._database.write() as connection:
            made = connection.execute(
                "INSERT INTO conversations (id, owner, title, created, changed) "
                "SELECT ?, id, ?, ?, ? FROM users WHERE id = ?",
                (key, plain(title, TITLE), now, now, owner),
            )
            if not made.rowcount:
                raise LookupError("There is no such user.")
            connection.execute(
                "DELETE FROM conversations WHERE owner = ?1 AND number IN (SELECT number "
                "FROM conversations WHERE owner = ?1 "
                "ORDER BY changed DESC, number DESC LIMIT -1 OFFSET ?2)",
                (owner, CONVERSATIONS),
            )
        return key

    def add(
        self,
        owner: int,
        key: str,
        role: str,
        content: str,
        sources: Sequence[dict[str, Any]] = (),
        *,
        unsupported: Sequence[int] = (),
    ) -> None:
        """Add a message at the end.

        Args:
            key: the conversation's id.
            role: ``user`` or ``assistant``.
            content: as it was typed or written, at most ``CHARACTERS``; it is not made harmless
                here, since whoever shows it has to do that.
            sources: number 1 first, each with the fields of ``retrieval.Passage``.
            unsupported: where sentences of it end that no source supports.

        Raises:
            LookupError: the owner has no such conversation.
            ValueError: the role is none, the message too long or the conversation full.
        """
        if role not in ("user", "assistant"):
            raise ValueError(f"{role!r:.40} is no role; user or assistant is")
        told = json.dumps(list(sources))
        if len(content) > CHARACTERS or len(told) > SOURCES:
            raise ValueError(
                f"the message has {len(content)} characters and {len(told)} of sources; at most "
                f"{CHARACTERS} and {SOURCES} are kept"
            )
        now = self._database.now()
        with self._database.write() as connection:
            number = _number(connection, owner, key)
            written = connection.execute(
                "INSERT INTO messages (conversation, role, content, sources, unsupported, written) "
                "SELECT number, ?, ?, ?, ?, ? FROM conversations WHERE number = ? AND owner = ? "
                "AND (SELECT count(*) FROM messages WHERE conversation = conversations.number) < ?",
                (
                    role,
                    without_halves(content),
                    told,
                    json.dumps(list(unsupported)),
                    now,
                    number,
                    owner,
                    MESSAGES,
                ),
            )
            if not written.rowcount:
                raise ValueError(
                    f"this conversation has {MESSAGES} messages, as many as one may; begin another"
                )
            connection.execute(
                "UPDATE conversations SET changed = ? WHERE number = ? AND owner = ?",
                (now, number, owner),
            )

    def get(self, owner: int, key: str) -> Conversation:
        """A conversation without its messages.

        Raises:
            LookupError: the owner has no such conversation.
        """
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT id, title, created, changed FROM conversations "
                "WHERE id = ? AND owner = ?",
                (without_halves(key), owner),
            ).fetchone()
        if row is None:
            raise _missing()
        return Conversation(**row)

    def messages(self, owner: int, key: str) -> list[Message]:
        """The messages of a conversation, oldest first.

        Raises:
            LookupError: the owner has no such conversation.
        """
        with self._database.read() as connection:
            number = _number(connection, owner, key)
            rows = connection.execute(
                "SELECT role, content, sources, unsupported, written FROM messages "
                "WHERE conversation = (SELECT number FROM conversations "
                "WHERE number = ? AND owner = ?) ORDER BY number",
                (number, owner),
            ).fetchall()
        return [
            Message(
                row["role"],
                row["content"],
                json.loads(row["sources"]),
                json.loads(row["unsupported"]),
                row["written"],
            )
            for row in rows
        ]

    def list(self, owner: int, last: int = 50) -> list[Conversation]:
        """The conversations of a user that were touched last, the newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT id, title, created, changed FROM conversations WHERE owner = ? "
                "ORDER BY changed DESC, number DESC LIMIT ?",
                (owner, max(last, 0)),
            ).fetchall()
        return [Conversation(**row) for row in rows]

    def rename(self, owner: int, key: str, title: str) -> None:
        """Give a conversation another title, cut as that of ``new``.

        Raises:
            LookupError: the owner has no such conversation.
        """
        with self._database.write() as connection:
            done = connection.execute(
                "UPDATE conversations SET title = ? WHERE id = ? AND owner = ?",
                (plain(title, TITLE), without_halves(key), owner),
            )
            if not done.rowcount:
                raise _missing()

    def remove(self, owner: int, key: str) -> None:
        """Remove a conversation; its bytes on the disk are overwritten.

        Raises:
            LookupError: the owner has no such conversation.
        """
        with self._database.write() as connection:
            done = connection.execute(
                "DELETE FROM conversations WHERE id = ? AND owner = ?",
                (without_halves(key), owner),
            )
            if not done.rowcount:
                raise _missing()
            self._log(connection, owner, "conversation removed")
        self._database.fold()

    def as_markdown(self, owner: int, key: str, mark: str = "") -> str:
        """A conversation as Markdown: questions, answers, numbered sources, links, licences.

        Args:
            mark: is put behind sentences that no source supports.

        Raises:
            LookupError: the owner has no such conversation.
        """
        told = self.get(owner, key)
        text = exports.markdown(
            told.title,
            told.created,
            [
                (
                    each.role,
                    marked(each.content, each.unsupported, mark),
                    each.sources,
                )
                for each in self.messages(owner, key)
            ],
        )
        return self._exported(owner, "Markdown", text)

    def as_bibtex(self, owner: int, key: str) -> str:
        """What the answers of a conversation had before them, as BibTeX, each record once.

        Raises:
            LookupError: the owner has no such conversation.
        """
        sources = [
            source for each in self.messages(owner, key) for source in each.sources
        ]
        return self._exported(owner, "BibTeX", exports.bibtex(sources))

    def _exported(self, owner: int, form: str, text: str) -> str:
        with self._database.write() as connection:
            self._log(connection, owner, "conversation exported", form)
        return text

    def _log(
        self, connection: sqlite3.Connection, owner: int, what: str, detail: str = ""
    ) -> None:
        row = connection.execute(
            "SELECT name FROM users WHERE id = ?", (owner,)
        ).fetchone()
        self._database.log(connection, what, row["name"] if row else "", "", detail)


def _number(connection: sqlite3.Connection, owner: int, key: str) -> int:
    row = connection.execute(
        "SELECT number FROM conversations WHERE id = ? AND owner = ?",
        (without_halves(key), owner),
    ).fetchone()
    if row is None:
        raise _missing()
    return row["number"]


def _missing() -> LookupError:
    """The same for another's conversation and for none."""
    return LookupError("There is no such conversation; see the list of yours.")
