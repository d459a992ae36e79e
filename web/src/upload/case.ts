// One case on the page: its fields, its files with what became of each, and whether it can be sent.

import { say, sayProblem } from "../forms";
import { type Problem, text } from "../send";
import { type Facts, sizeOf, totalOf } from "./facts";
import type { Group } from "./groups";
import type { Item } from "./items";
import { FileList, type Wrong } from "./list";
import { Parts } from "./parts";
import { newKey } from "./transfer";

export type State = "waiting" | "queued" | "sending" | "failed" | "kept";
export type Wish = "send" | "stop" | "away" | "split";

const PER_FILE = 1024; // bytes of a request around each file, and around all of them
const AROUND = 65_536;

export class Case {
  state: State = "waiting";
  readonly root: HTMLLIElement;
  private readonly title: HTMLHeadingElement;
  private readonly count: HTMLElement;
  private readonly buttons: HTMLElement;
  private readonly bar: HTMLProgressElement;
  private readonly list: FileList;
  private readonly parts: Parts;
  private tried = { content: "", key: "" };

  constructor(
    readonly number: number,
    readonly group: Group,
    key: string,
    private readonly facts: Facts,
    private readonly wish: (wish: Wish) => void,
    private readonly changed: () => void,
  ) {
    const template = document.querySelector<HTMLTemplateElement>("template#case")!;
    this.root = template.content.firstElementChild!.cloneNode(true) as HTMLLIElement;
    this.title = this.root.querySelector("h3")!;
    this.count = this.root.querySelector(".upload-count")!;
    this.buttons = this.root.querySelector(".upload-buttons")!;
    this.bar = this.root.querySelector("progress")!;
    this.bar.setAttribute("aria-label", text("Progress of case %(number)s", { number }));
    this.field("patient").value = key;
    this.field("patient").addEventListener("input", () => this.name());
    this.parts = new Parts(this.root.querySelector("fieldset.upload-parts")!, group, facts);
    this.list = new FileList(this.root.querySelector("details")!, group, (some) => this.leaveOut(some));
    this.show();
  }

  get items(): Item[] {
    return this.group.items;
  }

  get key(): string {
    return this.field("patient").value.trim();
  }

  /** What keeps it from being sent, written where it is; whether there is anything. */
  refuses(): boolean {
    const found = this.wrongFields() || this.wrongFiles();
    this.say(found, found ? "bad" : "");
    return found !== "";
  }

  /** The request's form, in the order in which `place` counts the files. */
  form(project: string): FormData {
    const form = new FormData();
    form.append("project", project);
    for (const name of ["patient", "patient_name", "title", "note"]) {
      const value = this.field(name).value.trim();
      if (value) form.append(name, value);
    }
    for (const item of this.ordered()) form.append(this.parts.roleOf(item) || "files", item.file, item.file.name);
    return form;
  }

  /** The same key for the same content, so that what was kept without our hearing of it is not kept twice. */
  once(project: string): string {
    const fields = ["patient", "patient_name", "title", "note"].map((name) => this.field(name).value.trim());
    const content = JSON.stringify([project, fields, this.ordered().map((one) => [one.path, one.file.size, one.file.lastModified, this.parts.roleOf(one)])]);
    if (content !== this.tried.content) this.tried = { content, key: newKey() };
    return this.tried.key;
  }

  /** The file that a refusal is about, by the input it was sent for and its number there. */
  blamed(role: string, number: number): Item | undefined {
    return this.ordered().filter((one) => (this.parts.roleOf(one) || this.facts.sorted) === role)[number - 1];
  }

  begin(): void {
    this.list.reset(this.ordered());
    this.set("sending");
    this.sent(0);
  }

  sent(share: number): void {
    this.bar.hidden = false;
    const total = totalOf(this.items);
    if (share >= 1) {
      this.bar.removeAttribute("value");
      this.say(text("All is sent; the service is reading the scans. Please wait."), "");
    } else {
      this.bar.value = share;
      this.say(text("Sending: %(percent)s% of %(size)s", { percent: Math.floor(100 * share), size: sizeOf(total) }), "");
    }
    this.list.sent(share * total);
  }

  /** It is not kept: why, and next to which file. */
  failed(problem: Problem, item?: Item): void {
    this.bar.hidden = true;
    this.list.refused(item, problem.detail);
    if (item) this.say(text("Nothing of this case was kept, since one file was refused; it is marked below."), "bad");
    else sayProblem(this.root, problem);
    this.set("failed");
  }

  kept(study: string): void {
    this.bar.hidden = true;
    this.list.kept();
    this.set("kept");
    const title = this.field("title").value.trim();
    if (title) this.count.prepend(`${title}, `);
    const link = document.createElement("a");
    link.className = "button";
    link.href = `/studies/${study}`;
    link.textContent = text("Open the case");
    link.setAttribute("aria-describedby", this.title.id);
    this.buttons.prepend(link);
    this.say(text("Kept."), "good");
  }

  say(words: string, kind: "" | "good" | "bad"): void {
    say(this.root, words, kind);
  }

  set(state: State): void {
    this.state = state;
    this.show();
    this.changed();
  }

  focus(): void {
    const patient = this.field("patient");
    if (patient.getAttribute("aria-invalid")) patient.focus();
    else this.title.focus();
  }

  private leaveOut(some: Item[]): void {
    this.group.items = this.items.filter((one) => !some.includes(one));
    this.list.show(this.items);
    this.say("", "");
    this.refuses();
    this.set(this.state === "failed" ? "failed" : "waiting");
    this.title.focus();
  }

  private wrongFields(): string {
    const patient = this.field("patient");
    const length = [...this.key].length;
    const most = this.facts.longest_key;
    const wrong = !length
      ? text("Give the patient's key.")
      : length > most
        ? text("The patient's key has %(count)s characters; %(most)s is the most.", { count: length, most })
        : "";
    if (wrong) patient.setAttribute("aria-invalid", "true");
    else patient.removeAttribute("aria-invalid");
    return wrong;
  }

  private wrongFiles(): string {
    const { most_files, most_bytes } = this.facts;
    const most = sizeOf(most_bytes);
    const wrong: Wrong[] = [];
    for (const item of this.items) {
      if (!item.file.size) wrong.push({ item, words: text("The file is empty (0 bytes); leave it out, or fetch it again from its source.") });
      else if (item.file.size + AROUND > most_bytes)
        wrong.push({ item, words: text("The file alone has %(size)s; %(most)s is the most that this service takes at once.", { size: sizeOf(item.file.size), most }) });
    }
    this.list.mark(wrong);
    const total = totalOf(this.items);
    if (!this.items.length) return text("The case has no file left; add one, or remove the case.");
    const blanks = wrong.filter((one) => !one.item.file.size).length;
    if (wrong.length === 1) return text("A file of this case cannot be sent; it is marked below.");
    if (blanks) return text("%(count)s files of this case are empty (0 bytes); leave them out, or fetch them again from their source.", { count: blanks });
    if (this.items.length > most_files)
      return text("The case has %(count)s files; %(most)s is the most in one case. Split it, or send the series as a zip file.", { count: this.items.length, most: most_files });
    if (total + this.items.length * PER_FILE + AROUND > most_bytes)
      return text("The case has %(size)s; %(most)s is the most that this service takes at once. Leave files out, or ask for a higher limit (INSULA_MAX_UPLOAD_MB).", { size: sizeOf(total), most });
    return "";
  }

  /** By input, each input's files as they came: so the service counts them. */
  private ordered(): Item[] {
    const roles = [...new Set(this.items.map((one) => this.parts.roleOf(one)))];
    return roles.flatMap((role) => this.items.filter((one) => this.parts.roleOf(one) === role));
  }

  private field(name: string): HTMLInputElement {
    return this.root.querySelector<HTMLInputElement>(`[data-field="${name}"]`)!;
  }

  private name(): void {
    const { number, key } = this;
    this.title.textContent = key ? text("Case %(number)s: %(key)s", { number, key }) : text("Case %(number)s", { number });
  }

  private show(): void {
    this.name();
    this.title.id = `case-${this.number}`;
    const values = { count: this.items.length, size: sizeOf(totalOf(this.items)) };
    this.count.textContent = text(this.items.length === 1 ? "%(count)s file, %(size)s" : "%(count)s files, %(size)s", values);
    const busy = this.state === "sending" || this.state === "queued" || this.state === "kept";
    for (const one of this.root.querySelectorAll<HTMLInputElement>("[data-field], .upload-parts select")) one.disabled = busy;
    this.root.classList.toggle("is-kept", this.state === "kept");
    this.list.lock(busy);
    const focused = this.buttons.contains(document.activeElement);
    const made: HTMLElement[] = [];
    if (this.state === "waiting") made.push(this.button("Send this case", "send"));
    if (this.state === "failed") made.push(this.button("Try again", "send", "main"));
    if (this.state === "sending" || this.state === "queued") made.push(this.button("Stop", "stop"));
    if (!busy && this.parts.count > 1) made.push(this.button("Split by folders", "split"));
    if (!busy) made.push(this.button("Remove", "away"));
    this.buttons.replaceChildren(...made);
    if (focused) (made[0] ?? this.title).focus();
  }

  private button(words: string, wish: Wish, look = ""): HTMLButtonElement {
    const made = document.createElement("button");
    made.type = "button";
    made.className = look;
    made.textContent = text(words);
    made.setAttribute("aria-describedby", `case-${this.number}`);
    made.addEventListener("click", () => this.wish(wish));
    return made;
  }
}
