// The files of a case, one line each with what became of it. Lines are made when somebody looks at them.

import { text } from "../send";
import { sizeOf } from "./facts";
import type { Group } from "./groups";
import type { Item } from "./items";

export interface Wrong {
  item: Item;
  words: string;
}

const OPEN_UP_TO = 6;
const MOST_LINES = 2_500;

export class FileList {
  private order: Item[];
  private ends: number[] = []; // of each file, in bytes of all of them
  private at = 0; // the file that is being sent
  private states = new Map<Item, string>();
  private wrong = new Map<Item, string>();
  private lines = new Map<Item, HTMLLIElement>();
  private locked = false;

  constructor(
    private readonly box: HTMLDetailsElement,
    private readonly group: Group,
    private readonly leaveOut: (some: Item[]) => void,
  ) {
    this.order = group.items;
    this.box.open = group.items.length <= OPEN_UP_TO;
    this.box.addEventListener("toggle", () => this.draw());
    this.draw();
  }

  show(items: Item[]): void {
    this.order = items;
    this.states.clear();
    this.wrong.clear();
    this.lines.clear();
    this.draw();
  }

  /** Before it is sent: all files wait, in the order in which they will go. */
  reset(order: Item[]): void {
    this.order = order;
    let end = 0;
    this.ends = order.map((one) => (end += one.file.size));
    this.at = 0;
    this.states = new Map();
    this.wrong.clear();
    this.lines.clear();
    this.draw();
  }

  /** bytes: of all files together that are sent by now. */
  sent(bytes: number): void {
    while (this.at < this.order.length && this.ends[this.at]! <= bytes) this.state(this.order[this.at++]!, text("sent"));
    const item = this.order[this.at];
    if (!item || !item.file.size) return;
    const within = bytes - (this.ends[this.at]! - item.file.size);
    this.state(item, text("%(percent)s% sent", { percent: Math.max(0, Math.floor((100 * within) / item.file.size)) }));
  }

  kept(): void {
    for (const one of this.order) this.state(one, text("kept"));
    this.box.open = false;
  }

  /** Nothing of the case is kept; one file is to blame where that is known. */
  refused(item: Item | undefined, words: string): void {
    for (const one of this.order) this.state(one, text(one === item ? "refused" : "not sent"));
    this.mark(item ? [{ item, words }] : []);
  }

  mark(wrong: Wrong[]): void {
    const before = [...this.wrong.keys()];
    this.wrong = new Map(wrong.map((one) => [one.item, one.words]));
    for (const { item } of wrong) this.states.set(item, this.states.get(item) ?? text("not sent"));
    if (wrong.length) this.box.open = true;
    this.draw();
    for (const one of new Set([...before, ...this.wrong.keys()])) this.redraw(one);
    const first = wrong[0] && this.lines.get(wrong[0].item);
    first?.parentElement?.scrollTo({ top: first.offsetTop - first.parentElement.offsetTop });
  }

  lock(locked: boolean): void {
    if (this.locked === locked) return;
    this.locked = locked;
    for (const one of this.lines.values()) for (const button of one.querySelectorAll("button")) button.hidden = locked;
  }

  private state(item: Item, words: string): void {
    this.states.set(item, words);
    const line = this.lines.get(item)?.querySelector(".state");
    if (line && line.textContent !== words) line.textContent = words;
  }

  private draw(): void {
    const list = this.box.querySelector("ul")!;
    if (!this.box.open) return;
    if (this.lines.size && list.childElementCount) return;
    const shown = this.order.slice(0, MOST_LINES);
    for (const one of shown) this.lines.set(one, this.line(one));
    list.replaceChildren(...this.lines.values());
    const rest = this.order.length - shown.length;
    if (rest) list.append(Object.assign(document.createElement("li"), { textContent: text("and %(count)s more files", { count: rest }) }));
  }

  private redraw(item: Item): void {
    const line = this.lines.get(item);
    if (!line) return;
    const made = this.line(item);
    line.replaceWith(made);
    this.lines.set(item, made);
  }

  private line(item: Item): HTMLLIElement {
    const line = document.createElement("li");
    const name = item.path.slice(this.group.base.length);
    const part = (className: string, words: string): HTMLElement => Object.assign(document.createElement("span"), { className, textContent: words });
    const bidi = document.createElement("bdi");
    bidi.textContent = name;
    const shown = part("name", "");
    shown.append(bidi);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text("Leave out");
    button.setAttribute("aria-label", text("Leave out %(name)s", { name }));
    button.hidden = this.locked;
    button.addEventListener("click", () => this.leaveOut([item]));
    line.append(shown, part("soft", sizeOf(item.file.size)), part("state", this.states.get(item) ?? text("waiting")), button);
    const words = this.wrong.get(item);
    if (words) {
      line.className = "bad";
      line.append(part("wrong", words));
      const blanks = [...this.wrong.keys()].filter((one) => !one.file.size);
      if (!item.file.size && blanks.length > 1 && blanks[0] === item) line.append(this.all(blanks));
    }
    return line;
  }

  private all(blanks: Item[]): HTMLButtonElement {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text("Leave out the empty files");
    made.addEventListener("click", () => this.leaveOut(blanks));
    return made;
  }
}
