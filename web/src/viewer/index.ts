// The viewer of a case: the service's pictures at once, slices painted here as soon as the volume has come, and three
// planes by NiiVue when they are asked for.

import { text } from "../send";
import { heatShown, type Layout, type Scan, type State, type Tool, type ViewerData } from "./data";
import { armHeat, firstHeat } from "./heat";
import { armKeys } from "./keys";
import { addressOf, fetchVolume } from "./load";
import { drawMarks, type Frame } from "./marks";
import type { Measured } from "./measure";
import { firstLook, goTo } from "./moves";
import { PictureStage } from "./pictures";
import type { PlaneStage } from "./planes";
import { armPointer } from "./pointer";
import { SliceStage } from "./slices";
import type { Stage } from "./stage";
import { Store } from "./store";
import { Teller } from "./tell";
import { armThumbs } from "./thumbs";
import { armWindows, firstWindow } from "./windows";

/** Bring the viewer within an element to life; a page without one is left alone. */
export function mount(element: ParentNode): void {
  const viewer = element.querySelector<HTMLElement>("#viewer");
  const written = document.getElementById("viewer-data")?.textContent;
  if (viewer && written) new Viewer(viewer, JSON.parse(written) as ViewerData);
}

class Viewer {
  private readonly store: Store;
  private readonly box: HTMLElement;
  private readonly image: HTMLImageElement;
  private readonly canvases: Record<"slices" | "planes", HTMLCanvasElement>;
  private readonly pictures: PictureStage;
  private readonly slices: SliceStage;
  private readonly teller: Teller;
  private planes: Promise<PlaneStage> | null = null;
  private stage: Stage;
  private readonly fetching = new Set<string>();
  private measured: Measured[] = [];
  private drawing: Measured | null = null;

  constructor(private readonly viewer: HTMLElement, private readonly data: ViewerData) {
    this.box = this.find(".viewer-stage");
    this.image = this.find(".viewer-picture");
    this.canvases = { slices: this.find('[data-canvas="slices"]'), planes: this.find('[data-canvas="planes"]') };
    this.teller = new Teller(viewer);
    const scan = data.scans[data.first]!;
    this.store = new Store({ ...firstLook(scan), scan: data.first, window: firstWindow(scan), heat: firstHeat(scan), layout: "axial", tool: "pan" });
    this.image.dataset["address"] = this.image.getAttribute("src") ?? "";
    this.pictures = new PictureStage(data, this.box, this.image, (words) => this.teller.wait(words), () => this.drawn(this.pictures));
    this.slices = new SliceStage(this.box, this.canvases.slices, data.colours, () => this.drawn(this.slices));
    this.stage = this.pictures;
    this.arm();
    this.store.listen((now, before) => this.changed(now, before));
    this.use(this.pictures);
    void this.want(scan);
  }

  private find<T extends Element>(name: string): T {
    return this.viewer.querySelector<T>(name)!;
  }

  private scanOf = (state: State): Scan => this.data.scans[state.scan]!;

  private get scan(): Scan {
    return this.scanOf(this.store.now);
  }

  /** The volume of a scan; from then on the page paints its slices itself. */
  private async want(scan: Scan): Promise<void> {
    if (scan.fault || this.slices.bytesOf(scan) || this.fetching.has(scan.name)) return this.best();
    this.fetching.add(scan.name);
    const told = (share: number | null): void => {
      if (this.scan === scan) this.teller.wait(share === null ? text("Loading the scan") : text("Loading the scan, %(percent)s%", { percent: Math.round(100 * share) }));
    };
    told(null);
    try {
      this.slices.take(scan, await fetchVolume(addressOf(scan), told));
      if (this.scan === scan) this.teller.wait("");
    } catch (error) {
      if (this.scan === scan) this.without(text("The volume could not be shown (%(reason)s); slices come from the service as pictures.", { reason: (error as Error).message }));
    } finally {
      this.fetching.delete(scan.name);
    }
    this.best();
  }

  /** Show what is best of what is there. */
  private best(): void {
    const there = !!this.slices.bytesOf(this.scan);
    this.find<HTMLButtonElement>('[data-layout="planes"]').disabled = !there || !this.scan.axial || this.scan.slices < 2;
    if (there && this.store.now.layout === "planes") void this.wantPlanes(this.scan);
    else this.use(there ? this.slices : this.pictures);
    void this.wantHeat();
  }

  /** NiiVue is fetched when three planes are asked for the first time. */
  private async wantPlanes(scan: Scan): Promise<void> {
    this.viewer.dataset["state"] = "waiting";
    this.teller.wait(text("Preparing the picture"));
    try {
      const stage = await (this.planes ??= this.open());
      if (!stage.has(scan)) await stage.take(scan, this.slices.bytesOf(scan)!);
      const heat = heatShown(this.store.now, scan);
      const bytes = heat && this.slices.heatOf(heat);
      if (heat && bytes && !stage.hasHeat(heat.volume)) await stage.takeHeat(heat.volume, bytes, heat.top);
      if (this.scan === scan && this.store.now.layout === "planes") this.use(stage);
    } catch (error) {
      this.planes = null;
      this.without(text("Three planes need WebGL, which is not available here (%(reason)s).", { reason: (error as Error).message }));
      this.store.set({ layout: "axial" });
    }
    this.teller.wait("");
  }

  private async open(): Promise<PlaneStage> {
    const { PlaneStage: Made } = await import("./planes");
    this.canvases.planes.hidden = false; // it has no size while it is hidden
    const stage: PlaneStage = await Made.open(this.canvases.planes, this.data.colours, () => this.drawn(stage));
    return stage;
  }

  private async wantHeat(): Promise<void> {
    const heat = heatShown(this.store.now, this.scan);
    if (!heat || this.stage.kind === "pictures" || this.fetching.has(heat.volume)) return;
    if (!this.slices.heatOf(heat)) {
      this.fetching.add(heat.volume);
      this.teller.wait(text("Loading the heat"));
      try {
        this.slices.takeHeat(heat, await fetchVolume(heat.volume));
        this.teller.wait("");
      } catch (error) {
        return this.teller.wait(text("The heat did not come: %(reason)s", { reason: (error as Error).message }));
      } finally {
        this.fetching.delete(heat.volume);
      }
    }
    if (this.store.now.layout === "planes") return this.wantPlanes(this.scan);
    this.show(this.store.now);
  }

  private without(words: string): void {
    this.teller.notes([...this.scan.warnings, words]);
    this.teller.wait("");
  }

  private use(stage: Stage): void {
    this.stage = stage;
    this.viewer.dataset["state"] = "waiting";
    this.canvases.slices.hidden = stage.kind === "planes";
    if (stage.kind === "pictures") this.swap(stage); // what it shows comes by itself; the old picture is not this scan
    this.show(this.store.now);
  }

  /** One of picture and canvases is seen; never none. */
  private swap(stage: Stage): void {
    this.image.hidden = stage.kind !== "pictures";
    for (const [kind, canvas] of Object.entries(this.canvases)) canvas.classList.toggle("behind", kind !== stage.kind);
  }

  private drawn(stage: Stage): void {
    if (stage !== this.stage) return;
    this.swap(stage);
    const going = stage.kind === "pictures" && this.fetching.has(this.scan.name);
    this.viewer.dataset["state"] = going ? "waiting" : "ready";
    this.teller.show(this.store.now, this.scan, stage); // how many slices each plane has is known now
    this.marks();
  }

  private changed(now: State, before: State): void {
    if (now.scan !== before.scan) {
      this.teller.notes(this.scan.warnings);
      void this.want(this.scan);
    } else if (now.layout !== before.layout) this.best();
    else this.show(now);
    if (now.heat !== before.heat) void this.wantHeat();
  }

  private show(state: State): void {
    this.stage.draw(state, this.scanOf(state));
    this.teller.show(state, this.scanOf(state), this.stage);
    this.marks();
  }

  private marks(): void {
    const whole: Frame = { plane: 2, left: 0, top: 0, width: this.box.clientWidth, height: this.box.clientHeight };
    const frames = "frames" in this.stage ? (this.stage as PlaneStage).frames() : [whole];
    const all = this.drawing ? [...this.measured, this.drawing] : this.measured;
    drawMarks(this.find(".viewer-marks"), frames, this.stage, this.store.now, this.scan, all);
  }

  private choose(scan: number): void {
    const next = this.data.scans[scan];
    if (!next || scan === this.store.now.scan) return;
    const layout = next.axial ? this.store.now.layout : "axial";
    this.store.set({ ...firstLook(next), scan, layout, window: firstWindow(next), heat: firstHeat(next, this.store.now.heat) });
  }

  private arm(): void {
    const { viewer, store } = this;
    armWindows(viewer, store, this.scanOf);
    armHeat(viewer, store, this.scanOf);
    armThumbs(viewer, this.data, store, this.scanOf);
    this.teller.notes(this.scan.warnings);
    const help = this.find<HTMLDialogElement>("dialog");
    const reset = (): void => store.set({ ...firstLook(this.scan), window: firstWindow(this.scan), heat: firstHeat(this.scan), layout: "axial", tool: "pan" });
    const layout = (wanted?: Layout): void => {
      if (!this.find<HTMLButtonElement>('[data-layout="planes"]').disabled) store.set({ layout: wanted ?? (store.now.layout === "axial" ? "planes" : "axial") });
    };
    const clear = (): void => {
      if (this.measured.length) this.teller.say(text("Measurements removed."));
      this.measured = [];
      this.marks();
    };
    viewer.addEventListener("click", (event) => {
      const button = (event.target as Element).closest<HTMLButtonElement>("button");
      const told = button?.dataset ?? {};
      if (told["tool"]) store.set({ tool: told["tool"] as Tool });
      else if (told["layout"]) layout(told["layout"] as Layout);
      else if (told["scan"]) this.choose(Number(told["scan"]));
      else if (told["do"] === "reset") reset();
      else if (told["do"] === "help") help.showModal();
      else if (told["do"] === "close") help.close();
      if (told["tool"] === "measure") this.teller.say(text("Drag over the picture to measure; Escape removes what was measured."));
    });
    viewer.addEventListener("input", (event) => {
      const slider = event.target as HTMLInputElement;
      if (slider.dataset["plane"]) goTo(store, Number(slider.dataset["plane"]) as 0 | 1 | 2, slider.valueAsNumber, Number(slider.max));
    });
    armPointer(this.box, store, {
      stage: () => this.stage,
      scan: () => this.scan,
      over: (hit) => this.teller.over(hit, this.stage, this.scan),
      drawing: (one) => {
        this.drawing = one;
        this.marks();
      },
      drawn: (one) => {
        this.measured.push(one);
        this.teller.say(text("Measured: %(length)s.", { length: one.said }));
        this.marks();
      },
    });
    armKeys(viewer, this.box, store, {
      stage: () => this.stage,
      scan: () => this.scan,
      reset,
      clear,
      help: () => help.showModal(),
      nextScan: () => this.choose((store.now.scan + 1) % this.data.scans.length),
      layout: () => layout(),
    });
    // anything on the page that names a slice may show it: <button data-viewer-slice="12">
    document.addEventListener("click", (event) => {
      const number = Number((event.target as Element).closest<HTMLElement>("[data-viewer-slice]")?.dataset["viewerSlice"] ?? NaN);
      if (Number.isInteger(number)) goTo(store, 2, number, this.scan.slices);
    });
    new ResizeObserver(() => this.show(this.store.now)).observe(this.box);
  }
}
