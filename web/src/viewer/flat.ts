// A stage that shows one axial slice as a flat picture: where its pixels lie in the box, and back.

import type { Plane, Point, Scan, State } from "./data";
import type { Hit } from "./stage";

export interface Rectangle { left: number; top: number; width: number; height: number }

/** Where a picture of so many mm is drawn: fitted into the box, then zoomed about what lies in the middle. */
export function frameOf(box: HTMLElement, size: Point, state: State): Rectangle {
  const scale = Math.min(box.clientWidth / size[0], box.clientHeight / size[1]) * state.zoom;
  const [width, height] = [size[0] * scale, size[1] * scale];
  return { left: box.clientWidth / 2 - state.middle[0] * width, top: box.clientHeight / 2 - state.middle[1] * height, width, height };
}

export abstract class FlatStage {
  protected state: State | null = null;
  protected scan: Scan | null = null;

  constructor(protected readonly box: HTMLElement) {}

  abstract size(scan: Scan): Point;
  protected abstract there(): boolean;

  hit(x: number, y: number): Hit | null {
    const frame = this.frame();
    if (!frame || !this.state) return null;
    const point: Point = [(x - frame.left) / frame.width, (y - frame.top) / frame.height, this.state.at[2]];
    return point[0] < 0 || point[0] > 1 || point[1] < 0 || point[1] > 1 ? null : { point, plane: 2 };
  }

  place(point: Point, plane: Plane): [number, number] | null {
    const frame = this.frame();
    if (!frame || plane !== 2) return null;
    return [frame.left + point[0] * frame.width, frame.top + point[1] * frame.height];
  }

  protected frame(): Rectangle | null {
    return this.state && this.scan && this.there() ? frameOf(this.box, this.size(this.scan), this.state) : null;
  }
}
