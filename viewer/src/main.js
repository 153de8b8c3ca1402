// Puts the page together: meshes first, so that there is something to see, then the volumes and their slices.
import { chunk, mesh, volume } from "./decode.js";
import { controls } from "./controls.js";
import { panel } from "./panel.js";
import { SceneView } from "./scene3d.js";
import { PLANES, SliceView } from "./slices.js";
import { Frame, distance } from "./space.js";
import { State } from "./state.js";

const byId = (name) => document.getElementById(name);
const content = JSON.parse(byId("content").textContent);
const frame = new Frame(content.frame);
const state = new State(content, frame);

// what scripts may ask; the names and units of the first five are fixed
window.impulse = {
  labels: content.labels, // label -> name
  volumes_ml: content.volumes_ml, // label, or the name of a tree or lesion -> ml
  spacing_mm: content.spacing_mm, // of the label map: along right-left, front-back, feet-head
  ready: false, // true once everything is drawn
  distance_mm: distance, // between two world points (x, y, z), LPS in mm
  content, state, frame, views: {}, errors: [],
};

function hover(text, strong) {
  const element = byId("name");
  element.hidden = !text;
  element.textContent = text ?? "";
  element.classList.toggle("quiet", !strong);
}

let toastTimer;
export function toast(text) {
  const element = byId("toast");
  Object.assign(element, { textContent: text, hidden: false });
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { element.hidden = true; }, 6000);
}

window.addEventListener("pointermove", (event) => {
  const element = byId("name");
  const right = event.clientX > window.innerWidth - 260;
  element.style.left = `${event.clientX + (right ? -14 : 14)}px`;
  element.style.top = `${Math.min(event.clientY + 16, window.innerHeight - 40)}px`;
  element.classList.toggle("before", right);
});

function words() {
  byId("title").textContent = content.title;
  byId("facts").textContent = content.facts.join("  \u00b7  ");
  byId("made").textContent = content.made;
  byId("notes").replaceChildren(...content.notes.map((note) => Object.assign(document.createElement("p"), { textContent: note })));
}

async function meshes() {
  const found = new Map();
  for (const one of content.structures) {
    if (one.mesh) found.set(one.id, mesh(await chunk(one.mesh.chunk), one.mesh, content.grid));
  }
  return found;
}

async function volumes() {
  const found = {};
  for (const [name, about] of Object.entries(content.volumes)) {
    if (!about) continue;
    found[name] = { ...about, data: volume(await chunk(about.chunk), about) };
    if (about.ids) found[name].structures = about.ids.map((id) => state.byId.get(id) ?? null);
  }
  for (const one of content.structures) one.abgr = abgr(one.colour);
  return found;
}

function abgr(hex) {
  const number = parseInt(hex.slice(1), 16);
  return (0xff000000 | ((number & 255) << 16) | (number & 0xff00) | (number >> 16)) >>> 0;
}

const drawn = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));

async function start() {
  if (!window.DecompressionStream) throw new Error("This browser is too old: Chrome 99, Firefox 113, Safari 16.4 or newer.");
  words();
  panel(byId("list"), state);
  const parts = await meshes();
  let scene = null;
  try {
    scene = new SceneView(byId("scene"), state, parts, hover);
    scene.refuse = toast;
    scene.draw();
  } catch (error) {
    byId("scene").classList.add("none");
    toast(`No 3D view: this browser or machine has no WebGL (${error.message}).`);
  }
  await drawn();
  window.impulse.first_picture_ms = performance.now();
  const read = await volumes();
  const slices = PLANES.map((plane) => new SliceView(plane, state, read, hover));
  byId("planes3").replaceChildren(...slices.map((slice) => slice.element));
  if (scene) scene.slices = slices;
  Object.assign(window.impulse.views, { scene, ...Object.fromEntries(slices.map((slice) => [slice.plane.name, slice])) });
  controls(state, scene, slices, toast);
  for (const slice of slices) slice.draw();
  await drawn();
  window.impulse.ready_ms = performance.now();
  window.impulse.ready = true;
  await scene?.prepare();
  window.impulse.pointer_ready = true;
}

start().catch((error) => {
  window.impulse.errors.push(String(error));
  toast(String(error.message ?? error));
  console.error(error);
});
