import { z } from 'zod';
import { objectName, rules, secretKey } from './shared.ts';

const labels = (what: string) =>
  z
    .record(z.string(), z.string().max(63))
    .optional()
    .meta({ description: `Labels that ${what} has` });

const selector = (what: string) =>
  z
    .strictObject({
      matchLabels: labels(what),
      matchExpressions: z
        .array(
          z
            .strictObject({
              key: z.string().min(1).max(317).meta({ description: 'A label' }),
              operator: z
                .enum(['In', 'NotIn', 'Exists', 'DoesNotExist'])
                .meta({ description: 'What it is to do with the values' }),
              values: z
                .array(z.string().max(63))
                .max(100)
                .optional()
                .meta({ description: 'For In and NotIn' }),
            })
            .meta({ description: 'A condition' }),
        )
        .max(20)
        .optional()
        .meta({ description: 'Conditions that all hold' }),
    })
    .optional()
    .meta({ description: `As in a NetworkPolicy: which ${what}; an empty one selects all` });

const Caller = z
  .strictObject({
    namespaceSelector: selector('namespace'),
    podSelector: selector('pod'),
  })
  .meta({
    description: 'Pods in this namespace, or in those that namespaceSelector selects',
    ...rules({
      rule: 'has(self.namespaceSelector) || has(self.podSelector)',
      message: 'a caller needs podSelector, namespaceSelector or both; {} selects all pods of this namespace',
    }),
  });

/** A page of somebody else: the views are kept in their database, and they serve it. */
export const external = z
  .strictObject({
    database: z
      .strictObject({
        existingSecret: objectName.meta({
          description:
            'A secret of this namespace with the address, postgresql://user:password@host:5432/name. The user may make schemas there, and owns what is made; PostgreSQL 13 or later',
        }),
        key: secretKey.default('url').meta({ description: 'Its key with the address' }),
        port: z
          .int()
          .min(1)
          .max(65_535)
          .default(5_432)
          .meta({ description: 'Of that address; network policies let nothing else out to it' }),
        caSecret: objectName.optional().meta({
          description:
            'A secret with the certificate of the authority that signed that of the database: it is then reached by TLS with sslmode=verify-full; the address decides when absent',
        }),
        caKey: secretKey.default('ca.crt').meta({ description: 'Its key with the certificate' }),
      })
      .meta({ description: 'The database that the page reads from' }),
    readerRoles: z
      .array(
        z
          .string()
          .max(63)
          .regex(/^[^\s,]+$/, 'must be the name of a role, without blanks and commas'),
      )
      .max(100)
      .default([])
      .meta({
        description:
          'Roles of that database that may read the views of the schema top_clients; who is taken out of the list loses that again',
      }),
    callers: z.array(Caller).max(100).default([]).meta({
      description:
        'Pods that may call the source, in this namespace or others: for hybrid, and to read what was just written',
    }),
  })
  .meta({
    description:
      'A page of yours: you serve it, and read its lists in your own database, in the schema top_clients',
  });
export type ExternalSpec = z.output<typeof external>;
