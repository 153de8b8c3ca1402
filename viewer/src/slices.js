// A slice through the crosshair across one axis of the image, seen as radiologists do: the patient's right, or front, at
// the left of the picture. Everything is drawn on one canvas: grey values, labels, crosshair, measurements, letters.
import { gestures } from "./gestures.js";
import { drawLetters } from "./letters.js";
import { layer, outlines } from "./outlines.js";
import { drawRuler } from "./ruler.js";
import { LETTERS, distance, indexAt, valueAt } from "./space.js";

export const PLANES = [
  { name: "axial", title: "Axial", axis: 2, across: 0, down: 1, flip: 1, colour: "#ff6b6b" },
  { name: "coronal", title: "Coronal", axis: 1, across: 0, down: 2, flip: -1, colour: "#5ad17a" },
  { name: "sagittal", title: "Sagittal", axis: 0, across: 1, down: 2, flip: -1, colour: "#f5c542" },
];
const LINE = 1.4; // CSS pixels of an outline
const LARGEST_ZOOM = 12;

export class SliceView {
  constructor(plane, state, volumes, hover) {
    Object.assign(this, { plane, state, volumes, hover, zoom: 1, shift: [0, 0], pixels: document.createElement("canvas") });
    this.element = document.createElement("figure");
    this.element.className = "view slice";
    this.element.dataset.plane = plane.name;
    this.element.tabIndex = 0;
    this.element.style.setProperty("--plane", plane.colour);
    this.element.innerHTML = `<canvas></canvas><figcaption>${plane.title}</figcaption>
      <button class="enlarge" data-view="${plane.name}" title="Larger or back" aria-label="Enlarge the ${plane.name} view">
      </button><input class="through" type="range" aria-label="${plane.title} slice">`;
    [this.canvas, this.slider] = [this.element.querySelector("canvas"), this.element.querySelector("input")];
    const { lower, upper } = state.frame;
    this.thickness = (volumes.image ?? volumes.segments).step[plane.axis];
    Object.assign(this.slider, { min: lower[plane.axis], max: upper[plane.axis], step: this.thickness / 2 });
    this.slider.addEventListener("input", () => this.moveTo(Number(this.slider.value)));
    gestures(this.canvas, this);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    state.on("look place window rulers mode", () => this.later());
  }

  reset() {
    [this.zoom, this.shift] = [1, [0, 0]];
    this.later();
  }

  /** CSS pixels for one mm that show the whole frame, times the zoom. */
  get scale() {
    const { across, down } = this.plane;
    const { lower, upper } = this.state.frame;
    const fit = Math.min(this.width / (upper[across] - lower[across]), this.height / (upper[down] - lower[down]));
    return 0.96 * fit * this.zoom;
  }

  /** CSS pixel of a place in the frame, and back (on the slice). */
  pixelOf(place) {
    const { across, down, flip } = this.plane;
    const { lower, upper } = this.state.frame;
    const middle = (axis) => (lower[axis] + upper[axis]) / 2;
    return [
      this.width / 2 + this.scale * (place[across] - middle(across)) + this.shift[0],
      this.height / 2 + this.scale * flip * (place[down] - middle(down)) + this.shift[1],
    ];
  }

  placeOf([x, y]) {
    const { across, down, flip } = this.plane;
    const { lower, upper } = this.state.frame;
    const place = this.here();
    place[across] = (lower[across] + upper[across]) / 2 + (x - this.width / 2 - this.shift[0]) / this.scale;
    place[down] = (lower[down] + upper[down]) / 2 + (flip * (y - this.height / 2 - this.shift[1])) / this.scale;
    return place;
  }

  /** The crosshair in the frame. */
  here() {
    return this.state.frame.fromWorld(this.state.place);
  }

  moveTo(value) {
    const place = this.here();
    place[this.plane.axis] = value;
    this.state.goTo(this.state.frame.toWorld(place));
  }

  // what the gestures call
  step(slices) {
    this.moveTo(this.here()[this.plane.axis] + slices * this.thickness);
  }

  point(pixel, first) {
    const { state } = this;
    const point = state.frame.toWorld(state.frame.clamp(this.placeOf(pixel)));
    if (!state.measuring) state.goTo(point);
    else if (first) state.mark(point);
  }

  pan(dx, dy) {
    this.shift = [this.shift[0] + dx, this.shift[1] + dy];
    this.later();
  }

  zoomAt(factor, [x, y]) {
    const before = this.zoom;
    this.zoom = Math.min(LARGEST_ZOOM, Math.max(1, this.zoom * factor));
    const real = this.zoom / before;
    const [cx, cy] = [x - this.width / 2, y - this.height / 2];
    this.shift = this.zoom === 1 ? [0, 0] : [cx - real * (cx - this.shift[0]), cy - real * (cy - this.shift[1])];
    this.later();
  }

  level(dx, dy) {
    const { window } = this.state;
    if (!window) return;
    const [middle, width] = [(window.low + window.high) / 2, window.high - window.low];
    const unit = width / 250;
    const wide = Math.max(unit, width + 2 * dx * unit);
    this.state.setWindow({ name: "", low: middle + dy * unit - wide / 2, high: middle + dy * unit + wide / 2 });
  }

  over(pixel) {
    if (!pixel) return this.hover(null);
    const place = this.placeOf(pixel);
    const names = this.structuresAt(place).map((one) => one.name);
    const grey = this.greyAt(place);
    this.hover([...names, ...(grey === null ? [] : [grey])].join(" \u00b7 "), names.length > 0);
  }

  structuresAt(place) {
    return ["extras", "segments"].flatMap((name) => {
      const value = this.volumes[name] ? valueAt(this.volumes[name], place) : 0;
      const one = value ? this.volumes[name].structures[value] : null;
      return one?.visible ? [one] : [];
    });
  }

  greyAt(place) {
    const { image } = this.volumes;
    if (!image || [0, 1, 2].some((axis) => indexAt(image, axis, place[axis]) < 0)) return null;
    return `${Math.round(image.values[valueAt(image, place)])}${image.unit ? ` ${image.unit}` : ""}`;
  }

  later() {
    if (!this.waiting) requestAnimationFrame(() => this.waiting && this.draw());
    this.waiting = true;
  }

  draw() {
    this.waiting = false;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    [this.width, this.height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (!this.width || !this.height) return;
    const size = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    if (this.canvas.width !== size[0] || this.canvas.height !== size[1]) [this.canvas.width, this.canvas.height] = size;
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    this.slider.value = this.here()[this.plane.axis];
    this.drawImage(context);
    for (const name of ["segments", "extras"]) this.drawLabels(context, this.volumes[name], ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.drawCrosshair(context);
    this.drawRulers(context);
    drawLetters(context, this.width, this.height, this.letters);
  }

  /** Transform to a volume's pixels of this slice, whose centres lie at whole numbers. */
  toPixels(context, volume, ratio) {
    const { across, down, flip } = this.plane;
    const first = this.pixelOf([0, 1, 2].map((axis) => volume.first[axis]));
    const [a, d] = [ratio * this.scale * volume.step[across], ratio * this.scale * volume.step[down] * flip];
    context.setTransform(a, 0, 0, d, ratio * first[0], ratio * first[1]);
  }

  /** The slice's grey values as a canvas of the volume's pixels; null where there are none. */
  greys() {
    const { image } = this.volumes;
    const { window } = this.state;
    const index = image ? indexAt(image, this.plane.axis, this.here()[this.plane.axis]) : -1;
    if (index < 0) return null;
    const key = `${index} ${window.low} ${window.high}`;
    if (this.greyKey === key) return this.pixels;
    const grey = new Uint32Array(image.values.length);
    image.values.forEach((value, k) => {
      const level = Math.round((255 * (value - window.low)) / (window.high - window.low));
      grey[k] = 0xff000000 | (Math.min(255, Math.max(0, level)) * 0x010101);
    });
    const { values, width, height } = layer(image, this.plane.axis, index);
    const data = new ImageData(width, height);
    const whole = new Uint32Array(data.data.buffer);
    for (let k = 0; k < whole.length; k++) whole[k] = grey[values[k]];
    Object.assign(this.pixels, { width, height });
    this.pixels.getContext("2d").putImageData(data, 0, 0);
    this.greyKey = key;
    return this.pixels;
  }

  drawImage(context) {
    const greys = this.greys();
    if (!greys) return;
    this.toPixels(context, this.volumes.image, this.canvas.width / this.width);
    context.imageSmoothingQuality = "high";
    context.drawImage(greys, -0.5, -0.5);
  }

  drawLabels(context, volume, ratio) {
    const index = volume ? indexAt(volume, this.plane.axis, this.here()[this.plane.axis]) : -1;
    if (index < 0) return;
    this.toPixels(context, volume, ratio);
    if (this.state.fill) this.drawFill(context, volume, index);
    const { a, d } = context.getTransform();
    const inset = [Math.abs(a), Math.abs(d)].map((pixels) => Math.min(0.4, (LINE * ratio) / 2 / pixels));
    for (const [value, path] of this.pathsOf(volume, index, inset)) {
      const one = volume.structures[value];
      if (!one?.visible) continue;
      context.save();
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      const [e, f] = this.pixelOf([0, 1, 2].map((axis) => volume.first[axis]));
      const placed = new Path2D();
      placed.addPath(path, new DOMMatrix([a / ratio, 0, 0, d / ratio, e, f]));
      context.strokeStyle = one.outline;
      context.lineWidth = one.id === this.state.selected ? 2.2 * LINE : LINE;
      context.lineJoin = context.lineCap = "square";
      context.stroke(placed);
      context.restore();
    }
  }

  pathsOf(volume, index, inset) {
    const key = `${index} ${inset.map((part) => part.toFixed(3))}`;
    volume.paths ??= new Map();
    const known = volume.paths.get(this.plane.name);
    if (known?.key === key) return known.paths;
    const paths = outlines(layer(volume, this.plane.axis, index), inset);
    volume.paths.set(this.plane.name, { key, paths });
    return paths;
  }

  drawFill(context, volume, index) {
    const { values, width, height } = layer(volume, this.plane.axis, index);
    const data = new ImageData(width, height);
    const whole = new Uint32Array(data.data.buffer);
    const colours = volume.structures.map((one) => (one?.visible ? one.abgr : 0));
    for (let k = 0; k < whole.length; k++) whole[k] = colours[values[k]] ?? 0;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    canvas.getContext("2d").putImageData(data, 0, 0);
    context.save();
    context.globalAlpha = this.state.fill;
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, -0.5, -0.5);
    context.restore();
  }

  drawCrosshair(context) {
    const [x, y] = this.pixelOf(this.here());
    const others = PLANES.filter((plane) => plane.axis !== this.plane.axis);
    const colourOf = (axis) => others.find((plane) => plane.axis === axis).colour;
    const gap = 7;
    context.lineWidth = 1;
    context.globalAlpha = 0.75;
    const line = (colour, ...parts) => {
      context.strokeStyle = colour;
      context.beginPath();
      for (const [x0, y0, x1, y1] of parts) { context.moveTo(x0, y0); context.lineTo(x1, y1); }
      context.stroke();
    };
    line(colourOf(this.plane.across), [x, 0, x, y - gap], [x, y + gap, x, this.height]);
    line(colourOf(this.plane.down), [0, y, x - gap, y], [x + gap, y, this.width, y]);
    context.globalAlpha = 1;
  }

  /** Measurements that lie in this slice; of one that leaves it only the end that does not. */
  drawRulers(context) {
    const { frame, rulers } = this.state;
    const near = (point) => Math.abs(frame.fromWorld(point)[this.plane.axis] - this.here()[this.plane.axis]) <= this.thickness;
    for (const { a, b } of rulers) {
      const ends = [a, b].filter((point) => point && near(point)).map((point) => this.pixelOf(frame.fromWorld(point)));
      if (ends.length) drawRuler(context, ends[0], ends[1], ends.length === 2 ? distance(a, b) : null);
    }
  }

  /** Letters of the body's directions at the left, right, top and bottom. */
  get letters() {
    const { across, down, flip } = this.plane;
    return [...LETTERS[across], ...(flip > 0 ? LETTERS[down] : [...LETTERS[down]].reverse())];
  }
}
