"""The interface for programs, asked by OpenAI's own client."""

import asyncio
import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from cosmosage import models, retrieval
from cosmosage.assistant import Assistant
from cosmosage.documents import write_jsonl
from cosmosage.engines import Sampling, open_engine
from cosmosage.server.api import BROKEN, SHUT_OUT
from tests.lab import Lab, Scripted, lab, resting, until
from tests.wordy import wordy_model

QUESTION = "How long is the sound horizon?"
RECORD = {
    "id": "arxiv:2401.00001v1",
    "text": "The sound horizon is 147 Mpc.",
    "title": "On the <b>horizon</b>",
    "authors": ["A. Author", "B. Author"],
    "year": 2024,
    "licence": "http://creativecommons.org/licenses/by/4.0/",
    "url": "https://arxiv.org/abs/2401.00001v1",
}


@pytest.fixture(name="folder", scope="module")
def model_and_index(tmp_path_factory):
    """A folder with a tiny model that writes words, and an index of one document."""
    folder = tmp_path_factory.mktemp("api")
    wordy_model(folder / "model")
    write_jsonl(folder / "train.jsonl", [RECORD])
    retrieval.build([folder / "train.jsonl"], folder / "index")
    return folder


@pytest.fixture(name="place", scope="module")
def served(folder) -> Iterator[Lab]:
    """A server with the tiny model."""
    engine = open_engine("transformers", folder / "model", users=4)
    index = retrieval.Index.load(folder / "index")
    with lab(folder, Assistant(engine, index, 24)) as place:
        yield place


@pytest.fixture(name="script", scope="module")
def scripted(tmp_path_factory, folder) -> Iterator[Lab]:
    """A server whose model does what a test says."""
    index = retrieval.Index.load(folder / "index")
    place = tmp_path_factory.mktemp("scripted")
    with lab(place, Assistant(Scripted(), index, 1000), waiting=4) as served_too:
        yield served_too


@pytest.fixture(name="engine")
def engine_of_the_script(script) -> Iterator[Scripted]:
    """Its model, as it is at first."""
    with resting(script) as engine:
        yield engine


def client_of(place: Lab, name: str = "mo", **more) -> openai.OpenAI:
    """OpenAI's client with somebody's key; it tries nothing twice."""
    base = f"{place.address}/v1"
    return openai.OpenAI(base_url=base, api_key=place.keys[name], max_retries=0, **more)


@pytest.fixture(name="client")
def connected(place) -> Iterator[openai.OpenAI]:
    """A member's."""
    with client_of(place) as client:
        yield client


def asked(question: str = QUESTION, **more) -> dict:
    """A request's fields."""
    turn = {"role": "user", "content": question}
    return {"model": "model", "messages": [turn], **more}


def streamed(client: openai.OpenAI, **more) -> tuple[str, list]:
    """The text of a streamed answer, and its pieces."""
    options = {"include_usage": True}
    pieces = list(
        client.chat.completions.create(
            **asked(**more), stream=True, stream_options=options
        )
    )
    texts = [piece.choices[0].delta.content or "" for piece in pieces if piece.choices]
    return "".join(texts), pieces


def test_the_model_is_listed(client):
    """By the name under which it is asked."""
    (model,) = client.models.list()
    assert (model.id, model.object) == ("model", "model")


def test_whole_and_streamed_are_the_same_answer(client, place):
    """The assistant's own words, in several pieces, with the same account of tokens."""
    want = place.service.assistant.ask(QUESTION)
    whole = client.chat.completions.create(**asked())
    text, pieces = streamed(client)
    assert whole.choices[0].message.content == text == want.text
    assert whole.choices[0].finish_reason == "length"
    assert [p.choices[0].finish_reason for p in pieces[:-1]] == [
        *[None] * (len(pieces) - 2),
        "length",
    ]
    assert len(pieces) > 5 and pieces[0].choices[0].delta.role == "assistant"
    assert pieces[-1].usage == whole.usage and pieces[-1].choices == []
    assert len({piece.id for piece in pieces}) == 1 and pieces[0].id != whole.id


def test_tokens_are_counted_as_the_tokenizer_counts(client, folder, place):
    """The prompt in the model's template, from memory; and the answer."""
    tokenizer = models.load_tokenizer(folder / "model")
    answer = client.chat.completions.create(
        **asked(max_tokens=9), extra_body={"sources": False}
    )
    prompt = models.chat_text(tokenizer, [{"role": "user", "content": QUESTION}])
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (len(ids), 9)
    assert usage.total_tokens == len(ids) + 9
    text = answer.choices[0].message.content
    assert len(tokenizer(text, add_special_tokens=False)["input_ids"]) == 9
    user = place.user("mo").id
    with place.accounts.database.read() as connection:
        row = connection.execute("SELECT tokens FROM spending WHERE user = ?", (user,))
        before = row.fetchone()["tokens"]
    client.chat.completions.create(**asked(max_tokens=5), extra_body={"sources": False})
    with place.accounts.database.read() as connection:
        row = connection.execute("SELECT tokens FROM spending WHERE user = ?", (user,))
        assert row.fetchone()["tokens"] == before + len(ids) + 5


def test_sources_are_the_indexs_and_can_be_left_out(client, place):
    """In the field that is ours, whole and with a stream's first piece."""
    (source,) = client.chat.completions.create(**asked()).sources
    assert source["document"] == RECORD["id"] and source["number"] == 1
    for name in ("title", "authors", "year", "licence", "url", "text"):
        assert source[name] == RECORD[name]
    _, pieces = streamed(client)
    assert pieces[0].sources == [source]
    assert isinstance(pieces[-2].unsupported, list)
    page = httpx.get(
        place.address + source["page"],
        headers={"cookie": f"cosmosage={place.sessions['mo']}"},
    )
    assert RECORD["text"] in page.text and 'id="passage-0"' in page.text
    without = client.chat.completions.create(**asked(), extra_body={"sources": False})
    assert without.sources == [] and without.unsupported == []


def test_what_the_corpus_does_not_hold_is_an_answer(client):
    """Without tokens and without sources."""
    answer = client.chat.completions.create(**asked("Zebrafish embryology?"))
    assert answer.choices[0].message.content.startswith("Not in my corpus")
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.sources, answer.usage.total_tokens) == ([], 0)


def test_a_stop_string_ends_the_answer_before_it(client):
    """Whole and streamed, one and several."""
    full = client.chat.completions.create(**asked()).choices[0].message.content
    mark = full.split()[5]
    for stop in (mark, ["never said", mark]):
        cut = full[: full.index(mark)]
        answer = client.chat.completions.create(**asked(stop=stop))
        assert answer.choices[0].message.content == cut
        assert answer.choices[0].finish_reason == "stop"
        assert streamed(client, stop=stop)[0] == cut


def test_a_seed_draws_the_same_and_another_draws_anew(client):
    """At a temperature; without one the most likely words are taken."""

    def drawn(**more) -> str:
        answer = client.chat.completions.create(**asked(temperature=1.5, **more))
        return answer.choices[0].message.content

    assert drawn(seed=1) == drawn(seed=1)
    assert len({drawn(seed=seed) for seed in range(4)}) > 1
    first = client.chat.completions.create(**asked(temperature=0, seed=7))
    assert first.choices[0].message.content == streamed(client)[0]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_an_answer_is_as_long_as_it_may_be(client, field):
    """And says that it was cut."""
    answer = client.chat.completions.create(**asked(**{field: 3}))
    assert answer.usage.completion_tokens == 3
    assert answer.choices[0].finish_reason == "length"


def test_system_messages_and_history_are_read(script, engine):
    """What the system says goes before the question, what was said before is a history."""
    with client_of(script) as client:
        client.chat.completions.create(
            model="scripted",
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "First?"},
                {"role": "assistant", "content": "One."},
                {"role": "user", "content": [{"type": "text", "text": "Second?"}]},
            ],
            extra_body={"sources": False},
        )
    assert engine.asked[-1] == [
        {"role": "user", "content": "First?"},
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": "Be brief.\n\nSecond?"},
    ]


@pytest.mark.parametrize(
    "more, said",
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"max_tokens": 4000}, "shorten"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 2}, "n:"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": ""}, "stop"),
        ({"seed": 2**64}, "seed"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "user's question"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": ""}]}, "empty"),
        ({"messages": [{"role": "user", "content": "x " * 9000}]}, "shorten"),
    ],
)
def test_what_cannot_be_done_is_a_bad_request(client, place, more, said):
    """In one sentence that names it; nothing is written, and no place is kept."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{**asked(), **more})
    assert said in caught.value.body["message"] and "\n" not in str(caught.value)
    assert place.idle()


def test_errors_are_those_that_the_client_knows(place, script, engine):
    """Each by its own exception."""
    wrong = openai.OpenAI(base_url=f"{place.address}/v1", api_key="x", max_retries=0)
    with wrong, pytest.raises(openai.AuthenticationError) as caught:
        wrong.models.list()
    assert caught.value.body["type"] == "authentication_error"
    with client_of(place) as client, pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(**{**asked(), "model": "gpt-4"})
    assert "'gpt-4'" in caught.value.body["message"]
    cookie = {"cookie": f"cosmosage={place.sessions['rita']}", "authorization": ""}
    with client_of(place, default_headers=cookie) as client:
        with pytest.raises(openai.PermissionDeniedError):
            client.models.list()
    engine.say = lambda _: (1 // 0 for _ in "x")
    with client_of(script) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(**{**asked(), "model": "scripted"})
        assert (caught.value.status_code, caught.value.body["message"]) == (502, BROKEN)
        with pytest.raises(openai.APIError, match="the model failed"):
            list(
                client.chat.completions.create(
                    **{**asked(), "model": "scripted"}, stream=True
                )
            )
    until(script.idle)


def endless(_: list[dict]) -> Iterator[str]:
    """An answer that never comes to its end."""
    while True:
        yield "on and "


def body(**more) -> dict:
    """A request to the scripted model."""
    return {**asked(max_tokens=1000, **more), "model": "scripted"}


def test_too_many_are_told_when_to_come_again(script, engine):
    """429 with Retry-After, at the limits of the user and of the line; places come back."""
    engine.say, engine.pause_s = endless, 0.02
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(client_of(script))
        streams = [
            stack.enter_context(client.chat.completions.create(**body(), stream=True))
            for _ in range(8)
        ]
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(**body())
        assert int(caught.value.response.headers["retry-after"]) >= 1
        assert "8 questions" in caught.value.body["message"]
        assert script.service.gate.state()["waiting"] == 4
        for stream in streams:
            stream.close()
    until(script.idle)
    script.accounts.set_limits("mia", 2, 10**9, 100)
    engine.say, engine.pause_s = lambda _: ["x"], 0.0
    with client_of(script, "mia") as client:
        for _ in range(2):
            client.chat.completions.create(**body())
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(**body(), stream=True)
        assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
    assert {"mo", "mia"} <= {line["who"] for line in script.events("limit hit")}


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_frees_the_place_and_stops_the_model(script, engine, stream):
    """In the middle of an answer, streamed or waited for."""
    engine.say, engine.pause_s = endless, 0.02
    with script.program("mo") as client:
        request = client.build_request(
            "POST", "/v1/chat/completions", json=body(stream=stream)
        )
        if stream:
            answer = client.send(request, stream=True)
            next(answer.iter_lines())
            answer.close()
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/chat/completions", json=body(), timeout=0.5)
    until(script.idle, 5)
    writing = engine.writings[-1]
    assert writing.finish == "cancelled" and 0 < writing.written < 900


@pytest.mark.parametrize("stream", [True, False])
def test_who_is_shut_out_is_told_in_the_midst_and_others_go_on(script, engine, stream):
    """A command disables the user: the model stops, and the program hears why."""
    engine.say, engine.pause_s = endless, 0.02
    script.accounts.set_limits("mia", 10_000, 10**9, 100)

    def ask() -> str:
        with script.program("mia") as client:
            answer = client.post("/v1/chat/completions", json=body(stream=stream))
            return answer.text

    with client_of(script, "mo") as client, ThreadPoolExecutor(1) as pool:
        other = client.chat.completions.create(**body(), stream=True)
        next(iter(other))
        others = engine.writings[-1]
        told = pool.submit(ask)
        until(lambda: engine.writings[-1] is not others and engine.writings[-1].written)
        script.accounts.disable("mia")
        try:
            assert SHUT_OUT in told.result(20) and "[DONE]" not in told.result()
            assert engine.writings[-1].finish == "cancelled"
            assert not others.ended
        finally:
            script.accounts.enable("mia")
            other.close()


def test_who_is_shut_out_is_looked_up_whatever_went_wrong_before(script, monkeypatch):
    """A database that is damaged for a moment, and no file to open."""
    looks = []
    failures = [sqlite3.DatabaseError("malformed"), OSError("too many open files")]

    def expel() -> None:
        looks.append(True)
        if failures:
            raise failures.pop()

    async def watched() -> None:
        watching = asyncio.create_task(script.service.watch())
        try:
            while len(looks) < 4:
                assert not watching.done()
                await asyncio.sleep(0.01)
        finally:
            watching.cancel()

    monkeypatch.setattr("cosmosage.server.service.WATCH_S", 0.01)
    monkeypatch.setattr(script.service.gate, "expel", expel)
    asyncio.run(asyncio.wait_for(watched(), 20))


def test_who_leaves_before_the_first_piece_frees_the_place(script, engine):
    """The model has not written a word, and the connection is gone."""
    hold = threading.Event()

    def late(_: list[dict]) -> Iterator[str]:
        hold.wait(20)
        yield "late"

    engine.say = late
    for stream in (True, False):
        count = len(engine.writings)
        with script.raw() as wire:
            text = json.dumps(body(stream=stream))
            wire.sendall(
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Authorization: Bearer {script.keys['mo']}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
                f"{text}".encode()
            )
            until(lambda count=count: len(engine.writings) > count)
        until(script.idle, 5)
        assert engine.writings[-1].finish == "cancelled"
    hold.set()


def test_a_slow_reader_does_not_slow_the_others(script, engine):
    """Somebody reads nothing of a long answer; others get theirs meanwhile."""
    engine.say = lambda _: ("word " * 400 for _ in range(900))  # 1.8 MB
    with script.program("mo") as slow:
        request = slow.build_request(
            "POST", "/v1/chat/completions", json=body(stream=True)
        )
        answer = slow.send(request, stream=True)
        engine.say = lambda _: ["quick"]
        with client_of(script, "ada") as client:
            for _ in range(10):
                told = client.chat.completions.create(**body(), timeout=5)
                assert told.choices[0].message.content == "quick"
        events = [line[6:] for line in answer.iter_lines() if line]
        answer.close()
    choices = [json.loads(event)["choices"][0] for event in events[:-1]]
    text = "".join(choice["delta"].get("content", "") for choice in choices)
    assert text == "word " * 400 * 900 and events[-1] == "[DONE]"


def test_eight_at_once_get_each_their_own(place):
    """By the client for event loops; each answer is the one that its question has alone."""
    questions = [f"How long is the sound horizon, number {n}?" for n in range(8)]

    async def all_at_once() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=f"{place.address}/v1", api_key=place.keys["ada"], max_retries=0
        ) as client:
            answers = await asyncio.gather(
                *(client.chat.completions.create(**asked(q)) for q in questions)
            )
            stream = await client.chat.completions.create(**asked(), stream=True)
            texts = [p.choices[0].delta.content or "" async for p in stream]
            assert "".join(texts) == place.service.assistant.ask(QUESTION).text
            return [answer.choices[0].message.content for answer in answers]

    together = asyncio.run(all_at_once())
    assert together == [place.service.assistant.ask(q).text for q in questions]
    until(place.idle)


def test_an_answer_that_is_begun_for_nobody_is_dropped(script, engine):
    """Who waits is cancelled while the question is looked up: no place, no writing is left."""
    engine.say, engine.pause_s = endless, 0.01
    begin, gone = script.service.assistant.begin, threading.Event()

    def slowly(*arguments):
        gone.wait(10)
        return begin(*arguments)

    async def leave() -> None:
        asking = asyncio.create_task(
            script.service.ask(script.user("mo"), QUESTION, (), Sampling(900), False)
        )
        await asyncio.sleep(0.1)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        gone.set()

    script.service.assistant.begin = slowly
    try:
        asyncio.run(leave())
    finally:
        script.service.assistant.begin = begin
    until(script.idle, 5)
    until(lambda: engine.writings[-1].finish == "cancelled", 5)


def test_the_event_loop_is_not_held_while_the_accounts_are_busy(script):
    """Somebody else writes to the file for a while: who only asks for health does not wait."""
    with ThreadPoolExecutor(1) as pool, script.program("mo") as client:
        with script.accounts.database.write(), script.browser() as stranger:
            waiting = pool.submit(client.post, "/v1/chat/completions", json=body())
            time.sleep(0.3)
            assert stranger.get("/health", timeout=2).status_code == 200
            assert not waiting.done()
        assert waiting.result().status_code == 200
    until(script.idle)


def test_nothing_that_the_schema_allows_or_forbids_breaks_it(script):
    """schemathesis: no 5xx, and statuses, types and forms of answers are as documented."""
    key = {"Authorization": f"Bearer {script.keys['ada']}"}
    schema = schemathesis.openapi.from_url(
        f"{script.address}/v1/openapi.json", headers=key
    )
    seen: dict[str, set[int]] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in schemathesis.GenerationMode:

            @seed(1)
            @settings(
                max_examples=40,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.explicit, Phase.generate],
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def holds(case):
                good = case.meta.generation.mode == schemathesis.GenerationMode.POSITIVE
                if good and case.operation.method == "post":
                    case.body["model"] = "scripted"
                    case.body["messages"][-1]["role"] = "user"
                # that a question is empty or does not fit, no schema can say
                answer = case.call_and_validate(
                    headers=key, excluded_checks=[positive_data_acceptance]
                )
                seen.setdefault(case.operation.path, set()).add(answer.status_code)

            holds()  # pylint: disable=no-value-for-parameter  # hypothesis gives it
    assert seen["/v1/models"] >= {200}
    assert seen["/v1/chat/completions"] >= {200, 400}
