/**
 * How much capacity a load needs. Work costs something for each round (a batch, however small), for each event in it
 * and for each client in its list, and a process costs something while nothing happens. Pure.
 */
import { predict } from './least-squares.ts';
import type { Process } from './results.ts';

/** A steady load on the pipeline. */
export interface Load {
  /** Events. */
  readonly perSecond: number;
  /** Page databases on the topic. */
  readonly pages: number;
  readonly shards: number;
  /** In each list. */
  readonly clients: number;
  /** Of each page; 1 when absent. */
  readonly projectors?: number;
}

/** How long a round keeps others waiting, in seconds; what comes meanwhile is in the next one. */
export interface RoundTimes {
  readonly relay: number;
  readonly projector: number;
}

/**
 * Rounds a second. The first event after a round begins the next one; those that come while it lasts share the one
 * after. So there is a round for each event while they are rare, and at most one each `roundSeconds`. (The rate of a
 * counter with a dead time.)
 */
export const roundsAt = (perSecond: number, roundSeconds: number): number =>
  perSecond / (1 + perSecond * roundSeconds);

export const relayRounds = ({ perSecond, shards }: Load, { relay }: RoundTimes) =>
  shards * roundsAt(perSecond / shards, relay);
export const projectorRounds = ({ perSecond, pages, projectors = 1 }: Load, { projector }: RoundTimes) =>
  pages * projectors * roundsAt(perSecond / projectors, projector);

/** What each coefficient of a process is a price of. */
export const TERMS: Readonly<
  Record<
    Process,
    readonly { readonly name: string; readonly of: (load: Load, times: RoundTimes) => number }[]
  >
> = {
  relay: [
    { name: 'a shard, for a second', of: ({ shards }) => shards },
    { name: 'a round', of: relayRounds },
    { name: 'an event', of: ({ perSecond }) => perSecond },
    { name: 'a client of its list', of: ({ perSecond, clients }) => perSecond * clients },
  ],
  projectors: [
    { name: 'a projector, for a second', of: ({ pages, projectors = 1 }) => pages * projectors },
    { name: 'a round', of: projectorRounds },
    { name: 'an event', of: ({ perSecond, pages }) => perSecond * pages },
    { name: 'a client of its list', of: ({ perSecond, pages, clients }) => perSecond * pages * clients },
  ],
  kafka: [
    { name: 'the broker, for a second', of: () => 1 },
    { name: 'a projector, for a second', of: ({ pages, projectors = 1 }) => pages * projectors },
    { name: 'a round of the relay', of: relayRounds },
    { name: 'a round of a projector', of: projectorRounds },
    { name: 'an event', of: ({ perSecond }) => perSecond },
    { name: 'a client of its list', of: ({ perSecond, clients }) => perSecond * clients },
  ],
  source: [
    { name: 'a shard, for a second', of: ({ shards }) => shards },
    { name: 'a round of the relay', of: relayRounds },
    { name: 'an event, its write included', of: ({ perSecond }) => perSecond },
    { name: 'a client of its list', of: ({ perSecond, clients }) => perSecond * clients },
  ],
  pages: [
    // And somebody who looks for the rows that were written, as the bench does.
    { name: 'the server, for a second', of: () => 1 },
    { name: 'a projector, for a second', of: ({ pages, projectors = 1 }) => pages * projectors },
    { name: 'a round', of: projectorRounds },
    { name: 'an event', of: ({ perSecond, pages }) => perSecond * pages },
    { name: 'a client of its list', of: ({ perSecond, pages, clients }) => perSecond * pages * clients },
  ],
};

export const termsOf = (process: Process, load: Load, times: RoundTimes): number[] =>
  TERMS[process].map(({ of }) => of(load, times));

/** A view that is built from the topic: what a process does first it does in code that is not compiled yet. */
export interface Building {
  /** Seconds before the first row. */
  readonly start: number;
  readonly perSeller: number;
  /** What code that is still being compiled adds, in all. */
  readonly warming: number;
  /** After about so many sellers, most of that is over. */
  readonly warmAfter: number;
}

export const buildingTerms = (sellers: number, warmAfter: number): number[] => [
  1,
  sellers,
  1 - Math.exp(-sellers / warmAfter),
];
export const buildingCost = ({ start, perSeller, warming, warmAfter }: Building, sellers: number): number =>
  predict([start, perSeller, warming], buildingTerms(sellers, warmAfter));

/** A page server: for a second, for a round of the event loop, for a render. */
export interface Serving {
  readonly coefficients: readonly number[];
  readonly roundSeconds: number;
}

export const servingTerms = (perSecond: number, roundSeconds: number): number[] => [
  1,
  roundsAt(perSecond, roundSeconds),
  perSecond,
];
export const servingCores = ({ coefficients, roundSeconds }: Serving, perSecond: number): number =>
  predict(coefficients, servingTerms(perSecond, roundSeconds));

/** All that is fitted to measurements. */
export interface Model {
  readonly times: RoundTimes;
  /** CPU seconds, one for each of `TERMS`. */
  readonly cpu: Readonly<Record<Process, readonly number[]>>;
  readonly page: Serving;
  /** Of the page's database, for renders. */
  readonly pageDatabase: Serving;
  /** Seconds a render holds a connection of the page's database. */
  readonly connectionPerRender: number;
  /** Seconds until a view is built by one projector, and CPU seconds of that projector. */
  readonly build: Building;
  readonly buildCpu: Building;
}

export const coresOf = (process: Process, load: Load, { cpu, times }: Model): number =>
  predict(cpu[process], termsOf(process, load, times));

export interface Demand {
  readonly visitsPerDay: number;
  readonly writesPerDay: number;
  readonly sellers: number;
  /** In a list, in the mean. */
  readonly clients: number;
  /** The busiest second relative to the mean of the day. */
  readonly peak: number;
  /** How long a new build of a view may take, in seconds. */
  readonly buildSeconds: number;
}

/** For one page. */
export interface Capacity {
  readonly pageReplicas: number;
  readonly relayShards: number;
  readonly projectorReplicas: number;
  readonly partitions: number;
  /** Connections to the page's database, of page servers and projectors together. */
  readonly pageConnections: number;
  /** Cores at work in the busiest second. */
  readonly kafkaCores: number;
  readonly sourceDatabaseCores: number;
  readonly pageDatabaseCores: number;
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

/** The least number of processes of which each keeps within its share. @param coresAt of one, at its part of the rate */
function replicas(perSecond: number, coresAt: (perSecond: number) => number): number {
  if (coresAt(0) >= UTILISATION) throw new Error('a process that does nothing takes more than its share');
  let enough = 1;
  while (coresAt(perSecond / enough) > UTILISATION) enough *= 2;
  let tooFew = Math.floor(enough / 2);
  while (enough - tooFew > 1) {
    const middle = Math.floor((enough + tooFew) / 2);
    if (coresAt(perSecond / middle) > UTILISATION) tooFew = middle;
    else enough = middle;
  }
  return enough;
}

/** @throws Error when a figure of the demand is negative or no number */
export function capacityFor(demand: Demand, model: Model): Capacity {
  for (const [name, value] of Object.entries(demand)) {
    if (!(value >= 0 && Number.isFinite(value)))
      throw new Error(`${name} must be a number from 0, not ${value}`);
  }
  const { clients } = demand;
  const visits = (demand.visitsPerDay / SECONDS_A_DAY) * demand.peak;
  const writes = (demand.writesPerDay / SECONDS_A_DAY) * demand.peak;
  const one = (perSecond: number): Load => ({ perSecond, clients, pages: 1, shards: 1 });
  const pageReplicas = Math.max(
    LEAST_PAGES,
    replicas(visits, (rate) => servingCores(model.page, rate)),
  );
  const relayShards = replicas(writes, (rate) => coresOf('relay', one(rate), model));
  // All projectors share the rows of a build, but each starts, and is cold, by itself.
  const { start, warming, perSeller } = model.build;
  const left = Math.max(1, demand.buildSeconds - start - warming);
  const projectorReplicas = Math.max(
    replicas(writes, (rate) => coresOf('projectors', one(rate), model)),
    Math.ceil((demand.sellers * perSeller) / left),
  );
  const poolOfOne = Math.ceil(1 + BUNCHES * (visits / pageReplicas) * model.connectionPerRender);
  const load: Load = { ...one(writes), shards: relayShards, projectors: projectorReplicas };
  return {
    pageReplicas,
    relayShards,
    projectorReplicas,
    // Twice, so that the projectors can be doubled before the topic has to grow.
    partitions: Math.max(LEAST_PARTITIONS, projectorReplicas * 2),
    pageConnections: pageReplicas * (poolOfOne + TO_BE_TOLD) + projectorReplicas * PER_PROJECTOR,
    kafkaCores: coresOf('kafka', load, model),
    sourceDatabaseCores: coresOf('source', load, model),
    pageDatabaseCores: coresOf('pages', load, model) + servingCores(model.pageDatabase, visits),
  };
}
