"""UPS-RS: a work item from its order to its end, seen by the members of its project alone."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydicom.uid import generate_uid
from sqlalchemy import select
from tests.serve.api.made import Made
from tests.serve.dicomweb.made import code, values, workitem

from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = pytest.mark.serve
JSON = {"Content-Type": "application/dicom+json"}
LIST = "/dicom-web/workitems"


def post(made: Made, path: str, content: Any, role: str = "reviewer", method: str = "POST") -> Any:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return made.client(role).request(method, f"{LIST}{path}", content=body, headers=JSON)


def ordered(made: Made, **changes: Any) -> str:
    """The UID of a new work item."""
    uid = str(generate_uid())
    answer = post(made, f"?workitem={uid}", [workitem(**changes)])
    assert answer.status_code == 201, answer.text
    return uid


def state(made: Made, uid: str, target: str, transaction: str, role: str = "reviewer") -> Any:
    given = {"00741000": {"vr": "CS", "Value": [target]}, "00081195": {"vr": "UI", "Value": [transaction]}}
    return post(made, f"/{uid}/state", [given], role, "PUT")


def seen(made: Made, uid: str) -> dict[str, Any]:
    (item,) = made.client("reader").get(f"{LIST}/{uid}").json()
    found: dict[str, Any] = item
    return found


def done() -> dict[str, Any]:
    """What a performer says of its work."""
    output = {"0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "0040E020": {"vr": "CS", "Value": ["DICOM"]}}
    performed = {
        "00404028": {"vr": "SQ", "Value": [code("STATION", "99SITE", "A station")]},
        "00404050": {"vr": "DT", "Value": ["20261126080000"]},
        "00404051": {"vr": "DT", "Value": ["20261126080100"]},
        "00404019": {"vr": "SQ", "Value": [code("110004", "DCM", "Computer Aided Detection")]},
        "00404033": {"vr": "SQ", "Value": [output]},
    }
    return {"00741216": {"vr": "SQ", "Value": [performed]}}


def test_a_work_item_is_ordered_claimed_changed_and_completed(made: Made) -> None:
    uid, transaction = ordered(made), str(generate_uid())
    new = seen(made, uid)
    assert (values(new, "00741000"), values(new, "00080018")) == (["SCHEDULED"], [uid])
    assert values(new, "00080016") == ["1.2.840.10008.5.1.4.34.6.1"]
    assert values(new, "00404010"), "when it was ordered"
    assert state(made, uid, "IN PROGRESS", transaction).status_code == 200
    claimed = seen(made, uid)
    assert values(claimed, "00741000") == ["IN PROGRESS"]
    assert "00081195" not in claimed, "the transaction UID is a lock"
    assert transaction not in json.dumps(claimed)
    progress = {"00741002": {"vr": "SQ", "Value": [{"00741004": {"vr": "DS", "Value": [50]}}]}}
    assert post(made, f"/{uid}?transaction-uid={transaction}", [progress]).status_code == 200
    assert values(values(seen(made, uid), "00741002")[0], "00741004") == [50]
    early = state(made, uid, "COMPLETED", transaction)
    assert early.status_code == 409, "nothing says yet what was done"
    assert "00741216" in early.text
    assert post(made, f"/{uid}?{transaction}", [done()]).status_code == 200, "as the standard's template writes it"
    assert state(made, uid, "COMPLETED", transaction).status_code == 200
    again = state(made, uid, "COMPLETED", transaction)
    assert (again.status_code, again.headers["Warning"]) == (
        200,
        "299 insula: The UPS is already in the requested state of COMPLETED.",
    )
    late = post(made, f"/{uid}?transaction-uid={transaction}", [progress])
    assert late.status_code == 400


def test_one_of_many_claims_it(made: Made) -> None:
    uid, transactions = ordered(made), [str(generate_uid()) for _ in range(8)]
    made.client("reviewer")
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda one: state(made, uid, "IN PROGRESS", one).status_code, transactions))
    assert sorted(statuses) == [200, *[409] * 7]
    owner = transactions[statuses.index(200)]
    progress = {"00741002": {"vr": "SQ", "Value": [{"00741004": {"vr": "DS", "Value": [1]}}]}}
    for one in transactions:
        assert post(made, f"/{uid}?transaction-uid={one}", [progress]).status_code == (200 if one == owner else 400)


@pytest.mark.parametrize("target", ["COMPLETED", "CANCELED"])
def test_only_whoever_claimed_it_ends_it(made: Made, target: str) -> None:
    uid, transaction = ordered(made), str(generate_uid())
    assert state(made, uid, target, transaction).status_code == 409, "nobody has claimed it"
    assert state(made, uid, "IN PROGRESS", transaction).status_code == 200
    wrong = state(made, uid, target, str(generate_uid()))
    assert (wrong.status_code, wrong.headers["Warning"]) == (400, "299 insula: The Transaction UID is incorrect.")
    without = post(made, f"/{uid}/state", [{"00741000": {"vr": "CS", "Value": [target]}}], method="PUT")
    assert (without.status_code, without.headers["Warning"]) == (400, "299 insula: The Transaction UID is missing.")
    assert values(seen(made, uid), "00741000") == ["IN PROGRESS"]


def test_a_performer_cancels_with_a_reason(made: Made) -> None:
    uid, transaction = ordered(made), str(generate_uid())
    state(made, uid, "IN PROGRESS", transaction)
    assert state(made, uid, "CANCELED", transaction).status_code == 409, "nothing says yet why"
    why = {
        "00404052": {"vr": "DT", "Value": ["20261126080000"]},
        "00741238": {"vr": "LT", "Value": ["No slices"]},
        "0074100E": {"vr": "SQ", "Value": [code("110513", "DCM", "Discontinued for unspecified reason")]},
    }
    assert post(made, f"/{uid}?{transaction}", [{"00741002": {"vr": "SQ", "Value": [why]}}]).status_code == 200
    assert state(made, uid, "CANCELED", transaction).status_code == 200
    assert state(made, uid, "COMPLETED", transaction).status_code == 409
    assert state(made, uid, "CANCELED", transaction).headers["Warning"].endswith("requested state of CANCELED.")


def test_what_nobody_has_begun_is_cancelled_at_once(made: Made) -> None:
    uid = ordered(made)
    asked = {"00741238": {"vr": "LT", "Value": ["Ordered twice"]}}
    assert post(made, f"/{uid}/cancelrequest", [asked]).status_code == 202
    found = seen(made, uid)
    assert values(found, "00741000") == ["CANCELED"]
    progress = values(found, "00741002")[0]
    assert values(progress, "00741238") == ["Ordered twice"]
    assert values(values(progress, "0074100E")[0], "00080100") == ["110513"]
    again = made.client("reviewer").post(f"{LIST}/{uid}/cancelrequest")
    assert (again.status_code, "already" in again.headers["Warning"]) == (202, True)
    assert state(made, uid, "IN PROGRESS", str(generate_uid())).status_code == 409


def test_what_is_at_work_or_done_is_not_cancelled_by_others(made: Made) -> None:
    uid, transaction = ordered(made), str(generate_uid())
    state(made, uid, "IN PROGRESS", transaction)
    asked = made.client("reviewer").post(f"{LIST}/{uid}/cancelrequest")
    assert (asked.status_code, asked.headers["Warning"]) == (409, "299 insula: The performer cannot be contacted.")
    post(made, f"/{uid}?{transaction}", [done()])
    state(made, uid, "COMPLETED", transaction)
    asked = made.client("reviewer").post(f"{LIST}/{uid}/cancelrequest")
    assert (asked.status_code, asked.headers["Warning"]) == (409, "299 insula: The UPS is already COMPLETED.")


@pytest.mark.parametrize(
    "changes",
    [
        {"t00741200": None},
        {"t00741200": {"vr": "CS", "Value": ["URGENT"]}},
        {"t00741204": {"vr": "LO"}},
        {"t00404005": None},
        {"t00404041": {"vr": "CS", "Value": ["SOON"]}},
        {"t00741000": {"vr": "CS", "Value": ["COMPLETED"]}},
        {"t00741216": {"vr": "SQ", "Value": [{"00404050": {"vr": "DT", "Value": ["2026"]}}]}},
        {"t00081195": {"vr": "UI", "Value": ["1.2.3"]}},
        {"t00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}},
    ],
)
def test_an_order_that_lacks_what_it_needs_is_refused(made: Made, changes: dict[str, Any]) -> None:
    uid = str(generate_uid())
    answer = post(made, f"?workitem={uid}", [workitem(**changes)])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_dataset")
    assert made.client("reader").get(f"{LIST}/{uid}").status_code == 404


def test_what_is_left_out_and_may_be_empty_is_put_in(made: Made) -> None:
    uid = str(generate_uid())
    answer = post(made, f"?workitem={uid}", [workitem(t00741202=None)])
    assert answer.status_code == 201, answer.text
    assert answer.headers["Warning"] == "299 insula: The Workitem was created with modifications."
    assert answer.headers["Location"] == f"https://127.0.0.1{LIST}/{uid}"
    found = seen(made, uid)
    assert values(found, "00741202") == ["Inside"]
    assert found["00404021"] == {"vr": "SQ"}


def test_a_uid_is_given_once(made: Made) -> None:
    uid = ordered(made)
    assert post(made, f"?workitem={uid}", [workitem()]).status_code == 409
    assert post(made, "", [workitem(t00080018={"vr": "UI", "Value": [uid]})]).status_code == 409
    assert post(made, f"?workitem={uid}", [workitem(t00741202=None)], "stranger").status_code == 409
    assert post(made, "", [workitem()]).status_code == 400, "it has no UID"


def test_work_items_are_of_a_project(made: Made) -> None:
    uid = ordered(made)
    assert made.client("stranger").get(f"{LIST}/{uid}").status_code == 404
    assert made.client("stranger").get(LIST).status_code in (200, 204)
    assert uid not in made.client("stranger").get(LIST).text
    assert state(made, uid, "IN PROGRESS", str(generate_uid()), "stranger").status_code == 404
    assert post(made, f"/{uid}/cancelrequest", [{}], "stranger").status_code == 404
    assert post(made, f"?workitem={generate_uid()}", [workitem()], "auditor").status_code == 403
    assert made.fresh().get(LIST).status_code == 401


def test_the_list_is_searched(made: Made) -> None:
    label = str(generate_uid())[-20:]
    waiting, claimed = (ordered(made, t00741204={"vr": "LO", "Value": [label]}) for _ in range(2))
    state(made, claimed, "IN PROGRESS", str(generate_uid()))

    def find(**params: str) -> set[str]:
        answer = made.client("reader").get(LIST, params={"ProcedureStepLabel": label, **params})
        assert answer.status_code in (200, 204)
        rows = answer.json() if answer.status_code == 200 else []
        return {values(row, "00080018")[0] for row in rows}

    assert find() == {waiting, claimed}
    assert find(ProcedureStepState="SCHEDULED", InputReadinessState="READY") == {waiting}
    assert find(**{"00741000": "IN PROGRESS"}) == {claimed}
    assert find(**{"ScheduledWorkitemCodeSequence.CodeValue": "HEADS"}) == {waiting, claimed}
    assert find(**{"00404018.00080100": "OTHER"}) == set()
    assert find(PatientID="P-2") == set()
    assert find(ScheduledProcedureStepStartDateTime="20261126-20261127") == {waiting, claimed}
    cut = made.client("reader").get(LIST, params={"ProcedureStepLabel": label, "limit": "1"})
    assert (cut.status_code, len(cut.json())) == (206, 1)
    assert values(cut.json()[0], "00080018") == [waiting], "the oldest first"


def test_an_order_is_changed_until_it_is_claimed(made: Made) -> None:
    uid, transaction = ordered(made), str(generate_uid())
    urgent = {"00741200": {"vr": "CS", "Value": ["HIGH"]}}
    assert post(made, f"/{uid}", [urgent]).status_code == 200
    assert values(seen(made, uid), "00741200") == ["HIGH"]
    unclaimed = post(made, f"/{uid}?{transaction}", [urgent])
    assert unclaimed.status_code == 409
    assert unclaimed.headers["Warning"] == "299 insula: The target URI did not reference a claimed Workitem."
    state(made, uid, "IN PROGRESS", transaction)
    assert post(made, f"/{uid}", [urgent]).status_code == 400
    for fixed in ("00100020", "00741000", "0020000D", "00080018"):
        vr = {"00100020": "LO", "00741000": "CS"}.get(fixed, "UI")
        assert post(made, f"/{uid}?{transaction}", [{fixed: {"vr": vr, "Value": ["1.2.3"]}}]).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"[{}, {}]", b"3", b"[" * 100_000, b'[{"X": {"vr": "CS"}}]', b'[{"00741200": {"vr": "OB"}}]',
        b'[{"00741200": {"vr": "SQ"}}]', b'[{"00741200": {"vr": "CS", "Value": "HIGH"}}]', b'[{"00741200": null}]',
        b'[{"00741200": {"vr": "CS", "BulkDataURI": "http://127.0.0.1/"}}]', b'[{"00020010": {"vr": "UI"}}]',
        b'[{"00741204": {"vr": "LO", "Value": ["\\u0000"]}}]', b'[{"00741204": {"vr": "LO", "Value": ["\\ud800"]}}]',
        b'[{"00741004": {"vr": "DS", "Value": [NaN]}}]', b'[{"00741004": {"vr": "DS", "Value": [1e999]}}]',
        b'[{"0020000D": {"vr": "UI", "Value": ["../../etc"]}}]', b'[{"00100010": {"vr": "PN", "Value": ["Doe"]}}]',
    ],
)  # fmt: skip
def test_a_body_that_is_none_is_refused(made: Made, body: bytes) -> None:
    answer = post(made, f"?workitem={generate_uid()}", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_dataset")


def test_a_body_is_of_its_kind_and_short(made: Made) -> None:
    client = made.client("reviewer")
    assert client.post(f"{LIST}?workitem={generate_uid()}", content=b"<x/>").status_code == 415
    assert post(made, f"?workitem={generate_uid()}", b" " * (1 << 20) + b"[{}]").status_code == 413
    assert client.get(f"{LIST}/{'9' * 70}").status_code == 422
    assert client.get(f"{LIST}/..%2f..%2fstudies").status_code == 404


def test_subscriptions_are_not_kept_and_it_says_so(made: Made) -> None:
    answer = made.client("reviewer").post(f"{LIST}/1.2.840.10008.5.1.4.34.5/subscribers/ME")
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "no_subscriptions")


def test_the_trail_tells_of_work_items_by_our_own_names(made: Made) -> None:
    uid = ordered(made)
    with reading(made.service.records) as connection:
        table = schema.workitems.c
        name = connection.scalar(select(table.id).where(table.uid == uid))
    entries = made.client("auditor").get("/api/v1/trail", params={"subject": name}).json()["items"]
    assert [one["action"] for one in entries] == ["workitem.create"]
    assert uid not in json.dumps(entries)
