"""Loading and writing with a tiny real model: batched against alone, streamed against whole."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from cosmosage import models
from tests.tiny import TEXT, tiny_model, tiny_tokenizer

PROMPTS = [
    "The Hubble constant is",
    "The light of",
    TEXT,
    "Question: what sets the density of dark energy, and how did it change? Answer:",
]


@pytest.fixture(name="base", scope="module")
def _base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model") / "base")


@pytest.fixture(name="loaded", scope="module")
def _loaded(base):
    return models.load(base, torch.float32)


def test_a_loaded_model_is_ready_to_read(base):
    model, tokenizer = models.load(base)
    assert not model.training
    assert model.dtype == models.working_dtype()
    assert model.device.type == models.device().type
    assert tokenizer.pad_token_id is not None


def test_a_tokenizer_without_padding_pads_with_the_end_of_text(base, tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes((base / "config.json").read_bytes())
    weights = base / "model.safetensors"
    (tmp_path / "model.safetensors").write_bytes(weights.read_bytes())
    assert models.load_tokenizer(tmp_path).pad_token == "<|im_end|>"


@pytest.mark.parametrize(
    "lost, error, said",
    [
        ("config.json", FileNotFoundError, "holds no config.json"),
        ("tokenizer_config.json", FileNotFoundError, "holds no tokenizer_config.json"),
        ("model.safetensors", FileNotFoundError, "the weights are missing"),
    ],
)
def test_what_is_missing_is_named(tmp_path, lost, error, said):
    base = tiny_model(tmp_path / "base")
    (base / lost).unlink()
    with pytest.raises(error, match=said):
        models.load(base)
    with pytest.raises(error, match=said):
        models.load_tokenizer(base)


@pytest.mark.parametrize("left", [None, "{"])
def test_a_tokenizer_that_is_not_whole_is_named(tmp_path, left):
    file = tiny_model(tmp_path / "base") / "tokenizer.json"
    file.unlink()
    if left:
        file.write_text(left)
    with pytest.raises(
        ValueError, match="tokenizer of .*base cannot be read"
    ) as caught:
        models.load_tokenizer(tmp_path / "base")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("as_given", [Path, str])
def test_a_missing_folder_is_named(tmp_path, as_given):
    absent = as_given(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="no model in .*absent.*make base"):
        models.load(absent)


def test_a_slip_in_a_local_path_is_not_asked_of_the_hub(tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match="runs/tunned; .* runs is a folder here"
    ):
        models.check("runs/tunned")
    models.check("owner/tunned")


def test_pickled_weights_are_refused_unread(tmp_path):
    base = tiny_model(tmp_path / "base")
    state = models.load(base, torch.float32)[0].state_dict()
    torch.save(state, base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="pickled weights, which can run code"):
        models.load(base)


@pytest.mark.parametrize("left", [0, 1000, -1000])
def test_weights_that_are_cut_off_are_named(tmp_path, left):
    weights = tiny_model(tmp_path / "base") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:left])
    with pytest.raises(ValueError, match="the weights of .*base are damaged"):
        models.load(tmp_path / "base")


def test_a_pointer_in_place_of_weights_is_named(tmp_path):
    weights = tiny_model(tmp_path / "base") / "model.safetensors"
    weights.write_text("version https://git-lfs.github.com/spec/v1\nsize 3\n")
    with pytest.raises(ValueError, match="a pointer of Git LFS"):
        models.load(tmp_path / "base")


@pytest.mark.parametrize(
    "change, said",
    [
        (
            {"num_hidden_layers": 4},
            "18 are missing or of another shape, model.layers.2",
        ),
        (
            {"intermediate_size": 80},
            "6 are missing or of another shape, model.layers.0",
        ),
        ({"tie_word_embeddings": False}, "1 are missing .*, lm_head.weight among"),
    ],
)
def test_no_weight_is_left_to_chance(tmp_path, change, said):
    config = tiny_model(tmp_path / "base") / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(ValueError, match=said):
        models.load(tmp_path / "base")


def test_code_of_the_models_own_is_refused(tmp_path):
    base = tiny_model(tmp_path / "base")
    config = base / "config.json"
    ran = tmp_path / "ran"
    (base / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Own:\n    pass\n")
    config.write_text(
        config.read_text()
        .replace('"model_type": "llama"', '"model_type": "own"')
        .replace("{", '{"auto_map": {"AutoConfig": "own.Own"},', 1)
    )
    with pytest.raises(ValueError, match="custom code|trust_remote_code"):
        models.load(base)
    assert not ran.exists()


def alone(model, tokenizer, prompt: str, count: int) -> str:
    """Greedy by the definition: the likeliest token of the whole text, again and again."""
    ids = tokenizer(prompt)["input_ids"]
    start = len(ids)
    with torch.inference_mode():
        while len(ids) - start < count:
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits
            ids.append(int(logits[0, -1].argmax()))
            if ids[-1] == tokenizer.eos_token_id:
                break
    return tokenizer.decode(ids[start:], skip_special_tokens=True).strip()


def test_batched_prompts_are_continued_as_if_alone(loaded):
    model, tokenizer = loaded
    expected = [alone(model, tokenizer, prompt, 24) for prompt in PROMPTS]
    assert models.complete(model, tokenizer, PROMPTS, 24) == expected
    assert len(set(expected)) == len(PROMPTS) and all(expected)
    assert not models.complete(model, tokenizer, [])


TALK = [
    {"role": "user", "content": "What is H_0?"},
    {"role": "assistant", "content": "A rate."},
    {"role": "user", "content": "Of what?"},
]


def test_a_conversation_is_written_as_its_template_says():
    tokenizer = tiny_tokenizer()
    assert models.chat_text(tokenizer, TALK) == (
        "<|im_start|>user\nWhat is H_0?<|im_end|>\n"
        "<|im_start|>assistant\nA rate.<|im_end|>\n"
        "<|im_start|>user\nOf what?<|im_end|>\n<|im_start|>assistant\n"
    )
    tokenizer.chat_template = None
    assert models.chat_text(tokenizer, TALK) == (
        "User: What is H_0?\n\nAssistant: A rate.<|im_end|>\n\nUser: Of what?\n\nAssistant:"
    )


def test_a_text_begins_once(loaded, monkeypatch):
    # as Llama 3: the tokenizer begins every text, and so does the template
    model, tokenizer = loaded[0], tiny_tokenizer()
    begin = (tokenizer.bos_token, tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{begin[0]} $A", special_tokens=[begin]
    )
    assert tokenizer("A")["input_ids"][0] == begin[1]
    read = []
    generate = model.generate

    def watched(**arguments):
        read.append(arguments["input_ids"][0].tolist())
        return generate(**arguments)

    monkeypatch.setattr(model, "generate", watched)
    for prompt in (models.chat_text(tokenizer, TALK[:1]), "The light"):
        models.complete(model, tokenizer, [prompt], 2)
    for ids in read:
        assert ids[0] == begin[1] and ids[1] != begin[1]
    assert len(read) == 2


def test_the_command_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda _: None)
    assert models.main([str(tmp_path / "base")]) == 2
    assert "make base" in capsys.readouterr().err
    assert not (tmp_path / "base").exists()


def test_a_name_that_is_nowhere_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("no-such-model", "../no/such", "data/base", "/no/such"):
        with pytest.raises(FileNotFoundError, match="make base"):
            models.load(name)
    with pytest.raises(FileNotFoundError, match="neither a folder here nor a name"):
        models.load_tokenizer("nobody/no-such-model")  # HF_HUB_OFFLINE is set
