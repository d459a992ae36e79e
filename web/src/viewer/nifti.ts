// NIfTI-1 as our service writes it (serve/shown.py, serve/view.py): little endian, one volume, LPS voxels, no extensions.

import type { Point } from "./data";

const INT16 = 4;
const FLOAT32 = 16;
const RGB24 = 128;

export interface Nifti {
  dims: Point;
  spacing: Point;
  values: Int16Array | Float32Array | Uint8Array;
  colour: boolean;
  affine: number[][]; // 3 × 4: voxel → RAS mm
}

/** Throws where the bytes are no such file. */
export function nifti(bytes: ArrayBuffer): Nifti {
  const head = new DataView(bytes, 0, Math.min(348, bytes.byteLength));
  if (bytes.byteLength < 352 || head.getInt32(0, true) !== 348) throw new Error("no NIfTI-1 volume");
  const dims = [42, 44, 46].map((at) => Math.max(1, head.getInt16(at, true))) as Point;
  const kind = head.getInt16(70, true);
  const start = head.getFloat32(108, true);
  const count = dims[0] * dims[1] * dims[2];
  const affine = [280, 296, 312].map((at) => [0, 4, 8, 12].map((part) => head.getFloat32(at + part, true)));
  const spacing = [0, 1, 2].map((axis) => Math.hypot(...affine.map((row) => row[axis]!))) as Point;
  const made = { dims, spacing, affine, colour: kind === RGB24 };
  if (kind === INT16) return { ...made, values: new Int16Array(bytes, start, count) };
  if (kind === FLOAT32) return { ...made, values: new Float32Array(bytes, start, count) };
  if (kind === RGB24) return { ...made, values: new Uint8Array(bytes, start, 3 * count) };
  throw new Error(`NIfTI of type ${kind}`);
}

/** From the voxels of one volume to those of another, 3 × 4. */
export function between(from: number[][], to: number[][]): number[][] {
  const inverse = inverted(to);
  const shift = from.map((row, axis) => row[3]! - to[axis]![3]!);
  return inverse.map((row) => [0, 1, 2, 3].map((column) => row.reduce((sum, part, axis) => sum + part * (column < 3 ? from[axis]![column]! : shift[axis]!), 0)));
}

function inverted(m: number[][]): number[][] {
  const at = (row: number, column: number): number => m[row % 3]![column % 3]!;
  const minor = (row: number, column: number): number => at(row + 1, column + 1) * at(row + 2, column + 2) - at(row + 1, column + 2) * at(row + 2, column + 1);
  const whole = at(0, 0) * minor(0, 0) + at(0, 1) * minor(0, 1) + at(0, 2) * minor(0, 2);
  return [0, 1, 2].map((row) => [0, 1, 2].map((column) => minor(column, row) / whole));
}
