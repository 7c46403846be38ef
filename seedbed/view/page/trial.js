// What another value of a parameter would make, before any stage runs.

import { array, json } from "./api.js";
import { make, select } from "./dom.js";

const SPAN = 4; // where a parameter has no bound: so many times its value

export function showTrial(run, id, tried) {
  const panel = make("section", { class: "panel", id: "trial" });
  const knobs = make("div");
  const said = make("div");
  const waiting = make("div", { class: "faint", id: "pending" });
  let stage = "";
  let method = "";
  let shown = "";
  let changes = {};
  let turn = 0;

  async function choose(value) {
    [stage, changes] = [value, {}];
    turn++; // what was asked for of another stage comes too late
    knobs.replaceChildren();
    said.replaceChildren();
    waiting.replaceChildren();
    tried(null);
    if (!stage) return;
    tellPending(value);
    try {
      const found = await json("knobs", { stage });
      if (value !== stage) return;
      ({ method, shown } = found);
      knobs.replaceChildren(...found.knobs.map((one) => knob(one, change)));
    } catch (error) {
      said.replaceChildren(make("div", { class: "message" }, error.message));
    }
  }

  async function change(one, value) {
    if (value === one.value) delete changes[one.address];
    else changes[one.address] = String(value);
    const mine = ++turn;
    const asked = { stage, ...Object.fromEntries(Object.entries(changes).map(([address, text]) => [`set.${address}`, text])) };
    try {
      const [made, plan] = await Promise.all([array("try", { ...asked, id }), json("try", asked)]);
      if (mine !== turn) return;
      tried({ key: "trial", artifact: stage, name: `${stage}, as tried`, shown, classId: null, array: made, things: made.things });
      said.replaceChildren(...describe(plan));
    } catch (error) {
      if (mine === turn) said.replaceChildren(make("div", { class: "message" }, error.message));
    }
  }

  /** What `seedbed plan` says of the workspace. It takes a second or two, so nothing waits for it. */
  async function tellPending(mine) {
    let told;
    try {
      const { stages } = await json("pending");
      const list = (verdicts) => stages.filter((one) => verdicts.includes(one.verdict)).map((one) => `${one.stage} (${one.reasons.join("; ")})`).join(", ");
      const [runs, stale] = [list(["runs", "perhaps"]), list(["stale"])];
      told = [
        runs && make("p", {}, `Without any change, dvc repro already has to see to ${runs}.`),
        stale && make("p", {}, `DVC takes these for up to date, though they are not: ${stale}. seedbed plan says how to make them anew.`),
      ].filter(Boolean);
    } catch (error) {
      told = [make("div", { class: "message" }, error.message)];
    }
    if (mine === stage) waiting.replaceChildren(...told);
  }

  function describe(plan) {
    if (!plan.params) return [make("p", { class: "faint" }, `As params.yaml says: ${stage}.${method}.`)];
    const perhaps = plan.perhaps.length ? `, then ${plan.perhaps.join(", ")} if that changes what they read` : "";
    return [
      make("p", {}, "In params.yaml:"),
      make("pre", { id: "params" }, plan.params),
      make("p", { id: "consequences" }, "dvc repro", ` runs ${plan.runs.join(", ")}${perhaps}.`),
    ];
  }

  panel.append(make("h2", {}, "Try"), select("stage", [["", "nothing"], ...run.tried.map((one) => [one, one === "evaluation" ? "threshold of class maps" : one])], "", choose, "another"), knobs, said, waiting);
  return panel;
}

function knob(one, change) {
  if (typeof one.value === "boolean") {
    const box = make("input", { type: "checkbox", checked: one.value });
    box.addEventListener("change", () => change(one, box.checked));
    return make("label", { title: one.meaning }, box, one.address);
  }
  const low = one.lowest ?? 0;
  const high = one.highest !== null && one.highest <= SPAN * Math.max(1, one.value) ? one.highest : SPAN * Math.max(one.whole ? 1 : 0.25, one.value);
  const step = one.whole ? 1 : (high - low) / 200;
  const slider = make("input", { type: "range", name: one.address, min: String(low), max: String(high), step: String(step), value: String(one.value), "aria-label": one.address });
  const shown = make("span", { class: "number" }, String(one.value));
  slider.addEventListener("input", () => {
    const value = Number(Number(slider.value).toPrecision(4));
    shown.textContent = String(value);
    change(one, value);
  });
  return make("label", { class: "knob", title: one.meaning }, make("span", {}, one.address), shown, slider);
}
