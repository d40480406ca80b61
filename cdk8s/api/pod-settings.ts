import { z } from 'zod';
import { objectName } from './shared.ts';

/** A shape that is Kubernetes' own, passed on as it is: whatever a newer API server knows may stand there. */
const asInAPod = (description: string) =>
  z.looseObject({}).meta({ description, 'x-kubernetes-preserve-unknown-fields': true });

export const labels = (description: string) =>
  z.record(z.string(), z.string().max(63)).optional().meta({ description });
const annotations = (description: string) =>
  z.record(z.string(), z.string()).optional().meta({ description });
const name = (description: string) => z.string().min(1).max(253).meta({ description });

const Toleration = z
  .strictObject({
    key: z.string().max(317).optional().meta({ description: 'Of the taint; any when absent' }),
    operator: z
      .enum(['Exists', 'Equal'])
      .optional()
      .meta({ description: 'Whether value counts; Equal when absent' }),
    value: z.string().max(63).optional().meta({ description: 'Of the taint' }),
    effect: z
      .enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
      .optional()
      .meta({ description: 'Of the taint; any when absent' }),
    tolerationSeconds: z
      .int()
      .optional()
      .meta({ description: 'How long a pod stays on a node that gets the taint; for NoExecute, in s' }),
  })
  .meta({ description: 'A taint that is put up with' });

const Spread = z
  .strictObject({
    maxSkew: z.int().min(1).default(1).meta({ description: 'By how many pods places may differ' }),
    topologyKey: name('The label of nodes whose values are the places'),
    whenUnsatisfiable: z
      .enum(['ScheduleAnyway', 'DoNotSchedule'])
      .default('ScheduleAnyway')
      .meta({ description: 'Whether a pod that would differ by more is started' }),
    labelSelector: asInAPod("Which pods are counted; the workload's own when absent").optional(),
    matchLabelKeys: z
      .array(z.string().max(317))
      .max(20)
      .optional()
      .meta({ description: 'Labels whose values are added to the selector, as pod-template-hash' }),
    minDomains: z.int().min(1).optional().meta({ description: 'Places there are to be at least' }),
    nodeAffinityPolicy: z
      .enum(['Honor', 'Ignore'])
      .optional()
      .meta({ description: 'Whether nodes that affinity rules out are counted' }),
    nodeTaintsPolicy: z
      .enum(['Honor', 'Ignore'])
      .optional()
      .meta({ description: 'Whether nodes with taints that are not tolerated are counted' }),
  })
  .meta({ description: 'A way to spread pods' });

const Environment = z
  .strictObject({
    name: name('Of the variable'),
    value: z.string().optional().meta({ description: 'What it holds' }),
    valueFrom: asInAPod('Where it comes from: secretKeyRef, configMapKeyRef, fieldRef').optional(),
  })
  .meta({ description: 'A variable' });

const VolumeMount = z
  .strictObject({
    name: name('Of the volume'),
    mountPath: name('Where containers see it'),
    subPath: z.string().optional().meta({ description: 'What of the volume' }),
    subPathExpr: z.string().optional().meta({ description: 'The same, with variables as $(NAME)' }),
    readOnly: z.boolean().optional().meta({ description: 'Whether it cannot be written' }),
    mountPropagation: z.string().optional().meta({ description: 'As in a container' }),
    recursiveReadOnly: z.string().optional().meta({ description: 'As in a container' }),
  })
  .meta({ description: 'A place of a volume' });

/**
 * What clusters want of pods, the same members for every workload. Those of a role are put over the common ones of
 * `spec.pods`: maps are merged, lists get longer, the rest is replaced (`podSettingsOf` in the constructs).
 */
export const PodSettings = z.strictObject({
  labels: labels('Further labels of the pods; those by which they are found stay'),
  annotations: annotations('Further annotations of the pods'),
  serviceAccountAnnotations: annotations('Of their service account: the identity that a cloud gives them'),
  nodeSelector: labels('Labels of the nodes to run on'),
  tolerations: z.array(Toleration).max(100).optional().meta({ description: 'Taints that are put up with' }),
  affinity: z
    .strictObject({
      nodeAffinity: asInAPod('To nodes').optional(),
      podAffinity: asInAPod('Near which pods').optional(),
      podAntiAffinity: asInAPod('Away from which pods').optional(),
    })
    .optional()
    .meta({ description: 'As in the spec of a pod' }),
  topologySpreadConstraints: z.array(Spread).max(20).optional().meta({
    description: 'In place of a spread over zones and nodes that is wished and not demanded; [] for none',
  }),
  priorityClassName: objectName.optional().meta({ description: 'Which pods make room for which' }),
  runtimeClassName: objectName.optional().meta({ description: 'How containers are run' }),
  schedulerName: objectName.optional().meta({ description: 'Who chooses their nodes' }),
  imagePullSecrets: z
    .array(objectName)
    .max(100)
    .optional()
    .meta({ description: 'Secrets of type kubernetes.io/dockerconfigjson, beside image.pullSecrets' }),
  extraEnv: z.array(Environment).max(200).optional().meta({
    description:
      'Further environment variables, of init containers too; one that is there already is replaced. A role refuses settings TC_… that are not its own',
  }),
  extraVolumes: z
    .array(
      z
        .looseObject({ name: name('By which it is mounted') })
        .meta({ description: 'As in the spec of a pod', 'x-kubernetes-preserve-unknown-fields': true }),
    )
    .max(100)
    .optional()
    .meta({ description: 'Further volumes' }),
  extraVolumeMounts: z
    .array(VolumeMount)
    .max(100)
    .optional()
    .meta({ description: 'Where containers see them, init containers too' }),
  userIds: z.enum(['fixed', 'assigned']).optional().meta({
    description:
      'fixed, the default: the user and groups that the image expects; assigned: none are named, for OpenShift assigns them (restricted-v2)',
  }),
  podSecurityContext: asInAPod("Over the pod's security context, member by member").optional(),
  containerSecurityContext: asInAPod("Over each container's security context, member by member").optional(),
  dnsPolicy: z
    .enum(['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'])
    .optional()
    .meta({ description: 'How names are looked up' }),
  dnsConfig: asInAPod('Name servers, search domains and options of their own').optional(),
  hostAliases: z
    .array(
      z
        .strictObject({
          ip: name('An address'),
          hostnames: z.array(z.string().max(253)).max(100).meta({ description: 'Its names' }),
        })
        .meta({ description: 'Names of an address' }),
    )
    .max(100)
    .optional()
    .meta({ description: 'Lines of /etc/hosts' }),
});
export type PodSettings = z.output<typeof PodSettings>;

/** For pods that another operator makes: what Strimzi and CloudNativePG both have a place for. */
export const StorePodSettings = PodSettings.pick({
  labels: true,
  annotations: true,
  serviceAccountAnnotations: true,
  nodeSelector: true,
  tolerations: true,
  affinity: true,
  topologySpreadConstraints: true,
  priorityClassName: true,
  schedulerName: true,
  imagePullSecrets: true,
  extraEnv: true,
});
export type StorePodSettings = z.output<typeof StorePodSettings>;

const OVER =
  'put over spec.pods: maps are merged, lists added, affinity and topologySpreadConstraints replaced';

/** The member `pod` of a role. */
export const podOf = (whose: string) =>
  PodSettings.optional().meta({ description: `Settings of ${whose}, ${OVER}` });
export const storePodOf = (whose: string) =>
  StorePodSettings.optional().meta({
    description: `Settings of ${whose}, ${OVER}; of spec.pods without the environment`,
  });
