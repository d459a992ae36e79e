"""Slides are compared with OpenSlide, which reads them by other code, on files that tifffile or this test wrote."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from insula.core import recipe as recipes
from insula.core.errors import InsulaError, LimitError, RecipeError, ScanError, UnsuitableScanError
from insula.core.recipe import Tiles
from insula.scans import slide_tiles, slides
from insula.scans.limits import Limits
from insula.scans.read import read, read_files, sniff

tifffile = pytest.importorskip("tifffile", reason="slides need the part insula[slides]")
pytest.importorskip("tiffslide", reason="slides need the part insula[slides]")
made = pytest.importorskip("tests.scans.made_slides")


def ycbcr(colours: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(cv2.cvtColor(colours, cv2.COLOR_RGB2YCrCb)[..., (0, 2, 1)])


FORMATS: dict[str, tuple[Callable[..., Path], dict[str, Any], int]] = {
    # name: writer, its options, how far a value may differ from OpenSlide's
    "generic-jpeg": (made.generic, {}, 0),
    "generic-ycbcr": (made.generic, {"photometric": "ycbcr"}, 0),
    "generic-deflate": (made.generic, {"compression": "deflate"}, 0),
    "generic-lzw": (made.generic, {"compression": "lzw", "tile": (128, 256)}, 0),
    "generic-none": (made.generic, {"compression": None}, 0),
    "generic-bigtiff": (made.generic, {"bigtiff": True}, 0),
    "svs-jpeg": (made.svs, {}, 0),
    "svs-ycbcr": (made.svs, {"photometric": "ycbcr"}, 0),
    "svs-jp2k-rgb": (made.svs, {"compression": "aperio_jp2000_rgb"}, 0),
    "svs-jp2k-ycbcr": (made.svs, {"compression": "aperio_jp2000_ycbc", "convert": ycbcr}, 1),
    "ndpi": (made.ndpi, {}, 0),
}


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    shown: np.ndarray = made.picture()
    return shown


@pytest.mark.parametrize("name", FORMATS)
def test_pixels_size_and_resolution_are_openslides(name: str, picture: np.ndarray, tmp_path: Path) -> None:
    openslide = pytest.importorskip("openslide", reason="OpenSlide is the reference and is not installed")
    write, options, most = FORMATS[name]
    path = write(tmp_path / "scan.bin", picture, **options)
    assert sniff(path) == "slide"
    theirs = openslide.OpenSlide(path)
    with slides.open_slide(path) as ours:
        assert ours.size == theirs.dimensions
        assert ours.mpp == pytest.approx(float(theirs.properties["openslide.mpp-x"]))
        by_size = {size: number for number, size in enumerate(theirs.level_dimensions)}
        assert len(ours.levels) == 3
        for number, level in enumerate(ours.levels):
            other = by_size[level.width, level.height]
            step = theirs.level_downsamples[other]
            assert level.downsample == pytest.approx(step)
            for x, y in ((0, 0), (level.width // 3, level.height // 3), (level.width - 60, level.height - 50)):
                want = theirs.read_region((round(x * step), round(y * step)), other, (60, 50)).convert("RGB")
                got = ours.region(number, x, y, 60, 50)
                assert int(np.abs(got.astype(int) - np.asarray(want, int)).max()) <= most


def test_a_region_is_what_was_stored_and_white_beyond_the_edge(picture: np.ndarray, tmp_path: Path) -> None:
    path = made.generic(tmp_path / "a.tif", picture, compression="deflate")
    with slides.open_slide(path) as slide:
        for number, level in enumerate(made.levels(picture)):
            w = level.shape[1]
            assert (slide.region(number, 5, 7, 90, 80) == level[7:87, 5:95]).all()
            corner = slide.region(number, w - 10, -5, 30, 25)
            assert (corner[5:, :10] == level[:20, w - 10 :]).all()
            assert (corner[:5] == 255).all()
            assert (corner[:, 10:] == 255).all()
        assert (slide.region(0, 10_000, 10_000, 4, 3) == 255).all()


def test_ome_tiff_says_its_resolution_in_its_own_way(picture: np.ndarray, tmp_path: Path) -> None:
    path = made.ome(tmp_path / "a.ome.tif", picture, compression="deflate")
    with slides.open_slide(path) as slide:
        assert slide.mpp == 0.5
        assert [(level.width, level.height) for level in slide.levels] == [(2048, 1536), (512, 384), (128, 96)]
        assert (slide.region(1, 3, 4, 50, 40) == made.levels(picture)[1][4:44, 3:53]).all()


def test_what_is_a_slide_and_what_is_a_picture(picture: np.ndarray, tmp_path: Path) -> None:
    small = np.ascontiguousarray(picture[:300, :400])

    def kind(**options: Any) -> str:
        tifffile.imwrite(tmp_path / "a", small, photometric="rgb", metadata=None, **options)
        return sniff(tmp_path / "a")

    assert kind() == "tiff"
    assert kind(tile=(128, 128)) == "tiff"  # tiles alone make no slide
    assert kind(rowsperstrip=8, compression="deflate") == "tiff"
    with tifffile.TiffWriter(tmp_path / "b") as writer:  # a camera's thumbnail
        writer.write(small, photometric="rgb", metadata=None)
        writer.write(small[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
    assert sniff(tmp_path / "b") == "tiff"
    with tifffile.TiffWriter(tmp_path / "c") as writer:  # a stack of tiled pages of one size
        for _ in range(3):
            writer.write(small, photometric="rgb", tile=(128, 128), metadata=None)
    assert sniff(tmp_path / "c") == "tiff"
    assert read(tmp_path / "c").array.shape == (3, 3, 300, 400)
    for order in "<>":
        assert sniff(made.generic(tmp_path / "d", small, byteorder=order, tile=(64, 64))) == "slide"
        assert sniff(made.generic(tmp_path / "e", small, byteorder=order, tile=(64, 64), bigtiff=True)) == "slide"
    large = np.zeros((9000, 9000), np.uint8)
    tifffile.imwrite(tmp_path / "f", large, compression="deflate", rowsperstrip=64)
    assert sniff(tmp_path / "f") == "slide"
    with pytest.raises(ScanError, match=r"1 channel\(s\) of uint8.*needs 8-bit RGB"):
        read_files([tmp_path / "f"], tiles=Tiles())


def test_tiles_of_a_slide_show_the_slide_at_the_asked_resolution(picture: np.ndarray, tmp_path: Path) -> None:
    path = made.generic(tmp_path / "a.tif", picture, compression="deflate")
    volume = read_files([path], tiles=Tiles(size=64, mpp=2.0, tissue=0.5))
    place = slide_tiles.layout(volume.attributes)
    assert place is not None
    assert (place.width, place.height, place.side) == (2048, 1536, 256.0)
    assert volume.array.shape == (3, len(place.corners), 64, 64)
    assert (volume.units, volume.modality, volume.full_scale) == ("RGB", "SM", 255.0)
    assert volume.spacing[:2] == pytest.approx((0.002, 0.002))
    quarter = made.levels(picture)[1]
    for number, (x, y) in enumerate(place.corners):
        want = np.full((64, 64, 3), 255, np.uint8)
        part = quarter[max(0, round(y / 4)) : round(y / 4) + 64, max(0, round(x / 4)) : round(x / 4) + 64]
        assert part.shape == want.shape, "the pieces lie well inside the slide"
        assert (np.moveaxis(volume.array[:, number], 0, 2) == part).all()


@pytest.mark.parametrize("mpp", [0.5, 1.0, 3.0, 8.0, 11.0])
def test_a_tile_is_the_mean_of_the_pixels_it_covers(mpp: float, picture: np.ndarray, tmp_path: Path) -> None:
    # a slide whose levels are honest means of each other, at any resolution between them
    smooth = cv2.GaussianBlur(picture, (0, 0), 24)
    path = made.generic(tmp_path / "a.tif", smooth, compression="deflate")
    volume = read_files([path], tiles=Tiles(size=32, mpp=mpp, tissue=0.4, most=8))
    place = slide_tiles.layout(volume.attributes)
    assert place is not None
    for number, (x, y) in enumerate(place.corners):
        inside = smooth[y : y + round(place.side), x : x + round(place.side)]
        want = cv2.resize(inside, (32, 32), interpolation=cv2.INTER_AREA)
        # a corner lies on a whole pixel of the level: within half a pixel of the tile
        assert np.abs(np.moveaxis(volume.array[:, number], 0, 2) - want).mean() < 5.0


def test_tiles_cover_every_piece_and_the_most_are_spread_over_all(picture: np.ndarray, tmp_path: Path) -> None:
    path = made.generic(tmp_path / "a.tif", picture)
    everything = slide_tiles.layout(read_files([path], tiles=Tiles(size=32, mpp=1.0, most=1000)).attributes)
    few = slide_tiles.layout(read_files([path], tiles=Tiles(size=32, mpp=1.0, most=12)).attributes)
    again = slide_tiles.layout(read_files([path], tiles=Tiles(size=32, mpp=1.0, most=12)).attributes)
    assert everything is not None
    assert few is not None
    assert few == again
    assert len(few.corners) == 12
    assert set(few.corners) < set(everything.corners)
    left = sum(x < 1100 for x, _ in few.corners)
    share = sum(x < 1100 for x, _ in everything.corners) / len(everything.corners)
    assert abs(left / 12 - share) < 0.1  # each piece has its share
    covered = np.zeros((1536, 2048), bool)
    for x, y in everything.corners:
        covered[max(0, y) : y + 64, max(0, x) : x + 64] = True
    tissue = cv2.medianBlur(picture, 5)[..., 1] < 190
    assert (covered & tissue).sum() / tissue.sum() > 0.95


def test_more_glass_around_the_tissue_changes_no_tile(picture: np.ndarray, tmp_path: Path) -> None:
    wide = np.full((2304, 3072, 3), 243, np.uint8)
    wide[512:2048, 768:2816] = picture
    cut = Tiles(size=64, mpp=2.0)
    one = read_files([made.generic(tmp_path / "a.tif", picture, compression="deflate")], tiles=cut)
    two = read_files([made.generic(tmp_path / "b.tif", wide, compression="deflate")], tiles=cut)
    assert one.array.shape == two.array.shape
    assert np.abs(one.array - two.array).mean() < 6  # the mask is coarser, so a corner may move by a pixel or two


def test_overlap_and_least_tissue(picture: np.ndarray, tmp_path: Path) -> None:
    path = made.generic(tmp_path / "a.tif", picture)

    def count(**options: Any) -> int:
        return int(read_files([path], tiles=Tiles(size=64, mpp=1.0, most=1000, **options)).array.shape[1])

    assert count(overlap=32) > 2.5 * count()
    assert count(tissue=0.95) < count(tissue=0.3) <= count(tissue=0.0)


def test_resolutions_that_cannot_be_met_are_said(picture: np.ndarray, tmp_path: Path) -> None:
    silent = made.generic(tmp_path / "a.tif", picture, mpp=None)
    volume = read_files([silent], tiles=Tiles(size=64, downsample=2.0))
    assert volume.warnings == (
        "the slide does not say its resolution",
        "tiles were taken at 2 times its pixels instead of 2 micrometres a pixel",
    )
    assert "mpp" not in volume.attributes
    printed = made.generic(tmp_path / "b.tif", picture, mpp=352.8)
    assert "no microscope's" in read_files([printed], tiles=Tiles(size=64)).warnings[0]
    coarse = read_files([made.generic(tmp_path / "c.tif", picture, mpp=4.0)], tiles=Tiles(size=128))
    assert coarse.warnings == ("the slide has 4 micrometres a pixel, coarser than the recipe's 2: enlarged",)


def test_slides_are_refused_with_the_way_out(picture: np.ndarray, tmp_path: Path) -> None:
    path = made.generic(tmp_path / "a.tif", picture)
    with pytest.raises(UnsuitableScanError, match="nothing of tiles; add 'tiles"):
        read(path)
    with pytest.raises(UnsuitableScanError, match=r"No tile.*99% tissue, the fullest \d+%"):
        read_files([path], tiles=Tiles(size=1024, mpp=0.5, tissue=0.99))
    glass = made.generic(tmp_path / "b.tif", np.full((1536, 2048, 3), 243, np.uint8))
    with pytest.raises(UnsuitableScanError, match="No tissue was found"):
        read_files([glass], tiles=Tiles())
    with pytest.raises(LimitError, match=r"lower tiles\.most"):
        read_files([path], tiles=Tiles(most=1024, size=1024))
    with pytest.raises(LimitError, match="bytes long"):
        read_files([path], Limits(max_slide_bytes=1000), tiles=Tiles())
    with pytest.raises(ScanError, match="2 slide volumes"):
        read_files([path, glass], tiles=Tiles())
    with pytest.raises(ScanError, match="8-bit RGB"):
        read_files([made.generic(tmp_path / "c.tif", picture.astype(np.uint16), compression="deflate")], tiles=Tiles())


def test_damaged_slides_are_refused_in_a_sentence(picture: np.ndarray, tmp_path: Path) -> None:
    small = np.ascontiguousarray(picture[:512, :640])
    whole = made.generic(tmp_path / "a.tif", small, tile=(64, 64)).read_bytes()
    g = np.random.default_rng(0)
    outcomes, told = set(), []
    for number in range(45):
        data = bytearray(whole)
        if number % 3 == 0:
            data = data[: int(g.integers(8, len(data)))]
        else:
            where = g.integers(0, 4000 if number % 3 == 1 else len(data), 1 + number % 7)
            data[:] = bytes(int(g.integers(256)) if i in where else b for i, b in enumerate(data))
        path = tmp_path / "b.tif"
        path.write_bytes(bytes(data))
        try:
            read_files([path], Limits(max_voxels=1 << 22), tiles=Tiles(size=32, most=8))
            outcomes.add("read")
        except InsulaError as error:
            told.append(str(error))
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
    assert not [text for text in told if "\n" in text or str(tmp_path) in text]


def test_tiles_stored_too_large_to_decode_are_refused_before(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        options = {"dtype": np.uint8, "compression": "deflate", "photometric": "rgb", "metadata": None}
        writer.write(iter([b"x"]), shape=(32768, 32768, 3), tile=(32768, 32768), **options)
        writer.write(iter([b"x"]), shape=(8192, 8192, 3), tile=(8192, 8192), subfiletype=1, **options)
    with pytest.raises(LimitError, match="stored in pieces of"):
        read_files([path], tiles=Tiles())


def test_an_ordinary_picture_is_one_tile_and_a_folder_of_them_a_bag(picture: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(picture[:600, :900]).save(tmp_path / "10.png")
    Image.fromarray(picture[:400, :300]).resize((150, 200)).save(tmp_path / "2.jpg")
    Image.new("L", (50, 50), 100).save(tmp_path / "30.png")
    volume = read(tmp_path, tiles=Tiles(size=64))
    assert volume.array.shape == (3, 3, 64, 64)
    assert (volume.units, volume.full_scale) == ("RGB", 255.0)
    assert volume.warnings == ("ordinary pictures: each is one tile, whatever its resolution",)
    assert (volume.array[:, 2] == 100).all()  # 2, 10, 30 in this order
    tall, wide = volume.array[:, 0], volume.array[:, 1]
    assert np.abs(tall[:, :, :8] - 243).max() < 12  # padded at the sides with its border, which is glass
    assert np.abs(wide[:, :10] - 243).max() < 12
    alone = read_files([tmp_path / "10.png"], tiles=Tiles(size=64))
    assert (alone.array[:, 0] == wide).all()
    Image.fromarray(np.full((40, 40), 3000, np.uint16)).save(tmp_path / "40.png")
    with pytest.raises(ScanError, match="mix bit depths"):
        read(tmp_path, tiles=Tiles(size=64))


def test_an_overview_is_the_whole_slide_in_small(picture: np.ndarray, tmp_path: Path) -> None:
    path = made.generic(tmp_path / "a.tif", picture, many=1, compression="deflate", tile=(512, 512))
    volume = slides.overview(path, side=128)
    assert volume.array.shape == (3, 1, 96, 128)
    want = cv2.resize(picture, (128, 96), interpolation=cv2.INTER_AREA)
    assert np.abs(np.moveaxis(volume.array[:, 0], 0, 2) - want).max() <= 1
    stripes = tmp_path / "b.tif"
    tifffile.imwrite(stripes, picture, rowsperstrip=7, compression="deflate", photometric="rgb")
    assert (slides.overview(stripes, side=128).array == volume.array).all()
    paged = read_files([made.generic(tmp_path / "c.tif", picture)], tiles="overview")
    assert paged.array.shape == (3, 1, 768, 1024)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("inputs.slide.tiles.mpp=0", "inputs.slide.tiles.mpp"),
        ("inputs.slide.tiles.overlap=200", "more than half of size 224"),
        ("inputs.slide.tiles.tissue=2", "inputs.slide.tiles.tissue"),
        ("inputs.slide.tiles.pixels=3", "unknown key 'inputs.slide.tiles.pixels'"),
        ("inputs.slide.modality=CT", "tiles are for slides"),
    ],
)
def test_the_tiles_of_a_recipe_are_checked_when_it_is_read(override: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        recipes.load("clot-origin", (override,))


def _peak(path: Path, size: int) -> tuple[float, int]:
    """GB of memory at its height, and tiles, of a process that reads a slide."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom insula.core.recipe import Tiles\n"
        "from insula.scans.read import read_files\n"
        f"v = read_files([Path(sys.argv[1])], tiles=Tiles(size={size}))\n"
        # not ru_maxrss: that one remembers the parent's memory too
        "status = Path('/proc/self/status').read_text().splitlines()\n"
        "peak = next(int(line.split()[1]) for line in status if line.startswith('VmHWM'))\n"
        "print(peak / 1e6, v.array.shape[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    memory, tiles = done.stdout.split()
    return float(memory), int(tiles)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_slide_of_ten_gigapixels_is_read_in_less_than_two_gigabytes(tmp_path: Path) -> None:
    memory, tiles = _peak(made.giant(tmp_path / "a.tif", 100_000), 224)
    assert tiles == 64
    assert memory < 2.0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_large_slide_without_smaller_levels_is_read_in_pieces(tmp_path: Path) -> None:
    memory, tiles = _peak(made.giant(tmp_path / "a.tif", 30_000, pyramid=False), 224)
    assert tiles > 16
    assert memory < 1.0  # 2.7 GB of pixels
