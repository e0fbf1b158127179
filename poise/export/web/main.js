/* The page: pictures, videos and the camera in; poses on the canvas, and as a file. */
import { hasWebGpu, networks } from "./runtime.js";
import { lineOf, Poses, ticked } from "./poses.js";

const get = (id) => document.getElementById(id);
const canvas = get("canvas"), ink = canvas.getContext("2d"), video = get("video");
/** The picture without its poses, which the network sees. */
const ground = document.createElement("canvas"), pixels = ground.getContext("2d", { willReadFrequently: true });
/** Slowest speed that browsers play videos at, how much longer a frame is shown than it takes, the share of a
 *  new time in the average, and frames of which poses are kept. */
const SLOWEST = 0.0625, LONGER = 1.2, AVERAGED = 0.1, MOST_LINES = 20000;

const now = { poses: null, shots: [], at: 0, run: 0, live: false, lines: [], box: null, drag: null, shown: null, paused: false, turn: Promise.resolve() };

const say = (text) => { get("state").textContent = text; };
const trouble = (text) => { get("trouble").textContent = text ?? ""; };
self.addEventListener("unhandledrejection", (event) => trouble(event.reason?.message ?? String(event.reason)));
self.addEventListener("error", (event) => trouble(event.message));

const look = () => ({
  way: get("way")?.value ?? "whole", box: now.box, threshold: Number(get("boxes").value),
  follow: get("follow").checked && now.live,
});

/** Copy a picture or a frame to the ground; its pixels. */
function taken(source, width, height) {
  ground.width = width;
  ground.height = height;
  pixels.drawImage(source, 0, 0, width, height);
  return { data: pixels.getImageData(0, 0, width, height).data, width, height };
}

/** Find poses in what lies on the ground, one picture at a time. */
function find(picture) {
  const found = now.turn.then(() => now.poses.find(picture, look()));
  now.turn = found.catch(() => null);
  return found;
}

/** Show the ground, and the poses upon it. */
function draw(instances) {
  const { width, height } = ground, mirror = now.live && !video.src && get("mirror").checked;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  ink.setTransform(mirror ? -1 : 1, 0, 0, 1, mirror ? width : 0, 0);
  ink.drawImage(ground, 0, 0);
  const threshold = Number(get("threshold").value), line = Math.max(Math.sqrt(width * height) / 300, 2);
  for (const { bbox, keypoints, keypoint_scores: scores } of instances) {
    const seen = (k) => scores[k] >= threshold && Number.isFinite(keypoints[k][0] + keypoints[k][1]);
    ink.lineWidth = line;
    PAGE.links.forEach(([a, b], n) => {
      if (!PAGE.linkColors[n] || !seen(a) || !seen(b)) return;
      ink.strokeStyle = PAGE.linkColors[n];
      ink.beginPath();
      ink.moveTo(...keypoints[a]);
      ink.lineTo(...keypoints[b]);
      ink.stroke();
    });
    keypoints.forEach(([x, y], k) => {
      if (!PAGE.pointColors[k] || !seen(k)) return;
      ink.fillStyle = PAGE.pointColors[k];
      ink.beginPath();
      ink.arc(x, y, line * 1.3, 0, 2 * Math.PI);
      ink.fill();
    });
    if (get("outlines").checked) outline(bbox, line / 2);
  }
  if (now.drag) outline(now.drag, line / 2);
  now.shown = instances;
}

function outline([x1, y1, x2, y2], width) {
  ink.strokeStyle = "#ffffff";
  ink.lineWidth = width;
  ink.strokeRect(x1, y1, x2 - x1, y2 - y1);
}

function tell(instances, ms) {
  now.ms = now.live && now.ms ? now.ms * (1 - AVERAGED) + ms * AVERAGED : ms;
  get("speed").textContent = now.live ? `${(1000 / now.ms).toFixed(1)} frames/s, ${now.ms.toFixed(0)} ms each` : `${ms.toFixed(0)} ms`;
  const sure = instances.filter((one) => one.keypoint_scores.some((s) => s >= Number(get("threshold").value)));
  const count = instances.length;
  get("found").textContent = !count ? `nobody found${get("boxed").hidden ? "" : ": lower the threshold of boxes, or look elsewhere"}`
    : !sure.length ? `${count} found, no keypoint of whom reaches the threshold` : `${count} found`;
  for (const id of ["save", "picture"]) get(id).disabled = !now.lines.length;
}

/** One step with what lies on the ground. */
async function step(picture, name, moment) {
  const start = performance.now(), { run, at } = now, instances = await find(picture);
  if (run !== now.run) return;
  const line = lineOf(name, picture, instances, moment);
  if (!moment) now.lines[at] = line;
  else if (now.lines.length < MOST_LINES) now.lines.push(line);
  else trouble(`Poses of the first ${MOST_LINES} frames are kept for the file; begin anew for others.`);
  // another picture may have come in the meantime
  if (at !== now.at) return;
  draw(instances);
  tell(instances, performance.now() - start);
}

/** End what goes on, and begin anew. */
function begin() {
  now.run += 1;
  video.srcObject?.getTracks().forEach((track) => track.stop());
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.srcObject = null;
  Object.assign(now, { shots: [], at: 0, live: false, lines: [], box: null, ms: 0, shown: null, paused: false });
  now.poses.forget();
  trouble();
  for (const id of ["state", "found", "speed"]) get(id).textContent = "";
  for (const id of ["save", "picture"]) get(id).disabled = true;
  get("empty").hidden = true;
  get("pause").textContent = "Pause";
  show();
  return now.run;
}

function show() {
  get("pause").hidden = !now.live;
  for (const id of ["earlier", "later"]) get(id).hidden = now.shots.length < 2;
  get("mirrored").hidden = !now.live || Boolean(video.src);
  get("slowed").hidden = !now.live || !video.src;
}

async function open(files) {
  if (!files.length) return;
  const run = begin(), clip = files.find((file) => file.type.startsWith("video/"));
  if (clip && files.length > 1) trouble(`A video is looked at alone: this is ${clip.name}.`);
  if (clip) return play(clip, run);
  const broken = [];
  for (const file of files) {
    // levels and sides as in the file, as other readers of pictures have them
    const picture = await createImageBitmap(file, { colorSpaceConversion: "none", imageOrientation: "from-image" }).catch(() => null);
    if (run !== now.run) return;
    if (!picture) broken.push(file.name);
    else {
      now.shots.push({ picture, name: file.name });
      show();
      await turn(now.shots.length - 1);
    }
  }
  if (broken.length) trouble(`Not read: ${broken.join(", ")}. This browser reads JPEG, PNG, WebP, GIF, BMP and AVIF, and videos in MP4 and WebM; a broken file is none.`);
  if (!now.shots.length) get("empty").hidden = false;
}

/** Show another of the pictures. */
async function turn(to) {
  now.at = (to + now.shots.length) % now.shots.length;
  now.shown = null;
  const { picture, name } = now.shots[now.at];
  now.poses.forget();
  say(now.shots.length > 1 ? `${name}, ${now.at + 1} of ${now.shots.length}` : name);
  await step(taken(picture, picture.width, picture.height), name);
}

/** Look again, with other settings; at the shown picture last. */
async function again() {
  const { run, at } = now, others = now.box ? [] : [...now.shots.keys()].filter((i) => i !== at);
  now.poses?.forget();
  for (const i of now.shots.length ? [...others, at] : []) if (run === now.run) await turn(i);
}

async function play(file, run) {
  video.src = URL.createObjectURL(file);
  now.live = true;
  video.onerror = () => { if (run === now.run) { now.live = false; show(); trouble(`${file.name} cannot be played: ${video.error.message || "the browser does not know its form"}. MP4 with H.264 and WebM are known everywhere.`); } };
  say(file.name);
  show();
  video.onended = () => { say(`${file.name}: ${now.lines.length} frames looked at, ${now.clock.frame + 1 - now.lines.length} left out`); get("pause").textContent = "Again"; };
  follow(run, file.name);
  await video.play().catch(() => null);
}

async function camera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    return trouble("This browser gives the camera only to pages at https:// and http://localhost, and perhaps to files. Put the page on such a server.");
  }
  const run = begin();
  const words = {
    NotAllowedError: "The browser was not allowed to use the camera: allow it beside the address, and try again.",
    NotFoundError: "No camera was found.",
    NotReadableError: "The camera could not be opened: perhaps another program uses it.",
  };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } } });
  } catch (error) {
    get("empty").hidden = false;
    return trouble(words[error.name] ?? `No camera: ${error.message}`);
  }
  video.srcObject = stream;
  now.live = true;
  stream.getVideoTracks()[0].onended = () => { if (run === now.run) trouble("The camera was taken away."); };
  say("camera");
  show();
  await video.play();
  follow(run, "camera");
}

/** Look at one frame after the other, for as long as they come. */
function follow(run, name) {
  const next = () => video.requestVideoFrameCallback ? video.requestVideoFrameCallback(frame) : requestAnimationFrame(() => frame(0, {}));
  const frame = async (_, { mediaTime = video.currentTime }) => {
    if (run !== now.run) return;
    if (video.videoWidth && mediaTime !== now.clock?.time) {
      const picture = taken(video, video.videoWidth, video.videoHeight), start = performance.now();
      const clock = now.clock = ticked(now.clock, mediaTime, Boolean(video.src));
      await step(picture, name, { frame: clock.frame, time: +(mediaTime - clock.start).toFixed(6) }).catch((error) => trouble(error.message));
      clock.ms = Math.max(performance.now() - start, clock.ms * 0.9);
      const slow = video.src && get("slow").checked;
      if (run === now.run) video.playbackRate = slow ? Math.min(Math.max(clock.apart * 1000 / clock.ms / LONGER, SLOWEST), 1) : 1;
    }
    if (run === now.run) next();
  };
  now.clock = null;
  if (video.src) video.playbackRate = get("slow").checked ? SLOWEST : 1;
  next();
}

function pause() {
  if (video.ended) {
    Object.assign(now, { lines: [], clock: null });
    now.poses.forget();
  }
  if (video.paused || video.ended) video.play();
  else video.pause();
  get("pause").textContent = video.paused ? "Go on" : "Pause";
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Place of the pointer in the picture. */
function pointed(event) {
  const area = canvas.getBoundingClientRect();
  return [(event.clientX - area.left) / area.width * canvas.width, (event.clientY - area.top) / area.height * canvas.height];
}

function boxes() {
  canvas.onpointerdown = (event) => {
    if (get("way")?.value !== "drawn" || !now.shown) return;
    canvas.setPointerCapture(event.pointerId);
    now.drag = [...pointed(event), ...pointed(event)];
  };
  canvas.onpointermove = (event) => {
    if (!now.drag) return;
    now.drag.splice(2, 2, ...pointed(event));
    draw(now.shown);
  };
  canvas.onpointerup = () => {
    if (!now.drag) return;
    let [x1, y1, x2, y2] = now.drag;
    if (!get("mirrored").hidden && get("mirror").checked) [x1, x2] = [canvas.width - x1, canvas.width - x2];
    now.drag = null;
    now.box = [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
    if (now.box[2] - now.box[0] < 4 || now.box[3] - now.box[1] < 4) now.box = null;
    again();
  };
}

async function start(gpu) {
  for (const id of ["choose", "camera"]) get(id).disabled = true;
  try {
    for (const old of now.poses ? [now.poses.networks.pose, now.poses.networks.detector] : []) await old?.session.release();
    const made = await networks(gpu, say);
    now.poses = new Poses(made);
    say(`ready: ${made.how}${made.refused.length ? ` (not ${made.refused.join("; ")})` : ""}`);
    for (const id of ["choose", "camera"]) get(id).disabled = false;
  } catch (error) {
    say("not ready");
    trouble(error.message);
  }
}

async function main() {
  if (!self.WebAssembly || !self.DecompressionStream) return trouble("This browser is too old for this page: it needs WebAssembly and DecompressionStream, which all have had since 2023.");
  get("choose").onclick = () => get("file").click();
  get("file").onchange = () => { open([...get("file").files]); get("file").value = ""; };
  document.body.ondragover = (event) => event.preventDefault();
  document.body.ondrop = (event) => { event.preventDefault(); if (now.poses) open([...event.dataTransfer.files]); };
  get("camera").onclick = camera;
  get("pause").onclick = pause;
  for (const [id, by] of [["earlier", -1], ["later", 1]]) get(id).onclick = () => { now.box = null; turn(now.at + by); };
  for (const id of ["threshold", "boxes"]) get(id).oninput = () => { get(`${id}-value`).textContent = Number(get(id).value).toFixed(2); };
  for (const id of ["threshold", "outlines", "mirror"]) get(id).addEventListener("input", () => now.shown && draw(now.shown));
  get("boxes").onchange = again;
  if (get("way")) get("way").onchange = () => { now.box = null; get("hint").hidden = get("way").value !== "drawn"; get("boxed").hidden = get("way").value !== "detector"; again(); };
  get("save").onclick = () => save(new Blob([now.lines.filter(Boolean).join("\n") + "\n"], { type: "application/jsonl" }), "poses.jsonl");
  get("picture").onclick = () => canvas.toBlob((blob) => save(blob, "poses.png"));
  boxes();
  const gpu = await hasWebGpu();
  get("computing").hidden = !gpu;
  get("gpu").checked = gpu;
  get("gpu").onchange = () => start(get("gpu").checked).then(again);
  await start(gpu);
}

main();
