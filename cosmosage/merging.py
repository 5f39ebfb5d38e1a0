"""A model between two others: between its base and its tuned self, or between two trainings.

Tuning moves weights along a way on which most is learnt early and most is lost late: half of the
way gives back half of the loss on other text, or more, and keeps most of the gain (Wortsman et al.
2022, arXiv:2109.01903; AstroSage 8B is three quarters of the way). It costs no training, only the
look at how far to go, which belongs on validation texts.

The mean of two trainings of one base expects unseen texts better than either (Wortsman et al. 2022,
arXiv:2203.05482): what they learnt is on the same side, and their noise is not.
"""

from pathlib import Path

import torch

from cosmosage import models
from cosmosage.documents import finish, finished, fingerprint
from cosmosage.optimiser import round_stochastically

SEED = 0
"""Of the rounding into bf16."""


@torch.no_grad()
def between(base: str | Path, tuned: str | Path, share: float, out: Path) -> Path:
    """Save the weights ``base + share x (tuned - base)``, with the tuned model's tokenizer.

    They are computed in fp32, and rounded up or down by chance where they are kept in bf16: to the
    nearest, small steps away from the base would be lost.

    Args:
        base: folder or hub name of the model that was tuned, or of another training of it.
        tuned: of what became of it.
        share: of the way from one to the other, 0 to 1.
        out: the folder for the model; left alone if it is finished.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: one of the models is missing.
        ValueError: a share outside 0 to 1, or two models that are not of one make.
    """
    if not 0 <= share <= 1:
        raise ValueError(
            f"share is {share}; it has to be between 0 (base) and 1 (tuned)"
        )
    key = fingerprint(models.portrait(base), models.portrait(tuned), share, SEED)
    mark = Path(out) / "done.json"
    if finished(mark, key):
        return Path(out)
    first, _ = models.load(base)
    second, tokenizer = models.load(tuned)
    there, here = (dict(model.named_parameters()) for model in (first, second))
    if {n: p.shape for n, p in there.items()} != {n: p.shape for n, p in here.items()}:
        raise ValueError(
            f"{tuned} was not tuned from {base}: their weights differ in name or shape"
        )
    generator = torch.Generator(second.device).manual_seed(SEED)
    for name, weight in here.items():
        mixed = torch.lerp(there[name].float(), weight.float(), share)
        if weight.dtype == torch.bfloat16:
            round_stochastically(weight, mixed, generator)
        else:
            weight.copy_(mixed)
    mark.unlink(missing_ok=True)
    second.save_pretrained(out)
    tokenizer.save_pretrained(out)
    finish(mark, key, {"base": str(base), "tuned": str(tuned), "share": share})
    return Path(out)
