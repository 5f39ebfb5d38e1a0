"""Low-rank adapters on every linear layer (Hu et al. 2021): few weights learn, in fp32.

A model of 7 B weights trains on one card this way, over weights of 4 bits (QLoRA, Dettmers et
al. 2023) even on a small one. The price comes at the end: merged into weights of eight bits of
mantissa, an adapter's small changes are right on average only.
"""

from pathlib import Path

import peft
import torch
from peft.tuners.lora.layer import LoraLayer
from transformers import BitsAndBytesConfig, PreTrainedModel

from cosmosage import models
from cosmosage.optimiser import round_stochastically
from cosmosage.settings import Adapter


def attach(
    model: PreTrainedModel, rank: int, seed: int, kind: Adapter = "lora"
) -> torch.nn.Module:
    """The model with adapters, which alone are trainable; their scale alpha is 2 x rank.

    Args:
        model: changed in place.
        rank: of the adapters.
        seed: of their first weights.
        kind: of the adapters.
    """
    torch.manual_seed(seed)
    settings = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=2 * rank,
        target_modules="all-linear",
        use_rslora=kind == "rslora",
        use_dora=kind == "dora",
    )
    return peft.get_peft_model(model, settings)


@torch.no_grad()
def merge(model: torch.nn.Module, seed: int) -> PreTrainedModel:
    """Add the adapters to the weights, in fp32 and rounded as in training.

    Rounded to the nearest, an adapter's change of less than 1/256 of a weight would be lost.
    Weights of 4 bits are expanded first: what was trained beside them is right for them, and
    not for those that they were made from.

    Args:
        model: what ``attach`` gave, trained; changed in place.
        seed: of the rounding.
    """
    generator = torch.Generator(model.device).manual_seed(seed)
    for layer in model.modules():
        if not isinstance(layer, LoraLayer):
            continue
        base = layer.get_base_layer()
        weight = _expanded(base.weight)
        changed = weight.float() + layer.get_delta_weight("default").float()
        if layer.use_dora["default"]:
            inputs = 0 if layer.fan_in_fan_out else 1  # the axis that is summed over
            size = layer.lora_magnitude_vector["default"].weight.float()
            norm = torch.linalg.vector_norm(changed, dim=inputs)
            changed *= (size / norm).unsqueeze(inputs)
        if weight.dtype == torch.bfloat16:
            round_stochastically(weight, changed, generator)
        else:
            weight.copy_(changed)
        if weight.data_ptr() != base.weight.data_ptr():  # it was quantised
            layer.base_layer = torch.nn.Linear(*weight.T.shape, device="meta")
            layer.base_layer.weight = torch.nn.Parameter(weight, requires_grad=False)
            layer.base_layer.bias = base.bias
    merged = model.unload()
    _forget_quantisation(merged)
    return merged


def load_in_4_bits(name: str | Path) -> PreTrainedModel:
    """A model whose linear layers, but for the last, keep their weights in 4 bits.

    In blocks of 64 normal-float numbers with a scale of 8 bits, 4.13 bits a weight in all (QLoRA,
    arXiv:2305.14314, section 3); they are expanded to the working format when they are used.
    """
    in_4_bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=models.working_dtype(),
    )
    model = models.load(name, quantisation=in_4_bits)[0]
    for module in model.modules():
        # on a processor they would be packed anew when they are first read, for reading only
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def _expanded(weight: torch.nn.Parameter) -> torch.Tensor:
    """A weight as numbers: (outputs, inputs)."""
    if getattr(weight, "quant_state", None) is None:
        return weight.data
    from bitsandbytes.functional import (  # pylint: disable=import-outside-toplevel
        dequantize_4bit,  # only for QLoRA: importing it looks for a card
    )

    return dequantize_4bit(weight.data, weight.quant_state)


def _forget_quantisation(model: PreTrainedModel) -> None:
    """Make transformers save a model whose weights are plain again."""
    for holder, name in (
        (model, "hf_quantizer"),
        (model, "quantization_method"),
        (model.config, "quantization_config"),
    ):
        if hasattr(holder, name):
            delattr(holder, name)
    for flag in ("is_loaded_in_4bit", "is_quantized"):
        if hasattr(model, flag):
            setattr(model, flag, False)
