"""One interface to the model that answers, and three engines behind it, chosen by a word.

``transformers`` runs the model in this process, ``8-bit`` and ``4-bit`` do so with its linear
layers in fewer bits, and ``remote`` asks a server that others run, such as vLLM or llama.cpp. In
process nothing else is installed or trusted; a server of the kind is faster on a large card.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from transformers import BitsAndBytesConfig

from cosmosage import models
from cosmosage.engines.batching import Batching
from cosmosage.engines.contract import Engine, EngineError, Sampling, Writing
from cosmosage.engines.plan import LOADINGS, Plan, plan_memory
from cosmosage.engines.remote import Remote

__all__ = [
    "Batching",
    "Engine",
    "EngineError",
    "ENGINES",
    "Plan",
    "Remote",
    "Sampling",
    "Writing",
    "open_engine",
    "plan_memory",
]

ENGINES = (*LOADINGS, "remote")


def open_engine(
    word: str,
    model: str | Path,
    users: int = 8,
    context: int | None = None,
    key: str | None = None,
    planned: Callable[[Plan], object] | None = None,
) -> Engine:
    """An engine that is ready to write.

    Args:
        word: one of ``ENGINES``.
        model: a folder or a name on the hub; for ``remote`` ``NAME@ADDRESS``, such as
            ``mistral@http://localhost:8000/v1``.
        users: answers that are written at once.
        context: tokens of an answer with its prompt; by default as many as the model takes and
            the memory holds.
        key: that a remote server asks for.
        planned: is told what the model will take, before it is loaded.

    Raises:
        ValueError: an unknown word, a model that is not of the kind or damaged, or one that does
            not fit with so many users and such a context.
        FileNotFoundError: there is no such model.
        EngineError: the remote server does not answer, or does not have the model.
    """
    if word not in ENGINES:
        raise ValueError(f"unknown engine {word!r}; known are {', '.join(ENGINES)}")
    if word == "remote":
        return Remote(str(model), users, context, key)
    models.check(model)
    plan = plan_memory(model, word, users, context)
    if planned is not None:
        planned(plan)
    if not plan.fits:
        raise ValueError(f"{model} does not fit: {plan.advice}")
    loaded, tokenizer = models.load(model, quantisation=_quantisation(word))
    name = Path(model).name if Path(model).is_dir() else str(model)
    return Batching(loaded, tokenizer, name, users, plan.context, plan.lines())


def _quantisation(word: str) -> BitsAndBytesConfig | None:
    """How the linear layers are kept."""
    if word == "8-bit":
        # it says at every product that it rounds, and there are hundreds a step
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return BitsAndBytesConfig(load_in_8bit=True)
    if word == "4-bit":
        # arXiv:2305.14314, section 3: 4.13 bits a weight with its scales
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=models.working_dtype(),
        )
    return None
