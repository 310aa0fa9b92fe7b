// A picture for what has none: a tile pattern and colours, always the same for the same id.

import { h, s } from "./dom.js";

const PALETTES = [
  ["#c8502b", "#f3c98b", "#fbeedb", "#7d2c14"],
  ["#2f6f73", "#8fc7b5", "#eaf2e3", "#173f44"],
  ["#d99026", "#f7dc9b", "#fff6df", "#8a4f10"],
  ["#4d6a35", "#b5c97c", "#f2f1da", "#2c401c"],
  ["#29577d", "#8db9d6", "#eaf1f5", "#163450"],
  ["#8d3b52", "#e0a3a3", "#faeae4", "#561e31"],
  ["#5c4a86", "#b6a6d6", "#f0ebf5", "#362a58"],
];

function hash(text) {
  let value = 2166136261;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 16777619);
  return value >>> 0;
}

function* dice(seed) {
  let state = seed || 1;
  for (;;) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield state >>> 0;
  }
}

// A hair of outline closes the seams that antialiasing leaves between neighbours.
const paint = (colour) => ({ fill: colour, stroke: colour, "stroke-width": 0.5 });

// One quarter of an azulejo, drawn in a 50 x 50 cell; four of them, turned, make a tile.
const MOTIFS = [
  (a, b) => [s("path", { d: "M0 0h50A50 50 0 0 1 0 50z", ...paint(a) }), s("path", { d: "M0 0h22A22 22 0 0 1 0 22z", ...paint(b) })],
  (a, b) => [s("path", { d: "M0 0L50 0 0 50z", ...paint(a) }), s("circle", { cx: 34, cy: 34, r: 8, fill: b })],
  (a, b) => [s("path", { d: "M0 0C36 6 44 14 50 50 14 44 6 36 0 0z", ...paint(a) }), s("circle", { cx: 0, cy: 0, r: 11, fill: b })],
  (a, b) => [s("path", { d: "M50 0A50 50 0 0 0 0 50h16A34 34 0 0 1 50 16z", ...paint(a) }), s("rect", { x: 0, y: 0, width: 14, height: 14, ...paint(b) })],
  (a, b) => [s("path", { d: "M0 25 25 0 50 25 25 50z", ...paint(a) }), s("circle", { cx: 25, cy: 25, r: 7, fill: b })],
];

export function pattern(id, { square = false } = {}) {
  const roll = dice(hash(String(id)));
  const next = (count) => roll.next().value % count;
  next(7);
  const [a, b, ground, dark] = PALETTES[next(PALETTES.length)];
  const motif = MOTIFS[next(MOTIFS.length)];
  const colours = next(2) ? [a, dark] : [b, a];
  const [columns, rows] = square ? [2, 2] : [4, 3];
  const svg = s("svg", { class: square ? "tile square" : "tile", viewBox: `0 0 ${columns * 50} ${rows * 50}`, preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true" },
    s("rect", { width: columns * 50, height: rows * 50, fill: ground }));
  for (let column = 0; column < columns; column += 1) {
    for (let row = 0; row < rows; row += 1) {
      const turn = [[180, 270], [90, 0]][row % 2][column % 2];
      svg.append(s("g", { transform: `translate(${column * 50} ${row * 50}) rotate(${turn} 25 25)` }, motif(...colours)));
    }
  }
  return svg;
}

/** The product's image, or its pattern; a broken image falls back to the pattern too. */
export function picture(id, url, { square = false, alt = "" } = {}) {
  if (!url) return pattern(id, { square });
  const image = h("img", { class: square ? "tile square" : "tile", src: url, alt, loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.replaceWith(pattern(id, { square })), { once: true });
  return image;
}

export function avatar(id, name, { online = false } = {}) {
  const [a, , ground] = PALETTES[hash(String(id)) % PALETTES.length];
  return h("span", { class: "avatar", style: { background: a, color: ground }, "aria-hidden": "true" },
    (name || "?").trim().charAt(0).toUpperCase(), online && h("span", { class: "dot" }));
}
