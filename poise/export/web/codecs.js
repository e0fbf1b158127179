/* From what a network says to keypoints of its input: [x, y] and scores, for one place of a batch. */

/** Numbers of one place of a batch, of an output {data, dims}. */
function rowOf({ data, dims }, row) {
  const length = data.length / dims[0];
  return data.subarray(row * length, (row + 1) * length);
}

/** Index of the largest number. */
function largest(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** A map or vector along one axis with a kernel; outside is nothing, or the mirror image. */
function smoothed(map, length, stride, kernel, mirror) {
  const out = new Float32Array(map.length), reach = kernel.length >> 1;
  for (let i = 0; i < map.length; i++) {
    const at = Math.floor(i / stride) % length, line = i - at * stride;
    let sum = 0;
    for (let t = 0; t < kernel.length; t++) {
      let place = at + t - reach;
      if (mirror) place = place < 0 ? -place : place >= length ? 2 * length - 2 - place : place;
      if (place >= 0 && place < length) sum += kernel[t] * map[line + place * stride];
    }
    out[i] = sum;
  }
  return out;
}

const blurred = (map, w, h, kernel, mirror = false) => smoothed(smoothed(map, w, 1, kernel, mirror), h, w, kernel, mirror);

/** Blurred, with its maximum restored. */
function modulated(map, blurry) {
  const factor = map[largest(map)] / blurry[largest(blurry)];
  return blurry.map((value) => value * factor);
}

/** Inverse Hessian times gradient. */
function newton(dx, dy, dxx, dxy, dyy) {
  const det = dxx * dyy - dxy * dxy;
  return [(dyy * dx - dxy * dy) / det, (dxx * dy - dxy * dx) / det];
}

/** Keypoints of heatmaps (K, h, w): `refine` moves the maximum of a map, `last` scales to the input. */
function ofHeatmaps(output, row, codec, refine, per = 1) {
  const [, channels, h, w] = output.dims, values = rowOf(output, row), points = [], scores = [];
  for (let k = 0; k < channels / per; k++) {
    const maps = values.subarray(k * per * w * h, (k + 1) * per * w * h), map = maps.subarray(0, w * h);
    const best = largest(map), none = map[best] <= 0;
    const found = refine({ map, maps, w, h, codec, x: none ? -1 : best % w, y: none ? -1 : Math.floor(best / w), score: map[best] });
    points.push([found.x * codec.factor[0], found.y * codec.factor[1]]);
    scores.push(found.score);
  }
  return { points, scores };
}

/** A quarter pixel toward the larger neighbour (Newell 2016, section 3.2). */
function quarter({ map, w, h, x, y, score }) {
  const at = y * w + x, place = { x, y, score };
  if (x > 1 && x < w - 1 && y > 0) place.x += Math.sign(map[at + 1] - map[at - 1]) / 4;
  if (y > 1 && y < h - 1 && x > 0) place.y += Math.sign(map[at + w] - map[at - w]) / 4;
  return place;
}

/** The top of the parabola that the logarithm is (DARK, Zhang 2020, eq. 3-9). */
function dark({ map, w, h, codec, x, y, score }) {
  if (!(x > 1 && x < w - 2 && y > 1 && y < h - 2)) return { x, y, score };
  const density = modulated(map, blurred(map, w, h, codec.taps));
  const log = (i, j) => Math.log(Math.max(density[(y + j) * w + x + i], 1e-10));
  const dxx = (log(2, 0) - 2 * log(0, 0) + log(-2, 0)) / 4, dyy = (log(0, 2) - 2 * log(0, 0) + log(0, -2)) / 4;
  const dxy = (log(1, 1) - log(1, -1) - log(-1, 1) + log(-1, -1)) / 4;
  if (dxx * dyy - dxy * dxy === 0) return { x, y, score };
  const [sx, sy] = newton((log(1, 0) - log(-1, 0)) / 2, (log(0, 1) - log(0, -1)) / 2, dxx, dxy, dyy);
  return { x: x - sx, y: y - sy, score };
}

/** The same with differences of one pixel, the border repeated outward (UDP, Huang 2020). */
function udp({ map, w, h, codec, x, y, score }) {
  if (x < 0) return { x: NaN, y: NaN, score };
  const density = modulated(map, blurred(map, w, h, codec.taps)), within = (v, n) => Math.min(Math.max(v, 0), n - 1);
  const log = (i, j) => Math.log(Math.min(Math.max(density[within(y + j, h) * w + within(x + i, w)], 1e-3), 50));
  const here = log(0, 0), tiny = 2 ** -23;
  const dxx = log(1, 0) - 2 * here + log(-1, 0) + tiny, dyy = log(0, 1) - 2 * here + log(0, -1) + tiny;
  const dxy = (log(1, 1) - log(1, 0) - log(0, 1) + 2 * here - log(-1, 0) - log(0, -1) + log(-1, -1)) / 2;
  const [sx, sy] = newton((log(1, 0) - log(-1, 0)) / 2, (log(0, 1) - log(0, -1)) / 2, dxx, dxy, dyy);
  return { x: x - sx, y: y - sy, score };
}

/** Disks, and the offsets to their centres. */
function combined({ map, maps, w, h, codec }) {
  const disk = blurred(map, w, h, codec.taps, true), best = largest(disk), score = disk[best];
  if (score <= 0) return { x: NaN, y: NaN, score };
  const offset = (axis) => maps[(1 + axis) * w * h + best] * codec.radius;
  return { x: best % w + offset(0), y: Math.floor(best / w) + offset(1), score };
}

/** Maxima of smooth maps as high as `peak`. */
function megvii({ map, w, h, codec }) {
  const density = modulated(map, blurred(map, w, h, codec.taps)), best = largest(density), peak = density[best];
  let x = best % w, y = Math.floor(best / w);
  if (x > 1 && x < w - 1 && y > 1 && y < h - 1) {
    x += Math.sign(density[best + 1] - density[best - 1]) / 4 + 0.5;
    y += Math.sign(density[best + w] - density[best - w]) / 4 + 0.5;
  }
  return { x: peak <= 0 ? -1 : x, y: peak <= 0 ? -1 : y, score: peak / codec.peak + 0.5 };
}

/** Two vectors a keypoint. */
function simcc(outputs, row, codec) {
  const axes = outputs.slice(0, 2).map((output, axis) => {
    const length = output.dims.at(-1), values = rowOf(output, row);
    return Array.from({ length: values.length / length }, (_, k) => {
      const vector = values.subarray(k * length, (k + 1) * length), bin = largest(vector);
      return { bin, peak: vector[bin], over: codec.taps ? overshoot(vector, bin, codec.taps[axis]) : 0 };
    });
  });
  const scores = axes[0].map((x, k) => Math.min(x.peak, axes[1][k].peak));
  const place = (axis, k) => scores[k] <= 0 ? -1 : axes[axis][k].bin - axes[axis][k].over;
  return { points: scores.map((_, k) => [place(0, k) / codec.ratio, place(1, k) / codec.ratio]), scores };
}

/** Bins by which a maximum lies beyond the top of a smooth peak. */
function overshoot(vector, bin, kernel) {
  const density = modulated(vector, smoothed(vector, vector.length, 1, kernel, false));
  const log = (i) => Math.log(Math.min(Math.max(density[Math.min(Math.max(bin + i, 0), vector.length - 1)], 1e-3), 50));
  return (log(1) - log(-1)) / 2 / (1e-9 + (log(2) - 2 * log(0) + log(-2)) / 4);
}

/** Coordinates from 0 to 1, perhaps with their sigmas. */
function regression([output], row, codec) {
  const D = output.dims.at(-1), values = rowOf(output, row), count = values.length / D;
  const at = (k, d) => values[k * D + d];
  return {
    points: Array.from({ length: count }, (_, k) => [at(k, 0) * codec.size[0], at(k, 1) * codec.size[1]]),
    scores: Array.from({ length: count }, (_, k) => D === 4 ? 1 - (at(k, 2) + at(k, 3)) / 2 : 1),
  };
}

/** The best centre points roughly at each keypoint; heatmaps say where near there, offsets where in the cell. */
function movenet(outputs, row, codec) {
  const [, K, h, w] = outputs[0].dims, half = codec.half;
  const [heatmaps, centers, guesses, offsets] = outputs.map((output) => rowOf(output, row));
  const middle = largest(centers.map((value, i) => value / (Math.hypot(Math.floor(i / w) - h / 2, i % w - w / 2) + half)));
  const points = [], scores = [];
  for (let k = 0; k < K; k++) {
    const pair = (maps, cell, axis) => maps[(2 * k + axis) * w * h + cell];
    const gy = pair(guesses, middle, 0) + Math.floor(middle / w), gx = pair(guesses, middle, 1) + middle % w;
    const map = heatmaps.subarray(k * w * h, (k + 1) * w * h);
    const cell = largest(map.map((value, i) => value / (Math.hypot(Math.floor(i / w) - gy, i % w - gx) + half)));
    points.push([(cell % w + pair(offsets, cell, 1)) * codec.stride, (Math.floor(cell / w) + pair(offsets, cell, 0)) * codec.stride]);
    scores.push(map[cell]);
  }
  return { points, scores };
}

const heatmaps = (refine, per) => ([output], row, codec) => ofHeatmaps(output, row, codec, refine, per);

/** By name: (outputs, place of the batch, codec) -> {points, scores}. */
export const decoders = {
  quarter: heatmaps(quarter), dark: heatmaps(dark), udp: heatmaps(udp), megvii: heatmaps(megvii),
  combined: heatmaps(combined, 3), simcc, regression, movenet,
};
