/** Results as Markdown. Pure. */
import { PAGE_NAMES, type PageName } from '#contracts/pages.ts';
import { disturbance, quantile, type Results, type Run, spread } from './results.ts';
import { CONDITION_NAMES, type ConditionName, SLOW_MS, VARIANT_NAMES } from './variants.ts';

export const CONDITIONS_IN_WORDS: Readonly<Record<ConditionName, string>> = {
  healthy: 'nothing is wrong',
  'source-killed': 'source of truth killed',
  'source-slow': `source answers ${SLOW_MS} ms late`,
  'source-500': 'source answers 500',
  'kafka-down': 'Kafka down',
};

const show = (value: number): string => {
  const size = Math.abs(value);
  if (size >= 1_000) return Math.round(value).toLocaleString('en-US');
  if (size >= 100 || value === 0) return value.toFixed(0);
  return size >= 10 ? value.toFixed(1) : value.toFixed(2);
};

/** The median and, with several rounds, minimum and maximum. */
function cell(values: readonly (number | null)[]): string {
  const of = spread(values);
  if (of === null) return '–';
  return of.min === of.max ? show(of.median) : `${show(of.median)} (${show(of.min)}–${show(of.max)})`;
}
const percent = (values: readonly number[]): string => cell(values.map((value) => value * 100));

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** Runs of one page, variant and condition: one a round. */
function* grouped(runs: readonly Run[]) {
  for (const page of PAGE_NAMES) {
    for (const variant of VARIANT_NAMES) {
      const of = runs.filter((run) => run.page === page && run.variant === variant);
      if (of.length > 0) yield { page, variant, runs: of };
    }
  }
}

/** Over all rounds together: a single round has too few writes for a p99. */
function shown(runs: readonly Run[]): { p50: string; p99: string; never: string } {
  const known = runs.flatMap((run) => (run.staleness ? [run.staleness] : []));
  if (known.length === 0) return { p50: '–', p99: '–', never: '–' };
  const values = known.flatMap((one) => one.shownAfterMs);
  const never = known.reduce((sum, one) => sum + one.notShown, 0);
  const at = (share: number) => {
    const value = quantile(values, share);
    return value === null ? '–' : show(value);
  };
  return { p50: at(0.5), p99: at(0.99), never: `${never} of ${values.length + never}` };
}

const latencies = (runs: readonly Run[]) =>
  (['p50', 'p95', 'p99', 'p999'] as const).map((at) => cell(runs.map((run) => run.latencyMs[at])));

const refused = (run: Run) => run.requests - (run.statuses['200'] ?? 0);

export function healthyTable({ runs, options }: Results): string {
  const rows = [
    ...grouped(runs.filter((run) => run.condition === 'healthy' && run.share === options.shares[0])),
  ];
  return table(
    [
      'page',
      'variant',
      'at most, renders/s',
      'rate/s',
      'p50 ms',
      'p95 ms',
      'p99 ms',
      'p99.9 ms',
      'write → shown p50 ms',
      'p99 ms',
      'full %',
    ],
    rows.map(({ page, variant, runs: of }) => {
      const seen = shown(of);
      return [
        page,
        variant,
        cell(of.map((run) => run.saturationPerSecond)),
        show(of[0]!.rate ?? 0),
        ...latencies(of),
        seen.p50,
        seen.p99,
        percent(of.map((run) => run.outcomes.full)),
      ];
    }),
  );
}

export function costTable({ runs, options }: Results): string {
  const healthy = runs.filter((run) => run.condition === 'healthy');
  return table(
    [
      'visits that meet clients',
      'page',
      'variant',
      'calls to the source a render',
      'CPU s per 1,000 renders: page',
      'source',
      'PostgreSQL',
      'p50 ms',
      'p99 ms',
    ],
    options.shares
      .toSorted((a, b) => a - b)
      .flatMap((share) =>
        [...grouped(healthy.filter((run) => run.share === share))].map(({ page, variant, runs: of }) => [
          `${share} %`,
          page,
          variant,
          cell(of.map((run) => run.callsPerRender)),
          cell(of.map((run) => run.cpuSecondsPerThousand.page)),
          cell(of.map((run) => run.cpuSecondsPerThousand.source)),
          cell(of.map((run) => run.cpuSecondsPerThousand.postgres)),
          cell(of.map((run) => run.latencyMs.p50)),
          cell(of.map((run) => run.latencyMs.p99)),
        ]),
      ),
  );
}

export function faultTable({ runs }: Results): string {
  const rows = CONDITION_NAMES.filter((condition) => condition !== 'healthy').flatMap((condition) =>
    [...grouped(runs.filter((run) => run.condition === condition))].map(({ page, variant, runs: of }) => {
      const seen = shown(of);
      return [
        CONDITIONS_IN_WORDS[condition],
        page,
        variant,
        percent(of.map((run) => run.outcomes.full)),
        percent(of.map((run) => run.outcomes.missing)),
        percent(of.map((run) => run.outcomes.stale)),
        cell(of.map(refused)),
        ...latencies(of),
        seen.p50,
        seen.p99,
        seen.never,
      ];
    }),
  );
  return table(
    [
      'meanwhile',
      'page',
      'variant',
      'full %',
      'missing %',
      'stale %',
      'answers other than 200',
      'p50 ms',
      'p95 ms',
      'p99 ms',
      'p99.9 ms',
      'write → shown p50 ms',
      'p99 ms',
      'writes not shown within 1 s',
    ],
    rows,
  );
}

/** One row a figure and one column a variant: for reading, while the tables above are for looking up. */
function byVariant(
  runs: readonly Run[],
  head: readonly string[],
  rows: readonly {
    readonly head: readonly string[];
    readonly of: (run: Run) => boolean;
    readonly cell: (runs: readonly Run[]) => string;
  }[],
): string {
  const variants = VARIANT_NAMES.filter((variant) => runs.some((run) => run.variant === variant));
  return table(
    [...head, ...variants],
    rows.map((row) => [
      ...row.head,
      ...variants.map((variant) => {
        const of = runs.filter((run) => run.variant === variant && row.of(run));
        return of.length === 0 ? '–' : row.cell(of);
      }),
    ]),
  );
}
const middle = (values: readonly (number | null)[]): string => {
  const of = spread(values);
  return of === null ? '–' : show(of.median);
};
const p50AndP99 = (runs: readonly Run[]) =>
  `${middle(runs.map((run) => run.latencyMs.p50))}, ${middle(runs.map((run) => run.latencyMs.p99))}`;

/** Without faults, at the first share of visits, for each page. */
export function healthySummary({ runs, options }: Results): string {
  const healthy = runs.filter((run) => run.condition === 'healthy' && run.share === options.shares[0]);
  return byVariant(
    healthy,
    ['page', 'figure'],
    PAGE_NAMES.filter((page) => healthy.some((run) => run.page === page)).flatMap((page) => {
      const of = (run: Run) => run.page === page;
      const saturated = (all: readonly Run[]) => cell(all.map((run) => run.saturationPerSecond));
      return [
        { head: [page, 'renders/s, at most'], of, cell: saturated },
        { head: [page, 'p50, p99, ms'], of, cell: p50AndP99 },
        { head: [page, 'write → shown, p50, ms'], of, cell: (all: readonly Run[]) => shown(all).p50 },
      ];
    }),
  );
}

/** What one page costs at each share of visits that meet clients. */
export function costSummary({ runs, options }: Results, page: PageName): string {
  return byVariant(
    runs.filter((run) => run.condition === 'healthy' && run.page === page),
    ['visits that meet clients'],
    options.shares
      .toSorted((a, b) => a - b)
      .map((share) => ({
        head: [`${share} %`],
        of: (run: Run) => run.share === share,
        cell: (all: readonly Run[]) =>
          [
            middle(all.map((run) => run.callsPerRender)),
            ...(['page', 'source', 'postgres'] as const).map((part) =>
              middle(all.map((run) => run.cpuSecondsPerThousand[part])),
            ),
          ].join(', '),
      })),
  );
}

/** What one page shows under each fault. */
export function faultSummary({ runs }: Results, page: PageName): string {
  return byVariant(
    runs.filter((run) => run.page === page),
    ['meanwhile'],
    CONDITION_NAMES.filter((condition) => condition !== 'healthy').map((condition) => ({
      head: [CONDITIONS_IN_WORDS[condition]],
      of: (run: Run) => run.condition === condition,
      cell: (all: readonly Run[]) =>
        `${middle(all.map((run) => run.outcomes.full * 100))} %, ${middle(all.map((run) => run.latencyMs.p99))}, ${shown(all).never}`,
    })),
  );
}

export function bytesTable({ bytes }: Results): string {
  const names = Object.keys(bytes[0]?.tables ?? {});
  const ordered = bytes.toSorted((a, b) => a.share - b.share);
  return table(
    ['bytes a seller with clients', ...ordered.map(({ share }) => `${share} % of visits meet clients`)],
    names.map((name) => [
      name,
      ...ordered.map(({ tables, sellersWithClients }) => show((tables[name] ?? 0) / sellersWithClients)),
    ]),
  );
}

/** Where and how the figures were measured. */
export function circumstances(results: Results): string {
  const { environment, options } = results;
  const versions = Object.entries(environment.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${environment.at.slice(0, 16).replace('T', ' ')} UTC, commit ${environment.commit}: ${environment.cores} cores of ${environment.cpu}, ${environment.memoryGb} GB, Linux ${environment.kernel}; ${versions.join(', ')}; load before the start ${environment.loadAtStart.join(' ')}. \`${environment.command}\``,
    `${options.rounds} round${options.rounds === 1 ? '' : 's'}, ${options.seconds} s each at the fixed rate and ${options.saturationSeconds} s saturated, ${options.sellers.toLocaleString('en-US')} sellers visited, ${options.writesPerSecond} writes a second meanwhile, seed ${options.seed}. Figures are medians over the rounds, in brackets least and greatest.`,
    disturbance(results),
  ].join('\n\n');
}

export function markdown(results: Results): string {
  return [
    '# The deliveries compared',
    circumstances(results),
    `## Nothing is wrong, ${results.options.shares[0]} % of the visits meet clients`,
    healthyTable(results),
    '## What it costs',
    costTable(results),
    '## When something is wrong',
    faultTable(results),
    '## What is stored',
    bytesTable(results),
    '',
  ].join('\n\n');
}
