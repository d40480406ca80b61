import { App, Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import type { KubeObject } from './kube-object.ts';

/** Runs constructs in a chart of their own and returns their objects, in order. No files, no network. */
export function build(construct: (scope: Construct) => void): KubeObject[] {
  const chart = new Chart(new App(), 'chart', { disableResourceNameHashes: true });
  construct(chart);
  return chart.toJson() as KubeObject[];
}
