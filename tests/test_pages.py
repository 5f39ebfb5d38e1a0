"""What a page of the chat may ask for, what is kept for it, and that nobody else pays for it."""

import threading
from collections.abc import Iterator

import pytest

from cosmosage.assistant import Assistant
from cosmosage.server import door
from cosmosage.server.app import UNREAD
from tests.lab import Lab, Scripted, lab, until
from tests.test_hostile import functions, heard, join


@pytest.fixture(name="place", scope="module")
def served(tmp_path_factory) -> Iterator[Lab]:
    """One server for all."""
    with lab(tmp_path_factory.mktemp("pages"), Assistant(Scripted(), None)) as place:
        yield place


def test_what_no_page_asks_prints_nothing(place, capfd):
    """Too few values, none, a list, a conversation that is not listed: a server's output is not
    filled by whoever sends such things, nor does it repeat them."""
    with place.browser("mo") as client:
        for number, act in enumerate(functions(client).values()):
            page, many = f"odd-{number}", len(act["inputs"])
            for data in ([], ["secret"] * many, [{"a": 1}] * many, [1] * 9, "x", None):
                body = {"data": data, "fn_index": act["id"], "session_hash": page}
                queue = "queue/join" if act["queue"] else "run/predict"
                answer = client.post(f"/chat/gradio_api/{queue}", json=body)
                assert answer.status_code in (200, 400, 404), answer.text
                if act["queue"] and answer.status_code == 200:
                    heard(client, page)
    output = "".join(capfd.readouterr())
    assert "Traceback" not in output and "secret" not in output


def test_what_a_page_does_not_read_is_bounded(place):
    """Each unread answer is kept with its whole conversation."""
    with place.browser("mo") as client:
        chat = functions(client)["chat"]
        for _ in range(UNREAD):
            assert join(client, "unread", chat, ["", None]).status_code == 200
        refused = join(client, "unread", chat, ["", None])
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
        heard(client, "unread")
        assert join(client, "unread", chat, ["", None]).status_code == 200


def test_many_pages_of_one_user_end_nobodys_answer(place):
    """The library remembers some pages and forgets the rest: here not one that is being read."""
    go_on = threading.Event()

    def waits(_: list[dict]) -> Iterator[str]:
        yield "It "
        go_on.wait(60)
        yield "expands."

    engine = place.service.assistant.engine
    before, engine.say = engine.say, waits
    told: list[dict] = []
    with place.browser("rita") as reader, place.browser("mia") as other:
        chat = functions(reader)["chat"]
        join(reader, "reading", chat, ["Does it?", None])
        thread = threading.Thread(target=lambda: told.extend(heard(reader, "reading")))
        thread.start()
        until(lambda: engine.writings)
        codes = [
            join(other, f"new-{n}", chat, ["", None]).status_code
            for n in range(door.NEW + 5)
        ]
        assert codes == [200] * door.NEW + [429] * 5
        go_on.set()
        thread.join(30)
    engine.say = before
    assert told[-1]["msg"] == "close_stream" and "expands." in str(told)
