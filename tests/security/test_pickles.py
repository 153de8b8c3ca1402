import collections
import pickle
import pickletools

import pytest

from impulse_nnunet.security.pickles import UNREADABLE, names_in_pickle
from tests.security.harmful import Harmful


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_names_of_every_protocol_without_running_it(tmp_path, protocol):
    marker = tmp_path / "marker"
    content = pickle.dumps([Harmful(marker), collections.OrderedDict(a=1), "text", 3], protocol)
    found = names_in_pickle(content)
    assert not marker.exists()
    assert "collections.OrderedDict" in found
    assert any("Path" in name for name in found)
    assert UNREADABLE not in found
    pickle.loads(content)
    assert marker.exists()  # it is harmful indeed


def test_a_name_from_the_memo_is_found():
    # PROTO 4; "os" to memo 0; "system" to memo 1; two NONE; both names fetched again; STACK_GLOBAL; STOP
    content = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94NNh\x00h\x01\x93."
    assert names_in_pickle(content) == {"os.system"}


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x8c\x02os\x8c\x06systemN0\x93.",  # NONE and POP between: hidden from a reader that only looks back
        b"\x80\x02\x82\x01.",  # EXT1: a name from the reader's registry
        b"\x80\x04N\x8c\x06system\x93.",
    ],
)
def test_what_cannot_be_told_is_said_to_be_so(content):
    assert names_in_pickle(content) == {UNREADABLE}


def test_what_follows_the_pickle_is_refused():
    with pytest.raises(ValueError, match="9 bytes behind the end of the pickle"):
        names_in_pickle(pickle.dumps(1) + b"cos\nsystem"[:9])
    with pytest.raises(ValueError, match=r"."):
        names_in_pickle(b"no pickle")


def test_instances_of_old_protocols_count():
    content = b"(ios\nsystem\n."
    assert any(opcode.name == "INST" for opcode, _, _ in pickletools.genops(content))
    assert names_in_pickle(content) == {"os.system"}
