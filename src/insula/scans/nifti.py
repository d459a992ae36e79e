"""One NIfTI file, plain or gzip, read no further than its own header promises."""

from __future__ import annotations

import json
import logging
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import InsulaError, LimitError, ScanError
from insula.core.types import Units, Volume
from insula.scans import behind, limits
from insula.scans.limits import LIMITS, Limits
from insula.scans.orient import to_lps

_HEADER = 540  # bytes; NIfTI-2, the longer of the two
_PLANE = 1 << 22  # values that are scaled at once in double precision
_MOST_OFFSET = 64 << 20  # bytes of header extensions
_GZIP = b"\x1f\x8b"
_HU = re.compile(r"\bHU\b|hounsfield", re.IGNORECASE)
_SIDECAR_BYTES = 1 << 20
_FLAT = 1e-3  # volume of a voxel over the product of its sides, below which its axes span no space


class _Heard(logging.Handler):
    """Keeps what is logged as a warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self.said.append(" ".join(record.getMessage().split())[:160])


def magic(start: bytes) -> bool:
    """Whether bytes begin a single-file NIfTI-1 or NIfTI-2 image."""
    return start[344:348] == b"n+1\0" or start[4:8] == b"n+2\0"


def head(path: Path) -> bytes:
    """The first inflated bytes of a file, enough for either header; ScanError when a gzip stream is damaged."""
    with path.open("rb") as stream:
        start = stream.read(_HEADER)
        if not start.startswith(_GZIP):
            return start
        stream.seek(0)
        return b"".join(limits.inflate(stream, _HEADER))


def shape(path: Path, allowed: Limits = LIMITS) -> tuple[int, ...]:
    """The dimensions (X, Y, Z[, C]) that the header claims, checked against the limits; no voxel is read."""
    return _dimensions(_header(head(path), path)[0], path, allowed)


def end(path: Path, allowed: Limits = LIMITS) -> int:
    """Bytes of the plain file up to its last voxel, as the header claims them; no voxel is read. Raises as `read`."""
    header = _header(head(path), path)[0]
    last = _place(header, _dimensions(header, path, allowed), path, allowed)[1]
    limits.growth(limits.file_size(path, allowed), last, path.name, allowed)
    return last


def read(path: Path, allowed: Limits = LIMITS) -> Volume:
    """A 2-D, 3-D or 4-D NIfTI file as a Volume: array (C, Z, Y, X) float32, turned from RAS to LPS.

    units are HU only where the header's description or a JSON sidecar says so, RGB for colour voxels, else a.u.;
    modality is empty unless the sidecar gives it. Raises ScanError for a damaged or unsupported file, LimitError for
    one that asks for too much.
    """
    limits.file_size(path, allowed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nibabel warns of header oddities that are handled or reported here
            return _read(path, allowed)
    except InsulaError:
        raise
    except MemoryError as error:
        raise LimitError(f"'{path.name}' needs more memory than there is; crop or resample it.") from error
    except Exception as error:  # broad: nibabel and numpy raise unrelated families on damaged headers
        raise ScanError(
            f"'{path.name}' is no readable NIfTI file ({limits.reason(error)}); export it again."
        ) from error


def _read(path: Path, allowed: Limits) -> Volume:
    from insula.scans import doubt  # with pydicom, which only those who read a scan need

    header, oddities = _header(head(path), path)
    sides = _dimensions(header, path, allowed)
    dtype = header.get_data_dtype()
    if dtype.kind == "c" or (dtype.kind == "V" and dtype.names != ("R", "G", "B") and dtype.names != tuple("RGBA")):
        raise ScanError(f"'{path.name}' holds {dtype} values; only real numbers and RGB colours are read.")
    notes = [f"{doubt.DOUBT}{text}" for text in oddities]
    body = _body(path, _place(header, sides, path, allowed), notes, allowed)
    text, sidecar = _text(header["descrip"]), _sidecar(path)
    units: Units = "HU" if _HU.search(text) or _HU.search(str(sidecar.get("Units", ""))) else "a.u."
    raw: NDArray[Any] = np.frombuffer(body, dtype).reshape(sides, order="F")
    if dtype.kind == "V":
        array = np.stack([raw[c].astype(np.float32) for c in ("R", "G", "B")])
        array, units = array.reshape(3, *_xyz(sides), order="F"), "RGB"
    else:
        values = _scaled(raw.reshape(*_xyz(sides), -1, order="F"), header)
        array = np.moveaxis(values, 3, 0)
    array = np.transpose(array, (0, 3, 2, 1))
    if not np.isfinite(array).all():
        array = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)
        notes.append("values that are no numbers set to 0")
    array, affine = to_lps(np.ascontiguousarray(array, dtype=np.float32), _affine(header, path.name, notes))
    return Volume(
        array=array,
        affine=affine,
        units=units,
        modality=str(sidecar.get("Modality", "")).strip().upper()[:16],
        source=str(path),
        full_scale=255.0 if units == "RGB" else None,
        attributes={"description": text} if text else {},
        warnings=tuple(notes),
    )


def _header(start: bytes, path: Path) -> tuple[Any, list[str]]:
    """The header, and what nibabel mended of it, which it would print on standard error."""
    if not magic(start):
        raise ScanError(f"'{path.name}' is no single-file NIfTI image; give a .nii or .nii.gz file.")
    import nibabel as nib  # half of the time that this package takes to import; only NIfTI files need it

    kind: Any
    kind, length = (nib.Nifti2Header, 540) if start[4:8] == b"n+2\0" else (nib.Nifti1Header, 348)
    if len(start) < length:
        raise ScanError(f"'{path.name}' ends inside its header; the file is cut short, copy it again.")
    heard = _Heard()
    log = logging.Logger("insula.nifti")
    log.addHandler(heard)
    try:
        header = kind(start[:length], check=False)
        header.check_fix(logger=log)
        return header, heard.said
    except Exception as error:  # broad: nibabel raises several families for impossible header fields
        raise ScanError(
            f"'{path.name}' has a damaged NIfTI header ({limits.reason(error)}); export it again."
        ) from error


def _dimensions(header: Any, path: Path, allowed: Limits) -> tuple[int, ...]:
    sides = tuple(int(d) for d in header.get_data_shape())
    while len(sides) > 3 and sides[-1] == 1:
        sides = sides[:-1]
    if len(sides) == 5 and sides[3] == 1:
        sides = (*sides[:3], sides[4])
    if not 2 <= len(sides) <= 4:
        raise ScanError(f"'{path.name}' has {len(sides)} dimensions; only 2, 3 (a volume) and 4 (channels) are read.")
    colours = 3 if header.get_data_dtype().kind == "V" else 1
    limits.shape((*sides, colours), path.name, allowed)
    return sides


def _xyz(sides: tuple[int, ...]) -> tuple[int, int, int]:
    return sides[0], sides[1], sides[2] if len(sides) > 2 else 1


def _place(header: Any, sides: tuple[int, ...], path: Path, allowed: Limits) -> tuple[int, int]:
    """Where the voxels begin and end in the inflated file, checked by arithmetic before anything is read."""
    offset = int(header["vox_offset"])
    count = int(np.prod(sides, dtype=np.int64)) * header.get_data_dtype().itemsize
    least = 544 if len(header.binaryblock) == 540 else 352  # nifti1.h and nifti2.h: header and extension flag
    if not least <= offset <= _MOST_OFFSET:
        raise ScanError(
            f"'{path.name}' says that its voxels begin at byte {offset}, which is no place for them; the header is "
            "damaged, export it again."
        )
    if offset + count > allowed.max_bytes:
        raise LimitError(
            f"'{path.name}' claims {offset + count} bytes, more than the {allowed.max_bytes} allowed; crop it."
        )
    return offset, offset + count


def _body(path: Path, place: tuple[int, int], notes: list[str], allowed: Limits) -> NDArray[np.uint8]:
    """The voxels' bytes; more than the header promises is ignored with a note, less is refused."""
    start, end = place
    held = path.stat().st_size
    with path.open("rb") as stream:
        packed = stream.read(2) == _GZIP
        if not packed:
            if held < end:
                raise _short(path, held, end)
            if held > end:
                notes.append(behind.LONGER)
            stream.seek(start)
            return np.fromfile(stream, np.uint8, end - start)
        stream.seek(0)
        limits.growth(held, end, path.name, allowed)
        body = np.zeros(end, np.uint8)  # memory comes page by page, as the file proves that it holds so much
        filled = 0
        spare: list[int] = []
        for block in limits.inflate(stream, end + 1, spare=spare):
            piece = block[: end - filled]
            body[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
            spare += [len(block) - len(piece)] if len(piece) < len(block) else []
        if spare:
            notes.append(behind.LONGER)
        if filled < end:
            raise _short(path, filled, end)
        return body[start:]


def _short(path: Path, held: int, needed: int) -> ScanError:
    return ScanError(
        f"'{path.name}' holds {held} bytes and its header promises {needed}; the file is cut short, copy it again."
    )


def _scaled(raw: NDArray[Any], header: Any) -> NDArray[np.float32]:
    """Slope and intercept applied in double precision (nifti1.h, scl_slope), a few planes at a time."""
    slope, intercept = header.get_slope_inter()
    if slope is None:
        with np.errstate(over="ignore"):
            return raw.astype(np.float32)
    if not np.isfinite([slope, intercept]).all():
        raise ScanError("The header scales its values by numbers that are not finite; export the file again.")
    values = np.empty(raw.shape, np.float32, order="F")
    step = max(1, _PLANE // max(1, raw.shape[0] * raw.shape[1]))
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite afterwards is reported by the caller
        for channel in range(raw.shape[3]):
            for at in range(0, raw.shape[2], step):
                part = raw[:, :, at : at + step, channel]
                values[:, :, at : at + step, channel] = part.astype(np.float64) * slope + intercept
    return values


def _affine(header: Any, name: str, notes: list[str]) -> NDArray[np.float64]:
    from insula.scans import doubt  # with pydicom, which only those who read a scan need

    if int(header["qform_code"]) == 0 and int(header["sform_code"]) == 0:
        notes.append("no orientation in the header: left and right not certain")
    affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    usable = np.isfinite(affine).all() and bool((sides > 0).all())
    if usable and doubt.lengths(sides.tolist()) is None:
        claimed = " x ".join(f"{side:.4g}" for side in sides)
        raise ScanError(
            f"'{name}' claims voxels of {claimed} mm; sizes from {doubt.SMALLEST_MM:g} to {doubt.LARGEST_MM:g} mm are "
            "read, so correct its affine or export it again."
        )
    if not usable or abs(float(np.linalg.det(affine[:3, :3] / sides))) < _FLAT:
        notes.append(f"{doubt.DOUBT}unusable affine: 1 mm voxels assumed, left and right not certain")
        affine = np.eye(4)
    notes += doubt.of_affine(affine)
    return np.asarray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def _text(field: Any) -> str:
    raw = bytes(field.tobytes()).split(b"\0")[0]
    return "".join(c for c in raw.decode("latin-1") if c.isprintable()).strip()


def beside(path: Path) -> Path:
    """Where the JSON of a NIfTI file lies, if it has one (as BIDS keeps it)."""
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")


def _sidecar(path: Path) -> dict[str, Any]:
    """The JSON beside the file, or nothing: a sidecar that is no JSON says nothing of the scan."""
    text = beside(path)
    try:
        if not text.is_file() or text.stat().st_size > _SIDECAR_BYTES:
            return {}
        content = json.loads(text.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
