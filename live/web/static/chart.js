// The blurred fraction over time: half-second means as the server keeps them, then those of the frames that arrive.

const STEP_S = 0.5;
const KEPT_S = 900;
const GAP_S = 4;
const LEFT = 44;
const RIGHT = 6;
const TOP = 10;
const BOTTOM = 22;

export class Chart {
  constructor(canvas, tip) {
    this.canvas = canvas;
    this.tip = tip;
    this.points = [];
    this.marks = [];
    this.lines = [];
    this.span = 60;
    this.running = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerdown", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => { this.hover = null; this.draw(); });
  }

  /** Begin anew with what the server kept. */
  reset(timestamps, fractions) {
    this.points = timestamps.map((time, index) => [time, fractions[index]]);
    this.running = null;
    this.draw();
  }

  /** Take one frame's fraction. */
  add(time, fraction) {
    const run = this.running ??= { from: time, sum: 0, count: 0 };
    run.sum += fraction;
    run.count += 1;
    run.last = [time, run.sum / run.count];
    if (time - run.from >= STEP_S || time < run.from) {
      this.points.push(run.last);
      this.running = null;
      while (this.points.length && this.points[0][0] < time - KEPT_S) this.points.shift();
    }
    this.draw();
  }

  /** Times at which an alert of the whole frame was on, as [from, to or null]; and the thresholds to draw. */
  mark(marks, lines) {
    this.marks = marks;
    this.lines = lines;
    this.draw();
  }

  point(event) {
    this.hover = event.offsetX;
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width) return;
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const points = this.running ? [...this.points, this.running.last] : this.points;
    const end = points.length ? points.at(-1)[0] : Date.now() / 1000;
    const x = (time) => LEFT + (1 - (end - time) / this.span) * (width - LEFT - RIGHT);
    const y = (fraction) => TOP + (1 - fraction) * (height - TOP - BOTTOM);

    context.font = `11px ${style.fontFamily}`;
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const fraction of [0, 0.25, 0.5, 0.75, 1]) {
      context.strokeStyle = colour("line");
      context.beginPath();
      context.moveTo(LEFT, Math.round(y(fraction)) + 0.5);
      context.lineTo(width - RIGHT, Math.round(y(fraction)) + 0.5);
      context.stroke();
      context.fillStyle = colour("soft");
      if (fraction * 2 % 1 === 0) context.fillText(`${fraction * 100} %`, LEFT - 6, y(fraction));
    }
    context.textBaseline = "alphabetic";
    const steps = width < 420 ? 2 : width < 600 ? 3 : 5;
    for (let step = 0; step <= steps; step++) {
      const time = end - this.span * (1 - step / steps);
      context.textAlign = step === 0 ? "left" : step === steps ? "right" : "center";
      context.fillText(clock(time), x(time), height - 6);
    }

    context.save();
    context.beginPath();
    context.rect(LEFT, 0, width - LEFT - RIGHT, height - BOTTOM + 1);
    context.clip();
    context.fillStyle = colour("bad-soft");
    for (const [from, to] of this.marks) context.fillRect(x(from), TOP, x(to ?? end) - x(from), y(0) - TOP);
    const shown = points.filter(([time]) => time >= end - this.span - 2 * GAP_S);
    for (const piece of pieces(shown)) {
      const path = new Path2D();
      piece.forEach(([time, fraction], index) => path[index ? "lineTo" : "moveTo"](x(time), y(fraction)));
      const area = new Path2D(path);
      area.lineTo(x(piece.at(-1)[0]), y(0));
      area.lineTo(x(piece[0][0]), y(0));
      context.fillStyle = colour("accent-soft");
      context.fill(area);
      context.strokeStyle = colour("accent");
      context.lineWidth = 2;
      context.lineJoin = "round";
      context.stroke(path);
    }
    context.setLineDash([5, 4]);
    context.lineWidth = 1.5;
    context.strokeStyle = colour("bad");
    for (const fraction of this.lines) {
      context.beginPath();
      context.moveTo(LEFT, y(fraction));
      context.lineTo(width - RIGHT, y(fraction));
      context.stroke();
    }
    context.restore();
    this.drawHover(context, points, x, y, end, width, colour);
  }

  drawHover(context, points, x, y, end, width, colour) {
    const time = this.hover == null ? null : end - this.span * (1 - (this.hover - LEFT) / (width - LEFT - RIGHT));
    const visible = points.filter(([at]) => at >= end - this.span);
    this.tip.hidden = time == null || !visible.length;
    if (this.tip.hidden) return;
    const [at, fraction] = visible.reduce((a, b) => (Math.abs(b[0] - time) < Math.abs(a[0] - time) ? b : a));
    context.fillStyle = colour("accent");
    context.beginPath();
    context.arc(x(at), y(fraction), 4, 0, 7);
    context.fill();
    this.tip.textContent = `${clock(at)} · ${(100 * fraction).toFixed(0)} %`;
    this.tip.style.left = `${Math.min(Math.max(x(at), LEFT + 20), width - 56)}px`;
  }
}

function clock(time) {
  return new Date(time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

function pieces(points) {
  const found = [];
  for (const point of points) {
    const last = found.at(-1);
    if (last && point[0] - last.at(-1)[0] <= GAP_S && point[0] >= last.at(-1)[0]) last.push(point);
    else found.push([point]);
  }
  return found;
}
