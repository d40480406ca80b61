/** How much of everything a load needs: a straight-line model, its coefficients fitted to measured points. Pure. */

export interface Point {
  readonly x: number;
  readonly y: number;
}
export interface Line {
  readonly fixed: number;
  readonly perUnit: number;
}

/** Least squares. @throws Error with fewer than two different x */
export function fitLine(points: readonly Point[]): Line {
  const n = points.length;
  const mean = (of: (point: Point) => number) => points.reduce((sum, point) => sum + of(point), 0) / n;
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
  const spread = points.reduce((sum, point) => sum + (point.x - x) ** 2, 0);
  if (!(spread > 0)) throw new Error('a line needs two points that differ in x');
  const perUnit = points.reduce((sum, point) => sum + (point.x - x) * (point.y - y), 0) / spread;
  return { fixed: y - perUnit * x, perUnit };
}

export const predict = (line: Line, x: number): number => line.fixed + line.perUnit * x;

/** Of a prediction against what was measured; 0.1 is 10 % too much. */
export const relativeError = (predicted: number, measured: number): number =>
  (predicted - measured) / measured;

/** What was measured, per unit of work. */
export interface Coefficients {
  /** CPU seconds of a page server per render. */
  readonly cpuPerRender: number;
  /** Seconds a render holds a connection of the page's database. */
  readonly connectionPerRender: number;
  /** CPU seconds of the relay per event. */
  readonly cpuPerRelayed: number;
  /** CPU seconds of a projector per event. */
  readonly cpuPerApplied: number;
  /** Seconds to build a view by one projector. */
  readonly build: Line;
}

export interface Demand {
  readonly visitsPerDay: number;
  readonly writesPerDay: number;
  readonly sellers: number;
  /** Busiest second over the mean of the day. */
  readonly peak: number;
  /** How long building a view anew may take, in seconds. */
  readonly buildSeconds: number;
}

export interface Capacity {
  readonly pageReplicas: number;
  readonly relayShards: number;
  readonly projectorReplicas: number;
  readonly partitions: number;
  /** To the page's database, from page servers and projectors together. */
  readonly pageConnections: number;
}

/** Cores a process may use of the one it has: the rest is for bursts, garbage and a neighbour that fails. */
const UTILISATION = 0.5;
/** One for an outage, one for an upgrade. */
const LEAST_PAGES = 2;
/** A projector holds two connections: rows, and what must be durable. */
const PER_PROJECTOR = 2;
/** A page server is told of changes on one of its own. */
const TO_BE_TOLD = 1;
/** Arrivals come in bunches: so many times the mean number of busy connections is hardly ever exceeded. */
const BUNCHES = 3;
/** As Kafka's topic is made by default; partitions can be added, not taken away. */
const LEAST_PARTITIONS = 12;
const SECONDS_A_DAY = 86_400;

const replicas = (perSecond: number, cpuPerUnit: number) =>
  Math.max(1, Math.ceil((perSecond * cpuPerUnit) / UTILISATION));

/** @throws Error when a figure of the demand is negative or no number */
export function capacityFor(demand: Demand, coefficients: Coefficients): Capacity {
  for (const [name, value] of Object.entries(demand)) {
    if (!(value >= 0 && Number.isFinite(value)))
      throw new Error(`${name} must be a number from 0, not ${value}`);
  }
  const visits = (demand.visitsPerDay / SECONDS_A_DAY) * demand.peak;
  const writes = (demand.writesPerDay / SECONDS_A_DAY) * demand.peak;
  const pageReplicas = Math.max(LEAST_PAGES, replicas(visits, coefficients.cpuPerRender));
  // A build is shared by all projectors, what each costs at its start is not.
  const left = Math.max(1, demand.buildSeconds - Math.max(0, coefficients.build.fixed));
  const toBuild = Math.ceil((demand.sellers * coefficients.build.perUnit) / left);
  const projectorReplicas = Math.max(replicas(writes, coefficients.cpuPerApplied), toBuild);
  const poolOfOne = Math.ceil(1 + BUNCHES * (visits / pageReplicas) * coefficients.connectionPerRender);
  return {
    pageReplicas,
    relayShards: replicas(writes, coefficients.cpuPerRelayed),
    projectorReplicas,
    // Twice, so that projectors can be doubled before the topic must be.
    partitions: Math.max(LEAST_PARTITIONS, projectorReplicas * 2),
    pageConnections: pageReplicas * (poolOfOne + TO_BE_TOLD) + projectorReplicas * PER_PROJECTOR,
  };
}
