"""``arxiv`` is this project's file and the installed client at once."""

import importlib
import importlib.metadata
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from arxiv_server import ArxivServer

import arxiv

ROOT = Path(__file__).resolve().parent.parent
VERSION = importlib.metadata.version("arxiv")
CODE = "import arxiv; print(arxiv.collect.__name__, arxiv.Search.__module__, arxiv.__version__)"
GOOD = f"collect arxiv.client {VERSION}"


def python(*arguments, cwd, path=None):
    """Run a fresh interpreter and give back what it printed."""
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if path:
        environ["PYTHONPATH"] = path
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def failure():
    """An error of the client's, to be sent between processes."""
    return arxiv.HTTPError("https://example.invalid", 0, 503)


def test_this_file_wins_and_the_client_answers():
    assert Path(arxiv.__file__) == ROOT / "arxiv.py"
    assert arxiv.Result is arxiv.client.Result
    assert arxiv.__version__ == VERSION
    assert isinstance(arxiv.Search("cmb"), arxiv.Search)
    assert not hasattr(arxiv, "no_such_name")
    assert not hasattr(arxiv, "__path__")


def test_another_library_uses_the_client_as_it_knows_it(tmp_path):
    code = "from arxiv import Client, HTTPError, SortOrder; print(SortOrder.Ascending.value)"
    assert python("-c", code, cwd=ROOT) == "ascending"
    assert issubclass(arxiv.HTTPError, arxiv.ArxivError)
    record = {"id": "2407.04420", "version": 1, "title": "cosmosage"}
    with ArxivServer([record], tmp_path) as server:
        client = arxiv.Client(delay_seconds=0)
        client.query_url_format = server.url + "/api/query?{}"
        (paper,) = client.results(arxiv.Search("cosmosage", max_results=1))
    assert paper.get_short_id() == "2407.04420v1"
    assert isinstance(paper, arxiv.Result)
    assert pickle.loads(pickle.dumps(paper)) == paper
    assert typing.get_type_hints(arxiv.Result)["title"] is str


def test_a_path_with_a_dot(tmp_path):
    code = f"import sys; sys.path[0] = '.'; {CODE}"
    assert python("-c", code, cwd=ROOT) == GOOD
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {CODE}"
    assert python("-c", code, cwd=tmp_path) == GOOD


@pytest.mark.parametrize(
    "way", ["folder", "link", "linked file", "data", "copy", "twice"]
)
def test_ways_in(way, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(ROOT)
    where, path = tmp_path, str(ROOT)
    if way == "folder":
        where, path = ROOT, None
    elif way == "link":
        path = str(link)
    elif way == "linked file":
        (tmp_path / "arxiv.py").symlink_to(ROOT / "arxiv.py")
    elif way == "data":  # to Python a folder of this name is a namespace package
        (tmp_path / "arxiv").mkdir()
    elif way == "copy":  # a second checkout
        shutil.copy(ROOT / "arxiv.py", tmp_path)
    else:
        where, path = link, f"{ROOT}{os.pathsep}{link}"
    assert python("-c", CODE, cwd=where, path=path) == GOOD


def test_from_elsewhere_without_the_path_it_is_the_plain_client(tmp_path):
    code = "import arxiv; print(arxiv.Search.__module__, hasattr(arxiv, 'collect'))"
    assert python("-c", code, cwd=tmp_path) == "arxiv False"


def test_run_as_a_module_keeps_one_client():
    assert "download" in python("-m", "arxiv", "--help", cwd=ROOT)


def test_import_is_light():
    code = (
        "import arxiv, sys; heavy = {'torch', 'transformers', 'datasets', 'numpy', 'pandas'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert python("-c", code, cwd=ROOT) == "[]"


def test_pickles_in_a_fresh_process():
    blob = pickle.dumps(failure())
    code = f"import pickle; e = pickle.loads({blob!r}); print(type(e).__qualname__, e.status)"
    assert python("-c", code, cwd=ROOT) == "HTTPError 503"


def test_spawned_workers():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        error = pool.apply(failure)
    assert isinstance(error, arxiv.HTTPError)


def test_reload_keeps_the_classes():
    before = arxiv.Result
    assert importlib.reload(arxiv).Result is before


def test_missing_client_says_what_to_do():
    """Everything that arxiv.py needs is there, except for the client."""
    code = (
        "import sys, os, importlib.machinery as m; found = m.PathFinder.find_spec;"
        "m.PathFinder.find_spec = classmethod(lambda c, name, path=None, target=None:"
        " found(name, path, target) if name != 'arxiv' or not path or"
        " 'site-packages' not in path[0] else None); import arxiv"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "pip install -r requirements.txt" in done.stderr
