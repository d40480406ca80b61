/** How much capacity a load needs: a straight-line model with coefficients fitted to measured points. Pure. */

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

/** Of a prediction, relative to the measured value; 0.1 is 10 % too much. */
export const relativeError = (predicted: number, measured: number): number =>
  (predicted - measured) / measured;

/** Measured cost, per unit of work. */
export interface Coefficients {
  /** CPU seconds of a page server per render. */
  readonly cpuPerRender: number;
  /** Seconds a render holds a connection of the page's database. */
  readonly connectionPerRender: number;
  /** CPU seconds of the relay per event. */
  readonly cpuPerRelayed: number;
  /** CPU seconds of a projector per event. */
  readonly cpuPerApplied: number;
  /** Seconds to build a view with one projector. */
  readonly build: Line;
}

export interface Demand {
  readonly visitsPerDay: number;
  readonly writesPerDay: number;
  readonly sellers: number;
  /** The busiest second relative to the mean of the day. */
  readonly peak: number;
  /** How long a new build of a view may take, in seconds. */
  readonly buildSeconds: number;
}

export interface Capacity {
  readonly pageReplicas: number;
  readonly relayShards: number;
  readonly projectorReplicas: number;
  readonly partitions: number;
  /** Connections to the page's database, of page servers and projectors together. */
  readonly pageConnections: number;
}

/** The share of its core that a process may use: the rest is for bursts, garbage collection and a failed neighbour. */
const UTILISATION = 0.5;
/** One may fail while another is upgraded. */
const LEAST_PAGES = 2;
/** A projector holds two connections: one for rows, one for what must be durable. */
const PER_PROJECTOR = 2;
/** A page server receives change notifications on a connection of its own. */
const TO_BE_TOLD = 1;
/** Arrivals are bunched: the busy connections hardly ever exceed this many times their mean. */
const BUNCHES = 3;
/** The default of Kafka's topic; partitions can be added but not removed. */
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
  // All projectors share the rows of a build, but each has its own fixed cost at the start.
  const left = Math.max(1, demand.buildSeconds - Math.max(0, coefficients.build.fixed));
  const toBuild = Math.ceil((demand.sellers * coefficients.build.perUnit) / left);
  const projectorReplicas = Math.max(replicas(writes, coefficients.cpuPerApplied), toBuild);
  const poolOfOne = Math.ceil(1 + BUNCHES * (visits / pageReplicas) * coefficients.connectionPerRender);
  return {
    pageReplicas,
    relayShards: replicas(writes, coefficients.cpuPerRelayed),
    projectorReplicas,
    // Twice, so that the projectors can be doubled before the topic has to grow.
    partitions: Math.max(LEAST_PARTITIONS, projectorReplicas * 2),
    pageConnections: pageReplicas * (poolOfOne + TO_BE_TOLD) + projectorReplicas * PER_PROJECTOR,
  };
}
