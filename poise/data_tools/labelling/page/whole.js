/* The whole one: its category, and its box apart from its points. */
import { blank, chosenKind, propose } from "./adding.js";
import { change, remember } from "./editing.js";
import { touched } from "./saving.js";
import { boxed, kindOf, NONE, now, page, person, show, tidy } from "./state.js";
import { toPicture, toScreen } from "./view.js";

/** Pixels of the screen: how far a pointer may miss a side of the box. Pixels of the picture: the least side. */
const NEAR = 7, LEAST = 4;

/**
 * Say that it is of another category. Points of the same name stay; those that the new one lacks are kept aside, and
 * are there again when it is of a category that has them.
 */
export function setCategory(category) {
  const one = person();
  if (!one || one.category_id === category) return show();
  const from = kindOf(one), to = page.kinds.get(category), points = { ...one.aside };
  page.placing = null;
  page.chosen.k = -1;
  change(() => {
    from.keypoints.forEach((name, k) => { if (one.keypoints[k][2] > NONE) points[name] = one.keypoints[k]; });
    one.category_id = category;
    one.keypoints = to.keypoints.map((name, k) => {
      const point = to.asked.includes(k) && points[name];
      if (point) delete points[name];
      return point || [0, 0, NONE];
    });
    one.aside = points;
  });
}

export function nextCategory() {
  const all = [...page.kinds.keys()], one = person();
  if (one && all.length > 1) setCategory(all[(all.indexOf(one.category_id) + 1) % all.length]);
}

/** Draw the box of the chosen one anew, or that of a new one who has no points. */
export function startOutline() {
  if (!now() || !page.size || page.asking) return;
  page.placing = null;
  tidy();
  page.boxing = "own";
  show();
}

/** What a box is for that was drawn; its corners as pixels lie, whose centres are whole numbers. */
export function finishBox(box) {
  const wanted = page.boxing;
  page.boxing = "";
  const [x1, x2] = [box[0], box[2]].sort((a, b) => a - b), [y1, y2] = [box[1], box[3]].sort((a, b) => a - b);
  const edges = inside([x1 + 0.5, y1 + 0.5, x2 + 0.5, y2 + 0.5]);
  if (edges[2] - edges[0] < LEAST || edges[3] - edges[1] < LEAST) return;
  if (wanted === "model") return propose([x1, y1, x2, y2]);
  change((picture) => {
    if (!person()) page.chosen = { p: picture.people.push(blank(page.kinds.get(chosenKind()))) - 1, k: -1 };
    Object.assign(person(), { bbox: boxed(edges), drawn: true });
  });
}

/** Left, top, right, bottom of a box within the picture. */
function inside([left, top, right, bottom]) {
  const { width, height } = page.size;
  return [[left, width], [top, height], [right, width], [bottom, height]]
    .map(([v, most]) => Math.round(Math.min(Math.max(v, 0), most) * 100) / 100);
}

/** Corners of the chosen one's box on the screen: left, top, right, bottom; null without a box. */
export function frameOf(one) {
  if (!one || !one.bbox) return null;
  const [x, y, width, height] = one.bbox;
  return [...toScreen(x - 0.5, y - 0.5), ...toScreen(x + width - 0.5, y + height - 0.5)];
}

/** Sides of the chosen one's box at a place of the screen, as numbers of its left, top, right, bottom; or null. */
export function gripAt(x, y) {
  const frame = frameOf(person());
  if (!frame || page.placing || page.boxing || page.hidden) return null;
  const [left, top, right, bottom] = frame;
  if (x < left - NEAR || x > right + NEAR || y < top - NEAR || y > bottom + NEAR) return null;
  const near = (a, b) => Math.abs(a - b) < NEAR;
  // of a small box the right and lower sides, which make it larger
  const across = near(x, right) ? [2] : near(x, left) ? [0] : [], down = near(y, bottom) ? [3] : near(y, top) ? [1] : [];
  const sides = [...across, ...down];
  return sides.length ? sides : null;
}

export const gripStyle = (sides) => (sides.length === 1 ? (sides[0] % 2 ? "ns" : "ew")
  : (sides[0] === 0) === (sides[1] === 1) ? "nwse" : "nesw");

export function startGrip(sides, x, y) {
  const [left, top, width, height] = person().bbox;
  return { sides, from: toPicture(x, y), edges: [left, top, left + width, top + height], remembered: false };
}

export function moveGrip(grip, x, y) {
  const to = toPicture(x, y), edges = [...grip.edges];
  for (const side of grip.sides) {
    const moved = edges[side] + to[side % 2] - grip.from[side % 2];
    // it never turns inside out
    edges[side] = side < 2 ? Math.min(moved, edges[side + 2] - LEAST) : Math.max(moved, edges[side - 2] + LEAST);
  }
  if (!grip.remembered) {
    remember();
    grip.remembered = true;
  }
  Object.assign(person(), { bbox: boxed(inside(edges)), drawn: true });
}

export function dropGrip(grip) {
  if (grip.remembered) touched();
}
