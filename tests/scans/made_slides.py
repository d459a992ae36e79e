"""Whole slides for tests, written by tifffile (SVS, generic, OME) or byte by byte (NDPI): none by Insula."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

APERIO = "Aperio Image Library v11.2.1 \r\n{w}x{h} [0,0 {w}x{h}] (256x256) JPEG/RGB Q=85|AppMag = 20|MPP = {mpp}"
SIZE = (1536, 2048)  # whole numbers of pixels at 1/4 and 1/16, so that levels lie on each other exactly


def picture(size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    """Glass with one round pink and one round violet piece of tissue and fine noise: (H, W, 3)."""
    h, w = size
    shown = np.full((h, w, 3), 243, np.uint8)
    cv2.circle(shown, (int(0.3 * w), int(0.45 * h)), int(0.25 * h), (215, 130, 165), -1)
    cv2.circle(shown, (int(0.72 * w), int(0.6 * h)), int(0.18 * h), (130, 70, 155), -1)
    noise = np.random.default_rng(seed).normal(0, 5, shown.shape)
    return np.clip(shown + noise, 0, 255).astype(np.uint8)


def levels(level0: np.ndarray) -> list[np.ndarray]:
    return [level0, np.ascontiguousarray(level0[::4, ::4]), np.ascontiguousarray(level0[::16, ::16])]


def generic(path: Path, level0: np.ndarray, mpp: float | None = 0.5, many: int = 3, **options: Any) -> Path:
    """A tiled pyramid; options go to tifffile (compression, photometric, ...)."""
    options = {"tile": (256, 256), "compression": "jpeg", "photometric": "rgb", "metadata": None} | options
    writer_options = {k: options.pop(k) for k in ("bigtiff", "byteorder") if k in options}
    with tifffile.TiffWriter(path, **writer_options) as writer:
        for number, level in enumerate(levels(level0)[:many]):
            scale = None if mpp is None else 1e4 / (mpp * 4**number)
            place: dict[str, Any] = (
                {} if scale is None else {"resolution": (scale, scale), "resolutionunit": "CENTIMETER"}
            )
            writer.write(level, subfiletype=1 if number else 0, **options, **place)
    return path


def svs(path: Path, level0: np.ndarray, mpp: float = 0.499, convert: Any = None, **options: Any) -> Path:
    """As Aperio's scanners lay it out: level 0, a thumbnail in strips, the other levels, label and macro."""
    options = {"tile": (256, 256), "compression": "jpeg", "photometric": "rgb"} | options
    h, w = level0.shape[:2]
    turned = convert or (lambda x: x)
    small = np.ascontiguousarray(level0[::8, ::8])
    with tifffile.TiffWriter(path) as writer:
        writer.write(turned(level0), description=APERIO.format(w=w, h=h, mpp=mpp), metadata=None, **options)
        writer.write(
            small, rowsperstrip=16, compression="jpeg", photometric="rgb", metadata=None, description="Aperio x"
        )
        for level in levels(level0)[1:]:
            writer.write(turned(level), description="Aperio Image Library", metadata=None, **options)
        for name, kind in (("label", 1), ("macro", 9)):
            writer.write(
                small, subfiletype=kind, photometric="rgb", metadata=None, description=f"Aperio \r\n{name} 1x1"
            )
    return path


def ome(path: Path, level0: np.ndarray, **options: Any) -> Path:
    """OME-TIFF with its levels in SubIFDs and its pixel size in the XML alone."""
    options = {"tile": (256, 256), "compression": "jpeg", "photometric": "rgb"} | options
    facts = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(level0, subifds=2, metadata=facts, **options)
        for level in levels(level0)[1:]:
            writer.write(level, subfiletype=1, **options)
    return path


def ndpi(path: Path, level0: np.ndarray, mpp: float = 0.5) -> Path:
    """As Hamamatsu's scanners lay it out: each level one JPEG with restart markers, whose places are listed, and
    directory offsets of eight bytes.
    """
    data = bytearray(b"II*\0" + bytes(8))
    ends = [4]
    for number, level in enumerate(levels(level0)):
        stream = io.BytesIO()
        # a restart after every 16 blocks of 16 x 8 pixels: pieces of 256 x 8, as the scanner writes them
        every = min(16, level.shape[1] // 16)
        Image.fromarray(level).save(stream, "JPEG", quality=85, subsampling="4:2:2", restart_marker_blocks=every)
        jpeg = stream.getvalue()
        starts = _restarts(jpeg)
        strip, scale = len(data), round(1e4 / (mpp * 4**number))
        data += jpeg
        strings = {271: b"Hamamatsu\0", 272: b"C9600-12\0"}
        entries: list[tuple[int, int, int, bytes]] = [
            (254, 4, 1, struct.pack("<I", 0)),
            (256, 4, 1, struct.pack("<I", level.shape[1])),
            (257, 4, 1, struct.pack("<I", level.shape[0])),
            (258, 3, 3, struct.pack("<3H", 8, 8, 8)),
            (259, 3, 1, struct.pack("<H", 7)),
            (262, 3, 1, struct.pack("<H", 6)),
            *((tag, 2, len(text), text) for tag, text in strings.items()),
            (273, 4, 1, struct.pack("<I", strip)),
            (277, 3, 1, struct.pack("<H", 3)),
            (278, 4, 1, struct.pack("<I", level.shape[0])),
            (279, 4, 1, struct.pack("<I", len(jpeg))),
            (282, 5, 1, struct.pack("<II", scale, 1)),
            (283, 5, 1, struct.pack("<II", scale, 1)),
            (284, 3, 1, struct.pack("<H", 1)),
            (296, 3, 1, struct.pack("<H", 3)),
            (530, 3, 2, struct.pack("<2H", 2, 1)),
            (65420, 4, 1, struct.pack("<I", 1)),
            (65421, 11, 1, struct.pack("<f", 20.0 / 4**number)),
            (65424, 9, 1, struct.pack("<i", 0)),
            (65426, 4, len(starts), struct.pack(f"<{len(starts)}I", *starts)),
        ]
        block = bytearray(struct.pack("<H", len(entries)))
        for tag, kind, count, value in entries:
            if len(value) > 4:
                value, place = struct.pack("<I", len(data)), value
                data += place
            block += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
        offset = len(data)
        data[ends[-1] : ends[-1] + 8] = struct.pack("<Q", offset)
        data += block
        ends.append(len(data))
        data += bytes(8) + bytes(4 * len(entries))  # the next directory, and the upper halves of the values
    path.write_bytes(bytes(data))
    return path


def giant(path: Path, side: int, pyramid: bool = True) -> Path:
    """A slide of side x side pixels in tiles that were encoded once: 512 pixels each, one kind of glass and six of
    tissue, on six round pieces.
    """
    g = np.random.default_rng(0)
    tiles = []
    for kind in range(7):
        base = np.array([243, 241, 243] if kind == 0 else [225 - 12 * kind, 120 + 8 * kind, 170], np.float32)
        tile = cv2.resize(g.normal(0, 12, (64, 64, 3)).astype(np.float32), (512, 512)) * bool(kind) + base
        done, data = cv2.imencode(".jpg", np.clip(tile, 0, 255).astype(np.uint8)[..., ::-1])
        assert done
        tiles.append(data.tobytes())

    def each(pixels: int) -> Iterator[bytes]:
        count = -(-pixels // 512)
        for row in range(count):
            for column in range(count):
                x, y = (column + 0.5) / count * 3, (row + 0.5) / count * 2
                piece = int(x) + 3 * int(y)
                yield tiles[1 + piece if np.hypot(x % 1 - 0.5, y % 1 - 0.5) < 0.33 else 0]

    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for number, pixels in enumerate((side, side // 4, side // 16) if pyramid else (side,)):
            scale = 1e4 / (0.25 * 4**number)
            writer.write(
                each(pixels),
                shape=(pixels, pixels, 3),
                dtype=np.uint8,
                tile=(512, 512),
                compression="jpeg",
                photometric="ycbcr",
                subfiletype=1 if number else 0,
                resolution=(scale, scale),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
    return path


def _restarts(jpeg: bytes) -> list[int]:
    """Where each piece between restart markers begins, the first after the header of the scan."""
    header = jpeg.index(b"\xff\xda")
    first = header + 2 + struct.unpack(">H", jpeg[header + 2 : header + 4])[0]
    marks = [i + 2 for i in range(first, len(jpeg) - 1) if jpeg[i] == 0xFF and 0xD0 <= jpeg[i + 1] <= 0xD7]
    return [first, *marks]
