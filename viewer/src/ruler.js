// A measurement on a canvas: a line with ends and its length.

export const inMm = (length) => `${length.toFixed(1)} mm`;

export function drawRuler(context, a, b, length) {
  const end = ([x, y]) => {
    context.beginPath();
    context.arc(x, y, 3.5, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  };
  context.save();
  context.strokeStyle = "rgba(0, 0, 0, 0.85)";
  context.fillStyle = "#ffe97a";
  if (b) {
    for (const [colour, width] of [["rgba(0, 0, 0, 0.85)", 4], ["#ffe97a", 1.8]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(...a);
      context.lineTo(...b);
      context.stroke();
    }
    context.strokeStyle = "rgba(0, 0, 0, 0.85)";
  }
  context.lineWidth = 1;
  end(a);
  if (b) {
    end(b);
    words(context, inMm(length), (a[0] + b[0]) / 2, (a[1] + b[1]) / 2 - 12);
  }
  context.restore();
}

function words(context, text, x, y) {
  context.font = "600 13px system-ui, sans-serif";
  const width = context.measureText(text).width + 12;
  context.fillStyle = "rgba(10, 12, 16, 0.82)";
  context.beginPath();
  context.roundRect(x - width / 2, y - 10, width, 20, 5);
  context.fill();
  context.fillStyle = "#ffe97a";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x, y + 0.5);
}
