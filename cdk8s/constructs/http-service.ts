import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { type Platform, PORTS } from '../platform.ts';
import { metadataOf, selectorOf } from './labels.ts';

/** An address of each family that the cluster has: of IPv4, of IPv6, or one of both. */
export const EVERY_FAMILY = { ipFamilyPolicy: 'PreferDualStack' } as const;

/** The address of a workload that serves users' traffic. */
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
