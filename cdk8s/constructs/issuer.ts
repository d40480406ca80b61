import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { hasDemoIssuer } from '../api/top-clients.ts';
import { names, type Platform, PORTS } from '../platform.ts';
import { httpService } from './http-service.ts';
import { DEMO_ISSUER } from './identity.ts';
import { metadataOf, selectorOf } from './labels.ts';
import { rolePod } from './role-pod.ts';
import { WITHOUT_A_GAP } from './serving.ts';

const component = 'issuer';

/** Key of the secret that holds the issuer's private key as a JWK; the secret has the issuer's name. */
export const ISSUER_KEY = 'key.jwk';

/** Signs in anybody as any seller, for demonstrations. One pod is enough: roles keep the keys that they fetched. */
export function issuer(scope: Construct, platform: Platform): void {
  if (!hasDemoIssuer(platform.spec)) return;
  new ApiObject(scope, 'issuer', {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadataOf(platform, names.issuer, component),
    spec: {
      replicas: 1,
      selector: { matchLabels: selectorOf(component) },
      strategy: WITHOUT_A_GAP,
      template: rolePod(platform, {
        role: 'issuer',
        component,
        resources: { requests: { cpu: '20m', memory: '128Mi' }, limits: { memory: '128Mi' } },
        serves: true,
        env: [
          { name: 'TC_PORT', value: String(PORTS.http) },
          { name: 'TC_ISSUER_NAME', value: DEMO_ISSUER },
          { name: 'TC_JWT_AUDIENCE', value: platform.spec.auth.audience },
          { name: 'TC_KEY_FILE', value: `/etc/issuer/${ISSUER_KEY}` },
        ],
        volumes: [
          {
            name: 'key',
            mountPath: '/etc/issuer',
            // Only the role's group (fsGroup) can read it.
            source: { secret: { secretName: names.issuer, defaultMode: 0o440 } },
          },
        ],
      }),
    },
  });
  httpService(scope, platform, { name: names.issuer, component });
}
