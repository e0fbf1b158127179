/* Where the network looks, and the pixels that it sees there. Pictures are {data: RGBA, width, height}. */

/** Place of a box [x1, y1, x2, y2], grown to the shape of the input; `udp`: between pixel centres. */
export function placeOf(box, padding, size, udp) {
  const scale = [(box[2] - box[0]) * padding, (box[3] - box[1]) * padding], ratio = size[0] / size[1];
  if (scale[0] > scale[1] * ratio) scale[1] = scale[0] / ratio;
  else scale[0] = scale[1] * ratio;
  const corner = [(box[0] + box[2]) / 2 - scale[0] / 2, (box[1] + box[3]) / 2 - scale[1] / 2];
  return { scale, corner, size, step: scale.map((side, i) => side / (size[i] - (udp ? 1 : 0))) };
}

/** Place of a whole picture in the middle of an input. */
export function fittedPlace(picture, size) {
  const step = Math.max(picture.width / size[0], picture.height / size[1]);
  const scale = [step * size[0], step * size[1]];
  const corner = [(picture.width - scale[0]) / 2, (picture.height - scale[1]) / 2];
  return { scale, corner, size, step: [step, step] };
}

/** A point of the input in the picture. */
export function toPicture(place, x, y) {
  const { scale, corner, size } = place;
  return [x / size[0] * scale[0] + corner[0], y / size[1] * scale[1] + corner[1]];
}

/** Pixels (h * w * 3, BGR) of a place: bilinear at 1/32 of a pixel, as OpenCV samples. */
export function warped(picture, place, fill = [0, 0, 0]) {
  const [w, h] = place.size, { data, width, height } = picture, out = new Uint8Array(w * h * 3);
  const [ax, ay] = place.step, [bx, by] = place.corner, origin = Math.round(bx * 1024) + 16;
  const columns = Int32Array.from({ length: w }, (_, x) => (Math.round(ax * x * 1024) + origin) >> 5);
  const tap = (x, y, c) => x >= 0 && y >= 0 && x < width && y < height ? data[(y * width + x) * 4 + 2 - c] : fill[c];
  for (let y = 0, at = 0; y < h; y++) {
    const row = (Math.round((ay * y + by) * 1024) + 16) >> 5, py = row >> 5, fy = row & 31;
    for (let x = 0; x < w; x++, at += 3) {
      const px = columns[x] >> 5, fx = columns[x] & 31;
      const inside = px >= 0 && py >= 0 && px < width - 1 && py < height - 1, p = (py * width + px) * 4 + 2;
      for (let c = 0; c < 3; c++) {
        const q = p - c, n = q + width * 4;
        const upper = inside ? data[q] * (32 - fx) + data[q + 4] * fx : tap(px, py, c) * (32 - fx) + tap(px + 1, py, c) * fx;
        const lower = inside ? data[n] * (32 - fx) + data[n + 4] * fx : tap(px, py + 1, c) * (32 - fx) + tap(px + 1, py + 1, c) * fx;
        out[at + c] = (upper * (32 - fy) + lower * fy + 512) >> 10;
      }
    }
  }
  return out;
}

/** A picture resized into an input (h * w * 3, BGR): its pixels, scales and the place of its corner. */
export function letterboxed(picture, size, fill, centred) {
  const { data, width, height } = picture, room = Math.min(size[0] / width, size[1] / height);
  const w = Math.max(Math.round(width * room), 1), h = Math.max(Math.round(height * room), 1);
  const corner = centred ? [(size[0] - w) >> 1, (size[1] - h) >> 1] : [0, 0];
  const pixels = new Uint8Array(size[0] * size[1] * 3);
  for (let i = 0; i < pixels.length; i++) pixels[i] = fill[i % 3];
  const [xs, ys] = [taps(width, w), taps(height, h)];
  for (let y = 0; y < h; y++) {
    const [above, below, a, b] = ys[y];
    for (let x = 0; x < w; x++) {
      const [left, right, l, r] = xs[x], at = ((y + corner[1]) * size[0] + x + corner[0]) * 3;
      for (let c = 0; c < 3; c++) {
        const along = (row) => (data[(row * width + left) * 4 + 2 - c] * l + data[(row * width + right) * 4 + 2 - c] * r) >> 4;
        pixels[at + c] = (((a * along(above)) >> 16) + ((b * along(below)) >> 16) + 2) >> 2;
      }
    }
  }
  // as the embedded detector counts, which has its pictures in the middle
  return { pixels, scale: centred ? [room, room] : [w / width, h / height], corner };
}

/** Of each pixel of a resized line: the two that it lies between, and their weights of 11 bits, as OpenCV has them. */
function taps(from, to) {
  return Array.from({ length: to }, (_, i) => {
    const x = Math.min(Math.max((i + 0.5) * from / to - 0.5, 0), from - 1), low = Math.floor(x), part = Math.fround(x - low);
    return [low, Math.min(low + 1, from - 1), Math.round((1 - part) * 2048), Math.round(part * 2048)];
  });
}

/** Indices of boxes to keep, best first; `more`: pixels that a box is wider than right - left. */
export function suppressed(boxes, scores, limit, more = 0) {
  const order = sorted(scores), kept = [];
  const area = (b) => (b[2] - b[0] + more) * (b[3] - b[1] + more);
  for (const i of order) {
    const a = boxes[i];
    const double = kept.some((k) => {
      const b = boxes[k];
      const shared = Math.max(Math.min(a[2], b[2]) - Math.max(a[0], b[0]) + more, 0)
        * Math.max(Math.min(a[3], b[3]) - Math.max(a[1], b[1]) + more, 0);
      return shared / (area(a) + area(b) - shared) > limit;
    });
    if (!double) kept.push(i);
  }
  return kept;
}

/** Indices of numbers, largest first. */
export function sorted(values) {
  return [...values.keys()].sort((a, b) => values[b] - values[a]);
}
