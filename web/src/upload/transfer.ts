// One case's request, with the progress of what is sent (which fetch does not tell), and its refusals by file.

import { isOnePerson } from "../person";
import { csrf, type Problem, readProblem, Refused, renew, text } from "../send";

export interface FileProblem extends Problem {
  role?: string; // where one file is to blame: the input that it was sent for,
  file?: number; // and its place among the files of that input, from 1
}

export interface Study {
  id: string;
}

export interface Transfer {
  done: Promise<Study>;
  stop: () => void;
}

export class Stopped extends Error {}

/** sent: told the share of the request that is sent, 0 to 1; at 1 the service reads the scans. */
export function transfer(form: FormData, key: string, sent: (share: number) => void): Transfer {
  let now: XMLHttpRequest | undefined;
  let stopped = false;
  const once = (same = false): Promise<Study> =>
    new Promise((done, failed) => {
      if (stopped) return failed(new Stopped());
      const request = (now = new XMLHttpRequest());
      request.open("POST", `/api/v1/studies${same ? "?same_patient=true" : ""}`);
      request.setRequestHeader("Accept", "application/json");
      request.setRequestHeader("X-CSRF-Token", csrf());
      request.setRequestHeader("Idempotency-Key", key);
      request.upload.addEventListener("progress", (news) => sent(news.lengthComputable && news.total ? news.loaded / news.total : 0));
      request.upload.addEventListener("load", () => sent(1));
      request.addEventListener("load", () => {
        if (request.status >= 200 && request.status < 300) done(JSON.parse(request.responseText) as Study);
        else failed(new Refused(problemOf(request)));
      });
      const detail = text("The connection broke off. Try again; nothing is sent twice.");
      request.addEventListener("error", () => failed(new Refused({ status: 0, code: "no_answer", detail })));
      request.addEventListener("abort", () => failed(new Stopped()));
      request.send(form);
    });
  const done = once().catch(async (error: unknown) => {
    if (!(error instanceof Refused)) throw error;
    if (isOnePerson(error.problem)) return once(true);
    // logged in again in another tab: the page's token is that of the session before
    if (error.problem.code !== "csrf") throw error;
    await renew();
    return once();
  });
  return {
    done,
    stop: () => {
      stopped = true;
      now?.abort();
    },
  };
}

function problemOf(request: XMLHttpRequest): FileProblem {
  const found = readProblem(request.status, request.responseText);
  try {
    const { role, file } = JSON.parse(request.responseText) as { role?: unknown; file?: unknown };
    if (typeof role === "string" && typeof file === "number") return { ...found, role, file };
  } catch {
    // no JSON: readProblem has said what there is to say
  }
  return found;
}

/** A key that nobody else has; `crypto.randomUUID` is not there on plain http of another machine. */
export function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");
}
