"""A real client, dicomweb-client, over a real connection: stores, finds and fetches."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient
from dicomweb_client.session_utils import create_session
from pydicom.uid import generate_uid
from tests.client.live import Live, live
from tests.serve.dicomweb.made import RULES, result, study

pytestmark = pytest.mark.serve


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with rules that listens on this machine."""
    folder = Path(tmp_path_factory.mktemp("live"))
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSULA_PACS_RULES", str(folder / "rules.yaml"))
        with live(folder) as found:
            yield found


def client_of(running: Live, role: str = "reviewer") -> DICOMwebClient:
    session = create_session()
    session.headers["Authorization"] = f"Bearer {running.key(role)}"  # type: ignore[arg-type]
    return DICOMwebClient(f"{running.address}/dicom-web", session=session)


def test_a_client_stores_objects(running: Live) -> None:
    sent = [pydicom.dcmread(io.BytesIO(study(number=n))) for n in (1, 2)]
    told = client_of(running).store_instances(sent)
    assert {one.ReferencedSOPInstanceUID for one in told.ReferencedSOPSequence} == {one.SOPInstanceUID for one in sent}
    assert "FailedSOPSequence" not in told


def test_a_client_finds_and_fetches_results(running: Live) -> None:
    prediction, uid = running.made.predicted(patient="P-1")["id"], generate_uid()
    first, second = (result(running.made, prediction, uid, number) for number in (1, 2))
    client = client_of(running)
    (found,) = client.search_for_studies(search_filters={"StudyInstanceUID": uid})
    assert pydicom.Dataset.from_json(found).PatientID == "P-1"
    assert len(client.search_for_series(uid)) == len(client.search_for_instances(uid)) == 2
    assert client.search_for_studies(search_filters={"StudyInstanceUID": generate_uid()}) == []
    one = client.retrieve_instance(uid, first.SeriesInstanceUID, first.SOPInstanceUID)
    assert one.PixelData == first.PixelData
    assert {one.SOPInstanceUID for one in client.retrieve_study(uid)} == {first.SOPInstanceUID, second.SOPInstanceUID}
    assert len(client.retrieve_series(uid, second.SeriesInstanceUID)) == 1
    (told,) = client.retrieve_series_metadata(uid, second.SeriesInstanceUID)
    assert pydicom.Dataset.from_json(told).SOPInstanceUID == second.SOPInstanceUID
    address = urlsplit(pydicom.Dataset.from_json(found).RetrieveURL)
    headers = {"Authorization": f"Bearer {running.key('reader')}", "Accept": "multipart/related"}
    assert requests.get(f"{running.address}{address.path}", headers=headers, timeout=30).status_code == 200


def test_a_client_without_a_key_gets_nothing(running: Live) -> None:
    with pytest.raises(requests.HTTPError, match="401"):
        DICOMwebClient(f"{running.address}/dicom-web").search_for_studies()
