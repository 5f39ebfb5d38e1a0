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


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tiny model, wide enough for moments of 8 bits and weights of 4."""
    # here, since most tests hold no model
    from tests.tiny import tiny_model  # pylint: disable=import-outside-toplevel

    return tiny_model(tmp_path_factory.mktemp("model") / "base", width=64)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Packed rows for it."""
    # here, since most tests hold no model
    from tests.runs import packed  # pylint: disable=import-outside-toplevel

    return packed(tmp_path_factory.mktemp("data"))


def _working_in(monkeypatch, dtype: str) -> None:
    """Take a number format for what the device computes well."""
    # here, since most tests hold no model
    from cosmosage import models  # pylint: disable=import-outside-toplevel

    monkeypatch.setattr(models, "working_dtype", lambda: getattr(models.torch, dtype))


@pytest.fixture
def fp32(monkeypatch):
    """Models are loaded in fp32."""
    _working_in(monkeypatch, "float32")


@pytest.fixture
def bf16(monkeypatch):
    """Models are loaded in bf16."""
    _working_in(monkeypatch, "bfloat16")


def pytest_collection_modifyitems(items):
    """Begin with the file that takes longest, so that no core waits for it at the end."""
    items.sort(key=lambda item: item.path.stem != "test_notebooks")


def pytest_make_parametrize_id(val, argname):
    """Name a case of bytes by its argument: an archive holds the second in which it was made, and
    two workers that disagree on a name run nothing."""
    return argname if isinstance(val, bytes) else None


def pytest_configure():
    """Take Ctrl-C in, also where a shell that runs this in its background lets nothing through."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
