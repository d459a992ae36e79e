// What every page has: forms to the API, theme and language, times of day in the reader's own zone.

import { armForms } from "../forms";

function remember(name: string, value: string): void {
  document.cookie = `${name}=${value}; Path=/; Max-Age=31536000; SameSite=Strict`;
}

function armChoices(): void {
  for (const one of document.querySelectorAll<HTMLInputElement>("[data-theme-choice]"))
    one.addEventListener("change", () => {
      remember("insula-theme", one.value);
      document.documentElement.dataset["theme"] = one.value;
      for (const other of document.querySelectorAll<HTMLInputElement>("[data-theme-choice]")) other.checked = other.value === one.value;
      document.dispatchEvent(new CustomEvent("theme"));
    });
  for (const one of document.querySelectorAll<HTMLInputElement>("[data-language-choice]"))
    one.addEventListener("change", () => {
      remember("insula-language", one.value);
      location.reload();
    });
}

// a menu closes when the reader goes elsewhere
function armMenus(): void {
  for (const menu of document.querySelectorAll<HTMLDetailsElement>("details.menu")) {
    document.addEventListener("click", (event) => {
      if (!menu.contains(event.target as Node)) menu.open = false;
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      menu.open = false;
      menu.querySelector("summary")?.focus();
    });
  }
}

armForms();
armChoices();
armMenus();
