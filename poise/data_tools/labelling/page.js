"use strict";
/* A person corrects poses. Coordinates are those of training: pixel centres are whole numbers. */
const get = (id) => document.getElementById(id);
const stage = get("stage"), ground = get("ground"), canvas = get("ink"), ink = canvas.getContext("2d");
const token = location.hash.slice(1);
const NONE = 0, OCCLUDED = 1, VISIBLE = 2;
const STATES = [[VISIBLE, "visible", "●"], [OCCLUDED, "occluded", "○"], [NONE, "not labelled", "–"]];
/** Pixels of the screen: how far a click may miss a point, height of a row of the list. */
const NEAR = 13, NEAR_TOUCH = 24, ROW = 30;
/** Milliseconds: until a change is sent, until a failed one is sent again. */
const SOON = 200, LATER = 3000;
/** Pictures that stay loaded, and undo steps of each. */
const KEPT = 12, STEPS = 200;
const KEYS = [
  ["Enter", "reviewed, go to the next one that is not"], ["→  ←", "next, previous picture"],
  ["U", "next picture that is not reviewed"], ["R", "reviewed or not"],
  ["N", "new: click its points one after the other"], ["B", "draw a box, the model finds the pose"],
  ["Esc", "stop; choose nothing"], ["Delete", "delete the chosen one"],
  ["C", "choose the next one"], ["S", "swap left and right"],
  ["Shift+S", "swap the chosen point with its other side"],
  ["Tab  Shift+Tab", "next, previous point"], ["V  1", "the point is visible"],
  ["O  2", "the point is occluded"], ["X  3", "the point is not labelled; of a new one: skip it"],
  ["right click", "visible or occluded; of a new one: place as occluded"],
  ["Shift+arrows", "move the point by a pixel"],
  ["Ctrl+Z  Ctrl+Y", "undo, redo"], ["wheel, pinch", "zoom"], ["drag elsewhere", "move the picture"],
  ["F", "whole picture"], ["G", "zoom to the chosen one"], ["T", "names of all points"],
  ["H", "hide the poses while held"], ["?", "this help"],
];

let names = [], numbers = [], shared = "", counts = [], reviewed = [], kinds = new Map(), hasModel = false, file = "";
let current = -1, turn = 0;
const pictures = new Map(), blobs = new Map();
const view = { scale: 1, x: 0, y: 0 };
let size = null;
/** What is chosen: person `p` and perhaps keypoint `k`; what the next click places; what a pointer does. */
let chosen = { p: -1, k: -1 }, placing = null, drag = null, boxing = false, hover = null, hidden = false, asking = false;
const pointers = new Map();

// --- asking the server

async function ask(path, body) {
  const options = { headers: { "X-Poise-Token": token } };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw Object.assign(new Error("poise data label does not answer; was it ended? Start it again and " +
      "open the address that it prints"), { status: 0 });
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({ error: `status ${answer.status}` }));
  throw Object.assign(new Error(said.error), { status: answer.status, stale: said.stale });
}

// --- saving: one picture after the other, the newest state of each

const waiting = new Set();
let saving = false, timer = 0;

function tell(text, kind = "") {
  get("saved").textContent = text;
  get("saved").className = kind;
}

function touched(number = current) {
  waiting.add(number);
  tell("Saving ...", "busy");
  clearTimeout(timer);
  timer = setTimeout(flush, SOON);
}

async function flush() {
  if (saving) return;
  saving = true;
  try {
    while (waiting.size) {
      const [number] = waiting;
      waiting.delete(number);
      await send(number).catch((error) => { throw Object.assign(error, { number }); });
    }
    tell("✓ Saved");
  } catch (error) {
    failed(error);
  }
  saving = false;
}

async function send(number) {
  const picture = pictures.get(number), people = [...picture.people];
  const body = { version: picture.version, reviewed: picture.reviewed, people };
  const said = await (await ask(`people/${numbers[number]}`, body)).json();
  picture.version = said.version;
  said.boxes.forEach((box, n) => { people[n].bbox = box; });
  if (number === current) draw();
}

function failed(error) {
  if (error.stale || error.status === 401) return complain(error);
  // a change that cannot be saved is never dropped
  waiting.add(error.number);
  tell("Not saved!", "bad");
  note(`${error.message}`);
  clearTimeout(timer);
  timer = setTimeout(() => { note(""); flush(); }, LATER);
}

function complain(error) {
  tell("Not saved!", "bad");
  get("troubletext").textContent = error.message;
  get("again").hidden = !error.stale;
  get("again").onclick = () => reload(error);
  get("trouble").hidden = false;
}

async function reload(error) {
  try {
    if (error.stale === "file") {
      await ask("reload", {});
      pictures.clear();
      waiting.clear();
      await begin(current);
    } else {
      pictures.delete(error.number);
      waiting.delete(error.number);
      await open(current);
    }
    get("trouble").hidden = true;
    tell("✓ Loaded again");
  } catch (again) {
    get("troubletext").textContent = again.message;
  }
}

// --- opening

async function begin(number) {
  const found = await (await ask("overview")).json();
  ({ names, numbers, file } = found);
  hasModel = found.model;
  counts = found.people;
  reviewed = new Array(names.length).fill(false);
  // a folder that is the same of all says nothing
  shared = names[0].slice(0, names[0].lastIndexOf("/") + 1);
  if (!names.every((name) => name.startsWith(shared))) shared = "";
  found.reviewed.forEach((n) => { reviewed[n] = true; });
  kinds = new Map(found.kinds.map((kind) => [kind.category, kind]));
  get("file").textContent = file.split(/[\\/]/).slice(-2).join("/");
  get("file").title = file;
  get("kind").replaceChildren(...found.kinds.map((kind) => new Option(kind.name, kind.category)));
  get("kind").hidden = kinds.size < 2;
  get("ask").hidden = !hasModel;
  get("rows").style.height = `${names.length * ROW}px`;
  showProgress();
  tell("✓ All is saved");
  await open(number ?? Math.max(0, reviewed.indexOf(false)));
}

async function load(number) {
  let picture = pictures.get(number);
  if (!picture) {
    picture = await (await ask(`people/${numbers[number]}`)).json();
    Object.assign(picture, { undo: [], redo: [] });
    pictures.set(number, picture);
  }
  return picture;
}

/** A picture's address in memory. Asked for once; the oldest ones are forgotten. */
function blob(number) {
  let found = blobs.get(number);
  blobs.delete(number);
  if (!found) {
    found = ask(`picture/${numbers[number]}`).then((answer) => answer.blob()).then((data) => URL.createObjectURL(data));
    found.catch(() => blobs.delete(number));
  }
  blobs.set(number, found);
  for (const [old, address] of blobs) {
    if (blobs.size <= KEPT) break;
    blobs.delete(old);
    address.then(URL.revokeObjectURL, () => {});
  }
  return found;
}

async function open(number) {
  if (number < 0 || number >= names.length) return;
  const own = ++turn;
  tidy();
  current = number;
  placing = drag = hover = null;
  boxing = false;
  showList();
  try {
    const [picture, address] = await Promise.all([load(number), blob(number).catch((error) => error)]);
    if (own !== turn) return;
    size = null;
    note("");
    chosen = { p: picture.people.length ? 0 : -1, k: -1 };
    const meant = picture.people.findIndex((one) => picture.doubts.some((doubt) => doubt.id === one.id));
    if (meant >= 0) chosen.p = meant;
    get("doubt").replaceChildren(...picture.doubts.map((doubt) => make("div", {
      textContent: `${doubt.kind}${doubt.keypoints.length ? ` (${doubt.keypoints.map(pretty).join(", ")})` : ""}: ${doubt.about}` })));
    get("doubt").hidden = !picture.doubts.length;
    if (address instanceof Error) {
      ground.removeAttribute("src");
      note(address.message);
    } else {
      ground.src = address;
      await ground.decode();
      if (own !== turn) return;
      size = { width: ground.naturalWidth, height: ground.naturalHeight };
      if (picture.width && (picture.width !== size.width || picture.height !== size.height)) {
        note(`The labels say that this picture has ${picture.width} × ${picture.height} pixels, it has ` +
          `${size.width} × ${size.height}: are they of another version of it?`);
      }
      fit();
    }
    show();
    for (const next of [number + 1, nextUnreviewed(number)]) {
      if (next >= 0 && next < names.length && next !== number) { load(next).catch(() => {}); blob(next).catch(() => {}); }
    }
  } catch (error) {
    if (own === turn) (error.status === 401 ? complain : (e) => note(e.message))(error);
  }
}

const now = () => pictures.get(current);
const person = () => (now() ? now().people[chosen.p] : undefined);
const kindOf = (one) => kinds.get(one.category_id);
const labelled = (one) => one.keypoints.some((point) => point[2] > NONE);

function note(text) {
  get("note").textContent = text;
  get("note").hidden = !text;
}

/** A new one without any point is nobody. */
function tidy() {
  const picture = now();
  if (!picture) return;
  picture.people = picture.people.filter((one) => one.id != null || labelled(one));
}

// --- changing

const copy = (value) => JSON.parse(JSON.stringify(value));

function remember() {
  const picture = now();
  picture.undo.push({ people: copy(picture.people), chosen: { ...chosen }, placing: placing && { ...placing } });
  if (picture.undo.length > STEPS) picture.undo.shift();
  picture.redo = [];
}

function change(act) {
  if (!now() || !size) return;
  remember();
  act(now());
  touched();
  show();
}

function travel(from, to) {
  const picture = now();
  if (!picture || !picture[from].length) return;
  picture[to].push({ people: copy(picture.people), chosen: { ...chosen }, placing: placing && { ...placing } });
  const step = picture[from].pop();
  picture.people = step.people;
  chosen = step.chosen;
  placing = step.placing;
  touched();
  show();
}

function setState(value) {
  if (placing && placing.chain) {
    if (value === NONE) return advance();
    return;
  }
  const target = hover || chosen, one = now() && now().people[target.p];
  if (!one || target.k < 0) return;
  chosen = { ...target };
  const point = one.keypoints[target.k];
  if (point[2] === value) return;
  if (point[2] === NONE) {
    // it has no place yet: the next click says where
    placing = { p: target.p, k: target.k, chain: false, state: value };
    return show();
  }
  change(() => { one.keypoints[target.k] = value === NONE ? [0, 0, NONE] : [point[0], point[1], value]; });
}

/** Exchange left and right of all, or of the chosen point and its other side. */
function swap(all = true) {
  const one = person();
  if (!one) return;
  const pair = (k) => all || k === chosen.k || kindOf(one).swap[k] === chosen.k;
  const other = kindOf(one).swap.map((to, k) => (pair(k) ? to : k));
  if (other.every((to, k) => to === k)) {
    return hint(all ? "These keypoints have no left and right." : "Choose a point that has another side.");
  }
  placing = null;
  change(() => { one.keypoints = other.map((from) => one.keypoints[from]); });
}

function remove() {
  if (!person()) return;
  placing = null;
  change((picture) => {
    picture.people.splice(chosen.p, 1);
    chosen = { p: Math.min(chosen.p, picture.people.length - 1), k: -1 };
  });
}

function add() {
  if (!now() || !size) return;
  tidy();
  boxing = false;
  const kind = kinds.get(chosenKind());
  remember();
  chosen = { p: now().people.length, k: -1 };
  now().people.push(blank(kind));
  placing = { p: chosen.p, k: kind.asked[0], chain: true, state: VISIBLE };
  show();
}

function chosenKind() {
  // ids may be numbers or texts
  return [...kinds.keys()][Math.max(0, get("kind").selectedIndex)];
}

function blank(kind) {
  return { id: null, key: `${Date.now()}-${Math.random().toString(36).slice(2)}`, category_id: kind.category,
    bbox: null, keypoints: kind.keypoints.map(() => [0, 0, NONE]) };
}

/** The next keypoint of a new one, or its end. */
function advance() {
  const one = now().people[placing.p], asked = kindOf(one).asked;
  const next = asked[asked.indexOf(placing.k) + 1];
  chosen = { p: placing.p, k: placing.k };
  if (placing.chain && next !== undefined) placing = { ...placing, k: next };
  else stop();
  show();
}

function stop() {
  placing = null;
  boxing = false;
  tidy();
  if (!person()) chosen = { p: now() && now().people.length ? 0 : -1, k: -1 };
  show();
}

function place(x, y, state) {
  const { p, k } = placing;
  change((picture) => { picture.people[p].keypoints[k] = [...clamp(x, y), state]; });
  chosen = { p, k };
}

const clamp = (x, y) => [Math.min(Math.max(x, 0), size.width - 1), Math.min(Math.max(y, 0), size.height - 1)]
  .map((v) => Math.round(v * 100) / 100);

async function propose(box) {
  const own = current, kind = kinds.get(chosenKind());
  asking = true;
  show();
  try {
    const said = await (await ask(`proposal/${numbers[own]}`, { box, category_id: kind.category })).json();
    asking = false;
    if (own !== current) return show();
    change((picture) => {
      const [x1, y1, x2, y2] = box;
      picture.people.push({ ...blank(kind), keypoints: said.keypoints, bbox: [x1, y1, x2 - x1, y2 - y1] });
      chosen = { p: picture.people.length - 1, k: -1 };
    });
  } catch (error) {
    asking = false;
    show();
    note(error.message);
    setTimeout(() => { if (get("note").textContent === error.message) note(""); }, 6000);
  }
}

function setReviewed(value) {
  const picture = now();
  if (!picture) return;
  reviewed[current] = value;
  if (picture.reviewed !== value) {
    picture.reviewed = value;
    touched();
  }
  showProgress();
  show();
}

function nextUnreviewed(from) {
  const after = reviewed.indexOf(false, from + 1);
  return after >= 0 ? after : reviewed.indexOf(false);
}

function done() {
  if (!now()) return;
  stop();
  chosen.k = -1;
  setReviewed(true);
  show();
  const next = nextUnreviewed(current);
  if (next >= 0) open(next);
}

function jump() {
  const next = nextUnreviewed(current);
  if (next >= 0) open(next);
}

function nextPerson() {
  const count = now() ? now().people.length : 0;
  if (!count) return;
  placing = null;
  chosen = { p: (chosen.p + 1) % count, k: -1 };
  show();
}

function choose(p, k) {
  const one = now().people[p];
  chosen = { p, k };
  placing = one && k >= 0 && one.keypoints[k][2] === NONE ? { p, k, chain: false, state: VISIBLE } : null;
  boxing = false;
  show();
}

function nextPoint(step) {
  const one = person();
  if (!one) return;
  const asked = kindOf(one).asked, at = asked.indexOf(placing ? placing.k : chosen.k);
  const k = asked[(at + step + asked.length) % asked.length];
  if (placing && placing.chain) placing = { ...placing, k };
  else return choose(chosen.p, k);
  show();
}

function nudge(x, y) {
  const one = person(), point = one && one.keypoints[chosen.k];
  if (point && point[2] > NONE) change(() => { one.keypoints[chosen.k] = [...clamp(point[0] + x, point[1] + y), point[2]]; });
}

// --- the view: from pixels of the picture to those of the screen

const toScreen = (x, y) => [(x + 0.5) * view.scale + view.x, (y + 0.5) * view.scale + view.y];
const toPicture = (x, y) => [(x - view.x) / view.scale - 0.5, (y - view.y) / view.scale - 0.5];

function fit(box = [0, 0, size.width, size.height], most = Infinity) {
  const { clientWidth: width, clientHeight: height } = stage;
  view.scale = Math.min(most, 0.96 * Math.min(width / box[2], height / box[3]));
  view.x = width / 2 - (box[0] + box[2] / 2) * view.scale;
  view.y = height / 2 - (box[1] + box[3] / 2) * view.scale;
  draw();
}

function zoomToPerson() {
  const one = person();
  const points = one ? one.keypoints.filter((point) => point[2] > NONE) : [];
  if (!points.length) return;
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const side = Math.max(Math.max(...xs) - left, Math.max(...ys) - top, 8);
  fit([left - side * 0.2, top - side * 0.2, Math.max(...xs) - left + side * 0.4, Math.max(...ys) - top + side * 0.4], 20);
}

function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  if (!size) return;
  const scale = Math.min(60, Math.max(0.02, view.scale * factor)), real = scale / view.scale;
  view.x = x - (x - view.x) * real;
  view.y = y - (y - view.y) * real;
  view.scale = scale;
  draw();
}

// --- drawing

function draw() {
  const ratio = window.devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = stage;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  ink.clearRect(0, 0, width, height);
  ground.style.visibility = size ? "visible" : "hidden";
  if (!size || !now()) return;
  ground.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  ground.classList.toggle("sharp", view.scale > 3);
  canvas.className = placing || boxing ? "placing" : drag ? "dragging" : hover ? "over" : "";
  if (!hidden) now().people.forEach((one, p) => { if (p !== chosen.p) drawPerson(one, p); });
  if (!hidden && person()) drawPerson(person(), chosen.p);
  if (drag && drag.box) outline(drag.box[0], drag.box[1], drag.box[2], drag.box[3], "#ffffff");
}

function outline(x1, y1, x2, y2, color) {
  const [left, top] = toScreen(x1, y1), [right, bottom] = toScreen(x2, y2);
  ink.strokeStyle = color;
  ink.lineWidth = 1;
  ink.setLineDash([5, 4]);
  ink.strokeRect(left, top, right - left, bottom - top);
  ink.setLineDash([]);
}

function drawPerson(one, p) {
  const kind = kindOf(one), mine = p === chosen.p;
  const there = (k) => one.keypoints[k][2] > NONE;
  ink.globalAlpha = mine ? 1 : 0.6;
  if (one.bbox && (mine || !labelled(one))) {
    const [x, y, width, height] = one.bbox;
    outline(x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5, mine ? "#ffffffb0" : "#ffffff60");
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
    if (there(k)) drawPoint(point, kind, k, { mine, marked: mine && k === chosen.k, near: hover && hover.p === p && hover.k === k });
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

// --- showing what is beside the picture

function make(tag, about = {}, ...inside) {
  const made = Object.assign(document.createElement(tag), about);
  made.append(...inside);
  return made;
}

const pretty = (name) => name.replace(/_/g, " ");

function show() {
  draw();
  const picture = now(), one = person();
  get("undo").disabled = !picture || !picture.undo.length;
  get("redo").disabled = !picture || !picture.redo.length;
  get("people").replaceChildren(...(picture ? picture.people : []).map((each, p) => make("button", {
    className: p === chosen.p ? "person chosen" : "person",
    textContent: `${pretty(kindOf(each).name)} ${p + 1}`,
    onclick: () => choose(p, -1),
  })));
  get("tools").hidden = !one;
  get("points").replaceChildren(...(one ? kindOf(one).asked.map((k) => pointRow(one, k)) : []));
  const next = get("points").querySelector(".asked") || get("points").querySelector(".chosen");
  if (next) next.scrollIntoView({ block: "nearest" });
  if (picture) counts[current] = picture.people.filter((each) => each.id != null || labelled(each)).length;
  get("done").textContent = reviewed[current] ? "✓ Reviewed; next" : "✓ Reviewed, next";
  showHint();
  showList();
}

function pointRow(one, k) {
  const kind = kindOf(one), state = one.keypoints[k][2];
  const row = make("div", {
    className: `point${state === NONE ? " none" : ""}${chosen.k === k ? " chosen" : ""}${placing && placing.k === k ? " asked" : ""}`,
    title: `${pretty(kind.keypoints[k])}: ${STATES.find(([value]) => value === state)[1]}`,
  }, dot(kind.colors[k], state), make("span", { className: "name", textContent: pretty(kind.keypoints[k]) }));
  const buttons = STATES.map(([value, about, sign]) => make("button", {
    textContent: sign, title: about, className: value === state ? "on" : "", tabIndex: -1,
    onclick: (event) => {
      event.stopPropagation();
      placing = hover = null;
      chosen = { p: chosen.p, k };
      setState(value);
      show();
    },
  }));
  row.append(make("span", { className: "state" }, ...buttons));
  row.onclick = () => choose(chosen.p, k);
  return row;
}

/** A dot as the picture has it. */
function dot(color, state) {
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawn.setAttribute("viewBox", "0 0 16 16");
  drawn.setAttribute("class", "dot");
  const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  const values = { cx: 8, cy: 8, r: 5.5, stroke: color, "stroke-width": 3,
    fill: state === VISIBLE ? color : "none", opacity: state === NONE ? 0.35 : 1 };
  for (const [name, value] of Object.entries(values)) circle.setAttribute(name, value);
  drawn.append(circle);
  return drawn;
}

/** Text with keys in [brackets] and emphasis in *stars*. */
function hint(text) {
  const parts = text.split(/(\[[^\]]+\]|\*[^*]+\*)/).filter(Boolean);
  get("hint").replaceChildren(...parts.map((part) => part[0] === "[" ? make("kbd", { textContent: part.slice(1, -1) })
    : part[0] === "*" ? make("b", { textContent: part.slice(1, -1) }) : part));
}

function showHint() {
  const picture = now(), one = person();
  if (!picture || !size) return hint("");
  if (asking) return hint("The model is looking ...");
  if (boxing) return hint("Draw a box around one of them, from corner to corner. [Esc] stops.");
  if (placing) {
    const kind = kindOf(picture.people[placing.p]), name = pretty(kind.keypoints[placing.k]);
    if (!placing.chain) return hint(`Click where the *${name}* is. [Esc] stops.`);
    return hint(`Click the *${name}* (${kind.asked.indexOf(placing.k) + 1} of ${kind.asked.length}). ` +
      "Right click: occluded, I know where. [X] cannot say. [Ctrl+Z] back. [Esc] stops.");
  }
  if (!picture.people.length) {
    return hint(`Nobody is labelled here. [N] and click the points${hasModel ? ", or [B] and draw a box for the model" : ""}. ` +
      "Nobody there? [Enter]");
  }
  if (one && chosen.k >= 0) return hint("Drag the point. [V] visible [O] occluded [X] not labelled. [Enter] all is right.");
  if (names.length && reviewed.every(Boolean)) return hint("*All pictures are reviewed.* All is saved; you can close this page.");
  hint("Drag points that are in a wrong place. [N] new one. [?] all keys. [Enter] all is right, next picture.");
}

function showProgress() {
  const count = reviewed.reduce((sum, one) => sum + one, 0), of = names.length;
  get("bar").style.width = `${100 * count / Math.max(1, of)}%`;
  get("count").textContent = `${count.toLocaleString("en")} of ${of.toLocaleString("en")} reviewed`;
  get("progress").setAttribute("aria-valuenow", count);
  get("progress").setAttribute("aria-valuemax", of);
}

let listed = -1;

/** The rows of the list that can be seen; there may be many thousand. */
function showList() {
  const list = get("list");
  if (listed !== current) {
    listed = current;
    const top = current * ROW;
    if (top < list.scrollTop || top + ROW > list.scrollTop + list.clientHeight) {
      list.scrollTop = top - list.clientHeight / 2;
    }
  }
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
  const last = Math.min(names.length, first + Math.ceil(list.clientHeight / ROW) + 10);
  const rows = [];
  for (let n = first; n < last; n++) {
    const row = make("div", {
      className: `picture${n === current ? " chosen" : ""}${reviewed[n] ? " reviewed" : ""}`,
      title: names[n], onclick: () => open(n),
    }, make("span", { className: "mark", textContent: reviewed[n] ? "✓" : "" }),
      make("span", { className: "name" }, make("bdi", { textContent: names[n].slice(shared.length) })),
      make("span", { className: "number", textContent: counts[n] || "" }));
    row.style.top = `${n * ROW}px`;
    rows.push(row);
  }
  get("rows").replaceChildren(...rows);
}

function findName() {
  const text = get("find").value.toLowerCase();
  if (!text) return;
  for (let step = 1; step <= names.length; step++) {
    const n = (current + step) % names.length;
    if (names[n].toLowerCase().includes(text)) return open(n);
  }
  hint(`No picture has "${text}" in its name.`);
}

// --- pointers

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
    const far = Math.hypot(px - x, py - y) * (p === chosen.p ? 0.7 : 1);
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

canvas.addEventListener("pointerdown", (event) => {
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  if (!now() || !size) return;
  event.preventDefault();
  const [x, y] = where(event);
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [x, y]);
  if (pointers.size === 2) {
    if (drag && drag.point) dropPoint();
    drag = { pinch: spread() };
    return;
  }
  const pan = { pan: [x - view.x, y - view.y], start: [x, y] };
  if (event.button === 1) drag = pan;
  else if (boxing) drag = { box: [...toPicture(x, y), ...toPicture(x, y)] };
  else if (placing) {
    const state = event.button === 2 || event.shiftKey ? OCCLUDED : placing.state;
    place(...toPicture(x, y), state);
    drag = { point: { p: placing.p, k: placing.k }, off: [0, 0], remembered: true, placed: true };
  } else {
    const hit = nearest(x, y, event.pointerType === "touch");
    if (!hit) drag = pan;
    else if (event.button === 2) {
      chosen = hit;
      hover = null;
      setState(now().people[hit.p].keypoints[hit.k][2] === VISIBLE ? OCCLUDED : VISIBLE);
    } else {
      chosen = hit;
      const point = now().people[hit.p].keypoints[hit.k], [px, py] = toScreen(point[0], point[1]);
      drag = { point: hit, off: [px - x, py - y], start: [x, y], remembered: false };
    }
  }
  show();
});

canvas.addEventListener("pointermove", (event) => {
  if (!now() || !size) return;
  const [x, y] = where(event);
  if (pointers.has(event.pointerId)) pointers.set(event.pointerId, [x, y]);
  if (!drag) return point(x, y);
  if (drag.pinch) pinch();
  else if (drag.pan) {
    if (Math.hypot(x - drag.start[0], y - drag.start[1]) > 3) drag.moved = true;
    [view.x, view.y] = [x - drag.pan[0], y - drag.pan[1]];
  } else if (drag.box) drag.box.splice(2, 2, ...toPicture(x, y));
  else if (drag.point) movePoint(x, y);
  draw();
});

function movePoint(x, y) {
  if (!drag.remembered) {
    // a click is no move
    if (Math.hypot(x - drag.start[0], y - drag.start[1]) < 2) return;
    remember();
    drag.remembered = true;
  }
  const spot = now().people[drag.point.p].keypoints[drag.point.k];
  [spot[0], spot[1]] = clamp(...toPicture(x + drag.off[0], y + drag.off[1]));
  get("tip").hidden = true;
}

function dropPoint() {
  if (drag.remembered) touched();
  if (drag.placed && placing) advance();
}

function lifted(event) {
  pointers.delete(event.pointerId);
  if (!drag) return;
  const was = drag, [x, y] = where(event);
  if (was.point) dropPoint();
  else if (was.box) finishBox(was.box);
  else if (was.pan && !was.moved && event.button === 0) choose(around(x, y), -1);
  drag = null;
  show();
}
canvas.addEventListener("pointerup", lifted);
canvas.addEventListener("pointercancel", lifted);
canvas.addEventListener("pointerleave", () => { if (!drag) { hover = null; get("tip").hidden = true; draw(); } });
canvas.addEventListener("contextmenu", (event) => event.preventDefault());
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 30 : 1;
  zoom(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * lines)) * (event.ctrlKey ? 0.01 : 0.002)), ...where(event));
}, { passive: false });

function finishBox(box) {
  boxing = false;
  const [x1, x2] = [box[0], box[2]].sort((a, b) => a - b), [y1, y2] = [box[1], box[3]].sort((a, b) => a - b);
  const corners = [...clamp(x1, y1), ...clamp(x2, y2)];
  if (corners[2] - corners[0] < 4 || corners[3] - corners[1] < 4) return;
  propose(corners);
}

function spread() {
  const [[ax, ay], [bx, by]] = [...pointers.values()];
  return { far: Math.hypot(ax - bx, ay - by), x: (ax + bx) / 2, y: (ay + by) / 2 };
}

function pinch() {
  if (pointers.size < 2) return;
  const next = spread(), last = drag.pinch;
  view.x += next.x - last.x;
  view.y += next.y - last.y;
  zoom(next.far / Math.max(1, last.far), next.x, next.y);
  drag.pinch = next;
}

function point(x, y) {
  hover = placing || boxing ? null : nearest(x, y, false);
  draw();
  const tip = get("tip");
  tip.hidden = !hover || hover.p === chosen.p;
  if (tip.hidden) return;
  const one = now().people[hover.p];
  tip.textContent = `${pretty(kindOf(one).name)} ${hover.p + 1}: ${pretty(kindOf(one).keypoints[hover.k])}`;
  tip.style.left = `${Math.max(4, Math.min(x + 14, stage.clientWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${Math.max(4, y - 34)}px`;
}

// --- keys

const ACTIONS = {
  Enter: done, ArrowRight: () => open(current + 1), ArrowLeft: () => open(current - 1), u: jump,
  r: () => now() && setReviewed(!reviewed[current]), n: add, b: startBox, Escape: escape,
  Delete: remove, Backspace: () => (placing && placing.chain ? travel("undo", "redo") : remove()), c: nextPerson, s: () => swap(),
  v: () => setState(VISIBLE), 1: () => setState(VISIBLE), o: () => setState(OCCLUDED), 2: () => setState(OCCLUDED),
  x: () => setState(NONE), 3: () => setState(NONE), f: () => size && fit(), g: zoomToPerson,
  t: () => { get("names").checked = !get("names").checked; draw(); },
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), "?": () => showHelp(true),
};

function startBox() {
  if (!hasModel || !size || asking) return;
  placing = null;
  tidy();
  boxing = true;
  show();
}

function escape() {
  if (placing || boxing) return stop();
  chosen = { p: chosen.k >= 0 ? chosen.p : -1, k: -1 };
  show();
}

function showHelp(open) {
  get("help").hidden = !open;
  if (open) get("close").focus();
}

document.addEventListener("keydown", (event) => {
  if (!get("help").hidden) {
    if (["Escape", "?", "Enter"].includes(event.key)) { event.preventDefault(); showHelp(false); }
    return;
  }
  if (!get("trouble").hidden) return;
  if (event.target === get("find")) {
    if (event.key === "Enter") findName();
    if (event.key === "Escape") get("find").blur();
    return;
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.metaKey) {
    const way = key === "y" || (key === "z" && event.shiftKey) ? ["redo", "undo"] : key === "z" ? ["undo", "redo"] : null;
    if (!way) return;
    event.preventDefault();
    if (!drag) travel(...way);
    return;
  }
  if (event.altKey || drag) return;
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  if (event.shiftKey && steps) { event.preventDefault(); return nudge(...steps); }
  if (key === "Tab" && person()) { event.preventDefault(); return nextPoint(event.shiftKey ? -1 : 1); }
  if (key === "s" && event.shiftKey) { event.preventDefault(); return swap(false); }
  if (key === "h") { if (!hidden) { hidden = true; draw(); } return; }
  // a button that has the focus is pressed by its own keys
  if (key === "Enter" && event.target instanceof HTMLButtonElement && event.target !== get("done")) return;
  if (event.repeat && ["Enter", "n", "Delete"].includes(key)) return;
  const act = Object.hasOwn(ACTIONS, key) ? ACTIONS[key] : null;
  if (act) { event.preventDefault(); act(); }
});
document.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "h") { hidden = false; draw(); } });
window.addEventListener("blur", () => { hidden = false; draw(); });
document.addEventListener("visibilitychange", flush);
window.addEventListener("beforeunload", (event) => { if (waiting.size || saving) event.preventDefault(); });

for (const [id, act] of Object.entries({
  undo: () => travel("undo", "redo"), redo: () => travel("redo", "undo"), helpbutton: () => showHelp(true),
  close: () => showHelp(false), add, ask: startBox, swap: () => swap(), remove, back: () => open(current - 1),
  forth: () => open(current + 1), done, fit: () => size && fit(), larger: () => zoom(1.25), smaller: () => zoom(0.8),
})) get(id).addEventListener("click", (event) => { act(); event.currentTarget.blur(); });
get("names").addEventListener("change", (event) => { event.target.blur(); draw(); });
get("light").addEventListener("input", (event) => { ground.style.filter = `brightness(${event.target.value})`; });
get("light").addEventListener("change", (event) => event.target.blur());
get("list").addEventListener("scroll", showList);
new ResizeObserver(() => (size ? fit() : draw())).observe(stage);
get("keys").replaceChildren(...KEYS.map(([key, about]) => make("div", {},
  make("span", {}, ...key.split("  ").flatMap((one, n) => [n ? " " : "", make("kbd", { textContent: one })])),
  make("span", { textContent: about }))));
begin().catch((error) => {
  tell("Not opened", "bad");
  complain(error);
});
