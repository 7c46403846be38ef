// All images, some at a time: filtered, sorted, each with one layer over it.

import * as address from "./address.js";
import { array, json, photo } from "./api.js";
import { figure, make, paint, select } from "./dom.js";
import { compose } from "./draw.js";

const COUNT = 60;
const SIDE = 240;
const OPACITY = 0.6;

export async function showGrid(content, run, isCurrent) {
  const first = Number(address.get("first", "0"));
  const found = await json("images", { ...address.question(), first, count: COUNT });
  if (!isCurrent()) return null;
  const over = address.get("over");
  const cards = found.images.map((one) => card(one, run, over, isCurrent));
  const page = (place, text, key) =>
    make("button", { disabled: place < 0 || place >= found.total, title: key, onclick: () => address.go(address.changed({ first: place || "" })) }, text);
  const last = Math.min(first + COUNT, found.total);
  content.replaceChildren(
    bar(run),
    make("div", { class: "grid", id: "grid" }, cards),
    found.total ? null : make("div", { class: "empty" }, "No image is like that."),
  );
  document.getElementById("place").replaceChildren(
    make("span", { class: "number", id: "count" }, found.total ? `${first + 1}–${last} of ${found.total.toLocaleString("en")}` : "0"),
    page(first - COUNT, "‹ before", "page before (PageUp)"),
    page(first + COUNT, "next ›", "next page (PageDown)"),
  );
  return {
    PageDown: () => last < found.total && address.go(address.changed({ first: first + COUNT })),
    PageUp: () => first > 0 && address.go(address.changed({ first: Math.max(0, first - COUNT) || "" })),
    Enter: () => document.activeElement === document.getElementById("content") && cards[0]?.click(),
  };
}

function bar(run) {
  const change = (name) => (value) => address.go(address.changed({ [name]: value, first: "" }));
  const named = (names) => names.map((name) => [name, name]);
  const layers = run.layers.map((one) => [`${one.artifact}.${one.array}`, `${one.artifact}: ${one.array}`]);
  const search = make("input", { type: "search", name: "text", value: address.get("text"), placeholder: "part of an id" });
  search.addEventListener("change", () => change("text")(search.value));
  const descending = address.get("order") === "descending";
  return make(
    "div", { class: "bar" },
    search,
    select("class", [["", "any class"], ...named(run.classes.slice(1))], address.get("class"), change("class"), "shows"),
    select("split", [["", "any"], ...named(run.splits)], address.get("split"), change("split"), "split"),
    select("labelled", [["", "or not"], ["yes", "yes"], ["no", "no"]], address.get("labelled"), change("labelled"), "labelled"),
    select("sort", [["", "order of the data set"], ...Object.entries(run.sorts)], address.get("sort"), change("sort"), "by"),
    make("button", { name: "order", title: "the other way round", onclick: () => change("order")(descending ? "" : "descending") }, descending ? "↓ highest first" : "↑ lowest first"),
    select("over", [["", "nothing"], ...layers], address.get("over"), change("over"), "over it"),
  );
}

function card(one, run, over, isCurrent) {
  const canvas = make("canvas", { width: SIDE, height: 150 });
  const value = make("span", { class: "number faint" }, figure(one.value));
  const link = make("a", { class: "card", href: address.changed({ id: one.id }), title: one.id }, canvas, make("div", {}, make("bdi", {}, one.id), value));
  draw(canvas, one, run, over).catch((error) => isCurrent() && canvas.replaceWith(make("div", { class: "message" }, error.message)));
  return link;
}

async function draw(canvas, one, run, over) {
  if (one.problem) throw new Error(one.problem);
  const pixels = await photo({ id: one.id, side: SIDE });
  paint(canvas, pixels);
  if (!over) return;
  const [artifact, name] = over.split(".");
  const spec = run.layers.find((layer) => layer.artifact === artifact && layer.array === name);
  if (!spec) return;
  const layer = { ...spec, opacity: OPACITY, array: await array("layer", { id: one.id, artifact, array: name, side: SIDE }) };
  paint(canvas, compose(pixels, [layer], run));
}
