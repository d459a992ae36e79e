"""Scans as they can be looked at: what the list says, right on the left, windows, heat in its place, and refusals."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from tests.serve.api.made import Made
from tests.serve.client import dicom, png

from insula.scans.write import write_ct_series
from insula.serve import intake, kept, volumes
from insula.serve.store import studies
from insula.serve.store.connect import writing

pytestmark = pytest.mark.serve

BRIGHT, TISSUE, SIZE, SLICES = 90.0, 30.0, 48, 6


def phantom(folder: Path, tilt: float = 0.0) -> list[bytes]:
    """A CT whose bright block lies in the patient's right, in front and in the upper half."""
    hu = np.full((SLICES, SIZE, SIZE), -1000.0, np.float32)
    hu[:, 8:40, 8:40] = TISSUE
    hu[:, 8, 8] += np.arange(SLICES)  # no two measured slices are the very same
    hu[SLICES // 2 :, 12:18, 10:16] = BRIGHT  # small x is the patient's right, small y the front
    affine = np.array([[2.0, 0, 0, -47], [0, 2.0, 0, -47], [0, tilt, 5.0, 10], [0, 0, 0, 1]])
    names = [f"{k}.dcm" for k in range(SLICES)]
    paths = write_ct_series(hu, affine, folder, names, ("1.2.9", "1.2.9.1"), {"PatientID": "ID-9"})
    return [path.read_bytes() for path in paths]


def uploaded(made: Made, files: list[bytes], patient: str, field: str = "files", **fields: Any) -> str:
    form = {"project": made.inside, "patient": patient, **fields}
    sent = [(field, (f"{n}.dcm", data, "application/dicom")) for n, data in enumerate(files)]
    answer = made.client("reviewer").post("/api/v1/studies", data=form, files=sent)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def picture(made: Made, address: str) -> np.ndarray[Any, Any]:
    answer = made.client("reader").get(address)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), np.float32)


def test_what_can_be_looked_at_is_listed_without_a_prediction(made: Made, tmp_path: Path) -> None:
    study = uploaded(made, phantom(tmp_path), "S-list")
    (one,) = made.client("reader").get(f"/api/v1/studies/{study}/scans").json()
    assert (one["scan"], one["role"], one["series"], one["modality"], one["units"]) == (
        "scan",
        "scan",
        None,
        "CT",
        "HU",
    )
    assert (one["slices"], one["rows"], one["columns"], one["spacing_mm"]) == (SLICES, SIZE, SIZE, [2.0, 2.0, 5.0])
    assert (one["window"], one["sides_known"], one["warnings"], one["fault"]) == ([40.0, 80.0], True, [], "")


@pytest.mark.parametrize("tilt", [0.0, -1.5])
def test_the_patients_right_is_on_the_left_of_slices_and_on_the_right_side_of_the_volume(
    made: Made, tmp_path: Path, tilt: float
) -> None:
    study = uploaded(made, phantom(tmp_path, tilt), f"S-right{tilt}")
    base = f"/api/v1/studies/{study}/scans/scan"
    seen = picture(made, f"{base}/slices/{SLICES}?centre=60&width=80")[..., 0]
    rows, columns = np.nonzero(seen > 200)
    assert columns.max() < seen.shape[1] / 2
    assert len(columns) > 20
    body = np.nonzero((seen > 0).any(axis=1))[0]
    assert rows.mean() < body.mean()  # the front is up
    assert picture(made, f"{base}/slices/1?centre=60&width=80").max() < 100  # slices count from the feet
    data = made.client("reader").get(f"{base}/volume.nii.gz").content
    image = nib.Nifti1Image.from_bytes(gzip.decompress(data))
    values = np.asarray(image.dataobj)
    assert image.get_data_dtype() == np.int16
    assert (float(image.header["cal_min"]), float(image.header["cal_max"])) == (0.0, 80.0)
    place = (image.affine @ np.append(np.argwhere(values > 80).mean(axis=0), 1.0))[:3]
    assert place[0] > 5  # RAS millimetres: x grows to the right
    assert place[1] > 5
    squares = image.affine[:3, :3].T @ image.affine[:3, :3]
    assert np.allclose(squares, np.diag(np.diag(squares)), atol=0.01)  # upright, whatever the gantry's tilt
    plain = made.client("reader").get(f"{base}/volume.nii.gz?gzip=false")
    assert plain.content == gzip.decompress(data)


def test_windows_and_sizes_are_as_asked(made: Made, tmp_path: Path) -> None:
    study = uploaded(made, phantom(tmp_path), "S-window")
    base = f"/api/v1/studies/{study}/scans/scan/slices/6"
    own = picture(made, base)
    assert own.shape == (SIZE, SIZE, 3)
    assert own[20, 30, 0] == round(255 * TISSUE / 80)
    assert picture(made, f"{base}?centre=30&width=20")[20, 30, 0] == pytest.approx(127.5, abs=1)
    assert picture(made, f"{base}?least=24").shape == (24, 24, 3)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("slices/7", 404),
        ("slices/0", 422),
        ("slices/1?centre=40", 422),
        ("slices/1?centre=40&width=0", 422),
        ("slices/1?centre=nan&width=80", 422),
        ("slices/1?centre=40&width=inf", 422),
        ("slices/1?least=100000", 422),
        ("slices/1?prediction=" + "0" * 32 + "&class=stroke", 404),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_refused(made: Made, tmp_path: Path, query: str, status: int) -> None:
    study = uploaded(made, phantom(tmp_path), "S-refused")
    answer = made.client("reader").get(f"/api/v1/studies/{study}/scans/scan/{query}")
    assert answer.status_code == status, answer.text
    assert made.client("reader").get(f"/api/v1/studies/{study}/scans/other/slices/1").status_code == 404


def test_scans_of_other_projects_are_not_there_and_looking_is_told(made: Made, tmp_path: Path) -> None:
    study = uploaded(made, phantom(tmp_path), "S-others")
    for path in ("", "/scan/slices/1", "/scan/volume.nii.gz"):
        assert made.client("stranger").get(f"/api/v1/studies/{study}/scans{path}").status_code == 404
    picture(made, f"/api/v1/studies/{study}/scans/scan/slices/2")
    entries = made.client("auditor").get("/api/v1/trail").json()["items"]
    looked = [one for one in entries if one["subject"] == study and one["actor"] == "reader"]
    assert [one["action"] for one in looked] == ["scan.read"]


def test_a_picture_has_no_sides_and_several_scans_have_names_of_their_own(made: Made) -> None:
    form = {"project": made.inside, "patient": "S-several"}
    series = [("ct", (f"{n}.dcm", dicom(number=n, series=s))) for s in ("1.2.3.4", "1.2.3.5") for n in (1, 2)]
    answer = made.client("reviewer").post("/api/v1/studies", data=form, files=[*series, ("photo", ("a.png", png()))])
    assert answer.status_code == 201, answer.text
    study = answer.json()["id"]
    listed = made.client("reader").get(f"/api/v1/studies/{study}/scans").json()
    assert [one["scan"] for one in listed] == ["ct-1", "ct-2", "photo"]
    assert [one["sides_known"] for one in listed] == [True, True, False]
    assert picture(made, f"/api/v1/studies/{study}/scans/photo/slices/1").mean() == 99
    added = made.client("reviewer").post(
        f"/api/v1/studies/{study}/files", files=[("ct", ("3.dcm", dicom("MR", number=3, series="1.2.3.6")))]
    )
    assert added.status_code == 201, added.text
    again = made.client("reader").get(f"/api/v1/studies/{study}/scans").json()  # facts of the upload are out of date
    assert [(one["scan"], one["slices"]) for one in again if one["role"] == "ct"] == [
        ("ct-1", 2),
        ("ct-2", 2),
        ("ct-3", 1),
    ]


def test_heat_lies_over_the_slice_in_its_window(made: Made) -> None:
    found = made.predicted("reviewer", patient="S-heat")
    base = f"/api/v1/studies/{found['study_id']}/scans/scan/slices"
    pictures = made.client("reader").get(f"/api/v1/predictions/{found['id']}/scans").json()
    name, top = next((k, v) for k, v in pictures[0]["top"].items() if v)
    plain = picture(made, f"{base}/{top[0]}")
    warm = picture(made, f"{base}/{top[0]}?prediction={found['id']}&class={name}&opacity=0.9")
    assert warm.shape == plain.shape
    assert np.ptp(plain, axis=2).max() == 0  # grey
    assert np.ptp(warm, axis=2).max() > 50
    none = picture(made, f"{base}/{top[0]}?prediction={found['id']}&class={name}&opacity=0")
    assert np.array_equal(none, plain)
    wrong = made.client("reader").get(f"{base}/1?prediction={found['id']}&class=nothing")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_class")
    other = made.predicted("reviewer", patient="S-heat2")
    strange = made.client("reader").get(f"{base}/1?prediction={other['id']}&class={name}")
    assert strange.status_code == 404


def volume(folder: Path, *pixdim: float) -> bytes:
    image: Any = nib.Nifti1Image(np.arange(8 * 8 * 3, dtype=np.int16).reshape(8, 8, 3), np.diag([*pixdim, 1.0]))
    nib.save(image, folder / "v.nii")
    return (folder / "v.nii").read_bytes()


def test_a_spacing_that_cannot_be_makes_no_large_picture(made: Made, tmp_path: Path) -> None:
    study = uploaded(made, [volume(tmp_path, 30.0, 0.002, 1.0)], "S-needles")
    (one,) = made.client("reader").get(f"/api/v1/studies/{study}/scans").json()
    assert "slices are shown as if pixels were square" in " ".join(one["warnings"])
    assert picture(made, f"/api/v1/studies/{study}/scans/scan/slices/1").shape == (8, 8, 3)


def test_a_bad_role_is_read_once_and_not_for_the_slices_of_another(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = uploaded(made, phantom(tmp_path), "S-bad", "ct")
    with writing(made.service.records) as connection:
        bad = made.service.files.put(io.BytesIO(b"no scan at all"), 100)
        studies.add_files(connection, made.service.files, study, "mri", [("a", bad)])
    kept.forget([bad.sha256])
    told = intake.describe
    asked: list[int] = []
    held: list[int] = []

    def counted(folder: Path, paths: list[Path]) -> dict[str, Any]:
        asked.append(len(paths))
        held.append(made.service.records.pool.checkedout())  # type: ignore[attr-defined]
        return told(folder, paths)

    monkeypatch.setattr(intake, "describe", counted)
    base = f"/api/v1/studies/{study}/scans"
    for number in (1, 2):
        picture(made, f"{base}/ct/slices/{number}")
    assert asked == []
    for _ in range(2):
        good, faulty = made.client("reader").get(base).json()
        assert (good["fault"], bool(faulty["fault"])) == ("", True)
        refused = made.client("reader").get(f"{base}/mri/slices/1")
        assert (refused.status_code, refused.json()["detail"]) == (422, faulty["fault"])
    assert (asked, held) == ([1], [0])
    unknown = made.client("reader").get(f"{base}/pet/slices/1")
    assert (unknown.status_code, "are ct, mri" in unknown.json()["detail"]) == (404, True)


def test_where_too_much_is_being_read_the_next_is_told_when_to_come(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = uploaded(made, phantom(tmp_path), "S-busy")
    kept.forget([one["sha256"] for one in made.client("reader").get(f"/api/v1/studies/{study}").json()["files"]])
    monkeypatch.setattr(volumes, "_WAIT_SECONDS", 0.0)
    base = f"/api/v1/studies/{study}/scans/scan"
    with volumes._turn(), volumes._turn():
        for path in ("slices/1", "volume.nii.gz", "volume.nii.gz?gzip=false"):
            answer = made.client("reader").get(f"{base}/{path}")
            assert (answer.status_code, answer.json()["code"]) == (503, "busy")
            assert int(answer.headers["retry-after"]) > 0
    picture(made, f"{base}/slices/1")
    with volumes._turn(), volumes._turn():
        picture(made, f"{base}/slices/2")  # what is loaded needs no turn
        whole = made.client("reader").get(f"{base}/volume.nii.gz?gzip=false")
        assert int(whole.headers["content-length"]) == len(whole.content)
        assert made.client("reader").get(f"{base}/volume.nii.gz").status_code == 503


def test_heat_of_joined_studies_lies_in_the_scan_that_was_predicted(made: Made) -> None:
    def series(modality: str, uid: str, seed: int = 0) -> str:
        files = [dicom(modality, number=n, series=uid, seed=seed) for n in (1, 2)]
        return uploaded(made, files, "S-joined")

    client = made.client("reviewer")
    for others, asked, wanted in (
        (("MR", "CT"), {}, "scan.2"),
        (("CT", "CT"), {"series": {"ct": 2}}, "scan.2"),
        (("CT", "CT"), {"series": {"ct": 1}}, "scan"),
    ):
        ids = [series(one, f"1.2.88.{n}", n) for n, one in enumerate(others)]
        joined = client.post("/api/v1/studies/join", json={"studies": ids})
        assert joined.status_code == 200, joined.text
        answer = client.post(f"/api/v1/studies/{ids[0]}/predictions", json=asked)
        made.worked()
        job = client.get(f"/api/v1/jobs/{answer.json()['id']}").json()
        assert job["state"] == "done", job
        prediction = job["result"]["prediction"]
        (kept,) = client.get(f"/api/v1/predictions/{prediction}/scans").json()
        warm = {
            one["scan"]: client.get(
                f"/api/v1/studies/{ids[0]}/scans/{one['scan']}/slices/1",
                params={"prediction": prediction, "class": kept["classes"][0]},
            ).status_code
            for one in client.get(f"/api/v1/studies/{ids[0]}/scans").json()
        }
        assert warm == {"scan": 422, "scan.2": 422} | {wanted: 200}


def test_a_deleted_file_is_in_no_picture_any_more(made: Made, tmp_path: Path) -> None:
    study = uploaded(made, phantom(tmp_path, -0.7), "S-erased")
    picture(made, f"/api/v1/studies/{study}/scans/scan/slices/1")
    client = made.client("admin")
    found = client.get(f"/api/v1/studies/{study}").json()
    key = tuple(one["sha256"] for one in found["files"]), None
    assert key in volumes._volumes._found
    assert client.delete(f"/api/v1/patients/{found['patient_id']}").status_code == 200
    assert key not in volumes._volumes._found


def test_a_file_that_was_lost_is_told_and_hides_no_other_scan(made: Made) -> None:
    study = uploaded(made, [dicom(number=7, series="1.2.77", seed=5)], "S-lost")
    (file,) = made.client("reader").get(f"/api/v1/studies/{study}").json()["files"]
    made.service.files.delete(file["sha256"])
    answer = made.client("reader").get(f"/api/v1/studies/{study}/scans/scan/slices/1")
    assert answer.status_code == 500
    assert "backup" in answer.json()["detail"]
