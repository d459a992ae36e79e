import numpy as np
import pytest

from insula.core.errors import MissingPartError, UnsuitableScanError
from insula.core.types import Volume
from insula.prep import bias
from insula.prep.bias import bias_field


def made() -> tuple[Volume, np.ndarray, np.ndarray]:
    """Two tissues in a disc under a field that rises from left to right; the field and the disc."""
    g = np.random.default_rng(0)
    _, y, x = np.mgrid[:8, :64, :64]
    disc = (y - 32) ** 2 + (x - 32) ** 2 < 26**2
    tissue = np.where((x // 8 + y // 8) % 2, 400.0, 600.0) * disc
    field = np.exp(0.4 * (x - 32) / 32)
    array = (tissue * field + g.normal(0, 4, tissue.shape)) * disc
    return Volume(array[None].astype(np.float32), np.diag([3.0, 3, 6, 1]), "a.u.", "MR", "made"), field, disc


def test_the_field_is_found_and_divided_out_alike_each_time() -> None:
    pytest.importorskip("SimpleITK", reason="the extra `bias` is not installed")
    scan, field, disc = made()
    out = bias_field(scan, shrink=2, iterations=8)
    found = scan.array[0][disc] / out.array[0][disc]
    assert np.corrcoef(np.log(found), np.log(field[disc]))[0, 1] > 0.95
    sides = [
        out.array[0][disc & half].mean() for half in (np.mgrid[:8, :64, :64][2] < 24, np.mgrid[:8, :64, :64][2] > 40)
    ]
    before = [
        scan.array[0][disc & half].mean() for half in (np.mgrid[:8, :64, :64][2] < 24, np.mgrid[:8, :64, :64][2] > 40)
    ]
    assert before[1] / before[0] > 1.4
    assert sides[1] / sides[0] == pytest.approx(1.0, abs=0.1)
    np.testing.assert_array_equal(bias_field(scan, shrink=2, iterations=8).array, out.array)


def test_ct_is_refused_and_a_missing_part_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, _, _ = made()
    with pytest.raises(UnsuitableScanError, match="bias_field"):
        bias_field(Volume(scan.array, scan.affine, "HU", "CT", "made"))

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(bias, "import_module", missing)
    with pytest.raises(MissingPartError, match=r"insula\[bias\]"):
        bias_field(scan)
