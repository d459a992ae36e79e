// Three planes on the graphics card, by NiiVue. This file is a chunk of its own that is fetched when they are asked for.

import { NVImage, Niivue, SLICE_TYPE } from "@niivue/niivue";
import { heatShown, type Plane, type Point, type Scan, type State } from "./data";
import { tableOf } from "./paint";
import type { Hit, Stage } from "./stage";

const HEAT = "insula-heat";
const DENSER_WITH_VALUE = 1; // NiiVue's colormapType by which the opacity is the square of value over cal_min
const MOST_VOLUMES = 3; // of scans that were looked at; a fourth lets the first go

type Tile = { axCorSag: number; leftTopWidthHeight: number[]; leftTopMM: number[]; fovMM: number[] };

export class PlaneStage implements Stage {
  readonly kind = "planes";
  private scans = new Map<string, NVImage>();
  private heats = new Map<string, { image: NVImage; levels: Float32Array; above: number }>();
  private asked: { state: State; scan: Scan } | null = null;
  private drawn: { state: State; scan: Scan; heat: string } | null = null;
  private frame = 0;

  private constructor(private readonly niivue: Niivue, private readonly canvas: HTMLCanvasElement, private readonly after: () => void) {}

  /** Throws where the browser has no WebGL 2. */
  static async open(canvas: HTMLCanvasElement, colours: string[], after: () => void): Promise<PlaneStage> {
    const niivue = new Niivue({
      isRadiologicalConvention: true,
      isOrientationTextVisible: false, // the letters stand in the page, where they can be read
      isCornerOrientationText: false,
      sagittalNoseLeft: true,
      interactive: false, // mouse and keys are the page's own, the same with and without WebGL
      dragAndDropEnabled: false,
      multiplanarShowRender: 0,
      multiplanarForceRender: false,
      multiplanarPadPixels: 4,
      crosshairWidth: 0, // drawn by marks.ts
      sliceType: SLICE_TYPE.MULTIPLANAR,
      backColor: [0, 0, 0, 1],
      loadingText: "",
      logLevel: "error",
      isAntiAlias: false,
    });
    await niivue.attachToCanvas(canvas, false);
    niivue.addColormap(HEAT, ramp(colours));
    return new PlaneStage(niivue, canvas, after);
  }

  has(scan: Scan): boolean {
    return this.scans.has(scan.name);
  }

  async take(scan: Scan, bytes: ArrayBuffer): Promise<void> {
    const window = scan.windows[0];
    const [low, high] = window ? [window.centre - window.width / 2, window.centre + window.width / 2] : [NaN, NaN];
    this.scans.set(scan.name, await image(bytes, scan.name, "gray", low, high));
    for (const name of this.scans.keys()) {
      if (this.scans.size <= MOST_VOLUMES) break;
      if (name !== scan.name) this.scans.delete(name);
    }
  }

  hasHeat(address: string): boolean {
    return this.heats.has(address);
  }

  async takeHeat(address: string, bytes: ArrayBuffer, top: number): Promise<void> {
    const made = await image(bytes, address, HEAT, 0.999, 1);
    made.colormapType = DENSER_WITH_VALUE;
    // their square roots, so that opacity grows with the heat itself, as in the other pictures; where none is known, 0
    const levels = Float32Array.from(made.img as Float32Array, (heat) => (heat > 0 && top > 0 ? Math.sqrt(Math.min(1, heat / top)) : 0));
    this.heats.set(address, { image: made, levels, above: -1 });
    this.drawn = this.drawn && { ...this.drawn, heat: "" };
  }

  draw(state: State, scan: Scan): void {
    this.asked = { state, scan };
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.show();
    });
  }

  size(scan: Scan): Point {
    const volume = this.scans.get(scan.name);
    const [x, y, z] = this.counts(scan);
    const sides = volume?.pixDimsRAS ?? [1, ...scan.spacing];
    return [x * sides[1]!, y * sides[2]!, z * sides[3]!];
  }

  counts(scan: Scan): Point {
    const dims = this.scans.get(scan.name)?.dimsRAS;
    return dims ? [dims[1]!, dims[2]!, dims[3]!] : [1, 1, scan.slices];
  }

  value(point: Point): number | null {
    const volume = this.drawn && this.scans.get(this.drawn.scan.name);
    if (!volume?.dimsRAS || this.drawn?.scan.colour) return null;
    const [, x, y, z] = volume.dimsRAS.map((count, axis) => (axis ? Math.min(count - 1, Math.floor(ras(point)[axis - 1]! * count)) : 0));
    return volume.getValue(x!, y!, z!);
  }

  hit(x: number, y: number): Hit | null {
    const ratio = this.canvas.width / Math.max(1, this.canvas.clientWidth);
    for (const tile of this.tiles()) {
      const [left, top, width, height] = tile.leftTopWidthHeight as [number, number, number, number];
      const [start, wide] = width < 0 ? [left + width, -width] : [left, width];
      const [across, down] = [(x * ratio - start) / wide, (y * ratio - top) / height];
      if (across < 0 || across > 1 || down < 0 || down > 1) continue;
      const plane = (2 - tile.axCorSag) as Plane;
      const mm = this.middle();
      const [a, b] = planeAxes(plane);
      mm[a] = tile.leftTopMM[0]! + (width < 0 ? 1 - across : across) * tile.fovMM[0]!;
      mm[b] = tile.leftTopMM[1]! + (1 - down) * tile.fovMM[1]!;
      const share = lps(this.niivue.mm2frac(mm as unknown as Parameters<Niivue["mm2frac"]>[0]) as unknown as number[]);
      return share.some((one) => one < 0 || one > 1) ? null : { point: share, plane };
    }
    return null;
  }

  place(point: Point, plane: Plane): [number, number] | null {
    const ratio = this.canvas.width / Math.max(1, this.canvas.clientWidth);
    const tile = this.tiles().find((one) => 2 - one.axCorSag === plane);
    if (!tile) return null;
    const mm = this.niivue.frac2mm(ras(point) as unknown as Parameters<Niivue["frac2mm"]>[0]) as unknown as number[];
    const [a, b] = planeAxes(plane);
    const [left, top, width, height] = tile.leftTopWidthHeight as [number, number, number, number];
    const [start, wide] = width < 0 ? [left + width, -width] : [left, width];
    const across = (mm[a]! - tile.leftTopMM[0]!) / tile.fovMM[0]!;
    const down = 1 - (mm[b]! - tile.leftTopMM[1]!) / tile.fovMM[1]!;
    return [(start + (width < 0 ? 1 - across : across) * wide) / ratio, (top + down * height) / ratio];
  }

  /** Where the picture of each plane lies in the stage, in CSS pixels. */
  frames(): { plane: Plane; left: number; top: number; width: number; height: number }[] {
    const ratio = this.canvas.width / Math.max(1, this.canvas.clientWidth);
    return this.tiles().map((tile) => {
      const [left, top, width, height] = tile.leftTopWidthHeight.map((one) => one / ratio) as [number, number, number, number];
      return { plane: (2 - tile.axCorSag) as Plane, left: width < 0 ? left + width : left, top, width: Math.abs(width), height };
    });
  }

  private tiles(): Tile[] {
    return (this.niivue.screenSlices as unknown as Tile[]).filter((one) => one.axCorSag <= 2);
  }

  private middle(): number[] {
    return [...(this.niivue.frac2mm(this.niivue.scene.crosshairPos) as unknown as number[])].slice(0, 3);
  }

  private show(): void {
    if (!this.asked) return;
    const { state, scan } = this.asked;
    const volume = this.scans.get(scan.name);
    if (!volume) return;
    const before = this.drawn;
    const heat = heatShown(state, scan);
    const kept = heat ? this.heats.get(heat.volume) : undefined;
    const over = kept?.image;
    const changed = before?.scan !== scan || before.heat !== (over ? heat!.volume : "");
    const window = state.window;
    const windowed = changed || before?.state.window !== window;
    if (window && windowed) {
      volume.cal_min = window.centre - window.width / 2;
      volume.cal_max = window.centre + window.width / 2;
    }
    const styled = !!over && (changed || before?.state.heat !== state.heat);
    if (kept && styled) {
      if (kept.above !== state.heat.above) kept.image.img = kept.levels.map((one) => (one * one < state.heat.above ? 0 : one));
      kept.above = state.heat.above;
      kept.image.opacity = state.heat.opacity;
    }
    if (changed) {
      this.niivue.volumes = over ? [volume, over] : [volume];
      this.niivue.back = volume;
      this.niivue.overlays = over ? [over] : [];
      this.look(state);
      this.niivue.updateGLVolume();
    } else {
      if (windowed) this.niivue.refreshLayers(volume, 0);
      if (styled && over) this.niivue.refreshLayers(over, 1);
      this.look(state);
      this.niivue.drawScene();
    }
    this.drawn = { state, scan, heat: over ? heat!.volume : "" };
    this.after();
  }

  private look(state: State): void {
    const { niivue } = this;
    niivue.scene.crosshairPos = ras(state.at) as unknown as typeof niivue.scene.crosshairPos;
    const half = niivue.frac2mm([0.5, 0.5, 0.5] as unknown as Parameters<Niivue["frac2mm"]>[0]) as unknown as number[];
    const wanted = niivue.frac2mm(ras(state.middle) as unknown as Parameters<Niivue["frac2mm"]>[0]) as unknown as number[];
    niivue.scene.pan2Dxyzmm = [0, 1, 2].map((axis) => half[axis]! - state.zoom * wanted[axis]!).concat(state.zoom) as unknown as typeof niivue.scene.pan2Dxyzmm;
  }
}

function planeAxes(plane: Plane): [number, number] {
  return plane === 2 ? [0, 1] : plane === 1 ? [0, 2] : [1, 2];
}

// the house counts towards left, back and head (LPS), NiiVue towards right, front and head (RAS)
function ras(point: Point): number[] {
  return [1 - point[0], 1 - point[1], point[2]];
}

function lps(frac: number[]): Point {
  return [1 - frac[0]!, 1 - frac[1]!, frac[2]!];
}

async function image(bytes: ArrayBuffer, name: string, colormap: string, low: number, high: number): Promise<NVImage> {
  return NVImage.loadFromUrl({ url: bytes as unknown as string, name: "volume.nii", colormap, cal_min: low, cal_max: high, trustCalMinMax: true }).then((made) => {
    made.name = name;
    return made;
  });
}

/** The colours of the heat over its square roots, in which it is handed over. */
function ramp(colours: string[]): { R: number[]; G: number[]; B: number[]; A: number[]; I: number[] } {
  const table = tableOf(colours);
  const I = Array.from({ length: 52 }, (_, index) => 5 * index);
  const part = (channel: number): number[] => I.map((one) => table[3 * Math.round(255 * (one / 255) ** 2) + channel]!);
  return { R: part(0), G: part(1), B: part(2), A: I.map((one) => (one ? 255 : 0)), I };
}
