import { expect, test } from '@jest/globals';
import type { StoredObject } from '../../runtime/kube.ts';
import { object, stored } from '../testing/objects.ts';
import { jobState, terminationMessage } from './jobs.ts';

test('a Job that failed says since when', () => {
  const job = object('batch/v1', 'Job');
  const lastTransitionTime = '2026-11-23T12:05:00Z';
  const conditions = [
    { type: 'Failed', status: 'True', message: 'BackoffLimitExceeded', lastTransitionTime },
  ];
  expect(jobState(stored(job, { conditions }))).toEqual({
    state: 'failed',
    because: 'BackoffLimitExceeded',
    at: Date.parse(lastTransitionTime),
  });
  expect(jobState(stored(job, { conditions: [{ type: 'Complete', status: 'True' }] }))).toEqual({
    state: 'complete',
  });
  expect(jobState(stored(job, { active: 1 }))).toEqual({ state: 'running' });
  expect(jobState(undefined)).toEqual({ state: 'absent' });
});

test("a job's termination message is that of the pod that ended last", () => {
  const pod = (job: string, finishedAt: string, message?: string): StoredObject => ({
    ...stored(object('v1', 'Pod'), {
      containerStatuses: [{ state: { terminated: { finishedAt, message } } }],
    }),
    metadata: { ...stored(object('v1', 'Pod')).metadata, labels: { 'batch.kubernetes.io/job-name': job } },
  });
  const pods = [
    pod('a', '2026-11-23T12:00:02Z', 'second\n'),
    pod('a', '2026-11-23T12:00:01Z', 'first'),
    pod('b', '2026-11-23T12:00:09Z', 'another'),
    pod('a', '2026-11-23T12:00:03Z'),
  ];
  expect(terminationMessage('a', pods)).toBe('second');
  expect(terminationMessage('c', pods)).toBeNull();
});
