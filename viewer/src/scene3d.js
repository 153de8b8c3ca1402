// The three-dimensional view. World coordinates are LPS in mm, so that a point clicked here is the point in the slices.
import {
  BufferAttribute, BufferGeometry, CanvasTexture, Color, DirectionalLight, DoubleSide, HemisphereLight, Mesh,
  MeshBasicMaterial, MeshPhongMaterial, PerspectiveCamera, PlaneGeometry, Raycaster, Scene, SRGBColorSpace, Vector2,
  Vector3, WebGLRenderer,
} from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { MeshBVH, acceleratedRaycast } from "three-mesh-bvh";
import { isSoftware, withRim } from "./glass.js";
import { Marks } from "./marks.js";

Mesh.prototype.raycast = acceleratedRaycast;

const VIEW_ANGLE = 24;
const MARGIN = 1.1;
const BACKGROUND = "#171c24";
const [ABOVE, BELOW] = [48, 52]; // CSS pixels that buttons and sliders take
const CLICK = 5; // CSS pixels that a click may move
const FURTHEST = 0.9; // of the distance from the middle, that parts move apart
// from where: direction of the camera; a little off the poles, where the orbit ends
export const DIRECTIONS = {
  Front: [0, -1, 0], Back: [0, 1, 0], Right: [-1, 0, 0], Left: [1, 0, 0], Top: [0, -1e-4, 1], Bottom: [0, -1e-4, -1],
};

export class SceneView {
  constructor(element, state, meshes, hover) {
    Object.assign(this, { element, state, hover, parts: new Map(), planes: [], frames: 0 });
    this.canvas = element.querySelector("#gl");
    this.software = isSoftware();
    this.renderer = new WebGLRenderer({ canvas: this.canvas, antialias: !this.software, powerPreference: "high-performance" });
    this.renderer.setClearColor(BACKGROUND);
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(VIEW_ANGLE, 1, 1, 1e4);
    this.camera.up.set(0, 0, 1);
    this.lights();
    for (const one of state.structures) if (meshes.has(one.id)) this.add(one, meshes.get(one.id));
    this.controls = new OrbitControls(this.camera, this.canvas);
    this.controls.addEventListener("change", () => this.later());
    this.marks = new Marks(element.querySelector("#marks"), this);
    this.size();
    this.look("Front");
    this.pointers();
    new ResizeObserver(() => this.resized()).observe(element);
    state.on("look", () => this.later());
    state.on("place window", () => (state.planes ? this.later() : this.marks.later()));
    state.on("rulers mode", () => this.marks.later());
  }

  lights() {
    this.scene.add(new HemisphereLight("#dfe8f5", "#4c4a55", 1.15));
    for (const [colour, strength, place] of [["#ffffff", 1.75, [-0.6, 0.8, 1]], ["#cfdcff", 0.5, [1, -0.2, 0.6]]]) {
      const light = new DirectionalLight(colour, strength);
      light.position.set(...place);
      this.camera.add(light, light.target);
    }
    this.scene.add(this.camera);
  }

  add(one, { positions, index }) {
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(positions, 3));
    geometry.setIndex(new BufferAttribute(index, 1));
    geometry.computeVertexNormals();
    geometry.computeBoundingBox();
    geometry.computeBoundingSphere();
    const gloss = one.kind === "segment" ? 14 : 34;
    const material = new MeshPhongMaterial({ color: one.colour, shininess: gloss, specular: new Color("#262a30") });
    if (one.kind === "segment") material.onBeforeCompile = withRim;
    const shade = new Mesh(geometry, material);
    // of translucent parts only what lies in front is seen, else all inner borders would show through each other
    const mask = new MeshBasicMaterial({ colorWrite: false, polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1 });
    const depth = new Mesh(geometry, mask);
    depth.raycast = () => {};
    shade.userData.one = one;
    this.scene.add(shade, depth);
    this.parts.set(one.id, { one, shade, depth, material });
  }

  /** The box around all parts, which the camera starts from. */
  get box() {
    const { lower, upper } = this.state.content.grid;
    return { lower: new Vector3(...lower), upper: new Vector3(...upper) };
  }

  get middle() {
    return this.box.lower.clone().add(this.box.upper).multiplyScalar(0.5);
  }

  look(name) {
    this.from = name;
    const direction = new Vector3(...DIRECTIONS[name]).normalize();
    const size = this.box.upper.clone().sub(this.box.lower);
    const across = name === "Right" || name === "Left" ? size.y : size.x;
    const [up, depth] = name === "Top" || name === "Bottom" ? [size.y, size.z] : [size.z, Math.abs(direction.y) > 0.5 ? size.y : size.x];
    const half = Math.tan((VIEW_ANGLE * Math.PI) / 360);
    const height = this.element.clientHeight;
    const share = Math.max(0.4, 1 - (ABOVE + BELOW) / height);
    const away = MARGIN * Math.max(up / 2 / half / share, across / 2 / half / this.camera.aspect) + depth / 2;
    this.controls.target.copy(this.middle);
    this.camera.position.copy(this.middle).addScaledVector(direction, away);
    this.camera.near = away / 50;
    this.camera.far = away * 8;
    this.camera.updateProjectionMatrix();
    this.controls.update();
    this.later();
  }

  /** Turn by angles about the body's axis and the screen's, radians. */
  turn(sideways, upwards) {
    this.from = null;
    const way = this.camera.position.clone().sub(this.controls.target);
    const across = new Vector3().setFromMatrixColumn(this.camera.matrixWorld, 0);
    const turned = way.clone().applyAxisAngle(across, -upwards);
    if (Math.abs(turned.z) < 0.999 * turned.length()) way.copy(turned);
    this.camera.position.copy(this.controls.target).add(way.applyAxisAngle(this.camera.up, sideways));
    this.controls.update();
    this.later();
  }

  /** Fit the picture to the element; false if there is nothing to do. */
  size() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height || (this.width === width && this.height === height)) return false;
    Object.assign(this, { width, height });
    this.renderer.setPixelRatio(this.software ? 1 : Math.min(2, window.devicePixelRatio || 1));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.setViewOffset(width, height, 0, (BELOW - ABOVE) / 2, width, height); // the middle of what is free
    return true;
  }

  resized() {
    if (!this.size()) return;
    if (this.from) this.look(this.from);
    this.draw();
  }

  later() {
    if (!this.waiting) requestAnimationFrame(() => this.waiting && this.draw());
    this.waiting = true;
  }

  draw() {
    this.waiting = false;
    for (const part of this.parts.values()) this.style(part);
    this.placePlanes();
    this.renderer.render(this.scene, this.camera);
    this.marks.draw();
    this.frames += 1;
  }

  style({ one, shade, depth, material }) {
    const opacity = this.state.opacity(one);
    shade.visible = one.visible && opacity > 0.01;
    const ghostly = opacity < 0.995;
    depth.visible = shade.visible && ghostly;
    if (material.transparent !== ghostly) Object.assign(material, { transparent: ghostly, needsUpdate: true });
    Object.assign(material, { opacity, depthWrite: !ghostly });
    material.emissive.set(one.colour).multiplyScalar(one.id === this.state.selected ? 0.28 : 0);
    [depth.renderOrder, shade.renderOrder] = [1, ghostly ? 2 : 0];
    for (const mesh of [shade, depth]) mesh.position.set(...this.placeOf(one));
  }

  /** Where a part's centre is drawn: away from the middle of all segments by the explosion; trees stay. */
  placeOf(one) {
    const move = one.kind === "tree" ? 0 : this.state.explode * FURTHEST;
    const middle = this.state.content.middle;
    return one.mesh.centre.map((value, k) => value + move * (value - middle[k]));
  }

  /** The three slices as pictures in space. */
  placePlanes() {
    for (const [k, slice] of (this.slices ?? []).entries()) {
      const greys = this.state.planes ? slice.greys() : null;
      if (!greys) {
        if (this.planes[k]) this.planes[k].visible = false;
        continue;
      }
      const plane = (this.planes[k] ??= this.newPlane());
      plane.visible = true;
      if (plane.userData.key !== slice.greyKey) {
        plane.material.map?.dispose();
        plane.material.map = new CanvasTexture(greys);
        plane.material.map.colorSpace = SRGBColorSpace;
        plane.material.map.flipY = false;
        plane.material.needsUpdate = true;
        plane.userData.key = slice.greyKey;
      }
      this.putCorners(plane, slice);
    }
  }

  newPlane() {
    const material = new MeshBasicMaterial({ side: DoubleSide, polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1 });
    const plane = new Mesh(new PlaneGeometry(1, 1), material);
    plane.raycast = () => {};
    plane.frustumCulled = false;
    this.scene.add(plane);
    return plane;
  }

  putCorners(plane, slice) {
    const { across, down } = slice.plane;
    const { image } = slice.volumes;
    const place = slice.here();
    const faces = (axis) => [image.first[axis] - image.step[axis] / 2, image.first[axis] + (image.shape[axis] - 0.5) * image.step[axis]];
    const corner = plane.geometry.getAttribute("position");
    const uv = plane.geometry.getAttribute("uv");
    for (let k = 0; k < 4; k++) {
      const [u, v] = [k & 1, k >> 1];
      place[across] = faces(across)[u];
      place[down] = faces(down)[v];
      corner.setXYZ(k, ...this.state.frame.toWorld(place));
      uv.setXY(k, u, v);
    }
    corner.needsUpdate = uv.needsUpdate = true;
  }

  /** Index the triangles for the pointer while nothing else is to do. */
  async prepare() {
    for (const { shade } of this.parts.values()) {
      await new Promise((done) => (window.requestIdleCallback ?? setTimeout)(done));
      shade.geometry.boundsTree ??= new MeshBVH(shade.geometry);
    }
  }

  /** What lies under a pixel, front to back: {one, point} with the point in the world (an explosion taken back). */
  hits([x, y]) {
    const ray = new Raycaster();
    const { clientWidth, clientHeight } = this.element;
    ray.setFromCamera(new Vector2((2 * x) / clientWidth - 1, 1 - (2 * y) / clientHeight), this.camera);
    ray.firstHitOnly = true;
    const shown = [...this.parts.values()].filter(({ shade }) => shade.visible && shade.geometry.boundsTree);
    return ray.intersectObjects(shown.map(({ shade }) => shade), false).map(({ object, point }) => {
      const { one } = object.userData;
      const moved = this.placeOf(one).map((value, k) => value - one.mesh.centre[k]);
      return { one, point: point.toArray().map((value, k) => value - moved[k]) };
    });
  }

  /** The first hit that is no thin veil: translucent segments let the pointer through to a tree or a lesion. */
  target(pixel) {
    const hits = this.hits(pixel);
    const solid = hits.find(({ one }) => this.state.opacity(one) >= 0.6);
    return (hits[0] && this.state.opacity(hits[0].one) < 0.6 && solid) || hits[0];
  }

  over(pixel) {
    const [first, target] = [this.hits(pixel)[0], this.target(pixel)];
    if (!first) return this.hover(null);
    this.hover([...new Set([target.one.name, first.one.name])].join(" \u00b7 in front: "), true);
  }

  pointers() {
    let start = null;
    const at = (event) => [event.offsetX, event.offsetY];
    this.canvas.addEventListener("pointerdown", (event) => {
      this.from = null;
      start = event.isPrimary && event.button === 0 ? at(event) : null;
      this.element.focus({ preventScroll: true });
      this.hover(null);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons && event.pointerType !== "touch") this.over(at(event));
    });
    this.canvas.addEventListener("pointerleave", () => this.hover(null));
    this.canvas.addEventListener("wheel", () => { this.from = null; }, { passive: true });
    this.canvas.addEventListener("pointerup", (event) => {
      if (!start || Math.hypot(at(event)[0] - start[0], at(event)[1] - start[1]) > CLICK) return;
      start = null;
      const hit = this.target(at(event));
      if (hit) this.clicked(hit);
      if (hit && event.pointerType === "touch") this.over(at(event));
    });
  }

  clicked({ point }) {
    if (!this.state.measuring) return this.state.goTo(point);
    if (this.state.explode) return this.refuse("Parts are moved away from each other: set Explode to 0 to measure in 3D.");
    this.state.mark(point);
  }

  /** CSS pixel of a world point. */
  pixelOf(point) {
    const place = new Vector3(...point).project(this.camera);
    return [((place.x + 1) / 2) * this.element.clientWidth, ((1 - place.y) / 2) * this.element.clientHeight];
  }
}
