// The trail's page: whether the whole of it holds, asked for by its reader and told in words.

import { say } from "../forms";
import { text } from "../send";

interface Verdict {
  holds: boolean;
  entries: number;
  covered: number;
  heads: number;
  spoilt_heads: number;
  chain_only: boolean;
  said: string;
  next: string | null;
}

const form = document.querySelector<HTMLFormElement>("#verify");
const facts = document.querySelector<HTMLElement>("#verdict");

// groups of three digits, parted as the pages' own filter parts them
function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

function span(last: number): string {
  return last ? text("1 to %(last)s", { last: grouped(last) }) : text("none");
}

function tell(found: Verdict, form: HTMLFormElement, facts: HTMLElement): void {
  const held = found.next ? "" : found.chain_only ? text("The trail holds, as a chain only.") : text("The trail holds.");
  say(form, `${found.holds ? held : text("Something is at fault.")} ${found.said}`, found.holds ? (found.chain_only || found.next ? "" : "good") : "bad");
  const rows: [string, string][] = [
    [text("Entries that hold"), span(found.entries)],
    [text("Vouched for by a head"), span(found.covered)],
    [text("Heads signed with this key"), grouped(found.heads)],
    [text("Heads that cannot be trusted"), grouped(found.spoilt_heads)],
  ];
  facts.replaceChildren(
    ...rows.map(([name, value]) => {
      const [both, term, told] = [document.createElement("div"), document.createElement("dt"), document.createElement("dd")];
      [term.textContent, told.textContent] = [name, value];
      both.append(term, told);
      return both;
    }),
  );
  facts.hidden = false;
}

if (form && facts) {
  // after the form's own listener, which says that something was sent
  document.addEventListener("submit", (event) => {
    if (event.target !== form) return;
    facts.hidden = true;
    say(form, text("Reading the whole trail; a long one takes minutes."));
  });
  form.addEventListener("answered", (event) => {
    event.preventDefault();
    tell((event as CustomEvent<Verdict>).detail, form, facts);
  });
}
