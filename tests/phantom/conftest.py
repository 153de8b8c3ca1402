"""One small case that several modules look at."""

import pytest

from impulse_nnunet.phantom.anatomy import make_anatomy
from impulse_nnunet.phantom.case import make_case
from impulse_nnunet.phantom.settings import PhantomSettings

MEDIUM = PhantomSettings(size=(96, 120, 120), contrast="contrast")


@pytest.fixture(scope="session")
def case():
    return make_case(MEDIUM, 1)


@pytest.fixture(scope="session")
def anatomy():
    return make_anatomy(MEDIUM, 1)
