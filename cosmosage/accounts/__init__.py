"""Who may ask, how much, and what they asked.

One SQLite file, no service beside it and no web framework in it: what is decided here is decided
the same for the page, the API and the commands, and can be tested without a browser. Every secret
that is given out has 256 random bits, is shown once and is kept as a hash, so a stolen copy of
the file opens no session; a question's text is seen by whoever asked it, and is in no log. What
that doesn't do is keep a conversation from who may read the file: the machine's own keepers.
"""

from cosmosage.accounts.conversations import Conversation, Conversations, Message
from cosmosage.accounts.database import EVENTS, Database
from cosmosage.accounts.limits import Gate, Limits, Refused, Ticket
from cosmosage.accounts.lockout import Locked
from cosmosage.accounts.users import ROLES, Accounts, Denied, Key, User

__all__ = [
    "EVENTS",
    "ROLES",
    "Accounts",
    "Conversation",
    "Conversations",
    "Database",
    "Denied",
    "Gate",
    "Key",
    "Limits",
    "Locked",
    "Message",
    "Refused",
    "Ticket",
    "User",
]
