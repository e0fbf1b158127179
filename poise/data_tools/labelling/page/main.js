/* A person corrects poses. Coordinates are those of training: pixel centres are whole numbers. */
import { add, startBox } from "./adding.js";
import { done } from "./choosing.js";
import { draw as pictureDrawn } from "./drawing.js";
import { remove, swap, travel } from "./editing.js";
import { get, ground, stage, tell } from "./elements.js";
import { listenToKeys, showHelp } from "./keys.js";
import { showList as listShown, showProgress as progressShown } from "./list.js";
import { begin, open, reload } from "./opening.js";
import { show as panelShown } from "./panel.js";
import { listenToPointers } from "./pointers.js";
import { complain, flush, unsaved } from "./saving.js";
import { draw, page, showList, shownBy } from "./state.js";
import { fit, zoom } from "./view.js";
import { setCategory, startOutline } from "./whole.js";

shownBy({ draw: pictureDrawn, show: panelShown, showList: listShown, showProgress: progressShown });
listenToPointers();
listenToKeys();
document.addEventListener("visibilitychange", flush);
window.addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });

for (const [id, act] of Object.entries({
  undo: () => travel("undo", "redo"), redo: () => travel("redo", "undo"), helpbutton: () => showHelp(true),
  close: () => showHelp(false), add, ask: startBox, swap: () => swap(), outline: startOutline, remove, back: () => open(page.current - 1),
  forth: () => open(page.current + 1), done, fit: () => page.size && fit(), larger: () => zoom(1.25), smaller: () => zoom(0.8),
})) get(id).addEventListener("click", (event) => { act(); event.currentTarget.blur(); });
get("again").addEventListener("click", () => reload(page.trouble));
get("category").addEventListener("change", (event) => {
  setCategory([...page.kinds.keys()][event.target.selectedIndex]);
  event.target.blur();
});
get("names").addEventListener("change", (event) => { event.target.blur(); draw(); });
get("light").addEventListener("input", (event) => { ground.style.filter = `brightness(${event.target.value})`; });
get("light").addEventListener("change", (event) => event.target.blur());
get("list").addEventListener("scroll", showList);
new ResizeObserver(() => (page.size ? fit() : draw())).observe(stage);
begin().catch((error) => {
  tell("Not opened", "bad");
  complain(error);
});
