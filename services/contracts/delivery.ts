import { z } from 'zod';
import { Client } from './client.ts';

/** How a page gets the data; `off` renders without the feature and is the yardstick of every comparison. */
export const Delivery = z.enum(['asynchronous', 'hybrid', 'synchronous', 'off']).meta({ id: 'Delivery' });
export type Delivery = z.infer<typeof Delivery>;

/** What became of the data on a render: header `Top-Clients`, metric label and JSON member alike. */
export const Outcome = z.enum(['full', 'missing', 'stale']).meta({ id: 'Outcome' });
export type Outcome = z.infer<typeof Outcome>;

/** The JSON a page answers beside its own data. `version` and `ageMs` are null when nothing could be shown. */
export const TopClientsView = z
  .object({
    outcome: Outcome,
    version: z.int().min(0).nullable(),
    ageMs: z
      .int()
      .min(0)
      .nullable()
      .meta({ description: 'Milliseconds since the shown version was committed' }),
    clients: z.array(Client.partial().required({ id: true })),
    total: z
      .int()
      .min(0)
      .optional()
      .meta({ description: 'How many clients the seller has; a search card lists only the first three' }),
  })
  .meta({ id: 'TopClientsView' });
export type TopClientsView = z.infer<typeof TopClientsView>;

export const HEADERS = {
  outcome: 'Top-Clients',
  version: 'Top-Clients-Version',
  age: 'Top-Clients-Age',
  minVersion: 'Top-Clients-Min-Version',
} as const;
