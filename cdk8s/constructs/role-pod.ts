import type { Resources } from '../api/shared.ts';
import { type Platform, PORTS } from '../platform.ts';
import { selectorOf } from './labels.ts';

export type EnvironmentVariable =
  | { readonly name: string; readonly value: string }
  | {
      readonly name: string;
      readonly valueFrom: { readonly secretKeyRef: { readonly name: string; readonly key: string } };
    };
export interface Volume {
  readonly name: string;
  readonly mountPath: string;
  readonly source: Readonly<Record<string, unknown>>;
}

export interface RolePod {
  /** The role's name in `services/main.ts`. */
  readonly role: string;
  readonly component: string;
  readonly instance: string;
  readonly env: readonly EnvironmentVariable[];
  readonly volumes?: readonly Volume[];
  readonly resources: Resources;
  /** Serves users' traffic on PORTS.http. */
  readonly serves?: boolean;
  /** How long requests still come in after the pod was told to stop, until every proxy knows. */
  readonly preStopSeconds?: number;
  readonly graceSeconds?: number;
  /** V8's own limits; without them its heap grows towards what the node has. */
  readonly nodeOptions?: string;
  /** A program that ends, for a Job: no probes, no ports. */
  readonly ends?: boolean;
}

/** The security a container of ours has: the `restricted` profile, and a root file system nobody writes to. */
export const RESTRICTED_CONTAINER = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
} as const;

/** The pod template of one role, the same for Deployments and Jobs. */
export function rolePod(platform: Platform, pod: RolePod): Record<string, unknown> {
  const { spec, image } = platform;
  const volumes = [
    // Node's compile cache; the root file system is read-only.
    { name: 'tmp', mountPath: '/tmp', source: { emptyDir: { sizeLimit: '64Mi' } } },
    ...(pod.volumes ?? []),
  ];
  const probe = (path: string, periodSeconds: number, failureThreshold: number) => ({
    httpGet: { path, port: 'health' },
    periodSeconds,
    failureThreshold,
    timeoutSeconds: 3,
  });
  return {
    metadata: {
      labels: selectorOf(pod.component, pod.instance),
      annotations: { 'kubectl.kubernetes.io/default-container': pod.component },
    },
    spec: {
      serviceAccountName: `top-clients-${pod.component}`,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65532,
        runAsGroup: 65532,
        fsGroup: 65532,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      terminationGracePeriodSeconds: pod.graceSeconds ?? 30,
      ...(spec.image?.pullSecrets.length
        ? { imagePullSecrets: spec.image.pullSecrets.map((name) => ({ name })) }
        : {}),
      ...(Object.keys(spec.scheduling.nodeSelector).length > 0
        ? { nodeSelector: spec.scheduling.nodeSelector }
        : {}),
      ...(spec.scheduling.priorityClassName ? { priorityClassName: spec.scheduling.priorityClassName } : {}),
      ...(pod.ends
        ? { restartPolicy: 'Never' }
        : {
            topologySpreadConstraints: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map(
              (topologyKey) => ({
                maxSkew: 1,
                topologyKey,
                whenUnsatisfiable: 'ScheduleAnyway',
                labelSelector: { matchLabels: selectorOf(pod.component, pod.instance) },
              }),
            ),
          }),
      containers: [
        {
          name: pod.component,
          image,
          imagePullPolicy: spec.image?.pullPolicy ?? 'IfNotPresent',
          args: [pod.role],
          env: [
            { name: 'TC_LOG_LEVEL', value: spec.logLevel },
            { name: 'NODE_COMPILE_CACHE', value: '/tmp/compile-cache' },
            ...(pod.nodeOptions ? [{ name: 'NODE_OPTIONS', value: pod.nodeOptions }] : []),
            ...pod.env,
          ],
          resources: pod.resources,
          securityContext: RESTRICTED_CONTAINER,
          volumeMounts: volumes.map(({ name, mountPath }) => ({
            name,
            mountPath,
            ...(name === 'tmp' ? {} : { readOnly: true }),
          })),
          ...(pod.ends
            ? {}
            : {
                ports: [
                  ...(pod.serves ? [{ name: 'http', containerPort: PORTS.http }] : []),
                  { name: 'health', containerPort: PORTS.health },
                ],
                startupProbe: probe('/livez', 1, 60),
                livenessProbe: probe('/livez', 10, 3),
                readinessProbe: probe('/readyz', 2, 2),
              }),
          // Native: the image has no shell to sleep with.
          ...(pod.preStopSeconds
            ? { lifecycle: { preStop: { sleep: { seconds: pod.preStopSeconds } } } }
            : {}),
        },
      ],
      volumes: volumes.map(({ name, source }) => ({ name, ...source })),
    },
  };
}
