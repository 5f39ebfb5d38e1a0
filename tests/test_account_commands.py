"""Accounts by command: what is printed, what is not, and what a slip costs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cosmosage.accounts import Accounts, Denied
from cosmosage.accounts.commands import run

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "the sky is dark at night"


@pytest.fixture(name="do")
def a_command(tmp_path, capsys):
    """Run a command on a file of accounts; give its lines, or its error's."""

    def do(*arguments, code=0):
        assert run(list(arguments), tmp_path / "accounts") == code
        out, error = capsys.readouterr()
        if code:
            assert out == "" and error.count("\n") == 1 and "Traceback" not in error
        else:
            assert error == ""
        return error if code else out

    return do


@pytest.fixture(name="accounts")
def the_accounts(tmp_path):
    """The same file, as a running server has it open."""
    accounts = Accounts(tmp_path / "accounts")
    yield accounts
    accounts.close()


def code_in(text):
    """The code that was printed."""
    found = re.findall(r"^    ([0-9a-f]{64})$", text, re.MULTILINE)
    assert len(found) == 1
    return found[0]


def test_from_invitation_to_removal(do, accounts):
    said = do("users", "add", "ada", "--role", "admin")
    assert "ada is invited as admin" in said and "/invitation" in said
    accounts.accept(code_in(said), PASSWORD)
    do("users", "add", "bob", "--role", "reader")
    token = accounts.sign_in("ada", PASSWORD, "")
    lines = do("users", "list").splitlines()
    assert len(lines) == 3
    assert re.match(
        r"ada   admin   active   \d{4}-\d\d-\d\d \d\d:\d\d UTC  role's", lines[1]
    )
    assert re.match(r"bob   reader  invited  never  ", lines[2])
    do("users", "role", "bob", "member")
    do("users", "limit", "bob", "--requests-per-minute", "5", "--at-once", "2")
    assert re.search(r"bob   member .* never\s+5\s+role's\s+2\n", do("users", "list"))
    do("users", "limit", "bob")
    assert re.search(r"bob .* never\s+role's\s+role's\s+role's\n", do("users", "list"))
    do("users", "disable", "bob")
    assert "disabled" in do("users", "list")
    do("users", "enable", "bob")
    code = code_in(do("users", "reset", "ada"))
    assert accounts.user_of_session(token) is None  # the server sees it at once
    with pytest.raises(Denied):
        accounts.sign_in("ada", PASSWORD, "")
    accounts.accept(code, "another password")
    do("users", "remove", "bob")
    assert [user["name"] for user in accounts.users()] == ["ada"]


def test_keys_are_printed_once(do, accounts):
    do("users", "add", "ada", "--role", "member")
    do("users", "add", "bob", "--role", "member")
    said = do("keys", "add", "ada", "--label", "laptop")
    (key,) = re.findall(r"cosmosage-[0-9a-f]{64}", said)
    do("keys", "add", "bob")
    assert accounts.user_of_key(key).name == "ada"
    listed, mine = do("keys", "list"), do("keys", "list", "ada")
    assert len(listed.splitlines()) == 3 and len(mine.splitlines()) == 2
    assert re.search(rf"{key[:18]}  ada   laptop  2.* UTC  2.* UTC\n", mine)
    do("keys", "revoke", key[:18])
    assert accounts.user_of_key(key) is None
    for text in (listed, mine, do("keys", "list"), do("audit")):
        assert not re.search(r"[0-9a-f]{20}", text)


def test_the_log_says_who_typed_and_the_newest_last(do, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "keeper")
    do("users", "add", "ada", "--role", "member")
    do("users", "disable", "ada")
    lines = do("audit").splitlines()
    assert lines[0].split() == ["when", "what", "who", "where", "detail"]
    assert re.search(
        r":\d\d UTC  invitation     command of keeper .* ada as member$", lines[1]
    )
    assert lines[2].endswith("ada")
    assert do("audit", "--last", "1").splitlines()[1:] == lines[2:]

    def nameless():
        raise KeyError("uid")

    monkeypatch.setattr("getpass.getuser", nameless)
    do("users", "enable", "ada")
    assert " command  " in do("audit", "--last", "1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "users|keys|audit"),
        ("users", "ACTION"),
        ("users list", "is no file; name one with --accounts"),
        ("audit", "is no file"),
        ("users add ada", "--role"),
        ("users add ada --role root", "invalid choice: 'root'"),
        ("users add ädä --role reader", "'ädä' is no name"),
        ("users add a;drop --role reader", "is no name"),
        ("users add ada --role reader --role2 x", "unrecognized arguments"),
        ("users list --accounts /dev/null/x", "is no file"),
        ("users add ada --role reader --accounts /dev/null/x", "/dev/null"),
        ("users limit ada --at-once many", "invalid int value"),
    ],
)
def test_a_slip_is_one_sentence_and_makes_no_file(do, tmp_path, arguments, said):
    assert said in do(*arguments.split(), code=2)
    if "no name" not in said:
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("users add ADA --role reader", "has an account"),
        ("users remove bob", "'bob' has no account"),
        ("users remove %", "has no account"),
        ("users remove ada", "last admin"),
        ("users disable ada", "last admin"),
        ("users role ada reader", "last admin"),
        ("users limit ada --tokens-per-day 0", "tokens_per_day is 0"),
        ("keys add bob", "'bob' has no account"),
        ("keys list bob", "'bob' has no account"),
        ("keys revoke cosmosage-00000000", "cosmosage-00000000 begins no key"),
    ],
)
def test_what_cannot_be_done_is_said_and_not_done(do, accounts, arguments, said):
    accounts.accept(accounts.invite("ada", "admin"), PASSWORD)
    before = accounts.users(), accounts.audit_log()
    assert said in do(*arguments.split(), code=2)
    assert (accounts.users(), accounts.audit_log()) == before


def test_a_key_that_is_pasted_whole_is_not_repeated(do):
    do("users", "add", "ada", "--role", "member")
    key = re.search(r"cosmosage-[0-9a-f]{64}", do("keys", "add", "ada"))[0]
    said = do("keys", "revoke", key, code=2)
    assert key not in said and key[:18] in said
    assert key not in do("users", "remove", key, code=2)


def test_a_file_that_others_can_read_is_refused(do, tmp_path):
    do("users", "add", "ada", "--role", "admin")
    (tmp_path / "accounts").chmod(0o644)
    assert "chmod 600" in do("users", "list", code=2)


def test_help_names_every_command(capsys, tmp_path):
    for group, names in {
        "users": "add list role reset disable enable remove limit",
        "keys": "add list revoke",
    }.items():
        with pytest.raises(SystemExit) as ended:
            run([group, "--help"], tmp_path / "accounts")
        assert ended.value.code == 0
        out = capsys.readouterr().out
        for name in names.split():
            assert re.search(rf"^ +{name} ", out, re.MULTILINE)


def test_no_model_is_loaded_for_a_command(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path; "
        "from cosmosage.accounts.commands import run; "
        f"run(['users', 'add', 'ada', '--role', 'admin'], Path({str(tmp_path / 'a')!r})); "
        "assert not {'torch', 'gradio', 'fastapi'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_admin_whose_name_was_typed_wrong_is_removed(do, accounts):
    """Nobody who can sign in is lost with who never came."""
    do("users", "add", "veraa", "--role", "admin")
    do("users", "remove", "veraa")
    assert accounts.users() == []
