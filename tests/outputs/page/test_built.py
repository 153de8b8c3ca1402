"""The built page is what its sources make, and holds the licences of what is in it."""

import hashlib
import json
import re
import shutil
import subprocess

import pytest

from tests.test_architecture import ROOT

VIEWER = ROOT / "viewer"
BUILT = (ROOT / "impulse_nnunet" / "outputs" / "page" / "viewer.html").read_text(encoding="utf-8")


def test_the_sources_are_those_that_it_was_built_from():
    names = ["build.mjs", "package-lock.json", *sorted(f"src/{path.name}" for path in (VIEWER / "src").iterdir())]
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode() + b"\0" + (VIEWER / name).read_bytes() + b"\0")
    assert f"sha256 {digest.hexdigest()}" in BUILT, "run make viewer"


def test_it_is_built_again_byte_for_byte():
    if shutil.which("node") is None or not (VIEWER / "node_modules" / "esbuild").is_dir():
        pytest.skip("no Node, or the viewer's packages are not installed (make viewer)")
    done = subprocess.run(["node", "build.mjs", "--check"], cwd=VIEWER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_versions_are_exact_and_the_lock_file_names_no_host():
    wanted = json.loads((VIEWER / "package.json").read_text())["devDependencies"]
    lock = (VIEWER / "package-lock.json").read_text()
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert "http" not in lock
    packages = json.loads(lock)["packages"]
    for name in ("three", "three-mesh-bvh"):
        assert packages[f"node_modules/{name}"]["version"] == wanted[name]
        assert packages[f"node_modules/{name}"]["license"] == "MIT"
        assert f"{name} {wanted[name]} (MIT)" in BUILT
        assert f"| {name} | {wanted[name]} | MIT |" in (ROOT / "docs" / "dependencies.md").read_text()
    assert BUILT.count("Permission is hereby granted, free of charge") == 2


def test_it_loads_nothing():
    assert "default-src 'none'" in BUILT
    assert not re.search(r"<(script|img|iframe|link)[^>]+(src|href)=\"(?!data:)", BUILT)
    assert BUILT.count("[[CONTENT]]") == BUILT.count("[[CHUNKS]]") == BUILT.count("[[TITLE]]") == 1
