import type { ExamplePage } from '../../local-stack/example-pages.ts';
import type { PortName, VariantName } from '../addresses.ts';

export type CardName = VariantName | ExamplePage;

/** One card of the lab: a page that it renders and measures. */
export interface Card<Name extends CardName = CardName> {
  readonly name: Name;
  readonly title: string;
  /** What is to be seen of this page, in a sentence. */
  readonly effect: string;
  readonly port: PortName;
  readonly healthPort: PortName;
  /** The page of a seller; of sellers and gigs of a demo, those with the same number belong together. */
  readonly pathOf: (sellerId: number) => string;
}

const gig = (id: number) => `/gigs/${id}`;
const seller = (id: number) => `/sellers/${id}`;

/** The gig page under each delivery, from the cost without the data to the recommended delivery. */
export const VARIANTS: readonly Card<VariantName>[] = [
  {
    name: 'off',
    title: 'Off',
    effect: 'The page without the feature: what every other card is measured against.',
    port: 'lab-off',
    healthPort: 'health-lab-off',
    pathOf: gig,
  },
  {
    name: 'serial',
    title: 'Synchronous, serial',
    effect: 'Reads its own data, then calls the source: each render waits for both, one after the other.',
    port: 'lab-serial',
    healthPort: 'health-lab-serial',
    pathOf: gig,
  },
  {
    name: 'parallel',
    title: 'Synchronous, parallel',
    effect: 'Calls the source while it reads its own data: each render waits for the slower of the two.',
    port: 'lab-parallel',
    healthPort: 'health-lab-parallel',
    pathOf: gig,
  },
  {
    name: 'hybrid',
    title: 'Hybrid',
    effect: 'Knows from its own database who has clients, and calls the source for those sellers only.',
    port: 'lab-hybrid',
    healthPort: 'health-lab-hybrid',
    pathOf: gig,
  },
  {
    name: 'asynchronous',
    title: 'Asynchronous',
    effect: 'Has the list in its own database, brought there by events: one local query, no call.',
    port: 'gig',
    healthPort: 'health-gig',
    pathOf: gig,
  },
];

/** Pages of somebody else, beside ours. */
export const EXAMPLES: readonly Card<ExamplePage>[] = [
  {
    name: 'python-page',
    title: 'A page in Python',
    effect: 'FastAPI and psycopg: SQL and HTTP, and no code of ours.',
    port: 'python-page',
    healthPort: 'health-python-page',
    pathOf: seller,
  },
  {
    name: 'node-page',
    title: 'A page in JavaScript',
    effect: 'Express, and the lists by page-kit, as a package that it has installed.',
    port: 'node-page',
    healthPort: 'health-node-page',
    pathOf: seller,
  },
];

export const CARDS: readonly Card[] = [...VARIANTS, ...EXAMPLES];
