// Pointers on a slice: one drags the crosshair (or measures), the right button sets the window, the middle one or Shift
// moves the picture, two fingers zoom and move it; the wheel goes through the slices, with Ctrl it zooms.

export function gestures(element, view) {
  const down = new Map(); // pointer -> [x, y]
  let kind = null;
  let wheel = 0;
  const at = (event) => {
    const box = element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    element.parentElement.focus({ preventScroll: true });
    down.set(event.pointerId, at(event));
    if (down.size === 2) kind = "pinch";
    else if (event.button === 2) kind = "level";
    else if (event.button === 1 || event.shiftKey) kind = "pan";
    else {
      kind = "point";
      if (event.pointerType !== "touch" || !view.state.measuring) view.point(at(event), true);
    }
    event.preventDefault();
  });
  element.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    const now = at(event);
    if (!before) return view.over(now);
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    if (kind === "pinch" && down.size === 2) {
      const other = [...down].find(([id]) => id !== event.pointerId)[1];
      const gap = ([x, y]) => Math.max(1, Math.hypot(x - other[0], y - other[1]));
      view.zoomAt(gap(now) / gap(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
      view.pan(dx / 2, dy / 2);
    } else if (kind === "level") view.level(dx, dy);
    else if (kind === "pan") view.pan(dx, dy);
    else if (kind === "point") view.point(now, false);
    down.set(event.pointerId, now);
  });
  const up = (event) => {
    const touched = event.type === "pointerup" && event.pointerType === "touch";
    if (touched && kind === "point" && view.state.measuring) view.point(at(event), true);
    down.delete(event.pointerId);
    if (!down.size) kind = null;
    if (event.pointerType === "touch") view.over(null);
  };
  element.addEventListener("pointerup", up);
  element.addEventListener("pointercancel", up);
  element.addEventListener("pointerleave", () => view.over(null));
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) return view.zoomAt(Math.exp(-event.deltaY / 200), at(event));
    wheel += event.deltaMode ? event.deltaY * 40 : event.deltaY;
    const steps = Math.trunc(wheel / 40);
    wheel -= 40 * steps;
    if (steps) view.step(-steps);
  }, { passive: false });
}
