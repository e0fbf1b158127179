/* Opening a picture, and the first one. */
import { get, ground, make, note, pretty, tell } from "./elements.js";
import { ask, complain, waiting } from "./saving.js";
import { page, pictures, show, showList, showProgress, tidy } from "./state.js";
import { fit } from "./view.js";

/** Pictures that stay loaded. */
const KEPT = 12;
const blobs = new Map();
let turn = 0;

export async function begin(number) {
  const found = await (await ask("overview")).json();
  Object.assign(page, { names: found.names, numbers: found.numbers, file: found.file });
  page.hasModel = found.model;
  page.counts = found.people;
  page.reviewed = new Array(page.names.length).fill(false);
  // a folder that is the same of all says nothing
  page.shared = page.names[0].slice(0, page.names[0].lastIndexOf("/") + 1);
  if (!page.names.every((name) => name.startsWith(page.shared))) page.shared = "";
  found.reviewed.forEach((n) => { page.reviewed[n] = true; });
  page.kinds = new Map(found.kinds.map((kind) => [kind.category, kind]));
  get("file").textContent = page.file.split(/[\\/]/).slice(-2).join("/");
  get("file").title = page.file;
  for (const id of ["kind", "category"]) {
    get(id).replaceChildren(...found.kinds.map((kind) => new Option(pretty(kind.name), kind.category)));
  }
  get("kind").hidden = get("is").hidden = page.kinds.size < 2;
  get("ask").hidden = !page.hasModel;
  showProgress();
  tell("✓ All is saved");
  await open(number ?? Math.max(0, page.reviewed.indexOf(false)));
}

async function load(number) {
  let picture = pictures.get(number);
  if (!picture) {
    picture = await (await ask(`people/${page.numbers[number]}`)).json();
    Object.assign(picture, { undo: [], redo: [] });
    pictures.set(number, picture);
  }
  return picture;
}

/** A picture's address in memory. Asked for once; the oldest ones are forgotten. */
function blob(number) {
  let found = blobs.get(number);
  blobs.delete(number);
  if (!found) {
    found = ask(`picture/${page.numbers[number]}`).then((answer) => answer.blob()).then((data) => URL.createObjectURL(data));
    found.catch(() => blobs.delete(number));
  }
  blobs.set(number, found);
  for (const [old, address] of blobs) {
    if (blobs.size <= KEPT) break;
    blobs.delete(old);
    address.then(URL.revokeObjectURL, () => {});
  }
  return found;
}

export async function open(number) {
  if (number < 0 || number >= page.names.length) return;
  const own = ++turn;
  tidy();
  page.current = number;
  page.placing = page.drag = page.hover = page.grip = null;
  page.boxing = "";
  showList();
  try {
    const [picture, address] = await Promise.all([load(number), blob(number).catch((error) => error)]);
    if (own !== turn) return;
    page.size = null;
    note("");
    page.chosen = { p: picture.people.length ? 0 : -1, k: -1 };
    const meant = picture.people.findIndex((one) => picture.doubts.some((doubt) => doubt.id === one.id));
    if (meant >= 0) page.chosen.p = meant;
    get("doubt").replaceChildren(...picture.doubts.map((doubt) => make("div", {
      textContent: `${doubt.kind}${doubt.keypoints.length ? ` (${doubt.keypoints.map(pretty).join(", ")})` : ""}: ${doubt.about}` })));
    get("doubt").hidden = !picture.doubts.length;
    if (address instanceof Error) {
      ground.removeAttribute("src");
      note(address.message);
    } else {
      ground.src = address;
      await ground.decode();
      if (own !== turn) return;
      page.size = { width: ground.naturalWidth, height: ground.naturalHeight };
      if (picture.width && (picture.width !== page.size.width || picture.height !== page.size.height)) {
        note(`The labels say that this picture has ${picture.width} × ${picture.height} pixels, it has ` +
          `${page.size.width} × ${page.size.height}: are they of another version of it?`);
      }
      fit();
    }
    show();
    for (const next of [number + 1, nextUnreviewed(number)]) {
      if (next >= 0 && next < page.names.length && next !== number) { load(next).catch(() => {}); blob(next).catch(() => {}); }
    }
  } catch (error) {
    if (own === turn) (error.status === 401 ? complain : (e) => note(e.message))(error);
  }
}

export async function reload(error) {
  try {
    if (error.stale === "file") {
      await ask("reload", {});
      pictures.clear();
      waiting.clear();
      await begin(page.current);
    } else {
      pictures.delete(error.number);
      waiting.delete(error.number);
      await open(page.current);
    }
    get("trouble").hidden = true;
    tell("✓ Loaded again");
  } catch (again) {
    get("troubletext").textContent = again.message;
  }
}

export function nextUnreviewed(from) {
  const after = page.reviewed.indexOf(false, from + 1);
  return after >= 0 ? after : page.reviewed.indexOf(false);
}
