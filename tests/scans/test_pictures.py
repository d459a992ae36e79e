from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

from insula.core.errors import LimitError, ScanError
from insula.scans.pictures import header, read_stack
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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "deep.png", "deep.tif"])
def test_all_eight_orientations(tmp_path: Path, orientation: int, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    colour = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])
    path = tmp_path / name
    if name == "deep.tif":
        tag = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(path, colour.astype(np.uint16) * 257, photometric="rgb", extratags=tag)
    elif name == "deep.png":
        raw = cv2.imencode(".png", colour[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
        data = exif.tobytes().removeprefix(b"Exif\0\0")
        chunk = struct.pack(">I", len(data)) + b"eXIf" + data + struct.pack(">I", zlib.crc32(b"eXIf" + data))
        path.write_bytes(raw[:33] + chunk + raw[33:])
    else:
        Image.fromarray(colour if name != "a.jpg" else GREY).save(path, exif=exif, **JPEG_EXACT(name))
    turned = Image.fromarray(colour)
    turned.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(turned))
    volume = read(path)
    if name == "a.jpg":
        np.testing.assert_array_equal(volume.array[0, 0], np.asarray(ImageOps.exif_transpose(Image.open(path))))
        assert volume.array.shape[2:] == expected.shape[:2]
    else:
        factor = 257 if name.startswith("deep") else 1
        np.testing.assert_array_equal(volume.array[:, 0], np.moveaxis(expected.astype(np.float32) * factor, 2, 0))


def JPEG_EXACT(name: str) -> dict[str, Any]:  # noqa: N802
    return {"quality": 95} if name.endswith("jpg") else {}


def test_sixteen_bit_colour_keeps_its_bits(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 65536, (9, 7, 3)).astype(np.uint16)
    alpha = np.dstack([colour, np.full((9, 7), 4000, np.uint16)])
    cv2.imwrite(str(tmp_path / "a.png"), colour[..., ::-1])
    cv2.imwrite(str(tmp_path / "b.png"), alpha[..., [2, 1, 0, 3]])
    tifffile.imwrite(tmp_path / "c.tif", colour, photometric="rgb")
    tifffile.imwrite(tmp_path / "d.tif", colour, photometric="rgb", byteorder=">", compression="zlib", predictor=True)
    for name in ("a.png", "b.png", "c.tif", "d.tif"):
        volume = read(tmp_path / name)
        np.testing.assert_array_equal(volume.array[:, 0], np.moveaxis(colour.astype(np.float32), 2, 0))
        assert (volume.units, volume.full_scale) == ("RGB", 65535.0)
    tifffile.imwrite(tmp_path / "e.tif", np.moveaxis(colour, 2, 0), photometric="rgb", planarconfig="separate")
    with pytest.raises(ScanError, match="save it as 16-bit RGB"):
        read(tmp_path / "e.tif")


def test_palette_one_bit_and_alpha(tmp_path: Path) -> None:
    indexed = Image.fromarray(GREY).convert("P")
    indexed.putpalette([k for v in range(256) for k in (v, 255 - v, 7)])
    indexed.putdata(GREY.ravel().tolist())
    indexed.save(tmp_path / "a.png", transparency=3)
    volume = read(tmp_path / "a.png")
    expected = np.stack([GREY, 255 - GREY, np.full_like(GREY, 7)]).astype(np.float32)
    np.testing.assert_array_equal(volume.array[:, 0], expected)
    bits = GREY > 100
    Image.fromarray(bits).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read(tmp_path / "b.png").array[0, 0], bits * np.float32(255))
    Image.fromarray(np.dstack([GREY, GREY // 2]), "LA").save(tmp_path / "c.png")
    np.testing.assert_array_equal(read(tmp_path / "c.png").array[0, 0], GREY.astype(np.float32))


def test_cmyk_jpeg_is_what_pillow_shows(tmp_path: Path) -> None:
    colour = np.zeros((16, 16, 3), np.uint8)
    colour[:8] = (220, 30, 40)
    Image.fromarray(colour).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    volume = read(tmp_path / "a.jpg")
    assert volume.attributes["mode"] == "CMYK"
    assert volume.array[0, 0, 2, 2] > 180 > 90 > volume.array[1, 0, 2, 2]


def made(dtype: str, shape: tuple[int, ...] = (64, 80)) -> NDArray[Any]:
    rng, kind = np.random.default_rng(4), np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(0, 500, shape).astype(kind)
    info = np.iinfo(kind)
    return rng.integers(info.min, info.max, shape, endpoint=True, dtype=kind)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "lzw"},
        {"tile": (32, 32), "compression": "zlib"},
        {"bigtiff": True, "compression": "packbits"},
        {"rowsperstrip": 7, "predictor": True, "compression": "zlib"},
    ],
    ids=lambda o: "+".join(map(str, o)) or "plain",
)
def test_tiff_equals_tifffile(tmp_path: Path, dtype: str, options: dict[str, Any]) -> None:
    pages = np.stack([made(dtype), made(dtype)[::-1]])
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack", **options)
    volume = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(volume.array[0], tifffile.imread(tmp_path / "a.tif").astype(np.float32))
    assert volume.units == "a.u."


def test_big_end_first_and_white_is_zero(tmp_path: Path) -> None:
    for dtype in ("u1", "u2", "i2", "i4", "f4"):
        tifffile.imwrite(tmp_path / "a.tif", made(dtype), byteorder=">")
        np.testing.assert_array_equal(read(tmp_path / "a.tif").array[0, 0], made(dtype).astype(np.float32))
    for dtype, most in (("u1", 255), ("u2", 65535)):
        tifffile.imwrite(tmp_path / "b.tif", made(dtype), photometric="miniswhite")
        np.testing.assert_array_equal(read(tmp_path / "b.tif").array[0, 0], most - made(dtype).astype(np.float32))


@pytest.mark.parametrize(("dtype", "shape"), [("f8", (8, 8)), ("f2", (8, 8)), ("f4", (8, 8, 3))])
def test_tiff_types_that_are_not_read_are_refused(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", made(dtype, shape), photometric="rgb" if len(shape) == 3 else "minisblack")
    with pytest.raises(ScanError):
        read(tmp_path / "a.tif")


def test_a_picture_of_a_ct_window_is_not_hounsfield(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "brain-window-ct-HU.png")
    assert read(tmp_path / "brain-window-ct-HU.png").units == "a.u."


def test_what_pillow_warns_of_is_a_note_and_a_bomb_is_refused_in_our_words(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (8, 6), 3).save(tmp_path / "a.jpg", exif=exif.tobytes()[:20])
    assert header(tmp_path / "a.jpg").width == 8
    (note,) = read(tmp_path / "a.jpg").warnings
    assert note.startswith("the picture's decoder says: Corrupt EXIF data.")
    Image.new("L", (8, 6), 9).save(tmp_path / "b.jpg", exif=exif.tobytes()[:20])
    assert read_stack([tmp_path / "a.jpg", tmp_path / "b.jpg"]).warnings == (note,)
    Image.new("1", (12000, 9000)).save(tmp_path / "c.png")
    for reading in (header, read):
        with pytest.raises(LimitError, match=r"'c\.png' claims more than the 80000000 pixels allowed; crop or shrink"):
            reading(tmp_path / "c.png")
    assert capfd.readouterr() == ("", "")


def test_a_cut_picture_is_refused_whatever_another_library_has_switched_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(whole, "PNG")
    path = tmp_path / "cut.png"
    path.write_bytes(whole.getvalue()[:2000])
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ScanError):
        read(path)
