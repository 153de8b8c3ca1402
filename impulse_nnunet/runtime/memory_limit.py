"""Too little memory for this process itself: what loading libraries and starting threads then say."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from impulse_nnunet.errors import InputError

WORDS = (
    "failed to map segment",  # the loader of shared libraries
    "cannot allocate memory",  # ENOMEM
    "can't start new thread",
    "can't allocate memory",  # PyTorch
    "unable to allocate",  # NumPy
    "std::bad_alloc",
)


def short_of_memory(error: BaseException) -> InputError | None:
    """One line for an exception that says that this process cannot have the memory that it asks for."""
    if not any(isinstance(found, MemoryError) or _says(found) for found in _chain(error)):
        return None
    limit = virtual_limit_gb()
    if limit is None:
        return InputError("memory", "too little", "memory for this process", "end other jobs, or ask for more")
    return InputError(
        "memory",
        f"too little, with a limit of {limit:.1f} GB on virtual memory",
        "room for PyTorch and the images",
        "raise the limit (ulimit -v unlimited, or the job's), which counts more than what is used",
    )


def virtual_limit_gb() -> float | None:
    """The limit on this process's addresses, if there is one."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft / 1e9


def _says(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, ImportError | OSError | RuntimeError) and any(words in text for words in WORDS)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that it arose from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
