// The blurred fraction over time, drawn by uPlot: half-second means as the server keeps them, then those of new frames.

const STEP_S = 0.5;
const KEPT_S = 900;
const GAP_S = 4;
const HEIGHT = 160;

export class Chart {
  constructor(parent, tip) {
    this.parent = parent;
    this.tip = tip;
    this.points = [];
    this.marks = [];
    this.thresholds = [];
    this.span = 60;
    this.running = null;
    const style = getComputedStyle(parent);
    const colour = (name) => () => style.getPropertyValue(`--${name}`).trim();
    const axis = { font: `11px ${style.fontFamily}`, stroke: colour("soft"), ticks: { show: false } };
    this.plot = new uPlot({
      width: parent.clientWidth || 300,
      height: HEIGHT,
      padding: [10, 6, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 8, width: 0, fill: colour("accent") } },
      scales: { x: { range: () => [this.end() - this.span, this.end()] }, y: { range: [0, 1] } },
      axes: [
        { ...axis, size: 22, gap: 4, space: 80, grid: { show: false }, values: labels },
        { ...axis, size: 44, gap: 6, grid: { stroke: colour("line"), width: 1 }, splits: () => [0, 0.25, 0.5, 0.75, 1], values: () => ["0 %", "", "50 %", "", "100 %"] },
      ],
      series: [{}, { width: 2, stroke: colour("accent"), fill: colour("accent-soft"), points: { show: false } }],
      hooks: {
        drawAxes: [() => this.drawMarks(colour("bad-soft")())],
        draw: [() => this.drawThresholds(colour("bad")())],
        setCursor: [() => this.showTip()],
      },
    }, [[], []], parent);
    const { over } = this.plot;
    over.addEventListener("pointermove", ({ offsetX, offsetY }) => this.plot.setCursor({ left: offsetX, top: offsetY }));
    over.addEventListener("pointerleave", () => this.plot.setCursor({ left: -10, top: -10 }));
    new ResizeObserver(() => this.plot.setSize({ width: parent.clientWidth, height: HEIGHT })).observe(parent);
  }

  /** Begin anew with what the server kept. */
  reset(timestamps, fractions) {
    this.points = [];
    this.running = null;
    timestamps.forEach((time, index) => this.append([time, fractions[index]]));
    this.draw();
  }

  /** Take one frame's fraction. */
  add(time, fraction) {
    const run = this.running ??= { from: time, sum: 0, count: 0 };
    run.sum += fraction;
    run.count += 1;
    run.last = [time, run.sum / run.count];
    if (time - run.from >= STEP_S || time < run.from) {
      this.append(run.last);
      this.running = null;
    }
    this.draw();
  }

  append(point) {
    while (this.points.length && this.points.at(-1)[0] >= point[0]) this.points.pop(); // the clock was set back
    this.points.push(point);
    while (this.points[0][0] < point[0] - KEPT_S) this.points.shift();
  }

  /** Times at which an alert of the whole frame was on, as [from, to or null]; and the thresholds to draw. */
  mark(marks, thresholds) {
    this.marks = marks;
    this.thresholds = thresholds;
    this.draw();
  }

  end() {
    return (this.running?.last ?? this.points.at(-1))?.[0] ?? Date.now() / 1000;
  }

  draw() {
    const times = [];
    const fractions = [];
    for (const [time, fraction] of this.running ? [...this.points, this.running.last] : this.points) {
      if (time - times.at(-1) > GAP_S) {
        times.push(time - STEP_S);
        fractions.push(null);
      }
      times.push(time);
      fractions.push(fraction);
    }
    this.plot.setData([times, fractions]);
  }

  drawMarks(colour) {
    const { ctx, bbox } = this.plot;
    const right = bbox.left + bbox.width;
    ctx.fillStyle = colour;
    for (const [from, to] of this.marks) {
      const [a, b] = [from, to ?? this.end()].map((time) => Math.min(right, Math.max(bbox.left, this.plot.valToPos(time, "x", true))));
      ctx.fillRect(a, bbox.top, b - a, bbox.height);
    }
  }

  drawThresholds(colour) {
    const { ctx, bbox } = this.plot;
    ctx.save();
    ctx.strokeStyle = colour;
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    for (const fraction of this.thresholds) {
      const y = this.plot.valToPos(fraction, "y", true);
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
    }
    ctx.stroke();
    ctx.restore();
  }

  showTip() {
    const { cursor: { idx, left }, data: [times, fractions], over } = this.plot;
    const fraction = left >= 0 ? fractions[idx] : null;
    this.tip.hidden = fraction == null;
    if (this.tip.hidden) return;
    this.tip.textContent = `${clock(times[idx])} · ${(100 * fraction).toFixed(0)} %`;
    const x = over.offsetLeft + this.plot.valToPos(times[idx], "x");
    this.tip.style.left = `${Math.min(Math.max(x, over.offsetLeft + 20), this.parent.clientWidth - 56)}px`;
  }
}

/** Clock times of the ticks; none for those too near an edge for a whole label. */
function labels(plot, times) {
  const inside = (x) => x > 0 && x < plot.over.clientWidth - 22;
  return times.map((time) => (inside(plot.valToPos(time, "x")) ? clock(time) : ""));
}

function clock(time) {
  return new Date(time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}
