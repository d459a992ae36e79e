// Slices as the service draws them: at once, and where the volume itself does not come.

import { readProblem, text } from "../send";
import { numberOf, pictureOf, type Point, type Scan, type State, type ViewerData } from "./data";
import { FlatStage } from "./flat";
import type { Stage } from "./stage";

const KEPT = 120; // pictures, so that scrolling back costs nothing

export class PictureStage extends FlatStage implements Stage {
  readonly kind = "pictures";
  private kept = new Map<string, string>();
  private wanted = "";
  private busy = false;

  constructor(
    private readonly data: ViewerData,
    box: HTMLElement,
    private readonly image: HTMLImageElement,
    private readonly said: (words: string) => void,
    private readonly shown: () => void,
  ) {
    super(box);
    image.addEventListener("load", () => {
      this.lay();
      this.shown();
    });
    new ResizeObserver(() => this.lay()).observe(box);
  }

  draw(state: State, scan: Scan): void {
    this.state = state;
    this.scan = scan;
    if (scan.fault || this.image.hidden) return;
    const number = numberOf(state.at[2], scan.slices);
    this.wanted = pictureOf(this.data, scan, state, number);
    this.image.alt = text("Slice %(number)s of %(count)s", { number, count: scan.slices });
    this.lay();
    if (this.image.dataset["address"] === this.wanted && this.image.complete) this.shown();
    void this.fetch();
  }

  size(scan: Scan): Point {
    const [across, down] = [this.image.naturalWidth || 1, this.image.naturalHeight || 1];
    const step = Math.min(scan.spacing[0], scan.spacing[1]); // the service draws square pixels
    return [across * step, down * step, scan.slices * scan.spacing[2]];
  }

  counts(scan: Scan): Point {
    return [1, 1, scan.slices];
  }

  value(): null {
    return null;
  }

  protected there(): boolean {
    return this.image.naturalWidth > 0;
  }

  private lay(): void {
    const place = this.frame();
    if (!place || this.image.hidden) return;
    const style = this.image.style;
    style.inset = "auto";
    style.objectFit = "fill";
    style.left = `${place.left}px`;
    style.top = `${place.top}px`;
    style.width = `${place.width}px`;
    style.height = `${place.height}px`;
  }

  // one request at a time; what was asked for meanwhile and is wanted no more is passed over
  private async fetch(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.wanted && this.image.dataset["address"] !== this.wanted) {
        const address = this.wanted;
        const found = this.kept.get(address) ?? (await this.get(address));
        if (!found) return;
        if (address === this.wanted) {
          this.image.dataset["address"] = address;
          this.image.src = found;
        }
      }
    } finally {
      this.busy = false;
    }
  }

  private async get(address: string): Promise<string> {
    try {
      const answer = await fetch(address, { credentials: "same-origin" });
      if (!answer.ok) throw new Error(readProblem(answer.status, await answer.text()).detail);
      const made = URL.createObjectURL(await answer.blob());
      this.kept.set(address, made);
      for (const [old, url] of this.kept) {
        if (this.kept.size <= KEPT) break;
        this.kept.delete(old);
        URL.revokeObjectURL(url);
      }
      return made;
    } catch (error) {
      if (address === this.wanted) {
        this.wanted = "";
        this.said(text("The picture did not come: %(reason)s Try again, or load the page again.", { reason: (error as Error).message }));
      }
      return "";
    }
  }
}
