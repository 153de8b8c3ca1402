"""Seconds and memory of work on a device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.context import Context

GIB = 2**30


def timed(context: Context, job: Callable[[], Any], runs: int = 5, warm: int = 1) -> dict[str, Any]:
    """Median seconds of a job, the device waited for, and its peak GPU memory above what lay there before, GB."""
    for _ in range(warm):
        job()
    context.wait()
    before = torch.cuda.memory_allocated() if context.on_gpu else 0
    if context.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(runs):
        start = perf_counter()
        job()
        context.wait()
        seconds.append(perf_counter() - start)
    found: dict[str, Any] = {"seconds": float(np.median(seconds)), "runs": seconds}
    if context.on_gpu:
        found["peak_gb"] = (torch.cuda.max_memory_allocated() - before) / 1e9
    return found


def memory(context: Context) -> dict[str, float]:
    """GPU memory of this process at its highest: of tensors, of the allocator, and of the device as a whole, GB."""
    if not context.on_gpu:
        return {}
    free, total = torch.cuda.mem_get_info()
    return {
        "allocated_gb": torch.cuda.max_memory_allocated() / 1e9,
        "reserved_gb": torch.cuda.max_memory_reserved() / 1e9,
        "device_gb": (total - free) / 1e9,
    }


def busy_share(context: Context, job: Callable[[], Any]) -> dict[str, Any]:
    """Share of a job's wall-clock time in which a kernel or copy runs on the GPU; the kernels that take most."""
    if not context.on_gpu:
        return {}
    context.wait()
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        start = perf_counter()
        job()
        context.wait()
        wall = perf_counter() - start
    events = [e for e in profiler.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    kernels = [e for e in events if not e.name.startswith("Mem")]
    total: Counter[str] = Counter()
    for event in kernels:
        total[event.name[:120]] += event.time_range.elapsed_us() / 1e3
    shares = {
        name: union([(e.time_range.start, e.time_range.end) for e in found]) / 1e6 / wall
        for name, found in (("busy", events), ("kernels", kernels))
    }
    return shares | {"seconds": wall, "events": len(events), "most_ms": dict(total.most_common(16))}


def union(spans: list[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, end = 0.0, -np.inf
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total
