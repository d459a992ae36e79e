// The slider of prevalences: a place on a scale of equal ratios, a number field for the exact one, and what follows.

import { say } from "../forms";
import { text } from "../send";
import { atPrevalence, type Ends, percent, placeOf, prevalenceAt } from "./meaning";

interface Known {
  sensitivity: Ends;
  specificity: Ends;
  start: number;
}

export function armSlider(): void {
  const box = document.getElementById("case-slider");
  const data = document.getElementById("case-meaning");
  if (!box || !data) return;
  const known = JSON.parse(data.textContent ?? "") as Known;
  const range = box.querySelector<HTMLInputElement>('input[type="range"]')!;
  const exact = box.querySelector<HTMLInputElement>('input[type="number"]')!;

  function show(prevalence: number, by?: HTMLInputElement): void {
    const found = atPrevalence(known.sensitivity, known.specificity, prevalence);
    if (by !== range) range.value = String(placeOf(prevalence));
    if (by !== exact) exact.value = String(Number((100 * prevalence).toPrecision(by === range ? 2 : 6)));
    if (by !== exact) say(box!, "");
    range.setAttribute("aria-valuetext", `${exact.value}%`);
    for (const name of ["ppv", "npv"] as const) put(name, found[name].map(percent), Number.isFinite(found[name][1]));
    put("alerts", found.alerts.map((one) => one.toFixed(0)), true);
  }

  function put(name: string, said: string[], spans: boolean): void {
    const place = box!.querySelector(`[data-out="${name}"]`)!;
    const [value = "", low = "", high = ""] = said;
    const ends = document.createElement("small");
    ends.textContent = spans ? ` ${text("from %(low)s to %(high)s", { low, high })}` : "";
    place.replaceChildren(value, ends);
  }

  range.addEventListener("input", () => show(Number(prevalenceAt(Number(range.value)).toPrecision(2)), range));
  exact.addEventListener("input", () => {
    const good = exact.validity.valid && exact.value !== "";
    say(box, good ? "" : text("A prevalence from 0.1% to 90% can be given."), "bad");
    if (good) return show(Number(exact.value) / 100, exact);
    for (const name of ["ppv", "npv", "alerts"]) put(name, ["–"], false); // no figure beside a number that it is not of
  });
  for (const one of box.querySelectorAll<HTMLButtonElement>("[data-prevalence]"))
    one.addEventListener("click", () => show(Number(one.dataset["prevalence"])));
  box.hidden = false;
  show(known.start);
}
