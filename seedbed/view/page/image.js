// One image: layers over it, what they mean, what another parameter would make, and the other run beside it.

import * as address from "./address.js";
import { array, json, photo } from "./api.js";
import { chip, figure, make, paint, percent, select } from "./dom.js";
import { IGNORE, RAMP, compose, shares } from "./draw.js";
import { showTrial } from "./trial.js";

const TRUTH = "truth";
const ERRORS = "errors";
const OPACITY = 60;
const STEP = 10;

export async function showImage(content, run, isCurrent) {
  const id = address.get("id");
  const [image, near] = await Promise.all([json("image", { id }), json("images", { ...address.question(), near: id })]);
  if (!isCurrent()) return null;
  const view = new View(content, run, image, isCurrent);
  const to = (other) => () => other !== null && address.go(address.changed({ id: other }));
  document.getElementById("place").replaceChildren(
    make("button", { title: "image before (←)", disabled: near.before === null, onclick: to(near.before) }, "‹"),
    make("button", { title: "next image (→)", disabled: near.after === null, onclick: to(near.after) }, "›"),
    make("span", { class: "number faint" }, near.place < 0 ? "" : `${near.place + 1} of ${near.total.toLocaleString("en")}`),
    make("bdi", { id: "title" }, id),
    run.clicks.length ? make("a", { id: "by-clicks", href: clicksOf(run), title: "select by clicks (c)" }, "select by clicks") : "",
  );
  await view.start();
  const byClicks = run.clicks.length ? { c: () => address.go(clicksOf(run)) } : {};
  return { ArrowLeft: to(near.before), ArrowRight: to(near.after), ...byClicks, ...view.keys() };
}

/** The address at which things of the image are selected by clicks. */
function clicksOf(run) {
  return address.changed({ click: run.clicks[0].section });
}

class View {
  constructor(content, run, image, isCurrent) {
    Object.assign(this, { content, run, image, isCurrent });
    this.layers = this.available();
    this.opacity = Number(address.get("opacity", String(OPACITY)));
    this.sides = Object.keys(run.runs);
    this.trial = null; // an array that stands in for a layer
  }

  /** Everything that can be laid over the image, in the order of the stages; truth and errors last. */
  available() {
    const chosen = new Set(address.get("layers", "").split(",").filter(Boolean));
    const layers = this.image.a.layers.map((one) => ({ ...one, key: `${one.artifact}.${one.array}`, name: name(one) }));
    layers.push({ key: TRUTH, name: "truth", shown: "labels" }, { key: ERRORS, name: "errors", shown: "errors" });
    for (const layer of layers) {
      const wanted = [...chosen].find((one) => one === layer.key || one.startsWith(`${layer.key}:`));
      layer.on = wanted !== undefined;
      layer.classId = wanted?.includes(":") ? Number(wanted.split(":")[1]) : null;
    }
    return layers;
  }

  async start() {
    this.figures = Object.fromEntries(this.sides.map((side) => [side, this.figureOf(side)]));
    this.list = make("div", { id: "layers" });
    this.legend = make("div", { class: "legend", id: "legend" });
    this.about = make("div", { id: "about" });
    const opacity = make("input", { type: "range", id: "opacity", min: "0", max: "100", value: String(this.opacity), "aria-label": "opacity" });
    opacity.addEventListener("input", () => this.setOpacity(Number(opacity.value)));
    this.slider = opacity;
    const facts = make("div", { class: "figures" }, Object.entries(this.image.figures).map(([what, value]) => [make("span", {}, what), make("span", { class: "number" }, figure(value))]));
    const classes = this.image.labelled ? this.image.classes.map((one) => this.run.classes[one]).join(", ") || "none of the classes" : "not labelled";
    this.side = make(
      "aside", {},
      make("section", { class: "panel" }, make("h2", {}, "Layers"), this.list, make("label", {}, "opacity", opacity)),
      make("section", { class: "panel" }, make("h2", {}, "Legend"), this.legend),
      make("section", { class: "panel", id: "under" }, make("h2", {}, "Under the pointer"), this.about),
      this.run.tried.length ? showTrial(this.run, this.image.id, (trial) => this.tried(trial)) : null,
      make("section", { class: "panel" }, make("h2", {}, "This image"), make("p", {}, `${this.image.size.join(" × ")}; ${this.image.splits.join(", ")}; ${classes}`), facts),
    );
    const problems = this.sides.flatMap((side) => this.image[side].problems);
    this.stage = make("div", { class: "stage", id: "stage", "aria-busy": "true" }, this.shownSides().map((side) => this.figures[side].element));
    this.content.replaceChildren(
      make("div", { class: "image" }, make("div", {}, ...problems.map((one) => make("div", { class: "message" }, one)), this.chooser(), this.stage), this.side),
    );
    this.listLayers();
    try {
      this.photo = await photo({ id: this.image.id });
    } catch (error) {
      this.figures.a.caption.textContent = error.message;
      this.stage.setAttribute("aria-busy", "false");
      return;
    }
    if (this.isCurrent()) await this.draw();
  }

  figureOf(side) {
    const canvas = make("canvas", { id: `canvas-${side}`, width: this.image.size[1], height: this.image.size[0] });
    const caption = make("figcaption", {});
    canvas.addEventListener("pointermove", (event) => this.point(side, event));
    canvas.addEventListener("pointerleave", () => this.about.replaceChildren());
    return { canvas, caption, element: make("figure", {}, canvas, caption) };
  }

  shownSides() {
    return this.sides.length > 1 && address.get("view", "side") === "side" ? this.sides : ["a"];
  }

  /** How the other run is shown. */
  chooser() {
    if (this.sides.length < 2) return null;
    const swipe = make("input", { type: "range", id: "swipe", min: "0", max: "100", value: "50", "aria-label": "swipe" });
    swipe.addEventListener("input", () => this.draw());
    this.swipe = swipe;
    const views = [["side", "side by side"], ["swipe", "swipe"]];
    const view = address.get("view", "side");
    return make(
      "div", { class: "bar" },
      select("view", views, view, (value) => address.go(address.changed({ view: value === "side" ? "" : value })), `${this.run.runs.a} against ${this.run.runs.b}`),
      view === "swipe" ? swipe : null,
    );
  }

  listLayers() {
    this.list.replaceChildren(
      ...this.layers.map((layer, place) => {
        const box = make("input", { type: "checkbox", id: `layer-${layer.key}`, checked: layer.on });
        box.addEventListener("change", () => this.toggle(layer));
        const classes = (layer.classes ?? []).map((one) => [String(one), this.run.classes[one]]);
        const all = layer.shown === "scores" ? "strongest" : "likeliest";
        const which = classes.length ? select(`class-${layer.key}`, [["", all], ...classes], layer.classId === null ? "" : String(layer.classId), (value) => this.choose(layer, value), "") : make("span");
        return make("div", { class: "layer" }, box, keyOf(layer, place), make("label", { for: `layer-${layer.key}`, title: layer.name }, layer.name), which);
      }),
    );
  }

  toggle(layer) {
    layer.on = !layer.on;
    this.noteLayers();
  }

  choose(layer, value) {
    layer.classId = value === "" ? null : Number(value);
    layer.on = true;
    this.noteLayers();
  }

  noteLayers() {
    const on = this.layers.filter((layer) => layer.on).map((layer) => (layer.classId === null ? layer.key : `${layer.key}:${layer.classId}`));
    address.note({ layers: on.join(",") });
    this.listLayers();
    this.draw();
  }

  setOpacity(value) {
    this.opacity = Math.max(0, Math.min(100, value));
    this.slider.value = String(this.opacity);
    address.note({ opacity: this.opacity === OPACITY ? "" : this.opacity });
    this.draw();
  }

  tried(trial) {
    this.trial = trial;
    this.draw();
  }

  /** Layers that are on, with their arrays; the trial over all of them. */
  async loaded(side) {
    const opacity = this.opacity / 100;
    const asked = { id: this.image.id, run: side };
    const loading = this.layers.filter((layer) => layer.on && layer.key !== ERRORS).map(async (layer) => {
      const values = layer.key === TRUTH ? await array("truth", asked) : await array("layer", { ...asked, artifact: layer.artifact, array: layer.array, class: layer.classId });
      const own = this.image[side].layers.find((one) => one.artifact === layer.artifact && one.array === layer.array);
      return { ...layer, things: own?.things ?? [], opacity, array: values };
    });
    const done = await Promise.allSettled(loading);
    const layers = done.filter((one) => one.status === "fulfilled").map((one) => one.value);
    const problems = done.filter((one) => one.status === "rejected").map((one) => one.reason.message);
    if (this.trial && side === "a") layers.push({ ...this.trial, opacity });
    const drawsBorders = (layer) => ["regions", "merges", "selections"].includes(layer.shown);
    layers.sort((one, other) => drawsBorders(one) - drawsBorders(other)); // borders lie over everything
    if (this.layers.some((layer) => layer.key === ERRORS && layer.on)) {
      const judged = layers.findLast((layer) => layer.key !== TRUTH && layer.classId === null && ["labels", "probabilities"].includes(layer.shown));
      try {
        const truth = await array("truth", asked);
        if (judged) layers.splice(0, layers.length, { ...judged, shown: ERRORS, truth, of: judged.name });
        else problems.push("errors: of which labels? Turn some on.");
      } catch (error) {
        problems.push(error.message);
      }
    }
    return { layers, problems };
  }

  async draw() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    if (!this.photo) return;
    this.stage.setAttribute("aria-busy", "true");
    const made = {};
    for (const side of this.sides) made[side] = await this.loaded(side);
    if (turn !== this.turn || !this.isCurrent()) return;
    this.made = made;
    for (const side of this.shownSides()) {
      const { canvas, caption } = this.figures[side];
      const image = compose(this.photo, made[side].layers, this.run);
      if (side === "a" && address.get("view") === "swipe" && made.b) swipeOver(image, compose(this.photo, made.b.layers, this.run), Number(this.swipe.value) / 100);
      paint(canvas, image);
      caption.replaceChildren(...(this.sides.length > 1 && this.shownSides().length > 1 ? [make("strong", {}, this.run.runs[side]), " "] : []), made[side].problems.join(" "));
    }
    this.drawLegend(made.a.layers);
    this.stage.setAttribute("aria-busy", "false");
  }

  drawLegend(layers) {
    const rows = [];
    for (const layer of layers) {
      if (layer.shown === ERRORS) {
        rows.push(make("span"), make("strong", {}, `errors of ${layer.of}`), make("span"));
        for (const [meaning, colour] of this.run.errors) rows.push(chip(colour), make("span", {}, meaning), make("span"));
      } else if (layer.shown === "objects") {
        rows.push(make("span"), make("strong", {}, layer.name), make("span", { class: "faint" }, "nothing, unknown, something"), ramp());
      } else if (["scores", "confidence", "light"].includes(layer.shown) && layer.classId === null) {
        rows.push(make("span"), make("strong", {}, layer.name), make("span", { class: "faint" }, "0 to 1"), ramp());
      } else if (layer.classId !== null && layer.classId !== undefined) {
        rows.push(chip(this.run.palette[layer.classId]), make("bdi", {}, `${layer.name}, ${this.run.classes[layer.classId]}`), make("span", { class: "faint" }, "0 to 1"));
      } else if (layer.shown === "things") {
        rows.push(make("span"), make("strong", {}, layer.name), make("span", { class: "faint" }, "score"));
        layer.things.forEach(([label, score], place) => {
          rows.push(chip(this.run.things[place + 1]), make("bdi", {}, `${place + 1}: ${this.run.classes[label]}`), make("span", { class: "number faint" }, score.toFixed(3)));
        });
      } else if (["labels", "probabilities"].includes(layer.shown)) {
        rows.push(make("span"), make("strong", {}, layer.name), make("span"));
        for (const [label, share] of shares(layer.array)) {
          const [colour, text] = label === IGNORE ? [this.run.unlabelled, "no label (not drawn)"] : [this.run.palette[label], this.run.classes[label]];
          rows.push(chip(colour ?? this.run.unlabelled), make("bdi", {}, text ?? `class ${label}`), make("span", { class: "number faint" }, percent(share)));
        }
      }
    }
    this.legend.replaceChildren(...(rows.length ? rows : [make("span", { class: "faint" }), make("span", { class: "faint" }, "Turn a layer on."), make("span")]));
  }

  /** What lies under the pointer: values of the layers, and the superpixel with its scores and its reason. */
  async point(side, event) {
    if (!this.made) return;
    const box = event.target.getBoundingClientRect();
    const [height, width] = this.image.size;
    const scale = Math.min(box.width / width, box.height / height);
    const x = Math.floor((event.clientX - box.left - (box.width - width * scale) / 2) / scale);
    const y = Math.floor((event.clientY - box.top - (box.height - height * scale) / 2) / scale);
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const lines = [`row ${y}, column ${x}`];
    for (const layer of this.made[side].layers) {
      const value = layer.array.values[y * width + x];
      if (layer.array.channels > 1 || layer.shown === ERRORS) continue;
      if (layer.shown === "regions") lines.push(...(await this.describeRegion(side, layer.artifact, value)));
      else if (layer.shown === "things") lines.push(`${layer.name}: ${this.describeThing(layer, value)}`);
      else if (layer.shown === "objects") lines.push(`${layer.name}: ${value === 255 ? "something" : value === 0 ? "nothing" : "unknown"}`);
      else if (["labels", "probabilities"].includes(layer.shown) && layer.classId === null) lines.push(`${layer.name}: ${value === IGNORE ? "no label" : this.run.classes[value]}`);
      else lines.push(`${layer.name}: ${(value / 255).toFixed(3)}`);
    }
    this.about.replaceChildren(...lines.map((line) => make("div", {}, line)));
  }

  describeThing(layer, number) {
    const [label, score] = layer.things[number - 1] ?? [];
    return score === undefined ? "none" : `${number}, ${this.run.classes[label]}, score ${score.toFixed(3)}`;
  }

  async describeRegion(side, artifact, number) {
    const key = `${side} ${artifact}`;
    this.regions ??= {};
    this.regions[key] ??= json("regions", { id: this.image.id, run: side, artifact }).catch((error) => ({ error: error.message }));
    const { regions, error } = await this.regions[key];
    if (error) return [error];
    const one = regions[number];
    if (!one) return [];
    const lines = [`superpixel ${number}: ${one.pixels} pixels`];
    for (const [label, score] of Object.entries(one.scores ?? {})) lines.push(`mean score of ${this.run.classes[label]}: ${score.toFixed(3)}`);
    for (const [label, count] of Object.entries(one.seeds ?? {})) lines.push(`seeds: ${percent(count / one.pixels)} ${this.run.classes[label]}`);
    if (one.why) lines.push(one.why);
    return lines;
  }

  keys() {
    const numbered = this.layers.filter((layer) => ![TRUTH, ERRORS].includes(layer.key)).slice(0, 9);
    const keys = Object.fromEntries(numbered.map((layer, place) => [String(place + 1), () => this.toggle(layer)]));
    const last = (key) => () => this.toggle(this.layers.find((layer) => layer.key === key));
    return {
      ...keys,
      t: last(TRUTH),
      e: last(ERRORS),
      0: () => {
        for (const layer of this.layers) layer.on = false;
        this.noteLayers();
      },
      "-": () => this.setOpacity(this.opacity - STEP),
      "+": () => this.setOpacity(this.opacity + STEP),
      s: () => this.sides.length > 1 && address.go(address.changed({ view: address.get("view") === "swipe" ? "" : "swipe" })),
    };
  }
}

function ramp() {
  const element = make("div", { class: "ramp" });
  element.style.background = `linear-gradient(to right, ${RAMP.map((colour) => `rgb(${colour.join(" ")})`).join(", ")})`;
  return element;
}

function name(layer) {
  return layer.array === "labels" ? layer.artifact : `${layer.artifact}: ${layer.array}`;
}

function keyOf(layer, place) {
  const key = { [TRUTH]: "t", [ERRORS]: "e" }[layer.key] ?? (place < 9 ? String(place + 1) : "");
  return key ? make("kbd", {}, key) : make("span");
}

/** The right part of one image over another. */
function swipeOver(image, other, share) {
  const edge = Math.round(share * image.width);
  for (let row = 0; row < image.height; row++) {
    const from = 4 * (row * image.width + edge);
    const to = 4 * (row + 1) * image.width;
    image.data.set(other.data.subarray(from, to), from);
    if (edge < image.width) image.data.set([255, 255, 255, 255], from);
  }
}
