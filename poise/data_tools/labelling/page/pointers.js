/* Mouse, pen and fingers on the picture. */
import { choose } from "./choosing.js";
import { advance, place, remember, setState } from "./editing.js";
import { canvas, get, pretty, stage } from "./elements.js";
import { touched } from "./saving.js";
import { draw, kindOf, NONE, now, OCCLUDED, page, show, VISIBLE } from "./state.js";
import { clamp, toPicture, toScreen, view, zoom } from "./view.js";
import { dropGrip, finishBox, gripAt, moveGrip, startGrip } from "./whole.js";

/** Pixels of the screen: how far a click may miss a point. */
const NEAR = 13, NEAR_TOUCH = 24;
const pointers = new Map();

function where(event) {
  const frame = canvas.getBoundingClientRect();
  return [event.clientX - frame.left, event.clientY - frame.top];
}

function nearest(x, y, touch) {
  let best = null, least = touch ? NEAR_TOUCH : NEAR;
  now().people.forEach((one, p) => one.keypoints.forEach((point, k) => {
    if (point[2] === NONE) return;
    const [px, py] = toScreen(point[0], point[1]);
    // where points lie upon one another the chosen one's is meant
    const far = Math.hypot(px - x, py - y) * (p === page.chosen.p ? 0.7 : 1);
    if (far < least) [best, least] = [{ p, k }, far];
  }));
  return best;
}

/** The smallest one that a place is in. */
function around(x, y) {
  const [px, py] = toPicture(x, y);
  let best = -1, least = Infinity;
  now().people.forEach((one, p) => {
    const box = one.bbox;
    if (box && px >= box[0] && py >= box[1] && px <= box[0] + box[2] && py <= box[1] + box[3] && box[2] * box[3] < least) {
      [best, least] = [p, box[2] * box[3]];
    }
  });
  return best;
}

function movePoint(x, y) {
  if (!page.drag.remembered) {
    // a click is no move
    if (Math.hypot(x - page.drag.start[0], y - page.drag.start[1]) < 2) return;
    remember();
    page.drag.remembered = true;
  }
  const spot = now().people[page.drag.point.p].keypoints[page.drag.point.k];
  [spot[0], spot[1]] = clamp(...toPicture(x + page.drag.off[0], y + page.drag.off[1]));
  get("tip").hidden = true;
}

function dropPoint() {
  if (page.drag.remembered) touched();
  if (page.drag.placed && page.placing) advance();
}

function pressed(event) {
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  if (!now() || !page.size) return;
  event.preventDefault();
  const [x, y] = where(event);
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [x, y]);
  if (pointers.size === 2) {
    if (page.drag && page.drag.point) dropPoint();
    if (page.drag && page.drag.grip) dropGrip(page.drag.grip);
    page.drag = { pinch: spread() };
    return;
  }
  const pan = { pan: [x - view.x, y - view.y], start: [x, y] };
  if (event.button === 1) page.drag = pan;
  else if (page.boxing) page.drag = { box: [...toPicture(x, y), ...toPicture(x, y)] };
  else if (page.placing) {
    const state = event.button === 2 || event.shiftKey ? OCCLUDED : page.placing.state;
    place(...toPicture(x, y), state);
    page.drag = { point: { p: page.placing.p, k: page.placing.k }, off: [0, 0], remembered: true, placed: true };
  } else {
    const hit = nearest(x, y, event.pointerType === "touch"), sides = hit || event.button ? null : gripAt(x, y);
    if (sides) page.drag = { grip: startGrip(sides, x, y), start: [x, y] };
    else if (!hit) page.drag = pan;
    else if (event.button === 2) {
      page.chosen = hit;
      page.hover = null;
      setState(now().people[hit.p].keypoints[hit.k][2] === VISIBLE ? OCCLUDED : VISIBLE);
    } else {
      page.chosen = hit;
      const point = now().people[hit.p].keypoints[hit.k], [px, py] = toScreen(point[0], point[1]);
      page.drag = { point: hit, off: [px - x, py - y], start: [x, y], remembered: false };
    }
  }
  show();
}

function moved(event) {
  if (!now() || !page.size) return;
  const [x, y] = where(event);
  if (pointers.has(event.pointerId)) pointers.set(event.pointerId, [x, y]);
  if (!page.drag) return pointed(x, y);
  if (page.drag.pinch) pinch();
  else if (page.drag.pan) {
    if (Math.hypot(x - page.drag.start[0], y - page.drag.start[1]) > 3) page.drag.moved = true;
    [view.x, view.y] = [x - page.drag.pan[0], y - page.drag.pan[1]];
  } else if (page.drag.box) page.drag.box.splice(2, 2, ...toPicture(x, y));
  else if (page.drag.point) movePoint(x, y);
  // a click is no move
  else if (page.drag.grip.remembered || Math.hypot(x - page.drag.start[0], y - page.drag.start[1]) >= 2) moveGrip(page.drag.grip, x, y);
  draw();
}

function lifted(event) {
  pointers.delete(event.pointerId);
  if (!page.drag) return;
  const was = page.drag, [x, y] = where(event);
  if (was.point) dropPoint();
  else if (was.box) finishBox(was.box);
  else if (was.grip && was.grip.remembered) dropGrip(was.grip);
  else if (was.grip && event.button === 0) choose(around(x, y), -1);
  else if (was.pan && !was.moved && event.button === 0) choose(around(x, y), -1);
  page.drag = null;
  show();
}

function spread() {
  const [[ax, ay], [bx, by]] = [...pointers.values()];
  return { far: Math.hypot(ax - bx, ay - by), x: (ax + bx) / 2, y: (ay + by) / 2 };
}

function pinch() {
  if (pointers.size < 2) return;
  const next = spread(), last = page.drag.pinch;
  view.x += next.x - last.x;
  view.y += next.y - last.y;
  zoom(next.far / Math.max(1, last.far), next.x, next.y);
  page.drag.pinch = next;
}

function pointed(x, y) {
  page.hover = page.placing || page.boxing ? null : nearest(x, y, false);
  page.grip = page.hover ? null : gripAt(x, y);
  draw();
  const tip = get("tip");
  tip.hidden = !page.hover || page.hover.p === page.chosen.p;
  if (tip.hidden) return;
  const one = now().people[page.hover.p];
  tip.textContent = `${pretty(kindOf(one).name)} ${page.hover.p + 1}: ${pretty(kindOf(one).keypoints[page.hover.k])}`;
  tip.style.left = `${Math.max(4, Math.min(x + 14, stage.clientWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${Math.max(4, y - 34)}px`;
}

function rolled(event) {
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 30 : 1;
  zoom(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * lines)) * (event.ctrlKey ? 0.01 : 0.002)), ...where(event));
}

export function listenToPointers() {
  canvas.addEventListener("pointerdown", pressed);
  canvas.addEventListener("pointermove", moved);
  canvas.addEventListener("pointerup", lifted);
  canvas.addEventListener("pointercancel", lifted);
  canvas.addEventListener("pointerleave", () => { if (!page.drag) { page.hover = page.grip = null; get("tip").hidden = true; draw(); } });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", rolled, { passive: false });
}
