// The search of the API reference while one types; without this script the form asks the server.

import { text } from "../send";

const form = document.querySelector<HTMLFormElement>("#search");
const field = form?.querySelector<HTMLInputElement>("input[name=q]");
const found = document.querySelector<HTMLElement>("#found");
const operations = [...document.querySelectorAll<HTMLElement>(".operation")].map((place) => ({ place, words: wordsOf(place) }));

function wordsOf(place: HTMLElement): string {
  const told = [...place.querySelectorAll(":scope > h3, :scope > p[lang]")].map((one) => one.textContent ?? "");
  return [...told, place.dataset["needs"] ?? ""].join(" ").toLowerCase();
}

function show(word: string): void {
  let count = 0;
  for (const one of operations) {
    one.place.hidden = !one.words.includes(word);
    if (!one.place.hidden) count += 1;
  }
  for (const area of document.querySelectorAll<HTMLElement>(".area"))
    area.hidden = !area.querySelector(".operation:not([hidden])");
  if (found) found.textContent = word === "" ? "" : count ? text("%(count)s operations", { count }) : text("No operation holds that word.");
}

// what the server was asked for is all that stands here, so a wider search has to go back to it
if (form && field && field.value === "") {
  field.addEventListener("input", () => show(field.value.trim().toLowerCase()));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show(field.value.trim().toLowerCase());
  });
}

// an address of one operation opens it
function openNamed(): void {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.querySelector("details");
  if (named) named.open = true;
}
window.addEventListener("hashchange", openNamed);
openNamed();
