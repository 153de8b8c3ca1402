// What is drawn over the 3D view: letters at the edges, the axes of the body, the crosshair's point, measurements.
import { Vector3 } from "three";
import { drawRuler } from "./ruler.js";
import { LETTERS, distance } from "./space.js";

const SLANT = 0.38; // share of a second direction that is worth a letter

/** Letters of a world direction, the main one first: "R", or "RA" half way to the front. */
export function lettersOf(direction) {
  return direction
    .map((value, axis) => [Math.abs(value), LETTERS[axis][value > 0 ? 1 : 0]])
    .filter(([size]) => size > SLANT)
    .sort((one, other) => other[0] - one[0])
    .map(([, letter]) => letter)
    .join("");
}

export class Marks {
  constructor(canvas, view) {
    Object.assign(this, { canvas, view });
  }

  /** World directions to the right and up on the screen. */
  get screen() {
    const matrix = this.view.camera.matrixWorld;
    return [0, 1, 2].map((column) => new Vector3().setFromMatrixColumn(matrix, column).toArray());
  }

  /** At the left, right, top and bottom. */
  get letters() {
    const [right, up] = this.screen;
    const back = (direction) => direction.map((value) => -value);
    return [lettersOf(back(right)), lettersOf(right), lettersOf(up), lettersOf(back(up))];
  }

  later() {
    if (!this.waiting) requestAnimationFrame(() => this.waiting && this.draw());
    this.waiting = true;
  }

  draw() {
    this.waiting = false;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    if (!this.view.state.explode) {
      this.crosshair(context);
      this.rulers(context);
    }
    const [left, right, top, bottom] = this.letters;
    const low = height - (width < 500 ? 64 : 54);
    for (const [text, x, y] of [[left, 18, height / 2], [right, width - 18, height / 2], [top, width / 2, 52], [bottom, width / 2, low]]) {
      this.word(context, text, x, y, 17);
    }
    const half = width < 500 ? 20 : 30; // CSS pixels of half an axis
    this.axes(context, half + 16, low - half + 4, half);
  }

  word(context, text, x, y, size, colour = "#f4f6f8") {
    context.font = `600 ${size}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 3;
    context.strokeStyle = "rgba(12, 15, 20, 0.85)";
    context.strokeText(text, x, y);
    context.fillStyle = colour;
    context.fillText(text, x, y);
  }

  axes(context, x, y, half) {
    const [right, up, towards] = this.screen;
    const ends = LETTERS.flatMap((pair, axis) => [-1, 1].map((sign, k) => ({
      letter: pair[k], dx: sign * right[axis] * half, dy: -sign * up[axis] * half, depth: sign * towards[axis],
    })));
    ends.sort((one, other) => one.depth - other.depth);
    for (const { letter, dx, dy, depth } of ends) {
      context.globalAlpha = depth < -0.35 ? 0.35 : 1;
      context.strokeStyle = "#8d99a8";
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x + 0.7 * dx, y + 0.7 * dy);
      context.stroke();
      this.word(context, letter, x + dx, y + dy, 11, "#cfd6de");
    }
    context.globalAlpha = 1;
  }

  crosshair(context) {
    const [x, y] = this.view.pixelOf(this.view.state.place);
    for (const [colour, width] of [["rgba(0, 0, 0, 0.7)", 4], ["#ffffff", 1.6]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: width });
      context.beginPath();
      context.arc(x, y, 6, 0, 2 * Math.PI);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 6 * dx, y + 6 * dy);
        context.lineTo(x + 12 * dx, y + 12 * dy);
      }
      context.stroke();
    }
  }

  rulers(context) {
    for (const { a, b } of this.view.state.rulers) {
      drawRuler(context, this.view.pixelOf(a), b && this.view.pixelOf(b), b && distance(a, b));
    }
  }
}
