// Where things are. World: (x, y, z) in LPS, mm. Frame: mm along the image's axes from its first voxel; its axes run to
// the left, to the back and up, as nearly as the image's own do, so slices never mix voxels, however oblique the image.

export const LETTERS = [["R", "L"], ["A", "P"], ["I", "S"]];
export const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);

export class Frame {
  /** @param about origin (world) of the frame, axes (rows: world directions of the frame's axes), lower and upper face */
  constructor({ origin, axes, lower, upper }) {
    Object.assign(this, { origin, axes, lower, upper });
    this.inverse = inverse(axes);
  }

  toWorld(place) {
    return [0, 1, 2].map((k) => this.origin[k] + this.axes.reduce((sum, axis, n) => sum + axis[k] * place[n], 0));
  }

  fromWorld(point) {
    const way = point.map((value, k) => value - this.origin[k]);
    return [0, 1, 2].map((n) => way.reduce((sum, value, k) => sum + value * this.inverse[k][n], 0));
  }

  clamp(place) {
    return place.map((value, k) => Math.min(this.upper[k], Math.max(this.lower[k], value)));
  }
}

/** A volume's voxel at a place of the frame along one axis. */
export function indexAt(volume, axis, place) {
  const index = Math.round((place - volume.first[axis]) / volume.step[axis]);
  return index >= 0 && index < volume.shape[axis] ? index : -1;
}

export function valueAt(volume, place) {
  const [x, y, z] = [0, 1, 2].map((axis) => indexAt(volume, axis, place[axis]));
  if (x < 0 || y < 0 || z < 0) return 0;
  return volume.data[x + volume.shape[0] * (y + volume.shape[1] * z)];
}

function inverse([a, b, c]) {
  const cross = (u, v) => [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
  const [bc, ca, ab] = [cross(b, c), cross(c, a), cross(a, b)];
  const det = a[0] * bc[0] + a[1] * bc[1] + a[2] * bc[2];
  return [0, 1, 2].map((k) => [bc[k] / det, ca[k] / det, ab[k] / det]);
}
