"""A training as ``accelerate launch`` starts it, in fp32 and on one thread a process.

``python -m tests.launched SETTINGS.json`` in each of the processes.
"""

import json
import sys
from pathlib import Path

import torch

import fine_tune
from cosmosage import models


def main() -> None:
    """Train as a file says it."""
    torch.set_num_threads(1)
    models.working_dtype = lambda: torch.float32
    given = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    for name in ("data", "out"):
        given[name] = Path(given[name])
    fine_tune.fine_tune(fine_tune.Settings(**given))


if __name__ == "__main__":
    main()
