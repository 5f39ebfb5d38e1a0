"""Accounts by command, on the machine where they lie.

Whoever may read the file may do anything with it, so commands ask for no password: the machine's
own sign-in is the lock. They work while the server runs. What is secret is printed once, on
standard output, and is kept nowhere.
"""

import argparse
import getpass
import sqlite3
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from cosmosage.accounts.database import plain
from cosmosage.accounts.passwords import SHORTEST
from cosmosage.accounts.users import CODE_S, LABEL, ROLES, SECONDS_A_DAY, Accounts


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see {self.prog} --help")


def run(arguments: list[str], default_database: Path) -> int:
    """``users ...``, ``keys ...`` and ``audit``; what they do, ``--help`` says.

    Args:
        arguments: the command line from that word on.
        default_database: the file of accounts where ``--accounts`` names no other.

    Returns:
        0, or 2 after one sentence on standard error.
    """
    try:
        options = _parser(default_database).parse_args(arguments)
        if not options.makes_file and not options.accounts.is_file():
            raise ValueError(
                f"{options.accounts} is no file; name one with --accounts, or make it with "
                "users add NAME --role admin"
            )
        accounts = Accounts(options.accounts)
        try:
            options.action(accounts, options)
        finally:
            accounts.close()
    except (ValueError, LookupError, OSError, sqlite3.Error) as error:
        print(plain(str(error), 1000), file=sys.stderr)
        return 2
    return 0


def _parser(default_database: Path) -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--accounts",
        type=Path,
        default=default_database,
        metavar="FILE",
        help="of accounts (default: %(default)s)",
    )
    parser = _Parser(prog="python -m cosmosage.server")
    groups = parser.add_subparsers(required=True, metavar="users|keys|audit")

    def group(name: str, text: str) -> Any:
        made = groups.add_parser(name, help=text, description=text)
        return made.add_subparsers(required=True, metavar="ACTION")

    def command(
        within: Any,
        name: str,
        action: Callable[[Accounts, argparse.Namespace], None],
        text: str,
        subject: str | None = "name",
    ) -> argparse.ArgumentParser:
        made = within.add_parser(name, help=text, description=text, parents=[common])
        if subject:
            made.add_argument(subject, metavar=subject.upper())
        made.set_defaults(action=action, makes_file=action is _invite)
        return made

    users = group("users", "Who may ask.")
    made = command(users, "add", _invite, "Invite somebody; prints a code, once.")
    made.add_argument("--role", choices=ROLES, required=True)
    command(users, "list", _list_users, "All users.", None)
    made = command(users, "role", _set_role, "Give another role.")
    made.add_argument("role", choices=ROLES)
    text = "End password and sessions; prints a code for a new password, once."
    command(users, "reset", _reset, text)
    command(users, "disable", _disable, "Shut a user out and keep what is theirs.")
    command(users, "enable", _enable, "Let a user in again.")
    command(users, "remove", _remove, "Remove a user with keys and conversations.")
    text = "Give limits of their own; what is not named is again what the role has."
    made = command(users, "limit", _limit, text)
    for name in ("--requests-per-minute", "--tokens-per-day", "--at-once"):
        made.add_argument(name, type=int, metavar="N")

    keys = group("keys", "Keys for the API.")
    made = command(keys, "add", _new_key, "Make a key; prints it, once.")
    made.add_argument("--label", default="", help=f"what for, {LABEL} characters")
    made = command(keys, "list", _list_keys, "All keys, or a user's.", None)
    made.add_argument("name", metavar="NAME", nargs="?")
    command(keys, "revoke", _revoke_key, "End a key.", "prefix")

    made = command(groups, "audit", _audit, "What happened, the newest last.", None)
    made.add_argument("--last", type=int, default=100, metavar="N", help="lines")
    return parser


def _invite(accounts: Accounts, options: argparse.Namespace) -> None:
    code = accounts.invite(options.name, options.role, by=_by())
    print(f"{options.name} is invited as {options.role}.")
    _print_code(code, options.name)


def _reset(accounts: Accounts, options: argparse.Namespace) -> None:
    code = accounts.reset(options.name, by=_by())
    print(f"The password and all sessions of {options.name} have ended; keys have not.")
    _print_code(code, options.name)


def _print_code(code: str, name: str) -> None:
    print(f"Code, shown this once and good once, for {CODE_S // SECONDS_A_DAY} days:")
    print(f"\n    {code}\n")
    print(f"Send it to {name} by a way that nobody else reads. On the server's page")
    print(f"/invitation it sets a password of {SHORTEST} characters or more.")


def _list_users(accounts: Accounts, _options: argparse.Namespace) -> None:
    _table(
        ["name", "role", "state", "signed in", "requests/min", "tokens/day", "at once"],
        [
            [
                user["name"],
                user["role"],
                user["state"],
                _time(user["signed_in"]),
                user["requests_per_minute"] or "role's",
                user["tokens_per_day"] or "role's",
                user["at_once"] or "role's",
            ]
            for user in accounts.users()
        ],
    )


def _set_role(accounts: Accounts, options: argparse.Namespace) -> None:
    accounts.set_role(options.name, options.role, by=_by())
    print(f"{options.name} is {options.role} now.")


def _disable(accounts: Accounts, options: argparse.Namespace) -> None:
    accounts.disable(options.name, by=_by())
    print(f"{options.name} is disabled; sessions have ended.")


def _enable(accounts: Accounts, options: argparse.Namespace) -> None:
    accounts.enable(options.name, by=_by())
    print(f"{options.name} is enabled.")


def _remove(accounts: Accounts, options: argparse.Namespace) -> None:
    accounts.remove(options.name, by=_by())
    print(f"{options.name} is removed, with keys and conversations.")


def _limit(accounts: Accounts, options: argparse.Namespace) -> None:
    accounts.set_limits(
        options.name,
        options.requests_per_minute,
        options.tokens_per_day,
        options.at_once,
        by=_by(),
    )
    print(f"The limits of {options.name} are set; what was not named is the role's.")


def _new_key(accounts: Accounts, options: argparse.Namespace) -> None:
    key = accounts.new_key(options.name, options.label, by=_by())
    print(f"Key of {options.name}, shown this once:\n\n    {key}\n")
    print("The API takes it as a client's api_key (Authorization: Bearer).")


def _list_keys(accounts: Accounts, options: argparse.Namespace) -> None:
    _table(
        ["prefix", "name", "label", "made", "last used"],
        [
            [key.prefix, key.name, key.label, _time(key.created), _time(key.used)]
            for key in accounts.keys(options.name)
        ],
    )


def _revoke_key(accounts: Accounts, options: argparse.Namespace) -> None:
    accounts.revoke_key(options.prefix, by=_by())
    print(f"{options.prefix} is revoked.")


def _audit(accounts: Accounts, options: argparse.Namespace) -> None:
    columns = ["when", "what", "who", "where", "detail"]
    lines = accounts.audit_log(options.last)
    _table(
        columns,
        [
            [_time(line["when"], "seconds"), *(line[each] for each in columns[1:])]
            for line in lines
        ],
    )


def _by() -> str:
    """Who types: the name that this machine knows."""
    try:
        return f"command of {getpass.getuser()}"
    except (KeyError, OSError):  # a container's user may have no name
        return "command"


def _time(seconds: float | None, precision: str = "minutes") -> str:
    if seconds is None:
        return "never"
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return f"{moment.isoformat(' ', precision)} UTC"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns of text; every value is one line, since ``plain`` has been over what was typed."""
    lines = [[str(value) for value in row] for row in [head, *rows]]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print("  ".join(map(str.ljust, line, widths)).rstrip())
