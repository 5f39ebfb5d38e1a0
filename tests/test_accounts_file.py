"""The file of accounts: what a thief has of it, what its log keeps, who writes at once."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from lodgers import CAFE, HOME, PASSWORD, Clock, fail, in_threads, join, opened

from cosmosage.accounts import Accounts
from cosmosage.accounts.database import EVENTS, Database

ROOT = Path(__file__).resolve().parent.parent


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


# the audit log


def test_the_audit_log_tells_who_did_what(accounts, clock):
    join(accounts, "ada", "admin")
    join(accounts, "bob", "member")
    token = accounts.sign_in("ada", PASSWORD, HOME)
    accounts.sign_out(token, HOME)
    fail(accounts, "bob", CAFE, 5)
    accounts.sign_in("ada", PASSWORD, HOME)
    prefix = accounts.new_key("bob", by="ada")[:18]
    accounts.revoke_key(prefix, by="ada")
    accounts.set_role("bob", "reader", by="ada")
    accounts.set_limits("bob", tokens_per_day=5, by="ada")
    accounts.reset("bob", by="ada")
    accounts.disable("bob")
    accounts.enable("bob")
    accounts.remove("bob")
    accounts.audit("access refused", "bob", CAFE, "GET /admin")
    lines = [
        (line["what"], line["who"], line["where"], line["detail"])
        for line in accounts.audit_log()
    ]
    assert lines == [
        ("invitation", "command", "", "ada as admin"),
        ("password set", "ada", "", ""),
        ("invitation", "command", "", "bob as member"),
        ("password set", "bob", "", ""),
        ("sign-in", "ada", HOME, ""),
        ("sign-out", "ada", HOME, ""),
        *[("sign-in failed", "bob", CAFE, "")] * 5,
        ("locked out", "bob", CAFE, "15 s"),
        ("sign-in", "ada", HOME, ""),
        ("key made", "ada", "", f"{prefix} of bob"),
        ("key revoked", "ada", "", f"{prefix} of bob"),
        ("role changed", "ada", "", "bob: member to reader"),
        ("limits changed", "ada", "", "bob: tokens_per_day 5"),
        ("reset", "ada", "", "bob"),
        ("user disabled", "command", "", "bob"),
        ("user enabled", "command", "", "bob"),
        ("user removed", "command", "", "bob"),
        ("access refused", "bob", CAFE, "GET /admin"),
    ]
    assert {line["when"] for line in accounts.audit_log()} == {clock.time}
    assert [line["what"] for line in accounts.audit_log(2)] == [
        "user removed",
        "access refused",
    ]


def test_the_audit_log_can_only_grow(accounts):
    accounts.audit("sign-in", "ada")
    before = accounts.audit_log()
    for statement in (
        "UPDATE audit SET who = 'eve'",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit VALUES (1, 0, 'sign-in', 'eve', '', '')",
        "REPLACE INTO audit VALUES (1, 0, 'sign-in', 'eve', '', '')",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="audit log is not"):
            with accounts.database.write() as connection:
                connection.execute(statement)
    assert accounts.audit_log() == before


def test_a_line_of_the_log_is_one_line_without_secrets(accounts):
    join(accounts)
    key = accounts.new_key("ada")
    accounts.audit("sign-in", "a\nb", "\x1b[2J\ud800", f"Bearer {key} {'x' * 500}")
    line = accounts.audit_log(1)[0]
    assert line["who"] == "a b" and line["where"] == "[2J?"
    assert line["detail"].startswith("Bearer cosmosage-(secret) xxx")
    assert len(line["detail"]) == 200
    with pytest.raises(ValueError, match="'signin' is no event"):
        accounts.audit("signin")
    assert "sign-in" in EVENTS


def test_a_password_typed_as_a_name_is_not_kept(accounts):
    fail(accounts, "my secret password", CAFE, 5)
    accounts.close()
    assert b"my secret password" not in everything(accounts.database.path)
    assert {line["detail"] for line in accounts.audit_log()} == {"unknown name", "15 s"}


# the file


def everything(path):
    """The bytes of a database with its log and index, as a thief would have them."""
    return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))


@pytest.mark.parametrize("closed", [False, True])
def test_who_steals_the_file_has_no_secret(accounts, closed):
    used, open_code = accounts.invite("ada", "admin"), accounts.invite("bob", "reader")
    accounts.accept(used, PASSWORD)
    token, key = accounts.sign_in("ada", PASSWORD, HOME), accounts.new_key("ada")
    reset = accounts.reset("bob")
    if closed:
        accounts.close()
    raw = everything(accounts.database.path)
    assert b"ada" in raw and key[:18].encode() in raw
    for secret in (PASSWORD, used, open_code, token, key, reset):
        for form in (secret.encode(), secret[-64:].encode(), secret.encode("utf-16le")):
            assert form not in raw
        if len(secret) >= 64:
            assert bytes.fromhex(secret[-64:]) not in raw
            assert secret[18:50].encode() not in raw


def test_the_file_and_its_log_are_its_owners_alone(tmp_path):
    before = os.umask(0)
    try:
        accounts = Accounts(tmp_path / "new" / "accounts.sqlite")
        join(accounts)
    finally:
        os.umask(before)
    files = list((tmp_path / "new").iterdir())
    assert len(files) == 3  # the database, its log, its index
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    accounts.close()
    accounts.database.path.chmod(0o640)
    with pytest.raises(PermissionError, match="mode 640 .* chmod 600"):
        Accounts(accounts.database.path)


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "letter"
    path.write_text("Dear Sir or Madam, " * 500)
    path.chmod(0o600)
    with pytest.raises(ValueError, match="is no database of accounts"):
        Database(path)
    assert path.read_text().startswith("Dear Sir")
    path = tmp_path / "recipes"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (soup TEXT)")
    connection.close()
    path.chmod(0o600)
    with pytest.raises(ValueError, match="another program's"):
        Database(path)
    path = tmp_path / "accounts"
    database = Database(path)
    with database.write() as connection:
        connection.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(ValueError, match="version 2 and this program reads version 1"):
        Database(path)


def test_many_threads_write_at_once(accounts):
    user = join(accounts)
    tokens = []

    def work(number):
        token = accounts.sign_in("ada", PASSWORD, HOME)
        tokens.append(token)
        accounts.audit("access refused", "ada", "", str(number))
        assert accounts.user_of_session(token) == user

    in_threads(work, 30)
    assert len(set(tokens)) == 30
    told = [
        line["detail"]
        for line in accounts.audit_log(1000)
        if line["what"] == "access refused"
    ]
    assert sorted(map(int, told)) == list(range(30))


WRITER = """
    import sys
    sys.path.insert(0, {root!r})
    from cosmosage.accounts import Accounts
    accounts = Accounts({path!r})
    print("open", flush=True)
    for number in range({count}):
        accounts.audit("access refused", "{name}", "", str(number))
        print(number, flush=True)
"""


def writer(path, name, count):
    """A process that writes numbered lines and reports each."""
    code = WRITER.format(root=str(ROOT), path=str(path), name=name, count=count)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )


def test_processes_share_a_file_that_none_of_them_found(tmp_path):
    path = tmp_path / "accounts"
    with writer(path, "a", 100) as one, writer(path, "b", 100) as two:
        one.communicate()
        two.communicate()
    assert (one.returncode, two.returncode) == (0, 0)
    lines = Database(path).audit_log(1000)
    for name in "ab":
        told = [int(line["detail"]) for line in lines if line["who"] == name]
        assert told == list(range(100))


def test_a_change_by_one_process_is_seen_by_another_at_once(accounts):
    join(accounts, "ada")
    join(accounts, "bob", "admin")
    token = accounts.sign_in("ada", PASSWORD, HOME)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from cosmosage.accounts import Accounts; "
        f"Accounts({str(accounts.database.path)!r}).disable('ada')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert accounts.user_of_session(token) is None


@pytest.mark.parametrize("written", [1, 40, 90])
def test_a_killed_writer_leaves_a_whole_file_with_all_that_it_reported(
    tmp_path, written
):
    path = tmp_path / "accounts"
    with writer(path, "a", 10**6) as process:
        last = -1
        for line in process.stdout:
            if line.strip().isdigit():
                last = int(line)
            if last >= written:
                break
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
    reported = max([last, *(int(each) for each in rest)])
    database = Database(path)
    with database.read() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    told = [int(line["detail"]) for line in database.audit_log(10**6)]
    assert told == list(range(len(told))) and len(told) > reported
    database.audit_log()
    database.close()
