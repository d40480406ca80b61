/** A short selection of `make faults`, from a fixed seed: one world, and every promise judged. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { runCampaign } from './campaign.ts';
import { CATALOGUE } from './catalogue.ts';
import { inShort } from './findings.ts';

const SEED = 20_261;
const SELECTION = [
  'kill-source-after-commit',
  'kill-relay-after-send',
  'late-commits',
  'kill-projector-before-checkpoint',
  'duplicates',
  'kill-kafka',
  'hang-source',
  'notify-queue-full',
  // Not where Java has no compiler.
  'codecs',
];

const faults = CATALOGUE.filter(({ name, missing }) => SELECTION.includes(name) && !missing?.());

test(`every promise holds under ${SELECTION.join(', ')}, seed ${SEED}`, async () => {
  const said: string[] = [];
  const report = await runCampaign({
    seed: SEED,
    faults,
    minutes: 3,
    once: true,
    folder: join(tmpdir(), `top-clients-faults-short-${process.pid}`),
    main: fileURLToPath(new URL('../../services/main.ts', import.meta.url)),
    log: (message) => said.push(message),
  });
  const shown = inShort(report.findings);
  expect(shown.length > 0 ? [...said, ...shown] : []).toEqual([]);
  expect(report.rounds).toBe(faults.length);
  // Nothing was judged where nothing was done.
  expect(report.operations.ok).toBeGreaterThan(200);
  expect(report.visits).toBeGreaterThan(100);
  expect(report.erased).toBeGreaterThan(0);
}, 600_000);
