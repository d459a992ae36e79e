// One training run: its curves, drawn anew every few seconds while it is at work and the page is seen.

import { chart, type Line } from "../curves";
import { ask, Refused, text } from "../send";

interface Epoch {
  epoch: number;
  values: Record<string, number | null>;
}

interface Run {
  name: string;
  state: "at work" | "done" | "stopped";
  done: number;
  most: number | null;
  best_epoch: number | null;
  best_loss: number | null;
  last_at: string;
  since_best: number | null;
  seconds_per_epoch: number | null;
  seconds_left: number | null;
  curve: Epoch[];
}

const EVERY = 4000; // milliseconds between two looks
const known = JSON.parse(document.querySelector("#run")?.textContent ?? "{}") as { name: string; columns: string[] };
const address = `/api/v1/training/${known.name.split("/").map(encodeURIComponent).join("/")}`;
let seen = "";
let timer: number | undefined;

const put = (name: string, words: string): void => {
  const place = document.querySelector(`[data-${name}]`);
  if (place) place.textContent = words;
};

function span(seconds: number | null): string {
  if (seconds === null) return "–";
  for (const [unit, length] of [["%(n)s days", 86400], ["%(n)s h", 3600], ["%(n)s min", 60]] as const)
    if (seconds >= 2 * length) return text(unit, { n: Math.round(seconds / length) });
  return text("%(n)s s", { n: Math.round(seconds) });
}

const points = (curve: Epoch[], name: string): Line["points"] =>
  curve.map((one) => [one.epoch, one.values[name] ?? NaN] as [number, number]);

function draw(run: Run): void {
  const place = document.querySelector("[data-charts]");
  if (!place || run.curve.length === 0) return;
  document.querySelector("[data-none]")?.remove();
  const losses: Line[] = [
    { name: text("validation loss"), series: "a", points: points(run.curve, "val_loss") },
    { name: text("training loss"), series: "b", dash: "7 4", points: points(run.curve, "train_loss") },
  ];
  const rate: Line[] = [{ name: text("Learning rate"), series: "c", points: points(run.curve, "lr") }];
  const mark = run.best_epoch === null ? undefined : { x: run.best_epoch, name: text("best epoch") };
  const wide = Math.max(300, Math.min(560, place.clientWidth)); // so that letters keep their size on a phone
  place.replaceChildren(
    chart(wide, text("Loss"), text("epoch"), losses, mark),
    chart(wide, text("Learning rate"), text("epoch"), rate),
  );
}

function rows(run: Run): void {
  const body = document.querySelector("[data-rows]");
  if (!body) return;
  const made = [...run.curve].reverse().map((one) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = String(one.epoch);
    row.append(head);
    for (const name of known.columns) {
      const cell = row.insertCell();
      cell.className = "n";
      const value = one.values[name];
      cell.textContent = value === null || value === undefined ? "–" : String(Number(value.toPrecision(4)));
    }
    return row;
  });
  body.replaceChildren(...made);
}

function show(run: Run): void {
  const before = seen;
  seen = `${run.state} ${run.done} ${run.last_at}`;
  if (before === seen) return;
  put("done", String(run.done));
  put("last", `${run.last_at.slice(0, 16).replace("T", " ")} UTC`);
  put("epoch", span(run.seconds_per_epoch));
  put("left", span(run.seconds_left));
  put("since", String(run.since_best ?? "–"));
  if (run.best_loss !== null) put("best", `${run.best_loss.toFixed(4)}, ${text("epoch")} ${run.best_epoch}`);
  const bar = document.querySelector<HTMLProgressElement>("[data-progress]");
  if (bar) bar.value = run.done;
  draw(run);
  if (before === "") return; // as it was served: the table stands there, and nobody is told of it
  const state = document.querySelector("[data-state]");
  if (state) {
    state.textContent = text(run.state);
    state.className = `badge ${run.state === "done" ? "good" : run.state === "at work" ? "info" : "warn"}`;
  }
  rows(run);
  if (run.state !== "at work") say(text("The run ended."));
  else say(run.most === null ? text("Epoch %(n)s.", { n: run.done }) : text("Epoch %(n)s of %(most)s.", { n: run.done, most: run.most }));
}

function say(words: string, kind = ""): void {
  const place = document.querySelector<HTMLElement>("[data-said]");
  if (!place) return;
  place.className = `said ${kind}`.trim();
  place.textContent = words;
  place.hidden = words === "";
}

async function look(): Promise<void> {
  window.clearTimeout(timer);
  timer = undefined;
  let goesOn = true;
  try {
    const run = await ask<Run>("GET", address);
    if (run.curve.length > 0 && known.columns.length === 0) location.reload(); // the first line: the table has its columns now
    show(run);
    goesOn = run.state === "at work";
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const passing = error.problem.status === 0 || error.problem.status >= 500 || error.problem.status === 429;
    say(passing ? text("The curves could not be read just now; they are tried again.") : error.problem.detail, "bad");
    goesOn = passing;
  }
  if (goesOn && !document.hidden) timer = window.setTimeout(() => void look(), EVERY);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) window.clearTimeout(timer);
  else void look();
});
void look();
