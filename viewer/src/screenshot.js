// What is shown, as one PNG: the 3D view and the slices as they lie on the page, with the case and the warning.

const BAND = 34; // CSS pixels above and below

export async function screenshot(state, scene, slices) {
  const picture = compose(state, scene, slices);
  const blob = await new Promise((done) => picture.toBlob(done, "image/png"));
  const link = Object.assign(document.createElement("a"), {
    href: URL.createObjectURL(blob), download: `${state.content.title.replace(/[^\w.+-]+/g, "_")}.png`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

export function compose(state, scene, slices) {
  scene?.draw(); // the picture's memory is emptied after each frame
  const views = [scene?.canvas, scene?.marks.canvas, ...slices.map((slice) => slice.canvas)].filter((canvas) => canvas?.clientWidth);
  const boxes = views.map((canvas) => canvas.getBoundingClientRect());
  const [left, top] = [Math.min(...boxes.map((box) => box.left)), Math.min(...boxes.map((box) => box.top))];
  const [right, bottom] = [Math.max(...boxes.map((box) => box.right)), Math.max(...boxes.map((box) => box.bottom))];
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const picture = document.createElement("canvas");
  Object.assign(picture, { width: (right - left) * ratio, height: (bottom - top + 2 * BAND) * ratio });
  const context = picture.getContext("2d");
  context.scale(ratio, ratio);
  context.fillStyle = "#0e1116";
  context.fillRect(0, 0, picture.width, picture.height);
  views.forEach((canvas, k) => context.drawImage(canvas, boxes[k].left - left, BAND + boxes[k].top - top, boxes[k].width, boxes[k].height));
  context.textBaseline = "middle";
  context.fillStyle = "#f4f6f8";
  context.font = "600 15px system-ui, sans-serif";
  context.fillText(state.content.title, 12, BAND / 2);
  context.font = "13px system-ui, sans-serif";
  context.fillText(`Research use only. Not a medical device. ${state.content.made}`, 12, bottom - top + 1.5 * BAND);
  return picture;
}
