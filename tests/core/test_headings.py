from __future__ import annotations

import pytest

from insula.core.headings import headings, part

TEXT = """# A page

## The `first` part

one

### Below it

two

```sh
# no heading
```

## [A link](x.md) and *more*

three

## The first part
"""


def test_headings_have_the_anchors_of_code_hosts() -> None:
    assert [(one.level, one.anchor) for one in headings(TEXT)] == [
        (1, "a-page"),
        (2, "the-first-part"),
        (3, "below-it"),
        (2, "a-link-and-more"),
        (2, "the-first-part-1"),
    ]


def test_a_part_goes_as_far_as_the_next_heading_of_its_level() -> None:
    assert part(TEXT, "the-first-part") == TEXT[TEXT.index("## The `first`") : TEXT.index("## [A link]")].strip()
    assert part(TEXT, "the-first-part-1") == "## The first part"
    assert part(TEXT, "a-page") == TEXT.strip()
    assert part(TEXT, "nowhere") == ""


@pytest.mark.parametrize("page", ["readme", "errors", "api", "pacs", "reading", "evaluation", "results/refusal"])
def test_the_pages_of_the_service_have_the_same_anchors(page: str) -> None:
    from insula.serve.web.documents import text_of
    from insula.serve.web.library import shelf

    html, every = str(text_of(page).html), headings(shelf()[page].read_text(encoding="utf-8"))
    assert len(every) > 3
    assert [one.anchor for one in every if f'id="{one.anchor}"' not in html] == []
