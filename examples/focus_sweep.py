"""Finds the best lens position on a video in which the lens moves from one end to the other.

`python examples/focus_sweep.py SWEEP.mp4 [--region 0.4,0.4,0.2,0.2] [--lens 0 1023] [--chart chart.png]`

The score is that of `br2net.live.pipeline.sharpness`, in the region that is to be in focus.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

import br2net
from br2net.errors import Br2netError
from br2net.live.pipeline import Pipeline, PipelineOptions, parse_region
from br2net.runtime.images import write_png

WIDTH, HEIGHT, MARGIN = 800, 320, 40


def peak(scores: list[float]) -> float:
    """Position of the best focus, in frames: the centre of gravity of the peak's upper fifth.

    Noise and frames that look alike move it less than they move the maximum. At either end the peak is cut, and its
    maximum is taken.
    """
    best = int(np.argmax(scores))
    least = 0.8 * scores[best]
    first, last = best, best
    while first > 0 and scores[first - 1] > least:
        first -= 1
    while last < len(scores) - 1 and scores[last + 1] > least:
        last += 1
    if first == 0 or last == len(scores) - 1:
        return float(best)
    return float(np.average(range(first, last + 1), weights=np.array(scores[first : last + 1]) - least))


def draw_chart(path: Path, scores: list[float], fractions: list[float], best: float) -> None:
    """Focus score (blue, of its maximum) and blurred fraction (red) over the frames; the best position is a line."""
    chart = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    across = np.linspace(MARGIN, WIDTH - MARGIN, len(scores))
    for values, colour in ((np.array(scores) / max(scores), (200, 90, 20)), (np.array(fractions), (40, 40, 210))):
        points = np.stack([across, HEIGHT - MARGIN - values * (HEIGHT - 2 * MARGIN)], axis=1)
        cv2.polylines(chart, [points.round().astype(np.int32)], False, colour, 2, cv2.LINE_AA)
    x = round(float(np.interp(best, range(len(scores)), across)))
    cv2.line(chart, (x, MARGIN // 2), (x, HEIGHT - MARGIN), (120, 120, 120), 1)
    cv2.line(chart, (MARGIN, HEIGHT - MARGIN), (WIDTH - MARGIN, HEIGHT - MARGIN), (0, 0, 0), 1)
    legend = f"focus score (blue) and blurred fraction (red) over {len(scores)} frames, best at {best:.1f}"
    cv2.putText(chart, legend, (MARGIN, HEIGHT - 12), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    write_png(path, chart)


def main(options: argparse.Namespace) -> None:
    """What the command line asks for."""
    region = parse_region(f"subject={options.region}")
    with br2net.Detector.load("mobile", streams=2) as detector, br2net.Camera(options.video) as camera:
        pipeline = Pipeline([camera], detector.backend, PipelineOptions(regions=(region,)))
        results = [(item.region_sharpness["subject"], item.regions["subject"]) for item in pipeline.results()]
    scores, fractions = [score for score, _ in results], [fraction for _, fraction in results]
    best = peak(scores)
    print(f"best focus at frame {best:.2f} of {len(scores)}, {fractions[round(best)]:.0%} of the subject blurred there")
    if options.lens:
        first, last = options.lens
        print(f"lens position {first + (last - first) * best / max(1, len(scores) - 1):.1f}")
    if options.chart:
        draw_chart(options.chart, scores, fractions, best)


parser = argparse.ArgumentParser(description="Finds the best lens position on a focal sweep.")
parser.add_argument("video")
parser.add_argument("--region", default="0,0,1,1", metavar="X,Y,W,H", help="what is to be in focus")
parser.add_argument("--lens", nargs=2, type=float, metavar=("FIRST", "LAST"), help="lens positions of both ends")
parser.add_argument("--chart", type=Path, metavar="PNG")
try:
    main(parser.parse_args())
except Br2netError as error:
    parser.error(str(error))
