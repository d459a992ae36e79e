// Probabilities as the pages write them (serve/web/filters.py): what rounds to 0 or 1 and is neither is said so.

export function share(value: number): string {
  if (value > 0 && value < 0.005) return "<0.01";
  if (value >= 0.995 && value < 1) return ">0.99";
  return value.toFixed(2);
}
