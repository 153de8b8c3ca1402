// What is shown: one object that every view reads, with the events "look" (structures), "place" (crosshair),
// "window" (grey values), "rulers" and "mode".

export class State extends EventTarget {
  constructor(content, frame) {
    super();
    this.content = content;
    this.frame = frame;
    this.structures = content.structures;
    this.byId = new Map(this.structures.map((one) => [one.id, one]));
    this.windows = content.windows;
    this.measuring = false;
    this.rulers = []; // {a, b}: world points; b is null while the second is missing
    this.reset();
  }

  reset() {
    for (const one of this.structures) Object.assign(one, { visible: true, opacity: 1 });
    this.ghost = this.content.ghost;
    this.explode = 0;
    this.planes = false;
    this.fill = this.content.volumes.image ? 0 : 0.6;
    this.selected = null;
    this.isolated = null;
    this.place = this.content.start.slice();
    this.window = this.windows[0] ? { ...this.windows[0] } : null;
    this.rulers = [];
    this.measuring = false;
    for (const kind of ["look", "place", "window", "rulers", "mode"]) this.tell(kind);
  }

  tell(kind) {
    this.dispatchEvent(new Event(kind));
  }

  on(kinds, action) {
    for (const kind of kinds.split(" ")) this.addEventListener(kind, action);
  }

  /** How opaque a structure is drawn in 3D, 0 to 1. */
  opacity(one) {
    return one.opacity * (one.kind === "segment" ? this.ghost : 1);
  }

  /** Move the crosshair to a world point. */
  goTo(point) {
    this.place = this.frame.toWorld(this.frame.clamp(this.frame.fromWorld(point)));
    this.tell("place");
  }

  show(ids, visible) {
    for (const id of ids) this.byId.get(id).visible = visible;
    this.isolated = null;
    this.tell("look");
  }

  /** Show only these; the same call again brings back what was shown before. */
  isolate(ids) {
    const key = ids.join();
    if (this.isolated?.key === key) {
      for (const [one, visible] of this.isolated.before) one.visible = visible;
      this.isolated = null;
    } else {
      const before = this.isolated?.before ?? this.structures.map((one) => [one, one.visible]);
      this.isolated = { key, ids: new Set(ids), before };
      for (const one of this.structures) one.visible = this.isolated.ids.has(one.id);
    }
    this.tell("look");
  }

  select(id) {
    this.selected = this.selected === id ? null : id;
    this.tell("look");
  }

  setWindow(window) {
    this.window = { ...window };
    this.tell("window");
  }

  measure(on) {
    this.measuring = on;
    this.rulers = this.rulers.filter((ruler) => ruler.b);
    this.tell("mode");
    this.tell("rulers");
  }

  /** A point of a measurement: every second one completes it. */
  mark(point) {
    const last = this.rulers.at(-1);
    if (last && !last.b) last.b = point;
    else this.rulers.push({ a: point, b: null });
    this.tell("rulers");
  }

  clearRulers() {
    this.rulers = [];
    this.tell("rulers");
  }
}
