"""The house: who may import whom, what an import may cost, what a cell may hold."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP = ["arxiv", "fine_tune", "helpers"]
ROOMS = (
    "documents downloads listing packages similar oai search sources bulk children latex "
    "books convert corpus importing settings schedule models tokens cards attention loss optimiser "
    "adapters merging checkpoints progress validation ledger tracing planner sweeps retrieval "
    "reranking verbatim chat quantities agreement support pairs assistant evaluation server plots "
    "report scales views runs notebooks"
).split()
"""In the order in which data flows: a room imports only rooms before it."""
HOLD_A_MODEL = set(
    "tokens models cards attention loss optimiser adapters merging checkpoints progress "
    "validation tracing planner evaluation reranking assistant server runs".split()
)
NOTEBOOKS = ["cosmosage.ipynb", "textbooks.ipynb"]


def files(room):
    """The Python files of a room: one, or those of its folder."""
    folder = ROOT / "cosmosage" / room
    return (
        sorted(folder.glob("*.py"))
        if folder.is_dir()
        else [folder.with_name(f"{room}.py")]
    )


def imported(path):
    """Names of the modules that a file imports anywhere, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module}
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_room_is_listed():
    there = {
        path.stem
        for path in (ROOT / "cosmosage").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert there - {"__init__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_above_it(room):
    below = set(ROOMS[ROOMS.index(room) + 1 :])
    for path in files(room):
        names = imported(path)
        for name in names:
            parts = name.split(".")
            assert parts[0] not in TOP, f"{path} imports {name}"
            if parts[0] == "cosmosage" and len(parts) > 1:
                assert parts[1] not in below, f"{path} imports {name}"
        if room not in HOLD_A_MODEL:
            assert "torch" not in {name.split(".")[0] for name in names}, path


@pytest.mark.parametrize("path", sorted(ROOT.glob("cosmosage/**/*.py")), ids=str)
def test_a_room_past_600_lines_is_a_folder(path):
    assert len(path.read_text("utf-8").splitlines()) <= 600


@pytest.mark.parametrize("name", TOP)
def test_a_top_level_module_owns_real_work_and_stays_readable(name):
    tree = ast.parse((ROOT / f"{name}.py").read_text("utf-8"))
    lines = len((ROOT / f"{name}.py").read_text("utf-8").splitlines())
    assert 300 < lines <= 600
    own = [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    assert len(own) > 5


@pytest.mark.parametrize(
    "module",
    [*TOP, *(f"cosmosage.{room}" for room in ROOMS)],
)
def test_a_fresh_process_imports_it_from_another_folder(module, tmp_path):
    code = (
        f"import sys, os; sys.path.insert(0, {str(ROOT)!r}); before = os.listdir('.'); "
        f"import {module}; assert os.listdir('.') == before; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    light = module in ("arxiv", "helpers") or (
        module.startswith("cosmosage.") and module[10:] not in HOLD_A_MODEL
    )
    if light:
        assert done.stdout.strip() == "False", f"{module} costs an import of torch"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_cell_is_one_call_and_one_thing_shown(name):
    for cell in nbformat.read(ROOT / name, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        lines = cell.source.splitlines()
        assert len(lines) <= 10, cell.source
        tree = ast.parse(cell.source)
        forbidden = (ast.FunctionDef, ast.ClassDef, ast.If, ast.For, ast.While, ast.Try)
        assert not any(isinstance(node, forbidden) for node in ast.walk(tree))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_with_clean_outputs_of_one_run(name):
    book = json.loads((ROOT / name).read_text("utf-8"))
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    text = json.dumps(code)
    assert not re.search(r"/root/|/home/|/Users/|/work/", text)
    assert "widget-view" not in text and "widgets" not in book["metadata"]
    shown = [output for cell in code for output in cell["outputs"]]
    assert len(shown) >= len(code) // 2
    for output in shown:
        assert output["output_type"] != "error" and output.get("name") != "stderr"
        picture = output.get("data", {}).get("image/png", "")
        assert len(picture) * 3 / 4 < 100_000
