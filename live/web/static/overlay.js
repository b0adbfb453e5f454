// Blends the map over the frame: what the sliders say is done here, in the browser, for this viewer alone.

const BLUE = [30, 80, 235]; // the tint of BlurMap.overlay
const AMBER = [255, 170, 20];

/** Read a packet: two little-endian uint32 (sizes of record and frame), record as JSON, frame as JPEG, map as JPEG. */
export async function readPacket(buffer) {
  const sizes = new DataView(buffer);
  const record = 8 + sizes.getUint32(0, true);
  const frame = record + sizes.getUint32(4, true);
  const decode = (from, to) =>
    createImageBitmap(new Blob([buffer.slice(from, to)], { type: "image/jpeg" }), { colorSpaceConversion: "none" });
  const [picture, map] = await Promise.all([decode(record, frame), decode(frame)]);
  return { record: JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, record - 8))), picture, map };
}

/** The picture on a canvas, with the newest packet kept, so that a slider moved shows at once. */
export class Overlay {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.small = document.createElement("canvas");
    this.smallContext = this.small.getContext("2d", { willReadFrequently: true });
    this.settings = { show: "blurred", opacity: 0.6, threshold: 0.3 };
    this.picture = null;
    this.levels = null;
  }

  /** Take a packet's pictures; they are this object's from here on. */
  take(picture, map) {
    this.picture?.close();
    this.picture = picture;
    if (this.small.width !== map.width || this.small.height !== map.height) {
      this.small.width = map.width;
      this.small.height = map.height;
    }
    this.smallContext.globalCompositeOperation = "copy";
    this.smallContext.drawImage(map, 0, 0);
    this.levels = this.smallContext.getImageData(0, 0, map.width, map.height);
    this.tint = new ImageData(map.width, map.height);
    map.close();
    this.draw();
  }

  set(settings) {
    Object.assign(this.settings, settings);
    if (this.picture) this.draw();
  }

  draw() {
    const { canvas, context, picture } = this;
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width;
      canvas.height = picture.height;
    }
    context.drawImage(picture, 0, 0);
    if (this.settings.show === "off") return;
    this.paintTint();
    this.smallContext.putImageData(this.tint, 0, 0);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.small, 0, 0, canvas.width, canvas.height);
  }

  /** Fill `tint` from the levels: colour and opacity of every pixel of the map. */
  paintTint() {
    const { show, opacity, threshold } = this.settings;
    const from = this.levels.data;
    const to = this.tint.data;
    const table = opacities(show, opacity, threshold);
    const [red, green, blue] = show === "sharp" ? AMBER : BLUE;
    for (let at = 0; at < from.length; at += 4) {
      const level = from[at];
      to[at] = show === "map" ? level : red;
      to[at + 1] = show === "map" ? level : green;
      to[at + 2] = show === "map" ? level : blue;
      to[at + 3] = table[level];
    }
  }
}

/** Opacity, 0 to 255, for each of the 256 levels of a map. */
function opacities(show, opacity, threshold) {
  const table = new Uint8ClampedArray(256);
  for (let level = 0; level < 256; level++) {
    const blur = level / 255;
    if (show === "map") table[level] = 255 * opacity;
    else if (show === "sharp") table[level] = blur < threshold ? 255 * opacity * (1 - blur) : 0;
    else table[level] = blur >= threshold ? 255 * opacity * blur : 0;
  }
  return table;
}
