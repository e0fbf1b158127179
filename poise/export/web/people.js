/* Who is there: people of one-stage networks, boxes of detectors, and boxes that follow poses. */
import { sorted, suppressed } from "./geometry.js";

const rows = (data, width, count) => Array.from({ length: count }, (_, i) => data.subarray(i * width, (i + 1) * width));

/** People of a one-stage network: outputs of one picture -> instances, by `move`: (x, y) -> picture. */
export function peopleOf([boxes, scores, keypoints, seen], { select, size }, move, picture) {
  const K = seen.dims[2], count = scores.dims[1], all = rows(boxes.data, 4, count);
  const moved = (b) => [...move(b[0], b[1]), ...move(b[2], b[3])];
  const within = (b, [w, h]) => b.map((v, i) => Math.min(Math.max(v, 0), i % 2 ? h : w));
  let found = sorted(scores.data).filter((i) => scores.data[i] > select.score_threshold).slice(0, select.candidates);
  if (select.iou_threshold !== null) {
    const places = found.map((i) => select.in_image ? moved(all[i]) : all[i]);
    found = suppressed(places, found.map((i) => scores.data[i]), select.iou_threshold).map((n) => found[n]);
    found = found.slice(0, select.max_people ?? undefined);
  }
  return found.map((i) => ({
    bbox: select.in_image ? within(moved(all[i]), [picture.width, picture.height]) : moved(within([...all[i]], size)),
    bbox_score: scores.data[i],
    keypoints: Array.from({ length: K }, (_, k) => move(keypoints.data[(i * K + k) * 2], keypoints.data[(i * K + k) * 2 + 1])),
    keypoint_scores: [...seen.data.subarray(i * K, (i + 1) * K)],
  }));
}

/** Boxes [x1, y1, x2, y2, score, class] of a detector's outputs, in its input, before thresholds. */
const readers = {
  centres([output]) {
    return rows(output.data, 5, output.dims[1]).map(([x, y, w, h, score]) => [x - w / 2, y - h / 2, x + w / 2, y + h / 2, score, 0]);
  },
  classes([boxes, scores], { select, levels }, threshold) {
    const C = scores.dims[2], found = [], least = Math.max(select.score_threshold, threshold);
    let start = 0;
    for (const count of select.several_labels ? levels : [boxes.dims[1]]) {
      const level = [];
      for (let p = start; p < start + count; p++) {
        const own = scores.data.subarray(p * C, (p + 1) * C), best = own.indexOf(Math.max(...own));
        for (const label of select.several_labels ? own.keys() : [best]) {
          if (select.several_labels ? own[label] > least : own[label] >= least) level.push([...boxes.data.subarray(p * 4, p * 4 + 4), own[label], label]);
        }
      }
      level.sort((a, b) => b[4] - a[4]);
      found.push(...level.slice(0, select.best_of_level ?? undefined));
      start += count;
    }
    return found;
  },
};

/** Boxes of a detector in the picture, best first. */
export function boxesOf(outputs, detector, fitted, threshold, picture) {
  const { select, form, classes } = detector, { scale, corner } = fitted;
  let boxes = readers[form](outputs, detector, threshold).map(([x1, y1, x2, y2, score, label]) => [
    (x1 - corner[0]) / scale[0], (y1 - corner[1]) / scale[1], (x2 - corner[0]) / scale[0], (y2 - corner[1]) / scale[1], score, label]);
  if (form === "centres") {
    boxes = boxes.filter((b) => b[4] >= threshold);
    boxes.forEach((b) => [0, 1, 2, 3].forEach((i) => { b[i] = Math.min(Math.max(b[i], 0), i % 2 ? picture.height : picture.width); }));
  } else if (select.smallest_side >= 0) {
    boxes = boxes.filter((b) => b[2] - b[0] > select.smallest_side && b[3] - b[1] > select.smallest_side);
  }
  if (select.iou_threshold !== null) {
    // every class gets a place of its own, where boxes of others never come
    const far = select.class_agnostic ? 0 : Math.max(...boxes.map((b) => Math.max(b[2], b[3])), 0) + 1;
    const apart = boxes.map((b) => b.slice(0, 4).map((v) => v + b[5] * far));
    const kept = suppressed(apart, boxes.map((b) => b[4]), select.iou_threshold, form === "centres" ? 1 : 0);
    boxes = kept.map((i) => boxes[i]);
  } else boxes = sorted(boxes.map((b) => b[4])).map((i) => boxes[i]);
  boxes = boxes.slice(0, select.max_boxes ?? undefined);
  return boxes.filter((b) => b[2] > b[0] && b[3] > b[1] && b[4] >= threshold && (!classes || classes.includes(b[5])));
}

/** Boxes of the next frame, from poses: the margin that a box had around its pose is kept, and its last step added.
 *  `threshold`: of keypoints that count; `margin`: where boxes were no boxes of people; null: as measured. */
export class Followed {
  constructor(threshold = 0.3) {
    this.threshold = threshold;
    this.people = [];
  }

  extent({ keypoints, keypoint_scores: scores }) {
    const sure = keypoints.filter((p, k) => scores[k] >= this.threshold && Number.isFinite(p[0] + p[1]));
    if (!keypoints.length || sure.length / keypoints.length < 0.25) return null;
    const [xs, ys] = [0, 1].map((axis) => sure.map((p) => p[axis]));
    const low = [Math.min(...xs), Math.min(...ys)], high = [Math.max(...xs), Math.max(...ys)];
    const size = [0, 1].map((axis) => Math.max(high[axis] - low[axis], 1));
    return { low, high, size, center: [0, 1].map((axis) => (low[axis] + high[axis]) / 2) };
  }

  /** People of a frame whose boxes were found anew. */
  found(instances, margin = null) {
    this.people = instances.map((one) => {
      const e = this.extent(one);
      if (!e) return null;
      const measured = one.bbox.map((v, i) => (v - (i < 2 ? e.low : e.high)[i % 2]) / e.size[i % 2]);
      return { center: e.center, margins: margin === null ? measured : [-margin, -margin, margin, margin] };
    });
  }

  /** Boxes [x1, y1, x2, y2, score, class] of the next frame; people whose pose is not sure are left out. */
  next(instances) {
    const boxes = [];
    this.people = instances.flatMap((one, n) => {
      const e = this.extent(one), before = this.people[n];
      if (!e) return [];
      const margins = before?.margins ?? [0, 0, 0, 0];
      const step = [0, 1].map((axis) => before ? e.center[axis] - before.center[axis] : 0);
      const box = margins.map((m, i) => (i < 2 ? e.low : e.high)[i % 2] + m * e.size[i % 2] + step[i % 2]);
      boxes.push([...box, one.bbox_score, one.label ?? 0]);
      return [{ center: e.center, margins }];
    });
    // two boxes that have come to follow the same one
    const kept = suppressed(boxes, boxes.map((b) => b[4]), 0.8).sort((a, b) => a - b);
    this.people = kept.map((i) => this.people[i]);
    return kept.map((i) => boxes[i]);
  }
}
