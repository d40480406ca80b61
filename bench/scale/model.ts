/**
 * How much capacity a load needs. Work costs something each time that a process wakes up for it, for each event and for
 * each client in its list, and a process costs something while nothing happens. Pure.
 */
import { RANGES } from '#contracts/ranges.ts';
import { IDLE, SLEEP } from '../../services/outbox-relay/shard.ts';
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

/** How long a round of one event keeps others waiting, in seconds; what comes meanwhile is in the next one. */
export interface RoundTimes {
  readonly relay: number;
  readonly projector: number;
}
/** A relay's round is longer by so much for each further event in it, up to the longest: `restAfter`. */
const LONGER_BY_AN_EVENT = 0.001;
const LONGEST_ROUND = RANGES.relay.roundMs.default / 1_000;

/**
 * Rounds a second. The first event after a round begins the next one; those that come while it lasts share the one
 * after. So there is a round for each event while they are rare, and at most one each `roundSeconds`. (The rate of a
 * counter with a dead time.)
 */
export const roundsAt = (perSecond: number, roundSeconds: number): number =>
  perSecond / (1 + perSecond * roundSeconds);

export function relayRounds({ perSecond, shards }: Load, { relay }: RoundTimes): number {
  const each = perSecond / shards;
  // A round of n events lasts `relay` + (n - 1) * LONGER_BY_AN_EVENT, in which n - 1 events come.
  const growth = 1 - each * LONGER_BY_AN_EVENT;
  const lasts = growth > 0 ? Math.min(LONGEST_ROUND, relay / growth) : LONGEST_ROUND;
  return shards * roundsAt(each, Math.max(relay, lasts));
}

/** A projector's round begins with what a round of the relay has for its partitions. */
export function projectorRounds(load: Load, times: RoundTimes): number {
  const { perSecond, pages, projectors = 1 } = load;
  const sent = relayRounds(load, times);
  if (sent === 0) return 0;
  const arrivals = sent * (1 - (1 - 1 / projectors) ** (perSecond / sent));
  return pages * projectors * roundsAt(arrivals, times.projector);
}

/**
 * Looks of the relay at the outbox, a second. One begins each round. One that finds nothing ends it while the relay sleeps
 * between rows; while it is awake it looks again and again in the pause before a row. A long pause makes it sleep, and two
 * short ones in a row end that.
 */
export function relayLooks(load: Load, times: RoundTimes): number {
  const { perSecond, shards } = load;
  const endsAfter = (SLEEP.endsMs * shards) / 1_000;
  const beginsAfter = SLEEP.begins * endsAfter;
  const isLonger = (pause: number) => Math.exp((-perSecond / shards) * pause);
  const endsSleep = (1 - isLonger(endsAfter)) ** 2;
  const awake = endsSleep / (endsSleep + isLonger(beginsAfter));
  let vain = 0;
  let wait = IDLE.shortestMs / 1_000;
  for (let at = wait; at < beginsAfter; at += wait) {
    vain += isLonger(times.relay + at);
    wait = Math.min(wait * IDLE.growth, IDLE.longestMs / 1_000);
  }
  return (2 - awake) * relayRounds(load, times) + awake * vain * perSecond;
}

/** How long each process goes on once it is awake, in seconds: what comes meanwhile needs no waking up. */
export type AwakeTimes = Readonly<Record<Process, number>>;

/** How often processes have something to do, a second, each of so many processes by itself. */
const STEPS: Readonly<
  Record<Process, (load: Load, times: RoundTimes) => { readonly steps: number; readonly of: number }>
> = {
  relay: (load, times) => ({ steps: relayRounds(load, times) + relayLooks(load, times), of: 1 }),
  projectors: (load, times) => ({
    steps: projectorRounds(load, times),
    of: load.pages * (load.projectors ?? 1),
  }),
  kafka: (load, times) => ({ steps: relayRounds(load, times) + projectorRounds(load, times), of: 1 }),
  source: (load, times) => ({ steps: relayLooks(load, times) + load.perSecond, of: 1 }),
  pages: (load, times) => ({ steps: projectorRounds(load, times), of: load.pages * (load.projectors ?? 1) }),
};

interface Term {
  readonly name: string;
  readonly of: (load: Load) => number;
}
/** What the coefficients of a process are prices of, after the first: that of a wake-up. */
export const TERMS: Readonly<Record<Process, readonly Term[]>> = {
  relay: [
    { name: 'a shard, for a second', of: ({ shards }) => shards },
    { name: 'an event', of: ({ perSecond }) => perSecond },
    { name: 'a client of its list', of: ({ perSecond, clients }) => perSecond * clients },
  ],
  projectors: [
    { name: 'a projector, for a second', of: ({ pages, projectors = 1 }) => pages * projectors },
    { name: 'an event', of: ({ perSecond, pages }) => perSecond * pages },
    { name: 'a client of its list', of: ({ perSecond, pages, clients }) => perSecond * pages * clients },
  ],
  kafka: [
    { name: 'the broker, for a second', of: () => 1 },
    { name: 'a projector, for a second', of: ({ pages, projectors = 1 }) => pages * projectors },
    { name: 'an event', of: ({ perSecond }) => perSecond },
    { name: 'a client of its list', of: ({ perSecond, clients }) => perSecond * clients },
  ],
  source: [
    { name: 'a shard, for a second', of: ({ shards }) => shards },
    { name: 'an event, its write included', of: ({ perSecond }) => perSecond },
    { name: 'a client of its list', of: ({ perSecond, clients }) => perSecond * clients },
  ],
  pages: [
    // And somebody who looks for the rows that were written, as the bench does.
    { name: 'the server, for a second', of: () => 1 },
    { name: 'a projector, for a second', of: ({ pages, projectors = 1 }) => pages * projectors },
    { name: 'an event', of: ({ perSecond, pages }) => perSecond * pages },
    { name: 'a client of its list', of: ({ perSecond, pages, clients }) => perSecond * pages * clients },
  ],
};

export function termsOf(process: Process, load: Load, times: RoundTimes, awake: number): number[] {
  const { steps, of } = STEPS[process](load, times);
  return [of * roundsAt(steps / of, awake), ...TERMS[process].map((term) => term.of(load))];
}

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
  readonly awake: AwakeTimes;
  /** CPU seconds: of a wake-up, and one for each of `TERMS`. */
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

export const coresOf = (process: Process, load: Load, { cpu, times, awake }: Model): number =>
  predict(cpu[process], termsOf(process, load, times, awake[process]));

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
    replicas(writes, (rate) => coresOf('projectors', { ...one(rate), shards: relayShards }, model)),
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
