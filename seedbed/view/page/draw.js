// Layers over an image. Every way in which a schema can say that an array is shown has a function here.

export const IGNORE = 255;
const BORDER = [255, 255, 255];
const DARK = [0, 0, 0];
const DIM = 0.4;
export const RAMP = [[0, 32, 76], [124, 123, 120], [255, 233, 69]]; // from nothing to all, for every eye

function blend(pixels, place, colour, share) {
  for (let channel = 0; channel < 3; channel++) {
    pixels[place + channel] += (colour[channel] - pixels[place + channel]) * share;
  }
}

function ramp(value) {
  const along = (value / 255) * (RAMP.length - 1);
  const low = Math.min(RAMP.length - 2, Math.floor(along));
  return RAMP[low].map((level, channel) => level + (RAMP[low + 1][channel] - level) * (along - low));
}

const LIGHT = Array.from({ length: 256 }, (_, value) => ramp(value));

/** Numbers in colours, each with a border; `none` is what no pixel is of. */
function paintNumbers(pixels, layer, palette, none) {
  const { values, width } = layer.array;
  for (let index = 0; index < values.length; index++) {
    const label = values[index];
    if (label === none) continue;
    if (label === 0) {
      blend(pixels, 4 * index, DARK, 0.7 * layer.opacity);
      continue;
    }
    const column = index % width;
    const edge =
      (column + 1 < width && values[index + 1] !== label) || (column > 0 && values[index - 1] !== label) ||
      (index + width < values.length && values[index + width] !== label) || (index >= width && values[index - width] !== label);
    blend(pixels, 4 * index, palette[label] ?? BORDER, edge ? 1 : layer.opacity);
  }
}

function labels(pixels, layer, { palette }) {
  paintNumbers(pixels, layer, palette, IGNORE);
}

function things(pixels, layer, look) {
  paintNumbers(pixels, layer, look.things, null);
}

function regions(pixels, layer) {
  const { values, width } = layer.array;
  for (let index = 0; index < values.length; index++) {
    const right = (index + 1) % width !== 0 && values[index + 1] !== values[index];
    const below = index + width < values.length && values[index + width] !== values[index];
    if (right || below) blend(pixels, 4 * index, BORDER, layer.opacity);
    if (layer.marked !== undefined && values[index] === layer.marked) blend(pixels, 4 * index, BORDER, 0.35);
  }
}

function light(pixels, layer) {
  const { values } = layer.array;
  for (let index = 0; index < values.length; index++) blend(pixels, 4 * index, LIGHT[values[index]], layer.opacity);
}

function ofClass(pixels, layer, { palette }) {
  const { values } = layer.array;
  const colour = palette[layer.classId] ?? BORDER;
  const shown = layer.classId === 0 ? BORDER : colour;
  for (let index = 0; index < values.length; index++) {
    blend(pixels, 4 * index, DARK, 0.6 * layer.opacity);
    blend(pixels, 4 * index, shown, (values[index] / 255) * layer.opacity);
  }
}

function colours(pixels, layer) {
  const { values, channels } = layer.array;
  for (let index = 0; index < values.length / channels; index++) {
    blend(pixels, 4 * index, values.subarray(index * channels, index * channels + 3), layer.opacity);
  }
}

/** A pixel without its colour and with little light, as what is right looks in pictures of errors. */
function dim(pixels, place) {
  const grey = DIM * (0.299 * pixels[place] + 0.587 * pixels[place + 1] + 0.114 * pixels[place + 2]);
  return [grey, grey, grey];
}

/** False: a class where background is; missed: nothing where a class is; confused: another class. */
function errors(pixels, layer, { errors: meaning }) {
  const { values } = layer.array;
  const [falsely, missed, confused, nowhere] = meaning.map(([, colour]) => colour);
  for (let index = 0; index < values.length; index++) {
    const label = values[index];
    const truth = layer.truth.values[index];
    if (truth === IGNORE) blend(pixels, 4 * index, nowhere, layer.opacity);
    else if (label === truth) blend(pixels, 4 * index, dim(pixels, 4 * index), layer.opacity);
    else if (label === IGNORE || label === 0) blend(pixels, 4 * index, missed, layer.opacity);
    else blend(pixels, 4 * index, truth === 0 ? falsely : confused, layer.opacity);
  }
}

const WAYS = { labels, regions, confidence: light, scores: light, probabilities: labels, things, objects: light, features: colours, light, ways: colours, merges: regions, selections: regions, errors };

/** Draw layers over a photograph; pixels of a canvas. */
export function compose(photo, layers, look) {
  const image = new ImageData(new Uint8ClampedArray(photo.data), photo.width, photo.height);
  for (const layer of layers) {
    const { height, width } = layer.array;
    if (height !== photo.height || width !== photo.width) throw new Error(`a layer of ${height} x ${width} over an image of ${photo.height} x ${photo.width}`);
    const way = layer.classId === null || layer.classId === undefined ? WAYS[layer.shown] : ofClass;
    if (!way) throw new Error(`no way to show ${layer.shown}`);
    way(image.data, layer, look);
  }
  return image;
}

/** Shares of the classes among labels, most first; unlabelled is 255. */
export function shares(array) {
  const counts = new Map();
  for (const label of array.values) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].map(([label, count]) => [label, count / array.values.length]).sort((one, other) => other[1] - one[1]);
}
