import type { StorePodSettings } from '../api/pod-settings.ts';
import type { Platform } from '../platform.ts';
import { given, spreadOf, storePodSettingsOf } from './pod-settings.ts';

type Named = Readonly<Record<string, unknown>>;

/** Settings of pods as Strimzi's templates have them. */
export function strimziTemplates(platform: Platform, own: StorePodSettings | undefined, cluster: string) {
  const settings = storePodSettingsOf(platform, own);
  const { labels, annotations, nodeSelector, serviceAccountAnnotations } = settings;
  return {
    pod: given({
      metadata: given({ labels, annotations }),
      // Strimzi has no nodeSelector; affinity says the same.
      affinity: onNodes(settings.affinity, nodeSelector),
      tolerations: settings.tolerations,
      topologySpreadConstraints: spreadOf(settings, { 'strimzi.io/cluster': cluster }),
      priorityClassName: settings.priorityClassName,
      schedulerName: settings.schedulerName,
      imagePullSecrets: settings.imagePullSecrets?.map((name) => ({ name })),
    }),
    container: given({ env: settings.extraEnv }),
    account: given({ serviceAccount: accountTemplate(serviceAccountAnnotations) }),
  };
}

/** Settings of pods as the spec of a Cluster of CloudNativePG has them. */
export function cnpgPods(platform: Platform, own: StorePodSettings | undefined, cluster: string) {
  const settings = storePodSettingsOf(platform, own);
  const { labels, annotations, nodeSelector, tolerations, affinity, serviceAccountAnnotations } = settings;
  return {
    spec: given({
      inheritedMetadata: given({ labels, annotations }),
      serviceAccountTemplate: accountTemplate(serviceAccountAnnotations),
      topologySpreadConstraints: spreadOf(settings, { 'cnpg.io/cluster': cluster }),
      priorityClassName: settings.priorityClassName,
      schedulerName: settings.schedulerName,
      imagePullSecrets: settings.imagePullSecrets?.map((name) => ({ name })),
      env: settings.extraEnv,
    }),
    affinity: given({
      nodeSelector,
      tolerations,
      nodeAffinity: affinity?.nodeAffinity,
      additionalPodAffinity: affinity?.podAffinity,
      additionalPodAntiAffinity: affinity?.podAntiAffinity,
    }),
  };
}

const accountTemplate = (annotations: Named | undefined) =>
  annotations && Object.keys(annotations).length > 0 ? { metadata: { annotations } } : undefined;

/** An affinity that also holds pods to nodes with these labels. */
function onNodes(
  affinity: StorePodSettings['affinity'],
  labels: Readonly<Record<string, string>> = {},
): Named | undefined {
  const wanted = Object.entries(labels).map(([key, value]) => ({ key, operator: 'In', values: [value] }));
  if (wanted.length === 0) return affinity;
  const nodes = affinity?.nodeAffinity as
    | { readonly requiredDuringSchedulingIgnoredDuringExecution?: { readonly nodeSelectorTerms?: Named[] } }
    | undefined;
  // One of the terms has to hold, so each of them gets what all pods want.
  const terms = nodes?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [{}];
  return {
    ...affinity,
    nodeAffinity: {
      ...nodes,
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: terms.map((term) => ({
          ...term,
          matchExpressions: [...((term['matchExpressions'] as Named[] | undefined) ?? []), ...wanted],
        })),
      },
    },
  };
}
