/* The poses upon the picture. */
import { canvas, get, ground, pretty, stage } from "./elements.js";
import { kindOf, labelled, NONE, now, page, person, VISIBLE } from "./state.js";
import { toScreen, view } from "./view.js";
import { gripStyle } from "./whole.js";

const ink = canvas.getContext("2d");

export function draw() {
  const ratio = window.devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = stage;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  ink.clearRect(0, 0, width, height);
  ground.style.visibility = page.size ? "visible" : "hidden";
  if (!page.size || !now()) return;
  ground.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  ground.classList.toggle("sharp", view.scale > 3);
  canvas.className = page.placing || page.boxing ? "placing" : page.drag ? (page.drag.grip ? `grip-${gripStyle(page.drag.grip.sides)}` : "dragging")
    : page.hover ? "over" : page.grip ? `grip-${gripStyle(page.grip)}` : "";
  if (!page.hidden) now().people.forEach((one, p) => { if (p !== page.chosen.p) drawPerson(one, p); });
  if (!page.hidden && person()) drawPerson(person(), page.chosen.p);
  if (page.drag && page.drag.box) outline(page.drag.box[0], page.drag.box[1], page.drag.box[2], page.drag.box[3], "#ffffff");
}

function outline(x1, y1, x2, y2, color) {
  const [left, top] = toScreen(x1, y1), [right, bottom] = toScreen(x2, y2);
  ink.strokeStyle = color;
  ink.lineWidth = 1;
  ink.setLineDash([5, 4]);
  ink.strokeRect(left, top, right - left, bottom - top);
  ink.setLineDash([]);
}

/** Where the box can be drawn larger or smaller. */
function corner(x, y) {
  const [left, top] = toScreen(x, y);
  ink.fillStyle = "#ffffff";
  ink.fillRect(left - 2.5, top - 2.5, 5, 5);
}

function drawPerson(one, p) {
  const kind = kindOf(one), mine = p === page.chosen.p;
  const there = (k) => one.keypoints[k][2] > NONE;
  ink.globalAlpha = mine ? 1 : 0.6;
  if (one.bbox && (mine || !labelled(one))) {
    const [x, y, width, height] = one.bbox;
    outline(x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5, mine ? "#ffffffb0" : "#ffffff60");
    if (mine) for (const px of [x, x + width]) for (const py of [y, y + height]) corner(px - 0.5, py - 0.5);
  }
  ink.lineWidth = mine ? 3 : 2;
  ink.lineCap = "round";
  kind.links.forEach(([a, b], n) => {
    if (!there(a) || !there(b)) return;
    ink.strokeStyle = kind.link_colors[n];
    ink.globalAlpha = mine ? 0.75 : 0.45;
    ink.beginPath();
    ink.moveTo(...toScreen(...one.keypoints[a]));
    ink.lineTo(...toScreen(...one.keypoints[b]));
    ink.stroke();
  });
  ink.globalAlpha = mine ? 1 : 0.75;
  one.keypoints.forEach((point, k) => {
    if (there(k)) drawPoint(point, kind, k, { mine, marked: mine && k === page.chosen.k, near: page.hover && page.hover.p === p && page.hover.k === k });
  });
  ink.globalAlpha = 1;
}

function drawPoint(point, kind, k, { mine, marked, near }) {
  const [x, y] = toScreen(point[0], point[1]);
  const radius = (mine ? 5.5 : 4) + (marked || near ? 2 : 0);
  ink.beginPath();
  ink.arc(x, y, radius, 0, 7);
  ink.lineWidth = 3.5;
  ink.strokeStyle = marked ? "#ffffff" : "#000000a0";
  ink.stroke();
  if (point[2] === VISIBLE) {
    ink.fillStyle = kind.colors[k];
    ink.fill();
    // the pixel that is meant
    ink.fillStyle = "#000000";
    ink.fillRect(x - 0.75, y - 0.75, 1.5, 1.5);
  } else {
    ink.lineWidth = 2.5;
    ink.strokeStyle = kind.colors[k];
    ink.stroke();
  }
  if (mine && (marked || near || get("names").checked)) write(pretty(kind.keypoints[k]), x + radius + 5, y + 4);
}

function write(text, x, y) {
  ink.font = "13px system-ui, sans-serif";
  ink.lineWidth = 3;
  ink.lineJoin = "round";
  ink.strokeStyle = "#000000c0";
  ink.strokeText(text, x, y);
  ink.fillStyle = "#ffffff";
  ink.fillText(text, x, y);
}
