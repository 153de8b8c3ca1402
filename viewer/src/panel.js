// The list of structures: groups (lobes, trees, lesions) with their parts, volumes, opacity.

const ml = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
const EYE = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M1 8s2.6-4.5 7-4.5S15 8 15 8s-2.6 4.5-7 4.5S1 8 1 8z"/><circle cx="8" cy="8" r="2.1"/></svg>';
const ONLY = '<svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="5.6"/><circle cx="8" cy="8" r="2" class="full"/></svg>';

export function panel(list, state) {
  const groups = state.content.groups.map((group) => new Group(group, state));
  list.replaceChildren(...groups.map((group) => group.element));
  const update = () => groups.forEach((group) => group.update());
  state.on("look", update);
  update();
}

function button(label, html, action) {
  const element = Object.assign(document.createElement("button"), { innerHTML: html, title: label });
  element.setAttribute("aria-label", label);
  element.addEventListener("click", action);
  return element;
}

class Group {
  constructor({ name, ids }, state) {
    Object.assign(this, { state, ids, parts: ids.map((id) => state.byId.get(id)) });
    this.element = document.createElement("section");
    const head = document.createElement("header");
    const title = Object.assign(document.createElement("h2"), { textContent: name });
    const sum = this.parts.reduce((all, one) => all + one.volume_ml, 0);
    const volume = Object.assign(document.createElement("span"), { className: "ml", textContent: ml(sum) });
    if (ids.length < 2 || this.parts.some((one) => one.kind !== "segment")) volume.textContent = ""; // trees overlap
    this.only = button(`Show only: ${name}`, ONLY, () => state.isolate(ids));
    this.only.className = "only";
    this.eye = button(`Show or hide: ${name}`, EYE, () => state.show(ids, !this.parts.some((one) => one.visible)));
    this.eye.className = "eye";
    head.append(this.eye, title, volume, this.only);
    this.rows = this.parts.map((one) => new Row(one, state));
    this.element.append(head, ...this.rows.map((row) => row.element));
  }

  update() {
    const shown = this.parts.filter((one) => one.visible).length;
    this.eye.dataset.shown = shown === this.parts.length ? "all" : shown ? "some" : "none";
    this.eye.setAttribute("aria-pressed", String(shown > 0));
    this.only.setAttribute("aria-pressed", String(this.state.isolated?.key === this.ids.join()));
    this.rows.forEach((row) => row.update());
  }
}

class Row {
  constructor(one, state) {
    Object.assign(this, { one, state });
    this.element = document.createElement("div");
    this.element.className = "row";
    this.element.dataset.id = one.id;
    this.eye = button(`Show or hide ${one.name}`, "", () => state.show([one.id], !one.visible));
    this.eye.className = "swatch";
    this.eye.style.setProperty("--colour", one.colour);
    this.label = button(`${one.name}: put the crosshair there, set its opacity`, "", () => this.choose());
    this.label.className = "label";
    this.label.textContent = one.name;
    const volume = Object.assign(document.createElement("span"), { className: "ml", textContent: ml(one.volume_ml) });
    this.only = button(`Show only ${one.name}`, ONLY, () => state.isolate([one.id]));
    this.only.className = "only";
    this.slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: 100, step: 1 });
    this.slider.setAttribute("aria-label", `Opacity of ${one.name}`);
    this.slider.addEventListener("input", () => { one.opacity = this.slider.value / 100; state.tell("look"); });
    this.more = Object.assign(document.createElement("label"), { className: "more", textContent: "Opacity" });
    this.more.append(this.slider);
    this.element.append(this.eye, this.label, volume, this.only, this.more);
  }

  choose() {
    this.state.select(this.one.id);
    if (this.state.selected) this.state.goTo(this.one.inside);
  }

  update() {
    const chosen = this.state.selected === this.one.id;
    this.element.classList.toggle("hidden", !this.one.visible);
    this.element.classList.toggle("chosen", chosen);
    this.eye.setAttribute("aria-pressed", String(this.one.visible));
    this.only.setAttribute("aria-pressed", String(this.state.isolated?.key === this.one.id));
    this.label.setAttribute("aria-expanded", String(chosen));
    this.more.hidden = !chosen;
    if (chosen) this.slider.value = Math.round(100 * this.one.opacity);
  }
}
