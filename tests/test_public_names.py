"""What ``from impulse_nnunet import ...`` offers, and that the import alone stays light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import impulse_nnunet

ROOT = Path(__file__).resolve().parents[1]
PUBLIC = {  # name -> where it is defined
    "CasesFailedError": "impulse_nnunet.errors.CasesFailedError",
    "ImPulSeNet": "impulse_nnunet.network.impulse_net.ImPulSeNet",
    "InputError": "impulse_nnunet.errors.InputError",
    "MetricSettings": "impulse_nnunet.evaluation.settings.MetricSettings",
    "NetworkSettings": "impulse_nnunet.network.settings.NetworkSettings",
    "OutputOptions": "impulse_nnunet.nnunet.output_options.OutputOptions",
    "PhantomSettings": "impulse_nnunet.phantom.settings.PhantomSettings",
    "Predictor": "impulse_nnunet.nnunet.predictor.ImPulSePredictor",
    "build_network": "impulse_nnunet.network.build.build_network",
    "evaluate": "impulse_nnunet.evaluation.case.evaluate_case",
    "make_phantom": "impulse_nnunet.phantom.case.make_case",
    "plan": "impulse_nnunet.nnunet.planning.plan_dataset",
    "preprocess": "impulse_nnunet.nnunet.planning.preprocess_dataset",
}


def in_a_new_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_public_names_are_these():
    assert sorted(impulse_nnunet.__all__) == sorted(PUBLIC)
    assert set(PUBLIC) <= set(dir(impulse_nnunet))


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_what_it_says(name):
    found = getattr(impulse_nnunet, name)
    assert f"{found.__module__}.{found.__qualname__}" == PUBLIC[name]


def test_type_checkers_are_told_the_same():
    tree = ast.parse((ROOT / "impulse_nnunet" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.asname or alias.name: (node.module.removeprefix("impulse_nnunet."), alias.name)
        for node in block.body
        for alias in node.names
    }
    assert told == impulse_nnunet._PLACES


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'impulse_nnunet' has no attribute 'no_such_name'"):
        _ = impulse_nnunet.no_such_name


def test_the_import_alone_takes_no_heavy_library_with_it():
    heavy = in_a_new_process(
        "import sys, impulse_nnunet; print({'torch', 'numpy', 'nnunetv2', 'SimpleITK'} & set(sys.modules))"
    )
    assert heavy == "set()"


def test_the_guide_shows_every_name():
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert [name for name in PUBLIC if not re.search(rf"\b{name}\b", text)] == []


def test_the_modules_that_the_guide_imports_are_there():
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    code = "\n".join(line for line in text.splitlines() if line.startswith(("from impulse_nnunet", "import impulse")))
    assert "impulse_nnunet" in code
    in_a_new_process(code)
