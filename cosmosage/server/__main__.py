"""``python -m cosmosage.server --model DIR``: serve; ``plan``: memory; ``users``, ``keys``,
``audit``: accounts.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from cosmosage.accounts.commands import run as keep_accounts

ACCOUNTS = Path("data/accounts.sqlite")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C, plan, or do what is to be done to accounts; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in ("users", "keys", "audit"):
        return keep_accounts(given, ACCOUNTS)
    # pylint: disable-next=import-outside-toplevel  # ten seconds, which accounts need not wait for
    from cosmosage.server import command

    if given and given[0] == "plan":
        return command.plan(given[1:])
    return command.serve_until_stopped(given, ACCOUNTS)


if __name__ == "__main__":
    sys.exit(main())
