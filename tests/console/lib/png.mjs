// Small pictures for the documentation: at most 256 colours, which a page of
// flat colours hardly shows.
import { deflateSync } from "node:zlib";
import { writeFileSync } from "node:fs";
import { need } from "./browser.mjs";

const { PNG } = need("pngjs");
const MAX = 256;

const table = Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

function crc(data) {
  let c = 0xffffffff;
  for (const b of data) c = table[(c ^ b) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc(body), body.length + 4);
  return out;
}

/** Splits the box with the widest channel at its median until there are MAX. */
function palette(counts) {
  const colours = [...counts].map(([c, n]) => [c >> 16, (c >> 8) & 255, c & 255, n]);
  const width = (box, k) => {
    let lo = 255;
    let hi = 0;
    for (const c of box) {
      if (c[k] < lo) lo = c[k];
      if (c[k] > hi) hi = c[k];
    }
    return hi - lo;
  };
  const describe = (box) => {
    const w = [0, 1, 2].map((k) => width(box, k));
    const k = w.indexOf(Math.max(...w));
    return { box, k, spread: w[k] * Math.log2(2 + box.reduce((n, c) => n + c[3], 0)) };
  };
  const boxes = [describe(colours)];
  while (boxes.length < MAX) {
    let at = -1;
    boxes.forEach((b, i) => {
      if (b.box.length > 1 && (at < 0 || b.spread > boxes[at].spread)) at = i;
    });
    if (at < 0) break;
    const { box, k } = boxes[at];
    box.sort((a, b) => a[k] - b[k]);
    const half = box.reduce((n, c) => n + c[3], 0) / 2;
    let sum = 0;
    let cut = 1;
    for (; cut < box.length; cut++) {
      sum += box[cut - 1][3];
      if (sum >= half) break;
    }
    cut = Math.min(cut, box.length - 1);
    boxes.splice(at, 1, describe(box.slice(0, cut)), describe(box.slice(cut)));
  }
  // The most frequent colour of a box stands for it: flat areas stay exact.
  return boxes.map(({ box }) => box.reduce((a, b) => (b[3] > a[3] ? b : a)));
}

/** Writes the PNG 'data' to 'file' with a palette; returns its size in bytes. */
export function writeSmall(data, file) {
  const { width, height, data: rgba } = PNG.sync.read(data);
  const counts = new Map();
  const at = (i) => (rgba[i] << 16) | (rgba[i + 1] << 8) | rgba[i + 2];
  for (let i = 0; i < rgba.length; i += 4) counts.set(at(i), (counts.get(at(i)) ?? 0) + 1);
  const colours = palette(counts);
  const nearest = new Map();
  const find = (c) => {
    let best = 0;
    let least = Infinity;
    colours.forEach((p, i) => {
      const d = (p[0] - (c >> 16)) ** 2 + (p[1] - ((c >> 8) & 255)) ** 2 + (p[2] - (c & 255)) ** 2;
      if (d < least) {
        least = d;
        best = i;
      }
    });
    nearest.set(c, best);
    return best;
  };
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0, o = 0; y < height; y++) {
    rows[o++] = 0;
    for (let x = 0; x < width; x++) {
      const c = at((y * width + x) * 4);
      rows[o++] = nearest.get(c) ?? find(c);
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8);
  const out = Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk("IHDR", head),
    chunk("PLTE", Buffer.from(colours.flatMap((c) => c.slice(0, 3)))),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
  writeFileSync(file, out);
  return out.length;
}
