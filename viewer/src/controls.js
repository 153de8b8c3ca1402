// Buttons, sliders, tabs and keys.
import { DIRECTIONS } from "./scene3d.js";
import { screenshot } from "./screenshot.js";

const byId = (name) => document.getElementById(name);
const KEYS = [
  ["1 to 6", "look from the front, back, right, left, top, bottom"],
  ["W", "next window of grey values"],
  ["M", "measure: tap two points, in a slice or in 3D"],
  ["H, I", "hide, or show only, the chosen structure"],
  ["A", "show all"],
  ["T", "segments translucent or solid"],
  ["X", "explode, or together again"],
  ["F", "outlines only, or filled"],
  ["P", "slices in the 3D view"],
  ["arrows", "in a slice: through the slices (up, down); in 3D: turn"],
  ["C", "screenshot"],
  ["Esc, Home", "remove measurements; everything as at the start"],
];
const GESTURES = [
  ["3D", "drag turns, two fingers or the right button move, pinch or wheel zooms; a tap puts the crosshair there"],
  ["Slices", "drag moves the crosshair, the wheel or the slider goes through; pinch or Ctrl + wheel zooms; Shift + drag moves; the right button sets the window"],
  ["List", "square: show or hide; ring: show only this, once more: all again; name: crosshair there, and its opacity"],
];

export function controls(state, scene, slices, toast) {
  windows(state);
  tabs();
  help();
  const press = (element, on) => element.setAttribute("aria-pressed", String(on));
  const on = (name, action) => byId(name).addEventListener("click", action);
  const look = (name) => scene?.look(name);
  byId("directions").replaceChildren(...Object.keys(DIRECTIONS).map((name, k) => {
    const button = Object.assign(document.createElement("button"), { textContent: name, title: `From the ${name.toLowerCase()} (${k + 1})` });
    button.addEventListener("click", () => look(name));
    return button;
  }));
  const all = () => state.show(state.structures.map((one) => one.id), true);
  const reset = () => {
    state.reset();
    slices.forEach((slice) => slice.reset());
    look("Front");
  };
  const shoot = () => screenshot(state, scene, slices);
  on("measure", () => state.measure(!state.measuring));
  on("clear", () => state.clearRulers());
  on("reset", reset);
  on("screenshot", shoot);
  on("help", () => byId("keys").showModal());
  slider("ghost", (value) => { state.ghost = value; });
  slider("explode", (value) => { state.explode = value; });
  byId("planes").addEventListener("change", (event) => { state.planes = event.target.checked; state.tell("look"); });
  byId("ghost-label").hidden = !state.structures.some((one) => one.kind === "segment");
  byId("planes-label").hidden = !state.content.volumes.image;
  for (const button of document.querySelectorAll(".enlarge")) button.addEventListener("click", () => enlarge(button.dataset.view));
  state.on("mode rulers look", update);
  update();

  function slider(name, set) {
    byId(name).addEventListener("input", (event) => { set(event.target.value / 100); state.tell("look"); });
  }

  function update() {
    press(byId("measure"), state.measuring);
    document.body.classList.toggle("measuring", state.measuring);
    byId("clear").hidden = !state.rulers.length;
    byId("ghost").value = Math.round(100 * state.ghost);
    byId("explode").value = Math.round(100 * state.explode);
    byId("planes").checked = state.planes;
  }

  function enlarge(name) {
    const stage = byId("stage");
    stage.dataset.large = stage.dataset.large === name ? "" : name;
  }

  const chosen = (action) => () => (state.selected ? action([state.selected]) : toast("Choose a structure in the list first."));
  const keys = {
    w: () => nextWindow(state),
    m: () => state.measure(!state.measuring),
    h: chosen((ids) => state.show(ids, !state.byId.get(ids[0]).visible)),
    i: chosen((ids) => state.isolate(ids)),
    a: all,
    t: () => { state.ghost = state.ghost < 0.99 ? 1 : 0.3; state.tell("look"); },
    x: () => { state.explode = state.explode ? 0 : 0.5; state.tell("look"); },
    f: () => { state.fill = state.fill ? 0 : 0.45; state.tell("look"); },
    p: () => { state.planes = !state.planes; state.tell("look"); },
    c: shoot,
    home: reset,
    escape: () => { state.measure(false); state.clearRulers(); byId("stage").dataset.large = ""; },
    "?": () => byId("keys").showModal(),
    ...Object.fromEntries(Object.keys(DIRECTIONS).map((name, k) => [String(k + 1), () => look(name)])),
  };
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
    if (event.target.matches?.("input[type=range]") && event.key.startsWith("Arrow")) return;
    const action = keys[event.key.toLowerCase()] ?? arrows(event, scene, slices);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function arrows(event, scene, slices) {
  const sign = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[event.key];
  if (!sign) return null;
  const slice = slices.find((one) => one.element.contains(event.target));
  if (slice) return () => slice.step(sign * (event.shiftKey ? 5 : 1));
  if (!scene?.element.contains(event.target)) return null;
  const sideways = event.key === "ArrowLeft" || event.key === "ArrowRight";
  return () => scene.turn(sideways ? sign * 0.1 : 0, sideways ? 0 : sign * 0.1);
}

function windows(state) {
  const names = state.windows.map((window) => {
    const title = `${window.name}: ${window.low} to ${window.high}${state.content.volumes.image.unit ? ` ${state.content.volumes.image.unit}` : ""} (W)`;
    const button = Object.assign(document.createElement("button"), { textContent: window.name, title });
    button.addEventListener("click", () => state.setWindow(window));
    return button;
  });
  const fill = Object.assign(document.createElement("button"), { textContent: "Fill", title: "Labels filled, or outlines only (F)", id: "fill" });
  fill.addEventListener("click", () => { state.fill = state.fill ? 0 : 0.45; state.tell("look"); });
  byId("windows").replaceChildren(...names, fill);
  const update = () => {
    names.forEach((button, k) => button.setAttribute("aria-pressed", String(state.window?.name === state.windows[k].name)));
    fill.setAttribute("aria-pressed", String(state.fill > 0));
  };
  state.on("window look", update);
  update();
}

function nextWindow(state) {
  if (!state.windows.length) return;
  const now = state.windows.findIndex((window) => window.name === state.window.name);
  state.setWindow(state.windows[(now + 1) % state.windows.length]);
}

/** On narrow screens one of the list and the slices is shown below the 3D view. */
function tabs() {
  const stage = byId("stage");
  const names = { list: "Structures", axial: "Axial", coronal: "Coronal", sagittal: "Sagittal" };
  const show = (chosen) => {
    stage.dataset.tab = chosen;
    for (const button of byId("tabs").children) button.setAttribute("aria-selected", String(button.dataset.tab === chosen));
  };
  byId("tabs").replaceChildren(...Object.entries(names).map(([name, title]) => {
    const button = Object.assign(document.createElement("button"), { textContent: title });
    button.dataset.tab = name;
    button.setAttribute("role", "tab");
    button.addEventListener("click", () => show(name));
    return button;
  }));
  show("list");
}

function help() {
  const table = (rows) => `<dl>${rows.map(([key, text]) => `<dt>${key}</dt><dd>${text}</dd>`).join("")}</dl>`;
  byId("keys").innerHTML = `<form method="dialog"><button aria-label="Close" title="Close (Esc)">\u00d7</button></form>
    <h2>Pointer and fingers</h2>${table(GESTURES)}<h2>Keys</h2>${table(KEYS)}
    <p>R and L are the patient's right and left, A front, P back, S head, I feet. The point is the same in all views. Volumes count the label map's voxels.</p>`;
  byId("keys").addEventListener("click", (event) => { if (event.target === byId("keys")) byId("keys").close(); });
}
