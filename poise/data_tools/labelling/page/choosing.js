/* What comes next: a point, a person, a picture. */
import { setReviewed, stop } from "./editing.js";
import { nextUnreviewed, open } from "./opening.js";
import { kindOf, NONE, now, page, person, show, VISIBLE } from "./state.js";

export function choose(p, k) {
  const one = now().people[p];
  page.chosen = { p, k };
  page.placing = one && k >= 0 && one.keypoints[k][2] === NONE ? { p, k, chain: false, state: VISIBLE } : null;
  page.boxing = "";
  show();
}

export function nextPoint(step) {
  const one = person();
  if (!one) return;
  const asked = kindOf(one).asked, at = asked.indexOf(page.placing ? page.placing.k : page.chosen.k);
  const k = asked[(at + step + asked.length) % asked.length];
  if (page.placing && page.placing.chain) page.placing = { ...page.placing, k };
  else return choose(page.chosen.p, k);
  show();
}

export function nextPerson() {
  const count = now() ? now().people.length : 0;
  if (!count) return;
  page.placing = null;
  page.chosen = { p: (page.chosen.p + 1) % count, k: -1 };
  show();
}

export function escape() {
  if (page.placing || page.boxing) return stop();
  page.chosen = { p: page.chosen.k >= 0 ? page.chosen.p : -1, k: -1 };
  show();
}

export function done() {
  if (!now()) return;
  stop();
  page.chosen.k = -1;
  setReviewed(true);
  show();
  const next = nextUnreviewed(page.current);
  if (next >= 0) open(next);
}

export function jump() {
  const next = nextUnreviewed(page.current);
  if (next >= 0) open(next);
}
