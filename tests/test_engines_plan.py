"""What fits in memory, told before a model is loaded, and what it takes then."""

from contextlib import closing

import pytest
import torch

from cosmosage import engines, models
from cosmosage.engines import Batching, Sampling, open_engine, plan_memory
from cosmosage.planner import GIB
from tests.tiny import tiny_model, tiny_tokenizer

WHY = [{"role": "user", "content": "Why?"}]


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"), width=64)


@pytest.mark.usefixtures("fp32")
@pytest.mark.parametrize("context", [100, 300, 700])
def test_the_cache_never_takes_more_than_the_plan_says(folder, context):
    """Room is doubled, and 700 tokens are not 1,024."""
    planned = plan_memory(folder, users=2, context=context)
    with closing(Batching(*models.load(folder), "tiny", 2, context)) as engine:
        length = context - engine.count(WHY)
        writing = engine.write(WHY, Sampling(length))
        assert "".join(writing) and writing.read + writing.written == context
        taken = getattr(engine, "_slots").bytes
    assert taken == planned.users * planned.context * planned.per_token


@pytest.mark.parametrize("word", ["transformers", "8-bit", "4-bit"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_plan_is_what_a_loaded_model_takes(request, folder, word, dtype):
    request.getfixturevalue(dtype)
    planned = plan_memory(folder, word, 3, 256)
    with closing(open_engine(word, folder, 3, 256)) as engine:
        weights = list(getattr(engine, "_model").parameters())
        size = sum(weight.nbytes for weight in weights)
        for weight in weights:
            if (scales := getattr(weight, "SCB", None)) is not None:
                size += scales.nbytes
            if state := getattr(weight, "quant_state", None):
                size += state.absmax.nbytes + state.state2.absmax.nbytes
        # the scales' own scales come in blocks that tiny matrices don't fill
        assert planned.weights == pytest.approx(
            size, rel=0.005 if word == "4-bit" else 0
        )
        assert "".join(engine.write(WHY, Sampling(5)))
        kept = getattr(engine, "_slots").bytes
        assert planned.per_token * 3 * 256 == kept
        assert dict(engine.plan())["weights"].endswith("kiB")


def test_a_card_is_judged_by_its_name(tmp_path):
    large = models.AutoConfig.for_model(
        "llama",
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=131072,
        tie_word_embeddings=False,
    )
    large.save_pretrained(tmp_path)
    planned = plan_memory(tmp_path, users=8, context=8192, card="RTX A6000")
    assert planned.weights == 2 * 8_030_261_248  # as its card on the hub says
    assert planned.per_token == 32 * 2 * 8 * 128 * 2
    assert planned.fits and planned.room > 8 * GIB
    tight = plan_memory(tmp_path, users=64, context=8192, card="RTX A6000")
    assert not tight.fits
    assert "8-bit" in tight.advice and "32 users" in tight.advice
    chosen = plan_memory(tmp_path, users=8, card="RTX A6000")
    assert chosen.fits and 30_000 < chosen.context < 131072
    with pytest.raises(ValueError, match="RTX A6000"):
        plan_memory(tmp_path, card="Voodoo 2")


def test_what_is_too_large_is_refused_before_it_is_loaded(folder, monkeypatch):
    monkeypatch.setattr(engines.plan.psutil, "virtual_memory", _No.memory)
    monkeypatch.setattr(models, "load", _No.load)
    with pytest.raises(ValueError, match="does not fit.*smaller model"):
        open_engine("transformers", folder)


class _No:
    """A machine that is full."""

    available = GIB

    @classmethod
    def memory(cls):
        """Of the machine."""
        return cls

    @staticmethod
    def load(*_, **__):
        """Nothing may come here."""
        raise AssertionError("it was loaded")


def test_windows_of_attention_are_sent_elsewhere(tmp_path):
    windowed = models.AutoConfig.for_model(
        "mistral",
        vocab_size=100,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=64,
    )
    windowed.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="sliding_attention.*remote"):
        plan_memory(tmp_path)


@pytest.mark.usefixtures("fp32")
def test_a_window_as_wide_as_the_context_hides_nothing(tmp_path):
    """Mistral's first model slides over 4,096 of 32,768 tokens; up to there it is written here."""
    settings = models.AutoConfig.for_model(
        "mistral",
        vocab_size=len(tiny_tokenizer()),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=1500,
        max_position_embeddings=4000,
    )
    torch.manual_seed(3)
    models.AutoModelForCausalLM.from_config(settings).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    assert plan_memory(tmp_path).context == 1500
    alone, tokenizer = models.load(tmp_path)
    said = [{"role": "user", "content": "The rate of expansion. " * 60}]
    with closing(open_engine("transformers", tmp_path)) as engine:
        written = "".join(engine.write(said, Sampling(20)))
        with pytest.raises(ValueError, match="1500"):
            engine.write(said, Sampling(1490))
    prompt = models.chat_text(tokenizer, said)
    assert written.strip() == models.complete(alone, tokenizer, [prompt], 20)[0]


def test_an_unknown_word_names_the_known():
    with pytest.raises(ValueError, match="transformers, 8-bit, 4-bit, remote"):
        open_engine("vllm", "model")
