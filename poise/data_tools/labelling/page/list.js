/* The list of pictures, and how many are reviewed. */
import { get, hint, make } from "./elements.js";
import { open } from "./opening.js";
import { page } from "./state.js";

/** Height of a row in pixels of the screen. */
const ROW = 30;
let listed = -1;

export function showProgress() {
  const count = page.reviewed.reduce((sum, one) => sum + one, 0), of = page.names.length;
  get("bar").style.width = `${100 * count / Math.max(1, of)}%`;
  get("count").textContent = `${count.toLocaleString("en")} of ${of.toLocaleString("en")} reviewed`;
  get("progress").setAttribute("aria-valuenow", count);
  get("progress").setAttribute("aria-valuemax", of);
}

/** The rows of the list that can be seen; there may be many thousand. */
export function showList() {
  const list = get("list");
  get("rows").style.height = `${page.names.length * ROW}px`;
  if (listed !== page.current) {
    listed = page.current;
    const top = page.current * ROW;
    if (top < list.scrollTop || top + ROW > list.scrollTop + list.clientHeight) {
      list.scrollTop = top - list.clientHeight / 2;
    }
  }
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
  const last = Math.min(page.names.length, first + Math.ceil(list.clientHeight / ROW) + 10);
  const rows = [];
  for (let n = first; n < last; n++) {
    const row = make("div", {
      className: `picture${n === page.current ? " chosen" : ""}${page.reviewed[n] ? " reviewed" : ""}`,
      title: page.names[n], onclick: () => open(n),
    }, make("span", { className: "mark", textContent: page.reviewed[n] ? "✓" : "" }),
      make("span", { className: "name" }, make("bdi", { textContent: page.names[n].slice(page.shared.length) })),
      make("span", { className: "number", textContent: page.counts[n] || "" }));
    row.style.top = `${n * ROW}px`;
    rows.push(row);
  }
  get("rows").replaceChildren(...rows);
}

export function findName() {
  const text = get("find").value.toLowerCase();
  if (!text) return;
  for (let step = 1; step <= page.names.length; step++) {
    const n = (page.current + step) % page.names.length;
    if (page.names[n].toLowerCase().includes(text)) return open(n);
  }
  hint(`No picture has "${text}" in its name.`);
}
