"""Imports point inwards: read from the source, nothing is imported here."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "impulse_nnunet"
OUTSIDE = ("trainers", "planners", "evaluation")  # installed as impulse_nnunet.<name>
SOURCES = sorted(p for folder in (PACKAGE, *[ROOT / name for name in OUTSIDE]) for p in folder.rglob("*.py"))
PURE = sorted(
    [
        *(PACKAGE / "network").glob("*.py"),
        *(PACKAGE / "decoding").glob("*.py"),
        *(PACKAGE / "laterality").glob("*.py"),
        *(ROOT / "evaluation").rglob("*.py"),
        *[path for path in (PACKAGE / "io").glob("*.py") if path.stem not in ("nnunet", "images")],
        PACKAGE / "coordinates.py",
        *(PACKAGE / "jobs").glob("*.py"),
        ROOT / "planners" / "rules.py",
        *[PACKAGE / "trust" / f"{name}.py" for name in ("archives", "checkpoints", "class_names", "pickles")],
        *[PACKAGE / "training" / f"{name}.py" for name in ("boxes", "points", "losses", "images")],
    ]
)


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "impulse_nnunet" else ("impulse_nnunet", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in SOURCES}


@cache
def imports_of(path):
    """Names of all modules that a file imports, wherever in the file; relative imports resolved."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = name_of(path).split(".")
            package = package[: len(package) + (path.name == "__init__.py") - node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def reach_of(path):
    """All modules that a file imports, directly or through modules of this project."""
    seen, todo = set(), [path]
    while todo:
        new = imports_of(todo.pop()) - seen
        seen |= new
        todo += [MODULES[name] for name in new if name in MODULES]
    return seen


def belongs_to(name, package):
    return name == package or name.startswith(package + ".")


def test_the_reader_of_imports_sees_them():
    # the adapters do import nnU-Net: if the reader above were blind, the tests below could not fail
    assert any(belongs_to(name, "nnunetv2") for name in imports_of(ROOT / "trainers" / "impulse.py"))
    assert "impulse_nnunet.coordinates" in reach_of(PACKAGE / "network" / "build.py")
    assert len(SOURCES) > 40


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_the_inner_rooms_do_not_know_nnunet(path):
    assert [name for name in reach_of(path) if belongs_to(name, "nnunetv2")] == []


def test_files_meet_nnunet_in_one_place():
    files = (PACKAGE / "io").glob("*.py")
    assert [path.stem for path in files if any(belongs_to(n, "nnunetv2") for n in imports_of(path))] == ["nnunet"]


# where command lines come in: __main__.py is ours under another name, external_trainers are what nnU-Net's load
ENTRIES = (PACKAGE / "__main__.py", PACKAGE / "external_trainers" / "impulse_nnunet_trainers.py")


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parent != PACKAGE / "cli" and p not in ENTRIES], ids=name_of)
def test_nothing_knows_the_command_line(path):
    assert [name for name in imports_of(path) if belongs_to(name, "impulse_nnunet.cli")] == []


FLAG = re.compile(r"(?<![\w\-{}$*/.)\]])--?[a-zA-Z]\w*")
# command lines that are run, or that a child process reads: each text is one flag and nothing else
RUN_COMMANDS = {
    "impulse_nnunet.evaluation.report.scenes",
    "impulse_nnunet.jobs.process",
    "impulse_nnunet.jobs.submission",
    "impulse_nnunet.lungs.pipeline",
    "impulse_nnunet.lungs.prediction",
    "impulse_nnunet.lungs.result_steps",
    "impulse_nnunet.lungs.stages",
    "impulse_nnunet.studies.figures",
    "impulse_nnunet.studies.preparation",
    "impulse_nnunet.studies.runs",
    "impulse_nnunet.studies.stages",
}
SHELL_TEXTS = {"impulse_nnunet.diagnosis": ["mkdir -p "]}  # what to type into a shell


def flag_texts_of(path):
    """Texts with a flag in a module; one that stands alone is a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [text.value for text in texts if id(text) not in docstrings and FLAG.search(text.value)]


def test_the_reader_of_flags_sees_them():
    assert "--spacing" in flag_texts_of(PACKAGE / "cli" / "predict.py")
    assert all(flag_texts_of(MODULES[name]) for name in RUN_COMMANDS)


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parent != PACKAGE / "cli"], ids=name_of)
def test_only_the_command_line_knows_flags(path):
    found = flag_texts_of(path)
    if name_of(path) in RUN_COMMANDS:
        found = [text for text in found if not re.fullmatch(r"--?\w+(=.*)?", text)]
    assert found == SHELL_TEXTS.get(name_of(path), [])


# short records whose fields are read in order like a sentence or a row of a table
POSITIONAL = {
    "impulse_nnunet.diagnosis.Finding",
    "impulse_nnunet.evaluation.report.cells.Cell",
    "impulse_nnunet.evaluation.report.cells.Table",
    "impulse_nnunet.evaluation.report.slices.Plane",
}
MOST_POSITIONAL = 3


def positional_fields_of(path):
    """Name of each dataclass of a module -> its fields that may be given by position."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        decorators = [ast.unparse(item) for item in getattr(node, "decorator_list", ())]
        if isinstance(node, ast.ClassDef) and any(text.startswith("dataclass") for text in decorators):
            fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
            fields = [item for item in fields if not ast.unparse(item.annotation).startswith("ClassVar")]
            named = any("kw_only=True" in text for text in decorators)
            found[f"{name_of(path)}.{node.name}"] = 0 if named else len(fields)
    return found


def test_dataclasses_of_many_fields_are_made_by_names():
    found = {name: number for path in SOURCES for name, number in positional_fields_of(path).items()}
    assert found["impulse_nnunet.network.systems.Task"] == 0
    assert {name for name, number in found.items() if number > MOST_POSITIONAL} == POSITIONAL


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_assert_no_print_no_bare_except_no_wildcard(path):
    bad = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assert):
            bad.append(f"assert in line {node.lineno}")
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            bad.append(f"bare except in line {node.lineno}")
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            bad.append(f"wildcard import in line {node.lineno}")
        is_print = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        if is_print and path.parent != PACKAGE / "cli":
            bad.append(f"print in line {node.lineno}")
    assert bad == []
