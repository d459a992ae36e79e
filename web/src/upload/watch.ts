// Predictions of sent cases: asked for, and their progress as it happens. A browser holds few streams to one host open
// at once, and uploads need some, so at most two are; the others wait, as their jobs do.

import { follow, type Job } from "../job";
import { ask, Refused, text } from "../send";

export type Told = (words: string, kind: "" | "good" | "bad") => void;

const MOST = 2;
const waiting: (() => void)[] = [];
let open = 0;

export async function predict(study: string, model: string, key: string, told: Told): Promise<void> {
  told(text("Kept. Asking for a prediction."), "");
  let job: Job;
  try {
    const body = model ? { model } : {};
    job = await ask<Job>("POST", `/api/v1/studies/${study}/predictions`, body, { "Idempotency-Key": key });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return told(text("Kept. No prediction was begun: %(why)s", { why: error.problem.detail }), "bad");
  }
  told(text("Kept. The prediction waits for its turn."), "");
  if (open >= MOST) await new Promise<void>((go) => waiting.push(go));
  open++;
  await watched(job.id, told);
  open--;
  waiting.shift()?.();
}

function watched(id: string, told: Told): Promise<void> {
  return new Promise((over) => {
    follow(id, {
      progress: ({ state, progress, step }) => {
        if (state === "waiting") return told(text("Kept. The prediction waits for its turn."), "");
        told(text("Kept. Predicting: %(percent)s% %(step)s", { percent: Math.round(100 * progress), step: text(step) }), "");
      },
      end: ({ state, error }) => {
        if (state === "done") told(text("Kept. The answer is there."), "good");
        else if (state === "cancelled") told(text("Kept. The prediction was cancelled."), "");
        else told(text("Kept. The prediction failed: %(why)s", { why: error?.message ?? state }), "bad");
        over();
      },
      lost: () => {
        told(text("Kept. How far the prediction is cannot be seen just now; the worklist tells."), "");
        over();
      },
    });
  });
}
