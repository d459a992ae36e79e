// Scans whose headers name another patient than the key's: nothing is kept before somebody says that it is one person.

import { type Problem, text } from "./send";

/** Whether a refusal is about headers that name another patient, and the reader says that it is one person. */
export function isOnePerson(problem: Problem): boolean {
  const question = text("Is it one person all the same? Then the scans are kept together.");
  return problem.code === "another_patient" && window.confirm(`${problem.detail}\n\n${question}`);
}
