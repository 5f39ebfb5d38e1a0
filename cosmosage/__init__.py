"""The rooms behind the notebooks, in the order in which data flows through them.

No room is imported here: each costs what it costs only where it is used.
"""

import logging
import os

# Threads that have nothing to do shall sleep and not spin: beside another busy process,
# spinning cost 39 CPU-seconds where sleeping cost 15 (a training step on two cores). OpenMP
# reads this once, when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# at each start it tells of a kernel for processors on the hub that it could not load, nor needs
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
