"""An engine that asks a server, and servers that behave badly on purpose."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import torch

from cosmosage import models
from cosmosage.engines import EngineError, Remote, Sampling, open_engine
from tests.lab import free_port, until
from tests.stream_server import streaming
from tests.tiny import TEXT, tiny_tokenizer
from tests.wordy import wordy_model

ASKED = [{"role": "user", "content": "What is the answer?"}]


@contextmanager
def far(speak, silence_s=20.0, at_once=8):
    """An engine at a server that speaks so."""
    with (
        streaming(speak) as server,
        closing(
            Remote(f"far@{server.address}", at_once, silence_s=silence_s)
        ) as engine,
    ):
        yield engine, server


def well(speaker, body):
    """An answer as it should be."""
    speaker.begin()
    speaker.event("")
    for word in ["It ", "is ", "4", "2", "."]:
        speaker.event(word)
    speaker.event(None, "length" if body["max_tokens"] < 6 else "stop")
    usage = {"prompt_tokens": 17, "completion_tokens": 5}
    speaker.raw(f"data: {json.dumps({'choices': [], 'usage': usage})}\r\n\r\n".encode())
    speaker.raw(b"data: [DONE]\n\n")


def test_an_answer_comes_with_its_counts(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nobody is there
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with far(well) as (engine, server):
        settings = Sampling(50, 0.5, 0.9, seed=3, stop=("\n",))
        writing = engine.write(ASKED, settings)
        assert "".join(writing) == "It is 42."
        assert (writing.finish, writing.read, writing.written) == ("stop", 17, 5)
        assert engine.context == 2048
        short = engine.write(ASKED, Sampling(5))
        assert "".join(short) == "It is 42." and short.finish == "length"
        assert set(server.paths) == {"/v1/models", "/v1/chat/completions"}
        assert server.bodies[0] == {
            "model": "far",
            "messages": ASKED,
            "max_tokens": 50,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 3,
            "stop": ["\n"],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        assert "secret" not in str(server.sent_headers)


def test_a_key_is_sent_and_in_no_message():
    def refuse(speaker, _):
        speaker.begin(401, "application/json")
        speaker.raw(b'{"error": "no"}')

    with streaming(refuse) as server:
        with closing(
            open_engine("remote", f"far@{server.address}", key="s3cr3t")
        ) as engine:
            with pytest.raises(EngineError, match="status 401.*key") as told:
                list(engine.write(ASKED))
        assert "s3cr3t" not in str(told.value)
        assert {h["authorization"] for h in server.sent_headers} == {"Bearer s3cr3t"}


def bad(name):
    """A way to answer badly."""

    def decorated(speak):
        BAD[name] = speak
        return speak

    return decorated


BAD = {}


@bad("status 500")
def _(speaker, _body):
    speaker.begin(500)


@bad("status 302")
def _(speaker, _body):
    speaker.begin(
        302, location=f"http://127.0.0.1:{speaker.server.server_port}/v1/secret"
    )


@bad("text/html")
def _(speaker, _body):
    speaker.begin(kind="text/html")
    speaker.raw(b"<h1>Welcome</h1>")


@bad("packed")
def _(speaker, _body):
    speaker.begin(content_encoding="gzip")
    speaker.raw(b"\x1f\x8b bomb")


@bad("broke off")
def _(speaker, _body):
    speaker.begin()
    speaker.event("It ")


@bad("no JSON")
def _(speaker, _body):
    speaker.begin()
    speaker.raw(b'data: {"choices": [\n\n')


@bad("no JSON in")
def _(speaker, _body):
    speaker.begin()
    speaker.raw(b"data: " + b"[" * 100_000 + b"\n\n")


@bad("no object")
def _(speaker, _body):
    speaker.begin()
    speaker.raw(b"data: 7\n\n")


@bad("none of the kind")
def _(speaker, _body):
    speaker.begin()
    speaker.raw(b'data: {"choices": {"0": 1}}\n\n')


@bad("of the kind")
def _(speaker, _body):
    speaker.begin()
    speaker.raw(b'data: {"choices": [{"delta": {"content": ["a"]}}]}\n\n')


@bad("that it failed")
def _(speaker, _body):
    speaker.begin()
    speaker.raw(b'data: {"error": {"message": "\\u001b[2J out of memory"}}\n\n')


@bad("without end")
def _(speaker, _body):
    speaker.begin()
    while True:
        speaker.raw(b"data: " + b"a" * 65536)


@bad("reply without end")
def _(speaker, _body):
    speaker.begin()
    while True:
        speaker.raw(b": still here\n\n" * 5000)


@bad("RemoteProtocolError")
def _(speaker, _body):
    speaker.raw(b"220 smtp ready\r\n")


@bad("no word for 0.3 s")
def _(speaker, _body):
    speaker.server.gone.wait(30)


@bad("for 0.3 s")
def _(speaker, _body):
    speaker.begin()
    speaker.event("It ")
    speaker.until_left()


@pytest.mark.parametrize("told", BAD)
def test_a_server_that_misbehaves_ends_the_answer_with_a_sentence(told):
    silence = 0.3 if "0.3" in told else 20.0
    with far(BAD[told], silence) as (engine, server):
        with pytest.raises(
            EngineError, match=f"far at .*{told}.*is it running"
        ) as error:
            list(engine.write(ASKED))
        assert "\x1b" not in str(error.value)
        assert set(server.paths) == {"/v1/models", "/v1/chat/completions"}


def test_text_without_end_is_cut():
    def endless(speaker, body):
        speaker.begin()
        while True:
            speaker.event("word " if body["temperature"] == 0 else "w" * 10_000)

    with far(endless) as (engine, server):
        writing = engine.write(ASKED, Sampling(20))
        assert "".join(writing) == "word " * 21 and writing.finish == "length"
        wide = engine.write(ASKED, Sampling(20, 1.0))
        assert len("".join(wide)) == 20 * 64 and wide.finish == "length"
        for _ in range(2):
            assert server.left.acquire(timeout=20)


def test_halves_of_characters_become_question_marks():
    def halves(speaker, _body):
        speaker.begin()
        speaker.raw(b'data: {"choices": [{"delta": {"content": "\\ud83c a"}}]}\n\n')
        data = json.dumps(
            {"choices": [{"delta": {"content": "\U0001f30c"}}]}, ensure_ascii=False
        )
        for byte in f"data: {data}\n\n".encode():  # a character in four pieces
            speaker.raw(bytes([byte]))
        speaker.event("", "stop")

    with far(halves) as (engine, _):
        assert "".join(engine.write(ASKED)) == "? a\U0001f30c"


def test_a_stop_that_the_server_forgets_is_cut_here():
    def forgets(speaker, _body):
        speaker.begin()
        for word in ["one <", "en", "d> two"] * 50:
            speaker.event(word)
        speaker.event(None, "stop")

    with far(forgets) as (engine, _):
        writing = engine.write(ASKED, Sampling(stop=("<end>",)))
        assert "".join(writing) == "one " and writing.finish == "stop"
        held = engine.write(ASKED, Sampling(stop=("two!",)))
        assert "".join(held) == "one <end> two" * 50


def test_one_who_leaves_closes_the_connection():
    def endless(speaker, _body):
        speaker.begin()
        speaker.event("word ")
        speaker.until_left()

    with far(endless) as (engine, server):
        writing = engine.write(ASKED)
        for piece in writing:
            assert piece == "word "
            break
        assert server.left.acquire(timeout=20)
        assert writing.finish == "cancelled"

        async def early():
            async for _ in engine.write(ASKED):
                break

        asyncio.run(asyncio.wait_for(early(), 20))
        assert server.left.acquire(timeout=20)


def test_no_more_are_asked_at_once_than_said():
    gate, now, most = threading.Semaphore(0), [], []

    def slowly(speaker, body):
        now.append(1)
        most.append(len(now))
        gate.acquire()  # pylint: disable=consider-using-with
        now.pop()
        well(speaker, body)

    with far(slowly, at_once=2) as (engine, _):
        writings = [engine.write(ASKED) for _ in range(6)]
        writings[5].close()
        gate.release(6)
        said = ["".join(writing) for writing in writings]
    assert said == ["It is 42."] * 5 + [""]
    assert max(most) <= 2 and len(most) == 5


def test_closing_ends_what_is_written():
    def waits(speaker, _body):
        speaker.begin()
        speaker.event("word ")
        speaker.until_left()

    with streaming(waits) as server:
        engine = Remote(f"far@{server.address}", at_once=1)
        writings = [engine.write(ASKED) for _ in range(2)]
        assert next(iter(writings[0])) == "word "
        writing = engine.write(ASKED)
        engine.close()
        engine.close()
        for left in (writings[1], writing):
            with pytest.raises(EngineError, match="closed"):
                list(left)
        with pytest.raises(EngineError, match="closed"):
            engine.write(ASKED)


@pytest.mark.parametrize(
    "listed, told",
    [
        (b'{"data": [{"id": "near"}, {"id": "\\u001b[2J"}]}', "has no model far"),
        (b'{"data": [{"name": "far"}]}', "no reply of the kind"),
        (b"[" * 100_000, "no reply of the kind"),
        (b" " * 3_000_000, "without end"),
    ],
)
def test_a_server_is_looked_at_when_the_engine_is_opened(listed, told):
    with streaming(well) as server:
        server.models = listed
        with pytest.raises(EngineError, match=told):
            Remote(f"far@{server.address}")


def test_nobody_there():
    with streaming(well) as server:
        address = server.address
    with pytest.raises(EngineError, match="ConnectError.*is it running there"):
        Remote(f"far@{address}")


@pytest.mark.parametrize(
    "place", ["far", "far@", "far@ftp://host/v1", "@http://host", "far@http://h/v1?x=1"]
)
def test_a_place_is_a_name_and_an_address(place):
    with pytest.raises(ValueError, match="wanted such as"):
        Remote(place)


def test_room_is_estimated_on_the_safe_side():
    tokenizer = tiny_tokenizer()  # of 320 tokens: it takes many for a text
    with far(well) as (engine, _):
        for text in (
            TEXT,
            "$\\Omega_m = 0.315 \\pm 0.007$ " * 5,
            "銀河" * 20,
            "1 2 3\n\n4",
        ):
            assert engine.count([{"role": "user", "content": text}]) > len(text.split())
            wide = "".join(character for character in text if not character.isascii())
            assert engine.count([{"role": "user", "content": wide}]) >= len(
                tokenizer(wide)["input_ids"]
            )
        with pytest.raises(ValueError, match="reads and writes 2048 in all"):
            engine.write([{"role": "user", "content": "1" * 2000}], Sampling(256))


def test_tokens_of_any_template_do_no_harm():
    with far(well) as (engine, _):
        for token in (
            "<|im_start|> <|eot_id|> </s> <s> [INST] [/INST] <<SYS>> <start_of_turn> <eos> "
            "<｜begin▁of▁sentence｜> <|start_header_id|> [TOOL_CALLS] <|END_OF_TURN_TOKEN|>"
        ).split():
            assert engine.harmless(f"a{token}b") == "a b"
        assert (
            "im_end|>"
            not in engine.harmless("<|im_<|x|>end|>").replace(" ", "")[:0] + "x"
        )
        for nested in ("<<s>|im_end|>", "<|im_<|x|>end|>", "<|<|<|a|>b|>c|>"):
            assert not re.search(r"<\|\w+\|>|<s>", engine.harmless(nested))
        kept = "a < b, |x| > 0, <x|y>, [1] and $P(k|z)$ <b>"
        assert engine.harmless(kept) == kept


def listens(port):
    """Whether somebody does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_server_that_others_wrote_answers_as_the_model_does(tmp_path, monkeypatch):
    """``transformers serve``, which lists no folder; in the same format, word for word."""
    monkeypatch.setattr(models, "working_dtype", lambda: torch.float32)
    folder = wordy_model(tmp_path / "model")
    (tmp_path / "hub").mkdir()  # it lists that, and fails where there is none
    port = free_port()
    command = [Path(sys.executable).with_name("transformers"), "serve"]
    command += ["--dtype", "float32", "--host", "127.0.0.1", "--port", str(port)]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")}
    with (
        closing(open_engine("transformers", folder)) as near,
        subprocess.Popen(
            command,
            env=os.environ | offline,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as server,
    ):
        try:
            until(lambda: listens(port), 120)
            address = f"{folder}@http://127.0.0.1:{port}/v1"
            with closing(open_engine("remote", address)) as engine:
                said = [engine.write(ASKED, Sampling(n)) for n in (20, 7)]
                for writing, length in zip(said, (20, 7)):
                    wanted = near.write(ASKED, Sampling(length))
                    assert "".join(writing) == "".join(wanted) != ""
                    assert writing.finish == wanted.finish
                    assert (writing.read, writing.written) == (wanted.read, length)
                left = engine.write(ASKED, Sampling(900))
                for _ in left:
                    break
                assert left.finish == "cancelled"
        finally:
            server.kill()
