import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from br2net.builder.comparison import packaged_photograph
from tests.live.pipeline.test_focus import disc_blur

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "focus_sweep.py"
FRAMES = 21


@pytest.mark.slow
@pytest.mark.parametrize("sharp", [6, 0])
def test_the_sweep_finds_the_frame_that_is_in_focus(tmp_path: Path, sharp: int) -> None:
    photograph = cv2.resize(packaged_photograph(), (320, 256), interpolation=cv2.INTER_AREA)
    video = tmp_path / "sweep.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 256))
    for index in range(FRAMES):
        writer.write(photograph if index == sharp else disc_blur(photograph, 0.8 * abs(index - sharp)))
    writer.release()
    chart = tmp_path / "chart.png"
    arguments = ["--lens", "0", "200", "--region", "0.2,0.2,0.6,0.6", "--chart", str(chart)]
    output = subprocess.run(
        [sys.executable, str(EXAMPLE), str(video), *arguments], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    match = re.search(r"frame ([\d.]+) of 21.*lens position ([\d.]+)", output, re.DOTALL)
    assert match is not None, output
    assert float(match[1]) == pytest.approx(sharp, abs=0.2)
    assert float(match[2]) == pytest.approx(10.0 * sharp, abs=2.0)
    assert cv2.imread(str(chart)) is not None
