/** Least squares with a few terms, none of which may cost less than nothing. Pure. */

/** One measured value, and what each term of the model is at that point. */
export interface Sample {
  readonly terms: readonly number[];
  readonly value: number;
}

/** Of a prediction, relative to the measured value; 0.1 is 10 % too much. */
export const relativeError = (predicted: number, measured: number): number =>
  (predicted - measured) / measured;

export const predict = (coefficients: readonly number[], terms: readonly number[]): number =>
  terms.reduce((sum, term, at) => sum + term * coefficients[at]!, 0);

const errorOf = (coefficients: readonly number[], samples: readonly Sample[]) =>
  samples.reduce((sum, { terms, value }) => sum + relativeError(predict(coefficients, terms), value) ** 2, 0);

/**
 * The coefficients with the least sum of squares of relative errors: a point with a small value counts as much as one
 * with a large value. None is negative, because no work has a negative cost; with so few terms, every choice of those
 * that are not zero can be tried.
 * @throws Error with fewer samples than terms, or a value that is not above zero
 */
export function leastSquares(samples: readonly Sample[]): { coefficients: number[]; error: number } {
  const count = samples[0]?.terms.length ?? 0;
  if (samples.length < Math.max(1, count)) throw new Error(`${count} terms need as many points to be fitted`);
  if (samples.some(({ value }) => !(value > 0))) throw new Error('a value to be fitted is above zero');
  let best = { coefficients: Array.from({ length: count }, () => 0), error: samples.length };
  for (let chosen = 1; chosen < 2 ** count; chosen++) {
    const terms = Array.from({ length: count }, (_, at) => at).filter((at) => (chosen >> at) & 1);
    const solved = solve(normalEquations(samples, terms));
    if (solved === null || solved.some((one) => one < 0)) continue;
    const coefficients = best.coefficients.map(() => 0);
    terms.forEach((term, at) => {
      coefficients[term] = solved[at]!;
    });
    const error = errorOf(coefficients, samples);
    // A term that explains nothing is left out.
    if (error < best.error * (1 - 1e-9)) best = { coefficients, error };
  }
  return best;
}

/** Rows of the weighted normal equations, the right side last. */
function normalEquations(samples: readonly Sample[], chosen: readonly number[]): number[][] {
  return chosen.map((row) => [
    ...chosen.map((column) =>
      samples.reduce((sum, { terms, value }) => sum + (terms[row]! * terms[column]!) / value ** 2, 0),
    ),
    samples.reduce((sum, { terms, value }) => sum + terms[row]! / value, 0),
  ]);
}

/** Gauss's elimination with pivots; null when the equations do not tell the terms apart. */
function solve(equations: readonly (readonly number[])[]): number[] | null {
  const rows = equations.map((row) => {
    // Terms differ by orders of magnitude.
    const largest = Math.max(...row.slice(0, -1).map(Math.abs));
    return row.map((one) => one / (largest || 1));
  });
  const size = rows.length;
  for (let at = 0; at < size; at++) {
    let pivot = at;
    for (let row = at + 1; row < size; row++) {
      if (Math.abs(rows[row]![at]!) > Math.abs(rows[pivot]![at]!)) pivot = row;
    }
    if (Math.abs(rows[pivot]![at]!) < 1e-12) return null;
    [rows[at], rows[pivot]] = [rows[pivot]!, rows[at]!];
    for (let row = 0; row < size; row++) {
      if (row === at) continue;
      const factor = rows[row]![at]! / rows[at]![at]!;
      for (let column = at; column <= size; column++) rows[row]![column]! -= factor * rows[at]![column]!;
    }
  }
  return rows.map((row, at) => row[size]! / row[at]!);
}

/** The best fit over some values of what cannot be fitted linearly: a time, say. */
export function fitOver<T>(
  candidates: readonly T[],
  samplesOf: (candidate: T) => readonly Sample[],
): { candidate: T; coefficients: number[] } {
  const fits = candidates.map((candidate) => ({ candidate, ...leastSquares(samplesOf(candidate)) }));
  return fits.reduce((best, one) => (one.error < best.error ? one : best));
}
