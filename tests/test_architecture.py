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
FOUNDATION = {"errors", "geometry", "laterality", "runtime", "plausibility", "io", "jobs"}
METHOD = {"network", "settings", "decoding", "training", "inference"}
NNUNET = {"security", "outputs", "evaluation", "preprocessing", "planners", "nnunet"}
# From the inside out: room -> the rooms that it may import, all of which stand above it.
LAYERS = {
    "errors": set(),
    "geometry": {"errors"},
    "laterality": {"errors", "geometry"},
    "runtime": {"errors"},
    "plausibility": {"errors", "geometry", "runtime"},
    "network": {"errors", "geometry"},
    "settings": {"errors", "laterality", "plausibility", "network"},
    "io": {"errors", "geometry", "runtime"},
    "jobs": {"errors", "runtime", "io"},
    "security": {"errors", "io"},
    "outputs": {"errors", "geometry", "runtime", "io", "jobs"},
    "decoding": {"errors", "geometry", "runtime", "network"},
    "training": {"errors", "geometry", "runtime", "network", "settings", "io"},
    "inference": {"errors", "geometry", "runtime", "network", "settings", "io", "decoding"},
    "surgery": {"errors", "geometry", "runtime", "io", "jobs", "outputs"},
    "evaluation": {"errors", "geometry", "runtime", "io", "jobs", "outputs"},
    "preprocessing": FOUNDATION | {"network", "settings", "training"},
    "planners": FOUNDATION | {"network", "settings", "preprocessing"},
    "nnunet": FOUNDATION | METHOD | {"security", "outputs", "evaluation", "preprocessing", "planners"},
    "trainers": FOUNDATION | METHOD | NNUNET,
    "lungs": FOUNDATION | METHOD | NNUNET,
    "phantom": FOUNDATION | {"outputs", "evaluation", "lungs"},
    "studies": FOUNDATION | METHOD | NNUNET,
    "cli": FOUNDATION | METHOD | NNUNET | {"surgery", "lungs", "phantom", "studies"},
    "external_trainers": {"errors", "runtime", "trainers", "cli"},  # where nnU-Net's own command lines come in
    "__main__": {"cli"},
}
WITH_NNUNET = {"preprocessing", "planners", "trainers", "nnunet"}
EXCEPTIONS = {  # modules elsewhere that import nnunetv2
    # images are read by nnU-Net's reader classes, so that a case is the same in training and in stock prediction; the
    # checks of what was read belong to io, and nnunet/ lies further out
    "impulse_nnunet.io.nnunet",
}
# rooms, and planners.rules, that do not reach nnU-Net through any other module
PURE_ROOMS = (
    "errors",
    "geometry",
    "laterality",
    "runtime",
    "plausibility",
    "network",
    "settings",
    "jobs",
    "security",
    "decoding",
    "training",
    "inference",
    "outputs",
    "surgery",
    "evaluation",
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
        todo += [MODULES[name] for name in new if name in MODULES and name != "impulse_nnunet"]
    return seen


def belongs_to(name, package):
    return name == package or name.startswith(package + ".")


def room_of(name):
    """The room of a module of this project: its folder in the package, or its name where it lies at the root."""
    return name.split(".")[1] if "." in name else "root"


def outward(path):
    """Imports of a file that its room may not make."""
    own = room_of(name_of(path))
    found = {name for name in imports_of(path) if belongs_to(name, "impulse_nnunet")}
    found -= {"impulse_nnunet", "impulse_nnunet.__version__"}  # the version, which is all that the root gives inwards
    return sorted(name for name in found if room_of(name) != own and room_of(name) not in LAYERS[own])


INNER = [path for path in SOURCES if path != PACKAGE / "__init__.py"]  # which offers names of all rooms
PURE = [p for p in INNER if room_of(name_of(p)) in PURE_ROOMS or name_of(p) == "impulse_nnunet.planners.rules"]
PURE += [path for path in (PACKAGE / "io").glob("*.py") if path.stem not in ("nnunet", "images")]


def test_the_reader_of_imports_sees_them(monkeypatch):
    # the adapters do import nnU-Net: if the reader above were blind, the tests below could not fail
    assert any(belongs_to(name, "nnunetv2") for name in imports_of(ROOT / "trainers" / "impulse.py"))
    assert "impulse_nnunet.geometry.coordinates" in reach_of(PACKAGE / "network" / "build.py")
    assert len(SOURCES) > 40
    monkeypatch.setitem(LAYERS, "training", LAYERS["training"] - {"settings"})
    assert "impulse_nnunet.settings" in outward(PACKAGE / "training" / "boxes.py")


def test_the_table_names_every_room_and_only_points_inwards():
    assert {room_of(name_of(path)) for path in INNER} == set(LAYERS)
    order = list(LAYERS)
    for room, allowed in LAYERS.items():
        assert allowed <= set(order[: order.index(room)]), room


def test_every_folder_of_modules_is_installed():
    listed = set(re.findall(r'"(impulse_nnunet[\w.]*)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    folders = {name_of(path) for path in SOURCES if path.name == "__init__.py"}
    assert folders - listed == set()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_name_modules_that_are_there(path):
    """Those inside functions too, which fail only when they are called; mypy takes a missing module for a stranger."""
    missing = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
        missing += [name for name in names if belongs_to(name, "impulse_nnunet") and name not in MODULES]
    assert missing == []


@pytest.mark.parametrize("path", INNER, ids=name_of)
def test_imports_point_inwards(path):
    assert outward(path) == []


def test_the_root_holds_few_modules():
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", "__main__", "errors", "settings"}


def test_the_guide_has_a_line_for_every_room():
    table = [
        line for line in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").splitlines() if "|" in line
    ]
    named = {room for room in LAYERS for line in table if f"`{room}/`" in line or f"`{room}.py`" in line}
    assert set(LAYERS) - named == {"__main__"}  # which is cli/ under another name


def test_nnunet_is_imported_where_the_folders_say():
    users = {name_of(path) for path in SOURCES if any(belongs_to(n, "nnunetv2") for n in imports_of(path))}
    assert {name for name in users if room_of(name) not in WITH_NNUNET} == EXCEPTIONS


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_the_inner_rooms_do_not_know_nnunet(path):
    assert [name for name in reach_of(path) if belongs_to(name, "nnunetv2")] == []


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
SHELL_TEXTS = {  # what to type into a shell
    "impulse_nnunet.nnunet.diagnosis": ["mkdir -p "],
    "impulse_nnunet.runtime.memory_limit": [
        "raise the limit (ulimit -v unlimited, or the job's), which counts more than what is used"
    ],
}


def flag_texts_of(path):
    """Texts with a flag in a module; one that stands alone is a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [text.value for text in texts if id(text) not in docstrings and FLAG.search(text.value)]


def test_the_reader_of_flags_sees_them():
    assert "--spacing" in flag_texts_of(PACKAGE / "cli" / "output_flags.py")
    assert all(flag_texts_of(MODULES[name]) for name in RUN_COMMANDS)


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parent != PACKAGE / "cli"], ids=name_of)
def test_only_the_command_line_knows_flags(path):
    found = flag_texts_of(path)
    if name_of(path) in RUN_COMMANDS:
        found = [text for text in found if not re.fullmatch(r"--?\w+(=.*)?", text)]
    assert found == SHELL_TEXTS.get(name_of(path), [])


# short records whose fields are read in order like a sentence or a row of a table
POSITIONAL = {
    "impulse_nnunet.nnunet.diagnosis.Check",
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
