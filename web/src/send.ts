// Requests to this service's API: the session's token is shown, errors come as problem details (RFC 9457).

export interface Problem {
  status: number;
  code: string;
  detail: string;
}

export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export function csrf(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csrf"]')?.content ?? "";
}

/** The answer of one request; throws Refused for anything but success, and when no answer came. */
export async function send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  try {
    return await sendOnce(method, path, body, headers);
  } catch (error) {
    // the reader has logged in again in another tab: the page's token is that of the session before
    if (!(error instanceof Refused) || error.problem.code !== "csrf") throw error;
    await renew();
    return sendOnce(method, path, body, headers);
  }
}

/** Whether a refusal says that nobody is logged in any more, on a page that was made for somebody who was. */
export function hasEnded(problem: Problem): boolean {
  return problem.code === "session_ended" || (problem.code === "unauthorised" && reader() !== "");
}

function reader(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="reader"]')?.content ?? "";
}

export async function renew(): Promise<void> {
  const me = (await (await sendOnce("GET", "/api/v1/session")).json()) as { id: string; csrf: string | null };
  const detail = text("Somebody else has logged in in this browser meanwhile; nothing was sent. Load this page again before you go on.");
  if (me.id !== reader()) throw new Refused({ status: 403, code: "other_reader", detail });
  document.querySelector<HTMLMetaElement>('meta[name="csrf"]')!.content = me.csrf ?? "";
}

async function sendOnce(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const sent: Record<string, string> = { Accept: "application/json", ...headers };
  if (method !== "GET") sent["X-CSRF-Token"] = csrf();
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(path, { method, headers: sent, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin" });
  } catch {
    throw new Refused({ status: 0, code: "no_answer", detail: text("The service did not answer. Try again; nothing was sent twice.") });
  }
  if (answer.ok) return answer;
  throw new Refused(await problemOf(answer));
}

/** The JSON of one request; `undefined` where the answer has no body. */
export async function ask<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const answer = await send(method, path, body, headers);
  const written = await answer.text();
  return (written ? JSON.parse(written) : undefined) as T;
}

async function problemOf(answer: Response): Promise<Problem> {
  return readProblem(answer.status, await answer.text());
}

export function readProblem(status: number, written: string): Problem {
  try {
    const found = JSON.parse(written) as Partial<Problem> & { error?: { code?: string; message?: string } };
    return {
      status,
      code: found.code ?? found.error?.code ?? "http",
      detail: found.detail ?? found.error?.message ?? `HTTP ${status}`,
    };
  } catch {
    return { status, code: "http", detail: `HTTP ${status}` };
  }
}

/** The reader's sentence for an English one, from the data blocks `<script type="application/json" class="texts">`. */
export function text(english: string, values: Record<string, string | number> = {}): string {
  known ??= Object.assign({}, ...[...document.querySelectorAll("script.texts")].map((one) => JSON.parse(one.textContent ?? "{}") as object)) as Record<string, string>;
  return (known[english] ?? english).replace(/%\((\w+)\)s/g, (whole, name: string) => String(values[name] ?? whole));
}
let known: Record<string, string> | undefined;
