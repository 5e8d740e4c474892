"""Which tokens are scored together, after which window."""

from itertools import pairwise

import pytest

from app.experiments.errors import ExperimentError
from app.experiments.perplexity.strides import Layout, Setup, Stride, plan

PAPER = Setup(window=10, stride=3, doc_tokens=4, rank_tokens=2, query_tokens=4)
PREPEND = Setup(Layout.PREPEND, window=10, stride=3, doc_tokens=4, rank_tokens=2, step=5)


def test_the_papers_windows_move_by_a_stride():
    assert plan(17, PAPER) == [
        Stride(0, 10, 0),
        Stride(10, 13, 3),
        Stride(13, 16, 6),
        Stride(16, 17, 9),
    ]


def test_a_prepended_window_starts_at_one_token_for_several_strides():
    strides = plan(20, PREPEND)
    assert strides[0] == Stride(0, 3, 0)
    assert [stride.window for stride in strides] == [0, 0, 0, 5, 5, 10, 15 - 5]
    assert strides[-1].end == 20
    assert all(stride.end - stride.window <= 10 for stride in strides)
    assert all(a.end == b.begin for a, b in pairwise(strides))


@pytest.mark.parametrize("setup", [PAPER, PREPEND])
def test_a_text_within_the_first_window_is_refused(setup):
    with pytest.raises(ExperimentError, match=r"has 10 tokens.*smaller --window"):
        plan(10, setup)
    assert plan(11, setup)[-1].end == 11


def test_sizes_must_leave_room_for_each_other():
    with pytest.raises(ExperimentError, match="take 27 tokens, more than the window of 20"):
        Setup(window=20, stride=1, doc_tokens=10)
    with pytest.raises(ExperimentError, match="stride must be at least 1"):
        Setup(stride=0)
