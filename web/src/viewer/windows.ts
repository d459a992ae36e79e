// The window: which values are dark and which are bright. By list, digit, number fields or dragging.

import { text } from "../send";
import type { Scan, State } from "./data";
import type { Store } from "./store";

export function firstWindow(scan: Scan): State["window"] {
  const first = scan.windows[0];
  return first ? { name: first.name, centre: first.centre, width: first.width } : null;
}

export function windowByKey(store: Store, scan: Scan, key: number): void {
  const found = scan.windows.find((one) => one.key === key) ?? (key === 0 ? scan.windows[0] : undefined);
  if (found) store.set({ window: { name: found.name, centre: found.centre, width: found.width } });
}

export function windowBy(store: Store, centre: number, width: number): void {
  if (!Number.isFinite(centre) || !(width > 0)) return;
  const round = (value: number): number => Number(value.toPrecision(5));
  store.set({ window: { name: "", centre: round(centre), width: round(width) } });
}

/** From dragging: a stage's width across doubles the width twice over, its height moves the centre by one width. */
export function dragged(store: Store, start: NonNullable<State["window"]>, across: number, down: number): void {
  windowBy(store, start.centre + down * start.width, start.width * 2 ** (3 * across));
}

export function windowName(state: State): string {
  return state.window ? text(state.window.name || "set by hand") : "";
}

export function armWindows(viewer: HTMLElement, store: Store, scanOf: (state: State) => Scan): void {
  const list = viewer.querySelector<HTMLSelectElement>('[data-pick="window"]')!;
  const centre = viewer.querySelector<HTMLInputElement>('[data-level="centre"]')!;
  const width = viewer.querySelector<HTMLInputElement>('[data-level="width"]')!;
  list.addEventListener("change", () => {
    if (list.value !== "hand") windowByKey(store, scanOf(store.now), Number(list.value));
  });
  for (const one of [centre, width]) one.addEventListener("change", () => windowBy(store, centre.valueAsNumber, width.valueAsNumber));

  const show = (state: State): void => {
    const window = state.window;
    for (const one of [list, centre, width]) one.disabled = !window;
    if (!window) return;
    const found = scanOf(state).windows.find((one) => one.name === window.name);
    list.value = found ? String(found.key) : "hand";
    centre.value = String(window.centre);
    width.value = String(window.width);
  };
  const fill = (scan: Scan): void => {
    const hand = list.querySelector<HTMLOptionElement>('[value="hand"]')!;
    list.replaceChildren(...scan.windows.map((one) => new Option(`${one.key} · ${text(one.name)}`, String(one.key))), hand);
  };
  store.listen((now, before) => {
    if (now.scan !== before.scan) fill(scanOf(now));
    if (now.window !== before.window || now.scan !== before.scan) show(now);
  });
  show(store.now);
}
