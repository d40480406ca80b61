import type { Random } from '../../services/seed/random.ts';
import type { Clients } from './clients.ts';
import type { Signal } from './signals.ts';
import type { PagesMeanwhile } from './visitors.ts';
import type { FaultWorld } from './world.ts';

export interface Injection {
  readonly world: FaultWorld;
  readonly clients: Clients;
  readonly random: Random;
  readonly log: (message: string) => void;
}

export interface Fault {
  /** As `FAULTS=` names it. */
  readonly name: string;
  readonly about: string;
  /** What it lays hands on: two faults of a combination never touch the same. */
  readonly touches: string;
  readonly pages: PagesMeanwhile;
  /** It takes rows of a view away on purpose, or with the database of a page the last moments. */
  readonly viewMayGoBack?: boolean;
  /** How long it lasts before it is healed, at least and at most; 1 to 4 s otherwise. */
  readonly seconds?: readonly [number, number];
  /** What must tell a person of it when it lasts long enough; absent: it is over before anybody had to be told. */
  readonly signal?: Signal;
  /** It has Kafka forget messages: not all that was sent is on the topic afterwards. */
  readonly compacts?: boolean;
  /** So long that it comes only when it is named, or in a run of at least so many minutes. */
  readonly fromMinutes?: number;
  /** Why this machine cannot have it; null when it can. */
  readonly missing?: () => string | null;
  /** @returns how it is healed */
  inject(injection: Injection): Promise<() => Promise<unknown>>;
}
