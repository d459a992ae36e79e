// One plane, painted here from the volume: a slice or a window costs a few milliseconds, with or without a graphics card.

import { type ClassHeat, heatShown, numberOf, type Point, type Scan, type State } from "./data";
import { FlatStage } from "./flat";
import { nifti, type Nifti } from "./nifti";
import { heatOnSlice, paintHeat, paintSlice, tableOf } from "./paint";
import type { Stage } from "./stage";

const MOST = 3; // volumes; a fourth lets the first go

export class SliceStage extends FlatStage implements Stage {
  readonly kind = "slices";
  private readonly scans = new Map<string, { read: Nifti; bytes: ArrayBuffer }>();
  private readonly heats = new Map<string, { read: Nifti; bytes: ArrayBuffer }>();
  private readonly table: Uint8Array;
  private readonly whole = document.createElement("canvas");
  private laid: { key: string; heat: Float32Array } = { key: "", heat: new Float32Array(0) };
  private painted = "";
  private frameAsked = 0;

  constructor(box: HTMLElement, private readonly canvas: HTMLCanvasElement, colours: string[], private readonly after: () => void) {
    super(box);
    this.table = tableOf(colours);
    new ResizeObserver(() => this.ask()).observe(box);
  }

  bytesOf(scan: Scan): ArrayBuffer | undefined {
    return this.scans.get(scan.name)?.bytes;
  }

  take(scan: Scan, bytes: ArrayBuffer): void {
    keep(this.scans, scan.name, bytes);
  }

  heatOf(heat: ClassHeat): ArrayBuffer | undefined {
    return this.heats.get(heat.volume)?.bytes;
  }

  takeHeat(heat: ClassHeat, bytes: ArrayBuffer): void {
    keep(this.heats, heat.volume, bytes);
    this.painted = "";
  }

  draw(state: State, scan: Scan): void {
    this.state = state;
    this.scan = scan;
    this.ask();
  }

  size(scan: Scan): Point {
    const read = this.scans.get(scan.name)?.read;
    return read ? (read.dims.map((count, axis) => count * read.spacing[axis]!) as Point) : [1, 1, 1];
  }

  counts(scan: Scan): Point {
    return this.scans.get(scan.name)?.read.dims ?? [1, 1, scan.slices];
  }

  value(point: Point): number | null {
    const read = this.scan && this.scans.get(this.scan.name)?.read;
    if (!read || read.colour) return null;
    const [x, y, z] = point.map((share, axis) => numberOf(share, read.dims[axis]!) - 1) as Point;
    return read.values[(z * read.dims[1] + y) * read.dims[0] + x] ?? null;
  }

  protected there(): boolean {
    return !!this.scan && this.scans.has(this.scan.name);
  }

  private ask(): void {
    if (this.canvas.hidden) return;
    this.frameAsked ||= requestAnimationFrame(() => {
      this.frameAsked = 0;
      this.show();
    });
  }

  private show(): void {
    const frame = this.frame();
    if (!frame || !this.state || !this.scan) return;
    this.paint(this.state, this.scan, this.scans.get(this.scan.name)!.read);
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(this.box.clientWidth * ratio), Math.round(this.box.clientHeight * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    const on = this.canvas.getContext("2d", { alpha: false })!;
    on.fillStyle = "#000";
    on.fillRect(0, 0, width, height);
    on.drawImage(this.whole, frame.left * ratio, frame.top * ratio, frame.width * ratio, frame.height * ratio);
    this.after();
  }

  /** The slice in its own pixels; painted anew only where slice, window or heat changed. */
  private paint(state: State, scan: Scan, read: Nifti): void {
    const number = numberOf(state.at[2], read.dims[2]) - 1;
    const heat = heatShown(state, scan);
    const over = heat && this.heats.get(heat.volume)?.read;
    const window = state.window ?? { centre: 0, width: 1 };
    const key = JSON.stringify([scan.name, number, window.centre, window.width, over ? [heat.volume, state.heat.opacity, state.heat.above] : 0]);
    if (key === this.painted) return;
    this.painted = key;
    const [width, height] = read.dims;
    if (this.whole.width !== width || this.whole.height !== height) [this.whole.width, this.whole.height] = [width, height];
    const on = this.whole.getContext("2d")!;
    const image = on.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    paintSlice(pixels, read, number, window.centre - window.width / 2, window.centre + window.width / 2);
    if (over) {
      const place = `${scan.name} ${number} ${heat.volume}`;
      if (this.laid.key !== place) this.laid = { key: place, heat: heatOnSlice(over, read, number) };
      paintHeat(pixels, this.laid.heat, this.table, heat.top, state.heat.opacity, state.heat.above);
    }
    on.putImageData(image, 0, 0);
  }
}

function keep(kept: Map<string, { read: Nifti; bytes: ArrayBuffer }>, name: string, bytes: ArrayBuffer): void {
  kept.set(name, { read: nifti(bytes), bytes });
  for (const old of kept.keys()) {
    if (kept.size <= MOST) break;
    kept.delete(old);
  }
}
