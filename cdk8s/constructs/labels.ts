import type { ViewPage } from '#contracts/pages.ts';
import type { Platform } from '../platform.ts';

/** Selects the pods of one workload. It must never change, because selectors cannot. */
export const selectorOf = (component: string, instance: string = component) => ({
  'app.kubernetes.io/name': 'top-clients',
  'app.kubernetes.io/component': component,
  'app.kubernetes.io/instance': instance,
});

/** On every pod; policies and monitors select our pods by it. */
export const PART_OF = { 'app.kubernetes.io/part-of': 'top-clients' } as const;

/** On pods that use the database of a page of somebody else. */
export const externalPageLabel = (page: ViewPage) => ({ 'topclients.dev/external-page': page });

export const podLabelsOf = (component: string, instance?: string) => ({
  ...selectorOf(component, instance),
  ...PART_OF,
});

/** On every object; an operator prunes by `managed-by`. */
export const labelsOf = (component: string, instance?: string) => ({
  ...podLabelsOf(component, instance),
  'app.kubernetes.io/managed-by': 'top-clients-operator',
});

/** The metadata of an object of ours; `instance` distinguishes objects that exist more than once. */
export const metadataOf = (
  { namespace, spec }: Pick<Platform, 'namespace' | 'spec'>,
  name: string,
  component: string,
  instance?: string,
) => ({ name, namespace, labels: { ...spec.commonLabels, ...labelsOf(component, instance) } });

/**
 * One account a component, so that rights can be given to a single component.
 * @param page whose pods have an account of their own
 */
export const accountOf = (component: string, page?: string) =>
  `top-clients-${component}${page === undefined ? '' : `-${page}`}`;
