"""The rows of ``benchmarks.bench`` on a GPU, without further set-up: ``python -m benchmarks.gpu``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from benchmarks.bench import main

if __name__ == "__main__":
    if not torch.cuda.is_available():
        sys.stderr.write("benchmarks.gpu: found no CUDA device, expected one; run benchmarks.bench for the CPU\n")
        sys.exit(2)
    sys.exit(main(["--device", "cuda", "--output", str(Path(__file__).with_name("latest_gpu.json")), *sys.argv[1:]]))
