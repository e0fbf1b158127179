/* New ones: point by point, or as the model proposes them. */
import { change, remember } from "./editing.js";
import { get, note } from "./elements.js";
import { ask } from "./saving.js";
import { boxed, NONE, now, page, show, tidy, VISIBLE } from "./state.js";
import { clamp } from "./view.js";

export function add() {
  if (!now() || !page.size) return;
  tidy();
  page.boxing = "";
  const kind = page.kinds.get(chosenKind());
  remember();
  page.chosen = { p: now().people.length, k: -1 };
  now().people.push(blank(kind));
  page.placing = { p: page.chosen.p, k: kind.asked[0], chain: true, state: VISIBLE };
  show();
}

export function chosenKind() {
  // ids may be numbers or texts
  return [...page.kinds.keys()][Math.max(0, get("kind").selectedIndex)];
}

export function blank(kind) {
  return { id: null, key: `${Date.now()}-${Math.random().toString(36).slice(2)}`, category_id: kind.category,
    bbox: null, keypoints: kind.keypoints.map(() => [0, 0, NONE]) };
}

export function startBox() {
  if (!page.hasModel || !page.size || page.asking) return;
  page.placing = null;
  tidy();
  page.boxing = "model";
  show();
}

/** Let the model find the pose in a box; its corners are pixels. */
export async function propose(box) {
  const corners = [...clamp(box[0], box[1]), ...clamp(box[2], box[3])];

  const own = page.current, kind = page.kinds.get(chosenKind());
  page.asking = true;
  show();
  try {
    const said = await (await ask(`proposal/${page.numbers[own]}`, { box: corners, category_id: kind.category })).json();
    page.asking = false;
    if (own !== page.current) return show();
    change((picture) => {
      picture.people.push({ ...blank(kind), keypoints: said.keypoints, bbox: boxed(corners) });
      page.chosen = { p: picture.people.length - 1, k: -1 };
    });
  } catch (error) {
    page.asking = false;
    show();
    note(error.message);
    setTimeout(() => { if (get("note").textContent === error.message) note(""); }, 6000);
  }
}
