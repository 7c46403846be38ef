// The page: what the address asks for, and the keys.

import * as address from "./address.js";
import { forget, json } from "./api.js";
import { make } from "./dom.js";
import { showClicks } from "./click.js";
import { showGrid } from "./grid.js";
import { showImage } from "./image.js";

const KEYS = [
  ["←  →", "image before, next image"], ["1 … 9", "layer on or off"], ["t", "truth"], ["e", "errors of the uppermost labels"], ["0", "no layer"],
  ["-  +", "opacity"], ["s", "swipe, or side by side"], ["c", "select by clicks"],
  ["u", "take the last click back"], ["k", "keep what is selected"], ["g", "all images"], ["PageUp  PageDown", "page before, next page"], ["?", "these keys"],
];
const content = document.getElementById("content");
const dialog = document.getElementById("keys");
let run = null;
let turn = 0;
let keys = {};

async function show() {
  const mine = ++turn;
  const isCurrent = () => mine === turn;
  keys = {};
  try {
    run ??= await json("run");
    if (!isCurrent()) return;
    document.getElementById("run").textContent = Object.values(run.runs).join(" against ");
    document.getElementById("problems").replaceChildren(...run.problems.map((one) => make("div", {}, one)));
    const id = address.get("id");
    document.title = id ? `${id} · Seedbed` : "Seedbed";
    document.getElementById("home").setAttribute("href", address.changed({ id: "", click: "", clicks: "", start: "", level: "", layers: address.get("layers") }));
    const clicks = Boolean(id && address.get("click"));
    const found = await (clicks ? showClicks : id ? showImage : showGrid)(content, run, isCurrent);
    if (!isCurrent()) return;
    keys = found ?? {};
    content.dataset.shown = clicks ? "clicks" : id ? "image" : "grid";
    content.focus({ preventScroll: true });
  } catch (error) {
    if (!isCurrent()) return;
    run = null;
    content.dataset.shown = "message";
    content.replaceChildren(make("div", { class: "message" }, error.message), make("button", { onclick: reload }, "try again"));
  }
}

function reload() {
  run = null;
  forget();
  show();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=search], select, input[type=range]")) return;
  if (event.key === "?") dialog.open ? dialog.close() : dialog.showModal();
  else if (event.key === "g") address.go(document.getElementById("home").getAttribute("href"));
  else if (keys[event.key]) keys[event.key]();
  else return;
  event.preventDefault();
});

dialog.append(make("dl", {}, KEYS.map(([key, what]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)])));
document.getElementById("help").addEventListener("click", () => dialog.showModal());
dialog.addEventListener("click", () => dialog.close());
address.onChange(show);
show();
