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
  /** Its name in `FAULTS=`. */
  readonly name: string;
  readonly about: string;
  /** What it acts on: two faults of a combination never act on the same. */
  readonly touches: string;
  readonly pages: PagesMeanwhile;
  /** It removes rows of a view on purpose, or the last moments of a page's database are lost with it. */
  readonly viewMayGoBack?: boolean;
  /** Minimum and maximum time before it is healed; 1 to 4 s when absent. */
  readonly seconds?: readonly [number, number];
  /** What must signal it to a person when it lasts long enough; absent: it ends before that. */
  readonly signal?: Signal;
  /** It makes Kafka remove messages: afterwards the topic lacks some of what was sent. */
  readonly compacts?: boolean;
  /** It takes so long that it is only used when named, or in a run of at least this many minutes. */
  readonly fromMinutes?: number;
  /** Why this machine cannot make it; null when it can. */
  readonly missing?: () => string | null;
  /** @returns the function that heals it */
  inject(injection: Injection): Promise<() => Promise<unknown>>;
}
