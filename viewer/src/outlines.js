// Outlines of labels in a slice: the edges between pixels of different labels, as SVG-like paths in pixel coordinates.

/** The part of a volume across an axis: {values, width, height}, columns along the first other axis. */
export function layer(volume, axis, index) {
  const [nx, ny, nz] = volume.shape;
  const steps = [1, nx, nx * ny];
  const [u, v] = [0, 1, 2].filter((one) => one !== axis);
  const [width, height] = [[nx, ny, nz][u], [nx, ny, nz][v]];
  const values = new volume.data.constructor(width * height);
  for (let row = 0; row < height; row++) {
    let from = index * steps[axis] + row * steps[v];
    for (let column = 0; column < width; column++, from += steps[u]) values[row * width + column] = volume.data[from];
  }
  return { values, width, height };
}

/** Label -> Path2D; pixel k covers k - 0.5 to k + 0.5. Runs of edges are joined to one line each, and lie within their own
 * label by `inset` pixels [column, row], so that neighbours' outlines stand side by side. */
export function outlines({ values, width, height }, inset) {
  const paths = new Map();
  const at = (column, row) =>
    column < 0 || row < 0 || column >= width || row >= height ? 0 : values[row * width + column];
  const along = (length, other, within, label, line) => {
    for (let k = -1; k < other; k++) {
      for (const side of [0, 1]) {
        let start = 0;
        let current = 0;
        for (let n = 0; n <= length; n++) {
          const own = n < length ? label(n, k + side) : 0;
          const found = own && own !== label(n, k + 1 - side) ? own : 0;
          if (found === current) continue;
          if (current) line(pathOf(paths, current), start - 0.5, n - 0.5, k + 0.5 + (side ? within : -within));
          [start, current] = [n, found];
        }
      }
    }
  };
  along(width, height, inset[1], (n, k) => at(n, k), (path, from, to, k) => { path.moveTo(from, k); path.lineTo(to, k); });
  along(height, width, inset[0], (n, k) => at(k, n), (path, from, to, k) => { path.moveTo(k, from); path.lineTo(k, to); });
  return paths;
}

function pathOf(paths, label) {
  if (!paths.has(label)) paths.set(label, new Path2D());
  return paths.get(label);
}
