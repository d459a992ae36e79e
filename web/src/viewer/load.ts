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
  const bytes = await sent(address, told);
  const [first, second] = new Uint8Array(bytes, 0, Math.min(2, bytes.byteLength));
  if (first !== 0x1f || second !== 0x8b) return bytes;
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** By XMLHttpRequest, which says how much has come and gives the whole without putting it together anew. */
function sent(address: string, told: Told): Promise<ArrayBuffer> {
  return new Promise((whole, refused) => {
    const asked = new XMLHttpRequest();
    asked.open("GET", address);
    asked.responseType = "arraybuffer";
    asked.addEventListener("progress", (event) => told(event.lengthComputable ? event.loaded / event.total : null));
    asked.addEventListener("load", () => {
      const bytes = asked.response as ArrayBuffer;
      if (asked.status === 200) whole(bytes);
      else refused(new Refused(readProblem(asked.status, new TextDecoder().decode(bytes))));
    });
    asked.addEventListener("error", () => refused(new Refused({ status: 0, code: "no_answer", detail: text("The service did not answer. Try again; nothing was sent twice.") })));
    asked.send();
  });
}
