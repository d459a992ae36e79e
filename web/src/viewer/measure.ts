// Lengths in mm, each on the slice on which it was drawn.

import { text } from "../send";
import { numberOf, type Plane, type Point, type Scan, type State } from "./data";
import type { Hit, Stage } from "./stage";

export interface Measured { scan: string; plane: Plane; number: number; from: Point; to: Point; said: string; length: number }

/** Millimetres between two points of one volume; its axes are perpendicular. */
export function length(from: Point, to: Point, size: Point): number {
  return Math.hypot(...from.map((one, axis) => (to[axis]! - one) * size[axis]!));
}

export function measure(from: Hit, to: Point, stage: Stage, state: State, scan: Scan): Measured {
  const found = length(from.point, to, stage.size(scan));
  const number = numberOf(state.at[from.plane], stage.counts(scan)[from.plane]);
  const said = text(scan.sized ? "%(length)s mm" : "%(length)s pixels", { length: found.toFixed(1) });
  return { scan: scan.name, plane: from.plane, number, from: from.point, to, said, length: found };
}
