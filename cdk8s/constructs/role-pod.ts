import { heapFlags } from '#contracts/v8-flags.ts';
import type { Resources } from '../api/shared.ts';
import { type Platform, PORTS } from '../platform.ts';
import { oldSpaceMiB } from './heap.ts';
import { accountOf, podLabelsOf, selectorOf } from './labels.ts';

export type EnvironmentVariable =
  | { readonly name: string; readonly value: string }
  | {
      readonly name: string;
      readonly valueFrom: {
        readonly secretKeyRef: { readonly name: string; readonly key: string; readonly optional?: boolean };
      };
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
  readonly instance?: string;
  readonly env: readonly EnvironmentVariable[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly volumes?: readonly Volume[];
  readonly resources: Resources;
  /** Serves users' traffic on PORTS.http, until nobody sends any more. */
  readonly serves?: boolean;
  /**
   * V8's young generation, per semi-space in MiB; for roles under load. They also get one thread to help V8 instead of
   * four: on two cores that the database and Kafka need, four make the others wait.
   */
  readonly semiSpaceMiB?: number;
  /** A program that ends, for a Job: no probes, no ports. */
  readonly ends?: boolean;
  /** Runs of roles that end, one after the other before this one starts. */
  readonly after?: readonly Pick<RolePod, 'role' | 'env'>[];
}

/** How long a role may take to stop, in s: it gives itself 25 s (`runRole`), and the kubelet some more. */
const GRACE_SECONDS = 30;

/**
 * Proxies go on sending to a pod until they have heard that it stops, which takes seconds in a large cluster; until
 * then it serves as before.
 */
const PRE_STOP_SECONDS = 5;

/** After that it ends each connection with its next answer: closing at once would meet a request that is on its way. */
const SHUTDOWN_DELAY_MS = 2_000;

/** The security a container of ours has: the `restricted` profile, and a root file system nobody writes to. */
export const RESTRICTED_CONTAINER = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
} as const;

/** The security of a pod, as the user its image is made for. */
export const restrictedPod = (user: number) => ({
  runAsNonRoot: true,
  runAsUser: user,
  runAsGroup: user,
  fsGroup: user,
  // Walking through all files of a large volume at every start takes minutes.
  fsGroupChangePolicy: 'OnRootMismatch',
  seccompProfile: { type: 'RuntimeDefault' },
});

/** Where pods run, as the platform wishes. */
export const scheduling = ({ spec: { scheduling: wanted } }: Platform) => ({
  ...(Object.keys(wanted.nodeSelector).length > 0 ? { nodeSelector: wanted.nodeSelector } : {}),
  ...(wanted.priorityClassName ? { priorityClassName: wanted.priorityClassName } : {}),
});

/** What every pod of ours has, whatever runs in it; nothing here speaks to the API server. */
export const podGround = (platform: Platform, component: string) => ({
  serviceAccountName: accountOf(component),
  automountServiceAccountToken: false,
  enableServiceLinks: false,
  ...scheduling(platform),
});

/** The pod template of one role, the same for Deployments and Jobs. */
export function rolePod(platform: Platform, pod: RolePod): Record<string, unknown> {
  const { spec, image } = platform;
  const volumes = [
    // The root file system is read-only; this is for what a library may want to write.
    { name: 'tmp', mountPath: '/tmp', source: { emptyDir: { sizeLimit: '64Mi' } } },
    ...(pod.volumes ?? []),
  ];
  // V8's other flags are in the image's entry point, the same for all: NODE_OPTIONS does not take them.
  const nodeOptions = heapFlags({
    oldSpaceMiB: oldSpaceMiB(pod.resources),
    semiSpaceMiB: pod.semiSpaceMiB,
  }).join(' ');
  const probe = (path: string, periodSeconds: number, failureThreshold: number) => ({
    httpGet: { path, port: 'health' },
    periodSeconds,
    failureThreshold,
    timeoutSeconds: 3,
  });
  const container = (name: string, role: string, env: readonly EnvironmentVariable[]) => ({
    name,
    image,
    imagePullPolicy: spec.image?.pullPolicy ?? 'IfNotPresent',
    args: [role],
    env: [
      // What ends is named by its content, and would run again for the sake of another log level.
      ...(pod.ends ? [] : [{ name: 'TC_LOG_LEVEL', value: spec.logLevel }]),
      { name: 'NODE_OPTIONS', value: nodeOptions },
      ...(pod.serves ? [{ name: 'TC_SHUTDOWN_DELAY_MS', value: String(SHUTDOWN_DELAY_MS) }] : []),
      ...env,
    ],
    resources: pod.resources,
    securityContext: RESTRICTED_CONTAINER,
    // What a role complained about when it ended is then in the status of its pod.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: volumes.map(({ name, mountPath }) => ({
      name,
      mountPath,
      ...(name === 'tmp' ? {} : { readOnly: true }),
    })),
  });
  return {
    metadata: {
      labels: podLabelsOf(pod.component, pod.instance),
      annotations: { 'kubectl.kubernetes.io/default-container': pod.component, ...pod.annotations },
    },
    spec: {
      ...podGround(platform, pod.component),
      securityContext: restrictedPod(65532),
      terminationGracePeriodSeconds: GRACE_SECONDS + (pod.serves ? PRE_STOP_SECONDS : 0),
      ...(spec.image?.pullSecrets.length
        ? { imagePullSecrets: spec.image.pullSecrets.map((name) => ({ name })) }
        : {}),
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
      ...(pod.after
        ? { initContainers: pod.after.map(({ role, env }, i) => container(`${role}-${i + 1}`, role, env)) }
        : {}),
      containers: [
        {
          ...container(pod.component, pod.role, pod.env),
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
          ...(pod.serves ? { lifecycle: { preStop: { sleep: { seconds: PRE_STOP_SECONDS } } } } : {}),
        },
      ],
      volumes: volumes.map(({ name, source }) => ({ name, ...source })),
    },
  };
}
