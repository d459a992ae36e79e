// Volumes from the service, with what share has come; compressed unless they come from this machine.

import { readProblem, Refused, text } from "../send";
import type { Scan } from "./data";

export type Told = (share: number | null) => void;

function isHere(): boolean {
  return /^(localhost|127\.|\[::1\])/.test(location.hostname);
}

/** Where a scan's volume comes from: compressing costs more time than a loopback network takes for the whole. */
export function addressOf(scan: Scan): string {
  return isHere() ? `${scan.volume}?gzip=false` : scan.volume;
}

/** The bytes of a volume, inflated. told: what share of them has come, null where that is not known. */
export async function fetchVolume(address: string, told: Told = () => undefined): Promise<ArrayBuffer> {
  let answer: Response;
  try {
    answer = await fetch(address, { credentials: "same-origin" });
  } catch {
    throw new Refused({ status: 0, code: "no_answer", detail: text("The service did not answer. Try again; nothing was sent twice.") });
  }
  if (!answer.ok || !answer.body) throw new Refused(readProblem(answer.status, await answer.text()));
  const bytes = await gathered(answer.body, Number(answer.headers.get("Content-Length") ?? 0), told);
  const [first, second] = new Uint8Array(bytes, 0, 2);
  if (first !== 0x1f || second !== 0x8b) return bytes;
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function gathered(body: ReadableStream<Uint8Array>, length: number, told: Told): Promise<ArrayBuffer> {
  const whole = length ? new Uint8Array(length) : null;
  const parts: Uint8Array[] = [];
  const reader = body.getReader();
  let come = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (whole && come + value.length <= length) whole.set(value, come);
    else parts.push(value);
    come += value.length;
    told(length ? Math.min(1, come / length) : null);
  }
  if (whole && !parts.length && come === length) return whole.buffer;
  return new Blob([...(whole ? [whole.slice(0, come)] : []), ...parts] as BlobPart[]).arrayBuffer();
}
