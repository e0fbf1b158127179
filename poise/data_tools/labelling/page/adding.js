/* New ones: point by point, or as the model proposes them. */
import { change, remember } from "./editing.js";
import { get, note } from "./elements.js";
import { ask } from "./saving.js";
import { NONE, now, page, show, tidy, VISIBLE } from "./state.js";
import { clamp } from "./view.js";

export function add() {
  if (!now() || !page.size) return;
  tidy();
  page.boxing = false;
  const kind = page.kinds.get(chosenKind());
  remember();
  page.chosen = { p: now().people.length, k: -1 };
  now().people.push(blank(kind));
  page.placing = { p: page.chosen.p, k: kind.asked[0], chain: true, state: VISIBLE };
  show();
}

function chosenKind() {
  // ids may be numbers or texts
  return [...page.kinds.keys()][Math.max(0, get("kind").selectedIndex)];
}

function blank(kind) {
  return { id: null, key: `${Date.now()}-${Math.random().toString(36).slice(2)}`, category_id: kind.category,
    bbox: null, keypoints: kind.keypoints.map(() => [0, 0, NONE]) };
}

export function startBox() {
  if (!page.hasModel || !page.size || page.asking) return;
  page.placing = null;
  tidy();
  page.boxing = true;
  show();
}

export function finishBox(box) {
  page.boxing = false;
  const [x1, x2] = [box[0], box[2]].sort((a, b) => a - b), [y1, y2] = [box[1], box[3]].sort((a, b) => a - b);
  const corners = [...clamp(x1, y1), ...clamp(x2, y2)];
  if (corners[2] - corners[0] < 4 || corners[3] - corners[1] < 4) return;
  propose(corners);
}

async function propose(box) {
  const own = page.current, kind = page.kinds.get(chosenKind());
  page.asking = true;
  show();
  try {
    const said = await (await ask(`proposal/${page.numbers[own]}`, { box, category_id: kind.category })).json();
    page.asking = false;
    if (own !== page.current) return show();
    change((picture) => {
      const [x1, y1, x2, y2] = box;
      picture.people.push({ ...blank(kind), keypoints: said.keypoints, bbox: [x1, y1, x2 - x1, y2 - y1] });
      page.chosen = { p: picture.people.length - 1, k: -1 };
    });
  } catch (error) {
    page.asking = false;
    show();
    note(error.message);
    setTimeout(() => { if (get("note").textContent === error.message) note(""); }, 6000);
  }
}
