/* From pixels of the picture to those of the screen. */
import { stage } from "./elements.js";
import { draw, NONE, page, person } from "./state.js";

export const view = { scale: 1, x: 0, y: 0 };

export const toScreen = (x, y) => [(x + 0.5) * view.scale + view.x, (y + 0.5) * view.scale + view.y];

export const toPicture = (x, y) => [(x - view.x) / view.scale - 0.5, (y - view.y) / view.scale - 0.5];

export const clamp = (x, y) => [Math.min(Math.max(x, 0), page.size.width - 1), Math.min(Math.max(y, 0), page.size.height - 1)]
  .map((v) => Math.round(v * 100) / 100);

export function fit(box = [0, 0, page.size.width, page.size.height], most = Infinity) {
  const { clientWidth: width, clientHeight: height } = stage;
  view.scale = Math.min(most, 0.96 * Math.min(width / box[2], height / box[3]));
  view.x = width / 2 - (box[0] + box[2] / 2) * view.scale;
  view.y = height / 2 - (box[1] + box[3] / 2) * view.scale;
  draw();
}

export function zoomToPerson() {
  const one = person();
  const points = one ? one.keypoints.filter((point) => point[2] > NONE) : [];
  if (!points.length) return;
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const side = Math.max(Math.max(...xs) - left, Math.max(...ys) - top, 8);
  fit([left - side * 0.2, top - side * 0.2, Math.max(...xs) - left + side * 0.4, Math.max(...ys) - top + side * 0.4], 20);
}

export function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  if (!page.size) return;
  const scale = Math.min(60, Math.max(0.02, view.scale * factor)), real = scale / view.scale;
  view.x = x - (x - view.x) * real;
  view.y = y - (y - view.y) * real;
  view.scale = scale;
  draw();
}
