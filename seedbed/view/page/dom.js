// Elements, always with text, never with markup: names and ids may hold anything.

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

export function chip(colour) {
  const element = make("span", { class: "chip" });
  element.style.background = `rgb(${colour.join(" ")})`;
  return element;
}

export function select(name, options, value, change, label) {
  const element = make("select", { name, onchange: (event) => change(event.target.value) });
  for (const [key, text] of options) element.append(make("option", { value: key, selected: key === value }, text));
  return make("label", {}, label, element);
}

export function percent(share) {
  return share >= 0.1 ? `${(100 * share).toFixed(0)} %` : `${(100 * share).toFixed(1)} %`;
}

export function figure(value) {
  if (value === null || value === undefined) return "";
  return Number.isInteger(value) ? String(value) : value.toFixed(3);
}

/** Put an image on a canvas. */
export function paint(canvas, image) {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}
