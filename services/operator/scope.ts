import { z } from 'zod';
import { NAMESPACE_NAME } from '#cdk8s/api/shared.ts';
import { list } from '#platform/config.ts';

/** Where an operator works: in these namespaces, or wherever a platform or a page is. */
export type Scope = 'all' | readonly string[];

const EVERY = '*';
const namespace = new RegExp(`^${NAMESPACE_NAME}$`);

/** Names of namespaces, or `*` for all of them. */
export const namespaces = () =>
  list().pipe(
    z
      .array(z.string())
      .refine(
        (names) => names.every((name) => namespace.test(name)) || (names.length === 1 && names[0] === EVERY),
        'must be names of namespaces, or * alone',
      )
      .transform((names): Scope => (names[0] === EVERY ? 'all' : [...new Set(names)])),
  );
