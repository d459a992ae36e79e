"""Who gives a name where an id is wanted is told so, and where ids stand."""

from __future__ import annotations

import pytest
from tests.serve.api.made import Made
from tests.serve.client import dicom

pytestmark = pytest.mark.serve


NO_ID = "is no id, which has 32 digits of 0 to 9 and a to f; GET"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("/api/v1/worklist?project=Ulus", f"'query.project' {NO_ID} /api/v1/projects lists them"),
        ("/api/v1/studies/Ulus", f"'path.study_id' {NO_ID} /api/v1/worklist lists them"),
        ("/api/v1/jobs/17", f"'path.job_id' {NO_ID} /api/v1/jobs lists them"),
        ("/api/v1/worklist?limit=Ulus", "'query.limit' is refused"),
    ],
)
def test_a_name_in_place_of_an_id_is_told_where_ids_stand(made: Made, where: str, said: str) -> None:
    answer = made.client("reader").get(where)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert said in answer.json()["detail"]
    assert "Ulus" not in answer.json()["detail"]


def test_a_projects_name_in_a_form_is_told_that_an_id_is_wanted(made: Made) -> None:
    form = {"project": "Ulus", "patient": "A"}
    answer = made.client("reader").post("/api/v1/studies", data=form, files=[("ct", ("a.dcm", dicom()))])
    assert (answer.status_code, answer.json()["code"]) == (404, "no_project")
    assert "give a project's id, not its name: GET /api/v1/projects lists yours" in answer.json()["detail"]
