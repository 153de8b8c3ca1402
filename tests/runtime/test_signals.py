import os
import signal
import threading

import pytest

from impulse_nnunet.runtime.signals import StopRequestedError, stoppable


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_block_with_the_code_that_shells_report(number):
    before = signal.getsignal(number)
    with pytest.raises(StopRequestedError) as stop, stoppable():
        os.kill(os.getpid(), number)
    assert stop.value.code == 128 + number
    assert str(stop.value) == signal.Signals(number).name
    assert signal.getsignal(number) is before


def test_a_block_in_another_thread_just_runs():
    done = []

    def work():
        with stoppable():
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1]
