// What the page says of the picture, in words and numbers: for eyes, for screen readers, and for tests (data-…).

import { share } from "../share";
import { text } from "../send";
import { heatShown, numberOf, type Plane, type Scan, type State } from "./data";
import type { Hit, Stage } from "./stage";
import { windowName } from "./windows";

const SETTLED = 400; // ms after which a change is told, so that scrolling is not read out slice by slice

export class Teller {
  private later = 0;
  constructor(private readonly viewer: HTMLElement) {}

  /** Everything that can be seen of a state. */
  show(state: State, scan: Scan, stage: Stage): void {
    const counts = stage.counts(scan);
    const number = numberOf(state.at[2], scan.slices);
    const slice = text("Slice %(number)s of %(count)s", { number, count: scan.slices });
    this.put("slice", slice);
    this.put("sides", scan.sided ? "" : text("sides unknown"));
    const window = state.window;
    const said = window ? text("Window %(width)s, centre %(centre)s (%(name)s)", { width: window.width, centre: window.centre, name: windowName(state) }) : "";
    this.put("window", window ? text("W %(width)s C %(centre)s", { width: window.width, centre: window.centre }) : "");
    for (const plane of [0, 1, 2] as Plane[]) this.slider(plane, numberOf(state.at[plane], counts[plane]), counts[plane], state);
    this.press("data-tool", state.tool);
    this.press("data-layout", state.layout);
    this.press("data-scan", String(state.scan));
    const heat = heatShown(state, scan);
    Object.assign(this.viewer.dataset, {
      stage: stage.kind,
      slice: String(number),
      slices: String(scan.slices),
      scan: scan.name,
      window: window ? `${window.width}/${window.centre}` : "",
      heat: heat ? heat.name : "",
      layout: state.layout,
      tool: state.tool,
    });
    clearTimeout(this.later);
    const words = `${text("Slice %(number)s of %(count)s, %(window)s.", { number, count: scan.slices, window: said || scan.title })} ${heatSaid(state, scan)}`;
    this.later = setTimeout(() => this.put("said", words), SETTLED);
  }

  /** The value under the pointer. */
  over(hit: Hit | null, stage: Stage, scan: Scan): void {
    const value = hit && stage.value(hit.point);
    if (value === null || value === undefined || !Number.isFinite(value)) return this.put("value", "");
    const shown = { value: String(Math.abs(value) < 10 ? Number(value.toFixed(2)) : Math.round(value)) };
    this.put("value", scan.units === "HU" ? text("%(value)s HU", shown) : text("value %(value)s", shown));
  }

  wait(words: string): void {
    this.put("wait", words);
  }

  say(words: string): void {
    clearTimeout(this.later);
    this.put("said", words);
  }

  notes(lines: string[]): void {
    this.viewer.querySelector("[data-notes]")!.replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
  }

  private put(name: string, words: string): void {
    const place = this.viewer.querySelector(`[data-show="${name}"]`)!;
    if (place.textContent !== words) place.textContent = words;
  }

  private slider(plane: Plane, number: number, count: number, state: State): void {
    const slider = this.viewer.querySelector<HTMLInputElement>(`input[data-plane="${plane}"]`)!;
    const hidden = plane !== 2 && state.layout !== "planes";
    if (slider.parentElement!.hidden !== hidden) slider.parentElement!.hidden = hidden;
    if (hidden) return;
    slider.max = String(count);
    slider.value = String(number);
    const words = text("Slice %(number)s of %(count)s", { number, count });
    slider.setAttribute("aria-valuetext", words);
    this.viewer.querySelector<HTMLOutputElement>(`output[data-count="${plane}"]`)!.value = words;
  }

  private press(attribute: string, value: string): void {
    for (const one of this.viewer.querySelectorAll(`button[${attribute}]`)) {
      const pressed = String(one.getAttribute(attribute) === value);
      if (one.getAttribute("aria-pressed") !== pressed) one.setAttribute("aria-pressed", pressed);
    }
  }
}

function heatSaid(state: State, scan: Scan): string {
  const heat = heatShown(state, scan);
  if (!heat) return scan.heat ? text("No heat is shown.") : "";
  if (heat.probability === null) return text("Heat for %(name)s is shown.", { name: heat.said });
  return text("Heat for %(name)s is shown; its probability is %(probability)s.", { name: heat.said, probability: share(heat.probability) });
}
