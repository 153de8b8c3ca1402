"""What is imported is declared; the lock file and the page of licences hold what is declared."""

import ast
import importlib.util
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_architecture import ROOT, SOURCES

tomllib = pytest.importorskip("tomllib", reason="part of Python since 3.11")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRAS = [Requirement(text) for part in PROJECT["optional-dependencies"].values() for text in part]
NNUNETS = {"nnunetv2", "dynamic-network-architectures", "batchgenerators", "acvl-utils"}
LOCK = ROOT / "requirements" / "lock-py311.txt"
WITH_TORCH = {"triton"}  # comes with PyTorch for GPUs; done without where it is missing
OWN = {"impulse_nnunet", "tests", "benchmarks", "trainers", "planners", "evaluation"}


def names(requirements):
    return {canonicalize_name(requirement.name) for requirement in requirements}


def packages_imported_by(files):
    """Top-level names that files import, Python's own and ours left out, with one file that does."""
    found = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module]
            found |= {module.split(".")[0]: file for module in modules}
    return {name: file for name, file in found.items() if name not in sys.stdlib_module_names | OWN}


def undeclared(files, declared):
    distributions = metadata.packages_distributions()
    imported = packages_imported_by(files)
    return {
        name: str(file.relative_to(ROOT))
        for name, file in imported.items()
        if not declared & {canonicalize_name(d) for d in distributions.get(name, [name])}
    }


def test_what_the_package_imports_is_declared():
    assert len(packages_imported_by(SOURCES)) > 10
    # these are asked for by extras, and imported only where they are used
    extras = {"tensorboard", "submitit", "highdicom", "pydicom"}
    assert undeclared(SOURCES, names(DIRECT) | extras | WITH_TORCH) == {}


def test_what_tests_and_benchmarks_import_is_declared():
    files = [path for folder in ("tests", "benchmarks", "tools") for path in (ROOT / folder).rglob("*.py")]
    assert undeclared(files, names(DIRECT) | names(EXTRAS) | WITH_TORCH) == {}


def test_nothing_is_declared_that_is_not_imported():
    distributions = metadata.packages_distributions()
    imported = {canonicalize_name(d) for name in packages_imported_by(SOURCES) for d in distributions.get(name, ())}
    assert names(DIRECT) - imported == set()


def test_where_nnunets_interfaces_are_touched_there_is_an_upper_bound():
    bounds = {canonicalize_name(r.name): {s.operator for s in r.specifier} for r in DIRECT}
    assert {name for name in NNUNETS if "<" not in bounds[name]} == set()
    assert {name for name, operators in bounds.items() if ">=" not in operators} == set()


def test_the_lock_file_holds_what_is_declared_within_its_bounds():
    pinned = dict(line.split("==") for line in LOCK.read_text().splitlines() if not line.startswith("#"))
    for requirement in [*DIRECT, *EXTRAS]:
        version = pinned.get(canonicalize_name(requirement.name))
        message = f"{requirement.name}: run python tools/dependencies.py --lock {LOCK.relative_to(ROOT)}"
        assert version is not None, message
        assert requirement.specifier.contains(version, prereleases=True), message


def test_the_page_of_licences_holds_what_is_declared():
    page = (ROOT / "docs" / "dependencies.md").read_text()
    rows = dict(row.split(" | ", 1) for row in page.replace("| ", "", 1).split("\n| ") if " | " in row)
    for requirement in [*DIRECT, *EXTRAS]:
        name = canonicalize_name(requirement.name)
        assert name in rows, f"{name}: run python tools/dependencies.py --page docs/dependencies.md"
        assert all(str(bound) in rows[name] for bound in requirement.specifier)
        assert "not declared" not in rows[name]
    assert "LGPL" in rows["connected-components-3d"]


def test_the_tool_finds_licences_and_what_packages_need():
    spec = importlib.util.spec_from_file_location("dependencies", ROOT / "tools" / "dependencies.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert "LGPL" in tool.licence_of("connected-components-3d")
    needed = tool.closure("nnunetv2")
    assert {"torch", "acvl-utils", "connected-components-3d", "numpy"} <= needed  # the third through the second
    assert "graphviz" in needed
    assert "pre-commit" not in needed  # of an extra that was not asked for


def test_a_lock_file_of_other_versions_is_told(tmp_path):
    spec = importlib.util.spec_from_file_location("dependencies", ROOT / "tools" / "dependencies.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    other = tmp_path / "lock.txt"
    other.write_text(tool.lock().replace(f"numpy=={metadata.version('numpy')}", "numpy==1.0"))
    assert tool.differences(other) == [f"numpy: {metadata.version('numpy')} is installed, {other} has 1.0"]
