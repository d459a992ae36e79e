// What an answer means at a prevalence: the formula of insula.metrics.prevalence, which a test holds it against.

export type Ends = [value: number, low: number, high: number];

export interface AtPrevalence {
  ppv: Ends;
  npv: Ends;
  alerts: Ends;
}

/** Bayes' rule: share of true among positive answers; NaN where no answer is positive. */
function ppv(sensitivity: number, specificity: number, prevalence: number): number {
  const right = sensitivity * prevalence;
  const wrong = (1 - specificity) * (1 - prevalence);
  return right + wrong > 0 ? right / (right + wrong) : NaN;
}

function npv(sensitivity: number, specificity: number, prevalence: number): number {
  return ppv(specificity, sensitivity, 1 - prevalence);
}

/** Positive answers among 1,000 patients. */
function alerts(sensitivity: number, specificity: number, prevalence: number): number {
  return 1000 * (sensitivity * prevalence + (1 - specificity) * (1 - prevalence));
}

/** Intervals put both figures at their lower ends, then both at their upper ones; alerts fall with specificity. */
export function atPrevalence(sensitivity: Ends, specificity: Ends, prevalence: number): AtPrevalence {
  const [se, seLow, seHigh] = sensitivity;
  const [sp, spLow, spHigh] = specificity;
  return {
    ppv: known([ppv(se, sp, prevalence), ppv(seLow, spLow, prevalence), ppv(seHigh, spHigh, prevalence)]),
    npv: known([npv(se, sp, prevalence), npv(seLow, spLow, prevalence), npv(seHigh, spHigh, prevalence)]),
    alerts: [alerts(se, sp, prevalence), alerts(seLow, spHigh, prevalence), alerts(seHigh, spLow, prevalence)],
  };
}

function known(ends: Ends): Ends {
  return Number.isFinite(ends[0]) ? ends : [ends[0], NaN, NaN];
}

/** A share in percent; what is not all or nothing is never said so. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return "–";
  let said = (100 * share).toFixed(1);
  if (share > 0 && share < 1 && (said === "0.0" || said === "100.0")) said = (100 * Math.min(Math.max(share, 1e-4), 1 - 1e-4)).toFixed(2);
  return `${said}%`;
}

const LEAST = Math.log10(0.001);
const MOST = Math.log10(0.9);
const STEPS = 200;

/** The prevalence at a place of the slider, 0 to 200, on a scale of equal ratios from 0.1% to 90%. */
export function prevalenceAt(place: number): number {
  return 10 ** (LEAST + ((MOST - LEAST) * place) / STEPS);
}

export function placeOf(prevalence: number): number {
  return Math.round((STEPS * (Math.log10(prevalence) - LEAST)) / (MOST - LEAST));
}
