import { z } from 'zod';
import type { Range } from '#contracts/ranges.ts';
import { GROUP } from '../own-names.ts';

/** A rule that the API server evaluates (CEL); in the CRD it is beside the field that it checks. */
export interface Rule {
  readonly rule: string;
  readonly message: string;
  /** An expression that builds the message from the value. */
  readonly messageExpression?: string;
  readonly fieldPath?: string;
}

export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}` as const;

/** What a schema's `.meta()` may add to the CRD beside a description. */
export const rules = (...list: Rule[]) => ({ 'x-kubernetes-validations': list });

/** How the databases are divided among PostgreSQL servers that we run. */
export const DATABASE_SERVERS = ['separate', 'each', 'shared'] as const;
export type DatabaseServers = (typeof DATABASE_SERVERS)[number];

/** Every field of the object has a default, so the whole object may be left out. */
export const section = <S extends z.ZodRawShape>(shape: S) => z.strictObject(shape).prefault({} as never);

export const numberIn = (range: Range) => z.int().min(range.least).max(range.most).default(range.default);

export const replicas = (otherwise: number) => z.int().min(1).max(1_000).default(otherwise);

/** A Kubernetes quantity. YAML reads `cpu: 2` as a number, so whole numbers are accepted too. */
const quantity = z
  .union([
    z.int().min(0),
    z
      .string()
      .max(32)
      .regex(/^\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$/, 'must be a quantity like 250m or 256Mi'),
  ])
  .transform(String);

// The API server reads a whole number as a number; quantity() takes text.
const amount = (path: string) => `quantity(string(${path}))`;
const limits = (kind: 'cpu' | 'memory'): Rule => ({
  rule:
    kind === 'memory'
      ? `${amount('self.requests.memory')}.compareTo(${amount('self.limits.memory')}) <= 0`
      : `!has(self.limits.cpu) || ${amount('self.requests.cpu')}.compareTo(${amount('self.limits.cpu')}) <= 0`,
  message: `requests.${kind} must not exceed limits.${kind}; raise the limit or lower the request`,
});

const withinLimits = rules(limits('memory'), limits('cpu'));

/** Requests and limits of one container. */
export const resources = (cpu: string, memory: string) =>
  section({
    requests: section({
      cpu: quantity.prefault(cpu).meta({ description: 'Processor time, as 250m or 2' }),
      memory: quantity.prefault(memory).meta({ description: 'Memory, as 256Mi' }),
    }).meta({ description: 'What a node has to have free' }),
    limits: section({
      cpu: quantity
        .optional()
        .meta({ description: 'None when absent: a throttled service is slow where it need not be' }),
      memory: quantity.prefault(memory).meta({ description: 'A container that takes more is ended' }),
    }).meta({ description: 'What a container may take at most' }),
  }).meta({ description: 'Requests and limits of each pod', ...withinLimits });
/** The same without a default for the whole: where others apply when it is absent. */
export const otherResources = (cpu: string, memory: string, description: string) =>
  resources(cpu, memory)
    .unwrap()
    .optional()
    .meta({ description, ...withinLimits });
export type Resources = z.output<ReturnType<typeof resources>>;

const volumesStay = (growth: 'fixed' | 'may grow') =>
  rules(
    growth === 'fixed'
      ? {
          rule: `${amount('self.size')}.compareTo(${amount('oldSelf.size')}) == 0`,
          message:
            'storage.size of an embedded server is fixed, for its volume exists; set it back, or move to another mode in a namespace of its own',
        }
      : {
          rule: `${amount('self.size')}.compareTo(${amount('oldSelf.size')}) >= 0`,
          message: 'storage.size can grow but not shrink; set it back',
        },
    {
      rule: 'has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)',
      message: 'storage.className is fixed, for the volumes exist; set it back',
    },
  );

/** @param growth whether its volumes can be enlarged: an operator's can, a StatefulSet's cannot */
export const storage = (size: string, growth: 'fixed' | 'may grow') =>
  section({
    size: quantity.prefault(size).meta({ description: 'Of each volume, as 50Gi' }),
    className: z
      .string()
      .min(1)
      .max(253)
      .optional()
      .meta({ description: "Storage class; the cluster's default when absent" }),
  }).meta({
    description: 'The volumes that hold the data',
    ...volumesStay(growth),
  });
/** The same without a default for the whole: where others apply when it is absent. */
export const otherStorage = (size: string, growth: 'fixed' | 'may grow', description: string) =>
  storage(size, growth)
    .unwrap()
    .optional()
    .meta({ description, ...volumesStay(growth) });

/** What a namespace may be called, as part of a regular expression. */
export const NAMESPACE_NAME = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';
/** A DNS label, as names of secrets and keys are written. */
export const objectName = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, 'must be the name of an object');
export const secretKey = z.string().regex(/^[-._a-zA-Z0-9]{1,253}$/, 'must be a key of a secret');

/** A base address as browsers and services use it. */
export const httpAddress = z
  .string()
  .max(2_048)
  .regex(/^https?:\/\/[^\s/]+/, 'must be an address like https://example.com');

/** How nodes fetch an image, whatever says which. */
export const imagePull = {
  pullPolicy: z
    .enum(['Always', 'IfNotPresent', 'Never'])
    .default('IfNotPresent')
    .meta({ description: 'When nodes fetch it' }),
  pullSecrets: z
    .array(objectName)
    .default([])
    .meta({ description: 'Names of secrets of type kubernetes.io/dockerconfigjson' }),
};
