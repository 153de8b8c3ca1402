// Letters of the body's directions at the edges of a slice.

export function drawLetters(context, width, height, [left, right, top, bottom]) {
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const [letter, x, y] of [[left, 13, height / 2], [right, width - 13, height / 2], [top, width / 2, 13], [bottom, width / 2, height - 29]]) {
    context.fillStyle = "rgba(10, 12, 16, 0.72)";
    context.beginPath();
    context.roundRect(x - 9, y - 9, 18, 18, 5);
    context.fill();
    context.fillStyle = "#fff";
    context.fillText(letter, x, y + 0.5);
  }
}
