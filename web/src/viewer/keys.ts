// Single keys: on the picture always, elsewhere on the page where the reader has not switched that off (WCAG 2.1.4).

import type { Scan } from "./data";
import { denser, nextClass, toggleHeat } from "./heat";
import { goTo, nextOfMost, step, zoomAt } from "./moves";
import type { Stage } from "./stage";
import type { Store } from "./store";
import { windowByKey } from "./windows";

const KEPT = "insula-viewer-keys";
const FAR = 5;

export interface Does {
  stage(): Stage;
  scan(): Scan;
  reset(): void;
  clear(): void;
  help(): void;
  nextScan(): void;
  layout(): void;
}

export function armKeys(viewer: HTMLElement, box: HTMLElement, store: Store, does: Does): void {
  const everywhere = viewer.querySelector<HTMLInputElement>("[data-keys]")!;
  everywhere.checked = localStorage.getItem(KEPT) !== "off";
  everywhere.addEventListener("change", () => localStorage.setItem(KEPT, everywhere.checked ? "on" : "off"));

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target as HTMLElement;
    const onPicture = target === box;
    const nowhere = target === document.body || target.id === "main";
    const onButton = viewer.contains(target) && target instanceof HTMLButtonElement;
    if (!onPicture && !(everywhere.checked && (nowhere || onButton))) return;
    if (onButton && (event.key === "Enter" || event.key === " ")) return;
    if (nowhere && MOVES.has(event.key)) return; // the page scrolls by these
    if (pressed(event.key, store, does)) event.preventDefault();
  });
}

const MOVES = new Set(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "PageUp", "PageDown", "Home", "End"]);

function pressed(key: string, store: Store, does: Does): boolean {
  const scan = does.scan();
  const count = scan.slices;
  if (/^[0-9]$/.test(key)) windowByKey(store, scan, Number(key));
  else if (key === "ArrowUp" || key === "ArrowLeft") step(store, 2, -1, count);
  else if (key === "ArrowDown" || key === "ArrowRight") step(store, 2, 1, count);
  else if (key === "PageUp") step(store, 2, -FAR, count);
  else if (key === "PageDown") step(store, 2, FAR, count);
  else if (key === "Home") goTo(store, 2, 1, count);
  else if (key === "End") goTo(store, 2, count, count);
  else if (key === "n") nextOfMost(store, scan);
  else if (key === "h") toggleHeat(store, scan);
  else if (key === "c") nextClass(store, scan);
  else if (key === "[") denser(store, -0.1);
  else if (key === "]") denser(store, 0.1);
  else if (key === "+" || key === "=") zoomAt(store, 1.25, null);
  else if (key === "-") zoomAt(store, 0.8, null);
  else if (key === "d") store.set({ tool: "pan" });
  else if (key === "z") store.set({ tool: "zoom" });
  else if (key === "w") store.set({ tool: "window" });
  else if (key === "m") store.set({ tool: "measure" });
  else if (key === "p") does.layout();
  else if (key === "s") does.nextScan();
  else if (key === "r") does.reset();
  else if (key === "Escape") does.clear();
  else if (key === "?") does.help();
  else return false;
  return true;
}
