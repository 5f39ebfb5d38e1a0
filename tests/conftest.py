"""What every test of a model needs: one thread, and no network behind one's back."""

import os
import signal
import sys

import pytest

# read by the libraries when they are imported, which a test module does after this one
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # tests fork, and wait for no thread


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Compute on one thread: tiny models gain nothing by more, and a fork needs it."""
    if torch := sys.modules.get("torch"):  # where a test module holds a model
        torch.set_num_threads(1)


def pytest_configure():
    """Take Ctrl-C in, also where a shell that runs this in its background lets nothing through."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
