// The summary of a case, put together when it is asked for, and questions that its record answers in its own sentences.

import { ask, Refused, text } from "../send";

interface Told {
  text: string;
  language: string;
  source: "template" | "model";
}

interface Quoted {
  text: string;
}

export function armSummary(): void {
  const box = document.getElementById("case-summary");
  const place = document.getElementById("case-summary-says");
  if (!box || !place) return;
  const button = box.querySelector("button")!;
  const spoken = box.querySelector("select")!;
  button.addEventListener("click", () => void told());

  async function told(): Promise<void> {
    button.disabled = true;
    place!.replaceChildren(paragraph(text("Being put together; please wait."), "soft"));
    try {
      const found = await ask<Told>("GET", `${box!.dataset["path"]}?language=${spoken.value}`);
      const source = found.source === "model" ? "Phrased by a language model from the facts of this report." : "Filled in from a template.";
      const words = paragraph(found.text, "case-text");
      words.lang = found.language;
      place!.replaceChildren(words, paragraph(text(source), "soft"));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      place!.replaceChildren(paragraph(error.problem.detail, "said bad"));
    } finally {
      button.disabled = false;
      button.focus();
    }
  }
}

export function armQuestion(): void {
  const place = document.getElementById("case-ask-says");
  const form = document.getElementById("case-ask");
  form?.addEventListener("answered", (event) => {
    const answer = paragraph((event as CustomEvent<Quoted>).detail.text, "case-text");
    answer.lang = form.querySelector("select")?.value ?? "en";
    place?.replaceChildren(answer);
  });
}

function paragraph(words: string, kind: string): HTMLParagraphElement {
  const made = document.createElement("p");
  made.className = kind;
  made.textContent = words;
  return made;
}
