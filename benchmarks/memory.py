"""Claim: the memory plan is right within a few per cent, before any weight is loaded.

``python -m benchmarks.memory`` holds the trace of a step against peaks that others measured on
cards and published (a minute, no card); ``--base data/base`` also against the resident memory of
real runs on this machine (five minutes), each in a process of its own that hands back what it
frees, so that it is the memory in use that is seen and not the C library's holes.

The published figures are torchtune's: its README (Llama 3.2 3B, 2 x 4096 tokens, each line with
all that stands above it, on an A100; Llama 3.1 8B, 2 x 2048, on a 4090), and its pull requests 389
and 527 (Llama 2 7B). What is assumed about them, where it isn't said:

- attention by a block mask, which is no matrix: ours passes one, and so is traced without it here;
- AdamW's moments in bf16, as the weights; of paged ones nothing is on the card; adapters in bf16;
- a weight is stepped at a time, by way of two copies of it; of 8 bits, of both moments in fp32;
- "chunked" cross-entropy keeps the bf16 scores of all tokens, and works on an eighth in fp32;
- LoRA of the 3B model on all matrices at rank 64, of the 8B model on queries and values at rank 8,
  as the recipes had it at the time;
- Llama 2 with two rows of 512 tokens: instructions, and not said.
"""

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import peft
import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from benchmarks.training import texts
from cosmosage import tracing
from cosmosage.documents import read_json, write_jsonl
from cosmosage.tracing import Recipe
from fine_tune import Settings, plan

GIB = 2**30


def llama(width: int, inner: int, layers: int, heads: int, **more) -> PretrainedConfig:
    """A Llama's configuration."""
    return AutoConfig.for_model(
        "llama",
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=8192,
        **more,
    )


LLAMA_3B = llama(
    3072,
    8192,
    28,
    24,
    vocab_size=128_256,
    num_key_value_heads=8,
    tie_word_embeddings=True,
)
LLAMA_8B = llama(4096, 14_336, 32, 32, vocab_size=128_256, num_key_value_heads=8)
LLAMA_2_7B = llama(4096, 11_008, 32, 32, vocab_size=32_000)


@dataclass(frozen=True)
class Case:
    """A published peak."""

    name: str
    gib: float
    config: PretrainedConfig
    recipe: Recipe
    step_bytes: float = 2 * 2
    """A value of the largest weight, while that is stepped."""
    chunked: bool = False
    """Whether all scores are kept in bf16."""
    targets: str | list[str] = "all-linear"
    """Of the adapters."""


def cases() -> list[Case]:
    """All that are held against the trace."""
    long = {"micro_batch": 2, "sequence_length": 4096, "state_bytes": 4.0}
    short = long | {
        "sequence_length": 2048,
        "gradient_checkpointing": True,
        "compiled": True,
    }
    few = {"micro_batch": 2, "sequence_length": 512, "gradient_checkpointing": True}
    again = {"gradient_checkpointing": True}
    inside = again | {"step_in_backward": True}
    away = inside | {"offload_activations": True}
    adapted = {"adapter_dtype": torch.bfloat16}
    compiled = long | {"compiled": True}
    lora = compiled | again | adapted | {"offload_activations": True, "lora_rank": 64}
    eight = short | adapted | {"lora_rank": 8}
    some = ["q_proj", "v_proj"]
    three, ours, two = LLAMA_3B, LLAMA_8B, LLAMA_2_7B

    def case(
        name: str, gib: float, config: PretrainedConfig, recipe: dict, **more
    ) -> Case:
        return Case(name, gib, config, Recipe(**recipe), **more)

    c = {"chunked": True}
    return [
        case("3B full, packed", 60.0, three, long | {"plain_head": False}),
        case("+ compiled", 51.0, three, compiled | {"plain_head": False}),
        case("+ chunked cross-entropy", 42.9, three, compiled, **c),
        case("+ checkpointing", 24.9, three, compiled | again, **c),
        case("+ step in backward", 23.1, three, compiled | inside, **c),
        case("+ offloaded activations", 21.8, three, compiled | away, **c),
        case(
            "+ 8-bit moments",
            17.6,
            three,
            compiled | away | {"state_bytes": 2.03},
            step_bytes=8,
            **c,
        ),
        case("3B LoRA", 8.5, three, lora | {"method": "lora"}),
        case("3B QLoRA", 4.6, three, lora | {"method": "qlora"}),
        case(
            "8B full, paged, in backward",
            18.9,
            ours,
            short | inside | {"state_bytes": 0.0},
            **c,
        ),
        case("8B LoRA", 16.2, ours, eight | {"method": "lora"}, targets=some),
        case("8B QLoRA", 7.4, ours, eight | {"method": "qlora"}, targets=some),
        case("Llama 2 7B full", 54e9 / GIB, two, few | {"state_bytes": 4.0}),
        case("8-bit moments", 40.5e9 / GIB, two, few | {"state_bytes": 2.03}),
        case(
            "paged, in backward",
            13.99e9 / GIB,
            two,
            few | inside | {"state_bytes": 0.0},
        ),
    ]


def peak(case: Case) -> float:
    """The traced peak in bytes, of the phase that takes most."""
    no_mask = mock.patch(
        "transformers.models.llama.modeling_llama.create_causal_mask", lambda **_: None
    )
    recipe = case.recipe

    def attach(model: PreTrainedModel, rank: int, *_: object) -> torch.nn.Module:
        adapter = peft.LoraConfig(
            task_type="CAUSAL_LM", r=rank, target_modules=case.targets
        )
        return peft.get_peft_model(model, adapter)

    with no_mask, mock.patch("cosmosage.adapters.attach", attach):
        traced = tracing.trace(case.config, recipe)
    kept = traced.weights + traced.trainable * recipe.state_bytes
    phases = {phase: parts.total() for phase, parts in traced.phases.items()}
    vocabulary, width = case.config.vocab_size, case.config.hidden_size
    if case.chunked:
        scores = recipe.micro_batch * recipe.sequence_length * vocabulary * 2
        phases["backward of the head"] += scores + 2 * scores / 8
    if recipe.method == "full":
        stepped = vocabulary * width * case.step_bytes
        if recipe.step_in_backward:
            phases["backward of the embedding"] += stepped
        else:
            phases["step"] = traced.trainable * 2 + stepped
    return kept + max(phases.values())


RUNS = {
    "full, 4 x 512": {},
    "full, 2 x 512, two parts": {"micro_batch": 2},
    "full, 8 x 512": {"micro_batch": 8, "rows_per_step": 8},
    "full, 4 x 1,024": {"sequence_length": 1024},
    "full, checkpoints": {"gradient_checkpointing": True},
    "full, 8 bits, in backward": {"optimiser_states": "8bit", "step_in_backward": True},
    "LoRA": {"method": "lora"},
    "LoRA, checkpoints, 8 x 512": {
        "method": "lora",
        "gradient_checkpointing": True,
        "micro_batch": 8,
        "rows_per_step": 8,
    },
    "QLoRA": {"method": "qlora"},
}
"""Settings of the real runs, of two steps each."""


def real_runs(base: Path) -> None:
    """Print planned peaks beside the resident memory of real runs on this machine."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, changed in RUNS.items():
            settings = Settings(
                base, Path(folder) / "texts.jsonl", Path(folder) / name, **changed
            )
            step = settings.rows_per_step * settings.sequence_length
            settings = dataclasses.replace(settings, max_tokens=2 * step)
            write_jsonl(settings.data, ({"text": text} for text in texts()))
            options = [
                f"--{key.replace('_', '-')}={value}"
                for key, value in dataclasses.asdict(settings).items()
                if key in {"base", "data", "out", "max_tokens", *changed}
                and not isinstance(value, bool)
            ] + [
                f"--{key.replace('_', '-')}"
                for key, value in changed.items()
                if value is True
            ]
            subprocess.run(
                [sys.executable, "fine_tune.py", *options],
                check=True,
                capture_output=True,
                env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"},
            )
            done = read_json(settings.out / "done.json")
            rows.append((name, plan(settings).peak_gib, done["counts"]["memory_gib"]))
    constant = statistics.median(real - planned for _, planned, real in rows)
    print(f"\n{'real run on this processor':<30}{'GiB':>8}{'planned':>8}{'error':>8}")
    for name, planned, real in rows:
        error = (planned + constant) / real - 1
        print(f"{name:<30}{real:>8.2f}{planned:>8.2f}{100 * error:>+7.1f} %")
    print(
        f"errors after a constant of {constant:.2f} GiB, their median: what is in memory anyway"
    )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("--base", type=Path, help="run this model, too")
    arguments = parser.parse_args()
    errors = []
    print(f"{'published peak':<30}{'GiB':>8}{'traced':>8}{'error':>8}")
    for case in cases():
        gib = peak(case) / GIB
        errors.append(gib / case.gib - 1)
        print(
            f"{case.name:<30}{case.gib:>8.1f}{gib:>8.1f}{100 * errors[-1]:>+7.1f} %",
            flush=True,
        )
    sizes = [100 * abs(error) for error in errors]
    print(
        f"n = {len(sizes)}: mean error {sum(sizes) / len(sizes):.1f} %, worst {max(sizes):.1f} %"
    )
    if arguments.base is not None:
        real_runs(arguments.base)


if __name__ == "__main__":
    main()
