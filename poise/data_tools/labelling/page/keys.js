/* Keys, and the help that tells them. */
import { add, startBox } from "./adding.js";
import { done, escape, jump, nextPerson, nextPoint } from "./choosing.js";
import { nudge, remove, setReviewed, setState, swap, travel } from "./editing.js";
import { get, make } from "./elements.js";
import { findName } from "./list.js";
import { open } from "./opening.js";
import { draw, NONE, now, OCCLUDED, page, person, VISIBLE } from "./state.js";
import { fit, zoom, zoomToPerson } from "./view.js";
import { nextCategory, startOutline } from "./whole.js";

const KEYS = [
  ["Enter", "reviewed, go to the next one that is not"], ["→  ←", "next, previous picture"],
  ["U", "next picture that is not reviewed"], ["R", "reviewed or not"],
  ["N", "new: click its points one after the other"], ["B", "draw a box, the model finds the pose"],
  ["Esc", "stop; choose nothing"], ["Delete", "delete the chosen one"],
  ["C", "choose the next one"], ["K", "it is of the next category"],
  ["D", "draw its box anew; with nobody chosen: a new one, box alone"],
  ["S", "swap left and right"],
  ["Shift+S", "swap the chosen point with its other side"],
  ["Tab  Shift+Tab", "next, previous point"], ["V  1", "the point is visible"],
  ["O  2", "the point is occluded"], ["X  3", "the point is not labelled; of a new one: skip it"],
  ["right click", "visible or occluded; of a new one: place as occluded"],
  ["Shift+arrows", "move the point by a pixel"],
  ["Ctrl+Z  Ctrl+Y", "undo, redo"], ["wheel, pinch", "zoom"], ["drag elsewhere", "move the picture"],
  ["F", "whole picture"], ["G", "zoom to the chosen one"], ["T", "names of all points"],
  ["H", "hide the poses while held"], ["?", "this help"],
];

const ACTIONS = {
  Enter: done, ArrowRight: () => open(page.current + 1), ArrowLeft: () => open(page.current - 1), u: jump,
  r: () => now() && setReviewed(!page.reviewed[page.current]), n: add, b: startBox, Escape: escape,
  Delete: remove, Backspace: () => (page.placing && page.placing.chain ? travel("undo", "redo") : remove()), c: nextPerson, k: nextCategory, d: startOutline, s: () => swap(),
  v: () => setState(VISIBLE), 1: () => setState(VISIBLE), o: () => setState(OCCLUDED), 2: () => setState(OCCLUDED),
  x: () => setState(NONE), 3: () => setState(NONE), f: () => page.size && fit(), g: zoomToPerson,
  t: () => { get("names").checked = !get("names").checked; draw(); },
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), "?": () => showHelp(true),
};

export function showHelp(shown) {
  get("help").hidden = !shown;
  if (shown) get("close").focus();
}

function pressed(event) {
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
    if (!page.drag) travel(...way);
    return;
  }
  if (event.altKey || page.drag) return;
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  if (event.shiftKey && steps) { event.preventDefault(); return nudge(...steps); }
  if (key === "Tab" && person()) { event.preventDefault(); return nextPoint(event.shiftKey ? -1 : 1); }
  if (key === "s" && event.shiftKey) { event.preventDefault(); return swap(false); }
  if (key === "h") { if (!page.hidden) { page.hidden = true; draw(); } return; }
  // a button that has the focus is pressed by its own keys
  if (key === "Enter" && event.target instanceof HTMLButtonElement && event.target !== get("done")) return;
  if (event.repeat && ["Enter", "n", "Delete"].includes(key)) return;
  const act = Object.hasOwn(ACTIONS, key) ? ACTIONS[key] : null;
  if (act) { event.preventDefault(); act(); }
}

export function listenToKeys() {
  document.addEventListener("keydown", pressed);
  document.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "h") { page.hidden = false; draw(); } });
  window.addEventListener("blur", () => { page.hidden = false; draw(); });
  get("keys").replaceChildren(...KEYS.map(([key, about]) => make("div", {},
    make("span", {}, ...key.split("  ").flatMap((one, n) => [n ? " " : "", make("kbd", { textContent: one })])),
    make("span", { textContent: about }))));
}
