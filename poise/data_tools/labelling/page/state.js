/* What the page knows: its pictures, what is chosen, what is being done. */

/** The third number of a keypoint. */
export const NONE = 0, OCCLUDED = 1, VISIBLE = 2;
export const STATES = [[VISIBLE, "visible", "●"], [OCCLUDED, "occluded", "○"], [NONE, "not labelled", "–"]];

export const page = {
  // of all pictures, in the order of the list
  names: [], numbers: [], shared: "", counts: [], reviewed: [],
  kinds: new Map(), hasModel: false, file: "",
  // the picture that is open, and width and height of what is shown
  current: -1, size: null,
  // person `p` and perhaps keypoint `k`; what the next click places; what a pointer does; what the box is for that
  // is to be drawn ("model", "own"); sides of the chosen one's box under the pointer
  chosen: { p: -1, k: -1 }, placing: null, drag: null, boxing: "", grip: null, hover: null, hidden: false, asking: false,
  // why nothing can be saved
  trouble: null,
};
/** Number -> people, version and steps of pictures that were loaded. */
export const pictures = new Map();

export const now = () => pictures.get(page.current);

export const person = () => (now() ? now().people[page.chosen.p] : undefined);

export const kindOf = (one) => page.kinds.get(one.category_id);

export const labelled = (one) => one.keypoints.some((point) => point[2] > NONE);

/** A new one without any point, and without a box that was drawn, is nobody. */
export const somebody = (one) => one.id != null || one.drawn || labelled(one) || Object.keys(one.aside || {}).length > 0;
export const boxed = (corners) => [corners[0], corners[1], corners[2] - corners[0], corners[3] - corners[1]];

export function tidy() {
  const picture = now();
  if (!picture) return;
  picture.people = picture.people.filter(somebody);
}

/** Who shows things says so here; then those who change them need not know of them. */
const shown = {};
export const shownBy = (functions) => Object.assign(shown, functions);
/** The picture; all that belongs to it; the list of pictures; how many are reviewed. */
export const draw = () => shown.draw();
export const show = () => shown.show();
export const showList = () => shown.showList();
export const showProgress = () => shown.showProgress();
