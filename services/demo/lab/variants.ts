import type { PortName, VariantName } from '../addresses.ts';

/** One card of the lab. */
export interface Variant {
  readonly name: VariantName;
  readonly title: string;
  /** What this delivery does to the page, in a sentence. */
  readonly effect: string;
  readonly port: PortName;
  readonly healthPort: PortName;
}

/** The gig page under each delivery, from the cost without the data to the recommended delivery. */
export const VARIANTS: readonly Variant[] = [
  {
    name: 'off',
    title: 'Off',
    effect: 'The page without the feature: what every other card is measured against.',
    port: 'lab-off',
    healthPort: 'health-lab-off',
  },
  {
    name: 'serial',
    title: 'Synchronous, serial',
    effect: 'Reads its own data, then calls the source: each render waits for both, one after the other.',
    port: 'lab-serial',
    healthPort: 'health-lab-serial',
  },
  {
    name: 'parallel',
    title: 'Synchronous, parallel',
    effect: 'Calls the source while it reads its own data: each render waits for the slower of the two.',
    port: 'lab-parallel',
    healthPort: 'health-lab-parallel',
  },
  {
    name: 'hybrid',
    title: 'Hybrid',
    effect: 'Knows from its own database who has clients, and calls the source for those sellers only.',
    port: 'lab-hybrid',
    healthPort: 'health-lab-hybrid',
  },
  {
    name: 'asynchronous',
    title: 'Asynchronous',
    effect: 'Has the list in its own database, brought there by events: one local query, no call.',
    port: 'gig',
    healthPort: 'health-gig',
  },
];
