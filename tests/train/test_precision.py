import pytest
import torch

from insula.core.errors import TrainingError
from insula.train.precision import choose, here

pytestmark = pytest.mark.train


@pytest.mark.parametrize(
    ("wanted", "cuda", "bf16", "name", "word"),
    [
        ("auto", True, True, "bf16-mixed", "GPU has it"),
        ("auto", True, False, "16-mixed", "no bfloat16"),
        ("auto", False, False, "32-true", "CPU"),
        ("fp32", True, True, "32-true", "recipe asks"),
        ("fp16", True, True, "16-mixed", "recipe asks"),
        ("bf16", True, True, "bf16-mixed", "recipe asks"),
        ("bf16", False, False, "bf16-mixed", "slower"),
    ],
)
def test_each_device_has_its_format_and_the_log_says_why(
    wanted: str, cuda: bool, bf16: bool, name: str, word: str
) -> None:
    found = choose(wanted, cuda, bf16)  # type: ignore[arg-type]
    assert found.name == name
    assert word in found.reason


def test_a_format_that_the_device_lacks_is_refused() -> None:
    with pytest.raises(TrainingError, match="fp16 needs a CUDA GPU"):
        choose("fp16", False, False)
    with pytest.raises(TrainingError, match="bf16 needs a newer GPU"):
        choose("bf16", True, False)


def test_the_cpu_of_any_machine_trains_in_single_precision() -> None:
    assert here("auto", "cpu").name == "32-true"
    if not torch.cuda.is_available():
        assert here("auto").name == "32-true"
