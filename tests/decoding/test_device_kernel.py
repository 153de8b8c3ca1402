"""The Triton kernel: in the interpreter, in a process of its own, and compiled for two GPUs that need not be there."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

triton = pytest.importorskip("triton")

PAPER = {"level_count": 4, "features": 64, "width": 64, "classes": 19, "padded": 32}
PARTS = {"deforms": True, "corrects": True, "has_template": True}
TYPES = {"levels": "*fp16", "table": "*i32", "to_box": "*fp64", "to_labels": "*u8"}
POINTERS = ("template", "move_", "add_", "to_")


@pytest.mark.slow
def test_the_kernel_in_the_interpreter():
    tests = Path(__file__).with_name("kernel_interpreted.py")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="compiles nothing in the interpreter")
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("switches", [("labels",), ("adds", "labels"), ("adds", "logits"), ("moves",)])
def test_the_kernel_compiles(capability, switches, tmp_path, monkeypatch):
    """For an A100 and an H100, at the sizes of the paper; ptxas comes with Triton, and no GPU is asked."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from impulse_nnunet.decoding import device_kernel

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    tile = dict(zip(("tile_z", "tile_y", "tile_x"), device_kernel.TILE, strict=True))
    outputs = {name: name in switches for name in ("adds", "labels", "logits", "moves")}
    constants = PAPER | PARTS | tile | outputs
    signature = {name: kind_of(name, constants) for name in inspect.signature(device_kernel.decode_tiles.fn).parameters}
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(signature.values()) if kind.startswith("*")}
    source = ASTSource(device_kernel.decode_tiles, signature, constants, aligned)
    compiled = triton.compile(
        source, GPUTarget("cuda", capability, 32), {"num_warps": device_kernel.WARPS, "num_stages": 1}
    )
    assert compiled.asm["cubin"]


def kind_of(name, constants):
    if name in constants:
        return "constexpr"
    if name in TYPES:
        return TYPES[name]
    if name.startswith(POINTERS):
        return "*fp32"
    return "i32" if name.startswith(("lower", "extent", "stride")) else "fp32"
