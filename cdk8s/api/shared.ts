import { z } from 'zod';

/** A rule the API server evaluates (CEL); it stands in the CRD beside the field it judges. */
export interface Rule {
  readonly rule: string;
  readonly message: string;
  /** An expression that builds the message from what was given. */
  readonly messageExpression?: string;
  readonly fieldPath?: string;
}

export const GROUP = 'topclients.dev';
export const API_VERSION = 'topclients.dev/v1alpha1';

/** What `.meta()` of a schema may carry into the CRD beside its description. */
export const rules = (...list: Rule[]) => ({ 'x-kubernetes-validations': list });

/** Every field of an object has a default, so that the object may be left out in whole. */
export const section = <S extends z.ZodRawShape>(shape: S) => z.strictObject(shape).prefault({} as never);

export const replicas = (otherwise: number) => z.int().min(1).max(1_000).default(otherwise);
const quantity = z
  .string()
  .regex(/^\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$/, 'must be a quantity like 250m or 256Mi');
const amounts = z.strictObject({ cpu: quantity.optional(), memory: quantity.optional() });

/** Requests and limits of one container. */
export const resources = (cpu: string, memory: string) =>
  section({
    requests: amounts.prefault({ cpu, memory }),
    limits: amounts.prefault({ memory }),
  }).meta({ description: 'Requests and limits of each pod' });
export type Resources = z.output<ReturnType<typeof resources>>;

export const storage = (size: string) =>
  section({
    size: quantity.default(size),
    className: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "Storage class; the cluster's default when absent" }),
  });

/** A DNS label, as names of secrets and keys are written. */
export const objectName = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, 'must be the name of an object');
export const secretKey = z.string().regex(/^[-._a-zA-Z0-9]+$/, 'must be a key of a secret');
