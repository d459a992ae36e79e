"""The first 128 bytes of a DICOM file, which may hold another file's beginning (PS3.10, 7.1 and annex F)."""

from __future__ import annotations

LENGTH = 128
_PROGRAMS = {
    b"MZ": "Windows",
    b"\x7fELF": "Linux",
    b"#!": "script",
    b"\xfe\xed\xfa\xce": "macOS",
    b"\xfe\xed\xfa\xcf": "macOS",
    b"\xce\xfa\xed\xfe": "macOS",
    b"\xcf\xfa\xed\xfe": "macOS",
    b"\xca\xfe\xba\xbe": "macOS or Java",
}
_PICTURES = {b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "BigTIFF", b"MM\0+": "BigTIFF"}
_DOCUMENTS = {b"%PDF": "PDF", b"PK\x03\x04": "zip", b"<": "HTML or XML"}


def note(start: bytes) -> str:
    """What to warn of in the preamble of a file, "" when it is empty or plain; start: the file's first 132 bytes.

    Insula never copies a preamble: what it writes begins with zeros.
    """
    if start[LENGTH : LENGTH + 4] != b"DICM":
        return ""
    for magic, kind in _PROGRAMS.items():
        if start.startswith(magic):
            return f"the preamble is the start of an executable ({kind}): dropped"
    for magic, kind in _PICTURES.items():
        if start.startswith(magic):
            return f"the preamble makes the file a {kind} as well: read as DICOM"
    for magic, kind in _DOCUMENTS.items():
        if start.startswith(magic):
            return f"the preamble is the start of another file ({kind}): dropped"
    return ""
