/* What is beside the picture: people, their points, and a hint. */
import { choose } from "./choosing.js";
import { setState } from "./editing.js";
import { dot, get, hint, make, pretty } from "./elements.js";
import { draw, kindOf, NONE, now, page, person, showList, somebody, STATES } from "./state.js";

export function show() {
  draw();
  const picture = now(), one = person();
  get("undo").disabled = !picture || !picture.undo.length;
  get("redo").disabled = !picture || !picture.redo.length;
  get("people").replaceChildren(...(picture ? picture.people : []).map((each, p) => make("button", {
    className: p === page.chosen.p ? "person chosen" : "person",
    textContent: `${pretty(kindOf(each).name)} ${p + 1}`,
    onclick: () => choose(p, -1),
  })));
  get("tools").hidden = !one;
  if (one) get("category").selectedIndex = [...page.kinds.keys()].indexOf(one.category_id);
  const aside = one ? Object.keys(one.aside || {}).map(pretty) : [];
  get("aside").textContent = aside.length ? `Kept aside, since a ${pretty(kindOf(one).name)} has no such points: ${aside.join(", ")}. ` +
    "They are not in the file; they come back with Undo, or with a category that has them." : "";
  get("aside").hidden = !aside.length;
  get("points").replaceChildren(...(one ? kindOf(one).asked.map((k) => pointRow(one, k)) : []));
  const next = get("points").querySelector(".asked") || get("points").querySelector(".chosen");
  if (next) next.scrollIntoView({ block: "nearest" });
  if (picture) page.counts[page.current] = picture.people.filter(somebody).length;
  get("done").textContent = page.reviewed[page.current] ? "✓ Reviewed; next" : "✓ Reviewed, next";
  showHint();
  showList();
}

function pointRow(one, k) {
  const kind = kindOf(one), state = one.keypoints[k][2];
  const row = make("div", {
    className: `point${state === NONE ? " none" : ""}${page.chosen.k === k ? " chosen" : ""}${page.placing && page.placing.k === k ? " asked" : ""}`,
    title: `${pretty(kind.keypoints[k])}: ${STATES.find(([value]) => value === state)[1]}`,
  }, dot(kind.colors[k], state), make("span", { className: "name", textContent: pretty(kind.keypoints[k]) }));
  const buttons = STATES.map(([value, about, sign]) => make("button", {
    textContent: sign, title: about, className: value === state ? "on" : "", tabIndex: -1,
    onclick: (event) => {
      event.stopPropagation();
      page.placing = page.hover = null;
      page.chosen = { p: page.chosen.p, k };
      setState(value);
      show();
    },
  }));
  row.append(make("span", { className: "state" }, ...buttons));
  row.onclick = () => choose(page.chosen.p, k);
  return row;
}

function showHint() {
  const picture = now(), one = person();
  if (!picture || !page.size) return hint("");
  if (page.asking) return hint("The model is looking ...");
  if (page.boxing === "own") {
    return hint(one ? `Draw the box of *${pretty(kindOf(one).name)} ${page.chosen.p + 1}* from corner to corner. [Esc] stops.`
      : "Draw the box of a new one without points, from corner to corner. [Esc] stops.");
  }
  if (page.boxing) return hint("Draw a box around one of them, from corner to corner. [Esc] stops.");
  if (page.placing) {
    const kind = kindOf(picture.people[page.placing.p]), name = pretty(kind.keypoints[page.placing.k]);
    if (!page.placing.chain) return hint(`Click where the *${name}* is. [Esc] stops.`);
    return hint(`Click the *${name}* (${kind.asked.indexOf(page.placing.k) + 1} of ${kind.asked.length}). ` +
      "Right click: occluded, I know where. [X] cannot say. [Ctrl+Z] back. [Esc] stops.");
  }
  if (!picture.people.length) {
    return hint(`Nobody is labelled here. [N] and click the points${page.hasModel ? ", or [B] and draw a box for the model" : ""}. ` +
      "Nobody there? [Enter]");
  }
  if (one && page.chosen.k >= 0) return hint("Drag the point. [V] visible [O] occluded [X] not labelled. [Enter] all is right.");
  if (page.names.length && page.reviewed.every(Boolean)) return hint("*All pictures are reviewed.* All is saved; you can close this page.");
  hint("Drag points that are in a wrong place. [N] new one. [?] all keys. [Enter] all is right, next picture.");
}
