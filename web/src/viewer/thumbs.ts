// The strip of slices: small pictures from the service, fetched as they come into sight; those that mattered most are named.

import { text } from "../send";
import { numberOf, pictureOf, type Scan, type State, type ViewerData } from "./data";
import { goTo, mostOf } from "./moves";
import type { Store } from "./store";

const MOST = 48; // pictures in the strip; of a longer scan every second or third slice is shown
const LEAST = 96; // pixels
const SETTLED = 120; // ms: while a reader scrolls, the strip stays as it is

export function armThumbs(viewer: HTMLElement, data: ViewerData, store: Store, scanOf: (state: State) => Scan): void {
  const list = viewer.querySelector<HTMLOListElement>("[data-thumbs]")!;
  const said = viewer.querySelector<HTMLElement>('[data-show="strip"]')!;
  let later = 0;

  const fill = (state: State): void => {
    const scan = scanOf(state);
    const most = new Map(mostOf(scan, state.heat.name).map((one) => [one.number, one]));
    const step = Math.max(1, Math.ceil(scan.slices / MOST));
    const numbers = scan.fault ? [] : Array.from({ length: scan.slices }, (_, index) => index + 1).filter((one) => (one - 1) % step === 0 || most.has(one));
    list.replaceChildren(...numbers.map((number) => thumb(data, state, scan, number, most.get(number))));
    said.textContent = step === 1 ? text("All slices.") : text("Every %(step)s slices, and those that mattered most.", { step });
    mark(state);
  };
  const mark = (state: State): void => {
    const scan = scanOf(state);
    const number = numberOf(state.at[2], scan.slices);
    for (const one of list.querySelectorAll<HTMLButtonElement>("button")) {
      const here = Number(one.dataset["number"]) === number;
      one.toggleAttribute("aria-current", here);
      if (!here) continue;
      one.setAttribute("aria-current", "true");
      const item = one.parentElement!;
      const [start, end] = [item.offsetLeft, item.offsetLeft + item.offsetWidth];
      if (start < list.scrollLeft || end > list.scrollLeft + list.clientWidth) list.scrollLeft = start - (list.clientWidth - item.offsetWidth) / 2;
    }
  };
  list.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLButtonElement>("button[data-number]");
    if (button) goTo(store, 2, Number(button.dataset["number"]), scanOf(store.now).slices);
  });
  store.listen((now, before) => {
    if (now.scan !== before.scan || now.heat.name !== before.heat.name) fill(now);
    else if (now.at !== before.at) {
      clearTimeout(later);
      later = setTimeout(() => mark(store.now), SETTLED);
    }
  });
  fill(store.now);
}

function thumb(data: ViewerData, state: State, scan: Scan, number: number, most?: ReturnType<typeof mostOf>[number]): HTMLLIElement {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.dataset["number"] = String(number);
  const image = document.createElement("img");
  image.loading = "lazy";
  image.decoding = "async";
  image.alt = "";
  image.src = pictureOf(data, scan, { ...state, window: null }, number, LEAST);
  const words = document.createElement("span");
  words.textContent = text("Slice %(number)s", { number });
  button.append(image, words);
  if (most) {
    const why = document.createElement("span");
    why.className = "most";
    why.textContent = most.by === "heat" ? text("most heat, rank %(rank)s", { rank: most.rank }) : text("share %(share)s", { share: (most.share ?? 0).toFixed(2) });
    button.append(why);
  }
  item.append(button);
  return item;
}
