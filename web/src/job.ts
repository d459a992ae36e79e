// A job's progress, as it happens.

export interface Job {
  id: string;
  state: string;
  progress: number;
  step: string;
  error: { message?: string } | null;
}

/** again: the connection broke off and the browser connects anew; lost: it was refused, and does not. */
export interface Heard {
  progress: (job: Job) => void;
  end: (job: Job) => void;
  again?: () => void;
  lost: () => void;
}

export function follow(id: string, heard: Heard): void {
  const events = new EventSource(`/api/v1/jobs/${id}/events`);
  const job = (event: Event): Job => JSON.parse((event as MessageEvent<string>).data) as Job;
  events.addEventListener("progress", (event) => heard.progress(job(event)));
  events.addEventListener("end", (event) => {
    events.close();
    heard.end(job(event));
  });
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) heard.lost();
    else heard.again?.();
  });
}
