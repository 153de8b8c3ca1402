"""Texts of real errors, as PyTorch's library and users' reports have them."""

import pickle

import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.runtime.device_errors import device_lost, is_device_lost, is_out_of_memory

ADVICE = (
    "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be "
    "incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA` to enable "
    "device-side assertions.\n"
)
SEARCH = "\nSearch for `cudaError{}' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html"
MEMORY = {
    "runtime": "CUDA error: out of memory" + ADVICE,  # pytorch_sparse issue 280, Wan2GP issue 1083
    "runtime, newer": "CUDA error: out of memory" + SEARCH.format("MemoryAllocation") + ADVICE,  # ComfyUI issue 12366
    "driver": "CUDA driver error: out of memory",
    "allocator": "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB",
    "outside the allocator": "CUDA ran out of memory outside PyTorch's allocator. If this workload uses many dynamic",
    "cuDNN 8": "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",  # pytorch issue 20123
    "cuDNN 9": "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cuDNN 9, host": "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "cuDNN, no workspace": "Unable to find a valid cuDNN algorithm to run convolution",  # marqo issue 101
    "cuDNN, search": "FIND was unable to find an engine to execute this computation",
    "cuDNN, heuristics": "GET was unable to find an engine to execute this computation",
    "cuBLAS": "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",  # Qwen3 issue 873
    "cuBLAS, start": "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "CPU": "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 90000000000000 bytes. Error code 12 (Cannot allocate memory)",
    "CPU, Windows": "DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes.",
}
LOST = [
    "an illegal memory access was encountered",  # LightX2V issue 480
    "device-side assert triggered",
    "unspecified launch failure",
    "the launch timed out and was terminated",
    "misaligned address",
    "an illegal instruction was encountered",
    "operation not supported on global/shared address space",
    "invalid program counter",
    "hardware stack error",
    "uncorrectable ECC error encountered",
    "unknown error",
]
OTHER = [
    "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)",
    "CUDA error: invalid device ordinal" + ADVICE,
    "CUDA error: no kernel image is available for execution on the device" + ADVICE,
    "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!",
    "cuDNN error: CUDNN_STATUS_BAD_PARAM",
]
KINDS = [RuntimeError, getattr(torch, "AcceleratorError", RuntimeError)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", MEMORY.values(), ids=MEMORY)
def test_too_little_memory_is_recognised(text, kind):
    assert is_out_of_memory(kind(text))
    assert not is_device_lost(kind(text))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", LOST)
def test_a_lost_device_is_recognised(text, kind):
    assert is_device_lost(kind(f"CUDA error: {text}{ADVICE}"))
    assert not is_out_of_memory(kind(f"CUDA error: {text}{ADVICE}"))


@pytest.mark.parametrize("text", OTHER)
def test_other_errors_are_neither(text):
    assert not is_out_of_memory(RuntimeError(text))
    assert not is_device_lost(RuntimeError(text))


def test_kinds_of_errors_that_need_no_text():
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("anything"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(ValueError("out of memory"))
    assert not is_device_lost(ValueError("CUDA error: device-side assert triggered"))


def test_a_lost_device_is_one_line_without_the_advice_to_programmers():
    error = device_lost("case_1", RuntimeError("CUDA error: device-side assert triggered" + ADVICE))
    assert str(error) == (
        "case_1: found a CUDA error after which this process cannot use the GPU (CUDA error: device-side assert "
        "triggered), expected a GPU that works; start again, without the cases that are done; if it comes back, with "
        "`device` cpu, or with CUDA_LAUNCH_BLOCKING=1 to learn where it arises"
    )
    assert isinstance(error, InputError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
