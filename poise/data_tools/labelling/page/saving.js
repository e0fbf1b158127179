/* Asking the server, and saving: one picture after the other, the newest state of each. */
import { get, note, tell } from "./elements.js";
import { draw, page, pictures } from "./state.js";

const token = location.hash.slice(1);
/** Milliseconds: until a change is sent, until a failed one is sent again. */
const SOON = 200, LATER = 3000;
/** Numbers of pictures. */
export const waiting = new Set();
let saving = false, timer = 0;

export const unsaved = () => saving || waiting.size > 0;

export async function ask(path, body) {
  const options = { headers: { "X-Poise-Token": token } };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw Object.assign(new Error("poise data label does not answer; was it ended? Start it again and " +
      "open the address that it prints"), { status: 0 });
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({ error: `status ${answer.status}` }));
  throw Object.assign(new Error(said.error), { status: answer.status, stale: said.stale });
}

export function touched(number = page.current) {
  waiting.add(number);
  tell("Saving ...", "busy");
  clearTimeout(timer);
  timer = setTimeout(flush, SOON);
}

export async function flush() {
  if (saving) return;
  saving = true;
  try {
    while (waiting.size) {
      const [number] = waiting;
      waiting.delete(number);
      await send(number).catch((error) => { throw Object.assign(error, { number }); });
    }
    tell("✓ Saved");
  } catch (error) {
    failed(error);
  }
  saving = false;
}

async function send(number) {
  const picture = pictures.get(number), people = [...picture.people];
  const body = { version: picture.version, reviewed: picture.reviewed, people };
  const said = await (await ask(`people/${page.numbers[number]}`, body)).json();
  picture.version = said.version;
  // one that is drawn is as it is drawn, perhaps differently by now
  said.boxes.forEach((box, n) => { if (!people[n].drawn) people[n].bbox = box; });
  if (number === page.current) draw();
}

function failed(error) {
  if (error.stale || error.status === 401) return complain(error);
  // a change that cannot be saved is never dropped
  waiting.add(error.number);
  tell("Not saved!", "bad");
  note(`${error.message}`);
  clearTimeout(timer);
  timer = setTimeout(() => { note(""); flush(); }, LATER);
}

export function complain(error) {
  tell("Not saved!", "bad");
  get("troubletext").textContent = error.message;
  get("again").hidden = !error.stale;
  page.trouble = error;
  get("trouble").hidden = false;
}
