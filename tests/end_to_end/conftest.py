"""Names that the tests here take from the shared workplace; its fixtures are registered in tests/conftest.py."""

from tests.workplace import MODEL, TINY, Workplace, make_workplace, plan

__all__ = ["MODEL", "TINY", "Workplace", "make_workplace", "plan"]
