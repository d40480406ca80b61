/**
 * Runs something that may not read the machine's time, wait for it, or draw a number without a seed: such a call ends
 * the run, because it could not be repeated.
 * @throws what `work` throws
 */
export function withoutRealTime<T>(work: () => T): T {
  const forbidden = (what: string) => () => {
    throw new RealTimeUsed(what);
  };
  const saved: [object, string, unknown][] = [];
  const replace = (owner: object, name: string, by: unknown) => {
    saved.push([owner, name, Reflect.get(owner, name)]);
    Reflect.set(owner, name, by);
  };
  for (const name of ['setTimeout', 'setInterval', 'setImmediate'])
    replace(globalThis, name, forbidden(name));
  replace(Date, 'now', forbidden('Date.now'));
  replace(performance, 'now', forbidden('performance.now'));
  replace(Math, 'random', forbidden('Math.random'));
  replace(globalThis, 'Date', dateWithout(Date, forbidden('new Date()')));
  try {
    return work();
  } finally {
    for (const [owner, name, value] of saved.reverse()) Reflect.set(owner, name, value);
  }
}

export class RealTimeUsed extends Error {
  override name = 'RealTimeUsed';

  constructor(what: string) {
    super(`${what} within a simulation: take the time from the clock that was given`);
  }
}

/** The same Date, but without the present time. */
const dateWithout = (real: DateConstructor, forbidden: () => void): DateConstructor =>
  new Proxy(real, {
    construct(target, values, newTarget) {
      if (values.length === 0) forbidden();
      return Reflect.construct(target, values, newTarget) as object;
    },
  });
