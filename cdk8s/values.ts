import { parse } from 'yaml';
import type { z } from 'zod';
import { ChartValues, type Dashboards } from './api/chart-values.ts';
import { misnamed, PageViewSpec, tooFewServers } from './api/page-view.ts';
import { brokenRules } from './api/rules.ts';
import { NAMESPACE_NAME } from './api/shared.ts';
import { TopClientsSpec } from './api/top-clients.ts';
import { type Capabilities, imageReference, type PagePlan, type Platform, settledPage } from './platform.ts';

/** Values that cannot be used; the message names each of them and says what to change. */
export class ValuesError extends Error {
  override name = 'ValuesError';
}

export interface Wanted {
  readonly platform: Platform;
  readonly pages: readonly PagePlan[];
  readonly dashboards: Dashboards;
}

type Values = Readonly<Record<string, unknown>>;
const isMap = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Merges values files as Helm does: maps are merged, everything else is replaced. */
function overlay(below: unknown, above: unknown): unknown {
  if (!isMap(below) || !isMap(above)) return above;
  const merged = { ...below };
  for (const [name, value] of Object.entries(above)) merged[name] = overlay(below[name], value);
  return merged;
}

/**
 * What values files ask for: the platform, and its pages without a transition.
 * @param files in the chart's form; a later file overrides earlier ones
 * @param around what the values leave open; its `image` overrides theirs
 * @throws ValuesError naming every wrong value
 */
export function readValues(
  files: readonly { readonly file: string; readonly text: string }[],
  around: {
    readonly namespace: string;
    readonly image?: string | undefined;
    readonly capabilities: Capabilities;
  },
): Wanted {
  if (!new RegExp(`^${NAMESPACE_NAME}$`).test(around.namespace)) {
    throw new ValuesError(
      `${around.namespace} is not the name of a namespace: lower case, digits and dashes`,
    );
  }
  const given = files.map(({ file, text }) => yaml(file, text)).reduce(overlay, {});
  const parsed = ChartValues.safeParse(given);
  if (!parsed.success) throw new ValuesError(parsed.error.issues.map(sentence).join('\n'));
  const { image, pages, dashboards } = parsed.data;
  const topClients = withGlobals(parsed.data);
  const deployed = Object.entries(pages as Readonly<Record<string, PageViewSpec | null | undefined>>).flatMap(
    ([name, spec]) => (spec ? [{ name, spec }] : []),
  );
  const broken = [
    ...brokenRules(TopClientsSpec, topClients, ['topClients']),
    ...deployed.flatMap(({ name, spec }) => [
      ...[misnamed(name, spec) ?? []].flat().map((one) => `pages.${name}: ${one}`),
      ...[tooFewServers(spec, topClients.profile) ?? []].flat().map((one) => `pages.${name}.${one}`),
      ...brokenRules(PageViewSpec, spec, ['pages', name]),
      ...tooManyProjectors(spec, topClients.kafka.partitions).map((one) => `pages.${name}.${one}`),
    ]),
  ];
  if (broken.length > 0) throw new ValuesError(broken.join('\n'));

  const own = topClients.image ?? image;
  if (around.image === undefined && !own.digest && !own.tag) {
    throw new ValuesError('image.tag: name the version to run, here or by --image');
  }
  const { pullPolicy, pullSecrets } = own;
  return {
    platform: {
      namespace: around.namespace,
      // How an image is pulled is listed beside its name; the chart copies it into the platform in the same way.
      spec: {
        ...topClients,
        image: { ...(topClients.image ?? { repository: image.repository }), pullPolicy, pullSecrets },
      },
      image: around.image ?? imageReference({ ...own, repository: inRegistry(own.repository, parsed.data) }),
      capabilities: around.capabilities,
    },
    pages: deployed.map(({ name, spec }) => settledPage(name, spec)),
    dashboards,
  };
}

/** The values that hold for the platform too, put into its spec as the chart puts them. */
export function withGlobals({ topClients, global, commonLabels }: ChartValues): TopClientsSpec {
  const { kafka, postgres } = topClients;
  const at = (image: string) => inRegistry(image, { global });
  const secrets = (global?.imagePullSecrets ?? []).map((one) => (typeof one === 'string' ? one : one.name));
  return {
    ...topClients,
    ...(commonLabels ? { commonLabels: { ...commonLabels, ...topClients.commonLabels } } : {}),
    ...(secrets.length > 0
      ? {
          pods: {
            ...topClients.pods,
            imagePullSecrets: [...new Set([...secrets, ...(topClients.pods?.imagePullSecrets ?? [])])],
          },
        }
      : {}),
    kafka: { ...kafka, embedded: { ...kafka.embedded, image: at(kafka.embedded.image) } },
    postgres: {
      ...postgres,
      embedded: { ...postgres.embedded, image: at(postgres.embedded.image) },
      cnpg: { ...postgres.cnpg, ...(postgres.cnpg.image ? { image: at(postgres.cnpg.image) } : {}) },
    },
  };
}

/** An image at `global.imageRegistry`, in place of the registry in its name. */
function inRegistry(image: string, { global }: Pick<ChartValues, 'global'>): string {
  if (!global?.imageRegistry) return image;
  const [first = '', ...rest] = image.split('/');
  const named = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  return `${global.imageRegistry}/${named ? rest.join('/') : image}`;
}

const tooManyProjectors = ({ replicas, autoscaling }: PageViewSpec, partitions: number): string[] =>
  Object.entries({ replicas, 'autoscaling.maxReplicas': autoscaling.maxReplicas })
    .filter(([, count]) => count > partitions)
    .map(
      ([field, count]) =>
        `${field} is ${count}, but topClients.kafka.partitions is ${partitions}: projectors beyond that would have nothing to read; lower it`,
    );

function yaml(file: string, text: string): unknown {
  try {
    return parse(text) ?? {};
  } catch (cause) {
    throw new ValuesError(`${file} is not YAML: ${(cause as Error).message}`, { cause });
  }
}

const sentence = ({ path, message }: z.core.$ZodIssue): string =>
  `${path.join('.') || 'the values'}: ${message}; correct or remove it`;
