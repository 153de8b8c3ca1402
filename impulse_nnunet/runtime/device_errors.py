"""What an error of PyTorch says about the device: too little memory, or a device that is lost to this process."""

from __future__ import annotations

import torch

from impulse_nnunet.errors import InputError

MEMORY_WORDS = (
    "out of memory",  # the CUDA runtime and driver, and PyTorch's own words for both
    "alloc_failed",  # cuBLAS and cuDNN 8: CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED
    "allocation_failed",  # cuDNN 9: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
    "unable to find an engine to execute this computation",  # no cuDNN algorithm's workspace fits
    "unable to find a valid cudnn algorithm",
    "cublas_status_not_initialized when calling `cublascreate",  # there is no room for cuBLAS itself
    "can't allocate memory",  # PyTorch and NumPy on the CPU
    "not enough memory",
    "unable to allocate",
)
LOST_WORDS = (  # the runtime's texts of errors after which CUDA answers every later call with the same one
    "illegal memory access",
    "device-side assert triggered",
    "unspecified launch failure",
    "launch timed out",
    "misaligned address",
    "illegal instruction",
    "not supported on global/shared address space",
    "invalid program counter",
    "hardware stack error",
    "uncorrectable ecc error",
    "uncorrectable nvlink error",
    "cuda error: unknown error",
)


class DeviceLostError(InputError):
    """CUDA has failed in a way that ends all work of this process on the device."""


def device_lost(case: str, error: BaseException) -> DeviceLostError:
    """One line for a CUDA error that :func:`is_device_lost`, met in a case."""
    return DeviceLostError(
        case,
        f"a CUDA error after which this process cannot use the GPU ({first_line(error)})",
        "a GPU that works",
        "start again, without the cases that are done; if it comes back, with `device` cpu, or with "
        "CUDA_LAUNCH_BLOCKING=1 to learn where it arises",
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, on any device."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _says(error, MEMORY_WORDS)


def is_device_lost(error: BaseException) -> bool:
    """Whether an error says that no later call of this process can succeed on the GPU."""
    return isinstance(error, RuntimeError) and "cuda" in str(error).lower() and _says(error, LOST_WORDS)


def first_line(error: BaseException) -> str:
    """The first line of an error's text; the others of CUDA's are advice to programmers."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    text = str(error).lower()
    return any(part in text for part in words)
