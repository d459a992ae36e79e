// Rows at work are kept as they are now: their jobs are asked for (which tells the trail nothing), less and less often
// while nothing happens and not at all while nobody looks; a row is fetched anew once its job has ended.

import { ask, Refused, send, text } from "../send";

interface Job {
  id: string;
  state: string;
  progress: number;
  step: string;
  ended_at: string | null;
}

const FIRST_MS = 1500;
const LONGEST_MS = 20_000;
const MOST = 200;

let timer: number | undefined;
let wait = FIRST_MS;

export function armLive(): void {
  document.addEventListener("visibilitychange", () => {
    window.clearTimeout(timer);
    if (!document.hidden) again(0);
  });
  again(FIRST_MS);
}

const atWork = (): HTMLTableRowElement[] => [...document.querySelectorAll<HTMLTableRowElement>("tr[data-job]")].slice(0, MOST);

function again(after: number): void {
  if (document.hidden || !atWork().length) return;
  timer = window.setTimeout(() => void look(), after);
}

async function look(): Promise<void> {
  const rows = atWork();
  const query = rows.map((row) => `id=${row.dataset["job"]}`).join("&");
  try {
    const { items } = await ask<{ items: Job[] }>("GET", `/api/v1/jobs?limit=${MOST}&${query}`);
    const jobs = new Map(items.map((job) => [job.id, job]));
    const over = rows.filter((row) => jobs.get(row.dataset["job"]!)?.ended_at !== null); // ended, or gone with its study
    const moved = rows.filter((row) => !over.includes(row) && show(row, jobs.get(row.dataset["job"]!)!));
    if (over.length) await renew(over);
    wait = over.length || moved.length ? FIRST_MS : Math.min(1.6 * wait, LONGEST_MS);
    stale("");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    stale(text("The list is not kept up to date any more: %(why)s", { why: error.problem.detail }));
    if (error.problem.status === 401 || error.problem.status === 403) return;
    wait = LONGEST_MS;
  }
  again(wait);
}

/** A job's progress in its row; whether anything is new. */
function show(row: HTMLTableRowElement, job: Job): boolean {
  const bar = row.querySelector("progress")!;
  const step = row.querySelector(".worklist-step")!;
  const badge = row.querySelector(".worklist-work .badge")!;
  const running = job.state === "running";
  const words = running ? `${Math.round(100 * job.progress)}% ${job.step ? text(job.step) : ""}` : "";
  if (step.textContent === words && bar.value === job.progress) return false;
  bar.value = job.progress;
  step.textContent = words;
  badge.textContent = text(running ? "at work" : "waiting");
  badge.classList.toggle("info", running);
  return true;
}

async function renew(rows: HTMLTableRowElement[]): Promise<void> {
  const several = rows[0]!.closest("table")!.dataset["several"];
  const query = rows.map((row) => `study=${row.dataset["study"]}`).join("&");
  const made = document.createElement("tbody");
  made.innerHTML = await (await send("GET", `/worklist/rows?several=${several}&${query}`)).text(); // escaped by the service
  const said = [];
  for (const row of rows) {
    const fresh = made.querySelector<HTMLTableRowElement>(`#${row.id}`);
    if (!fresh) {
      row.removeAttribute("data-job"); // erased, or joined to another study
      continue;
    }
    const focused = row.contains(document.activeElement) ? document.activeElement : undefined;
    const picked = row.querySelector<HTMLInputElement>("input[name=study]")?.checked ?? false;
    row.replaceWith(fresh);
    const pick = fresh.querySelector<HTMLInputElement>("input[name=study]");
    if (pick) pick.checked = picked;
    if (focused) fresh.querySelector<HTMLElement>(focused instanceof HTMLInputElement ? "input[name=study]" : "[data-row]")?.focus();
    if (!fresh.dataset["job"]) said.push(fresh.dataset["said"] ?? "");
  }
  if (said.length) document.getElementById("news")!.textContent = said.join(". ");
}

function stale(words: string): void {
  const place = document.getElementById("stale")!;
  place.textContent = words;
  place.hidden = words === "";
}
