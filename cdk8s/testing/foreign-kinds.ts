import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { KubeObject } from '../kube-object.ts';

const FOLDER = new URL('../../tests/kind/definitions/', import.meta.url);

/** The definitions of the operators whose resources we make, as they publish them. */
export const THEIR_DEFINITIONS: readonly KubeObject[] = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.yaml'))
  .sort()
  .map((file) => parse(readFileSync(new URL(file, FOLDER), 'utf8')) as KubeObject);

/** Stands in for the Gateway API's definition: it requires a spec, but nothing of its content. */
const HTTP_ROUTE: KubeObject = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: {
    name: 'httproutes.gateway.networking.k8s.io',
    // Of a group that is Kubernetes' own, the API server asks who allowed it.
    annotations: { 'api-approved.kubernetes.io': 'unapproved, a stand-in for tests' },
  },
  spec: {
    group: 'gateway.networking.k8s.io',
    scope: 'Namespaced',
    names: { kind: 'HTTPRoute', plural: 'httproutes', singular: 'httproute', listKind: 'HTTPRouteList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            required: ['spec'],
            properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        },
      },
    ],
  },
};

/** Other operators' definitions, so that an API server accepts objects of their kinds. */
export const FOREIGN_KINDS: readonly KubeObject[] = [...THEIR_DEFINITIONS, HTTP_ROUTE];
