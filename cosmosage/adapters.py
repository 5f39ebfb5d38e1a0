"""Low-rank adapters on every linear layer (Hu et al. 2021): few weights learn, in fp32.

A model of 7 B weights trains on one card this way. The price comes at the end: merged into
weights of eight bits of mantissa, an adapter's small changes are right on average only.
"""

import peft
import torch
from transformers import PreTrainedModel

from cosmosage.optimiser import round_stochastically


def attach(model: PreTrainedModel, rank: int, seed: int) -> torch.nn.Module:
    """The model with adapters, which alone are trainable; their scale alpha is 2 x rank.

    Args:
        model: changed in place.
        rank: of the adapters.
        seed: of their first weights.
    """
    torch.manual_seed(seed)
    settings = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=2 * rank,
        target_modules="all-linear",
    )
    return peft.get_peft_model(model, settings)


@torch.no_grad()
def merge(model: torch.nn.Module, seed: int) -> PreTrainedModel:
    """Add the adapters to the weights, in fp32 and rounded as in training.

    Rounded to the nearest, an adapter's change of less than 1/256 of a weight would be lost.

    Args:
        model: what ``attach`` gave, trained; changed in place.
        seed: of the rounding.
    """
    generator = torch.Generator(model.device).manual_seed(seed)
    for layer in model.modules():
        if not isinstance(layer, peft.tuners.lora.Linear):
            continue
        weight = layer.get_base_layer().weight
        changed = weight.float() + layer.get_delta_weight("default").float()
        if weight.dtype == torch.bfloat16:
            round_stochastically(weight, changed, generator)
        else:
            weight.copy_(changed)
    return model.unload()
