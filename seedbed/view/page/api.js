// What the server is asked for. Arrays are kept, so that a toggle asks for nothing twice.

const MOST_BYTES = 128 * 2 ** 20;
const TYPES = { uint8: Uint8Array, int32: Int32Array };
const kept = new Map();
let keptBytes = 0;

/** Where something is that the server is asked for. */
export function link(name, asked) {
  const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== undefined && value !== null && value !== ""));
  return `/api/${name}?${query}`;
}

async function ask(url, request) {
  const response = await fetch(url, request);
  if (response.ok) return response;
  const text = await response.text();
  let said = text;
  try {
    said = JSON.parse(text).error;
  } catch {
    // the server's own words
  }
  throw new Error(said || `the server answered ${response.status}`);
}

export async function json(name, asked = {}) {
  return (await ask(link(name, asked))).json();
}

/** Have the server keep something, and hear what it has kept. */
export async function send(name, content) {
  const headers = { "Content-Type": "application/json" };
  return (await ask(link(name, {}), { method: "POST", headers, body: JSON.stringify(content) })).json();
}

/** An array: its values, height, width and channels, and class and score of each thing that it numbers. */
export async function array(name, asked) {
  const url = link(name, asked);
  if (!kept.has(url)) {
    const made = load(url);
    kept.set(url, made);
    made.then((one) => keep(url, one), () => kept.delete(url));
  }
  return kept.get(url);
}

async function load(url) {
  const response = await ask(url);
  const [height, width, channels = 1] = response.headers.get("X-Shape").split(",").map(Number);
  const Type = TYPES[response.headers.get("X-Type")];
  const values = new Type(await response.arrayBuffer());
  if (values.length !== height * width * channels) throw new Error("an answer was cut short");
  const things = JSON.parse(response.headers.get("X-Things"));
  return { values, height, width, channels, things };
}

function keep(url, one) {
  keptBytes += one.values.byteLength;
  for (const [old, promise] of kept) {
    if (keptBytes <= MOST_BYTES || old === url) break;
    kept.delete(old);
    promise.then((gone) => (keptBytes -= gone.values.byteLength), () => {});
  }
}

/** What was kept is of another run of a stage, perhaps. */
export function forget() {
  kept.clear();
  keptBytes = 0;
}

/** Pixels of an image as the stages see it, no side longer than one length. */
export async function photo(asked) {
  const response = await ask(link("photo", asked));
  const bitmap = await createImageBitmap(await response.blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
