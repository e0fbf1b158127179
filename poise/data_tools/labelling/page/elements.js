/* What the page is made of, and short texts in it. */
import { NONE, VISIBLE } from "./state.js";

export const get = (id) => document.getElementById(id);

export const stage = get("stage"), ground = get("ground"), canvas = get("ink");

export function make(tag, about = {}, ...inside) {
  const made = Object.assign(document.createElement(tag), about);
  made.append(...inside);
  return made;
}

export const pretty = (name) => name.replace(/_/g, " ");

export function tell(text, kind = "") {
  get("saved").textContent = text;
  get("saved").className = kind;
}

export function note(text) {
  get("note").textContent = text;
  get("note").hidden = !text;
}

/** Text with keys in [brackets] and emphasis in *stars*. */
export function hint(text) {
  const parts = text.split(/(\[[^\]]+\]|\*[^*]+\*)/).filter(Boolean);
  get("hint").replaceChildren(...parts.map((part) => part[0] === "[" ? make("kbd", { textContent: part.slice(1, -1) })
    : part[0] === "*" ? make("b", { textContent: part.slice(1, -1) }) : part));
}

/** A dot as the picture has it. */
export function dot(color, state) {
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
