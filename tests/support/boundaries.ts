/** Checks the imports of the tree against the rules, and first proves that each rule works. `npm run boundaries` */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import { PRODUCTION, RULES } from './boundary-rules.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface Cruised {
  readonly modules: number;
  readonly found: readonly string[];
  /** The rooms that each room imports in production. */
  readonly arrows: ReadonlyMap<string, ReadonlySet<string>>;
}

/** The room of a file that is part of the image. */
const roomOf = (file: string): string | null =>
  isProduction(file) ? (/^(services\/[^/]+(?=\/)|cdk8s|dashboards)/.exec(file)?.[0] ?? null) : null;
const isProduction = (file: string): boolean =>
  new RegExp(PRODUCTION.path).test(file) && !new RegExp(PRODUCTION.pathNot).test(file);

async function violations(baseDir: string, folders: string[]): Promise<Cruised> {
  const { output } = await cruise(
    folders,
    {
      baseDir,
      validate: true,
      ruleSet: { forbidden: RULES },
      tsPreCompilationDeps: true,
      doNotFollow: { path: 'node_modules' },
      // Packages stay in: a rule may forbid one. The planted tree reaches them by a link, and must see the same paths.
      preserveSymlinks: true,
      exclude: { path: '^(\\.cache|\\.demo)/' },
      tsConfig: { fileName: join(root, 'tsconfig.json') },
      enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types'] },
    },
    undefined,
    { tsConfig: extractTSConfig(join(root, 'tsconfig.json')) },
  );
  const { summary, modules } = output as ICruiseResult;
  const arrows = new Map<string, Set<string>>();
  for (const { source, dependencies } of modules) {
    const from = roomOf(source);
    for (const { resolved } of dependencies) {
      const to = roomOf(resolved);
      if (from === null || to === null || to === from) continue;
      arrows.set(from, (arrows.get(from) ?? new Set()).add(to));
    }
  }
  return {
    arrows,
    modules: modules.filter((one) => !one.coreModule && !one.source.includes('node_modules')).length,
    found: summary.violations.map((one) => `${one.rule.name}: ${one.from} → ${one.to}`),
  };
}

/** Each file breaks one rule; a rule that does not report it would not report anything in the real tree. */
const PLANTED: Record<string, [file: string, source: string][]> = {
  'no-circular': [
    ['services/projector/a.ts', "export { b } from './b.ts';"],
    ['services/projector/b.ts', "export * from './a.ts';\nexport const b = 1;"],
  ],
  'contracts-are-pure': [['services/contracts/x.ts', "export * from '../platform/y.ts';"]],
  'contracts-are-judged-alone': [['services/contracts/x.spec.ts', "export * from '../platform/y.ts';"]],
  'role-knows-no-service': [['services/role/x.ts', "export * from '../projector/y.ts';"]],
  'domain-is-pure': [['services/top-clients/domain/x.ts', "export * from '../../platform/y.ts';"]],
  'domain-does-no-io': [['services/top-clients/domain/z.ts', "export * from 'node:fs';"]],
  'domain-needs-no-package': [
    ['services/top-clients/domain/p.ts', "import type { Pool } from 'pg';\nexport type P = Pool;"],
  ],
  'http-knows-no-store': [['services/top-clients/adapters/http/s.ts', "export * from '../postgres/y.ts';"]],
  'pages-know-no-service': [['services/pages/x.ts', "export * from '../projector/y.ts';"]],
  'portal-knows-no-page-server': [['services/seller-portal/x.ts', "export * from '../projector/y.ts';"]],
  'app-knows-no-adapter': [['services/top-clients/app/x.ts', "export * from '../adapters/http.ts';"]],
  'platform-has-no-domain-words': [['services/platform/x.ts', "export * from '../contracts/metrics.ts';"]],
  'services-do-not-reach-into-each-other': [
    ['services/projector/x.ts', "export * from '../outbox-relay/y.ts';"],
  ],
  'objects-are-the-operators': [['services/projector/k.ts', "export * from '../../cdk8s/y.ts';"]],
  'objects-know-only-contracts': [['cdk8s/x.ts', "export * from '../services/platform/y.ts';"]],
  'dashboards-know-only-contracts': [['dashboards/x.ts', "export * from '../services/platform/y.ts';"]],
  'runtime-knows-no-reconciler': [['services/operator/runtime/x.ts', "export * from '../y.ts';"]],
  'only-its-room-knows-the-kafka-client': [
    ['services/projector/q.ts', "import type { Kafka } from 'kafkajs';\nexport type K = Kafka;"],
    ['bench/q.ts', "import type { Kafka } from 'kafkajs';\nexport type K = Kafka;"],
    ['services/projector/q.spec.ts', "import type { Kafka } from 'kafkajs';\nexport type K = Kafka;"],
  ],
  'one-judge-of-tokens': [
    ['services/page-server/j.ts', "import type { JWTPayload } from 'jose';\nexport type J = JWTPayload;"],
  ],
  'auth-knows-no-service': [['services/auth/x.ts', "export * from '../projector/y.ts';"]],
  'page-kit-knows-no-page': [['services/page-kit/x.ts', "export * from '../projector/y.ts';"]],
  'source-client-knows-no-service': [['services/source-client/x.ts', "export * from '../projector/y.ts';"]],
  'one-client-of-the-source': [
    ['services/seller-portal/u.ts', "import { Agent } from 'undici';\nexport const a = new Agent();"],
  ],
  'production-stands-alone': [['services/projector/w.ts', "export * from '../local-stack/y.ts';"]],
  'tests-are-nobodys-support': [
    ['bench/t.ts', "export * from '../tests/support/y.ts';"],
    ['services/projector/t.spec.ts', "export * from '../../tests/support/y.ts';"],
  ],
  'production-needs-no-development-package': [
    ['services/projector/d.ts', "import fc from 'fast-check';\nexport default fc;"],
  ],
  resolvable: [['services/projector/r.ts', "export * from './nowhere.ts';"]],
};
const STANDING = [
  'cdk8s/y',
  'services/contracts/metrics',
  'services/platform/y',
  'services/projector/y',
  'services/operator/y',
  'services/outbox-relay/y',
  'services/local-stack/y',
  'services/top-clients/adapters/http',
  'services/top-clients/adapters/postgres/y',
  'tests/support/y',
];

/** Compares the arrows of ARCHITECTURE.md with the imports, or writes them. */
function isDrawn(arrows: Cruised['arrows'], write: boolean): boolean {
  const UNDRAWN = new Set(['services/contracts', 'services/platform', 'services/role']);
  const short = (room: string) => room.replace('services/', '');
  const lines = [...arrows]
    .filter(([from]) => !UNDRAWN.has(from))
    .map(
      ([from, to]) =>
        [
          short(from),
          [...to]
            .filter((one) => !UNDRAWN.has(one))
            .map(short)
            .sort(),
        ] as const,
    )
    .filter(([, to]) => to.length > 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([from, to]) => `  ${from} --> ${to.join(' & ')}`);
  const block = ['<!-- arrows -->', '```mermaid', 'flowchart LR', ...lines, '```', '<!-- /arrows -->'].join(
    '\n',
  );
  const file = join(root, 'ARCHITECTURE.md');
  const before = readFileSync(file, 'utf8');
  const after = before.replace(/<!-- arrows -->.*<!-- \/arrows -->/s, block);
  if (write) writeFileSync(file, after);
  return write || after === before;
}

async function prove(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'boundaries-'));
  try {
    const put = (file: string, source: string) => {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), `${source}\n`);
    };
    cpSync(join(root, 'package.json'), join(folder, 'package.json'));
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    for (const name of STANDING) put(`${name}.ts`, 'export const y = 1;');
    for (const [file, source] of Object.values(PLANTED).flat()) put(file, source);
    const { found } = await violations(folder, ['services', 'cdk8s', 'dashboards', 'bench']);
    return RULES.flatMap(({ name }) =>
      (PLANTED[name!] ?? [['no file', '']])
        .filter(([file]) => !found.some((one) => one.startsWith(`${name}: `) && one.includes(file)))
        .map(([file]) => `the rule ${name} did not notice the violation planted in ${file}`),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const silent = await prove();
const { modules, found, arrows } = await violations(root, [
  'services',
  'cdk8s',
  'dashboards',
  'generate',
  'tests',
  'bench',
]);
for (const one of silent) console.error(one);
for (const one of found) console.error(one);
// Without a TypeScript that it supports, dependency-cruiser sees no modules and reports no violation.
if (modules < 20)
  console.error(`only ${modules} modules were seen; is the typescript package still version 6?`);
const drawn = isDrawn(arrows, process.argv.includes('--write'));
if (!drawn)
  console.error(
    'ARCHITECTURE.md draws other arrows than the imports have; renew it: npm run boundaries -- --write',
  );
if (silent.length > 0 || found.length > 0 || modules < 20 || !drawn) process.exit(1);
console.log(`boundaries hold: ${modules} modules, ${RULES.length} rules, each proved by a planted violation`);
