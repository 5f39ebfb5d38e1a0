"""A language model of 30,000 weights, made in a moment, for the tests that need a real one."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEXT = (
    "The universe expands, and the light of far galaxies reaches us redshifted. "
    "The Hubble constant is the rate of the expansion today; the density of matter, "
    "of radiation and of dark energy set how it changed. Question: what is the answer? "
)
"""What the tokenizer learns its few merges from."""

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML, the template of the sample's base model, without its default system message."""


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of 320 tokens: any text goes in and comes back unchanged."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT] * 4, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )
    wrapped.chat_template = CHAT
    return wrapped


def tiny_model(
    folder: Path, seed: int = 0, context: int = 1024, width: int = 32
) -> Path:
    """Save a tiny Llama in fp32 with its tokenizer, as ``save_pretrained`` writes them.

    Args:
        folder: where to; made if missing.
        seed: of the random weights; the process's own random state is left as it is.
        context: the longest sequence that the model takes, in tokens.
        width: of the hidden state.

    Returns:
        The folder.
    """
    tokenizer = tiny_tokenizer()
    settings = LlamaConfig.from_dict(
        {
            "vocab_size": len(tokenizer),
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": context,
            "initializer_range": 0.2,  # far from uniform: a wrong mask shows in the loss
            "tie_word_embeddings": True,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(settings)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def logits(model, text: str = TEXT) -> torch.Tensor:
    """Scores of every next token of a text: (length, vocabulary)."""
    ids = tiny_tokenizer()(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return model.eval()(input_ids=ids).logits[0].float()
