// From values to colours: the window of a scan, and heat over it.

import { between, type Nifti } from "./nifti";

const OPAQUE = 0xff000000; // little endian: alpha, blue, green, red

/** A slice, counted from 0, in a window, as pixels of an ImageData. */
export function paintSlice(pixels: Uint32Array, scan: Nifti, number: number, low: number, high: number): void {
  const count = scan.dims[0] * scan.dims[1];
  const { values } = scan;
  if (scan.colour) {
    for (let i = 0, at = 3 * count * number; i < count; i++, at += 3) pixels[i] = OPAQUE | (values[at + 2]! << 16) | (values[at + 1]! << 8) | values[at]!;
    return;
  }
  const factor = 255 / (high - low);
  for (let i = 0, at = count * number; i < count; i++, at++) {
    const grey = (values[at]! - low) * factor;
    const level = grey <= 0 ? 0 : grey >= 255 ? 255 : (grey + 0.5) | 0;
    pixels[i] = OPAQUE | (level << 16) | (level << 8) | level;
  }
}

/** Heat on the pixels of a slice, by where both lie in the patient; 0 where there is none. As serve/laid.py has it. */
export function heatOnSlice(heat: Nifti, scan: Nifti, number: number): Float32Array {
  const [width, height] = scan.dims;
  const [wide, high, deep] = heat.dims;
  const made = new Float32Array(width * height);
  const map = between(scan.affine, heat.affine);
  const along = (row: number, x: number, y: number): number => map[row]![0]! * x + map[row]![1]! * y + map[row]![2]! * number + map[row]![3]!;
  const middle = along(2, (width - 1) / 2, (height - 1) / 2);
  const nearest = Math.round(middle);
  const reach = Math.max(0.5, Math.abs(map[2]![2]!) / 2) + 1e-3;
  if (nearest < 0 || nearest >= deep || Math.abs(middle - nearest) > reach) return made;
  const start = nearest * wide * high;
  const value = (x: number, y: number): number => heat.values[start + Math.min(high - 1, Math.max(0, y)) * wide + Math.min(wide - 1, Math.max(0, x))]!;
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i++) {
      const [u, v] = [along(0, x, y), along(1, x, y)];
      if (u < -0.5 || v < -0.5 || u > wide - 0.5 || v > high - 0.5) continue;
      const [left, top] = [Math.floor(u), Math.floor(v)];
      const [a, b] = [u - left, v - top];
      const found = (value(left, top) * (1 - a) + value(left + 1, top) * a) * (1 - b) + (value(left, top + 1) * (1 - a) + value(left + 1, top + 1) * a) * b;
      if (found > 0) made[i] = found; // and never NaN, which stands for slices that were not shown to the network
    }
  return made;
}

/** Lay heat over painted pixels: the denser the hotter. table: 256 colours of 3 bytes. above: share of the top from which on. */
export function paintHeat(pixels: Uint32Array, heat: Float32Array, table: Uint8Array, top: number, opacity: number, above: number): void {
  if (!(top > 0)) return;
  const least = above * top;
  for (let i = 0; i < pixels.length; i++) {
    const found = heat[i]!;
    if (found <= 0 || found < least) continue;
    const level = Math.min(1, found / top);
    const [share, at, under] = [opacity * level, 3 * ((255 * level) | 0), pixels[i]!];
    const mix = (below: number, colour: number): number => (below + (colour - below) * share + 0.5) | 0;
    pixels[i] = OPAQUE | (mix((under >> 16) & 255, table[at + 2]!) << 16) | (mix((under >> 8) & 255, table[at + 1]!) << 8) | mix(under & 255, table[at]!);
  }
}

/** 256 colours between stops `#rrggbb`. */
export function tableOf(stops: string[]): Uint8Array {
  const parts = stops.map((one) => [1, 3, 5].map((start) => parseInt(one.slice(start, start + 2), 16)));
  const made = new Uint8Array(3 * 256);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (parts.length - 1);
    const low = Math.min(Math.floor(at), parts.length - 2);
    for (let channel = 0; channel < 3; channel++) made[3 * i + channel] = Math.round(parts[low]![channel]! + (parts[low + 1]![channel]! - parts[low]![channel]!) * (at - low));
  }
  return made;
}
