"""Studies: upload, list, change, join, erase."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.background import BackgroundTask
from starlette.datastructures import FormData, UploadFile
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from insula.core import scratch
from insula.serve import intake, one_patient
from insula.serve.api import once
from insula.serve.api.cursor import After, Limit, Page, cursor, seen
from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.api.shapes import Id, Join, Study, StudyChange, StudyFile, StudyWithFiles
from insula.serve.faults import RequestError
from insula.serve.intake import Intake
from insula.serve.people.visible import patients_of, require_project, rows_of, studies_of
from insula.serve.service import Service
from insula.serve.store import patients, schema, studies
from insula.serve.store.connect import reading
from insula.serve.store.erase import erase_patient, export_patient, forget
from insula.serve.store.files import Stored
from insula.serve.store.in_use import hold_files
from insula.serve.upload import MOST_FILES, form_of

Same = Annotated[bool, Query(description="Whether it is one person, though headers name several patients.")]
_ROLE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}(\.[1-9][0-9]{0,3})?")
_FIELDS: Final = frozenset({"project", "patient", "patient_name", "title", "note", "attributes"})
_ZIP: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/zip": {}}, "description": "The zip file."}
}
_FORM: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["project", "patient"],
                    "properties": {
                        "project": {"type": "string", "description": "Id of one of your projects."},
                        "patient": {"type": "string", "description": "The patient's key within the project."},
                        "patient_name": {"type": "string"},
                        "title": {"type": "string"},
                        "note": {"type": "string"},
                        "attributes": {"type": "string", "description": 'JSON of clinical columns: {"age": "63"}.'},
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "A scan's files, a zip file, or several series. Files of one modality of "
                            "several go into fields named after the model's inputs instead, as `ct` and `mri`.",
                        },
                    },
                }
            }
        },
    }
}


def routes(service: Service) -> APIRouter:
    """`/studies`."""
    made = Routes(service, "/api/v1/studies", "studies")

    @made.post(
        "", "study.write", status_code=201, response_model=StudyWithFiles, statuses=(409, 413, 415), openapi_extra=_FORM
    )
    async def create(request: Request, acting: Acting, same_patient: Same = False) -> Response:
        """Upload a study: files of a scan, a series, a zip file; of several modalities, each in its own field.

        All files are read before anything is kept; if one is refused, nothing is. Headers that name another patient
        than those of the patient's earlier studies are refused, unless `same_patient` says that it is one person.
        """
        key = once.key_of(request)
        service.uploads.check()  # before the body is read
        async with form_of(request, MOST_FILES) as form:
            fields, parts = _fields(form), _parts(form)
            if not parts:
                raise RequestError(400, "no_file", "The form has no file; send the scan in the field 'files'.")
            return await service.uploads.run_for(
                request, _create, service, acting, request, key, fields, parts, same_patient
            )

    @made.get("", "study.read")
    def listed(acting: Acting, limit: Limit = 50, after: After = None, patient: Id | None = None) -> Page[Study]:
        """Studies that you may see, the newest first."""
        with acting.read("study.list", patient or "") as connection:
            found = studies.page(connection, rows_of(acting.caller, schema.studies), seen(after), limit, patient)
            acting.told(rows=len(found.rows))
        return Page(
            items=[Study.model_validate(one) for one in found.rows],
            next=None if found.before is None else cursor(found.before),
        )

    @made.post("/join", "study.write")
    def join(acting: Acting, asked: Join, same_patient: Same = False) -> StudyWithFiles:
        """Make one case of several studies of a patient; the first keeps its id and gets the others' files."""
        with acting.write("study.join", asked.studies[0], others=asked.studies[1:]) as connection:
            for one in asked.studies:
                require_project(acting.caller, studies.get(connection, one, studies_of(acting.caller)).project_id)
            if same_patient:
                acting.told(same_patient=True)
            one_patient.check_studies(connection, asked.studies, same_patient)
            first = studies.join(connection, asked.studies)
            return _whole(studies.get(connection, first, None), studies.files_of(connection, first))

    @made.get("/{study_id}", "study.read", response_model=StudyWithFiles)
    def one(request: Request, acting: Acting, study_id: Id) -> Response:
        """One study with its files. The ETag is its version, for changes by `If-Match`."""
        with acting.read("study.read", study_id) as connection:
            found = studies.get(connection, study_id, studies_of(acting.caller))
            body = _whole(found, studies.files_of(connection, study_id))
        tag = f'"{found.version}"'
        if request.headers.get("if-none-match", "") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        return JSONResponse(body.model_dump(mode="json"), headers={"ETag": tag})

    @made.patch("/{study_id}", "study.write", response_model=StudyWithFiles, statuses=(412, 428))
    def change(request: Request, acting: Acting, study_id: Id, asked: StudyChange) -> Response:
        """Change title or note; `If-Match` says which version you saw."""
        version = _version(request)
        with acting.write("study.change", study_id, fields=sorted(asked.model_fields_set)) as connection:
            seen_now = studies.get(connection, study_id, studies_of(acting.caller))
            require_project(acting.caller, seen_now.project_id)
            new = studies.update_text(connection, study_id, version, asked.title, asked.note)
            found = studies.get(connection, study_id, None)
            body = _whole(found, studies.files_of(connection, study_id))
        return JSONResponse(body.model_dump(mode="json"), headers={"ETag": f'"{new}"'})

    @made.delete("/{study_id}", "study.erase", status_code=204)
    def erase(acting: Acting, study_id: Id) -> Response:
        """Delete a study with its files, predictions and reviews; the trail keeps that it was."""
        with acting.write("study.erase", study_id) as connection:
            require_project(acting.caller, studies.get(connection, study_id, studies_of(acting.caller)).project_id)
            studies.remove(connection, study_id)
        return Response(status_code=204)

    @made.post(
        "/{study_id}/files",
        "study.write",
        status_code=201,
        response_model=StudyWithFiles,
        statuses=(413, 415),
        openapi_extra=_FORM,
    )
    async def add(request: Request, acting: Acting, study_id: Id, same_patient: Same = False) -> Response:
        """Add scans to a study, as further modalities of the case."""
        service.uploads.check()
        async with form_of(request, MOST_FILES) as form:
            parts = _parts(form)
            if not parts:
                raise RequestError(400, "no_file", "The form has no file; send the scan in the field 'files'.")
            return await service.uploads.run_for(request, _add, service, acting, study_id, parts, same_patient)

    @made.get("/{study_id}/files/{file_id}", "study.read", response_class=Response)
    def file(acting: Acting, study_id: Id, file_id: Id) -> Response:
        """A file of a study, as it was sent."""
        with acting.read("file.read", study_id, file=file_id) as connection:
            studies.get(connection, study_id, studies_of(acting.caller))
            found = [one for one in studies.files_of(connection, study_id) if one.id == file_id]
        if not found:
            raise RequestError(404, "not_found", f"The study has no file '{file_id}'; see the study.")
        headers = {
            "Content-Length": str(found[0].size),
            "Content-Disposition": 'attachment; filename="scan.bin"',
            "ETag": f'"{found[0].sha256}"',
        }
        return StreamingResponse(service.files.blocks(found[0].sha256), 200, headers, "application/octet-stream")

    return made.router


def patient_routes(service: Service) -> APIRouter:
    """`/patients`."""
    made = Routes(service, "/api/v1/patients", "patients")

    @made.get("/{patient_id}/export", "patient.export", response_class=FileResponse, responses=_ZIP)
    def export(acting: Acting, patient_id: Id) -> Response:
        """All that is kept of a patient, as a zip file: `record.json` and the files."""
        name = scratch.new() / "patient.zip"
        try:
            with acting.read("patient.export", patient_id) as connection:
                found = patients.get(connection, patient_id, patients_of(acting.caller))
                require_project(acting.caller, found.project_id)
                acting.told(rows=sum(export_patient(connection, service.files, patient_id, name).values()))
        except BaseException:
            shutil.rmtree(name.parent)
            raise
        gone = BackgroundTask(shutil.rmtree, name.parent)
        return FileResponse(name, media_type="application/zip", filename="patient.zip", background=gone)

    @made.delete("/{patient_id}", "study.erase")
    def erase(acting: Acting, patient_id: Id) -> Mapping[str, Any]:
        """Erase a patient: studies, files that nobody else's records name, predictions, reviews, jobs, kept answers."""
        with acting.write("patient.erase", patient_id) as connection:
            found = patients.get(connection, patient_id, patients_of(acting.caller))
            require_project(acting.caller, found.project_id)
            gone = erase_patient(connection, service.files, patient_id)
            acting.told(rows=sum(gone.rows.values()), stored=gone.stored)
        forget(service.records)
        return {"rows": dict(gone.rows), "files_deleted": gone.stored, "files_kept_for_others": gone.kept}

    return made.router


def _create(
    service: Service,
    acting: Act,
    request: Request,
    key: str,
    fields: Mapping[str, str],
    parts: Mapping[str, Sequence[UploadFile]],
    same: bool,
) -> Response:
    require_project(acting.caller, fields["project"])
    attributes = _attributes(fields.get("attributes", ""))

    def tried(facts: Mapping[str, Any]) -> None:  # what is wrong is found before a file is kept
        with service.records.connect() as connection, connection.begin() as trial:
            _study(connection, acting, fields, attributes, facts, same)
            trial.rollback()

    tried({})
    with intake.taken(parts) as found:
        facts = one_patient.facts_with(found, service.key)
        tried(facts)
        stored = _stored(service, found)
        content = [dict(fields), [(role, name, one.sha256) for role, name, one in stored]]
        request_hash = once.hash_of(request, content)
        with acting.write("study.create", files=len(stored)) as connection:
            hold_files(connection, alone=False)  # before a row is locked: whoever erases goes in this order
            earlier = once.before(connection, acting.caller, key, request_hash)
            if earlier is not None:
                acting.told(replay=True)
                return earlier
            study_id = _study(connection, acting, fields, attributes, facts, same)
            acting.told(study_id, **({"same_patient": True} if same else {}))
            _name(connection, service, study_id, stored)
            made = _whole(studies.get(connection, study_id, None), studies.files_of(connection, study_id))
            body = made.model_dump(mode="json")
            once.keep(connection, acting.caller, key, request_hash, 201, body)
    return JSONResponse(body, 201, {"Location": f"/api/v1/studies/{study_id}", "ETag": f'"{made.version}"'})


def _study(
    connection: Connection,
    acting: Act,
    fields: Mapping[str, str],
    attributes: Mapping[str, str],
    facts: Mapping[str, Any],
    same: bool,
) -> str:
    patient = patients.get_or_create(connection, fields["project"], fields["patient"], fields.get("patient_name", ""))
    one_patient.check(connection, patient, facts, same)
    title, note = fields.get("title", ""), fields.get("note", "")
    return studies.create(connection, patient, acting.caller.user_id, title, note, attributes, facts)


def _add(
    service: Service, acting: Act, study_id: str, parts: Mapping[str, Sequence[UploadFile]], same: bool
) -> Response:
    def checked(connection: Connection, facts: Mapping[str, Any]) -> None:
        seen_now = studies.get(connection, study_id, studies_of(acting.caller))
        require_project(acting.caller, seen_now.project_id)
        one_patient.check(connection, seen_now.patient_id, facts, same)

    with intake.taken(parts) as found:
        facts = one_patient.facts_with(found, service.key)
        with reading(service.records) as connection:
            checked(connection, facts)  # before a file is kept
        stored = _stored(service, found)
        with acting.write("study.add", study_id, files=len(stored)) as connection:
            hold_files(connection, alone=False)  # before a row is locked, as above
            checked(connection, facts)
            if same:
                acting.told(same_patient=True)
            roles = studies.add_facts(connection, study_id, facts)
            _name(connection, service, study_id, [(roles[role], name, one) for role, name, one in stored])
            made = _whole(studies.get(connection, study_id, None), studies.files_of(connection, study_id))
    return JSONResponse(made.model_dump(mode="json"), 201, {"ETag": f'"{made.version}"'})


def _stored(service: Service, found: Intake) -> list[tuple[str, str, Stored]]:
    kept = []
    for one in found.files:
        with one.path.open("rb") as stream:
            kept.append((one.role, one.name, service.files.put(stream, service.settings.max_bytes)))
    return kept


def _name(connection: Connection, service: Service, study_id: str, stored: Sequence[tuple[str, str, Stored]]) -> None:
    for role in dict.fromkeys(role for role, _, _ in stored):
        named = [(name, one) for of, name, one in stored if of == role]
        studies.add_files(connection, service.files, study_id, role, named)


def _fields(form: FormData) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            continue
        if name not in _FIELDS or name in found:
            raise RequestError(
                422, "bad_field", f"The form has the field '{name[:40]}' twice, or it is none of {sorted(_FIELDS)}."
            )
        if "\0" in value:
            raise RequestError(422, "bad_text", f"The form's field '{name}' holds a NUL character; leave it out.")
        found[name] = value
    for name in ("project", "patient"):
        if not found.get(name, "").strip():
            raise RequestError(422, "bad_field", f"The form's field '{name}' is missing or empty; give it.")
    return found


def _parts(form: FormData) -> dict[str, list[UploadFile]]:
    found: dict[str, list[UploadFile]] = {}
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile) or not (value.filename or value.size):
            continue
        role = studies.SORTED if name in ("files", "file") else name
        if not _ROLE.fullmatch(role) or name in _FIELDS:
            raise RequestError(
                422, "bad_role", f"Files came in the field '{name[:40]}'; send them in 'files', or in 'ct', 'mri' …"
            )
        found.setdefault(role, []).append(value)
    return found


def _attributes(text: str) -> dict[str, str]:
    if not text.strip():
        return {}
    wrong = RequestError(422, "bad_attributes", "The attributes are no JSON object of short texts; see /openapi.json.")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise wrong from error
    if not isinstance(found, dict) or len(found) > 100 or "\\u0000" in text:
        raise wrong
    if not all(isinstance(v, str) and len(v) <= 200 and len(k) <= 60 for k, v in found.items()):
        raise wrong
    return found


def _version(request: Request) -> int:
    tag = request.headers.get("if-match", "")
    if not tag:
        raise RequestError(428, "no_version", "Send If-Match with the study's ETag, so that no change is lost.")
    number = tag.strip().strip('"')
    if not number.isdecimal() or len(number) > 9:
        raise RequestError(412, "changed", "If-Match is no version of this study; load it again.")
    return int(number)


def _whole(found: studies.Study, files: Sequence[studies.StudyFile]) -> StudyWithFiles:
    plain = Study.model_validate(found).model_dump()
    return StudyWithFiles(**plain, files=[StudyFile.model_validate(one) for one in files])
