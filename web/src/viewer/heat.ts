// The controls of the heat map: on or off, of which class, how dense, from where on.

import { share } from "../share";
import { clamp, heatShown, type Scan, type State } from "./data";
import type { Store } from "./store";

export function toggleHeat(store: Store, scan: Scan): void {
  if (scan.heat?.placed) store.set({ heat: { ...store.now.heat, on: !store.now.heat.on } });
}

export function nextClass(store: Store, scan: Scan): void {
  const classes = scan.heat?.classes ?? [];
  const at = classes.findIndex((one) => one.name === store.now.heat.name);
  const next = classes[(at + 1) % classes.length];
  if (next && scan.heat?.placed) store.set({ heat: { ...store.now.heat, name: next.name, on: true } });
}

export function denser(store: Store, by: number): void {
  store.set({ heat: { ...store.now.heat, opacity: clamp(Math.round((store.now.heat.opacity + by) * 20) / 20, 0, 1) } });
}

/** The heat that a scan starts with: switched off, so that the scan is seen before the model's view of it. */
export function firstHeat(scan: Scan, before?: State["heat"]): State["heat"] {
  const classes = scan.heat?.classes ?? [];
  const name = classes.some((one) => one.name === before?.name) ? before!.name : (classes[0]?.name ?? "");
  return { on: before?.on ?? false, name, opacity: before?.opacity ?? 0.7, above: before?.above ?? 0 };
}

export function armHeat(viewer: HTMLElement, store: Store, scanOf: (state: State) => Scan): void {
  const find = <T extends Element>(name: string): T => viewer.querySelector<T>(name)!;
  const on = find<HTMLInputElement>("[data-heat-on]");
  const list = find<HTMLSelectElement>("[data-heat-class]");
  const opacity = find<HTMLInputElement>("[data-heat-opacity]");
  const above = find<HTMLInputElement>("[data-heat-above]");
  const below = find<SVGRectElement>(".viewer-below");
  const change = (part: Partial<State["heat"]>): void => store.set({ heat: { ...store.now.heat, ...part } });
  on.addEventListener("change", () => change({ on: on.checked }));
  list.addEventListener("change", () => change({ name: list.value, on: true }));
  opacity.addEventListener("input", () => change({ opacity: opacity.valueAsNumber / 100 }));
  above.addEventListener("input", () => change({ above: above.valueAsNumber / 100 }));

  const show = (state: State): void => {
    const { heat } = state;
    on.checked = heat.on;
    list.value = heat.name;
    opacity.value = String(Math.round(100 * heat.opacity));
    above.value = String(Math.round(100 * heat.above));
    find<HTMLOutputElement>('[data-count="opacity"]').value = `${opacity.value}%`;
    find<HTMLOutputElement>('[data-count="above"]').value = `${above.value}%`;
    below.setAttribute("width", above.value);
    const top = scanOf(state).heat?.classes.find((one) => one.name === heat.name)?.top;
    find('[data-show="top"]').textContent = top === undefined ? "" : top.toPrecision(3);
    const link = find<HTMLAnchorElement>('[data-download="heat"]');
    const shown = heatShown({ ...state, heat: { ...heat, on: true } }, scanOf(state));
    link.hidden = !shown;
    if (shown) link.href = shown.volume;
  };
  const fill = (scan: Scan): void => {
    find<HTMLElement>("[data-heat]").hidden = !scan.heat?.placed;
    find<HTMLElement>("[data-heat-none]").hidden = !!scan.heat;
    find<HTMLElement>("[data-heat-tiles]").hidden = !scan.heat || scan.heat.placed;
    list.replaceChildren(...(scan.heat?.classes ?? []).map((one) => new Option(one.probability === null ? one.said : `${one.said} (${share(one.probability)})`, one.name)));
  };
  store.listen((now, before) => {
    if (now.scan !== before.scan) fill(scanOf(now));
    if (now.heat !== before.heat || now.scan !== before.scan) show(now);
  });
  fill(scanOf(store.now));
  show(store.now);
}
