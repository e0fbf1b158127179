/* Changing what is labelled, one step of undo each. */
import { hint } from "./elements.js";
import { touched } from "./saving.js";
import { kindOf, NONE, now, page, person, show, showProgress, tidy } from "./state.js";
import { clamp } from "./view.js";

/** Undo steps of each picture. */
const STEPS = 200;

const copy = (value) => JSON.parse(JSON.stringify(value));

export function remember() {
  const picture = now();
  picture.undo.push({ people: copy(picture.people), chosen: { ...page.chosen }, placing: page.placing && { ...page.placing } });
  if (picture.undo.length > STEPS) picture.undo.shift();
  picture.redo = [];
}

export function change(act) {
  if (!now() || !page.size) return;
  remember();
  act(now());
  touched();
  show();
}

export function travel(from, to) {
  const picture = now();
  if (!picture || !picture[from].length) return;
  picture[to].push({ people: copy(picture.people), chosen: { ...page.chosen }, placing: page.placing && { ...page.placing } });
  const step = picture[from].pop();
  picture.people = step.people;
  page.chosen = step.chosen;
  page.placing = step.placing;
  touched();
  show();
}

export function setState(value) {
  if (page.placing && page.placing.chain) {
    if (value === NONE) return advance();
    return;
  }
  const target = page.hover || page.chosen, one = now() && now().people[target.p];
  if (!one || target.k < 0) return;
  page.chosen = { ...target };
  const point = one.keypoints[target.k];
  if (point[2] === value) return;
  if (point[2] === NONE) {
    // it has no place yet: the next click says where
    page.placing = { p: target.p, k: target.k, chain: false, state: value };
    return show();
  }
  change(() => { one.keypoints[target.k] = value === NONE ? [0, 0, NONE] : [point[0], point[1], value]; });
}

/** Exchange left and right of all, or of the chosen point and its other side. */
export function swap(all = true) {
  const one = person();
  if (!one) return;
  const pair = (k) => all || k === page.chosen.k || kindOf(one).swap[k] === page.chosen.k;
  const other = kindOf(one).swap.map((to, k) => (pair(k) ? to : k));
  if (other.every((to, k) => to === k)) {
    return hint(all ? "These keypoints have no left and right." : "Choose a point that has another side.");
  }
  page.placing = null;
  change(() => { one.keypoints = other.map((from) => one.keypoints[from]); });
}

export function remove() {
  if (!person()) return;
  page.placing = null;
  change((picture) => {
    picture.people.splice(page.chosen.p, 1);
    page.chosen = { p: Math.min(page.chosen.p, picture.people.length - 1), k: -1 };
  });
}

export function nudge(x, y) {
  const one = person(), point = one && one.keypoints[page.chosen.k];
  if (point && point[2] > NONE) change(() => { one.keypoints[page.chosen.k] = [...clamp(point[0] + x, point[1] + y), point[2]]; });
}

export function place(x, y, state) {
  const { p, k } = page.placing;
  change((picture) => { picture.people[p].keypoints[k] = [...clamp(x, y), state]; });
  page.chosen = { p, k };
}

/** The next keypoint of a new one, or its end. */
export function advance() {
  const one = now().people[page.placing.p], asked = kindOf(one).asked;
  const next = asked[asked.indexOf(page.placing.k) + 1];
  page.chosen = { p: page.placing.p, k: page.placing.k };
  if (page.placing.chain && next !== undefined) page.placing = { ...page.placing, k: next };
  else stop();
  show();
}

export function stop() {
  page.placing = null;
  page.boxing = "";
  tidy();
  if (!person()) page.chosen = { p: now() && now().people.length ? 0 : -1, k: -1 };
  show();
}

export function setReviewed(value) {
  const picture = now();
  if (!picture) return;
  page.reviewed[page.current] = value;
  if (picture.reviewed !== value) {
    picture.reviewed = value;
    touched();
  }
  showProgress();
  show();
}
