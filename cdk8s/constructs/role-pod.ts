import type { ViewPage } from '#contracts/pages.ts';
import { containerHeapFlags } from '#contracts/v8-flags.ts';
import type { PodSettings } from '../api/pod-settings.ts';
import type { Resources } from '../api/shared.ts';
import { type Platform, PORTS } from '../platform.ts';
import { accountOf, externalPageLabel, podLabelsOf, selectorOf } from './labels.ts';
import { podSettingsOf, withPodSettings } from './pod-settings.ts';

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
  /** The role's name in `services/roles.ts`. */
  readonly role: string;
  readonly component: string;
  readonly instance?: string;
  readonly env: readonly EnvironmentVariable[];
  readonly annotations?: Readonly<Record<string, string>>;
  /** The page of somebody else that it works for: network policies let it reach their database. */
  readonly externalPage?: ViewPage;
  readonly volumes?: readonly Volume[];
  /** The role's own settings, over those of every pod. */
  readonly settings?: PodSettings | undefined;
  /** The account that it shares with nobody, for it has an identity of its own. */
  readonly account?: string;
  readonly resources: Resources;
  /** Serves users' traffic on PORTS.http, until nobody sends any more. */
  readonly serves?: boolean;
  /**
   * V8's young generation, per semi-space in MiB, for roles under load. They also get one V8 helper thread instead of
   * four: on two cores that the database and Kafka need, four would make the others wait.
   */
  readonly semiSpaceMiB?: number;
  /** A program that ends by itself, for a Job: no probes, no ports. */
  readonly ends?: boolean;
  /** Roles that end by themselves; they run one after the other before this one starts. */
  readonly after?: readonly Pick<RolePod, 'role' | 'env'>[];
}

/** How long a role may take to stop, in s: it allows itself 25 s (`runRole`), and the kubelet waits a little longer. */
const GRACE_SECONDS = 30;

/**
 * Proxies keep sending requests to a stopping pod until they have heard of it, which takes seconds in a large cluster.
 * Until then the pod serves as before.
 */
const PRE_STOP_SECONDS = 5;

/**
 * After that, the pod ends each kept connection with its next answer. An idle one is left to its client for longer than
 * the server says that it may be kept (5 s): to close it earlier would meet requests that are on their way.
 */
export const SHUTDOWN_DELAY_MS = 6_000;

/** The security context of our containers: the `restricted` profile, and a read-only root file system. */
export const RESTRICTED_CONTAINER = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
} as const;

/** The security context of a pod, for the user that its image expects. */
export const restrictedPod = (user: number) => ({
  runAsNonRoot: true,
  runAsUser: user,
  runAsGroup: user,
  fsGroup: user,
  // On a large volume, changing the owner of all files at every start takes minutes.
  fsGroupChangePolicy: 'OnRootMismatch',
  seccompProfile: { type: 'RuntimeDefault' },
});

/** Common to every pod of ours; none of them uses the API server. */
export const podGround = (component: string, account = accountOf(component)) => ({
  serviceAccountName: account,
  automountServiceAccountToken: false,
  enableServiceLinks: false,
});

/** The pod template of one role, the same for Deployments and Jobs. */
export function rolePod(platform: Platform, pod: RolePod): Record<string, unknown> {
  const { spec, image } = platform;
  const volumes = [
    // The root file system is read-only; a library may need to write here.
    { name: 'tmp', mountPath: '/tmp', source: { emptyDir: { sizeLimit: '64Mi' } } },
    ...(pod.volumes ?? []),
  ];
  // V8's other flags are in the image's entry point, the same for all roles: NODE_OPTIONS does not accept them.
  const nodeOptions = containerHeapFlags({ semiSpaceMiB: pod.semiSpaceMiB }).join(' ');
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
      // A Job is named by its content: with a log level in it, another level would run it again.
      ...(pod.ends ? [] : [{ name: 'TC_LOG_LEVEL', value: spec.logLevel }]),
      { name: 'NODE_OPTIONS', value: nodeOptions },
      ...(pod.serves ? [{ name: 'TC_SHUTDOWN_DELAY_MS', value: String(SHUTDOWN_DELAY_MS) }] : []),
      ...env,
    ],
    resources: pod.resources,
    securityContext: RESTRICTED_CONTAINER,
    // The status of a pod then shows a failed role's last output.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: volumes.map(({ name, mountPath }) => ({
      name,
      mountPath,
      ...(name === 'tmp' ? {} : { readOnly: true }),
    })),
  });
  const selector = selectorOf(pod.component, pod.instance);
  return withPodSettings(platform, podSettingsOf(platform, pod.settings), selector, {
    metadata: {
      labels: {
        ...podLabelsOf(pod.component, pod.instance),
        ...(pod.externalPage === undefined ? {} : externalPageLabel(pod.externalPage)),
      },
      annotations: { 'kubectl.kubernetes.io/default-container': pod.component, ...pod.annotations },
    },
    spec: {
      ...podGround(pod.component, pod.account),
      securityContext: restrictedPod(65532),
      terminationGracePeriodSeconds: GRACE_SECONDS + (pod.serves ? PRE_STOP_SECONDS : 0),
      ...(pod.ends
        ? { restartPolicy: 'Never' }
        : {
            topologySpreadConstraints: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map(
              (topologyKey) => ({
                maxSkew: 1,
                topologyKey,
                whenUnsatisfiable: 'ScheduleAnyway',
                labelSelector: { matchLabels: selector },
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
          // Native: the image has no shell for a `sleep`.
          ...(pod.serves ? { lifecycle: { preStop: { sleep: { seconds: PRE_STOP_SECONDS } } } } : {}),
        },
      ],
      volumes: volumes.map(({ name, source }) => ({ name, ...source })),
    },
  });
}
