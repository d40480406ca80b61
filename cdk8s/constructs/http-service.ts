import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { type Platform, PORTS } from '../platform.ts';
import { metadataOf, selectorOf } from './labels.ts';

/** An address of each IP family that the cluster has: IPv4, IPv6, or both. */
export const EVERY_FAMILY = { ipFamilyPolicy: 'PreferDualStack' } as const;

/** The Service of a workload that serves users' traffic. */
export function httpService(
  scope: Construct,
  platform: Platform,
  workload: { readonly name: string; readonly component: string; readonly instance?: string },
): void {
  const { name, component, instance } = workload;
  new ApiObject(scope, `${name}-service`, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadataOf(platform, name, component, instance),
    spec: {
      ...EVERY_FAMILY,
      selector: selectorOf(component, instance),
      ports: [{ name: 'http', port: PORTS.http, targetPort: 'http', protocol: 'TCP' }],
    },
  });
}
