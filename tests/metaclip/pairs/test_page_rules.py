"""Rules for pages that all sources share."""

from hypothesis import given
from hypothesis import strategies as st

from metaclip.pairs.page_rules import may_opt_out, opts_out


@given(st.text(alphabet="noNOimagIAİıeſ-_ ,:é", max_size=14) | st.sampled_from(["noımageaı", "x: NOİMAGEAI", "noaı"]))
def test_no_opt_out_is_overlooked_when_many_are_looked_at_together(directive: str) -> None:
    if opts_out([directive]):
        assert may_opt_out([b"all", directive.encode(), b"noindex"])
    assert not may_opt_out([b"noindex, nofollow, noarchive, max-image-preview:large"])
