/* Poses in a picture: where to look, crops, network, keypoints. */
import { fittedPlace, letterboxed, placeOf, toPicture, warped } from "./geometry.js";
import { decoders } from "./codecs.js";
import { boxesOf, Followed, peopleOf } from "./people.js";

/** Places that go through the network at once, frames between two runs of the detector, and the part of a
 *  pose's size that is left around it where its first box was none of a detector. */
const BATCH = 8, DETECT_EVERY = 15, MARGIN = 0.2;

/** Finds poses in pictures, one after the other. */
export class Poses {
  constructor(networks) {
    this.networks = networks;
    this.forget();
  }

  /** The next picture has nothing to do with the one before. */
  forget() {
    this.followed = new Followed();
    this.before = null;
    this.since = 0;
  }

  /** Instances of a picture {data, width, height}; `look`: {way, box, threshold, follow}. */
  async find(picture, look) {
    const { pose } = this.networks;
    if (pose.about.kind === "people") return this.everybody(picture);
    const boxes = await this.boxes(picture, look), instances = [];
    for (let start = 0; start < boxes.length; start += BATCH) {
      instances.push(...await this.inBoxes(picture, boxes.slice(start, start + BATCH)));
    }
    if (!this.kept) this.followed.found(instances, look.way === "whole" ? MARGIN : null);
    this.before = instances;
    return instances;
  }

  async boxes(picture, { way, box, threshold, follow }) {
    this.kept = follow && this.before?.length && (way !== "detector" || ++this.since < DETECT_EVERY);
    if (this.kept) {
      const next = this.followed.next(this.before);
      if (next.length) return next;
      this.kept = false;
    }
    this.since = 0;
    if (way === "drawn" && box) return [[...box, 1]];
    if (way !== "detector") return [[0, 0, picture.width, picture.height, 1]];
    const { detector } = this.networks, { size, padding, form } = detector.about;
    const fitted = letterboxed(picture, size, padding, form === "centres");
    return boxesOf(await detector.run(fitted.pixels, 1), detector.about, fitted, threshold, picture);
  }

  async inBoxes(picture, boxes) {
    const { about } = this.networks.pose, { size } = about, length = size[0] * size[1] * 3;
    const places = boxes.map((box) => placeOf(box, about.padding, size, about.udp));
    const pixels = new Uint8Array(boxes.length * length);
    places.forEach((place, i) => pixels.set(warped(picture, place), i * length));
    const outputs = await this.networks.pose.run(pixels, boxes.length);
    return boxes.map((box, i) => {
      const { points, scores } = decoders[about.codec.name](outputs, i, about.codec);
      const keypoints = points.map(([x, y]) => toPicture(places[i], x, y));
      return { bbox: box.slice(0, 4), bbox_score: box[4], label: box[5], keypoints, keypoint_scores: scores };
    });
  }

  async everybody(picture) {
    const { about } = this.networks.pose, { size, padding } = about;
    if (about.fit === "warp") {
      const place = fittedPlace(picture, size), outputs = await this.networks.pose.run(warped(picture, place, padding), 1);
      return peopleOf(outputs, about, (x, y) => toPicture(place, x, y), picture);
    }
    const { pixels, scale } = letterboxed(picture, size, padding, false);
    return peopleOf(await this.networks.pose.run(pixels, 1), about, (x, y) => [x / scale[0], y / scale[1]], picture);
  }
}

/** Which frame comes after another, in seconds: browsers tell times alone, and the shortest step between two
 *  is the rate of a video (`whole`). */
export function ticked(before, time, whole) {
  if (!before) return { time, start: whole ? 0 : time, frame: 0, apart: 0, ms: 0 };
  const step = time - before.time, shorter = !before.apart || step < 0.7 * before.apart, apart = shorter ? step : before.apart;
  const frame = !whole ? before.frame + 1 : shorter ? Math.round(time / step) : before.frame + Math.max(Math.round(step / apart), 1);
  return { ...before, time, frame, apart: shorter ? step : (time - before.start) / frame };
}

/** A line of Poise's JSON: what `poise predict --format jsonl` writes of a picture. */
export function lineOf(name, picture, instances, moment) {
  const rounded = (value, digits) => Array.isArray(value) ? value.map((v) => rounded(v, digits)) : +Number(value).toFixed(digits);
  const ids = PAGE.detector?.ids;
  return JSON.stringify({
    version: PAGE.resultVersion, image: name, ...moment, width: picture.width, height: picture.height,
    schema: PAGE.schema, keypoint_names: PAGE.names,
    instances: instances.map((one) => ({
      bbox: rounded(one.bbox, 2), bbox_score: rounded(one.bbox_score, 4),
      keypoints: rounded(one.keypoints, 2), keypoint_scores: rounded(one.keypoint_scores, 4),
      ...(ids && one.label !== undefined ? { category_id: ids[one.label] } : {}),
    })),
  });
}
