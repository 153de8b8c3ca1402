// The page's data: base64 of gzip in script elements, arrays packed as impulse_nnunet/outputs/page/packing.py says.

/** Bytes of a chunk; its element is removed, since the text is large. */
export async function chunk(number) {
  const element = document.getElementById(`chunk-${number}`);
  const text = element.textContent;
  element.remove();
  const packed = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let k = 0; k < bytes.length; k++) bytes[k] = binary.charCodeAt(k);
  return bytes;
}

/** Integers from planes of bytes (lowest first) of zigzag differences. */
function integers(bytes, start, count, width) {
  const values = new Int32Array(count);
  let before = 0;
  for (let k = 0; k < count; k++) {
    let code = 0;
    for (let byte = 0; byte < width; byte++) code |= bytes[start + byte * count + k] << (8 * byte);
    before += (code >>> 1) ^ -(code & 1);
    values[k] = before;
  }
  return values;
}

/** A mesh: positions (x, y, z of LPS in mm, about its centre) and triangles. */
export function mesh(bytes, about, grid) {
  const { points, triangles, centre } = about;
  const positions = new Float32Array(3 * points);
  for (let axis = 0; axis < 3; axis++) {
    const steps = integers(bytes, 3 * axis * points, points, 3);
    for (let k = 0; k < points; k++) positions[3 * k + axis] = grid.lower[axis] + steps[k] * grid.step - centre[axis];
  }
  const index = new Uint32Array(3 * triangles);
  const start = 9 * points;
  const first = integers(bytes, start, triangles, 4);
  for (let corner = 0; corner < 3; corner++) {
    const others = corner ? integers(bytes, start + 4 * corner * triangles, triangles, 4) : null;
    for (let k = 0; k < triangles; k++) index[3 * k + corner] = first[k] + (others ? others[k] : 0);
  }
  return { positions, index };
}

/** A volume: (z, y, x) bytes or 16-bit numbers; grey values are differences along x. */
export function volume(bytes, about) {
  if (about.differences) for (let k = 1; k < bytes.length; k++) bytes[k] = (bytes[k] + bytes[k - 1]) & 255;
  return about.bytes === 2 ? new Uint16Array(bytes.buffer) : bytes;
}
