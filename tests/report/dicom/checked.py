"""dicom-validator over an object that was made, after writing and reading it."""

from __future__ import annotations

import gzip
import io
import json
import logging
from functools import cache
from pathlib import Path

import pydicom
from dicom_validator.validator.dicom_info import DicomInfo
from dicom_validator.validator.iod_validator import IODValidator
from dicom_validator.validator.validation_result import Status
from pydicom.dataset import FileDataset
from scripts import dicom_standard

_TABLES = Path(__file__).parent / "standard.json.gz"  # made by scripts/dicom_standard.py


def read_back(dataset: FileDataset) -> FileDataset:
    """The object as a receiver has it."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return pydicom.dcmread(stream)


def errors(dataset: FileDataset) -> list[str]:
    """What dicom-validator finds wrong, one line each."""
    result = IODValidator(read_back(dataset), _info(), log_level=logging.CRITICAL).validate()
    found = [
        f"{module}: {pydicom.datadict.keyword_for_tag(tag.tag)} {error.code.name}"
        for module, each in result.module_errors.items()
        for tag, error in each.items()
    ]
    assert found or result.status is Status.Passed, result.status
    return found


@cache
def _info() -> DicomInfo:
    tables = json.loads(gzip.decompress(_TABLES.read_bytes()))
    return DicomInfo(dicom_standard.dictionary(), tables["iods"], tables["modules"])
