// The one place where the viewer's state is; whoever shows or changes it hears of every change.

import type { State } from "./data";

type Heard = (now: State, before: State) => void;

export class Store {
  private heard: Heard[] = [];
  constructor(private state: State) {}

  get now(): State {
    return this.state;
  }

  set(change: Partial<State>): void {
    const before = this.state;
    this.state = { ...before, ...change };
    for (const one of this.heard) one(this.state, before);
  }

  listen(heard: Heard): void {
    this.heard.push(heard);
  }
}
