import type { PodSettings, StorePodSettings } from '../api/pod-settings.ts';
import type { Platform } from '../platform.ts';

/** Members of which a role's own take the place of the common ones: half of each would be neither. */
const REPLACED = ['affinity', 'topologySpreadConstraints', 'dnsConfig'];

type Named = Readonly<Record<string, unknown>>;
/** What an element of a list is told by; a role's own takes the place of a common one. */
const identityOf = (element: unknown): unknown => {
  if (typeof element !== 'object' || element === null) return element;
  const { mountPath, name, ip } = element as Named;
  return mountPath ?? name ?? ip ?? element;
};

function put(over: unknown, common: unknown, member: string): unknown {
  if (over === undefined || common === undefined || REPLACED.includes(member)) return over ?? common;
  if (Array.isArray(over) && Array.isArray(common)) {
    const own = new Set(over.map(identityOf));
    return [...common.filter((one) => !own.has(identityOf(one))), ...over];
  }
  return typeof over === 'object' ? { ...(common as object), ...over } : over;
}

const merged = (common: Named, own: Named): Named =>
  Object.fromEntries(
    Object.keys({ ...common, ...own }).map((member) => [member, put(own[member], common[member], member)]),
  );

/** The settings of a role's pods: its own over the platform's common ones, and these over the deprecated `scheduling`. */
export function podSettingsOf({ spec }: Platform, own: PodSettings = {}): PodSettings {
  const { nodeSelector, priorityClassName } = spec.scheduling;
  const before = { nodeSelector, ...(priorityClassName === undefined ? {} : { priorityClassName }) };
  return merged(merged(before, spec.pods ?? {}), own);
}

/** The same for pods that another operator makes: its templates have no place for the rest. */
export function storePodSettingsOf(platform: Platform, own: StorePodSettings = {}): StorePodSettings {
  const { labels, annotations, serviceAccountAnnotations, imagePullSecrets, ...common } =
    podSettingsOf(platform);
  const { nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName, schedulerName } =
    common;
  return merged(
    {
      labels: { ...platform.spec.commonLabels, ...labels },
      annotations,
      serviceAccountAnnotations,
      nodeSelector,
      tolerations,
      affinity,
      topologySpreadConstraints,
      priorityClassName,
      schedulerName,
      imagePullSecrets: pullSecretsOf(platform, imagePullSecrets),
    },
    own,
  );
}

const pullSecretsOf = ({ spec }: Platform, further: readonly string[] = []): readonly string[] => [
  ...new Set([...(spec.image?.pullSecrets ?? []), ...further]),
];

interface Container extends Named {
  readonly name: string;
  readonly env?: readonly Named[];
  readonly volumeMounts?: readonly Named[];
  readonly securityContext?: Named;
}
export interface PodTemplate {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Named & {
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
    readonly volumes?: readonly Named[];
    readonly securityContext: Named;
    readonly topologySpreadConstraints?: readonly Named[];
  };
}

/**
 * Puts settings onto a pod template: the one place that knows where each of them belongs.
 * @param selector the labels by which the workload's own pods are counted when they are spread
 */
export function withPodSettings(
  platform: Platform,
  settings: PodSettings,
  selector: Readonly<Record<string, string>>,
  { metadata, spec: { topologySpreadConstraints, ...spec } }: PodTemplate,
): Readonly<Record<string, unknown>> {
  const pullSecrets = pullSecretsOf(platform, settings.imagePullSecrets);
  const spread = spreadOf(settings, selector) ?? topologySpreadConstraints;
  const container = (one: Container): Container => ({
    ...one,
    ...(settings.extraEnv ? { env: put(settings.extraEnv, one.env ?? [], 'env') as Named[] } : {}),
    ...(settings.extraVolumeMounts
      ? { volumeMounts: put(settings.extraVolumeMounts, one.volumeMounts ?? [], 'volumeMounts') as Named[] }
      : {}),
    securityContext: { ...one.securityContext, ...settings.containerSecurityContext },
  });
  return {
    metadata: {
      labels: { ...platform.spec.commonLabels, ...settings.labels, ...metadata.labels },
      annotations: { ...settings.annotations, ...metadata.annotations },
    },
    spec: {
      ...spec,
      ...given({
        nodeSelector: settings.nodeSelector,
        tolerations: settings.tolerations,
        affinity: settings.affinity,
        priorityClassName: settings.priorityClassName,
        runtimeClassName: settings.runtimeClassName,
        schedulerName: settings.schedulerName,
        dnsPolicy: settings.dnsPolicy,
        dnsConfig: settings.dnsConfig,
        hostAliases: settings.hostAliases,
        topologySpreadConstraints: spread,
        imagePullSecrets: pullSecrets.map((name) => ({ name })),
      }),
      securityContext: { ...userOf(settings, spec.securityContext), ...settings.podSecurityContext },
      ...(spec.initContainers ? { initContainers: spec.initContainers.map(container) } : {}),
      containers: spec.containers.map(container),
      ...(spec.volumes || settings.extraVolumes
        ? { volumes: put(settings.extraVolumes ?? [], spec.volumes ?? [], 'volumes') }
        : {}),
    },
  };
}

/** Members that say something: an empty list or map would be stored as it is, and be a difference at each look. */
export const given = (members: Named): Named =>
  Object.fromEntries(
    Object.entries(members).filter(
      ([, value]) =>
        value !== undefined && (typeof value !== 'object' || Object.keys(value ?? {}).length > 0),
    ),
  );

/** How pods are spread; undefined where nobody said. */
export const spreadOf = (
  { topologySpreadConstraints }: Pick<PodSettings, 'topologySpreadConstraints'>,
  matchLabels: Readonly<Record<string, string>>,
): readonly Named[] | undefined =>
  topologySpreadConstraints?.map((one) => ({ labelSelector: { matchLabels }, ...one }));

/** The security context without the ids that OpenShift assigns itself. */
function userOf({ userIds }: PodSettings, securityContext: Named): Named {
  if (userIds !== 'assigned') return securityContext;
  const { runAsUser, runAsGroup, fsGroup, fsGroupChangePolicy, ...others } = securityContext;
  return others;
}
