// One image, of which things are selected by clicks: what is clicked is in the address, and the server says what that selects.

import * as address from "./address.js";
import { array, json, link, photo, send } from "./api.js";
import { make, paint, percent, select } from "./dom.js";

const SELECTED = [0, 114, 178];
const PREVIEW = [230, 159, 0];
const SHARE = 0.45;
const REST = 70; // milliseconds for which the pointer is still before it is asked what a click there would select
const RIGHT = 2;

export async function showClicks(content, run, isCurrent) {
  const id = address.get("id");
  const image = await json("image", { id });
  if (!isCurrent()) return null;
  const view = new Clicks(content, run, image, isCurrent);
  document.getElementById("place").replaceChildren(
    make("a", { id: "back", href: address.changed({ click: "", clicks: "", start: "", level: "" }) }, "‹ layers"),
    make("bdi", { id: "title" }, id),
  );
  await view.start();
  return { u: () => view.undo(), Backspace: () => view.undo(), "0": () => view.clear(), k: () => view.keep() };
}

class Clicks {
  constructor(content, run, image, isCurrent) {
    Object.assign(this, { content, run, image, isCurrent });
    this.section = run.clicks.find((one) => one.section === address.get("click")) ?? run.clicks[0];
    this.clicks = address.get("clicks").split(";").filter(Boolean).map((one) => one.split(",").map(Number));
    this.level = address.get("level") === "" ? null : Number(address.get("level"));
    this.begun = this.section.corrects ? address.get("start") : "";
    this.turn = 0;
    this.mask = null;
    this.isAsking = false;
    this.preview = null;
    this.kept = null; // what is kept of the image, if anything may be
    this.writing = Promise.resolve(); // until all is kept that was asked for
  }

  async start() {
    const [height, width] = this.image.size;
    this.canvas = make("canvas", { id: "clicked", width, height });
    this.caption = make("figcaption", { id: "said", role: "status" });
    this.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    this.canvas.addEventListener("pointerdown", (event) => this.click(event));
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("pointerleave", () => this.leave());
    this.slider = make("input", { type: "range", id: "level", min: "0", max: "0", value: "0", "aria-label": "from part to whole" });
    this.slider.addEventListener("input", () => this.setLevel(Number(this.slider.value)));
    this.levels = make("section", { class: "panel", id: "levels", hidden: true }, make("h2", {}, "From part to whole"), this.slider);
    this.save = make("a", { id: "save", class: "button", download: `${this.image.id.replaceAll(/[^\w.-]+/gu, "_")}.png`, href: "/" }, "save the mask");
    this.takeBack = make("button", { id: "undo", title: "take the last click back (u)", onclick: () => this.undo() }, "undo");
    this.startAgain = make("button", { id: "clear", title: "no click (0)", onclick: () => this.clear() }, "start again");
    const sections = this.run.clicks.map((one) => [one.section, one.section]);
    this.content.replaceChildren(
      make(
        "div", { class: "image" },
        make("div", { class: "stage", id: "stage", "aria-busy": "true" }, make("figure", {}, this.canvas, this.caption)),
        make(
          "aside", {},
          make(
            "section", { class: "panel" },
            make("h2", {}, "Clicks"),
            make("p", {}, "Left on what is wanted, right on what is not."),
            make("div", { class: "bar" }, this.takeBack, this.startAgain, this.save),
            select("section", sections, this.section.section, (value) => address.go(address.changed({ click: value, level: "", start: "" })), "answered by"),
            this.section.corrects ? select("start", this.starts(), this.begun, (value) => this.begin(value), "begin with") : null,
          ),
          this.levels,
          this.run.correcting ? (this.corrections = make("section", { class: "panel", id: "corrections" })) : null,
        ),
      ),
    );
    this.photo = await photo({ id: this.image.id });
    if (this.run.correcting) await this.hear(() => json("corrections", { id: this.image.id }));
    if (this.isCurrent()) await this.ask();
  }

  /** What clicks can begin with: nothing, or what labels call a class. */
  starts() {
    return [["", "nothing"], ...this.run.classes.map((one) => [one, `what is labelled ${one}`])];
  }

  begin(label) {
    this.begun = label;
    const chosen = document.querySelector("select[name='start']");
    if (chosen) chosen.value = label;
    this.clear();
  }

  /** What the server is asked, with other clicks perhaps. */
  asked(clicks = this.clicks, level = this.level) {
    const text = clicks.map((one) => one.join(",")).join(";");
    return { id: this.image.id, section: this.section.section, start: this.begun, clicks: text, level };
  }

  /** Whether anything may be selected. */
  get hasBegun() {
    return this.clicks.length > 0 || this.begun !== "";
  }

  /** Ask what the clicks select, and draw it. */
  async ask() {
    const turn = ++this.turn;
    const isLast = () => turn === this.turn && this.isCurrent();
    const busy = document.getElementById("stage");
    busy.setAttribute("aria-busy", "true");
    this.isAsking = true; // nothing is kept that is not seen
    if (this.keepIt) this.keepIt.disabled = true;
    this.leave();
    address.note({ clicks: this.asked().clicks, start: this.begun, level: this.level === null ? "" : this.level });
    const wanted = this.clicks.some((one) => one[2] === 1);
    try {
      const mask = this.hasBegun ? (await array("click", this.asked())).values : null;
      if (!isLast()) return;
      this.mask = mask;
      this.chain = null;
      if (this.section.levels && wanted) {
        this.chain = (await array("levels", { ...this.asked(), level: null })).values;
        if (!isLast()) return;
      }
      this.isAsking = false;
      this.describe();
    } catch (error) {
      if (!isLast()) return;
      this.caption.textContent = error.message;
    }
    this.draw();
    busy.setAttribute("aria-busy", "false");
  }

  describe() {
    const [height, width] = this.image.size;
    const count = this.mask ? this.mask.reduce((sum, one) => sum + one, 0) : 0;
    const clicks = this.clicks.length === 1 ? "1 click" : `${this.clicks.length} clicks`;
    this.caption.textContent = this.hasBegun ? `${clicks}: ${percent(count / (height * width))} of the image` : "Nothing is clicked on.";
    this.save.setAttribute("href", link("mask", this.asked()));
    this.save.toggleAttribute("hidden", !count);
    this.takeBack.disabled = this.startAgain.disabled = !this.clicks.length;
    if (this.keepIt) this.keepIt.disabled = !count || this.isAsking;
    this.levels.hidden = !this.chain;
    if (!this.chain) return;
    this.slider.max = String(this.chain.reduce((most, one) => Math.max(most, one), 0));
    this.slider.value = String(this.level ?? this.shownLevel());
  }

  /** The level at which the last wanted click stands by itself: the highest of which all is selected. */
  shownLevel() {
    const missing = this.chain.reduce((least, level, place) => (this.mask[place] ? least : Math.min(least, level)), Infinity);
    return Math.min(Number(this.slider.max), missing - 1);
  }

  setLevel(level) {
    this.level = level;
    this.ask();
  }

  /** Show what is kept, once the server has said it. */
  async hear(request) {
    let problem = "";
    try {
      this.kept = await request();
    } catch (error) {
      problem = error.message;
    }
    if (!this.isCurrent()) return;
    this.corrections.replaceChildren(make("h2", {}, "Corrections"), make("p", { id: "kept-in", role: "status" }, problem));
    if (!this.kept) return;
    const { labels, things, complete, file } = this.kept;
    this.label = labels.includes(this.label) ? this.label : labels[0];
    this.keepIt = make("button", { id: "keep", title: "keep what is selected (k)", onclick: () => this.keep() }, "keep");
    const rest = make("input", {
      type: "checkbox", id: "complete", checked: complete, onchange: (event) => this.write(() => ({ complete: event.target.checked })),
    });
    this.corrections.replaceChildren(
      make("h2", {}, "Corrections"),
      make("div", { class: "bar" }, select("label", labels.map((one) => [one, one]), this.label, (value) => (this.label = value), "this is"), this.keepIt),
      make("ul", { id: "kept" }, things.map((one, place) => make("li", {}, make("bdi", {}, one.label), " ", this.remover(place)))),
      make("label", {}, rest, "the rest is background"),
      make("p", { id: "kept-in", role: "status" }, problem || make("bdi", {}, `kept in ${file}`)),
    );
    this.describe();
    this.draw();
  }

  remover(place) {
    const others = (kept) => ({ things: [...kept.things.keys()].filter((other) => other !== place) });
    return make("button", { onclick: () => this.write(others) }, "remove");
  }

  /** Keep what is selected, and begin with the next thing. */
  async keep() {
    if (!this.keepIt || this.keepIt.disabled) return;
    const { label, begun, clicks, level } = this;
    const one = { label, by: this.section.section, start: begun, clicks: [...clicks], level };
    if (await this.write((kept) => ({ things: [...kept.things.keys(), one] }))) this.begin("");
  }

  /** Have the line say something else, once what was asked before is done. Returns whether it does. */
  write(change) {
    const done = this.writing.then(async () => {
      const before = this.kept;
      if (!before || !this.isCurrent()) return false;
      const { complete, things } = { complete: before.complete, things: [...before.things.keys()], ...change(before) };
      await this.hear(() => send("correct", { image: this.image.id, seen: before.seen, complete, things }));
      return this.isCurrent() && this.kept !== before;
    });
    this.writing = done;
    return done;
  }

  undo() {
    if (!this.clicks.length) return;
    this.clicks.pop();
    this.level = null;
    this.ask();
  }

  clear() {
    this.clicks = [];
    this.level = null;
    this.ask();
  }

  click(event) {
    const place = this.place(event);
    if (!place || !this.photo) return;
    event.preventDefault();
    this.clicks.push([...place, event.button === RIGHT ? 0 : 1]);
    this.level = null;
    this.ask();
  }

  /** The row and column under the pointer, if it is on the image. */
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const [height, width] = this.image.size;
    const scale = Math.min(box.width / width, box.height / height);
    const column = Math.floor((event.clientX - box.left - (box.width - width * scale) / 2) / scale);
    const row = Math.floor((event.clientY - box.top - (box.height - height * scale) / 2) / scale);
    return row < 0 || column < 0 || row >= height || column >= width ? null : [row, column];
  }

  /** Show what a click there would select, once the pointer rests. */
  hover(event) {
    const place = this.place(event);
    clearTimeout(this.resting);
    if (!place || !this.photo) return this.leave();
    this.resting = setTimeout(() => this.foresee(place), REST);
  }

  async foresee(place) {
    const turn = this.turn;
    const clicks = [...this.clicks, [...place, 1]];
    try {
      const seen = await array("click", this.asked(clicks, null));
      if (turn !== this.turn || !this.isCurrent()) return;
      this.preview = seen.values;
      this.draw();
    } catch {
      // a click says what is wrong
    }
  }

  leave() {
    clearTimeout(this.resting);
    if (this.preview && this.photo) {
      this.preview = null;
      this.draw();
    }
  }

  draw() {
    const { width, height } = this.photo;
    const image = new ImageData(new Uint8ClampedArray(this.photo.data), width, height);
    for (const one of this.kept?.things ?? []) {
      tint(image, spread(one.runs, width * height), this.run.palette[this.run.classes.indexOf(one.label)], SHARE);
    }
    if (this.preview) tint(image, this.preview, PREVIEW, 0);
    if (this.mask) tint(image, this.mask, SELECTED, SHARE);
    paint(this.canvas, image);
    const context = this.canvas.getContext("2d");
    const size = Math.max(2, Math.min(width, height) / 60);
    for (const [row, column, wanted] of this.clicks) {
      context.beginPath();
      context.arc(column + 0.5, row + 0.5, size, 0, 2 * Math.PI);
      context.fillStyle = wanted ? "#009e73" : "#d55e00";
      context.fill();
      context.lineWidth = size / 3;
      context.strokeStyle = "#fff";
      context.stroke();
    }
  }
}

/** The mask of some runs, by turns not selected and selected. */
function spread(runs, length) {
  const mask = new Uint8Array(length);
  let first = 0;
  runs.forEach((run, turn) => mask.fill(turn % 2, first, (first += run)));
  return mask;
}

/** Colour what is selected, and draw its border. */
function tint(image, mask, colour, share) {
  const { data, width } = image;
  for (let index = 0; index < mask.length; index++) {
    if (!mask[index]) continue;
    const column = index % width;
    const edge =
      column === 0 || column + 1 === width || index < width || index + width >= mask.length ||
      !mask[index - 1] || !mask[index + 1] || !mask[index - width] || !mask[index + width];
    const weight = edge ? 1 : share;
    for (let channel = 0; channel < 3; channel++) data[4 * index + channel] += (colour[channel] - data[4 * index + channel]) * weight;
  }
}
