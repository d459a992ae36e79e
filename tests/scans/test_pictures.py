from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from insula.core.errors import LimitError, ScanError
from insula.scans.read import read, read_files

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def test_grey_eight_and_sixteen_bits(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    volume = read(tmp_path / "a.png")
    assert (volume.array[0, 0] == GREY).all()
    assert (volume.units, volume.full_scale, volume.modality) == ("a.u.", 255.0, "")
    deep = GREY.astype(np.uint16) * 250
    for name in ("b.png", "b.tif"):
        Image.fromarray(deep).save(tmp_path / name)
        assert (read(tmp_path / name).array[0, 0] == deep).all()
        assert read(tmp_path / name).full_scale == 65535.0


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_colour_modes_are_three_channels(tmp_path: Path, mode: str) -> None:
    colour = Image.fromarray(np.dstack([GREY, GREY[::-1], GREY[:, ::-1]]))
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    colour.convert(mode).save(path)
    volume = read(path)
    assert (volume.units, volume.array.shape) == ("RGB", (3, 1, 3, 4))
    assert volume.attributes["mode"] == mode


def test_grey_stored_as_colour_is_grey(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([GREY] * 3)).save(tmp_path / "a.jpg", quality=95)
    volume = read(tmp_path / "a.jpg")
    assert volume.array.shape == (1, 1, 3, 4)
    assert (volume.units, volume.attributes["mode"]) == ("a.u.", "RGB")


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GREY).save(tmp_path / "a.jpg", exif=exif)
    assert read(tmp_path / "a.jpg").array.shape == (1, 1, 4, 3)


def test_pages_of_a_tiff_are_slices(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY + k) for k in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    volume = read(tmp_path / "a.tif")
    assert volume.array[0, :, 0, 0].tolist() == [0.0, 1.0, 2.0]
    odd = [pages[0], Image.new("L", (9, 9))]
    odd[0].save(tmp_path / "b.tif", save_all=True, append_images=odd[1:])
    with pytest.raises(ScanError, match="2 sizes"):
        read(tmp_path / "b.tif")


def test_a_stack_is_sorted_as_people_count(tmp_path: Path) -> None:
    for k in (1, 2, 10):
        Image.fromarray(np.full((3, 4), k, np.uint8)).save(tmp_path / f"slice{k}.png")
    assert read(tmp_path).array[0, :, 0, 0].tolist() == [1.0, 2.0, 10.0]
    paths = sorted(tmp_path.glob("*.png"))
    assert (read_files(paths).array == read(tmp_path).array).all()
    Image.new("RGB", (4, 3), (10, 20, 30)).save(tmp_path / "slice11.png")
    assert read(tmp_path).array.shape == (3, 4, 3, 4)
    Image.new("L", (5, 5)).save(tmp_path / "slice12.png")
    with pytest.raises(ScanError, match="2 sizes"):
        read(tmp_path)


@pytest.mark.parametrize("side", [11_000, 40_000])
def test_a_picture_bomb_is_refused_from_its_header(tmp_path: Path, side: int) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)
    with pytest.raises(LimitError):
        read(tmp_path / "bomb.png")


def test_a_cut_picture_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "a.jpg")
    raw = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ScanError):
        read(tmp_path / "b.jpg")
