"""Which kinds of objects, in which transfer syntaxes, are proposed to a peer that is to send them (C-GET)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from pydicom import uid
from pynetdicom import sop_class
from pynetdicom.presentation import AllStoragePresentationContexts, PresentationContext, build_context, build_role

from insula.serve.pacs.query import is_uid

PLAIN: Final[list[str | uid.UID]] = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian]
_PACKED: Final = (  # each in a context of its own, so that what is stored so comes as it is
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
)
_SCANS: Final = tuple(
    str(getattr(sop_class, name))
    for name in (
        "CTImageStorage",
        "MRImageStorage",
        "EnhancedCTImageStorage",
        "EnhancedMRImageStorage",
        "SecondaryCaptureImageStorage",
    )
)
_MOST: Final = 127  # one more is for the question itself


def retrievable(held: Collection[str] = ()) -> tuple[list[PresentationContext], list[Any]]:
    """Presentation contexts of storage classes, and the roles in which we take them (PS3.7 D.3.3.4).

    held: the classes of which the study has objects, where the peer tells. They, or else CT, MR and secondary captures,
    come in any common transfer syntax; other classes uncompressed, as far as there is room for them.
    """
    first = sorted({one for one in held if is_uid(one)}, key=_rank)[:_MOST] or list(_SCANS)
    others = [str(one.abstract_syntax) for one in AllStoragePresentationContexts]
    packed = [build_context(one, [syntax]) for one in first for syntax in _PACKED][: _MOST - len(first)]
    plain = [build_context(one, PLAIN) for one in dict.fromkeys((*first, *sorted(others, key=_rank)))]
    found = [*plain[: _MOST - len(packed)], *packed]
    classes = dict.fromkeys(str(one.abstract_syntax) for one in found)
    return found, [build_role(one, scp_role=True) for one in classes]


def _rank(name: str) -> int:
    """Classes first of which a study of the head may hold one."""
    return next((place for place, one in enumerate(_OFTEN) if one == name), len(_OFTEN))


_OFTEN: Final = _SCANS + tuple(
    str(getattr(sop_class, name))
    for name in (
        "LegacyConvertedEnhancedCTImageStorage",
        "LegacyConvertedEnhancedMRImageStorage",
        "PositronEmissionTomographyImageStorage",
        "EnhancedPETImageStorage",
        "NuclearMedicineImageStorage",
        "XRayAngiographicImageStorage",
        "UltrasoundImageStorage",
        "ComputedRadiographyImageStorage",
        "DigitalXRayImageStorageForPresentation",
        "MultiFrameGrayscaleByteSecondaryCaptureImageStorage",
        "MultiFrameGrayscaleWordSecondaryCaptureImageStorage",
        "MultiFrameTrueColorSecondaryCaptureImageStorage",
        "MultiFrameSingleBitSecondaryCaptureImageStorage",
        "SegmentationStorage",
        "ParametricMapStorage",
        "BasicTextSRStorage",
        "EnhancedSRStorage",
        "ComprehensiveSRStorage",
        "Comprehensive3DSRStorage",
        "XRayRadiationDoseSRStorage",
        "KeyObjectSelectionDocumentStorage",
        "GrayscaleSoftcopyPresentationStateStorage",
        "EncapsulatedPDFStorage",
        "RawDataStorage",
        "MRSpectroscopyStorage",
        "EnhancedMRColorImageStorage",
    )
)
