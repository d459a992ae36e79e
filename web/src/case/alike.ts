// Similar past cases: asked for when their section comes into view, since finding them reads many files.

import { share } from "../share";
import { ask, Refused, text } from "../send";

interface Alike {
  prediction: string;
  study_id: string;
  created_at: string;
  patient_key: string;
  title: string;
  same_patient: boolean;
  same: boolean;
  likeness: number;
  action: string;
  label: string;
  said: string;
  confidence: number;
  scan: string;
  slice: number;
  labels: string[];
  labels_said: string[];
}

interface Found {
  cases: Alike[];
  searched: number;
  why: "" | "rejected" | "not_kept";
  said: string;
}

const ACTIONS: Record<string, string> = { accept: "accepted", refer: "referred", reject: "rejected" };
const WHY = {
  rejected: "The scan was rejected: what is alike to it tells nothing.",
  not_kept: "This answer was made before features were kept; predict the study again to find what is alike.",
  "": "No other case of this project was answered by this model yet.",
};

export function armAlike(): void {
  const box = document.getElementById("case-alike");
  if (!box) return;
  const seen = new IntersectionObserver((entries) => {
    if (!entries.some((one) => one.isIntersecting) || !(box as HTMLDetailsElement).open) return;
    seen.disconnect();
    void load(box);
  });
  seen.observe(box);
  box.addEventListener("toggle", () => {
    seen.unobserve(box);
    seen.observe(box);
  });
}

async function load(box: HTMLElement): Promise<void> {
  const said = box.querySelector<HTMLElement>("[data-said]")!;
  said.textContent = text("Looking for cases that are alike.");
  try {
    const found = await ask<Found>("GET", `/api/v1/predictions/${box.dataset["prediction"]}/similar`);
    box.querySelector(".case-alike")!.replaceChildren(...found.cases.map(card));
    said.textContent = found.cases.length ? text("%(searched)s studies of this project were searched.", { searched: found.searched }) : text(WHY[found.why]);
    if (found.cases.length) box.querySelector("[data-means]")!.textContent = found.said;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    said.textContent = error.problem.detail;
  }
}

function card(one: Alike): HTMLLIElement {
  const made = document.createElement("li");
  const words = document.createElement("div");
  const link = document.createElement("a");
  link.href = `/studies/${one.study_id}?prediction=${one.prediction}`;
  link.append(isolated(one.patient_key), one.title ? ` · ${one.title}` : "");
  const answer = document.createElement("p");
  answer.append(isolated(one.said), ` ${share(one.confidence)}, ${text(ACTIONS[one.action] ?? one.action)}`);
  const facts = [text("likeness %(likeness)s", { likeness: one.likeness.toFixed(2) }), one.created_at.slice(0, 10)];
  if (one.same_patient) facts.push(text("same patient"));
  if (one.same) facts.push(text("all but equal: most likely the same scan"));
  words.append(link, answer, soft(facts.join(" · ")));
  if (one.labels_said.length) words.append(soft(text("readers: %(labels)s", { labels: one.labels_said.join(", ") })));
  made.append(picture(one), words);
  return made;
}

function picture(one: Alike): HTMLElement {
  if (!one.scan) return document.createElement("span");
  const made = document.createElement("img");
  made.src = `/api/v1/predictions/${one.prediction}/scans/${encodeURIComponent(one.scan)}/slices/${one.slice}?least=96`;
  made.alt = text("slice %(number)s of scan %(scan)s", { number: one.slice, scan: one.scan });
  made.width = made.height = 96;
  made.loading = "lazy";
  return made;
}

function isolated(words: string): HTMLElement {
  const made = document.createElement("bdi");
  made.textContent = words;
  return made;
}

function soft(words: string): HTMLParagraphElement {
  const made = document.createElement("p");
  made.className = "soft";
  made.textContent = words;
  return made;
}
