import type { KubeObject } from '#cdk8s/kube-object.ts';
import { GROUP, OPERATOR } from '#cdk8s/own-names.ts';
import type { StoredObject } from './kube.ts';

/** On a Deployment: the number of pods that was applied last. */
export const REPLICAS_ANNOTATION = `${GROUP}/replicas`;

/** A Deployment that somebody scaled. */
export interface ScaledByOthers {
  readonly name: string;
  /** Its number of pods now. */
  readonly replicas: number;
  /** The number of the spec, which was applied before. */
  readonly wanted: number;
  /** Their field manager; null when the object does not tell. */
  readonly by: string | null;
}

interface Fields {
  readonly manager?: string;
  readonly fieldsV1?: { readonly 'f:spec'?: Readonly<Record<string, unknown>> };
}

const replicasOf = ({ kind, spec }: KubeObject & { readonly spec?: unknown }): number | undefined =>
  kind === 'Deployment' ? (spec as { readonly replicas?: number } | undefined)?.replicas : undefined;

/**
 * Whether somebody has scaled a Deployment since its wanted number was applied: an autoscaler of theirs, or
 * `kubectl scale`. Null too when another number is wanted now than was applied, for then that one holds.
 */
export function scaledByOthers(wanted: KubeObject, live: StoredObject | undefined): ScaledByOthers | null {
  const replicas = replicasOf(wanted);
  const now = live && replicasOf(live);
  if (replicas === undefined || now === undefined || now === replicas) return null;
  if (live?.metadata.annotations?.[REPLICAS_ANNOTATION] !== String(replicas)) return null;
  return { name: wanted.metadata.name, replicas: now, wanted: replicas, by: managerOf(live) };
}

function managerOf({ metadata }: StoredObject): string | null {
  const { managedFields = [] } = metadata as { readonly managedFields?: readonly Fields[] };
  const owners = managedFields.filter(({ fieldsV1 }) => fieldsV1?.['f:spec']?.['f:replicas']);
  return owners.find(({ manager }) => !manager?.startsWith(OPERATOR))?.manager ?? null;
}

/** The object as it is applied: with its number noted, and without the number itself where somebody else decides it. */
export function withReplicasNoted<T extends KubeObject>(wanted: T, leave: boolean): T {
  const replicas = replicasOf(wanted);
  if (replicas === undefined) return wanted;
  const { replicas: _, ...spec } = (wanted as T & { readonly spec: Record<string, unknown> }).spec;
  return {
    ...wanted,
    metadata: {
      ...wanted.metadata,
      annotations: { ...wanted.metadata.annotations, [REPLICAS_ANNOTATION]: String(replicas) },
    },
    ...(leave ? { spec } : {}),
  };
}
