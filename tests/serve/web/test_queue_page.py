"""The queue's pages: the least certain first, second readings, what has no label, and the way to the next case."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from sqlalchemy import delete
from tests.serve.api.made import Made
from tests.serve.store.made_records import predicted, study
from tests.serve.web.reading import Page, read

from insula.serve.store import reviews, schema
from insula.serve.store.connect import writing
from insula.serve.store.reviews import Said
from insula.serve.web import queue_page

pytestmark = pytest.mark.serve
SURE = (0.9, 0.55, 0.7, 0.99)


@pytest.fixture
def laid(made: Made) -> Mapping[str, tuple[str, str]]:
    """Patient → study and prediction, of four that answered and one that was rejected; nothing else waits."""
    found = {}
    with writing(made.service.records) as connection:
        connection.execute(delete(schema.studies))
        for i, p in enumerate((*SURE, 0.5)):
            one = study(connection, made.inside, f"Q-{i}", f"Head {i}")
            found[f"Q-{i}"] = (one, predicted(connection, one, p, "reject" if i == 4 else "refer"))
        predicted(connection, study(connection, made.outside, "Q-OUT"))
    return found


def keys(shown: Page) -> list[str]:
    return [row[0] for row in shown.rows]


def say(made: Made, laid: Mapping[str, tuple[str, str]], key: str, who: str = "reviewer") -> None:
    study_id, prediction = laid[key]
    with writing(made.service.records) as connection:
        reviews.write(connection, study_id, made.ids[who], Said("answer", "cannot_tell", "R"), prediction)


def test_the_least_certain_stand_first_and_the_rejected_last(made: Made, laid: Mapping[str, tuple[str, str]]) -> None:
    shown = read(made.client("reviewer"), "/queue")
    assert keys(shown) == ["Q-1", "Q-2", "Q-0", "Q-3", "Q-4"]
    p = 0.55
    assert shown.rows[0][2] == f"{-(p * math.log(p) + (1 - p) * math.log(1 - p)):.3f}"
    assert shown.rows[-1][2] == "no answer"
    assert [row[3] for row in shown.rows] == ["referred"] * 4 + ["rejected"]
    study_id, prediction = laid["Q-1"]
    assert f"/studies/{study_id}?prediction={prediction}" in shown.links
    assert "waiting for a reader 5" in shown.text


def test_the_bar_is_a_share_of_the_most_that_answers_can_have(made: Made, laid: Mapping[str, tuple[str, str]]) -> None:
    answer = made.client("reviewer").get("/queue", headers={"Accept": "text/html"}).text
    shares = [part.partition('"')[0] for part in answer.split('<rect class="queue-part" width="')[1:]]
    assert shares[0] == f"{100 * -(0.55 * math.log2(0.55) + 0.45 * math.log2(0.45)):.1f}"
    assert len(shares) == len(SURE)
    assert laid


def test_what_was_read_leaves_the_queue_and_is_counted(made: Made, laid: Mapping[str, tuple[str, str]]) -> None:
    say(made, laid, "Q-1")
    say(made, laid, "Q-1")  # once more: the later word takes the place of the earlier one
    shown = read(made.client("reviewer"), "/queue")
    assert "Q-1" not in keys(shown)
    assert "waiting for a reader 4 read by you today (UTC) 1 read by you since Monday 1" in shown.text


def test_a_second_reader_finds_what_one_other_has_answered(made: Made, laid: Mapping[str, tuple[str, str]]) -> None:
    say(made, laid, "Q-0")
    assert keys(read(made.client("admin"), "/queue", second="true")) == ["Q-0"]
    empty = read(made.client("reviewer"), "/queue", second="true")
    assert empty.rows == []
    assert "Nothing waits for a second reader." in empty.text


def test_the_queue_has_pages(made: Made, laid: Mapping[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_page, "_ROWS", 2)
    shown = read(made.client("reviewer"), "/queue")
    found = keys(shown)
    while "next" in shown.rels:
        shown = read(made.client("reviewer"), shown.rels["next"])
        assert shown.rels["first"] == "/queue"
        found += keys(shown)
    assert found == ["Q-1", "Q-2", "Q-0", "Q-3", "Q-4"]
    assert laid
    read(made.client("reviewer"), "/queue", 400, after="nonsense")


def test_a_long_queue_is_counted_no_further_than_is_good_to_know(
    made: Made, laid: Mapping[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_page, "MOST_COUNTED", 4)
    assert "waiting for a reader more than 4" in read(made.client("reviewer"), "/queue").text
    monkeypatch.setattr(queue_page, "MOST_COUNTED", 5)
    assert "waiting for a reader 5" in read(made.client("reviewer"), "/queue").text
    assert laid


def test_studies_without_a_label(made: Made, laid: Mapping[str, tuple[str, str]]) -> None:
    assert "Every study has an answer or a label." in read(made.client("reviewer"), "/queue/unlabelled").text
    one = made.study(patient="Q-BARE", title="Not asked")
    shown = read(made.client("reviewer"), "/queue/unlabelled")
    assert [row[:2] for row in shown.rows] == [["Q-BARE", "Not asked"]]
    assert f"/studies/{one['id']}" in shown.links
    assert laid


def following(made: Made, **asked: str) -> str:
    answer = made.client("reviewer").get("/queue/next", params=asked, follow_redirects=False)
    assert answer.status_code == 303
    return answer.headers["location"]


def test_the_way_to_the_next_case(made: Made, laid: Mapping[str, tuple[str, str]]) -> None:
    address = {key: f"/studies/{study}?prediction={prediction}" for key, (study, prediction) in laid.items()}
    assert following(made) == address["Q-1"]
    assert following(made, after=laid["Q-1"][1]) == address["Q-2"], "what was left unread is not met again at once"
    say(made, laid, "Q-2")
    assert following(made, after=laid["Q-2"][1]) == address["Q-0"], "one that was read just now has its place still"
    assert following(made, after=laid["Q-4"][1]) == address["Q-1"], "after the last one the first"
    assert following(made, after="none such") == address["Q-1"]
    for key in ("Q-0", "Q-3", "Q-4"):
        say(made, laid, key)
    assert following(made, after=laid["Q-1"][1]) == "/queue", "no other one is left"
    assert following(made) == address["Q-1"]
    say(made, laid, "Q-1")
    assert following(made) == "/queue"
    assert "Everything that was predicted has been read." in read(made.client("reviewer"), "/queue").text
    say(made, laid, "Q-3", "admin")
    assert following(made, second="true") == "/queue?second=true"
    entry = made.client("auditor").get("/api/v1/trail", params={"action": "queue.next"}).json()["items"]
    assert laid["Q-1"][0] in {one["subject"] for one in entry}


def test_readers_and_auditors_have_no_queue(made: Made) -> None:
    for role in ("reader", "auditor"):
        for path in ("/queue", "/queue/unlabelled", "/queue/next"):
            assert made.client(role).get(path, headers={"Accept": "text/html"}).status_code == 403


@pytest.mark.parametrize("after", ["1~99999999999999999999999", "nan~5", "inf~5", "-inf~5", "1~0", "~-3", "x~1", "1"])
def test_what_is_no_place_of_the_queue_is_refused(made: Made, after: str) -> None:
    for path in ("/queue", "/api/v1/queue"):
        answer = made.client("reviewer").get(path, params={"after": after}, headers={"accept": "text/html"})
        assert answer.status_code == 400, path
